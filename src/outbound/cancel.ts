import type { SendId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import { lockSends } from '../store/sends.ts';
import type { LockedSend } from '../store/sends.ts';
import { changeOfTaken, endDeferred, isDeferred, isTaken } from './refused.ts';
import { mayFollow } from './states.ts';
import { changeSends } from './transition.ts';

/**
 * Takes a message back that is not on its way yet (D6). `too_late`: it is, or was, or ended otherwise. One that was
 * taken for some stays `sent`, and is taken back for the recipients who were put off. Asked again, it is `cancelled`
 * again.
 */
export async function cancelSend(
  db: Db,
  subAccountId: string,
  id: SendId,
): Promise<'cancelled' | 'too_late' | 'not_found'> {
  return db.transaction(async (tx) => {
    const [send] = await lockSends(tx, [id]);
    if (send?.subAccountId !== subAccountId) return 'not_found';
    if (send.state === 'cancelled') return 'cancelled';
    if (isTaken(send)) return cancelRest(tx, send);
    if (!mayFollow(send.state, 'cancelled')) return 'too_late';
    await changeSends(tx, [{ send, change: { state: 'cancelled', reason: null, next: 'over' } }]);
    return 'cancelled';
  });
}

async function cancelRest(tx: Db, send: LockedSend): Promise<'cancelled' | 'too_late'> {
  const { refused } = send;
  if (!refused.some(isDeferred))
    return refused.some(({ state }) => state === 'cancelled') ? 'cancelled' : 'too_late';
  // The end of a try for others of them is out, and its answer is worth having.
  if (send.leaseOwner !== null && refused.some(({ state }) => state === 'uncertain')) return 'too_late';
  await changeSends(tx, [{ send, change: changeOfTaken(send, endDeferred(refused, 'cancelled'), 0) }]);
  return 'cancelled';
}
