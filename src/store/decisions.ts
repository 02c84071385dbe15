import { idFrom } from '../lib/id.ts';
import type {
  ConnectionId,
  DecisionId,
  ErrandId,
  EventId,
  FolderId,
  MailboxId,
  MessageId,
  SpoolId,
  WebhookId,
} from '../lib/id.ts';
import type { Saying } from '../lib/said.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** A rule that was asked, and what it said (filing/because.ts); null: it had nothing to say. */
export type DecisionStep = { rule: string; because: Saying | null };

/** What the rules said of one sighting for one sub-account (T1). */
export type Decision = {
  id: DecisionId;
  sub_account_id: string;
  connection_id: ConnectionId | null;
  mailbox_id: MailboxId | null;
  /** Where it was seen; null for what the CRM sent. The folder's name is the mailbox owner's own. */
  place: { folder_id: FolderId; folder: string | null; uid_validity: number; uid: number } | null;
  outcome: 'stored' | 'skipped' | 'held' | 'failed';
  /** Identifier of RULES.md, from the closed list of the OpenAPI document. */
  reason: string;
  /** The rules that were asked, in order; the last one answered. None holds content of the mail. */
  steps: DecisionStep[];
  /** The message that it is part of; null for one that was left out. */
  message_id: MessageId | null;
  /** What came to a logging address; null: it was seen in a mailbox, or sent from the CRM. */
  intake_id: SpoolId | null;
  /** What had it judged again: a backfill, an audit, the CRM; null: it was new. */
  errand_id: ErrandId | null;
  /** The decision that holds now, where it was judged again and came out otherwise. */
  replaced_by: DecisionId | null;
  /** When that message was erased; null: it was not. */
  erased_at: string | null;
  decided_at: string;
};

/** SQL: a decision `d`, with its folder `f` where it has one, as Decision. */
export const decisionObject = `json_build_object(
  'id', d.id, 'sub_account_id', d.sub_account_id, 'connection_id', d.connection_id, 'mailbox_id', d.mailbox_id,
  'place', case when d.folder_id is not null then json_build_object(
     'folder_id', d.folder_id, 'folder', f.path, 'uid_validity', d.uid_validity, 'uid', d.uid) end,
  'outcome', d.outcome, 'reason', d.reason, 'steps', d.reasons, 'message_id', d.message_id,
  'intake_id', d.intake_id, 'errand_id', d.errand_id, 'replaced_by', d.replaced_by,
  'erased_at', (select ${timestamp('t.erased_at')} from tombstones t where t.message_id = d.message_id limit 1),
  'decided_at', ${timestamp('d.decided_at')})`;

export type DecisionFilter = {
  /** Null: of all. */
  subAccountId: string | null;
  /** Keyed hashes in hexadecimal (filing/hashes.ts), or null. */
  idHash: string | null;
  addressHash: string | null;
  connectionId: string | null;
  outcome: string | null;
  since: string | null;
};

/** Decisions, the newest first; `after` is the last one of the page before. */
export async function listDecisions(
  db: Db,
  filter: DecisionFilter,
  page: { after: string | null; limit: number },
): Promise<Decision[]> {
  const conditions = [
    'd.replaced_by is null',
    ...(filter.subAccountId === null ? [] : ['d.sub_account_id = :subAccountId']),
    ...(filter.connectionId === null ? [] : ['d.connection_id = :connectionId']),
    ...(filter.outcome === null ? [] : ['d.outcome = :outcome']),
    // Written out, for the index that these have.
    ...(filter.outcome === null || filter.outcome === 'stored' ? [] : [`d.outcome <> 'stored'`]),
    // What was left out lies apart, and has none of these.
    ...(filter.outcome === null || filter.outcome === 'skipped' ? [] : ['d.lasting']),
    // By the id as well, which begins with the time: all that is older would be gone through for what is missing of a page.
    ...(filter.since === null ? [] : ['d.decided_at >= :since::timestamptz', 'd.id >= :sinceId']),
    ...(page.after === null ? [] : ['d.id < :after']),
  ];
  const found = await rows<{ decision: Decision }>(
    db,
    `select ${decisionObject} as decision from ${asked(filter)} d left join folders f on f.id = d.folder_id
      where ${['true', ...conditions].join(' and ')}
      order by d.id desc limit :limit`,
    {
      ...filter,
      sinceId: idFrom(
        'dec',
        Math.max(0, Date.parse(filter.since ?? '1970-01-01T00:00:00Z') - clocksApartMsMax),
      ),
      ...page,
    },
  );
  return found.map((row) => row.decision);
}

