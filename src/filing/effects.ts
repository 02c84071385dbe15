import assert from 'node:assert/strict';
import { idKey } from '../message/message-id.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import type { ParsedMessage } from '../message/parse.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, ConversationId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { noWrites } from '../store/filing-writes.ts';
import type { AttachmentRow, FilingWrites, MessageRow, Recognised } from '../store/filing-writes.ts';
import type { SendReport } from '../store/send-reports.ts';
import type { Facts, StoredMessage } from './facts.ts';
import type { Verdict } from './decide.ts';
import type { Ground, GrowingGround } from './gather.ts';
import { sendReport, sentMailOf } from './reports.ts';
import type { ReasonCode } from './rules.ts';
import {
  addLink,
  addParticipants,
  addThreadKeys,
  openThread,
  showInConversations,
} from './thread-effects.ts';
import { placeStateOf } from './sighting.ts';
import type { Sighting, ThreadKey } from './sighting.ts';

/** What a filing transaction will do, gathered over a batch. Plain data; store/ carries it out. */
export type Effects = {
  writes: FilingWrites;
  recognised: Recognised[];
  /** Messages that were seen in one more place, which may say something new of them (U2, U3). */
  seenAgain: Set<MessageId>;
  /** What reports say of our own sends. */
  reports: SendReport[];
  /** Threads in which something has cited an id that is known to be a message's only now. */
  citedBefore: Set<ThreadId>;
  /** Messages that are new in a sub-account, in order. */
  created: { subAccountId: string; messageId: MessageId; threadId: ThreadId }[];
  /** Sends that the CRM hands over with their messages. */
  accepted: { subAccountId: string; sendId: SendId }[];
  /** S13: what messages that opened a thread answer, by Message-ID. */
  heads: {
    connectionId: ConnectionId;
    mailboxId: MailboxId;
    subAccountId: string;
    messageId: MessageId;
    messageIds: string[];
  }[];
  /** Conversations to mark as changed, with the date of their newest message here. */
  touched: Map<ConversationId, { subAccountId: string; date: string; isNew: boolean }>;
};

export function noEffects(): Effects {
  return {
    writes: noWrites(),
    recognised: [],
    seenAgain: new Set(),
    reports: [],
    citedBefore: new Set(),
    created: [],
    accepted: [],
    heads: [],
    touched: new Map(),
  };
}

/** A message's body, fetched, parsed and with its blobs stored. */
export type Body = {
  /** Null: an attachment is left out, and they hold it. */
  rawSha256: string | null;
  rawSizeBytes: number;
  /** Its attachments are past the limit of the mailbox (L1), whether or not they are left out. */
  tooLarge: boolean;
  parsed: Omit<ParsedMessage, 'attachments' | 'header'>;
  attachments: Omit<AttachmentRow, 'sub_account_id' | 'message_id'>[];
};

/**
 * Adds what a verdict means for one sub-account to `effects`, and lets `ground` know, so that the
 * next message of the batch finds this one as if it had been in the database already. Answers the
 * message that the sighting is now part of, or null for a skip.
 */
export function addEffects(
  effects: Effects,
  ground: Ground,
  seen: {
    sighting: Sighting;
    facts: Facts;
    verdict: Verdict;
    body: Body | null;
    report: DeliveryReport | null;
  },
): MessageId | null {
  const { sighting, facts, verdict, body } = seen;
  switch (verdict.verdict) {
    case 'skip':
    case 'hold':
      return null;
    case 'report':
      if (seen.report !== null) effects.reports.push(sendReport(seen.report, verdict.on, sighting, ground));
      return verdict.on.messageId;
    case 'join':
      joinKnown(effects, ground, sighting, verdict.known, verdict.reason);
      return verdict.known.messageId;
    case 'omit':
      if (verdict.known === null) return showOnly(effects, ground, { sighting, facts, verdict });
      joinKnown(effects, ground, sighting, verdict.known, verdict.opensBy);
      return verdict.known.messageId;
    case 'store': {
      assert(body !== null, `stored without a body: UID ${sighting.place.uid}`);
      return storeSighting(effects, ground, { sighting, facts, verdict, body });
    }
  }
}

function joinKnown(
  effects: Effects,
  ground: Ground,
  sighting: Sighting,
  known: NonNullable<Facts['known']>,
  reason: string,
): void {
  addSighting(effects, ground, sighting, known.messageId);
  if (!known.here) isHere(ground, known.messageId);
  effects.seenAgain.add(known.messageId);
  addKeys(effects, ground, known, sighting.messageKeys, sighting.fingerprint, false);
  addThreadKeys(effects, ground, known.threadId, sighting.threadKeys);
  if (known.sendId !== null) confirm(ground, known.sendId);
  // Another mailbox's message that a rule of this mailbox asks for: its thread lives here now, too.
  if (reason !== 'duplicate' && reason !== 'sent_copy' && reason !== 'by_hand')
    addLink(effects, ground, known.threadId);
  if (!known.here || known.sendId !== null) {
    effects.recognised.push({
      message_id: known.messageId,
      internet_message_id: sighting.header.messageId,
      date: sighting.header.date === null ? null : new Date(sighting.header.date).toISOString(),
      send_id: known.sendId,
      in_sent: sighting.place.role === 'sent' || sighting.marks.has('\\sent'),
    });
  }
}

