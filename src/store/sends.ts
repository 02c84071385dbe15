import type { ConnectionState } from '../provider/connection-states.ts';
import type { ProviderName, ServerAddress } from '../provider/providers.ts';
import type { MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { PublicSend, SendState } from './public-send.ts';
import { awaitSentCopy } from './sent-copies.ts';

/** A send as it is first written: with its message, in one transaction. */
export type NewSend = {
  id: SendId;
  subAccountId: string;
  messageId: MessageId;
  userId: string;
  mailboxId: MailboxId;
  route: PublicSend['route'];
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
};

export async function insertSend(db: Db, send: NewSend): Promise<void> {
  const { route, envelope, sendAt, ...values } = send;
  await run(
    db,
    `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, route, state, state_reason, envelope,
                        internet_message_id, raw_sha256, raw_size, order_keys, send_at, due_at)
     values (:id, :subAccountId, :messageId, :userId, :mailboxId, :route::jsonb, :state, :reason, :envelope::jsonb,
             :internetMessageId, :rawSha256, :rawSize, :orderKeys, :sendAt,
             case when :state = 'held' then 'infinity' else coalesce(:sendAt::timestamptz, now()) end)`,
    {
      ...values,
      route: jsonText(route),
      envelope: jsonText(envelope),
      sendAt: sendAt === null ? null : new Date(sendAt),
    },
  );
}

/** A send with everything that its next step looks at, its row locked until the transaction ends. */
export type LockedSend = {
  id: SendId;
  subAccountId: string;
  messageId: MessageId;
  threadId: ThreadId;
  state: SendState;
  reason: string | null;
  /** Who holds the lease; null: nobody. */
  leaseOwner: string | null;
  envelope: { from: string; to: string[] };
  internetMessageId: string;
  rawSha256: string;
  rawSize: number;
  mailbox: SendingMailbox | null;
  /** State of the connection that it goes through; null when that has ended. */
  connectionState: ConnectionState | null;
  /** Its tries so far, the last one's outcome as it stands. */
  attempts: { n: number; outcome: string | null } | null;
  /** Since when it has been tried without a person having to act in between; 0 before the first try. */
  triedForMs: number;
  /** How often it was tried in that time. */
  triedTimes: number;
  /** Since when it is in its state. */
  inStateForMs: number;
  /** How long after it became uncertain the Sent folder was last looked at, whole; null: never. */
  sentLookedAfterMs: number | null;
  /** Since its last try began a message in the Sent folder could not be read: it may be the copy. */
  copyUnreadable: boolean;
};

export type SendingMailbox = {
  id: MailboxId;
  provider: ProviderName;
  login: string;
  /** Of a generic mailbox. */
  smtp: ServerAddress | null;
  credentialKind: 'oauth' | 'password' | null;
  /** Learned: a copy of what we submitted appeared in its Sent folder by itself. */
  savesSentCopy: boolean;
};

/** Locks a send; null when there is no such send. */
export async function lockSend(db: Db, id: SendId): Promise<LockedSend | null> {
  await run(db, 'select from sends where id = :id for no key update', { id });
  // A statement of its own: one that waited for the lock would see the row alone as it is now.
  const [found] = await rows<{ send: LockedSend }>(db, lockedSql, { id });
  return found?.send ?? null;
}

const ms = (interval: string) => `floor(extract(epoch from ${interval}) * 1000)`;

const lockedSql = `
with tried as (
  select a.started_at from send_attempts a
   where a.send_id = :id
     and a.n > coalesce((select max(d.n) from send_attempts d where d.send_id = :id and d.outcome = 'denied'), 0))
select json_build_object(
    'id', s.id, 'subAccountId', s.sub_account_id, 'messageId', s.message_id, 'threadId', m.thread_id,
    'state', s.state, 'reason', s.state_reason, 'leaseOwner', case when s.ready then s.lease_owner end,
    'envelope', s.envelope, 'internetMessageId', s.internet_message_id,
    'rawSha256', s.raw_sha256, 'rawSize', s.raw_size,
    'mailbox', case when b.id is not null then json_build_object(
       'id', b.id, 'provider', b.provider, 'login', b.login, 'smtp', b.servers->'smtp',
       'credentialKind', b.credential_kind, 'savesSentCopy', coalesce(b.saves_sent_copy, false)) end,
    -- Its mailbox may need a person before the connection was told.
    'connectionState', (
      select case when b.state = 'reauth_required' and c.state <> 'paused' then b.state else c.state end
        from connections c
       where c.mailbox_id = s.mailbox_id and c.sub_account_id = s.sub_account_id and c.user_id = s.user_id
         and c.ended_at is null),
    'attempts', (select json_build_object('n', a.n, 'outcome', a.outcome) from send_attempts a
                  where a.send_id = s.id order by a.n desc limit 1),
    'triedForMs', coalesce((select ${ms('now() - min(t.started_at)')} from tried t), 0),
    'triedTimes', (select count(*) from tried t),
    'inStateForMs', ${ms('now() - s.state_since')},
    'sentLookedAfterMs', ${ms('b.sent_looked_at - s.uncertain_at')},
    'copyUnreadable', s.state = 'uncertain' and exists (
      select from folders f join decisions d on d.folder_id = f.id
       where f.mailbox_id = s.mailbox_id and f.role in ('sent', 'all') and d.outcome = 'failed' and d.replaced_by is null
         and d.decided_at >= (select max(a.started_at) from send_attempts a where a.send_id = s.id))) as send
  from sends s
  join messages m on m.id = s.message_id
  left join mailboxes b on b.id = s.mailbox_id
 where s.id = :id`;

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
};