/** An id has the time of the node that made it, and its decision that of the database, when its transaction began. */
const clocksApartMsMax = 3_600_000;

/** Those of a Message-ID or address by themselves: for their order alone, all decisions would be gone through. */
function asked({ idHash, addressHash }: DecisionFilter): string {
  const conditions = [
    ...(idHash === null ? [] : [`id_hash = decode(:idHash, 'hex')`]),
    ...(addressHash === null ? [] : [`address_hashes @> array[decode(:addressHash, 'hex')]`]),
  ];
  return conditions.length === 0
    ? 'decisions'
    : `(select * from decisions where ${conditions.join(' and ')} offset 0)`;
}

/** Mail that was left out for want of a contact, in a mailbox that is connected. */
export type EarlierMail = { connection_id: ConnectionId; messages: number };

/** How many are counted; who sees more than that knows enough. */
const earlierMax = 1_000;

/**
 * S16: how much mail with addresses on the other side was judged and left out, as nobody knew them, for each
 * connection that is not ended; the most first. `addressHashes` are in hexadecimal (filing/hashes.ts).
 */
export async function countEarlierMail(
  db: Db,
  of: { subAccountId: string; addressHashes: readonly string[] },
): Promise<EarlierMail[]> {
  if (of.addressHashes.length === 0) return [];
  return rows<EarlierMail>(
    db,
    `select f.connection_id, count(*)::int as messages
       from (select d.connection_id from decisions d join connections c on c.id = d.connection_id and c.ended_at is null
              where d.address_hashes && array(select decode(h, 'hex') from unnest(:addressHashes::text[]) h)
                and d.sub_account_id = :subAccountId and d.outcome = 'skipped' and d.reason = 'no_match'
                and d.replaced_by is null
              limit :earlierMax) f
      group by f.connection_id order by 2 desc, 1`,
    { ...of, earlierMax },
  );
}

/** The decision that holds for a place and a connection. */
export type Decided = { id: DecisionId; outcome: Decision['outcome']; reason: string };

/** What holds for places of a folder, for one connection, by UID. */
export async function readDecided(
  db: Db,
  of: { connectionId: ConnectionId; folderId: FolderId; uidValidity: number; uids: readonly number[] },
): Promise<Map<number, Decided>> {
  const found = await rows<Decided & { uid: string }>(
    db,
    `select d.id, d.outcome, d.reason, d.uid
       from unnest(:uids::bigint[]) as asked (uid)
       cross join lateral (
         select * from decisions where folder_id = :folderId and uid_validity = :uidValidity and uid = asked.uid offset 0) d
      where d.connection_id = :connectionId and d.replaced_by is null`,
    of,
  );
  return new Map(found.map(({ uid, ...decided }) => [Number(uid), decided]));
}

/** How many messages came to what. */
export type Outcomes = { outcome: Decision['outcome']; reason: string; messages: number }[];

/** What holds of places, for one connection. */
export async function countDecided(
  db: Db,
  of: {
    connectionId: ConnectionId;
    places: readonly { folderId: FolderId; uidValidity: number; uid: number }[];
  },
): Promise<Outcomes> {
  return rows(
    db,
    `select d.outcome, d.reason, count(*)::int as messages
       from json_to_recordset(:places::json) as asked ("folderId" text, "uidValidity" bigint, uid bigint)
       cross join lateral (
         select * from decisions where folder_id = asked."folderId" and uid_validity = asked."uidValidity"
            and uid = asked.uid offset 0) d
      where d.connection_id = :connectionId and d.replaced_by is null
      group by d.outcome, d.reason`,
    { ...of, places: jsonText(of.places) },
  );
}

