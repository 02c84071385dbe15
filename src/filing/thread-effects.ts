import assert from 'node:assert/strict';
import { canonicalAddress } from '../message/addresses.ts';
import { forwardCount } from '../message/subject.ts';
import { newId } from '../lib/id.ts';
import type { ConversationId, ThreadId } from '../lib/id.ts';
import type { Effects, MessageDraft } from './effects.ts';
import type { GrowingGround } from './gather.ts';
import type { ThreadKey } from './sighting.ts';

/* What a message does to its thread and to the conversations in which that shows. */

export function openThread(
  effects: Effects,
  ground: GrowingGround,
  subject: string,
  openedBy: string,
): ThreadId {
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

export function addLink(effects: Effects, ground: GrowingGround, threadId: ThreadId): void {
  const thread = ground.threads.get(threadId);
  const { mailboxId, subAccountId } = ground.connection;
  if (thread === undefined || thread.link === 'live' || mailboxId === null) return;
  effects.writes.links.push({ thread_id: threadId, mailbox_id: mailboxId, sub_account_id: subAccountId });
  ground.threads.set(threadId, { ...thread, link: 'live', unlinkedReason: null });
}

export function addThreadKeys(
  effects: Effects,
  ground: GrowingGround,
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

export function addParticipants(
  effects: Effects,
  ground: GrowingGround,
  threadId: ThreadId,
  row: MessageDraft,
): void {
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
  ground: GrowingGround,
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
