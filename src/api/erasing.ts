import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { SendNotOver, eraseMessages } from '../filing/erase.ts';
import type { MessageId } from '../lib/id.ts';
import { cancelSend } from '../outbound/cancel.ts';
import { ApiError } from './errors.ts';
import type { ApiDeps } from './route.ts';

export const erasedSchema = z
  .strictObject({ erased: z.int().describe('How many messages this call erased.') })
  .meta({ id: 'Erased', description: 'What an erasure did.' });

/**
 * Erases portion by portion what `next` names, until it names nothing: the same call again goes on where a
 * crash, or a message that is being sent, stopped it. What is queued or held is cancelled first. Answers how many went.
 */
export async function eraseAll(
  deps: ApiDeps,
  subAccountId: string,
  next: () => Promise<readonly MessageId[]>,
): Promise<number> {
  let erased = 0;
  try {
    for (;;) {
      const ids = await next();
      if (ids.length === 0) return erased;
      erased += await erasePortion(deps, subAccountId, ids);
      // The embedded database answers without a turn of the event loop; others wait for theirs.
      await nextTurn();
    }
  } finally {
    deps.wakePublisher();
    // What waited in a thread behind what was cancelled can go.
    deps.wakeSender();
    if (erased > 0) deps.wakeHousekeeping();
  }
}

/** Erases one message; false when there is none. */
export async function eraseOne(deps: ApiDeps, subAccountId: string, id: MessageId): Promise<boolean> {
  const once = [[id]];
  return (await eraseAll(deps, subAccountId, () => Promise.resolve(once.pop() ?? []))) > 0;
}

async function erasePortion(deps: ApiDeps, subAccountId: string, ids: readonly MessageId[]): Promise<number> {
  for (;;) {
    try {
      return await eraseMessages(deps, subAccountId, ids);
    } catch (error) {
      if (!(error instanceof SendNotOver)) throw error;
      const { sendId, state } = error;
      // Once it is cancelled nothing more is to be done about it.
      if ((await cancelSend(deps.db, subAccountId, sendId)) !== 'too_late') continue;
      throw new ApiError('being_sent', `${sendId} is ${state}; call again when that is over.`, {
        members: { send_id: sendId, state },
      });
    }
  }
}
