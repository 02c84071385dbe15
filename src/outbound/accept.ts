import { createHash } from 'node:crypto';
import { fileOutgoing, NobodySends } from '../filing/outgoing.ts';
import { readBody } from '../filing/body.ts';
import type { Body } from '../filing/effects.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { MailboxId, SendId, ThreadId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { canonicalAddress } from '../message/addresses.ts';
import { noLimits } from '../message/attachment-limits.ts';
import { readHeader } from '../message/header.ts';
import { htmlToPlainText } from '../message/html.ts';
import type { MessageHeader } from '../message/header.ts';
import { blobName } from '../store/blobs.ts';
import type { BlobStore } from '../store/blobs.ts';
import { refersToNothing, wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { FiledMeanwhile } from '../store/filing-writes.ts';
import { findAnswer, rememberAnswer } from '../store/idempotency.ts';
import type { KeyedCall } from '../store/idempotency.ts';
import { readOutgoingFacts } from '../store/outgoing.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicSend } from '../store/public-send.ts';
import { insertSend } from '../store/sends.ts';
import { insertTracked } from '../store/tracking.ts';
import { compose } from './compose.ts';
import { limitsOf } from '../provider/providers.ts';
import { planMessage } from './plan.ts';
import type { MessagePlan, PlanRefusal, SendRequest } from './plan.ts';
import { takePlace } from './quota.ts';
import { trackMessage, trackingNotConfigured } from './tracking.ts';
import type { TrackedHtml } from './tracking.ts';

/** What the CRM is answered. */
export type SendAnswer = { message: PublicMessage; send: PublicSend; route: PublicSend['route'] };

export type Refusal = Omit<PlanRefusal, 'code'> & {
  code: PlanRefusal['code'] | 'idempotency_key_reused' | (typeof trackingNotConfigured)['code'];
};

export type AcceptDeps = {
  db: Db;
  blobs: BlobStore;
  secretBox: SecretBox;
  clock: Clock;
  /** What is behind the @ of logging addresses; null: there are none. */
  loggingDomain: string | null;
  /** Where recipients of tracked mail reach the gateway, without a slash at the end; null: nothing is tracked. */
  trackingUrl: string | null;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  /** Called after a commit that left something to send behind. */
  wakeSender(): void;
};

/** How often the ground may move between looking and writing before it must be an error of ours. */
const roundsMax = 5;

/**
 * Takes a message over from the CRM (D3): when this resolves with an answer, message, send, events and
 * the answer itself are committed, and the bytes that will go out are on disk. The same
 * `idempotencyKey` again gets the first answer, and nothing is sent twice.
 */
export async function acceptMessage(
  deps: AcceptDeps,
  request: SendRequest,
  idempotencyKey: string | null,
): Promise<{ answer: SendAnswer } | { refused: Refusal }> {
  const { subAccountId } = request;
  const call =
    idempotencyKey === null ? null : { subAccountId, key: idempotencyKey, requestHash: hashOf(request) };
  if (call !== null) {
    const before = await deps.db.transaction((tx) => answeredBefore(tx, call));
    if (before !== null) return before;
  }
  const { opens, clicks } = request.track;
  if ((opens || clicks) && deps.trackingUrl === null) return { refused: trackingNotConfigured };
  for (let round = 1; ; round += 1) {
    const plan = await look(deps, request);
    if ('refused' in plan) return plan;
    const written = await write(deps, request, plan);
    try {
      const result = await deps.db.transaction((tx) => store(deps, tx, call, request, plan, written));
      deps.wakePublisher();
      deps.wakeSender();
      return result;
    } catch (error) {
      const moved =
        error instanceof FiledMeanwhile ||
        error instanceof NobodySends ||
        wasOvertaken(error) ||
        refersToNothing(error);
      if (!moved || round === roundsMax) throw error;
    }
  }
}

/** The first answer to this key; null when there is none. */
async function answeredBefore(
  tx: Db,
  call: KeyedCall,
): Promise<{ answer: SendAnswer } | { refused: Refusal } | null> {
  const found = await findAnswer(tx, call);
  if (found === null) return null;
  if (found === 'other_request') {
    const detail = 'Another message was sent with this Idempotency-Key before.';
    return { refused: { code: 'idempotency_key_reused', detail } };
  }
  return { answer: found.body as SendAnswer };
}

/** What was asked for, in the same words for the same request however it was sent; files by their hash. */
function hashOf(request: SendRequest): Buffer {
  const files = request.files.map(({ name, type, content }) => [
    name,
    type,
    createHash('sha256').update(content).digest('hex'),
  ]);
  const headers = Object.entries(request.headers).sort(([a], [b]) => (a < b ? -1 : 1));
  const { kind, userId, contactId, to, cc, bcc, from, subject, text, html, replyToMessageId, sendAt } =
    request;
  const words = [kind, userId, contactId, to, cc, bcc, from, subject, text, html, replyToMessageId, sendAt];
  const { track, onLimit } = request;
  return createHash('sha256')
    .update(JSON.stringify([...words, headers, files, track.opens, track.clicks, onLimit]))
    .digest();
}

async function look(deps: AcceptDeps, request: SendRequest): Promise<MessagePlan | { refused: PlanRefusal }> {
  const facts = await readOutgoingFacts(deps.db, {
    subAccountId: request.subAccountId,
    userId: request.userId,
    contactId: request.contactId,
    addresses: request.to.map(({ address }) => canonicalAddress(address)),
    parentId: request.replyToMessageId,
  });
  // Only an answer that names nobody looks at the parent's Reply-To, which stands in its bytes alone.
  const raw = request.to.length === 0 ? (facts.parent?.rawSha256 ?? null) : null;
  const replyTo = raw === null ? [] : (await headerOf(deps.blobs, raw)).replyTo;
  return planMessage(request, { ...facts, loggingDomain: deps.loggingDomain }, replyTo);
}

/** A header is within the first 256 KiB (see message/header.ts). */
const headerBytesMax = 256 * 1024;

async function headerOf(blobs: BlobStore, sha256: string): Promise<MessageHeader> {
  const chunks: Buffer[] = [];
  for await (const chunk of blobs.get(sha256, { start: 0, end: headerBytesMax - 1 })) {
    chunks.push(chunk as Buffer);
  }
  return readHeader(Buffer.concat(chunks));
}

type Written = {
  sendId: SendId;
  header: MessageHeader;
  body: Body;
  rawSha256: string;
  tracked: TrackedHtml | null;
};

/** Composes the message and puts its bytes, and what they were read as, on disk. */
async function write(deps: AcceptDeps, request: SendRequest, plan: MessagePlan): Promise<Written> {
  const sendId = newId('snd');
  const { html, track } = request;
  const { secretBox, trackingUrl } = deps;
  const tracked =
    html === null || trackingUrl === null || !(track.opens || track.clicks)
      ? null
      : trackMessage({ box: secretBox, trackingUrl }, { sendId, html, track });
  const { raw } = await compose({
    from: plan.from,
    to: plan.recipients.to,
    cc: plan.recipients.cc,
    subject: plan.subject,
    // Made from what was given: a text part is never tracked.
    text: request.text ?? (tracked === null || html === null ? null : htmlToPlainText(html)),
    html: tracked?.html ?? html,
    files: request.files,
    thread: plan.thread,
    headers: request.headers,
    // A message that is sent later is dated then: programs sort by it, and old dates look like spam.
    date: Math.max(deps.clock.now(), request.sendAt ?? 0),
  });
  const { body, kept } = await readBody(deps, raw, { limits: noLimits, anySize: true });
  await kept;
  // Shown as it was given; what was read back has the line ends of mail.
  const text = request.text ?? body.parsed.text;
  const shown = { ...body, parsed: { ...body.parsed, text } };
  return { sendId, header: readHeader(raw), body: shown, rawSha256: blobName(raw), tracked };
}

async function store(
  deps: AcceptDeps,
  tx: Db,
  call: KeyedCall | null,
  request: SendRequest,
  plan: MessagePlan,
  written: Written,
): Promise<{ answer: SendAnswer } | { refused: Refusal }> {
  // A second call with the same key may have been quicker.
  const before = call === null ? null : await answeredBefore(tx, call);
  if (before !== null) return before;
  const { kind, subAccountId, userId, sendAt } = request;
  const { connection } = plan;
  const { sendId, header, body, tracked } = written;
  const place = await placeOf(tx, request, plan, sendId);
  if (place?.isLater === true && request.onLimit === 'refuse') return { refused: dailyLimit(place.at) };
  const deferredTo = place?.isLater === true ? place.at : null;
  const filed = await fileOutgoing(tx, deps.secretBox, {
    sendId,
    kind,
    subAccountId,
    userId,
    through: connection && { connectionId: connection.id, mailboxId: connection.mailboxId },
    header,
    body,
    bcc: plan.recipients.bcc,
    threadId: plan.threadId,
    contactIds: plan.contactId === null ? [] : [plan.contactId],
    acceptedAt: deps.clock.now(),
  });
  const { messageId, threadId } = filed;
  const state = plan.holdFor === null ? 'queued' : 'held';
  await insertSend(tx, {
    id: sendId,
    subAccountId,
    messageId,
    userId,
    mailboxId: connection?.mailboxId ?? null,
    route: plan.route,
    state,
    reason: plan.holdFor ?? (deferredTo === null ? null : 'daily_limit'),
    // Of an alias, too, what cannot be delivered comes back to the mailbox that is listened to.
    envelope: { from: connection?.address ?? plan.from.address, to: envelopeOf(plan) },
    internetMessageId: header.messageId ?? '',
    rawSha256: written.rawSha256,
    rawSize: body.rawSizeBytes,
    orderKeys: [orderKeyOf(threadId, connection?.mailboxId ?? null, { sendAt, deferredTo })],
    sendAt,
    dueAt: deferredTo,
  });
  if (tracked !== null) await insertTracked(tx, { id: sendId, subAccountId }, tracked);
  const { message, send } = await filed.tell();
  const answer: SendAnswer = { message, send, route: send.route };
  if (call !== null) await rememberAnswer(tx, call, { status: 202, body: answer });
  return { answer };
}

/** L3: its place among the day's individual messages of the mailbox; one that is held has none before it goes. */
async function placeOf(
  tx: Db,
  { kind, sendAt, onLimit }: SendRequest,
  { connection, holdFor }: MessagePlan,
  sendId: SendId,
): Promise<{ at: number; isLater: boolean } | null> {
  if (kind !== 'individual' || holdFor !== null || connection === null) return null;
  const { mailboxId, provider, limitsSaid } = connection;
  const limits = limitsOf(provider, limitsSaid);
  return takePlace(tx, { mailboxId, sendId, limits, sendAt, defer: onLimit === 'defer' });
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
