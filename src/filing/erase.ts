import type { ConversationId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { canonicalAddress } from '../message/addresses.ts';
import { idKey } from '../message/message-id.ts';
import { inTransaction, refersToNothing, wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import {
  deleteEmptyConversations,
  deleteMessages,
  deleteThreads,
  emptied,
  lockConversationsOf,
  lockErasable,
  narrowThreads,
  readRemainders,
  redateConversations,
} from '../store/erasing.ts';
import type { Remainder } from '../store/erasing.ts';
import { recordEvents } from '../store/events.ts';
import type { NewEvent } from '../store/events.ts';
import { readConversations, readThreads } from '../store/public-conversation.ts';
import type { PublicThread } from '../store/public-conversation.ts';
import { readMessages } from '../store/public-message.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { SendState } from '../store/public-send.ts';
import { orderKeys } from './events.ts';
import { tombstonesOf } from './tombstones.ts';

/** A message cannot be erased while something is still to be done about its send. */
export class SendNotOver extends Error {
  readonly sendId: SendId;
  readonly state: SendState;

  constructor(sendId: SendId, state: SendState) {
    super(`${sendId} is ${state}`);
    this.sendId = sendId;
    this.state = state;
  }
}

/**
 * C7: erases messages of a sub-account in one transaction, some dozens: the messages with bodies,
 * attachments, sightings and sends, what events told of them, and threads and conversations that have
 * nothing left. A tombstone keeps each from coming back. Ids that name nothing are left out. Answers how many went.
 * Rejects with SendNotOver, and erases nothing, while one of them is still to be sent.
 */
export async function eraseMessages(
  deps: { db: Db; secretBox: SecretBox },
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<number> {
  return inTransaction(
    deps.db,
    (tx) => erase(tx, deps.secretBox, subAccountId, ids),
    // Somebody filed into one of the threads at the same moment.
    (error) => wasOvertaken(error) || refersToNothing(error),
  );
}

async function erase(
  tx: Db,
  secretBox: SecretBox,
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<number> {
  const erasable = await lockErasable(tx, subAccountId, ids);
  for (const { send } of erasable) if (send?.ready === true) throw new SendNotOver(send.id, send.state);
  const [first] = erasable;
  if (first === undefined) return 0;
  const found = erasable.map(({ id }) => id);
  const messages = await readMessages(tx, subAccountId, found);
  const threadIds = [...new Set(erasable.map(({ threadId }) => threadId))];
  const threads = await readThreads(tx, subAccountId, threadIds);
  const { erasedAt } = await deleteMessages(
    tx,
    subAccountId,
    erasable.map(({ id, keys, send }) => ({
      id,
      sendId: send?.id ?? null,
      tombstones: tombstonesOf(secretBox, { keys, send }),
    })),
  );
  const remainders = await readRemainders(tx, threadIds);
  await narrowThreads(
    tx,
    remainders.map((remainder) => narrowed(remainder, threads)),
  );
  const conversationIds = await lockConversationsOf(tx, threadIds);
  const left = new Set(remainders.map(({ threadId }) => threadId));
  const ended = threads.filter(({ id }) => !left.has(id));
  await deleteThreads(
    tx,
    ended.map(({ id }) => id),
  );
  await redateConversations(tx, conversationIds, first.newest);
  await tell(tx, subAccountId, { erasedAt, messages, ended, conversationIds });
  await deleteEmptyConversations(tx, conversationIds);
  return found.length;
}

/** By what is left, a thread goes on. Its subject is that of the oldest message, where no message has the one it had. */
function narrowed({ threadId, messages }: Remainder, threads: readonly PublicThread[]) {
  const before = threads.find(({ id }) => id === threadId)?.subject ?? '';
  const isKept = messages.some(({ subject }) => subject === before);
  return {
    id: threadId,
    subject: isKept ? before : (messages[0]?.subject ?? ''),
    own: messages.flatMap(({ keys }) => keys),
    cited: messages.flatMap(({ cites }) => cites.map(idKey)),
    people: messages.flatMap(({ people }) => people.map(({ address }) => canonicalAddress(address))),
  };
}

/**
 * There is no event of an erasure: the message has changed, and shows no content and `erased_at`; a thread
 * that is gone no longer syncs; a conversation that is gone has no newest message.
 */
async function tell(
  tx: Db,
  subAccountId: string,
  of: {
    erasedAt: string;
    messages: readonly PublicMessage[];
    ended: readonly PublicThread[];
    conversationIds: readonly ConversationId[];
  },
): Promise<void> {
  const event = (type: NewEvent['type'], order_keys: string[], data: unknown): NewEvent => ({
    type,
    sub_account_id: subAccountId,
    order_keys,
    data,
  });
  const conversations = await readConversations(tx, subAccountId, of.conversationIds);
  await recordEvents(tx, [
    ...of.messages.map((message) =>
      event('message.updated', orderKeys(message), {
        ...message,
        ...emptied.message,
        erased_at: of.erasedAt,
      }),
    ),
    ...of.ended
      .filter(({ state }) => state === 'live')
      .map((thread) =>
        event('thread.unlinked', threadOrder(thread), {
          ...thread,
          subject: '',
          state: 'unlinked',
          reason: 'erased',
        }),
      ),
    ...conversations.map((conversation) => event('conversation.updated', [conversation.id], conversation)),
  ]);
}

function threadOrder({
  id,
  conversation_ids,
}: {
  id: ThreadId;
  conversation_ids: ConversationId[];
}): string[] {
  return conversation_ids.length > 0 ? conversation_ids : [id];
}
