import type { MessageId } from '../lib/id.ts';
import { linkAnswers } from '../store/answers.ts';
import type { Db } from '../store/database.ts';
import type { Effects } from './effects.ts';

/**
 * D7: links what a filing transaction has stored with what it answers, once it is written. Answers which messages
 * that changed: what is new says so itself, the others are to be told.
 */
export function linkStored(tx: Db, { created, citedBefore }: Effects): Promise<MessageId[]> {
  return linkAnswers(tx, { messages: created.map(({ messageId }) => messageId), threads: [...citedBefore] });
}