/** UIDs of a folder that have no decision for a connection, neither by their place nor by a Message-ID that it judged (T2). */
export async function findUndecided(
  db: Db,
  of: {
    connectionId: ConnectionId;
    folderId: FolderId;
    uidValidity: number;
    /** With the keyed hashes of their ids, in hexadecimal. */
    asked: readonly { uid: number; idHash: string }[];
    /** Decisions of this errand do not count; null: all do. */
    besides: ErrandId | null;
  },
): Promise<Set<number>> {
  const found = await rows<{ uid: string }>(
    db,
    `select asked.uid from json_to_recordset(:asked::json) as asked (uid bigint, "idHash" text)
      where not exists (
              select from (select connection_id, errand_id from decisions where folder_id = :folderId
                             and uid_validity = :uidValidity and uid = asked.uid offset 0) d
               where d.connection_id = :connectionId and (d.errand_id = :besides) is not true)
        and not exists (
              select from (select connection_id, errand_id from decisions where id_hash = decode(asked."idHash", 'hex') offset 0) d
               where d.connection_id = :connectionId and (d.errand_id = :besides) is not true)`,
    { ...of, asked: jsonText(of.asked) },
  );
  return new Set(found.map(({ uid }) => Number(uid)));
}

/** Notes that decisions were replaced by later ones, and that others of failed mail came out the same. */
export async function replaceDecisions(
  db: Db,
  of: { replaced: readonly { id: string; by: string }[]; failedAgain: readonly string[] },
): Promise<void> {
  if (of.replaced.length > 0) {
    await run(
      db,
      `update decisions d set replaced_by = t.by
         from json_to_recordset(:replaced::json) as t(id text, by text) where d.id = t.id`,
      { replaced: jsonText(of.replaced) },
    );
  }
  if (of.failedAgain.length > 0) {
    await run(db, 'update decisions set attempts = attempts + 1 where id = any(:ids)', {
      ids: of.failedAgain,
    });
  }
}

/** A decision with what the rules looked at, for replay (T4). */
export type DecisionWithFacts = Pick<
  Decision,
  'id' | 'sub_account_id' | 'outcome' | 'reason' | 'message_id' | 'decided_at'
> & {
  /** Null: of what the CRM sent, or no longer kept. As the version of then wrote them. */
  facts: object | null;
};

/** Decisions of all sub-accounts after the id `after`, the oldest first: of a message, or of all. */
export async function listDecisionsWithFacts(
  db: Db,
  messageId: MessageId | null,
  page: { after: string; limit: number },
): Promise<DecisionWithFacts[]> {
  return rows<DecisionWithFacts>(
    db,
    `select d.id, d.sub_account_id, d.outcome, d.reason, d.message_id, d.facts,
            ${timestamp('d.decided_at')} as decided_at
       from decisions d where ${messageId === null ? '' : 'd.message_id = :messageId and'} d.id > :after
      order by d.id limit :limit`,
    { messageId, ...page },
  );
}

/** What the rules looked at for these decisions; null where that is not kept. */
export async function readFacts(db: Db, ids: readonly DecisionId[]): Promise<Map<DecisionId, object | null>> {
  const found = await rows<{ id: DecisionId; facts: object | null }>(
    db,
    'select id, facts from decisions where id = any(:ids)',
    { ids },
  );
  return new Map(found.map(({ id, facts }) => [id, facts]));
}

/** How many decisions are looked at in one transaction. */
const forgottenAtOnce = 5_000;

/**
 * T4: removes the facts of decisions from before a time, in portions, the oldest first, until there are no more
 * or `stop` says so. The decisions themselves stay, with rule and reason. `after` is the last one that an earlier call
 * came to; answers the last one of this call.
 */
