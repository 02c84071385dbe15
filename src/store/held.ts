import type { DecisionId, SpoolId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { HeldReading, Proof } from './spool.ts';
import { timestamp } from './timestamp.ts';

/** A mail to a logging address that waits for a person's review, as the API and the events show it. */
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
  'reason', d.reason, 'because', d.reasons -> -1 ->> 'because',
  'received_at', ${timestamp('i.received_at')}, 'decision_id', d.id, 'mail', i.read,
  'proof', json_build_object('verdict', i.proof ->> 'verdict', 'domain', i.proof ->> 'domain', 'spf', i.proof ->> 'spf',
     'dkim', i.proof ->> 'dkim', 'dmarc_policy', i.proof ->> 'dmarcPolicy', 'arc', i.proof ->> 'arc'))`;

/** Those that wait for review, the newest first; `after` is the last one of the page before. */
export async function listHeld(
  db: Db,
  of: { subAccountId: string; userId: string | null },
  page: { after: string | null; limit: number },
): Promise<PublicHeld[]> {
  const found = await rows<{ held: PublicHeld }>(
    db,
    `select ${heldObject} as held from intake_spool i join decisions d on d.id = i.decision_id
      where i.sub_account_id = :subAccountId and i.state = 'held'
        and (:userId::text is null or i.user_id = :userId) and (:after::text is null or i.id < :after)
      order by i.id desc limit :limit`,
    { ...of, ...page },
  );
  return found.map(({ held }) => held);
}

/** Mail that is or was held, by id. */
export async function readHeld(db: Db, ids: readonly SpoolId[]): Promise<PublicHeld[]> {
  const found = await rows<{ held: PublicHeld }>(
    db,
    `select ${heldObject} as held from intake_spool i join decisions d on d.id = i.decision_id
      where i.id = any(:ids) order by i.id`,
    { ids },
  );
  return found.map(({ held }) => held);
}

/** A held mail, locked for the rest of the transaction; null when there is none that was ever held. */
export async function lockHeld(db: Db, of: { subAccountId: string; id: string }): Promise<PublicHeld | null> {
  const locked = await rows<{ id: SpoolId }>(
    db,
    `select id from intake_spool
      where id = :id and sub_account_id = :subAccountId and (state = 'held' or released_at is not null or state = 'discarded')
      for update`,
    of,
  );
  const [held] = await readHeld(
    db,
    locked.map(({ id }) => id),
  );
  return held ?? null;
}

/** Has a held mail filed, `author` being who wrote what was forwarded; null: as it was read. */
export async function releaseHeld(
  db: Db,
  id: SpoolId,
  author: { name: string; address: string } | null,
): Promise<void> {
  await run(
    db,
    `update intake_spool set state = 'waiting', state_since = now(), released_at = now(), author = :author::jsonb, read = null,
            ready = true, attempts = 0, due_at = now()
      where id = :id`,
    { id, author: author === null ? null : jsonText(author) },
  );
}

/** Ends a held mail for good; what was read of it is forgotten, its bytes are removed by and by. */
export async function discardHeld(db: Db, id: SpoolId, decisionId: DecisionId): Promise<void> {
  await run(
    db,
    `with made as (
       insert into decisions (id, sub_account_id, outcome, reason, reasons, id_hash, address_hashes, intake_id)
       select :decisionId, d.sub_account_id, 'skipped', 'discarded', :reasons::jsonb, d.id_hash, d.address_hashes, d.intake_id
         from intake_spool i join decisions d on d.id = i.decision_id where i.id = :id
     )
     update decisions d set replaced_by = :decisionId from intake_spool i where i.id = :id and d.id = i.decision_id`,
    {
      id,
      decisionId,
      reasons: jsonText([{ rule: 'B4', because: 'a person reviewed it, and discarded it' }]),
    },
  );
  await run(
    db,
    `update intake_spool set state = 'discarded', state_since = now(), read = null, decision_id = :decisionId
      where id = :id`,
    { id, decisionId },
  );
}
