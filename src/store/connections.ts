import { remedyOf } from '../provider/connection-states.ts';
import type { ConnectionState, MailboxState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { ConnectionId, MailboxId } from '../lib/id.ts';
import { logStates } from './connection-log.ts';
import { jsonText, lockFor, rows, run } from './database.ts';
import type { Db, WhenLocked } from './database.ts';
import { recordEvents } from './events.ts';
import type { NewEvent } from './events.ts';
import { timestamp } from './timestamp.ts';

/** A connection, as the API and the events show it (C5). */
export type PublicConnection = {
  id: ConnectionId;
  sub_account_id: string;
  user_id: string;
  provider: ProviderName;
  /** Address of the mailbox, from the provider's identity token; null while there is none yet. */
  email: string | null;
  state: ConnectionState;
  /** Cause of the state, where it has one; a word for machines. */
  reason: string | null;
  /** What a person can do, in a sentence. */
  remedy: string;
  state_since: string;
  next_try_at: string | null;
  /** Up to this time every message of the mailbox has a decision; null before the first look. */
  caught_up_to: string | null;
  /** Messages that are known to be there and are not judged yet. */
  backlog: number;
  started_at: string;
  ended_at: string | null;
};

type ConnectionRow = Omit<PublicConnection, 'remedy'>;

const connectionObject = `json_build_object(
  'id', c.id, 'sub_account_id', c.sub_account_id, 'user_id', c.user_id, 'provider', c.provider,
  'email', b.address, 'state', c.state, 'reason', c.state_reason, 'state_since', ${timestamp('c.state_since')},
  'next_try_at', ${timestamp('c.next_try_at')},
  'caught_up_to', case when c.ended_at is null then ${timestamp('b.caught_up_to')} end,
  'backlog', case when c.ended_at is null then coalesce(b.backlog, 0) else 0 end,
  'started_at', ${timestamp('c.started_at')}, 'ended_at', ${timestamp('c.ended_at')})`;

const fromConnections = 'from connections c left join mailboxes b on b.id = c.mailbox_id';

/** Connections by id, in no order, whatever their sub-account. */
export async function readConnections(db: Db, ids: readonly ConnectionId[]): Promise<PublicConnection[]> {
  return shown(
    await rows<{ connection: ConnectionRow }>(
      db,
      `select ${connectionObject} as connection ${fromConnections} where c.id = any(:ids)`,
      { ids },
    ),
  );
}

/** The connection that a user has in a sub-account, or had last. */
export async function findConnection(
  db: Db,
  of: { subAccountId: string; userId: string },
): Promise<PublicConnection | null> {
  const [found] = shown(
    await rows<{ connection: ConnectionRow }>(
      db,
      `select ${connectionObject} as connection ${fromConnections}
        where c.sub_account_id = :subAccountId and c.user_id = :userId
        order by c.ended_at is null desc, c.id desc limit 1`,
      of,
    ),
  );
  return found ?? null;
}

type OfMailbox = {
  connectionId: ConnectionId;
  subAccountId: string;
  mailboxId: MailboxId | null;
  isActive: boolean;
  /** ms since the epoch. */
  startedAt: number;
  /** Somebody of the sub-account is connected to the mailbox, by this connection or another one. */
  isConnected: boolean;
};

/** Whose a connection is, and of which mailbox; null when there is none of that id. */
export async function findMailboxOf(db: Db, connectionId: ConnectionId): Promise<OfMailbox | null> {
  const [row] = await rows<OfMailbox>(
    db,
    `select c.id as "connectionId", c.sub_account_id as "subAccountId", c.mailbox_id as "mailboxId",
            c.ended_at is null as "isActive", floor(extract(epoch from c.started_at) * 1000)::float8 as "startedAt", exists (
              select from connections o where o.mailbox_id = c.mailbox_id
                 and o.sub_account_id = c.sub_account_id and o.ended_at is null) as "isConnected"
       from connections c where c.id = :connectionId`,
    { connectionId },
  );
  return row ?? null;
}

/** Connections for administrators, the newest first. */
export async function listConnections(
  db: Db,
  filter: { state: string | null; subAccountId: string | null },
  page: { after: string | null; limit: number },
): Promise<PublicConnection[]> {
  // Only what is asked for, so that an index serves: for "null, or equal" all connections would be gone through.
  const conditions = [
    ...(filter.state === null ? [] : ['c.state = :state']),
    ...(filter.subAccountId === null ? [] : ['c.sub_account_id = :subAccountId']),
    ...(page.after === null ? [] : ['c.id < :after']),
  ];
  return shown(
    await rows<{ connection: ConnectionRow }>(
      db,
      `select ${connectionObject} as connection ${fromConnections}
        where ${['true', ...conditions].join(' and ')} order by c.id desc limit :limit`,
      { ...filter, ...page },
    ),
  );
}

function shown(found: readonly { connection: ConnectionRow }[]): PublicConnection[] {
  return found.map(({ connection }) => ({
    ...connection,
    remedy: remedyOf(connection.state, connection.reason),
  }));
}

/** What setMailboxState came to. `outdated`: a newer credential came in between, and nothing was changed. */
export type StateChange = 'announced' | 'unchanged' | 'outdated';

/** What a mailbox's state is to be. */
export type NextState = {
  state: MailboxState;
  reason: string | null;
  /** ms since the epoch. */
  nextTryAt: number | null;
  /** Only while the credential is still this one: what was found out about an older one is no news. */
  credentialVersion?: number;
  /**
   * How many messages of each sub-account an outage had held back; told to the connections that
   * were not `live`, and to those for which there were any (C7).
   */
  recovered?: ReadonlyMap<string, number>;
};

/**
 * Sets the mailbox's own state and passes it on to its active connections, with one event for each
 * that changes (C5: the same state is never announced twice in a row; a new reason or next try alone
 * is no event). Locks the mailbox before its connections, as everybody does.
 */
export async function setMailboxState(db: Db, mailboxId: MailboxId, next: NextState): Promise<StateChange> {
  const [change] = await setMailboxStates(db, [{ mailboxId, next }], 'waits');
  return change ?? 'outdated';
}

/**
 * The same for several mailboxes, each of them once, in one transaction; answers in their order. Null: it was left as it
 * is, for somebody else has it locked and `locked` says not to wait; or there is no such mailbox.
 */
export async function setMailboxStates(
  db: Db,
  changes: readonly { mailboxId: MailboxId; next: NextState }[],
  locked: WhenLocked,
): Promise<(StateChange | null)[]> {
  return db.transaction(async (tx) => {
    const values = {
      wanted: jsonText(
        changes.map(({ mailboxId, next }) => ({
          mailbox_id: mailboxId,
          state: next.state,
          reason: next.reason,
          next_try_at: next.nextTryAt === null ? null : new Date(next.nextTryAt),
          token_version: next.credentialVersion ?? null,
        })),
      ),
    };
    const ids = changes.map(({ mailboxId }) => mailboxId);
    const mine = await rows<{ id: MailboxId; isCurrent: boolean }>(
      tx,
      `with ${wantedStates}, mine as materialized (
         select id, token_version from mailboxes where id = any(:ids) order by id ${lockFor[locked]}
       ), current as (
         select mine.id, w.state, w.reason, w.next_try_at
           from mine join wanted w on w.mailbox_id = mine.id and mine.token_version = coalesce(w.token_version, mine.token_version)
       ), changed as (
         update mailboxes m set state = c.state, state_reason = c.reason, next_try_at = c.next_try_at, updated_at = now(),
                state_since = case when m.state = c.state then m.state_since else now() end
           from current c
          where m.id = c.id and (m.state, m.state_reason, m.next_try_at) is distinct from (c.state, c.reason, c.next_try_at)
       )
       select id, id in (select id from current) as "isCurrent" from mine`,
      { ...values, ids },
    );
    const current = mine.flatMap(({ id, isCurrent }) => (isCurrent ? [id] : []));
    const active = await rows<{ id: ConnectionId; mailboxId: MailboxId; sub: string; was: ConnectionState }>(
      tx,
      `select id, mailbox_id as "mailboxId", sub_account_id as sub, state as was from connections
        where mailbox_id = any(:ids) and ended_at is null and state <> 'paused' order by id for no key update`,
      { ids: current },
    );
    await run(
      tx,
      `with ${wantedStates}
       update connections c set state = w.state, state_reason = w.reason, next_try_at = w.next_try_at,
              state_since = case when c.state = w.state then c.state_since else now() end
         from wanted w
        where c.id = any(:ids) and c.mailbox_id = w.mailbox_id
          and (c.state, c.state_reason, c.next_try_at) is distinct from (w.state, w.reason, w.next_try_at)`,
      { ...values, ids: active.map((row) => row.id) },
    );
    const nextOf = new Map(changes.map(({ mailboxId, next }) => [mailboxId, next]));
    const told = active.map(({ id, mailboxId, sub, was }) => {
      const next = nextOf.get(mailboxId);
      const changed = was !== next?.state;
      const held = next?.recovered?.get(sub) ?? 0;
      const recovered = next?.recovered !== undefined && (changed || held > 0) ? held : null;
      return { id, mailboxId, changed, recovered };
    });
    const announced = await tell(tx, told);
    const answers = new Map<MailboxId, StateChange>(
      mine.map(({ id, isCurrent }) => [
        id,
        announced.has(id) ? 'announced' : isCurrent ? 'unchanged' : 'outdated',
      ]),
    );
    return ids.map((id) => answers.get(id) ?? null);
  });
}

const wantedStates = `wanted as (
  select * from json_to_recordset(:wanted::json)
    as w (mailbox_id text, state text, reason text, next_try_at timestamptz, token_version bigint))`;

/**
 * Records `connection.state_changed` for each that changed, and `connection.recovered` where an outage ended. Answers of
 * which mailboxes there was something to tell.
 */
async function tell(
  tx: Db,
  told: readonly { id: ConnectionId; mailboxId: MailboxId; changed: boolean; recovered: number | null }[],
): Promise<Set<MailboxId>> {
  const news = new Map(
    told.flatMap((row) => (row.changed || row.recovered !== null ? [[row.id, row] as const] : [])),
  );
  if (news.size === 0) return new Set();
  await logStates(
    tx,
    told.flatMap(({ id, changed }) => (changed ? [id] : [])),
  );
  const events = (await readConnections(tx, [...news.keys()])).flatMap((connection): NewEvent[] => {
    const { changed = false, recovered = null } = news.get(connection.id) ?? {};
    const common = { sub_account_id: connection.sub_account_id, order_keys: [connection.id] };
    const state = { ...common, type: 'connection.state_changed' as const, data: connection };
    const data = { ...connection, recovered_messages: recovered };
    return [
      ...(changed ? [state] : []),
      ...(recovered === null ? [] : [{ ...common, type: 'connection.recovered' as const, data }]),
    ];
  });
  await recordEvents(tx, events);
  return new Set([...news.values()].map(({ mailboxId }) => mailboxId));
}
