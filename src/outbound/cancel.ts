import type { SendId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import { lockSends } from '../store/sends.ts';
import { mayFollow } from './states.ts';
import { changeSends } from './transition.ts';

/**
 * Takes a message back that is not on its way yet (D6). `too_late`: it is, or was, or ended otherwise.
 * Asked again, it is `cancelled` again.
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
    if (!mayFollow(send.state, 'cancelled')) return 'too_late';
    await changeSends(tx, [{ send, change: { state: 'cancelled', reason: null, next: 'over' } }]);
    return 'cancelled';
  });
}
