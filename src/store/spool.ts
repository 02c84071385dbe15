import { newId } from '../lib/id.ts';
import type { DecisionId, LoggingAddressId, MessageId, SpoolId, ThreadId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';

/** What the SMTP session said of a message (RFC 5321 §2.3.1). */
export type Envelope = {
  /** MAIL FROM; empty for the null sender of bounces. */
  from: string;
  /** RCPT TO, as written: logging addresses alone, each known then. */
  to: { address: string; loggingAddressId: LoggingAddressId; tag: string }[];
  helo: string;
  /** IP address of the sending server, behind a trusted proxy the one that the proxy named. */
  clientAddress: string;
  tls: boolean;
};

/**
 * What the sending domain proves of From (B4), without content. `pending`: DNS gave no answer in time;
 * whoever files it asks again.
 */
export type Proof = {
  /**
   * `proven`: DKIM or SPF passes, aligned with From. `failed`: neither does, and the domain's own DMARC policy
   * asks to reject or to quarantine such mail. `unproven`: neither, and the domain says nothing of it.
   */
  verdict: 'proven' | 'failed' | 'unproven' | 'pending';
  /** Domain of From, in lower case; empty where From is not one readable address. */
  domain: string;
  by: 'dkim' | 'spf' | null;
  /** The results as words of RFC 8601 §2.7 (`pass`, `fail`, `none`, …); null: not looked at, since another sufficed. */
  spf: string | null;
  dkim: string | null;
  dmarcPolicy: 'none' | 'quarantine' | 'reject' | null;
  /** A chain that holds (RFC 8617); a hint for who reviews, never a proof. */
  arc: string | null;
};

/** A message that was accepted with 250, and waits to be filed. */
export type Spooled = {
  /** spl_…, given when it was accepted: what makes a repeated hand-over harmless. */
  id: SpoolId;
  /** ms since the epoch. */
  receivedAt: number;
  envelope: Envelope;
  proof: Proof;
  /** Of the raw message as it came, SMTP's dots undone. */
  sha256: string;
  /** Bytes. */
  size: number;
};

/** A mail that came to one logging address, as it is filed. */
export type LoggedMail = Omit<Spooled, 'id'> & {
  id: SpoolId;
  /** The same for every logging address that it came to. */
  acceptedId: SpoolId;
  subAccountId: string;
  userId: string;
  /** Behind the + of the address, which may be named more than once. */
  tags: string[];
  /** A person has said that it is to be logged. */
  isReleased: boolean;
  /** Who wrote what was forwarded, as that person says. */
  author: { name: string; address: string } | null;
  /** What was decided of it before it was released; null: it is new. */
  decidedBefore: DecisionId | null;
  attempts: number;
};

/**
 * Keeps accepted mail for those whose logging addresses it came to. What was kept before stays as it is: a
 * hand-over that was cut off is repeated. Whoever is gone meanwhile gets nothing.
 */
export async function addSpooled(db: Db, accepted: readonly Spooled[]): Promise<void> {
  const copies = accepted.flatMap(({ envelope, ...mail }) =>
    [...Map.groupBy(envelope.to, (named) => named.loggingAddressId)].map(([loggingAddressId, named]) => ({
      id: newId('spl'),
      accepted_id: mail.id,
      logging_address_id: loggingAddressId,
      tags: [...new Set(named.map(({ tag }) => tag))].filter((tag) => tag !== ''),
      envelope,
      proof: mail.proof,
      received_at: new Date(mail.receivedAt).toISOString(),
      raw_sha256: mail.sha256,
      raw_size: mail.size,
    })),
  );
  await run(
    db,
    `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof,
                               received_at, raw_sha256, raw_size)
     select c.id, c.accepted_id, c.logging_address_id, l.sub_account_id, l.user_id, c.tags, c.envelope, c.proof,
            c.received_at, c.raw_sha256, c.raw_size
       from json_to_recordset(:copies::json) as c(
            id text, accepted_id text, logging_address_id text, tags text[], envelope jsonb, proof jsonb,
            received_at timestamptz, raw_sha256 text, raw_size bigint)
       join logging_addresses l on l.id = c.logging_address_id
      order by c.id
     on conflict (accepted_id, logging_address_id) do nothing`,
    { copies: jsonText(copies) },
  );
}

/** Mail that waits to be filed, by its ids. */
export async function readLoggedMail(db: Db, ids: readonly string[]): Promise<LoggedMail[]> {
  const found = await rows<LoggedMailRow>(
    db,
    `select i.*, floor(extract(epoch from i.received_at) * 1000) as received_ms
       from intake_spool i where i.id = any(:ids) order by i.seq`,
    { ids },
  );
  return found.map((row) => ({
    id: row.id,
    acceptedId: row.accepted_id,
    subAccountId: row.sub_account_id,
    userId: row.user_id,
    tags: row.tags,
    envelope: row.envelope,
    proof: row.proof,
    receivedAt: Number(row.received_ms),
    sha256: row.raw_sha256,
    size: Number(row.raw_size),
    isReleased: row.released_at !== null,
    author: row.author,
    decidedBefore: row.decision_id,
    attempts: row.attempts,
  }));
}

type LoggedMailRow = {
  id: SpoolId;
  accepted_id: SpoolId;
  sub_account_id: string;
  user_id: string;
  tags: string[];
  envelope: Envelope;
  proof: Proof;
  received_ms: string;
  raw_sha256: string;
  raw_size: string;
  released_at: Date | null;
  author: { name: string; address: string } | null;
  decision_id: DecisionId | null;
  attempts: number;
};

/** Sub-accounts to whose logging addresses each of these mails came. */
export async function subAccountsLogging(
  db: Db,
  acceptedIds: readonly SpoolId[],
): Promise<Map<SpoolId, string[]>> {
  if (acceptedIds.length === 0) return new Map();
  const found = await rows<{ acceptedId: SpoolId; ids: string[] }>(
    db,
    `select accepted_id as "acceptedId", array_agg(distinct sub_account_id) as ids
       from intake_spool where accepted_id = any(:acceptedIds) group by 1`,
    { acceptedIds },
  );
  return new Map(found.map(({ acceptedId, ids }) => [acceptedId, ids]));
}

/** What is known of a mail that was forwarded and has no Message-ID. */
export type ForwardedMail = {
  uid: number;
  /** Of its author, in contact's form. */
  author: string;
  /** ms since the epoch; in whole minutes, since mail programs write no seconds above what they forward. */
  date: number;
  /** The key of the Message-ID that the forward cites (table message_keys); null where it cites none. */
  cited: string | null;
};

/**
 * Stored messages of these authors and minutes, as far as their author is a contact, and those that are cited. `date`
 * is in ms since the epoch.
 */
export async function findForwarded(
  db: Db,
  subAccountId: string,
  mails: readonly ForwardedMail[],
): Promise<
  { uid: number; messageId: MessageId; threadId: ThreadId; sender: string; subject: string; date: number }[]
> {
  if (mails.length === 0) return [];
  return rows(
    db,
    `with asked as materialized (
       select * from json_to_recordset(:mails::json) as t(uid int, author text, date float8, cited text)
     ), found as (
       select asked.uid, m.id
         from asked
         join contact_addresses a on a.sub_account_id = :subAccountId and a.canonical = asked.author
         join conversations v on v.sub_account_id = a.sub_account_id and v.contact_id = a.contact_id
         join conversation_threads t on t.conversation_id = v.id
         join messages m on m.thread_id = t.thread_id
          and m.date >= to_timestamp(asked.date / 1000) and m.date < to_timestamp(asked.date / 1000 + 60)
       union
       select asked.uid, k.message_id
         from asked join message_keys k on k.sub_account_id = :subAccountId and k.key = asked.cited
     )
     select found.uid, m.id as "messageId", m.thread_id as "threadId", m.sender ->> 'address' as sender, m.subject,
            (extract(epoch from m.date) * 1000)::float8 as date
       from found cross join lateral (select * from messages where id = found.id offset 0) m order by m.id`,
    { subAccountId, mails: jsonText(mails) },
  );
}

/** What became of a mail. `read`: what whoever reviews it is shown. */
export type SpoolOutcome = {
  id: SpoolId;
  state: 'filed' | 'held' | 'failed';
  decisionId: DecisionId;
  read: HeldReading | null;
};

/** What is known of a mail that waits for review; content of a user's own mail, which goes when it is discarded. */
export type HeldReading = {
  from: { name: string; address: string } | null;
  to: { name: string; address: string }[];
  cc: { name: string; address: string }[];
  subject: string;
  /** RFC 3339; null: unreadable. */
  date: string | null;
  /** How the text begins that would be logged. */
  text: string;
  /** Of a forward: what was read of the mail inside, and what makes it doubtful. */
  forwarded: {
    from: { name: string; address: string } | null;
    to: { name: string; address: string }[];
    cc: { name: string; address: string }[];
    subject: string;
    date: string | null;
    doubts: string[];
    /** The lines above it; null of an attached one, and where there are none. */
    written: { from: string; date: string; subject: string } | null;
  } | null;
};

/**
 * Ends the work on mail; in the transaction of its effects. False when a lease was lost: another node has
 * taken over, and the effects must not be committed.
 */
export async function endSpooled(db: Db, owner: string, outcomes: readonly SpoolOutcome[]): Promise<boolean> {
  const ended = await run(
    db,
    // In arrays: a join was planned as a reading of all that waits.
    `with o as materialized (
       select array_agg(id collate "C") as ids, array_agg(state) as states, array_agg("decisionId") as decisions,
              array_agg(read) as readings
         from json_to_recordset(:outcomes::json) as t(id text, state text, "decisionId" text, read jsonb)
     )
     update intake_spool i
        set state = o.states[array_position(o.ids, i.id)], state_since = now(), ready = false,
            decision_id = o.decisions[array_position(o.ids, i.id)], read = o.readings[array_position(o.ids, i.id)],
            -- Of what is logged nothing is kept here, lest it stay when that is erased.
            author = case when o.states[array_position(o.ids, i.id)] <> 'filed' then i.author end,
            lease_owner = null, lease_until = null
       from o where i.id = any(o.ids) and i.lease_owner = :owner and i.ready`,
    { owner, outcomes: jsonText(outcomes) },
  );
  return ended === outcomes.length;
}

/** How long what is done is known again, when a crash hands it over twice. */
const knownDays = 30;

/** Removes mail that was filed or discarded long ago. The messages and decisions that came of it stay. */
export async function forgetSpooled(db: Db): Promise<void> {
  await run(
    db,
    `delete from intake_spool where not ready and state in ('filed', 'discarded')
        and state_since < now() - :knownDays * interval '1 day'`,
    { knownDays },
  );
}

/** Keeps what was found out of the sender of a mail later than it came. */
export async function keepProof(db: Db, id: SpoolId, proof: Proof): Promise<void> {
  await run(db, 'update intake_spool set proof = :proof::jsonb where id = :id', {
    id,
    proof: jsonText(proof),
  });
}

/** Has a mail filed once more that failed (T3). False when it has not. */
export async function retrySpooled(db: Db, id: SpoolId): Promise<boolean> {
  const changed = await run(
    db,
    `update intake_spool set state = 'waiting', state_since = now(), ready = true, attempts = 0, due_at = now()
      where id = :id and state = 'failed'`,
    { id },
  );
  return changed > 0;
}
