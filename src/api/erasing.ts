import { z } from 'zod';
import type { MessageId } from '../lib/id.ts';
import { BeingSent, StillConnected, eraseAll as eraseEach } from '../outbound/erasing.ts';
import { ApiError } from './errors.ts';
import type { ApiDeps } from './route.ts';

export const erasedSchema = z
  .strictObject({ erased: z.int().describe('How many messages this call erased.') })
  .meta({ id: 'Erased', description: 'What an erasure did.' });

/** Erases what `next` names (see outbound/erasing.ts); what keeps it from that is a problem of the API. */
export function eraseAll(
  deps: ApiDeps,
  subAccountId: string,
  next: () => Promise<readonly MessageId[]>,
): Promise<number> {
  return erasing(eraseEach(deps, subAccountId, next));
}

/** Erases one message; false when there is none. */
export async function eraseOne(deps: ApiDeps, subAccountId: string, id: MessageId): Promise<boolean> {
  const once = [[id]];
  return (await eraseAll(deps, subAccountId, () => Promise.resolve(once.pop() ?? []))) > 0;
}

/** An erasure with what keeps it from going on, as the API says it. */
export async function erasing(erasure: Promise<number>): Promise<number> {
  try {
    return await erasure;
  } catch (error) {
    if (error instanceof StillConnected) throw new ApiError('still_connected', 'Disconnect it first.');
    if (!(error instanceof BeingSent)) throw error;
    const { sendId, state } = error;
    throw new ApiError('being_sent', `${sendId} is ${state}; call again when that is over.`, {
      members: { send_id: sendId, state },
    });
  }
}