/** Writes a send's new state; its row must be locked. From what the provider took on, its copy in Sent is awaited. */
export async function writeSendChange(db: Db, id: SendId, change: SendChange): Promise<void> {
  const { state, reason, next } = change;
  await run(
    db,
    `update sends set
        state_since = case when state = :state then state_since else now() end,
        uncertain_at = case when :state <> 'uncertain' then null when state = 'uncertain' then uncertain_at else now() end,
        state = :state, state_reason = :reason, ready = :ready,
        due_at = case when :next = 'in_hand' then due_at when :next = 'waiting' then 'infinity'
                      else now() + :ms * interval '1 millisecond' end,
        lease_owner = case when :next = 'in_hand' then lease_owner end,
        lease_until = case when :next = 'in_hand' then lease_until end
      where id = :id`,
    {
      id,
      state,
      reason,
      ready: next !== 'over',
      next: typeof next === 'number' ? 'due' : next,
      ms: typeof next === 'number' ? Math.round(next) : 0,
    },
  );
  if (state === 'sent' || state === 'bounced') await awaitSentCopy(db, id);
}

/** Marks a message as changed: what became of its send is part of it. */
export async function touchMessage(db: Db, id: MessageId): Promise<void> {
  await run(db, 'update messages set updated_at = now() where id = :id', { id });
}

/** Notes that a try begins, before anything is said to the provider. Answers its number. */
export async function startAttempt(db: Db, id: SendId): Promise<number> {
  const [started] = await rows<{ n: number }>(
    db,
    `insert into send_attempts (send_id, n, started_at)
     select :id, coalesce(max(n), 0) + 1, now() from send_attempts where send_id = :id
     returning n`,
    { id },
  );
  if (started === undefined) throw new Error('a stored attempt was not returned');
  return started.n;
}

/**
 * Notes, right before a message's end goes out, that from here on only the provider's answer or the
 * Sent folder tells what became of it: a crash before this line is certain to have sent nothing.
 * False when the lease was lost: another node has taken over, and the end must not go out.
 */
export async function noteHandover(
  db: Db,
  attempt: { id: SendId; n: number; owner: string; leaseMs: number },
): Promise<boolean> {
  const noted = await rows(
    db,
    `with mine as (
       update sends set lease_until = now() + :leaseMs * interval '1 millisecond'
        where id = :id and lease_owner = :owner and ready and state = 'sending'
       returning id)
     update send_attempts a set outcome = 'uncertain' from mine where a.send_id = mine.id and a.n = :n
     returning a.n`,
    attempt,
  );
  return noted.length > 0;
}

/** How a try ended. */
export type AttemptOutcome = 'accepted' | 'temporary' | 'permanent' | 'denied' | 'uncertain';

/** Notes how a try ended, with the provider's own words; null leaves what is there. */
export async function endAttempt(
  db: Db,
  attempt: { id: SendId; n: number },
  end: { outcome: AttemptOutcome; reply: string | null },
): Promise<void> {
  await run(
    db,
    `update send_attempts set ended_at = coalesce(ended_at, now()), outcome = :outcome, reply = coalesce(:reply, reply)
      where send_id = :id and n = :n`,
    { ...attempt, ...end },
  );
}

