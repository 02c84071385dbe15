import type { DecisionId, SpoolId } from '../lib/id.ts';
import type { Saying } from '../lib/said.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { DecisionStep } from './decisions.ts';
import { newestFirst, partSql } from './list-part.ts';
import type { ListPart } from './list-part.ts';
import type { Envelope, HeldReading, Proof } from './spool.ts';
import { timestamp } from './timestamp.ts';

/** A mail to a logging address that waits for a person's review. */
export type Held = Omit<PublicHeld, 'because'> & {
  /** What the rule said that has it wait (filing/because.ts). */
  because: Saying;
};

/** The same, as the API and the events show it. */
export type PublicHeld = {
  id: SpoolId;
  sub_account_id: string;
  /** Whose logging address it came to. */
  user_id: string;
  /** `released`: it is to be logged, and soon will be. */
  state: 'held' | 'released' | 'discarded';
  /** Identifier of RULES.md. */
  reason: string;
  /** The same in words. */
  because: string;
  received_at: string;
  decision_id: DecisionId;
  /** Null once it was released or discarded. */
  mail: HeldReading | null;
  /** What the sending domain proves of From. */
  proof: {
    verdict: Proof['verdict'];
    domain: string;
    spf: string | null;
    dkim: string | null;
    dmarc_policy: string | null;
    arc: string | null;
  };
};

const heldObject = `json_build_object(
  'id', i.id, 'sub_account_id', i.sub_account_id, 'user_id', i.user_id,
  'state', case i.state when 'held' then 'held' when 'discarded' then 'discarded' else 'released' end,
  'reason', d.reason, 'because', d.reasons -> -1 -> 'because',
  'received_at', ${timestamp('i.received_at')}, 'decision_id', d.id, 'mail', i.read,
  'proof', json_build_object('verdict', i.proof ->> 'verdict', 'domain', i.proof ->> 'domain', 'spf', i.proof ->> 'spf',
     'dkim', i.proof ->> 'dkim', 'dmarc_policy', i.proof ->> 'dmarcPolicy', 'arc', i.proof ->> 'arc'))`;

/** Those that wait for review, the newest first; `subAccountId` null: of all of them. */
export async function listHeld(
  db: Db,
  of: { subAccountId: string | null; userId: string | null },
  part: ListPart,
): Promise<Held[]> {
  const found = await rows<{ held: Held }>(
    db,
    `select ${heldObject} as held from intake_spool i join decisions d on d.id = i.decision_id and d.lasting
      where i.state = 'held' ${of.subAccountId === null ? '' : 'and i.sub_account_id = :subAccountId'}
        ${of.userId === null ? '' : 'and i.user_id = :userId'} ${partSql('i.id', part)}`,
    { ...of, ...part },
  );
  return newestFirst(
    found.map(({ held }) => held),
    part,
  );
}

/** How many of those that wait are newer than one, up to `max`. */
export async function countNewerHeld(
  db: Db,
  of: { subAccountId: string | null; userId: string | null },
  { than, max }: { than: string; max: number },
): Promise<number> {
  const [found] = await rows<{ count: number }>(
    db,
    `select count(*)::int as count from (
       select from intake_spool
        where state = 'held' and id > :than ${of.subAccountId === null ? '' : 'and sub_account_id = :subAccountId'}
          ${of.userId === null ? '' : 'and user_id = :userId'} limit :max) n`,
    { ...of, than, max },
  );
  return found?.count ?? 0;
}

/** What there is besides of a held mail: its bytes, and what the SMTP session said. Undefined where it is not held. */
export async function findHeldMail(
  db: Db,
  id: string,
): Promise<{ sha256: string; size: number; envelope: Envelope } | undefined> {
  const [found] = await rows<{ sha256: string; size: number; envelope: Envelope }>(
    db,
    `select raw_sha256 as sha256, raw_size::float8 as size, envelope from intake_spool where id = :id and state = 'held'`,
    { id },
  );
  return found;
}

/** Mail that is or was held, by id. */
export async function readHeld(db: Db, ids: readonly SpoolId[]): Promise<Held[]> {
  const found = await rows<{ held: Held }>(
    db,
    `select ${heldObject} as held from intake_spool i join decisions d on d.id = i.decision_id
      where i.id = any(:ids) order by i.id`,
    { ids },
  );
  return found.map(({ held }) => held);
}

/** Of these, what is or was held, locked for the rest of the transaction; `subAccountId` null: of whichever. */
export async function lockHeld(
  db: Db,
  of: { subAccountId: string | null; ids: readonly string[] },
): Promise<Held[]> {
  const locked = await rows<{ id: SpoolId }>(
    db,
    `select id from intake_spool
      where id = any(:ids) and (:subAccountId::text is null or sub_account_id = :subAccountId)
        and (state = 'held' or released_at is not null or state = 'discarded')
      order by id for update`,
    of,
  );
  if (locked.length === 0) return [];
  return readHeld(
    db,
    locked.map(({ id }) => id),
  );
}

/** Has held mail filed, `author` being who wrote what was forwarded; null: as it was read. */
export async function releaseHeld(
  db: Db,
  ids: readonly SpoolId[],
  author: { name: string; address: string } | null,
): Promise<void> {
  await run(
    db,
    `update intake_spool set state = 'waiting', state_since = now(), released_at = now(), author = :author::jsonb, read = null,
            ready = true, attempts = 0, due_at = now()
      where id = any(:ids)`,
    { ids, author: author === null ? null : jsonText(author) },
  );
}

/** Ends held mail for good, for `reasons`; what was read of it is forgotten, its bytes are removed by and by. */
export async function discardHeld(
  db: Db,
  discarded: readonly { id: SpoolId; decisionId: DecisionId }[],
  reasons: readonly DecisionStep[],
): Promise<void> {
  const of = { discarded: jsonText(discarded), reasons: jsonText(reasons) };
  const asked = 'json_to_recordset(:discarded::json) as asked(id text, "decisionId" text)';
  await run(
    db,
    `with made as (
       insert into decisions (id, sub_account_id, outcome, reason, reasons, id_hash, address_hashes, intake_id)
       select asked."decisionId", d.sub_account_id, 'skipped', 'discarded', :reasons::jsonb, d.id_hash, d.address_hashes,
              d.intake_id
         from ${asked} join intake_spool i on i.id = asked.id join decisions d on d.id = i.decision_id
     )
     update decisions d set replaced_by = asked."decisionId"
       from ${asked} join intake_spool i on i.id = asked.id where d.id = i.decision_id`,
    of,
  );
  await run(
    db,
    `update intake_spool i set state = 'discarded', state_since = now(), read = null, decision_id = asked."decisionId"
       from ${asked} where i.id = asked.id`,
    of,
  );
}
