import { newId } from '../lib/id.ts';
import type { ConnectionId, ErrandId, FolderId, MailboxId, MessageId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import type { NewEvent } from './events.ts';
import { timestamp } from './timestamp.ts';

/** What is asked for, by kind. Times are ms since the epoch. */
export type ErrandRequests = {
  /** C8, S16: older mail, of a window or of one contact. */
  backfill: { since: number; until: number; contactId: string | null; dryRun: boolean };
  /** T2: the mailbox is compared with the decisions. `scheduled`: nobody asked. */
  audit: { since: number; heal: boolean; scheduled: boolean };
  /** T3: places that are to be judged once more, of one folder; `byHand`: to be stored. */
  judge_again: { folderId: FolderId; uidValidity: number; uids: number[]; byHand: boolean };
  /** S13: what the message answers, by its Message-IDs, the nearest first. */
  thread_head: { messageId: MessageId; messageIds: string[] };
  /** C5: what came since a connection was paused. */
  resume: { since: number };
};

export type ErrandKind = keyof ErrandRequests;

/** What a walk through a mailbox has come to; counts are of messages. */
export type Progress = {
  /** Everything that was received before is done; ms since the epoch. */
  position?: number;
  seen?: number;
  stored?: number;
  /** By reason code. */
  skipped?: Record<string, number>;
  failed?: number;
  /** A folder could not be read, and was left out. */
  leftOut?: boolean;
  /** Downloaded by it. */
  bytes?: number;
  /** Of an audit: that have a decision, that had none, that got one. */
  decided?: number;
  missing?: number;
  healed?: number;
};

/** An errand as its runner needs it. */
export type Errand = {
  [Kind in ErrandKind]: {
    id: ErrandId;
    kind: Kind;
    subAccountId: string;
    connectionId: ConnectionId;
    mailboxId: MailboxId;
    request: ErrandRequests[Kind];
    progress: Progress;
    attempts: number;
    /** The connection has ended, or is paused. */
    connection: 'active' | 'paused' | 'ended';
    /** What came while it was paused is not judged yet. */
    resumes: boolean;
    /** What the errand waited for until now. */
    waitedFor: string | null;
    /** When the connection began, ms since the epoch. */
    startedAt: number;
  };
}[ErrandKind];

type ErrandState = 'queued' | 'running' | 'waiting' | 'finished' | 'failed' | 'cancelled';

/** A backfill as the API and the events show it (C8). */
export type PublicBackfill = Ended & {
  since: string;
  until: string;
  contact_id: string | null;
  dry_run: boolean;
  seen: number;
  stored: number;
  skipped: Record<string, number>;
  failed: number;
  bytes: number;
  /** How much of the window is done, 0 to 1. */
  share: number;
};

/** An audit as the API and the events show it (T2). */
export type PublicAudit = Ended & {
  since: string;
  heal: boolean;
  messages: number;
  decided: number;
  missing: number;
  healed: number;
  /** Of its messages, how many have a decision now, 0 to 1; null while there are none. */
  covered: number | null;
};

type Ended = {
  id: ErrandId;
  connection_id: ConnectionId;
  sub_account_id: string;
  state: ErrandState;
  /** What it waits for, or why it failed; a word for machines. */
  reason: string | null;
  created_at: string;
  ended_at: string | null;
};

/** An errand to be left. */
export type NewErrand = {
  [Kind in ErrandKind]: {
    id: ErrandId;
    kind: Kind;
    sub_account_id: string;
    connection_id: ConnectionId;
    mailbox_id: MailboxId;
    request: ErrandRequests[Kind];
  };
}[ErrandKind];

/** Leaves errands to be done, in the caller's transaction. */
export async function addErrands(db: Db, errands: readonly NewErrand[]): Promise<void> {
  if (errands.length === 0) return;
  await run(
    db,
    `insert into errands (id, kind, sub_account_id, connection_id, mailbox_id, request)
     select id, kind, sub_account_id, connection_id, mailbox_id, request
       from json_to_recordset(:errands::json) as t(
            id text, kind text, sub_account_id text, connection_id text, mailbox_id text, request jsonb)`,
    { errands: jsonText(errands) },
  );
}

/**
 * T2: leaves an audit, with healing, of every live connection whose last one is over, and was asked for more than
 * `everyHours` ago, over the mail of the last `windowDays`; at most `limit`. Two nodes at once leave one. Answers how many.
 */
export async function scheduleAudits(
  db: Db,
  of: { everyHours: number; windowDays: number; limit: number; now: number },
): Promise<number> {
  return db.transaction(async (tx) => {
    const due = await rows<{ id: ConnectionId; sub: string; mailboxId: MailboxId }>(
      tx,
      `select c.id, c.sub_account_id as sub, c.mailbox_id as "mailboxId" from connections c
        where c.state = 'live' and c.started_at < now() - :everyHours * interval '1 hour'
          and not exists (select from errands e where e.connection_id = c.id and e.kind = 'audit'
                             and (e.ready or e.created_at > now() - :everyHours * interval '1 hour'))
        limit :limit for no key update of c skip locked`,
      of,
    );
    const request = { since: of.now - of.windowDays * 24 * 3_600_000, heal: true, scheduled: true };
    await addErrands(
      tx,
      due.map(({ id, sub, mailboxId }) => ({
        id: newId('aud'),
        kind: 'audit',
        sub_account_id: sub,
        connection_id: id,
        mailbox_id: mailboxId,
        request,
      })),
    );
    return due.length;
  });
}

/** Forgets backfills and audits that ended so long ago, and what was downloaded on days that are over. */
export async function forgetErrands(db: Db, keptDays: number): Promise<void> {
  await run(db, `delete from errands where ended_at < now() - :keptDays * interval '1 day'`, { keptDays });
  await run(db, `delete from downloads where day < current_date - 2`);
}

/** One that was claimed (see work.ts), which counts as running from now on; null when it was cancelled meanwhile. */
export async function beginErrand(db: Db, of: { id: string; owner: string }): Promise<Errand | null> {
  const [row] = await rows<Errand>(
    db,
    `update errands e set state = 'running', state_reason = null
       from connections c, errands old
      where e.id = :id and e.lease_owner = :owner and e.ready and c.id = e.connection_id and old.id = e.id
     returning e.id, e.kind, e.sub_account_id as "subAccountId", e.connection_id as "connectionId",
               e.mailbox_id as "mailboxId", e.request, e.progress, e.attempts, old.state_reason as "waitedFor",
               case when c.ended_at is not null then 'ended' when c.state = 'paused' then 'paused' else 'active' end as connection,
               exists (select from errands r where r.connection_id = c.id and r.kind = 'resume' and r.ready) as resumes,
               floor(extract(epoch from c.started_at) * 1000)::float8 as "startedAt"`,
    of,
  );
  return row ?? null;
}

/** Has the lease of an errand last on; nothing when it was cancelled, or somebody else does it. */
export async function keepErrand(
  db: Db,
  of: { id: ErrandId; owner: string; leaseMs: number },
): Promise<void> {
  await run(
    db,
    `update errands set lease_until = now() + :leaseMs * interval '1 ms'
      where id = :id and lease_owner = :owner and ready`,
    of,
  );
}

/**
 * Notes how far an errand has come, and what it downloaded on `day` (YYYY-MM-DD) to get there; its lease
 * lasts on. False when it was cancelled, somebody else does it, or its connection is away: what it came to since
 * is not noted then.
 */
export async function saveErrand(
  db: Db,
  of: {
    id: ErrandId;
    owner: string;
    leaseMs: number;
    progress: Progress;
    mailboxId: MailboxId;
    day: string;
    bytes: number;
  },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const kept = await run(
      tx,
      `update errands set progress = :progress::jsonb, attempts = 0, lease_until = now() + :leaseMs * interval '1 ms'
        where id = :id and lease_owner = :owner and ready
          and exists (select from connections c
                       where c.id = errands.connection_id and c.ended_at is null and c.state <> 'paused')`,
      { ...of, progress: jsonText(of.progress) },
    );
    await countDownload(tx, of);
    return kept > 0;
  });
}

