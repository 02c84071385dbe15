import type { MessageId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import { readHistory } from '../store/decisions.ts';
import type { PublicThread } from '../store/public-conversation.ts';
import { readThreads } from '../store/public-conversation.ts';
import { readMessages } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import { findErasedAt } from '../store/tombstones.ts';
import { explainErased, explainMessage } from './explain.ts';
import type { Told } from './explain.ts';

/** The whole story of a message (T1): what is stored of it, and the same in sentences. */
export type Explained = Omit<Told, 'message' | 'thread'> & {
  message_id: MessageId;
  /** Null: the message was erased. */
  thread: PublicThread | null;
  story: string[];
};

/** Null where the sub-account has, and had, no such message. Of one that was erased, what is left to tell. */
export async function explain(db: Db, subAccountId: string, messageId: MessageId): Promise<Explained | null> {
  const [message] = await readMessages(db, subAccountId, [messageId]);
  if (message === undefined) return explainErasure(db, subAccountId, messageId);
  const [[thread], [send], history] = await Promise.all([
    readThreads(db, subAccountId, [message.thread_id]),
    message.send === null ? [] : readSends(db, subAccountId, [message.send.id]),
    readHistory(db, messageId),
  ]);
  if (thread === undefined) throw new Error(`${message.thread_id} is gone, and ${messageId} is not`);
  const told = { thread, send: send ?? null, history };
  return { message_id: messageId, ...told, story: explainMessage({ ...told, message }) };
}

async function explainErasure(db: Db, subAccountId: string, messageId: MessageId): Promise<Explained | null> {
  const erasedAt = await findErasedAt(db, subAccountId, messageId);
  if (erasedAt === null) return null;
  const history = await readHistory(db, messageId);
  const story = explainErased({ id: messageId, erasedAt, history });
  return { message_id: messageId, thread: null, send: null, history, story };
}