export async function forgetFacts(
  db: Db,
  of: { before: number; after: string },
  stop: AbortSignal,
): Promise<string> {
  let { after } = of;
  while (!stop.aborted) {
    const [seen] = await rows<{ last: string | null }>(
      db,
      `with old as materialized (
         select id from decisions where id > :after and id < :before order by id limit :forgottenAtOnce
       ), forgotten as (
         update decisions set facts = null
          where id = any(array(select id from old)) and facts is not null
       )
       select max(id) as last from old`,
      { after, before: idFrom('dec', of.before), forgottenAtOnce },
    );
    if (seen?.last == null) break;
    after = seen.last;
  }
  return after;
}

/** The decisions whose place these took, and those before them, the oldest first. */
export async function readReplaced(db: Db, ids: readonly DecisionId[]): Promise<Decision[]> {
  if (ids.length === 0) return [];
  const found = await rows<{ decision: Decision }>(
    db,
    `with recursive earlier as (
       select id from decisions where replaced_by = any(:ids)
       union select d.id from earlier join decisions d on d.replaced_by = earlier.id
     )
     select ${decisionObject} as decision
       from earlier join decisions d on d.id = earlier.id left join folders f on f.id = d.folder_id order by d.id`,
    { ids },
  );
  return found.map((row) => row.decision);
}

/** All that is stored about how a message came to be where it is. */
export type MessageHistory = {
  decisions: Decision[];
  sightings: {
    mailbox: string;
    folder: string;
    uid_validity: number;
    uid: number;
    seen_at: string;
    gone_at: string | null;
  }[];
  /** The names that it is known by. */
  keys: string[];
  events: {
    id: EventId;
    type: string;
    /** Null until it is published. */
    sequence: number | null;
    created_at: string;
    deliveries: {
      webhook_id: WebhookId;
      state: string;
      attempts: number;
      last_status: number | null;
      last_error: string | null;
      delivered_at: string | null;
    }[];
  }[];
};

/** The history of a message; the caller has made sure that it may be seen. */
export async function readHistory(db: Db, messageId: MessageId): Promise<MessageHistory> {
  const [row] = await rows<MessageHistory>(
    db,
    `with recursive mine as (
       select id from decisions where message_id = :messageId
       union select d.id from mine join decisions d on d.replaced_by = mine.id
     )
     select
      (select coalesce(json_agg(${decisionObject} order by d.id), '[]')
         from mine join decisions d on d.id = mine.id left join folders f on f.id = d.folder_id) as decisions,
      (select coalesce(json_agg(json_build_object(
          'mailbox', m.address, 'folder', f.path, 'uid_validity', s.uid_validity, 'uid', s.uid,
          'seen_at', ${timestamp('s.seen_at')}, 'gone_at', ${timestamp('s.gone_at')}) order by s.seen_at, s.uid), '[]')
         from sightings s join folders f on f.id = s.folder_id join mailboxes m on m.id = s.mailbox_id
        where s.message_id = :messageId) as sightings,
      (select coalesce(json_agg(k.key order by k.key), '[]') from message_keys k where k.message_id = :messageId) as keys,
      (select coalesce(json_agg(json_build_object(
          'id', e.id, 'type', e.type, 'sequence', e.sequence, 'created_at', ${timestamp('e.created_at')},
          'deliveries', (select coalesce(json_agg(json_build_object(
              'webhook_id', v.webhook_id, 'state', v.state, 'attempts', v.attempts, 'last_status', v.last_status,
              'last_error', v.last_error, 'delivered_at', ${timestamp('v.delivered_at')}) order by v.seq), '[]')
            from deliveries v where v.event_id = e.id)) order by e.ord), '[]')
         from events e
        where e.object_id = :messageId or e.object_id = (select id from sends where message_id = :messageId)) as events`,
    { messageId },
  );
  if (row === undefined) throw new Error('a select without a from clause gave no row');
  return row;
}
