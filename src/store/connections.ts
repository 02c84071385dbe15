import { connectionStates } from '../provider/connection-states.ts';
import type { ConnectionState, MailboxState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { ConnectionId, MailboxId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
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

/** Connections for administrators, the newest first. */
export async function listConnections(
  db: Db,
  filter: { state: string | null; subAccountId: string | null },
  page: { after: string | null; limit: number },
): Promise<PublicConnection[]> {
  return shown(
    await rows<{ connection: ConnectionRow }>(
      db,
      `select ${connectionObject} as connection ${fromConnections}
        where (:state::text is null or c.state = :state)
          and (:subAccountId::text is null or c.sub_account_id = :subAccountId)
          and (:after::text is null or c.id < :after)
        order by c.id desc limit :limit`,
      { ...filter, ...page },
    ),
  );
}

function shown(found: readonly { connection: ConnectionRow }[]): PublicConnection[] {
  return found.map(({ connection }) => ({ ...connection, remedy: connectionStates[connection.state] }));
}

/**
 * Sets the mailbox's own state and passes it on to its active connections, with one event for each
 * that changes (C5: the same state is never announced twice in a row). `stored` is how many messages
 * an outage had held back; they are told with the recovery. Answers whether anything was announced.
 */
export async function setMailboxState(
  db: Db,
  mailboxId: MailboxId,
  next: { state: MailboxState; reason: string | null; nextTryAt: number | null; recovered?: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const values = {
      mailboxId,
      state: next.state,
      reason: next.reason,
      nextTryAt: next.nextTryAt === null ? null : new Date(next.nextTryAt),
    };
    await rows(
      tx,
      `update mailboxes set state = :state, state_reason = :reason, next_try_at = :nextTryAt::timestamptz, updated_at = now(),
              state_since = case when state = :state then state_since else now() end
        where id = :mailboxId returning id`,
      values,
    );
    const changed = await rows<{ id: ConnectionId; was: ConnectionState }>(
      tx,
      `update connections c set state = :state, state_reason = :reason, next_try_at = :nextTryAt::timestamptz,
              state_since = case when c.state = :state then c.state_since else now() end
         from connections old
        where old.id = c.id and c.mailbox_id = :mailboxId and c.ended_at is null and c.state <> 'paused'
          and (c.state, c.state_reason) is distinct from (:state, :reason::text)
       returning c.id, old.state as was`,
      values,
    );
    const announced = changed.filter((row) => row.was !== next.state);
    await tellStates(
      tx,
      announced.map((row) => row.id),
      next.recovered ?? null,
    );
    return announced.length > 0;
  });
}

/** Records `connection.state_changed` for each, and `connection.recovered` where an outage ended. */
async function tellStates(tx: Db, ids: readonly ConnectionId[], recovered: number | null): Promise<void> {
  const connections = ids.length === 0 ? [] : await readConnections(tx, ids);
  await recordEvents(
    tx,
    connections.flatMap((connection) => {
      const common = { sub_account_id: connection.sub_account_id, order_keys: [connection.id] };
      const changed = { ...common, type: 'connection.state_changed' as const, data: connection };
      if (recovered === null) return [changed];
      return [
        changed,
        {
          ...common,
          type: 'connection.recovered' as const,
          data: { ...connection, recovered_messages: recovered },
        },
      ];
    }),
  );
}