/** The next sighting of the batch finds it in this mailbox. */
function isHere(ground: Ground, messageId: MessageId): void {
  for (const messages of ground.messages.values()) {
    for (const message of messages) if (message.messageId === messageId) message.here = true;
  }
}

/** A copy confirms one send; the next copy with the same fingerprint is another one's. */
function confirm(ground: Ground, sendId: SendId): void {
  for (const sends of ground.unconfirmedSends.values()) {
    const position = sends.findIndex((send) => send.sendId === sendId);
    if (position !== -1) sends.splice(position, 1);
  }
}

function storeSighting(
  effects: Effects,
  ground: Ground,
  seen: { sighting: Sighting; facts: Facts; verdict: Verdict & { verdict: 'store' }; body: Body },
): MessageId {
  const { sighting, facts, verdict, body } = seen;
  if (verdict.fills !== null) {
    joinKnown(effects, ground, sighting, verdict.fills, verdict.reason);
    fillMessage(effects, ground, verdict.fills, { row: draftOf(sighting, facts, body), body });
    return verdict.fills.messageId;
  }
  const row = draftOf(sighting, facts, body);
  const of = { threadId: verdict.threadId, openedBy: verdict.reason, row, attachments: body.attachments };
  return storeSeen(effects, ground, { ...seen, ...of });
}

/** L1: a line of the conversation, of what the header says. Its thread lives as if all of it were there. */
function showOnly(
  effects: Effects,
  ground: Ground,
  seen: { sighting: Sighting; facts: Facts; verdict: Verdict & { verdict: 'omit' } },
): MessageId {
  const { sighting, facts, verdict } = seen;
  const row = { ...draftOf(sighting, facts, nothing), raw_size: sighting.size, omitted: verdict.reason };
  const of = { threadId: verdict.threadId, openedBy: verdict.opensBy, row, attachments: [] };
  return storeSeen(effects, ground, { ...seen, ...of });
}

/** L1: the rest of a message of which only the header was stored. */
export function fillMessage(
  effects: Effects,
  ground: Ground,
  { messageId }: { messageId: MessageId },
  { row, body }: { row: MessageDraft; body: Body },
): void {
  const { body_text, body_html, reply_text, partial, raw_sha256, raw_size } = row;
  effects.writes.fills.push({
    id: messageId,
    body_text,
    body_html,
    reply_text,
    partial,
    raw_sha256,
    raw_size,
  });
  for (const attachment of body.attachments) {
    const sub_account_id = ground.connection.subAccountId;
    effects.writes.attachments.push({ ...attachment, sub_account_id, message_id: messageId });
  }
  // The next sighting of the batch is one more of a whole message.
  for (const messages of ground.messages.values()) {
    for (const message of messages) if (message.messageId === messageId) message.omitted = false;
  }
}

function storeSeen(
  effects: Effects,
  ground: Ground,
  seen: {
    sighting: Sighting;
    facts: Facts;
    threadId: ThreadId | null;
    openedBy: ReasonCode;
    row: MessageDraft;
    attachments: Body['attachments'];
  },
): MessageId {
  const { sighting, facts, threadId, openedBy } = seen;
  const contacts = [...facts.author.contacts, ...facts.recipientContacts].map((contact) => contact.id);
  const stored = storeMessage(effects, ground, {
    row: seen.row,
    attachments: seen.attachments,
    threadId,
    openedBy,
    links: openedBy !== 'by_hand',
    contactIds: contacts,
    messageKeys: sighting.messageKeys,
    threadKeys: sighting.threadKeys,
    fingerprint: sighting.fingerprint,
    sendId: null,
  });
  addSighting(effects, ground, sighting, stored.messageId);
  const isOpened = openedBy === 'from_contact' || openedBy === 'to_contact';
  if (isOpened && threadId === null && ground.fetchThreadHead)
    addHead(effects, ground, sighting, stored.messageId);
  return stored.messageId;
}

