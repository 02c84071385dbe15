import type { MailboxId, MessageId } from '../lib/id.ts';
import { endWishes, wantChange, writePlacesDone } from '../store/wanted.ts';
import type { PlaceDone, Wanted, Wish, WishRefused } from '../store/wanted.ts';
import { inOne, tellRefreshed } from './places.ts';
import type { Deps } from './places.ts';

/**
 * Takes down what the CRM wants of a message in its mailbox (U2, U3). Read and unread count at once, and are
 * told so; where it lies changes when it has been moved. Null: there is no such message.
 */
export async function wish(
  deps: Deps,
  of: { subAccountId: string; messageId: MessageId },
  wanted: Wish,
): Promise<{ refused: WishRefused } | { mailboxes: MailboxId[] } | null> {
  let result: Awaited<ReturnType<typeof wantChange>> = null;
  await inOne(deps, async (tx) => {
    result = await wantChange(tx, of, wanted);
    return result !== null && 'mailboxes' in result ? tellRefreshed(tx, [of.messageId]) : 0;
  });
  return result;
}

/** Writes down what was done for wishes, ends those that are over, and tells the CRM what that changed. */
export function noteDone(
  deps: Deps,
  wishes: readonly Pick<Wanted, 'messageId'>[],
  { done, ended, owner }: { done: readonly PlaceDone[]; ended: readonly Wanted[]; owner: string },
): Promise<void> {
  return inOne(deps, async (tx) => {
    const there = await writePlacesDone(tx, done);
    await endWishes(tx, ended, owner);
    return tellRefreshed(tx, [...wishes.map(({ messageId }) => messageId), ...there]);
  });
}
