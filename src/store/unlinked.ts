import type { ThreadId } from '../lib/id.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import { readThreads } from './public-conversation.ts';

/** Threads that one event statement tells of, at most: a mailbox may have tens of thousands. */
const unlinkedBatch = 500;

/** One event for each thread of a sub-account that has just been unlinked. */
export async function tellUnlinked(db: Db, subAccountId: string, ids: readonly ThreadId[]): Promise<void> {
  for (let from = 0; from < ids.length; from += unlinkedBatch) {
    const threads = await readThreads(db, subAccountId, ids.slice(from, from + unlinkedBatch));
    await recordEvents(
      db,
      threads.map((thread) => ({
        type: 'thread.unlinked',
        sub_account_id: subAccountId,
        order_keys: thread.conversation_ids.length > 0 ? thread.conversation_ids : [thread.id],
        data: thread,
      })),
    );
  }
}