/** The row of a message that was seen, as it came from a mailbox. */
export function draftOf(sighting: Sighting, facts: Pick<Facts, 'direction'>, body: Body): MessageDraft {
  const { header } = sighting;
  const { author } = sighting.people;
  return {
    direction: facts.direction,
    kind: 'individual',
    via: ['mailbox'],
    sender: author ?? { name: '', address: '' },
    recipients_to: header.to,
    recipients_cc: header.cc,
    recipients_bcc: [],
    subject: header.subject,
    date: new Date(header.date ?? sighting.internalDate).toISOString(),
    received_at: new Date(sighting.internalDate).toISOString(),
    internet_message_id: header.messageId,
    in_reply_to: header.inReplyTo,
    reference_ids: header.references,
    body_text: body.parsed.text,
    body_html: body.parsed.html,
    reply_text: body.parsed.replyText,
    automatic: sighting.kind === 'person' ? null : sighting.kind,
    partial: body.parsed.partial,
    is_read: facts.direction === 'outbound' || sighting.marks.has('\\seen'),
    mailbox_state: placeStateOf(sighting.place.role, sighting.marks),
    omitted: null,
    raw_sha256: body.rawSha256,
    raw_size: body.rawSizeBytes,
  };
}

/** Of a body that is not fetched. */
export const nothing: Body = {
  rawSha256: null,
  rawSizeBytes: 0,
  tooLarge: false,
  parsed: { text: '', html: null, replyText: '', partial: null },
  attachments: [],
};

/** As many older messages as a thread is likely to have before it reaches a contact. */
const headsMax = 20;

/** S13: leaves what a message answers to be fetched, as far as it is not stored. */
function addHead(
  effects: Effects,
  ground: Ground,
  { header, mailboxId }: Sighting,
  messageId: MessageId,
): void {
  const { id: connectionId, subAccountId } = ground.connection;
  const answered = new Set([...header.inReplyTo, ...header.references.toReversed()]);
  const messageIds = [...answered].filter((id) => !ground.messages.has(idKey(id))).slice(0, headsMax);
  if (messageIds.length > 0)
    effects.heads.push({ connectionId, mailboxId, subAccountId, messageId, messageIds });
}

export type MessageDraft = Omit<MessageRow, 'id' | 'sub_account_id' | 'thread_id' | 'user_id'>;

/** A new message: in its thread (null: a new one), in the conversation of each contact on it. */
export function storeMessage(
  effects: Effects,
  ground: GrowingGround,
  message: {
    row: MessageDraft;
    attachments: Omit<AttachmentRow, 'sub_account_id' | 'message_id'>[];
    threadId: ThreadId | null;
    openedBy: string;
    /** Later messages of its thread sync from the mailbox. */
    links: boolean;
    contactIds: readonly string[];
    messageKeys: readonly string[];
    threadKeys: readonly ThreadKey[];
    fingerprint: string;
    sendId: SendId | null;
  },
): { messageId: MessageId; threadId: ThreadId } {
  const { writes } = effects;
  const { subAccountId, userId } = ground.connection;
  const threadId = message.threadId ?? openThread(effects, ground, message.row.subject, message.openedBy);
  const messageId = newId('msg');
  writes.messages.push({
    ...message.row,
    id: messageId,
    sub_account_id: subAccountId,
    thread_id: threadId,
    user_id: userId,
  });
  for (const attachment of message.attachments) {
    writes.attachments.push({ ...attachment, sub_account_id: subAccountId, message_id: messageId });
  }
  if (message.links) addLink(effects, ground, threadId);
  addKeys(
    effects,
    ground,
    { messageId, threadId, here: true, sendId: message.sendId, omitted: message.row.omitted !== null },
    message.messageKeys,
    message.fingerprint,
    true,
  );
  addThreadKeys(effects, ground, threadId, message.threadKeys);
  addParticipants(effects, ground, threadId, message.row);
  showInConversations(effects, ground, threadId, message);
  effects.created.push({ subAccountId, messageId, threadId });
  return { messageId, threadId };
}

export function addKeys(
  effects: Effects,
  ground: GrowingGround,
  stored: Omit<StoredMessage, 'fingerprint' | 'sent'>,
  keys: readonly string[],
  fingerprint: string,
  isNew: boolean,
): void {
  for (const [position, key] of keys.entries()) {
    const known = ground.messages.get(key) ?? [];
    if (known.some((message) => message.fingerprint === fingerprint)) continue;
    effects.writes.messageKeys.push({
      sub_account_id: ground.connection.subAccountId,
      key,
      fingerprint,
      message_id: stored.messageId,
      first: isNew && position === 0,
    });
    const sent = stored.sendId === null ? null : sentMailOf(ground, stored.messageId);
    ground.messages.set(key, [...known, { ...stored, here: true, fingerprint, sent }]);
  }
}

function addSighting(effects: Effects, ground: Ground, sighting: Sighting, messageId: MessageId): void {
  const { place, mailboxId } = sighting;
  effects.writes.sightings.push({
    sub_account_id: ground.connection.subAccountId,
    folder_id: place.folderId,
    uid_validity: place.uidValidity,
    uid: place.uid,
    message_id: messageId,
    mailbox_id: mailboxId satisfies MailboxId,
    is_read: sighting.marks.has('\\seen'),
    state: placeStateOf(place.role, sighting.marks),
  });
}
