import type { MailboxId, MessageId, SendId } from '../lib/id.ts';
import { sentCopyWaitsMs } from '../provider/providers.ts';
import { jsonText, rows, rowsById, run } from './database.ts';
import type { Db } from './database.ts';

/**
 * Whether a copy of send `s` was seen in its mailbox: not in the inbox, where a mail to oneself arrives, but also
 * where somebody has moved it from Sent. Looked up for each send: as a part of a join it was planned as a reading of
 * all folders.
 */
export function copyWasSeen(s: string): string {
  return `exists (select from sightings i join folders f on f.id = i.folder_id
                   where i.message_id = ${s}.message_id and i.mailbox_id = ${s}.mailbox_id and f.role <> 'inbox' offset 0)`;
}

/**
 * From now on the Sent copies of sends are awaited, where their provider takes mail and saves no copy (U1). Nothing
 * where the host was seen to save them, where a copy was seen already, and where nobody is connected any more.
 */
export async function awaitSentCopies(db: Db, sendIds: readonly SendId[]): Promise<void> {
  if (sendIds.length === 0) return;
  await run(
    db,
    `insert into sent_copies (id, sub_account_id, mailbox_id, due_at)
     select s.id, s.sub_account_id, s.mailbox_id, now() + w.value::float8 * interval '1 ms'
       from ${rowsById('sends')} s
       cross join lateral (select * from mailboxes where id = s.mailbox_id offset 0) b
       join json_each_text(:waits::json) w on w.key = b.provider
      where not ${copyWasSeen('s')} and b.saves_sent_copy is distinct from true
        -- By the mailbox alone: a sub-account has thousands of connections.
        and s.sub_account_id in (
          select sub_account_id from connections where mailbox_id = s.mailbox_id and ended_at is null offset 0)
     on conflict (id) do nothing`,
    { ids: sendIds, waits: jsonText(Object.fromEntries(sentCopyWaitsMs)) },
  );
}

/** A copy in Sent that was claimed, with what its next step looks at. */
export type AwaitedCopy = {
  id: SendId;
  messageId: MessageId;
  attempts: number;
  /** For how long it has been awaited. */
  ageMs: number;
  /** When the provider took the message, ms since the epoch. */
  sentAt: number;
  /** Every Message-ID under which it may lie there, bare. */
  messageIds: string[];
  rawSha256: string;
  /** Addresses of its blind copies, as written. */
  bcc: string[];
  /** An APPEND may have gone out before. */
  isBegun: boolean;
  /** A copy was seen: by whoever it was put there. */
  isSeen: boolean;
  /** The host was seen to save copies by itself. */
  hostSaves: boolean;
  /** The folder for it; null: there is none. */
  path: string | null;
  /** Sent was looked at, whole, since the message was sent, and since an APPEND may have gone out. */
  isLooked: boolean;
};

/** Awaited copies by the ids of their sends. */
export async function readAwaitedCopies(db: Db, ids: readonly string[]): Promise<AwaitedCopy[]> {
  const found = await rows<{ copy: AwaitedCopy }>(
    db,
    `select json_build_object(
        'id', c.id, 'messageId', s.message_id, 'attempts', c.attempts,
        'ageMs', floor(extract(epoch from now() - c.created_at) * 1000),
        'sentAt', floor(extract(epoch from c.created_at) * 1000),
        'messageIds', array_remove(array[s.internet_message_id, s.server_message_id], null),
        'rawSha256', s.raw_sha256,
        'bcc', (select coalesce(json_agg(person ->> 'address'), '[]') from jsonb_array_elements(m.recipients_bcc) person),
        'isBegun', c.begun_at is not null, 'isSeen', ${copyWasSeen('s')},
        'hostSaves', coalesce(b.saves_sent_copy, false),
        'path', (select f.path from folders f where f.mailbox_id = c.mailbox_id and f.role = 'sent'
                    and f.missing_since is null order by f.path limit 1),
        'isLooked', coalesce(b.sent_looked_at > greatest(c.created_at, c.begun_at), false)) as copy
       from ${rowsById('sent_copies')} c
       join sends s on s.id = c.id join messages m on m.id = s.message_id join mailboxes b on b.id = c.mailbox_id
      order by wanted.position`,
    { ids },
  );
  return found.map((row) => row.copy);
}

/**
 * Notes, right before APPEND goes out, that from here on only Sent tells whether the copy is there, and renews
 * the lease. False when that was lost, or a copy was seen meanwhile: then nothing must go out.
 */
export async function noteAppend(
  db: Db,
  of: { id: SendId; owner: string; leaseMs: number },
): Promise<boolean> {
  const noted = await run(
    db,
    `update sent_copies c set begun_at = now(), lease_until = now() + :leaseMs * interval '1 ms'
       from sends s
      where c.id = :id and c.lease_owner = :owner and c.ready and s.id = c.id and not ${copyWasSeen('s')}`,
    of,
  );
  return noted > 0;
}

/** A copy of somebody else's is there, or will be seen: nothing is to be done any more. */
export async function dropAwaitedCopy(db: Db, of: { id: SendId; owner: string }): Promise<void> {
  await run(db, 'delete from sent_copies where id = :id and lease_owner = :owner and ready', of);
}

/**
 * Gives a copy back, to be seen to in `pauseMs`. `isRefused`: the server answered that it did not take it, so
 * that it is certain not to be there. `isTrouble`: a try that failed.
 */
export async function postponeCopy(
  db: Db,
  of: {
    id: SendId;
    owner: string;
    pauseMs: number;
    reason: string | null;
    isRefused: boolean;
    isTrouble: boolean;
  },
): Promise<void> {
  await run(
    db,
    `update sent_copies set due_at = now() + :pauseMs * interval '1 ms', lease_owner = null, lease_until = null,
            reason = coalesce(:reason, reason), begun_at = case when :isRefused then null else begun_at end,
            attempts = case when :isTrouble then attempts else 0 end
      where id = :id and lease_owner = :owner and ready`,
    of,
  );
}

/** How it ended. */
export type CopyEnd = { outcome: 'appended' | 'not_appended'; reason: string | null; isRefused: boolean };

/** Ends what is to be done about a copy. False: somebody else has it. */
export async function endCopy(db: Db, of: { id: SendId; owner: string } & CopyEnd): Promise<boolean> {
  const ended = await run(
    db,
    `update sent_copies set ready = false, outcome = :outcome, reason = :reason, lease_owner = null, lease_until = null,
            begun_at = case when :isRefused then null else begun_at end
      where id = :id and lease_owner = :owner and ready`,
    of,
  );
  return ended > 0;
}

/** Whoever disconnects wants nothing written into the mailbox any more. */
export async function endAwaitedCopies(
  db: Db,
  of: { mailboxId: MailboxId; subAccountId: string },
): Promise<void> {
  await run(
    db,
    `update sent_copies set ready = false, outcome = 'not_appended', reason = 'disconnected',
            lease_owner = null, lease_until = null
      where mailbox_id = :mailboxId and sub_account_id = :subAccountId and ready
        and not exists (select from connections c where c.mailbox_id = :mailboxId
                          and c.sub_account_id = :subAccountId and c.ended_at is null)`,
    of,
  );
}
