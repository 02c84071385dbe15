import type { MessageId, SendId, ThreadId } from '../lib/id.ts';
import { firstAnswerOf } from './answers.ts';
import { rows, rowsById } from './database.ts';
import type { Db } from './database.ts';
import { copyWasSeen } from './sent-copies.ts';
import { timestamp } from './timestamp.ts';

/**
 * The life of a message that the CRM sends (D6).
 * - `queued`: durable, waiting for its turn or its time.
 * - `held`: waiting for a person: the mailbox needs consent (D1).
 * - `sending`: on its way to the provider, or the process that sent it ended without a word.
 * - `uncertain`: the connection was lost before the answer; the Sent folder will tell (D5).
 * - `sent`: the provider took it; not necessarily in the recipient's mailbox.
 * - `bounced`: a delivery report says that a recipient was not reached; `reports` tells which.
 * - `failed`: refused for good, or given up.
 * - `cancelled`: taken back by the CRM before it was sent.
 */
export type SendState =
  'queued' | 'held' | 'sending' | 'uncertain' | 'sent' | 'bounced' | 'failed' | 'cancelled';

/** A row of the table in RULES, D: the kind of a message, what is connected, and, where that decides, whether `from` is it. */
export type RouteRow =
  | `${'individual' | 'bulk' | 'workflow'}_${'gmail' | 'nothing'}`
  | `${'individual' | 'workflow'}_outlook`
  | `bulk_outlook_from_${'it' | 'other'}`;

/** `because` says the row in words. */
export type PublicRoute = {
  through: 'mailbox' | 'provider';
  from: string;
  row: RouteRow;
  because: string;
};

/** A send, as the API and the events show it. */
export type PublicSend = {
  id: SendId;
  sub_account_id: string;
  message_id: MessageId;
  thread_id: ThreadId;
  user_id: string;
  state: SendState;
  /** Why it is in this state, in a word or with the provider's own words; null when there is nothing to say. */
  reason: string | null;
  state_since: string;
  /** Which way it takes, and by which row of the table in RULES.md, D. */
  route: PublicRoute;
  /** When it is due to be tried, or looked for; null once that is over, and while it waits for a person. */
  next_try_at: string | null;
  /** The mailbox's own copy was seen in its Sent folder. */
  copy_seen: boolean;
  /**
   * What the gateway does about that copy (U1); null: nothing, since the provider puts it there, or did not take the
   * message yet.
   * - `awaited`: one is put there unless one shows up. `reason`: what went wrong with that last.
   * - `appended`: the gateway put it there.
   * - `not_appended`: none is put there. `reason`: why.
   */
  sent_copy: { state: 'awaited' | 'appended' | 'not_appended'; reason: string | null } | null;
  refused: SendRefused[];
  reports: SendReported[];
  answered: SendAnswered | null;
  auto_replied: SendAnswered | null;
  attempts: {
    n: number;
    started_at: string;
    ended_at: string | null;
    outcome: string | null;
    reply: string | null;
  }[];
  /**
   * Openings and clicks (D7); null: the call asked for none, or there was nothing to track. `opens` null: it asked
   * for clicks alone.
   */
  tracking: { opens: Tracked | null; clicks: ({ url: string } & Tracked)[] } | null;
  created_at: string;
};

/** How often something was done by a person, as far as that can be told; what follows within a minute is not counted. */
type Tracked = { count: number; first_at: string | null; last_at: string | null };

const trackedSql = `'count', t.count, 'first_at', ${timestamp('t.first_at')}, 'last_at', ${timestamp('t.last_at')}`;
/** What a delivery report or a read receipt says of one recipient (D6); of each recipient the first of a kind. */
export type SendReported = {
  /** As in the send's envelope. */
  address: string;
  /** `failed` alone is a bounce; `displayed` and `deleted` (unread) are of read receipts. */
  action: 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded' | 'displayed' | 'deleted';
  /**
   * Of a failure: `hard`: the address cannot be reached; `soft`: it may be, at another time or by another message;
   * `block`: the other side does not want it. Null: its codes do not tell.
   */
  class: 'hard' | 'soft' | 'block' | null;
  /** Enhanced status code (RFC 3463); null when there is none. */
  status: string | null;
  /** The other system's own; null when there are none. */
  words: string | null;
  /** When the provider received the report. */
  at: string;
};