/** Counts what was downloaded from a mailbox on a day (YYYY-MM-DD, UTC) besides listening to it (C8). */
export async function countDownload(
  db: Db,
  of: { mailboxId: MailboxId; day: string; bytes: number },
): Promise<void> {
  if (of.bytes === 0) return;
  await run(
    db,
    `insert into downloads as d (mailbox_id, day, bytes) values (:mailboxId, :day::date, :bytes)
     on conflict (mailbox_id, day) do update set bytes = d.bytes + excluded.bytes`,
    of,
  );
}

/** What errands have downloaded from a mailbox on a day (YYYY-MM-DD, UTC). */
export async function readDownloads(db: Db, of: { mailboxId: MailboxId; day: string }): Promise<number> {
  const [row] = await rows<{ bytes: string }>(
    db,
    'select bytes from downloads where mailbox_id = :mailboxId and day = :day::date',
    of,
  );
  return Number(row?.bytes ?? 0);
}

/**
 * Gives an errand back, to be gone on with in `pauseMs`. `reason`: what it waits for; null: for its turn.
 * `isTrouble`: its try failed, which counts.
 */
export async function postponeErrand(
  db: Db,
  of: { id: ErrandId; owner: string; pauseMs: number; reason: string | null; isTrouble: boolean },
): Promise<void> {
  await run(
    db,
    `update errands set state = case when :reason::text is null then 'running' else 'waiting' end, state_reason = :reason,
            due_at = now() + :pauseMs * interval '1 ms', lease_owner = null, lease_until = null,
            attempts = case when :isTrouble then attempts else 0 end
      where id = :id and lease_owner = :owner and ready`,
    of,
  );
}

