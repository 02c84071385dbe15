import type { ConnectionState } from '../provider/connection-states.ts';
import type { MailboxLimits, ProviderName, ServerAddress } from '../provider/providers.ts';
import type { MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { inOneGo, jsonText, rows, rowsById, run } from './database.ts';
import type { Db } from './database.ts';
import type { PublicRoute, SendRefused, SendState } from './public-send.ts';
import { giveBackPlaces } from './quota.ts';
import { awaitSentCopies } from './sent-copies.ts';

/** A send as it is first written: with its message, in one transaction. */
export type NewSend = {
  id: SendId;
  requestId: string | null;
  subAccountId: string;
  messageId: MessageId;
  /** Whether it goes before bulk and workflow mail. */
  individual: boolean;
  userId: string;
  /** Null: it goes through the sub-account's provider. */
  mailboxId: MailboxId | null;
  route: PublicRoute;
  state: 'queued' | 'held';
  reason: string | null;
  envelope: { from: string; to: string[] };
  internetMessageId: string;
  rawSha256: string;
  rawSize: number;
  /** Sends that share a key go out one after the other, in the order in which they were accepted. */
  orderKeys: string[];
  /** When to send, ms since the epoch; null: at once. */
  sendAt: number | null;
  /** When it is tried first, where that is later. */
  dueAt: number | null;
};

/** Writes sends down, in the order in which they were accepted. */
export async function insertSends(db: Db, sends: readonly NewSend[]): Promise<void> {
  if (sends.length === 0) return;
  const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  const listed = sends.map(({ sendAt, dueAt, ...send }, n) => ({
    ...send,
    n,
    sendAt: time(sendAt),
    dueAt: time(dueAt),
  }));
  await run(
    db,
    `insert into sends (id, request_id, sub_account_id, message_id, individual, user_id, mailbox_id, route, state, state_reason, envelope,
                        internet_message_id, fingerprint, raw_sha256, raw_size, order_keys, send_at, due_at)
     select id, "requestId", "subAccountId", "messageId", individual, "userId", "mailboxId", route, state, reason, envelope,
            "internetMessageId", (select min(fingerprint) from message_keys where message_id = t."messageId"), "rawSha256", "rawSize", "orderKeys", "sendAt",
            case when state = 'held' then 'infinity' else coalesce("dueAt", "sendAt", now()) end
       from json_to_recordset(:sends::json) as t(
            n integer, id text, "requestId" text, "subAccountId" text, "messageId" text, individual boolean, "userId" text, "mailboxId" text,
            route jsonb, state text, reason text, envelope jsonb, "internetMessageId" text, "rawSha256" text,
            "rawSize" bigint, "orderKeys" text[], "sendAt" timestamptz, "dueAt" timestamptz)
      order by n`,
    { sends: jsonText(listed) },
  );
}

/** A send with everything that its next step looks at, its row locked until the transaction ends. */
export type LockedSend = {
  id: SendId;
  requestId: string | null;
  subAccountId: string;
  messageId: MessageId;
  threadId: ThreadId;
  lane: string;
  kind: 'individual' | 'bulk' | 'workflow';
  state: SendState;
  reason: string | null;
  /** Who holds the lease; null: nobody. */
  leaseOwner: string | null;
  envelope: { from: string; to: string[] };
  internetMessageId: string;
  rawSha256: string;
  rawSize: number;
  /** Recipients that were refused while others were taken. */
  refused: SendRefused[];
  /** What it goes through; null: nothing any more, since its sub-account has no provider. */
  way: SendingWay | null;
  /** State of the connection that it goes through; null when that has ended, and of mail through a provider. */
  connectionState: ConnectionState | null;
  /** Its tries so far, the last one's outcome as it stands. */
  attempts: { n: number; outcome: string | null } | null;
  /**
   * Since when it has been tried without a person having to act in between; 0 before the first try. Of one that was
   * taken, and waits for recipients who were put off: since then.
   */
  triedForMs: number;
  /** How often it was tried in that time. */
  triedTimes: number;
  /** How long it is until the time for which it was accepted; 0: that has come. */
  dueMs: number;
  /** Since when it is in its state. */
  inStateForMs: number;
  /** How long after it became uncertain the Sent folder was last looked at, whole; null: never. */
  sentLookedAfterMs: number | null;
  /** Since its last try began a message in the Sent folder could not be read: it may be the copy. */
  copyUnreadable: boolean;
};

export type SendingWay = SendingMailbox | SendingRelay;

export type SendingMailbox = {
  through: 'mailbox';
  id: MailboxId;
  provider: ProviderName;
  login: string;
  /** Of a generic mailbox. */
  smtp: ServerAddress | null;
  credentialKind: 'oauth' | 'password' | null;
  /** Learned: a copy of what we submitted appeared in its Sent folder by itself. */
  savesSentCopy: boolean;
  isTraced: boolean;
  /** What was said of its limits (L4). */
  limitsSaid: Partial<MailboxLimits>;
};

/** The sub-account's own provider. */
export type SendingRelay = {
  through: 'provider';
  server: ServerAddress;
  /** Null: it takes mail without a login. */
  username: string | null;
  /** Opens with the context of `providerPasswordContext`. */
  passwordSealed: string | null;
};

/** Locks sends, in one order for everybody; those that are gone are left out. */
export async function lockSends(db: Db, ids: readonly SendId[]): Promise<LockedSend[]> {
  const [, found] = await inOneGo([
    run(db, 'select from sends where id = any(:ids) order by id for no key update', { ids }),
    // A statement of its own: one that waited for the lock would see the rows alone as they are now.
    rows<{ send: LockedSend }>(db, lockedSql, { ids }),
  ]);
  return found.map(({ send }) => send);
}

const ms = (interval: string) => `floor(extract(epoch from ${interval}) * 1000)`;

const lockedSql = `
select json_build_object(
    'id', s.id, 'requestId', s.request_id, 'subAccountId', s.sub_account_id, 'messageId', s.message_id, 'threadId', m.thread_id, 'lane', s.lane, 'kind', m.kind,
    'state', s.state, 'reason', s.state_reason, 'leaseOwner', case when s.ready then s.lease_owner end,
    'envelope', s.envelope, 'internetMessageId', s.internet_message_id,
    'rawSha256', s.raw_sha256, 'rawSize', s.raw_size, 'refused', s.refused,
    'way', case when b.id is not null then json_build_object(
         'through', 'mailbox', 'id', b.id, 'provider', b.provider, 'login', b.login, 'smtp', b.servers->'smtp',
         'credentialKind', b.credential_kind, 'savesSentCopy', coalesce(b.saves_sent_copy, false), 'limitsSaid', b.limits,
         'isTraced', coalesce(b.trace_until > now(), false))
       when a.provider is not null then json_build_object(
         'through', 'provider', 'server', json_build_object('host', a.provider->'host', 'port', a.provider->'port',
           'security', a.provider->'security'),
         'username', a.provider->'username', 'passwordSealed', a.provider_password_sealed) end,
    -- Its mailbox may need a person before the connection was told.
    'connectionState', (
      select case when b.state = 'reauth_required' and c.state <> 'paused' then b.state else c.state end
        -- By the mailbox alone: a sub-account has thousands of connections.
        from (select * from connections where mailbox_id = s.mailbox_id and ended_at is null offset 0) c
       where c.sub_account_id = s.sub_account_id and c.user_id = s.user_id),
    'attempts', case when tried.n is not null then json_build_object('n', tried.n, 'outcome', tried.outcome) end,
    'triedForMs', coalesce(${ms("now() - case when s.state in ('sent', 'bounced') then s.state_since else tried.since end")}, 0),
    'triedTimes', coalesce(tried.times, 0),
    'dueMs', greatest(0, ceil(coalesce(extract(epoch from s.send_at - now()) * 1000, 0))),
    'inStateForMs', ${ms('now() - s.state_since')},
    'sentLookedAfterMs', ${ms('b.sent_looked_at - s.uncertain_at')},
    'copyUnreadable', s.state = 'uncertain' and exists (
      select from folders f join decisions d on d.folder_id = f.id
       where f.mailbox_id = s.mailbox_id and f.role in ('sent', 'all') and d.outcome = 'failed' and d.replaced_by is null
         and d.decided_at >= (select max(t.started_at) from send_attempts t where t.send_id = s.id))) as send
  from ${rowsById('sends')} s
  cross join lateral (select thread_id, kind from messages where id = s.message_id offset 0) m
  left join lateral (select * from mailboxes where id = s.mailbox_id offset 0) b on true
  left join lateral (select * from sub_accounts where s.mailbox_id is null and id = s.sub_account_id offset 0) a on true
  left join lateral (
    select max(t.n) as n, (array_agg(t.outcome order by t.n desc))[1] as outcome,
           -- Since a person had to act last.
           count(*) filter (where t.n > t.denied) as times, min(t.started_at) filter (where t.n > t.denied) as since
      from (select n, outcome, started_at, coalesce(max(n) filter (where outcome = 'denied') over (), 0) as denied
              from send_attempts where send_id = s.id) t) tried on true
 order by wanted.position`;

/** What happens to a send's row when it changes its state. */
export type SendChange = {
  state: SendState;
  reason: string | null;
  /**
   * - `in_hand`: whoever holds the lease keeps it.
   * - a number: to be looked at again in so many ms.
   * - `waiting`: only a person, or what they do, sets it going again; what is behind it waits too.
   * - `over`: nothing more is to be done about it.
   */
  next: 'in_hand' | 'waiting' | 'over' | number;
  /** Missing: what is known of refused recipients stays. */
  refused?: SendRefused[];
};

/** A send and what becomes of it. */
export type ChangedSend = { id: SendId; change: SendChange };

/** Writes new states of locked sends, each once; of what the provider took, the copy in Sent is awaited from then on. */
export async function writeSendChanges(db: Db, changed: readonly ChangedSend[]): Promise<void> {
  const written = run(
    db,
    `update sends s set
        state_since = case when s.state = c.state then s.state_since else now() end,
        changed_at = case when (s.state, s.state_reason, s.refused) is distinct from (c.state, c.reason, coalesce(c.refused, s.refused))
                          then now() else s.changed_at end,
        uncertain_at = case when c.state <> 'uncertain' then null when s.state = 'uncertain' then s.uncertain_at else now() end,
        state = c.state, state_reason = c.reason, ready = c.next <> 'over', refused = coalesce(c.refused, s.refused),
        due_at = case when c.next = 'in_hand' then s.due_at when c.next = 'waiting' then 'infinity'
                      else now() + c.ms * interval '1 millisecond' end,
        lease_owner = case when c.next = 'in_hand' then s.lease_owner end,
        lease_until = case when c.next = 'in_hand' then s.lease_until end
       from json_to_recordset(:changed::json) as c(id text, state text, reason text, refused jsonb, next text, ms bigint)
      where s.id = any(:ids) and s.id = c.id`,
    {
      ids: changed.map(({ id }) => id),
      changed: jsonText(
        changed.map(({ id, change: { state, reason, next, refused } }) => ({
          id,
          state,
          reason,
          refused,
          next: typeof next === 'number' ? 'due' : next,
          ms: typeof next === 'number' ? Math.round(next) : 0,
        })),
      ),
    },
  );
  const idsOf = (...states: SendState[]) =>
    changed.flatMap(({ id, change: { state } }) => (states.includes(state) ? [id] : []));
  await inOneGo([
    written,
    giveBackPlaces(db, idsOf('failed', 'cancelled')),
    awaitSentCopies(db, idsOf('sent', 'bounced')),
  ]);
}

/** Gives back what was claimed and not begun. */
export async function releaseSends(db: Db, by: { owner: string; ids: readonly SendId[] }): Promise<void> {
  await run(
    db,
    `update sends set lease_owner = null, lease_until = null
      where id = any(:ids) and lease_owner = :owner and state in ('queued', 'held', 'sent', 'bounced') and ready`,
    by,
  );
}

/**
 * Sends of a lane that are due to be tried and that nobody has in hand: so many letters at most, and so many of the rest.
 * Of what was taken, and is to go to recipients who were put off, only the lease tells whether it is on its way.
 */
export async function findDueOfLane(db: Db, by: { lane: string; limit: number }): Promise<SendId[]> {
  const found = await rows<{ id: SendId }>(
    db,
    `select s.id from (values (true), (false)) as of (individual)
      cross join lateral (select id from sends
        where individual = of.individual and lane = :lane and ready and due_at <= now()
          and case when state in ('queued', 'held') then lease_until is null or lease_until < now()
                   else state in ('sent', 'bounced') and lease_owner is null end
        limit :limit) s`,
    by,
  );
  return found.map(({ id }) => id);
}

/** In how many ms the next send is due that is not due yet; null when there is none. */
export async function nextSendDueMs(db: Db): Promise<number | null> {
  const [next] = await rows<{ ms: string | null }>(
    db,
    `select ${ms('min(first.due_at) - now()')} as ms from (values (true), (false)) as of (individual)
      cross join lateral (select due_at from sends
        where ready and individual = of.individual and due_at > now() and due_at < 'infinity'
        order by due_at limit 1) first`,
  );
  return next?.ms == null ? null : Number(next.ms);
}

/** Prolongs leases, also those of mailboxes (see sending-leases.ts); answers which sends are still `owner`'s. */
export async function renewSendLeases(
  db: Db,
  by: { owner: string; leaseMs: number; ids: readonly SendId[] },
): Promise<Set<SendId>> {
  const renewed = await rows<{ id: SendId }>(
    db,
    `with renewed as (
       update sends set lease_until = now() + :leaseMs * interval '1 millisecond'
        where id = any(:ids) and lease_owner = :owner and ready
       returning id, mailbox_id),
     sending as (
       update sending_leases set until = now() + :leaseMs * interval '1 millisecond'
        where owner = :owner and mailbox_id = any(array(select mailbox_id from renewed)))
     select id from renewed`,
    by,
  );
  return new Set(renewed.map((row) => row.id));
}

/**
 * Held sends about which something can be done: their connection has ended; they have been tried, or
 * held past their time, for too long; they waited for their mailbox alone, and it works; or they waited
 * for something that the provider wants, and the mailbox has come into another state since, or the
 * sub-account's own provider was put anew. `dueMs`: how long it is until the time for which they were accepted.
 */
export async function findHeldToSettle(
  db: Db,
  by: { blockedStates: readonly string[]; heldMsMax: number; limit: number },
): Promise<{ id: SendId; how: 'release' | 'give_up' | 'ended'; dueMs: number }[]> {
  return rows(
    db,
    `select id, how, greatest(0, coalesce(extract(epoch from send_at - now()) * 1000, 0))::float8 as "dueMs" from (
       select s.id, s.send_at, case
                when s.mailbox_id is not null and c.id is null then 'ended'
                when least(greatest(s.state_since, s.send_at), (select min(started_at) from send_attempts where send_id = s.id))
                       < now() - :heldMsMax * interval '1 millisecond' then 'give_up'
                when c.state = any(:blockedStates) or b.state = any(:blockedStates) then null
                when s.mailbox_id is null then
                  case when a.provider is not null and a.updated_at > s.state_since then 'release' end
                when s.due_at = 'infinity' or b.state_since > s.state_since then 'release'
              end as how
         from sends s
         join sub_accounts a on a.id = s.sub_account_id
         left join lateral (select * from mailboxes where id = s.mailbox_id offset 0) b on true
         left join lateral (
           select * from connections
            where mailbox_id = s.mailbox_id and sub_account_id = s.sub_account_id and user_id = s.user_id
              and ended_at is null offset 0) c on true
        where s.state = 'held') h
      where how is not null limit :limit`,
    by,
  );
}
