import type { FolderId, MailboxId, MessageId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * Where messages are in their mailboxes now (U2, U3): table sightings. Of a place counts what was numbered
 * as its folder is numbered today; older ones cannot be looked at any more, and say nothing.
 */

/** What a place says of a message that lies there. */
export type PlaceState = 'present' | 'archived' | 'trashed';

/** How many places a message has, of what kind, in one line: see `placesSaid`. */
const currentPlaces = (messageId: string) => `
  select s.is_read, s.state,
         -- A message is where it lies; before it is known what became of one that left, where it lay; then what was found.
         case when s.gone_at is null then 1 when s.gone_due_at is not null then 2 else 3 end as tier
    from sightings s join folders f on f.id = s.folder_id and f.uid_validity = s.uid_validity
   where s.message_id = ${messageId}`;

/**
 * What the places of a message say together, as one row, or as no row where none counts: the most present
 * state wins, and who has read one copy has read the message. What the person wrote counts as read. What the
 * CRM has asked for counts as done until it is given up.
 */
export const placesSaid = (message: string) => `
  select coalesce((select w.is_read from wanted_changes w
                    where w.message_id = ${message}.id and w.is_read is not null limit 1),
                  ${message}.direction = 'outbound' or bool_or(p.is_read)) as is_read,
         (array['present', 'archived', 'trashed', 'gone'])[
           min(array_position(array['present', 'archived', 'trashed', 'gone'], p.state))] as state
    from (select *, min(tier) over () as first from (${currentPlaces(`${message}.id`)}) c) p
   where p.tier = p.first having count(*) > 0`;

/**
 * Brings messages in line with what their places say. Answers the ones that this changed, which the CRM
 * is to hear of. To be called when the places are written.
 */
export async function refreshMessages(db: Db, ids: readonly MessageId[]): Promise<MessageId[]> {
  if (ids.length === 0) return [];
  // Whoever wrote another place of the same message meanwhile has committed when the next statement looks.
  await run(db, 'select from messages where id = any(:ids) order by id for no key update', { ids });
  const changed = await rows<{ id: MessageId }>(
    db,
    `with said as materialized (
       select m.id, n.is_read, n.state
         from unnest(:ids::text[]) asked (id)
        cross join lateral (select id, direction from messages where id = asked.id offset 0) m
        cross join lateral (${placesSaid('m')}) n)
     update messages m set is_read = said.is_read, mailbox_state = said.state, updated_at = now()
       from said
      where m.id = said.id and (m.is_read, m.mailbox_state) is distinct from (said.is_read, said.state)
     returning m.id`,
    { ids: [...new Set(ids)] },
  );
  return changed.map((row) => row.id);
}

/** A folder, as it is numbered now. */
export type Numbered = { id: FolderId; uidValidity: number };

/** A place in a folder that may still be looked at. */
export type TrackedPlace = { uid: number; isRead: boolean; state: string; isGone: boolean };

/** How long a place is looked at again from which a message has gone: servers hide things and show them again. */
const goneDays = 2;

/**
 * The newest places of stored messages in each of some folders, ascending by UID: no more than `most` in one, seen in
 * the last `days` days, which bounds what asking about them costs. A folder without any is missing from the answer.
 */
export async function readTrackedPlaces(
  db: Db,
  folders: readonly Numbered[],
  bound: { most: number; days: number },
): Promise<Map<FolderId, TrackedPlace[]>> {
  const found = await rows<Omit<TrackedPlace, 'uid'> & { uid: string; folder: FolderId }>(
    db,
    `select asked.id as folder, p.* from unnest(:ids::text[], :validities::bigint[]) asked (id, uid_validity)
      cross join lateral (
        select s.uid, bool_or(s.is_read) as "isRead", min(s.state) as state, bool_and(s.gone_at is not null) as "isGone"
          from sightings s
         where s.folder_id = asked.id and s.uid_validity = asked.uid_validity
           and s.seen_at > now() - :days * interval '1 day'
           and (s.gone_at is null or s.gone_at > now() - :goneDays * interval '1 day')
         group by s.uid order by s.uid desc limit :most) p
      order by p.uid`,
    {
      ids: folders.map(({ id }) => id),
      validities: folders.map(({ uidValidity }) => uidValidity),
      ...bound,
      goneDays,
    },
  );
  const places = new Map<FolderId, TrackedPlace[]>();
  for (const { folder, uid, ...place } of found) {
    const of = places.get(folder) ?? [];
    of.push({ ...place, uid: Number(uid) });
    places.set(folder, of);
  }
  return places;
}

/** The lowest UID at which a stored message lies in a folder, as far as is known; null: none does. */
export async function findLowestPlace(db: Db, folder: Numbered): Promise<number | null> {
  const [found] = await rows<{ uid: string }>(
    db,
    `select uid from sightings where folder_id = :id and uid_validity = :uidValidity and gone_at is null
      order by uid limit 1`,
    folder,
  );
  return found === undefined ? null : Number(found.uid);
}

/** How many stored messages lie in a folder, as far as is known. */
export async function countPlaces(db: Db, folder: Numbered): Promise<number> {
  const [found] = await rows<{ count: number }>(
    db,
    `select count(distinct uid)::int as count from sightings
      where folder_id = :id and uid_validity = :uidValidity and gone_at is null`,
    folder,
  );
  return found?.count ?? 0;
}

/** Those of some mailboxes' folders in which stored messages lie. */
export async function findFoldersWithPlaces(
  db: Db,
  mailboxIds: readonly MailboxId[],
): Promise<Set<FolderId>> {
  const found = await rows<{ id: FolderId }>(
    db,
    `select f.id from folders f
      where f.mailbox_id = any(:mailboxIds) and exists (
        select from sightings s where s.folder_id = f.id and s.uid_validity = f.uid_validity and s.gone_at is null)`,
    { mailboxIds: [...mailboxIds] },
  );
  return new Set(found.map((row) => row.id));
}

/** Those of some UIDs at which stored messages lie, as far as is known. */
export async function findPlaces(db: Db, folder: Numbered, uids: readonly number[]): Promise<number[]> {
  if (uids.length === 0) return [];
  const found = await rows<{ uid: string }>(
    db,
    `select distinct p.uid from unnest(:uids::bigint[]) asked (uid)
      cross join lateral (
        select s.uid from sightings s
         where s.folder_id = :id and s.uid_validity = :uidValidity and s.uid = asked.uid and s.gone_at is null offset 0) p
      order by p.uid`,
    { ...folder, uids: [...uids] },
  );
  return found.map((row) => Number(row.uid));
}

/** What was seen in a folder of the stored messages there. */
export type PlaceNews = {
  there: readonly { uid: number; is_read: boolean; state: PlaceState }[];
  gone: readonly number[];
  /** When to say what became of those that are gone, ms since the epoch. */
  goneAt: number;
  goneDueAt: number;
};

/** Writes down what was seen of places; what has not changed is left alone. Answers the messages concerned. */
export async function writePlaces(db: Db, folder: Numbered, news: PlaceNews): Promise<MessageId[]> {
  const { there, gone } = news;
  const found = await rows<{ message_id: MessageId }>(
    db,
    `with there as (
       select * from json_to_recordset(:there::json) as t(uid bigint, is_read boolean, state text)
     ), seen as (
       update sightings s set is_read = t.is_read, state = t.state, gone_at = null, gone_due_at = null
         from there t
        where s.folder_id = :id and s.uid_validity = :uidValidity and s.uid = t.uid
          and (s.is_read, s.state, s.gone_at is null) is distinct from (t.is_read, t.state, true)
       returning s.message_id
     ), gone as (
       update sightings s set gone_at = :goneAt, gone_due_at = :goneDueAt
         from unnest(:gone::bigint[]) g (uid)
        where s.folder_id = :id and s.uid_validity = :uidValidity and s.uid = g.uid and s.gone_at is null
       returning s.message_id
     )
     select message_id from seen union select message_id from gone`,
    {
      ...folder,
      there: jsonText(there),
      gone: [...gone],
      goneAt: new Date(news.goneAt),
      goneDueAt: new Date(news.goneDueAt),
    },
  );
  return found.map((row) => row.message_id);
}

/** A place from which a message has gone, and of which nobody has said yet what that means. */
export type VanishedPlace = {
  messageId: MessageId;
  /** Bare; null: the message has none by which it could be searched for. */
  internetMessageId: string | null;
  /** It lies in another place of this mailbox, so that there is nothing to search for. */
  isElsewhere: boolean;
};

/**
 * Messages that have left a place of the mailbox, of which it is due to say what became of them; only
 * those that left before a look at the whole mailbox began. The longest due first.
 */
export async function findVanished(
  db: Db,
  mailboxId: MailboxId,
  when: { now: number; lookBeganAt: number; limit: number },
): Promise<VanishedPlace[]> {
  return rows<VanishedPlace>(
    db,
    `select m.id as "messageId", m.internet_message_id as "internetMessageId",
            exists (select from sightings o join folders f on f.id = o.folder_id and f.uid_validity = o.uid_validity
                     where o.message_id = m.id and o.mailbox_id = :mailboxId and o.gone_at is null) as "isElsewhere"
       from (select message_id, min(gone_due_at) as due from sightings
              where mailbox_id = :mailboxId and gone_due_at <= :now and gone_at < :lookBeganAt
              group by message_id order by due limit :limit) due
       join messages m on m.id = due.message_id
      order by due.due, m.id`,
    { mailboxId, now: new Date(when.now), lookBeganAt: new Date(when.lookBeganAt), limit: when.limit },
  );
}

/** Notes what became of messages that have left all their places in a mailbox: the newest answer is that of each of these. */
export async function settleVanished(
  db: Db,
  mailboxId: MailboxId,
  settled: readonly { message_id: MessageId; state: PlaceState | 'gone' }[],
): Promise<void> {
  await run(
    db,
    `update sightings s set state = t.state, gone_due_at = null
       from json_to_recordset(:settled::json) as t(message_id text, state text)
      where s.message_id = t.message_id and s.mailbox_id = :mailboxId and s.gone_at is not null`,
    { mailboxId, settled: jsonText(settled) },
  );
}