/**
 * The Message-ID that the provider's answer named becomes one more name of the message, for its own
 * copy and for answers (S12, S3), and the one that it shows from now on.
 */
export async function addServerMessageId(
  db: Db,
  send: { id: SendId; messageId: MessageId; threadId: ThreadId },
  server: { messageId: string; key: string; sentKey: string },
): Promise<void> {
  await run(
    db,
    `with named as (
       update sends set server_message_id = :serverId where id = :id returning sub_account_id),
     shown as (
       update messages set internet_message_id = :serverId, updated_at = now() where id = :messageId),
     known as (
       insert into message_keys (sub_account_id, key, fingerprint, message_id)
       select k.sub_account_id, :key, k.fingerprint, k.message_id from message_keys k
        where k.message_id = :messageId and k.key = :sentKey
       on conflict do nothing)
     insert into thread_keys (sub_account_id, key, thread_id, kind)
     select n.sub_account_id, :key, :threadId, 'message' from named n
     on conflict (sub_account_id, key, thread_id) do update set kind = 'message'`,
    {
      id: send.id,
      messageId: send.messageId,
      threadId: send.threadId,
      serverId: server.messageId,
      key: server.key,
      sentKey: server.sentKey,
    },
  );
}

/** A mailbox with sends that can be tried now. */
export type SendLane = {
  mailboxId: MailboxId;
  provider: ProviderName;
  /** Sends of it that some node is busy with. */
  running: number;
};

/** Mailboxes with due sends, the longest waiting first. */
export async function findSendLanes(db: Db, limit: number): Promise<SendLane[]> {
  return rows<SendLane>(
    db,
    `select s.mailbox_id as "mailboxId", b.provider, count(*) filter (where s.lease_until >= now())::int as running
       from sends s join mailboxes b on b.id = s.mailbox_id
      where s.ready and s.due_at <= now()
      group by s.mailbox_id, b.provider
     having bool_or(s.lease_until is null or s.lease_until < now())
      order by min(s.due_at) limit :limit`,
    { limit },
  );
}

/** In how many ms the next send is due that is not due yet; null when there is none. */
export async function nextSendDueMs(db: Db): Promise<number | null> {
  const [next] = await rows<{ ms: string | null }>(
    db,
    `select ${ms('min(due_at) - now()')} as ms from sends where ready and due_at > now() and due_at < 'infinity'`,
  );
  return next?.ms == null ? null : Number(next.ms);
}

/** Prolongs leases; answers those that are still `owner`'s. */
export async function renewSendLeases(
  db: Db,
  by: { owner: string; leaseMs: number; ids: readonly SendId[] },
): Promise<Set<SendId>> {
  const renewed = await rows<{ id: SendId }>(
    db,
    `update sends set lease_until = now() + :leaseMs * interval '1 millisecond'
      where id = any(:ids) and lease_owner = :owner and ready
     returning id`,
    by,
  );
  return new Set(renewed.map((row) => row.id));
}

/**
 * Held sends about which something can be done: their connection has ended; they have been tried, or
 * held past their time, for too long; they waited for their mailbox alone, and it works; or they waited
 * for something that the provider wants, and the mailbox has come into another state since. `dueMs`: how
 * long it is until the time for which they were accepted.
 */
export async function findHeldToSettle(
  db: Db,
  by: { blockedStates: readonly string[]; heldMsMax: number; limit: number },
): Promise<{ id: SendId; how: 'release' | 'give_up' | 'ended'; dueMs: number }[]> {
  return rows(
    db,
    `select id, how, greatest(0, coalesce(extract(epoch from send_at - now()) * 1000, 0))::float8 as "dueMs" from (
       select s.id, s.send_at, case
                when c.id is null then 'ended'
                when least(greatest(s.state_since, s.send_at), (select min(started_at) from send_attempts where send_id = s.id))
                       < now() - :heldMsMax * interval '1 millisecond' then 'give_up'
                when c.state = any(:blockedStates) or b.state = any(:blockedStates) then null
                when s.due_at = 'infinity' or b.state_since > s.state_since then 'release'
              end as how
         from sends s
         join mailboxes b on b.id = s.mailbox_id
         left join connections c on c.mailbox_id = s.mailbox_id and c.sub_account_id = s.sub_account_id
              and c.user_id = s.user_id and c.ended_at is null
        where s.state = 'held') h
      where how is not null limit :limit`,
    by,
  );
}
