import type { SendState } from '../store/public-send.ts';

/**
 * The life of a send (D6), as a table: from each state, those that may follow. Pure.
 *
 * - Nothing leads from `uncertain` to `failed`: what may have been delivered is never called failed.
 * - Nothing leads from `sending` to `cancelled`: it may be with the provider already.
 * - `sending` leads back to `queued` only where the provider certainly has nothing of it.
 * - filing/ leads to `sent` by itself when it sees the mailbox's Sent copy (store/filing-writes.ts,
 *   recogniseMessages), also from `queued` and `held`: the copy came later than it was looked for.
 */
export const sendTransitions: Readonly<Record<SendState, readonly SendState[]>> = {
  queued: ['sending', 'held', 'sent', 'failed', 'cancelled'],
  held: ['queued', 'sending', 'sent', 'failed', 'cancelled'],
  sending: ['sent', 'queued', 'held', 'failed', 'uncertain'],
  uncertain: ['sent', 'queued'],
  sent: ['bounced'],
  bounced: [],
  failed: [],
  cancelled: [],
};

/** Whether a send in state `from` may go on to `to`. */
export function mayFollow(from: SendState, to: SendState): boolean {
  return sendTransitions[from].includes(to);
}