/** A recipient that the provider refused while it took the message for others (D5). */
export type SendRefused = {
  /** As in the send's envelope. */
  address: string;
  /**
   * - `deferred`: put off, to be tried again at the send's `next_try_at`.
   * - `refused`: for good.
   * - `given_up`: put off for too long.
   * - `uncertain`: the connection was lost before the answer to a later try; it is not tried again.
   * - `cancelled`: put off, and taken back by the CRM.
   */
  state: 'deferred' | 'refused' | 'given_up' | 'uncertain' | 'cancelled';
  /** The provider's own words. */
  reply: string;
};

/** The first message from outside that answers it: a person's for `answered`, a program's for `auto_replied`. */
export type SendAnswered = {
  message_id: MessageId;
  /** When the provider received it. */
  at: string;
};

/** What reports say of send `s`, as a JSON list, in the order in which they came. */
export function reportsOf(s: string): string {
  return `(select coalesce(json_agg(json_build_object(
            'address', r.address, 'action', r.action, 'class', r.class, 'status', r.status, 'words', r.words,
            'at', ${timestamp('r.reported_at')}) order by r.reported_at, r.address, r.action), '[]')
          from send_reports r where r.send_id = ${s}.id)`;
}

/** Send `s` of message `m` as it is shown, in SQL. */
export const sendObject = `json_build_object(
  'id', s.id, 'sub_account_id', s.sub_account_id, 'message_id', s.message_id, 'thread_id', m.thread_id,
  'user_id', s.user_id, 'state', s.state, 'reason', s.state_reason, 'state_since', ${timestamp('s.state_since')},
  'route', s.route, 'next_try_at', case when s.ready and isfinite(s.due_at) then ${timestamp('s.due_at')} end,
  'copy_seen', s.copy_seen_at is not null,
  'sent_copy', (select json_build_object('state', coalesce(c.outcome, 'awaited'), 'reason', c.reason)
    from sent_copies c where c.id = s.id and (c.begun_at is not null or not ${copyWasSeen('s')})),
  'refused', s.refused, 'reports', ${reportsOf('s')},
  'answered', ${firstAnswerOf('m', 'is null')}, 'auto_replied', ${firstAnswerOf('m', 'is not null')},
  'attempts', (select coalesce(json_agg(json_build_object(
      'n', a.n, 'started_at', ${timestamp('a.started_at')}, 'ended_at', ${timestamp('a.ended_at')},
      'outcome', a.outcome, 'reply', a.reply) order by a.n), '[]')
    from send_attempts a where a.send_id = s.id),
  'tracking', (select case when count(*) > 0 then json_build_object(
      'opens', json_agg(json_build_object(${trackedSql})) filter (where t.n = 0) -> 0,
      'clicks', coalesce(json_agg(json_build_object('url', t.url, ${trackedSql}) order by t.n)
        filter (where t.n > 0), '[]')) end
    from tracked t where t.send_id = s.id),
  'created_at', ${timestamp('s.created_at')})`;

/** Sends by id, in no order; another sub-account's are left out. */
export async function readSends(db: Db, subAccountId: string, ids: readonly SendId[]): Promise<PublicSend[]> {
  if (ids.length === 0) return [];
  const found = await rows<{ send: PublicSend }>(
    db,
    `select ${sendObject} as send
       from ${rowsById('sends')} s
       join messages m on m.id = s.message_id
      where s.sub_account_id = :subAccountId`,
    { subAccountId, ids },
  );
  return found.map((row) => row.send);
}
