import assert from 'node:assert/strict';
import { canonicalAddress } from '../message/addresses.ts';
import { idKey } from '../message/message-id.ts';
import { forwardCount } from '../message/subject.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import type { ParsedMessage } from '../message/parse.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, ConversationId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { noWrites } from '../store/filing-writes.ts';
import type { AttachmentRow, FilingWrites, MessageRow, Recognised } from '../store/filing-writes.ts';
import type { SendReport } from '../store/send-reports.ts';
import type { Facts } from './facts.ts';
import type { Verdict } from './decide.ts';
import type { Ground } from './gather.ts';
import { envelopeOf, sendReport } from './reports.ts';
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
    heads: [],
    touched: new Map(),
  };
}

/** A message's body, fetched, parsed and with its blobs stored. */
export type Body = {
  rawSha256: string;
  rawSizeBytes: number;
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
  const contacts = [...facts.author.contacts, ...facts.recipientContacts].map((contact) => contact.id);
  const stored = storeMessage(effects, ground, {
    row: draftOf(sighting, facts, body),
    attachments: body.attachments,
    threadId: verdict.threadId,
    openedBy: verdict.reason,
    links: verdict.reason !== 'by_hand',
    contactIds: contacts,
    messageKeys: sighting.messageKeys,
    threadKeys: sighting.threadKeys,
    fingerprint: sighting.fingerprint,
    sendId: null,
  });
  addSighting(effects, ground, sighting, stored.messageId);
  const isOpened = verdict.reason === 'from_contact' || verdict.reason === 'to_contact';
  if (isOpened && verdict.threadId === null && ground.fetchThreadHead)
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
    raw_sha256: body.rawSha256,
    raw_size: body.rawSizeBytes,
  };
}

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
  ground: Ground,
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
    { messageId, threadId, here: true, sendId: message.sendId },
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

function openThread(effects: Effects, ground: Ground, subject: string, openedBy: string): ThreadId {
  const id = newId('thr');
  effects.writes.threads.push({
    id,
    sub_account_id: ground.connection.subAccountId,
    subject,
    opened_by: openedBy,
  });
  ground.threads.set(id, {
    threadId: id,
    link: null,
    unlinkedReason: null,
    forwards: forwardCount(subject),
    crmSent: false,
    participants: new Set(),
    contacts: new Set(),
  });
  ground.threadConversations.set(id, new Map());
  return id;
}

export function addLink(effects: Effects, ground: Ground, threadId: ThreadId): void {
  const thread = ground.threads.get(threadId);
  const { mailboxId, subAccountId } = ground.connection;
  if (thread === undefined || thread.link === 'live' || mailboxId === null) return;
  effects.writes.links.push({ thread_id: threadId, mailbox_id: mailboxId, sub_account_id: subAccountId });
  ground.threads.set(threadId, { ...thread, link: 'live', unlinkedReason: null });
}

export function addKeys(
  effects: Effects,
  ground: Ground,
  stored: { messageId: MessageId; threadId: ThreadId; here: boolean; sendId: SendId | null },
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
    const envelope = stored.sendId === null ? [] : envelopeOf(ground, stored.messageId);
    ground.messages.set(key, [...known, { ...stored, here: true, fingerprint, envelope }]);
  }
}

export function addThreadKeys(
  effects: Effects,
  ground: Ground,
  threadId: ThreadId,
  keys: readonly ThreadKey[],
): void {
  for (const { key, kind } of keys) {
    const known = ground.threadKeys.get(key) ?? [];
    const mine = known.find((entry) => entry.threadId === threadId);
    if (mine !== undefined && (mine.kind === kind || kind !== 'message')) continue;
    if (mine !== undefined) effects.citedBefore.add(threadId);
    const subAccountId = ground.connection.subAccountId;
    const row = { sub_account_id: subAccountId, key, thread_id: threadId, kind };
    const { threadKeys } = effects.writes;
    // An answer of the same batch may have cited it already; one statement takes a row once.
    const earlier = threadKeys.findIndex(
      (known) => known.sub_account_id === subAccountId && known.key === key && known.thread_id === threadId,
    );
    if (mine === undefined || earlier === -1) threadKeys.push(row);
    else threadKeys[earlier] = row;
    ground.threadKeys.set(key, [...known.filter((entry) => entry !== mine), { threadId, kind }]);
  }
}

function addParticipants(effects: Effects, ground: Ground, threadId: ThreadId, row: MessageDraft): void {
  const thread = ground.threads.get(threadId);
  assert(thread !== undefined, `${threadId} is not among the facts`);
  for (const { address } of [row.sender, ...row.recipients_to, ...row.recipients_cc]) {
    const canonical = canonicalAddress(address);
    if (canonical === '' || thread.participants.has(canonical)) continue;
    thread.participants.add(canonical);
    effects.writes.participants.push({ thread_id: threadId, canonical });
  }
}

/** Shows a thread in the conversation of each contact; what is there of it has a newer message. */
export function showInConversations(
  effects: Effects,
  ground: Ground,
  threadId: ThreadId,
  message: { row: Pick<MessageDraft, 'date'>; contactIds: readonly string[] },
): void {
  const { subAccountId } = ground.connection;
  const shown = ground.threadConversations.get(threadId) ?? new Map<string, ConversationId>();
  ground.threadConversations.set(threadId, shown);
  for (const contactId of new Set(message.contactIds)) {
    if (shown.has(contactId)) continue;
    let conversationId = ground.conversations.get(contactId);
    const isNew = conversationId === undefined;
    if (conversationId === undefined) {
      conversationId = newId('cnv');
      effects.writes.conversations.push({
        id: conversationId,
        sub_account_id: subAccountId,
        contact_id: contactId,
      });
      ground.conversations.set(contactId, conversationId);
    }
    shown.set(contactId, conversationId);
    ground.threads.get(threadId)?.contacts.add(contactId);
    effects.writes.conversationThreads.push({ conversation_id: conversationId, thread_id: threadId });
    if (isNew) effects.touched.set(conversationId, { subAccountId, date: message.row.date, isNew });
  }
  for (const conversationId of shown.values()) {
    const before = effects.touched.get(conversationId);
    const date = before !== undefined && before.date > message.row.date ? before.date : message.row.date;
    effects.touched.set(conversationId, { subAccountId, date, isNew: before?.isNew ?? false });
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
