import { systemClock } from '../../src/lib/clock.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { blankRequest } from '../outbound/support.ts';
import type { World } from './world.ts';

/** Ann of `north` sends a text from the CRM; the rest is in `more`. */
export function tryToSend(
  world: World,
  more: Partial<SendRequest>,
): ReturnType<ReturnType<typeof createAccept>> {
  return createAccept({
    ...world.filing,
    clock: systemClock,
    trackingUrl: null,
    wakeSender: () => undefined,
  })({ ...blankRequest, subAccountId: 'north', userId: 'ann', text: 'Text.', ...more }, null);
}

/** The same where it must be accepted. */
export async function sendFromCrm(world: World, more: Partial<SendRequest>): Promise<SendAnswer> {
  const result = await tryToSend(world, more);
  if ('refused' in result) throw new Error(JSON.stringify(result.refused));
  return result.answer;
}
