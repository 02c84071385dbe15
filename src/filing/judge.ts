import { judgeStructure, mayBeTooLarge } from '../message/attachment-limits.ts';
import type { AttachmentLimits, StructurePart } from '../message/attachment-limits.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { newId } from '../lib/id.ts';
import { canonicalOwnAddress } from '../message/addresses.ts';
import type { ConnectionId, ErrandId, MailboxId, MessageId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import { decide, outcomes } from './decide.ts';
import type { Step, Verdict } from './decide.ts';
import { addEffects, nothing } from './effects.ts';
import type { Body, Effects } from './effects.ts';
import { factsOf } from './facts.ts';
import type { Facts } from './facts.ts';
import type { Ground } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
import type { Sighting } from './sighting.ts';

/**
 * What is known of messages beyond their headers, by UID. The body of one that is stored is on disk;
 * of a delivery report or a read receipt only what it says about our own mail is read, and only in memory (S11). Null:
 * asked for, and there is none.
 */
export type Fetched = {
  bodies: Map<number, Body | null>;
  /** What a message consists of; null also where the server did not say. */
  structures: Map<number, readonly StructurePart[] | null>;
  reports: Map<number, DeliveryReport | null>;
};

/** A message whose content a verdict asks for. */
export type Wanted = { uid: number; as: 'body' | 'structure' | 'report' };

/** Sightings, by UID, that no rule stores for anybody: nothing has to be fetched for them or looked up again. */
export type Settled = ReadonlyMap<number, readonly Judged[]>;

/**
 * Judges every sighting for every connection and adds what follows to `effects`; the settled ones have
 * been judged already. Answers what must be fetched first, and what is settled by now; the effects are
 * good for nothing then, since they rest on bodies that are not there.
 */
export function judge(
  given: {
    sightings: readonly Sighting[];
    grounds: ReadonlyMap<ConnectionId, Ground>;
    fetched: Fetched;
    /** L1, L2, as the mailbox has them. */
    limits: AttachmentLimits;
    settled: Settled;
    secretBox: SecretBox;
    /** What had them judged again. */
    errandId: ErrandId | null;
  },
  effects: Effects,
): { wanted: Wanted[]; settled: Settled; judged: readonly Judged[] } {
  const { bodies, reports } = given.fetched;
  const wanted = new Map<string, Wanted>();
  const judged: Judged[] = [];
  const settled = new Map(given.settled);
  const decided = decidesEachOnce();
  const want = (uid: number, as: Wanted['as']) => wanted.set(`${as} ${uid}`, { uid, as });
  for (const sighting of given.sightings) {
    const { uid } = sighting.place;
    const before = given.settled.get(uid);
    if (before !== undefined) {
      judged.push(...before);
      continue;
    }
    const [first, wantedSoFar] = [judged.length, wanted.size];
    for (const ground of given.grounds.values()) {
      const report = reports.get(uid) ?? null;
      const size = sizeOf(sighting, given.limits, given.fetched);
      const { facts, verdict } = decided(factsOf(sighting, ground, report, size === 'too_large'));
      const isReport = facts.kind === 'delivery_report' || facts.kind === 'read_receipt';
      if (isReport && mayBeOnOurs.has(verdict.reason) && !reports.has(uid)) want(uid, 'report');
      const stores = verdict.verdict === 'store';
      if (stores && !bodies.has(uid)) {
        const isAsked = size === 'unknown' && ground.skipsTooLarge && !ground.byHand;
        want(uid, isAsked ? 'structure' : 'body');
      }
      const body = bodies.has(uid) ? (bodies.get(uid) ?? null) : nothing;
      const failed = (stores && body === null) || (sighting.unreadable && !judgedUnseen.has(verdict.reason));
      const messageId = failed
        ? null
        : addEffects(effects, ground, { sighting, facts, verdict, body, report });
      judged.push({ sighting, connection: ground.connection, facts, verdict, failed, messageId });
    }
    const mine = judged.slice(first);
    const isSkip = mine.every(({ verdict, failed }) => verdict.verdict === 'skip' && !failed);
    if (isSkip && wanted.size === wantedSoFar) settled.set(uid, mine);
  }
  // Rows with their keyed hashes are made only where they will be written.
  if (wanted.size === 0) {
    for (const each of judged)
      effects.writes.decisions.push(decisionRow(given.secretBox, each, given.errandId));
    effects.writes.sentAs.push(...judged.flatMap(sentAs));
  }
  return { wanted: [...wanted.values()], settled, judged };
}

/**
 * Most of a batch is alike: the same facts are decided once, and are one object with their reasons, so that they are
 * written once too (see decision-writes.ts).
 */
function decidesEachOnce(): (facts: Facts) => { facts: Facts; verdict: Verdict } {
  const known = new Map<string, { facts: Facts; verdict: Verdict }>();
  return (facts) => {
    const text = JSON.stringify(facts);
    const each = known.get(text) ?? { facts, verdict: decide(facts) };
    known.set(text, each);
    return each;
  };
}

/**
 * D4: another address of the user, from which they have written in their own mail program: its provider let it be, and
 * they have shown it to be theirs. Whatever the rules say of the mail itself.
 */
function sentAs({ sighting, connection, facts }: Judged): { mailbox_id: MailboxId; canonical: string }[] {
  const isSent = sighting.place.role === 'sent' || sighting.marks.has('\\sent');
  const { author } = sighting.people;
  if (!isSent || !facts.author.own || author === null) return [];
  const canonical = canonicalOwnAddress(author.address);
  return canonical === connection.mailboxAddress ? [] : [{ mailbox_id: sighting.mailboxId, canonical }];
}

/**
 * What the rules say of a delivery report or a read receipt that was not read yet. D6 is asked before any of them, since
 * the CRM must learn that its mail bounced, whatever became of the thread (D7).
 */
const mayBeOnOurs: ReadonlySet<string> = new Set([
  'automatic',
  'thread_unlinked',
  'never_log',
  'counterpart_is_user',
]);

/** What the rules can say of a message without its header. */
const judgedUnseen: ReadonlySet<string> = new Set([
  'draft',
  'spam_or_trash',
  'duplicate',
  'erased',
  'before_connection',
]);

/** What is known so far of how large its attachments are (L1). `unknown`: the structure says it, or makes the body say it. */
function sizeOf(
  { place: { uid }, size }: Sighting,
  limits: AttachmentLimits,
  { bodies, structures }: Fetched,
): 'within' | 'too_large' | 'unsure' | 'unknown' {
  const body = bodies.get(uid);
  if (body !== undefined && body !== nothing) return body?.tooLarge === true ? 'too_large' : 'within';
  if (!mayBeTooLarge(size, limits)) return 'within';
  const parts = structures.get(uid);
  if (parts === undefined) return 'unknown';
  return parts === null ? 'unsure' : judgeStructure(parts, limits);
}

/** What came of one sighting for one connection. */
export type Judged = {
  sighting: Sighting;
  connection: { id: ConnectionId; subAccountId: string; mailboxAddress: string };
  facts: Facts;
  verdict: Verdict;
  failed: boolean;
  messageId: MessageId | null;
};

const unread: Step = { rule: 'T3', because: { say: 'no_copy' } };

function decisionRow(secretBox: SecretBox, judged: Judged, errandId: ErrandId | null): DecisionRow {
  const { sighting, connection, facts, verdict, failed, messageId } = judged;
  const { place, mailboxId } = sighting;
  return {
    id: newId('dec'),
    sub_account_id: connection.subAccountId,
    connection_id: connection.id,
    mailbox_id: mailboxId,
    folder_id: place.folderId,
    uid_validity: place.uidValidity,
    uid: place.uid,
    outcome: failed ? 'failed' : outcomes[verdict.verdict],
    reason: failed ? 'unreadable' : verdict.reason,
    reasons: failed ? [...verdict.steps, unread] : verdict.steps,
    facts,
    id_hash: hashOfMessageKey(secretBox, sighting.messageKeys[0] ?? ''),
    address_hashes: counterparts(sighting, facts).map((address) => hashOfAddress(secretBox, address)),
    message_id: messageId,
    attempts: failed ? 1 : 0,
    intake_id: null,
    errand_id: errandId,
  };
}

/** Most hashed counterparts of one decision; a message to hundreds is found by its id. */
const counterpartsMax = 20;

function counterparts(sighting: Sighting, facts: Facts): string[] {
  const { author, recipients } = sighting.people;
  const people = facts.direction === 'outbound' || author === null ? recipients : [author];
  return people.slice(0, counterpartsMax).map(({ address }) => address);
}
