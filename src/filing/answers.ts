import type { MessageId } from '../lib/id.ts';
import { linkAnswers } from '../store/answers.ts';
import type { Db } from '../store/database.ts';
import type { Effects } from './effects.ts';

/**
 * D7: links what a filing transaction has stored with what it answers, once it is written. Answers which messages
 * that changed: what is new says so itself, the others are to be told.
 */
export function linkStored(tx: Db, { writes, citedBefore }: Effects): Promise<MessageId[]> {
  const citing = writes.messages.filter((row) => row.in_reply_to.length + row.reference_ids.length > 0);
  return linkAnswers(tx, { messages: citing.map(({ id }) => id), threads: [...citedBefore] });
}
