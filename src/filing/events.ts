import type { ConversationId, MessageId, SendId, SpoolId } from '../lib/id.ts';
import { readPublicContacts } from '../store/contacts.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { recordEvents } from '../store/events.ts';
import type { NewEvent } from '../store/events.ts';
import { subAccountsOf, touchConversations } from '../store/filing-writes.ts';
import { readHeld } from '../store/held.ts';
import { publicHeld } from './because.ts';
import type { MadeContact } from '../store/made-contacts.ts';
import { readShown } from '../store/shown.ts';
import type { Shown } from '../store/shown.ts';
import type { Effects } from './effects.ts';

/**
 * Leaves behind the events of what a filing transaction did (W2); answers them. `made` are contacts of one
 * sub-account that are new with it. The
 * conversations are locked first, in order, so that the events of one conversation are numbered in
 * the order in which their transactions commit.
 */
export async function tellEffects(
  tx: Db,
  effects: Effects,
  changed: { messages: MessageId[]; sends: SendId[] },
  made: readonly MadeContact[] = [],
): Promise<NewEvent[]> {
  const touched = [...effects.touched].sort(([a], [b]) => (a < b ? -1 : 1));
  const [, events] = await inOneGo([
    touchConversations(
      tx,
      touched.map(([id, { date }]) => ({ id, date })),
      effects.writes.conversationThreads,
    ),
    // Asked for after the locks, and read after them.
    eventsOfAll(tx, effects, changed, made),
  ]);
  await recordEvents(tx, events);
  return events;
}

async function eventsOfAll(
  tx: Db,
  effects: Effects,
  changed: { messages: MessageId[]; sends: SendId[] },
  made: readonly MadeContact[],
): Promise<NewEvent[]> {
  const [events, groups] = await inOneGo([
    contactsMade(tx, effects, made),
    bySubAccount(tx, effects, changed),
  ]);
  const all = [...groups.values()];
  if (all.length === 0) return events;
  const shown = await readShown(tx, {
    conversations: all.flatMap(({ conversations }) => [...conversations.keys()]),
    messages: all.flatMap(({ created, changed: others }) => [...new Set([...created, ...others])]),
    sends: all.flatMap(({ sends }) => sends),
  });
  return [...events, ...[...groups].flatMap(([sub, group]) => eventsOf(sub, group, shown))];
}

/** In order before the conversations that they have from now on. */
async function contactsMade(tx: Db, { writes }: Effects, made: readonly MadeContact[]): Promise<NewEvent[]> {
  const [first] = made;
  if (first === undefined) return [];
  const contacts = await readPublicContacts(
    tx,
    first.sub_account_id,
    made.map(({ id }) => id),
  );
  return contacts.map((contact) => ({
    type: 'contact.created',
    sub_account_id: contact.sub_account_id,
    order_keys: [
      contact.id,
      ...writes.conversations.filter((row) => row.contact_id === contact.id).map(({ id }) => id),
    ],
    data: contact,
  }));
}

/** Leaves behind that mail waits for review (B4); answers how many events. */
export async function tellHeld(tx: Db, ids: readonly SpoolId[]): Promise<number> {
  const held = ids.length === 0 ? [] : await readHeld(tx, ids);
  await recordEvents(
    tx,
    held.map((data) => ({
      type: 'decision.held',
      sub_account_id: data.sub_account_id,
      order_keys: [data.id],
      // Events are kept when a mail is discarded, or erased.
      data: { ...publicHeld(data), mail: null },
    })),
  );
  return held.length;
}

type Group = {
  created: MessageId[];
  changed: MessageId[];
  sends: SendId[];
  conversations: Map<ConversationId, { isNew: boolean }>;
};

async function bySubAccount(
  tx: Db,
  effects: Effects,
  changed: { messages: MessageId[]; sends: SendId[] },
): Promise<Map<string, Group>> {
  const groups = new Map<string, Group>();
  const group = (sub: string) => {
    const found: Group = groups.get(sub) ?? { created: [], changed: [], sends: [], conversations: new Map() };
    groups.set(sub, found);
    return found;
  };
  for (const { subAccountId, messageId } of effects.created) group(subAccountId).created.push(messageId);
  for (const { subAccountId, sendId } of effects.accepted) group(subAccountId).sends.push(sendId);
  for (const [id, { subAccountId, isNew }] of effects.touched)
    group(subAccountId).conversations.set(id, { isNew });
  if (changed.messages.length + changed.sends.length > 0) {
    for (const row of await subAccountsOf(tx, changed)) {
      if (row.kind === 'message') group(row.sub_account_id).changed.push(row.id as MessageId);
      else group(row.sub_account_id).sends.push(row.id as SendId);
    }
  }
  return groups;
}

function eventsOf(sub: string, group: Group, shown: Shown): NewEvent[] {
  const events: NewEvent[] = [];
  const event = (type: NewEvent['type'], order_keys: string[], data: unknown) =>
    events.push({ type, sub_account_id: sub, order_keys, data });
  const mine = <One extends { sub_account_id: string }>(list: readonly One[]) =>
    list.filter((one) => one.sub_account_id === sub);
  const conversations = mine(shown.conversations);
  for (const conversation of conversations) {
    if (group.conversations.get(conversation.id)?.isNew === true) {
      event('conversation.created', [conversation.id], conversation);
    }
  }
  const created = new Set<string>(group.created);
  const messages = mine(shown.messages);
  const orderOf = new Map(messages.map((message) => [message.id, orderKeys(message)]));
  for (const message of messages) {
    event(created.has(message.id) ? 'message.created' : 'message.updated', orderKeys(message), message);
  }
  for (const send of mine(shown.sends)) {
    event(`send.${send.state}` as NewEvent['type'], orderOf.get(send.message_id) ?? [send.thread_id], send);
  }
  for (const conversation of conversations) {
    if (group.conversations.get(conversation.id)?.isNew !== true) {
      event('conversation.updated', [conversation.id], conversation);
    }
  }
  return events;
}

/** Order is kept within each conversation of a message, and for a message of none within its thread. */
export function orderKeys(message: { conversation_ids: string[]; thread_id: string }): string[] {
  return message.conversation_ids.length > 0 ? message.conversation_ids : [message.thread_id];
}
