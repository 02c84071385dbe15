import type { ConversationId, MessageId, SendId } from '../lib/id.ts';
import { rows, rowsById } from './database.ts';
import type { Db } from './database.ts';
import { conversationObject } from './public-conversation.ts';
import type { PublicConversation } from './public-conversation.ts';
import { messageObject } from './public-message.ts';
import type { PublicMessage } from './public-message.ts';
import { sendObject } from './public-send.ts';
import type { PublicSend } from './public-send.ts';

/** What the events of a transaction show. */
export type Shown = { conversations: PublicConversation[]; messages: PublicMessage[]; sends: PublicSend[] };

/** Conversations, messages and sends by id, whosever they are, each in the order of its ids, in one round trip. */
export async function readShown(
  db: Db,
  ids: {
    conversations: readonly ConversationId[];
    messages: readonly MessageId[];
    sends: readonly SendId[];
  },
): Promise<Shown> {
  const [shown] = await rows<Shown>(db, shownSql, ids);
  if (shown === undefined) throw new Error('a select without a from clause gave no row');
  return shown;
}

const list = (object: string, from: string) =>
  `(select coalesce(json_agg(${object} order by wanted.position), '[]') from ${from})`;

const shownSql = `
select ${list(conversationObject, `${rowsById('conversations', ':conversations')} c`)} as conversations,
${list(messageObject, `${rowsById('messages', ':messages')} m`)} as messages,
${list(
  sendObject,
  `${rowsById('sends', ':sends')} s
  cross join lateral (select * from messages where id = s.message_id offset 0) m`,
)} as sends`;
