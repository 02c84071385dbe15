import type { ConnectionId, FolderId } from '../lib/id.ts';
import type { ConnectionState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import { idFrom } from '../lib/id.ts';
import { readConnections } from './connections.ts';
import type { PublicConnection } from './connections.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import type { DecisionDay } from './decision-counts.ts';
import { escapeLike } from './like.ts';
import { timestamp } from './timestamp.ts';

/* What the administrators' pages ask of connections, besides what the API shows. */

export type ConnectionFilter = {
  state: ConnectionState | null;
  subAccountId: string | null;
  provider: ProviderName | null;
  /** A part of the address of the mailbox, or of the id, name or login address of the user. */
  search: string | null;
};

/** Where a page of the list ended. */
export type ConnectionPlace = { urgency: number; id: ConnectionId };

/** A connection in the list: with its user's name, and its place. */
export type ListedConnection = PublicConnection & { urgency: number; user_name: string };

/** Connections, those first that need a person, then the newest; `after` is the last one of the page before. */
export async function listConnectionsByUrgency(
  db: Db,
  filter: ConnectionFilter,
  page: { after: ConnectionPlace | null; limit: number },
): Promise<ListedConnection[]> {
  const { after, limit } = page;
  const conditions = [
    ...(filter.state === null ? [] : ['c.state = :state']),
    ...(filter.subAccountId === null ? [] : ['c.sub_account_id = :subAccountId']),
    ...(filter.provider === null ? [] : ['c.provider = :provider']),
    ...(filter.search === null ? [] : [isFound]),
    ...(after === null ? [] : ['(c.urgency, c.id) < (:urgency, :id)']),
  ];
  const places = await rows<{ id: ConnectionId; urgency: number; user_name: string }>(
    db,
    `select c.id, c.urgency, u.name as user_name from (
       select c.id, c.urgency, c.user_id from connections c
        where ${['true', ...conditions].join(' and ')}
        order by c.urgency desc, c.id desc limit :limit) c
       join users u on u.id = c.user_id
      order by c.urgency desc, c.id desc`,
    {
      ...filter,
      pattern: filter.search === null ? null : `%${escapeLike(filter.search.toLowerCase())}%`,
      urgency: after?.urgency ?? null,
      id: after?.id ?? null,
      limit,
    },
  );
  const read = await readConnections(
    db,
    places.map(({ id }) => id),
  );
  const byId = new Map(read.map((connection) => [connection.id, connection]));
  return places.flatMap(({ id, ...more }) => {
    const connection = byId.get(id);
    return connection === undefined ? [] : [{ ...connection, ...more }];
  });
}

/** Each of the two is read once and kept as a hash table. */
const isFound = `(c.mailbox_id in (select id from mailboxes where lower(address) like :pattern)
  or c.user_id in (select id from users where lower(id) like :pattern or lower(email) like :pattern
                      or lower(name) like :pattern))`;

/** How many connections are in each state, those first that need a person. */
export async function countConnectionsByState(
  db: Db,
): Promise<{ state: ConnectionState; urgency: number; connections: number }[]> {
  return rows(
    db,
    `select state, max(urgency) as urgency, count(*)::int as connections from connections
      group by state order by max(urgency) desc, state`,
  );
}

/** A folder of a connection's mailbox, as far as it was read. */
export type ReadFolder = {
  id: FolderId;
  path: string;
  role: string;
  /** Null: never looked into. */
  uid_validity: string | null;
  cursor_uid: string;
  /** When mail was last judged in it; null: none was. */
  looked_at: string | null;
  missing_since: string | null;
};

/** The folders of the mailbox of a connection; none where it has no mailbox. */
export async function readFoldersOf(
  db: Db,
  connectionId: ConnectionId,
  limit: number,
): Promise<ReadFolder[]> {
  return rows<ReadFolder>(
    db,
    `select f.id, f.path, f.role, f.uid_validity, f.cursor_uid, ${timestamp('f.looked_at')} as looked_at,
            ${timestamp('f.missing_since')} as missing_since
       from connections c join folders f on f.mailbox_id = c.mailbox_id and f.left_at is null
      where c.id = :connectionId
      order by f.missing_since is not null, f.looked_at desc nulls last, f.path limit :limit`,
    { connectionId, limit },
  );
}

/** More than so many are not counted while somebody waits for a page. */
export const decisionsCountedMax = 20_000;

/** What was decided for a connection in the last days, the oldest first; `isWhole` false: there is more than was counted. */
export async function countDecisionsByDay(
  db: Db,
  of: { connectionId: ConnectionId; since: number },
): Promise<{ days: DecisionDay[]; isWhole: boolean }> {
  const days = await rows<DecisionDay & { judged: number }>(
    db,
    // By the time in the id, so that the index has all of it.
    `select to_char(to_timestamp(day * 86400) at time zone 'UTC', 'YYYY-MM-DD') as day,
            count(*)::int as judged,
            count(*) filter (where outcome = 'stored')::int as stored,
            count(*) filter (where outcome = 'skipped')::int as skipped,
            count(*) filter (where outcome = 'held')::int as held,
            count(*) filter (where outcome = 'failed')::int as failed
       from (select ('x' || substr(id, 5, 8) || substr(id, 14, 4))::bit(48)::bigint / 86400000 as day, outcome
               from (select id, outcome from decisions
                      where connection_id = :connectionId and id >= :since and replaced_by is null
                      order by id desc limit :most) newest) told
      group by day order by told.day`,
    { connectionId: of.connectionId, since: idFrom('dec', of.since), most: decisionsCountedMax },
  );
  return { days, isWhole: days.reduce((sum, { judged }) => sum + judged, 0) < decisionsCountedMax };
}
