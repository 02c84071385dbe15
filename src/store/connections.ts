import { remedyOf } from '../provider/connection-states.ts';
import type { ConnectionState, MailboxState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { ConnectionId, MailboxId } from '../lib/id.ts';
import { logStates } from './connection-log.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
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

/**
 * Sets the mailbox's own state and passes it on to its active connections, with one event for each
 * that changes (C5: the same state is never announced twice in a row; a new reason or next try alone
 * is no event). Locks the mailbox before its connections, as everybody does.
 */
export async function setMailboxState(
  db: Db,
  mailboxId: MailboxId,
  next: {
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
  },
): Promise<StateChange> {
  return db.transaction(async (tx) => {
    const values = {
      mailboxId,
      state: next.state,
      reason: next.reason,
      nextTryAt: next.nextTryAt === null ? null : new Date(next.nextTryAt),
    };
    const mailbox = await run(
      tx,
      `update mailboxes set state = :state, state_reason = :reason, next_try_at = :nextTryAt::timestamptz, updated_at = now(),
              state_since = case when state = :state then state_since else now() end
        where id = :mailboxId and token_version = coalesce(:credentialVersion::bigint, token_version)`,
      { ...values, credentialVersion: next.credentialVersion ?? null },
    );
    if (mailbox === 0) return 'outdated';
    const active = await rows<{ id: ConnectionId; sub: string; was: ConnectionState }>(
      tx,
      `select id, sub_account_id as sub, state as was from connections
        where mailbox_id = :mailboxId and ended_at is null and state <> 'paused' order by id for no key update`,
      values,
    );
    await run(
      tx,
      `update connections set state = :state, state_reason = :reason, next_try_at = :nextTryAt::timestamptz,
              state_since = case when state = :state then state_since else now() end
        where id = any(:ids)
          and (state, state_reason, next_try_at) is distinct from (:state, :reason::text, :nextTryAt::timestamptz)`,
      { ...values, ids: active.map((row) => row.id) },
    );
    const told = active.map(({ id, sub, was }) => {
      const changed = was !== next.state;
      const held = next.recovered?.get(sub) ?? 0;
      return { id, changed, recovered: next.recovered !== undefined && (changed || held > 0) ? held : null };
    });
    return (await tell(tx, told)) ? 'announced' : 'unchanged';
  });
}

/** Records `connection.state_changed` for each that changed, and `connection.recovered` where an outage ended. */
async function tell(
  tx: Db,
  told: readonly { id: ConnectionId; changed: boolean; recovered: number | null }[],
): Promise<boolean> {
  const news = new Map(
    told.flatMap((row) => (row.changed || row.recovered !== null ? [[row.id, row] as const] : [])),
  );
  if (news.size === 0) return false;
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
  return true;
}
