import { fileOutgoing, groundOutgoing } from '../filing/outgoing.ts';
import type { FiledOutgoing, GroundedOutgoing, Outgoing } from '../filing/outgoing.ts';
import type { Clock } from '../lib/clock.ts';
import type { MailboxId, SendId, ThreadId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { LimitsOf } from '../provider/figures.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { findAnswers, lockCalls, rememberAnswers } from '../store/idempotency.ts';
import type { KeyedCall, RememberedAnswer } from '../store/idempotency.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicRoute, PublicSend } from '../store/public-send.ts';
import { insertSends } from '../store/sends.ts';
import type { NewSend } from '../store/sends.ts';
import { insertTracked } from '../store/tracking.ts';
import type { MessagePlan, PlanRefusal, SendRequest } from './plan.ts';
import { lockCountsOf, takePlaces } from './quota.ts';
import type { WantsPlace } from './quota.ts';
import type { trackingNotConfigured } from './tracking.ts';
import type { Written } from './write-down.ts';

/** What the CRM is answered. */
export type SendAnswer = { message: PublicMessage; send: PublicSend; route: PublicRoute };

export type Refusal = Omit<PlanRefusal, 'code'> & {
  code: PlanRefusal['code'] | 'idempotency_key_reused' | (typeof trackingNotConfigured)['code'];
};

export type Accepted = { answer: SendAnswer } | { refused: Refusal };

/** A message that is planned and composed, and is to be stored. */
export type Draft = { request: SendRequest; call: KeyedCall | null; plan: MessagePlan; written: Written };

/**
 * What becomes of one. `moved`: what its plan rests on is no longer so; `same_key`: another one of these has its
 * Idempotency-Key, and the answer when they are committed.
 */
export type TakenOver = Accepted | 'moved' | 'same_key';

/** One on its way: it has its place in the count of the day, or needs none. */
type Taking = Draft & { grounded: GroundedOutgoing; deferredTo: number | null };

/**
 * Stores messages with their sends, events and answers, in one transaction, and answers what became of each, in order. One
 * that is refused leaves nothing behind, and the others alone.
 *
 * Locks are taken in one order by everybody: keys, senders, the day's counts, then what filing writes, conversations last.
 *
 * @throws FiledMeanwhile, when the ground of one of them has moved.
 */
export async function takeOver(
  { secretBox, clock, limitsOf }: { secretBox: SecretBox; clock: Clock; limitsOf: LimitsOf },
  tx: Db,
  drafts: readonly Draft[],
): Promise<TakenOver[]> {
  const results = new Map<Draft, TakenOver>();
  const firsts = await firstCalls(tx, drafts, results);
  const acceptedAt = clock.now();
  // Locked in this order, in one round trip; of one that comes to nothing its count is free again at the end.
  const [grounds, quotas] = await inOneGo([
    groundOutgoing(
      tx,
      firsts.map((draft) => outgoingOf(draft, acceptedAt)),
    ),
    lockCountsOf(
      tx,
      firsts.flatMap((draft) => countedOf(limitsOf, draft)),
    ),
  ]);
  const sure = firsts.flatMap((draft, n) => {
    const grounded = grounds[n] ?? null;
    if (grounded === null) results.set(draft, 'moved');
    return grounded === null ? [] : [{ ...draft, draft, grounded }];
  });
  const places = await takePlaces(
    tx,
    quotas,
    sure.flatMap((each) => countedOf(limitsOf, each)),
  );
  const taking = sure.flatMap((each): Taking[] => {
    const place = places.get(each.written.sendId);
    const deferredTo = place?.isLater === true ? place.at : null;
    if (deferredTo === null || each.request.onLimit === 'defer') return [{ ...each, deferredTo }];
    results.set(each.draft, { refused: dailyLimit(deferredTo) });
    return [];
  });
  const answers = await store(secretBox, tx, taking);
  return drafts.map((draft) => {
    const result = results.get(draft) ?? answers.get(draft.written.sendId);
    if (result === undefined) throw new Error(`nothing became of ${draft.written.sendId}`);
    return result;
  });
}

/** D3: those that nobody has answered yet, their keys held; of two with the same key the first. */
async function firstCalls(
  tx: Db,
  drafts: readonly Draft[],
  results: Map<Draft, TakenOver>,
): Promise<Draft[]> {
  const calls = drafts.flatMap(({ call }) => call ?? []);
  const [, found] = await inOneGo([lockCalls(tx, calls), findAnswers(tx, calls)]);
  const seen = new Set<string>();
  for (const draft of drafts) {
    const { call } = draft;
    if (call === null) continue;
    const before = answeredBefore(found[calls.indexOf(call)] ?? null);
    const name = JSON.stringify([call.subAccountId, call.key]);
    if (before !== null) results.set(draft, before);
    else if (seen.has(name)) results.set(draft, 'same_key');
    seen.add(name);
  }
  return drafts.filter((draft) => !results.has(draft));
}

/** What a call is answered whose key was used before; null: it was not. */
export function answeredBefore(found: RememberedAnswer | 'other_request' | null): Accepted | null {
  if (found === null) return null;
  if (found === 'other_request') {
    const detail = 'Another message was sent with this Idempotency-Key before.';
    return { refused: { code: 'idempotency_key_reused', detail } };
  }
  return { answer: found.body as SendAnswer };
}

async function store(
  secretBox: SecretBox,
  tx: Db,
  taking: readonly Taking[],
): Promise<Map<SendId, { answer: SendAnswer }>> {
  if (taking.length === 0) return new Map();
  const { filed, write, tell } = fileOutgoing(
    tx,
    secretBox,
    taking.map(({ grounded }) => grounded),
  );
  await inOneGo([
    write(),
    insertSends(
      tx,
      filed.flatMap((stored, n) => {
        const each = taking[n];
        return each === undefined ? [] : [sendOf(each, stored)];
      }),
    ),
    insertTracked(
      tx,
      taking.flatMap(({ request, written: { sendId, tracked } }) =>
        tracked === null ? [] : [{ id: sendId, subAccountId: request.subAccountId, ...tracked }],
      ),
    ),
  ]);
  // Before conversations are locked, for which others wait.
  await Promise.all(taking.map(({ written }) => written.kept));
  const told = await tell();
  const answered = told.flatMap(({ message, send }, n) => {
    const call = taking[n]?.call ?? null;
    return [{ call, answer: { message, send, route: send.route } }];
  });
  await rememberAnswers(
    tx,
    answered.flatMap(({ call, answer }) =>
      call === null ? [] : [{ call, answer: { status: 202, body: answer } }],
    ),
  );
  return new Map(answered.map(({ answer }) => [answer.send.id, { answer }]));
}

function outgoingOf({ request, plan, written }: Draft, acceptedAt: number): Outgoing {
  const { kind, subAccountId, userId } = request;
  const { connection } = plan;
  return {
    sendId: written.sendId,
    kind,
    subAccountId,
    userId,
    through: connection && { connectionId: connection.id, mailboxId: connection.mailboxId },
    header: written.header,
    body: written.body,
    bcc: plan.recipients.bcc,
    threadId: plan.threadId,
    contactIds: plan.contactId === null ? [] : [plan.contactId],
    acceptedAt,
  };
}

function sendOf({ request, plan, written, deferredTo }: Taking, stored: FiledOutgoing): NewSend {
  const { subAccountId, userId, sendAt, requestId } = request;
  const { connection, holdFor } = plan;
  const mailboxId = connection?.mailboxId ?? null;
  return {
    id: written.sendId,
    requestId,
    subAccountId,
    messageId: stored.messageId,
    individual: request.kind === 'individual',
    userId,
    mailboxId,
    route: plan.route,
    state: holdFor === null ? 'queued' : 'held',
    reason: holdFor ?? (deferredTo === null ? null : 'daily_limit'),
    // Of an alias, too, what cannot be delivered comes back to the mailbox that is listened to.
    envelope: { from: connection?.address ?? plan.from.address, to: envelopeOf(plan) },
    internetMessageId: written.header.messageId ?? '',
    rawSha256: written.rawSha256,
    rawSize: written.body.rawSizeBytes,
    orderKeys: [orderKeyOf(stored.threadId, mailboxId, { sendAt, deferredTo })],
    sendAt,
    dueAt: deferredTo,
  };
}

/** L3: what takes a place among the day's individual messages of its mailbox; one that is held has none before it goes. */
function countedOf(limitsOf: LimitsOf, { request, plan, written: { sendId } }: Draft): WantsPlace[] {
  const { kind, sendAt, onLimit } = request;
  const { connection, holdFor } = plan;
  if (kind !== 'individual' || holdFor !== null || connection === null) return [];
  const { mailboxId, provider, limitsSaid } = connection;
  const limits = limitsOf(provider, limitsSaid);
  return [{ mailboxId, sendId, limits, sendAt, defer: onLimit === 'defer' }];
}

function dailyLimit(retryAt: number): Refusal {
  const time = new Date(retryAt).toISOString();
  const detail = `The mailbox takes no more individual messages for now; it works again at ${time}.`;
  return { code: 'daily_limit', detail, retryAt };
}

/** One that waits for its time must not keep back what is said in the thread meanwhile, by others or from another mailbox. */
function orderKeyOf(
  threadId: ThreadId,
  mailboxId: MailboxId | null,
  { sendAt, deferredTo }: { sendAt: number | null; deferredTo: number | null },
): string {
  if (sendAt !== null) return `${threadId}@${sendAt}`;
  return deferredTo === null || mailboxId === null ? threadId : `${threadId}@${mailboxId}`;
}

/** Every recipient once; Bcc stands here alone. */
function envelopeOf({ recipients }: MessagePlan): string[] {
  return [...recipients.to, ...recipients.cc, ...recipients.bcc].map(({ address }) => address);
}
