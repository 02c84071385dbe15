import type { DecisionId, MessageId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { messageIdOf } from '../message/message-id.ts';
import type { Db } from '../store/database.ts';
import { listDecisions, readHistory } from '../store/decisions.ts';
import type { Decision } from '../store/decisions.ts';
import type { PublicThread } from '../store/public-conversation.ts';
import { readThreads } from '../store/public-conversation.ts';
import { readMessages } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import { findErasedAt } from '../store/tombstones.ts';
import { explainErased, explainMessage } from './explain.ts';
import type { Told } from './explain.ts';
import { hashOfAddress, hashOfMessageId } from './hashes.ts';

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

/**
 * What holds about mail of this Message-ID, with brackets or without, or, where there is none, about mail with this
 * address on it; the newest first. Mail that was left out is found by the keyed hashes of its decisions (T1).
 */
export async function findDecided(
  db: Db,
  secretBox: SecretBox,
  of: { what: string; subAccountId: string | null },
  page: { after: DecisionId | null; limit: number },
): Promise<Decision[]> {
  const { what, subAccountId } = of;
  const anywhere = { subAccountId, connectionId: null, outcome: null, since: null };
  const messageId = messageIdOf(what.includes('<') ? what : `<${what}>`);
  const ofId =
    messageId === null
      ? []
      : await listDecisions(
          db,
          { ...anywhere, idHash: hashOfMessageId(secretBox, messageId), addressHash: null },
          page,
        );
  if (ofId.length > 0) return ofId;
  // As copied out of a mail program, with the name before it.
  const address = /<([^<>]*)>\s*$/.exec(what)?.[1] ?? what;
  return listDecisions(
    db,
    { ...anywhere, idHash: null, addressHash: hashOfAddress(secretBox, address) },
    page,
  );
}