/** Ends an errand, with the event that tells of it, if it is one that the CRM asked for. False: somebody else did. */
export async function endErrand(
  db: Db,
  of: {
    id: ErrandId;
    state: 'finished' | 'failed' | 'cancelled';
    reason: string | null;
    owner: string | null;
  },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [ended] = await rows<{ kind: ErrandKind; sub: string; quiet: boolean }>(
      tx,
      `update errands set state = :state, ended_at = now(), ready = false,
              state_reason = coalesce(:reason, case when (progress ->> 'leftOut')::boolean then 'folder_left_out' end),
              lease_owner = null, lease_until = null
        where id = :id and ready and (:owner::text is null or lease_owner = :owner)
       returning kind, sub_account_id as sub,
                 coalesce((request ->> 'scheduled')::boolean and coalesce((progress ->> 'missing')::int, 0) = 0, false) as quiet`,
      of,
    );
    if (ended === undefined) return false;
    if (ended.kind === 'backfill' || ended.kind === 'audit') {
      const which = { subAccountId: ended.sub, id: of.id };
      const data = ended.kind === 'backfill' ? await findBackfill(tx, which) : await findAudit(tx, which);
      const event: NewEvent = {
        type: ended.kind === 'backfill' ? 'backfill.finished' : 'audit.finished',
        sub_account_id: ended.sub,
        order_keys: [of.id],
        data,
      };
      if (!ended.quiet) await recordEvents(tx, [event]);
      return true;
    }
    // Its decisions tell what came of it.
    await run(tx, 'delete from errands where id = :id', of);
    return true;
  });
}

const common = `
  'id', e.id, 'connection_id', e.connection_id, 'sub_account_id', e.sub_account_id, 'state', e.state,
  'reason', e.state_reason, 'created_at', ${timestamp('e.created_at')}, 'ended_at', ${timestamp('e.ended_at')},
  'since', ${timestamp(`to_timestamp((e.request ->> 'since')::float8 / 1000)`)}`;

const count = (name: string) => `coalesce((e.progress ->> '${name}')::bigint, 0)`;

/** A time of a request, or of the progress, in ms. */
const ms = (value: string) => `(e.${value})::float8`;

const backfillObject = `json_build_object(${common},
  'until', ${timestamp(`to_timestamp((e.request ->> 'until')::float8 / 1000)`)},
  'contact_id', e.request ->> 'contactId', 'dry_run', (e.request ->> 'dryRun')::boolean,
  'seen', ${count('seen')}, 'stored', ${count('stored')}, 'skipped', coalesce(e.progress -> 'skipped', '{}'),
  'failed', ${count('failed')}, 'bytes', ${count('bytes')},
  'share', case when e.state = 'finished' then 1 else least(1, greatest(0,
     (coalesce(${ms(`progress ->> 'position'`)}, ${ms(`request ->> 'since'`)}) - ${ms(`request ->> 'since'`)})
     / greatest(1, ${ms(`request ->> 'until'`)} - ${ms(`request ->> 'since'`)}))) end)`;

const auditObject = `json_build_object(${common},
  'heal', (e.request ->> 'heal')::boolean, 'messages', ${count('seen')}, 'decided', ${count('decided')},
  'missing', ${count('missing')}, 'healed', ${count('healed')},
  'covered', case when ${count('seen')} > 0
                  then (${count('decided')} + ${count('healed')})::float8 / ${count('seen')} end)`;

type Which = { subAccountId: string; id: ErrandId };

/** A backfill of a sub-account; null when there is none of that id. */
export async function findBackfill(db: Db, which: Which): Promise<PublicBackfill | null> {
  return findShown<PublicBackfill>(db, 'backfill', backfillObject, which);
}

/** Backfills of a connection, the newest first. */
export async function listBackfills(
  db: Db,
  connectionId: ConnectionId,
  limit: number,
): Promise<PublicBackfill[]> {
  const found = await rows<{ shown: PublicBackfill }>(
    db,
    `select ${backfillObject} as shown from errands e where e.connection_id = :connectionId and e.kind = 'backfill'
      order by e.created_at desc, e.id desc limit :limit`,
    { connectionId, limit },
  );
  return found.map((row) => row.shown);
}

/** An audit of a sub-account; null when there is none of that id. */
export async function findAudit(db: Db, which: Which): Promise<PublicAudit | null> {
  return findShown<PublicAudit>(db, 'audit', auditObject, which);
}

/** The audit of a connection that was asked for last; null: none was. */
export async function findLastAudit(db: Db, connectionId: ConnectionId): Promise<PublicAudit | null> {
  const [row] = await rows<{ shown: PublicAudit }>(
    db,
    `select ${auditObject} as shown from errands e
      where e.connection_id = :connectionId and e.kind = 'audit' order by e.created_at desc limit 1`,
    { connectionId },
  );
  return row?.shown ?? null;
}

async function findShown<T>(db: Db, kind: ErrandKind, object: string, which: Which): Promise<T | null> {
  const [row] = await rows<{ shown: T }>(
    db,
    `select ${object} as shown from errands e where e.id = :id and e.kind = :kind and e.sub_account_id = :subAccountId`,
    { ...which, kind },
  );
  return row?.shown ?? null;
}
