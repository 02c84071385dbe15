import { createHash } from 'node:crypto';
import { createBatcher } from '../lib/batcher.ts';
import type { Clock } from '../lib/clock.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { canonicalAddress } from '../message/addresses.ts';
import { readHeader } from '../message/header.ts';
import type { MessageHeader } from '../message/header.ts';
import { isOfAll } from '../store/away.ts';
import type { BlobStore } from '../store/blobs.ts';
import { refersToNothing, wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { FiledMeanwhile } from '../store/filing-writes.ts';
import { findAnswers } from '../store/idempotency.ts';
import type { KeyedCall } from '../store/idempotency.ts';
import { readOutgoingFacts } from '../store/outgoing.ts';
import type { LimitsOf } from '../provider/figures.ts';
import type { OutgoingFacts } from '../store/outgoing.ts';
import { planMessage } from './plan.ts';
import type { MessagePlan, PlanRefusal, SendRequest } from './plan.ts';
import { answeredBefore, takeOver } from './take-over.ts';
import type { Accepted, Draft, TakenOver } from './take-over.ts';
import { trackingNotConfigured } from './tracking.ts';
import { writeDown } from './write-down.ts';
import type { Written } from './write-down.ts';

export type AcceptDeps = {
  db: Db;
  blobs: BlobStore;
  secretBox: SecretBox;
  clock: Clock;
  /** What is behind the @ of logging addresses; null: there are none. */
  loggingDomain: string | null;
  limitsOf: LimitsOf;
  /** Where recipients of tracked mail reach the gateway, without a slash at the end; null: nothing is tracked. */
  trackingUrl: string | null;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  /** Called after a commit that left something to send behind. */
  wakeSender(): void;
};

/** How often the ground may move between looking and writing before it must be an error of ours. */
const roundsMax = 5;

/** Messages of one transaction, at most: what takes some ten milliseconds. */
const batchMax = 50;
/** One that has longer bodies (UTF-16 units) has a transaction of its own: together they would be hundreds of megabytes. */
const sharedCharsMax = 100_000;
/** One that waits for a lock keeps those that come after it waiting no longer than this. */
const overtaking = { atOnce: 4, lateMs: 30 };

/**
 * Takes a message over from the CRM (D3): when this resolves with an answer, message, send, events and
 * the answer itself are committed, and the bytes that will go out are on disk. The same
 * `idempotencyKey` again gets the first answer, and nothing is sent twice.
 */
export type Accept = (request: SendRequest, idempotencyKey: string | null) => Promise<Accepted>;

/**
 * The database was lost while it committed: the message may be stored, and will be sent then. So the call fails; only its
 * Idempotency-Key tells what became of it.
 */
type InDoubt = { inDoubt: unknown };

/** Messages that come at the same time share their queries and their transaction; none has to do with another's fate. */
export function createAccept(deps: AcceptDeps): Accept {
  const look = createBatcher({
    most: batchMax,
    overtaking,
    isOfAll,
    run: (calls: readonly Called[]) => lookAll(deps.db, calls),
  });
  const storeAll = async (drafts: readonly Draft[]): Promise<(TakenOver | InDoubt)[]> => {
    let isCommitting = false;
    try {
      const results = await deps.db.transaction(async (tx) => {
        const taken = await takeOver(deps, tx, drafts);
        isCommitting = true;
        return taken;
      });
      deps.wakePublisher();
      deps.wakeSender();
      return results;
    } catch (error) {
      // Thrown, it would have each of them stored once more by itself.
      if (isCommitting) return drafts.map(() => ({ inDoubt: error }));
      throw error;
    }
  };
  const storeShared = createBatcher({ most: batchMax, overtaking, isOfAll, run: storeAll });
  const store = async (draft: Draft): Promise<TakenOver> => {
    const [result = 'moved'] = isShort(draft.written) ? [await storeShared(draft)] : await storeAll([draft]);
    if (typeof result === 'object' && 'inDoubt' in result) throw result.inDoubt;
    return result;
  };
  return async (request, idempotencyKey) => {
    const { subAccountId } = request;
    const call =
      idempotencyKey === null ? null : { subAccountId, key: idempotencyKey, requestHash: hashOf(request) };
    const { opens, clicks } = request.track;
    for (let round = 1; ;) {
      const { facts, before } = await look({ request, call });
      if (before !== null) return before;
      if ((opens || clicks) && deps.trackingUrl === null) return { refused: trackingNotConfigured };
      const plan = await planOf(deps, request, facts);
      if ('refused' in plan) return plan;
      const written = await writeDown(deps, request, plan);
      const result = await store({ request, call, plan, written }).catch((error: unknown): TakenOver => {
        if (!hasMoved(error) || round === roundsMax) throw error;
        return 'moved';
      });
      // Also of one that is not stored: nothing is on its way any more when it is answered.
      await Promise.allSettled([written.kept]);
      if (result === 'moved' && round === roundsMax)
        throw new Error(`the ground of ${written.sendId} keeps moving`);
      if (result === 'moved') round += 1;
      // Of another call with its key there is an answer by now, or a refusal, which is not remembered.
      else if (result !== 'same_key') return result;
    }
  };
}

function isShort({ body: { parsed } }: Written): boolean {
  return parsed.text.length + (parsed.html?.length ?? 0) <= sharedCharsMax;
}

/** A call, before anything is looked up. */
type Called = { request: SendRequest; call: KeyedCall | null };

async function lookAll(
  db: Db,
  calls: readonly Called[],
): Promise<{ facts: OutgoingFacts; before: Accepted | null }[]> {
  const keyed = calls.flatMap(({ call }) => call ?? []);
  const [all, answers] = await Promise.all([
    readOutgoingFacts(
      db,
      calls.map(({ request }) => ({
        subAccountId: request.subAccountId,
        userId: request.userId,
        contactId: request.contactId,
        addresses: request.to.map(({ address }) => canonicalAddress(address)),
        parentId: request.replyToMessageId,
      })),
    ),
    findAnswers(db, keyed),
  ]);
  const found = new Map(keyed.map((call, n) => [call, answers[n] ?? null]));
  return all.map((facts, n) => {
    const call = calls[n]?.call ?? null;
    return { facts, before: call === null ? null : answeredBefore(found.get(call) ?? null) };
  });
}

/** Whether the same again, on what is true by then, may well succeed. */
function hasMoved(error: unknown): boolean {
  return error instanceof FiledMeanwhile || wasOvertaken(error) || refersToNothing(error);
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

async function planOf(
  deps: AcceptDeps,
  request: SendRequest,
  facts: OutgoingFacts,
): Promise<MessagePlan | { refused: PlanRefusal }> {
  // Only an answer that names nobody looks at the parent's Reply-To, which stands in its bytes alone.
  const raw = request.to.length === 0 ? (facts.parent?.rawSha256 ?? null) : null;
  const replyTo = raw === null ? [] : (await headerOf(deps.blobs, raw)).replyTo;
  return planMessage(
    request,
    { ...facts, loggingDomain: deps.loggingDomain, limitsOf: deps.limitsOf },
    replyTo,
  );
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
