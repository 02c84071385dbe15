import type { Db } from '../store/database.ts';
import { lockConversationsOf, redateConversations } from '../store/erasing.ts';
import type { Changed } from '../store/filing-writes.ts';
import type { Effects } from './effects.ts';

/**
 * S12: the mailbox's copy says when a mail was written that somebody had forwarded, and its conversations go by that.
 * They are locked from then on, and are among those of which `effects` tells.
 */
export async function dateAnew(
  tx: Db,
  { touched }: Effects,
  { dated, datedTo }: Pick<Changed, 'dated' | 'datedTo'>,
): Promise<void> {
  if (datedTo === null) return;
  const ids = await lockConversationsOf(tx, dated);
  for (const { id, subAccountId, date } of await redateConversations(tx, ids, datedTo)) {
    if (date !== null && !touched.has(id)) touched.set(id, { subAccountId, date, isNew: false });
  }
}
