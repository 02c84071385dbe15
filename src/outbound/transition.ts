import { orderKeys } from '../filing/events.ts';
import { recordEvents } from '../store/events.ts';
import type { EventType } from '../store/events.ts';
import type { Db } from '../store/database.ts';
import { readMessages } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import type { SendState } from '../store/public-send.ts';
import { touchMessage, writeSendChange } from '../store/sends.ts';
import type { LockedSend, SendChange } from '../store/sends.ts';
import { mayFollow } from './states.ts';

/** The event of each state. `sending` and `uncertain` have none of their own: the message has changed. */
const events: Readonly<Record<SendState, EventType>> = {
  queued: 'send.queued',
  held: 'send.held',
  sending: 'message.updated',
  uncertain: 'message.updated',
  sent: 'send.sent',
  bounced: 'send.bounced',
  failed: 'send.failed',
  cancelled: 'send.cancelled',
};

type Changing = Pick<LockedSend, 'id' | 'subAccountId' | 'messageId' | 'state' | 'reason'>;

/**
 * Takes a locked send from its state to the next, with the event for the CRM, in the caller's
 * transaction. The same state again, with another reason or another time, is a change that is told
 * when the reason changed. Throws when the table of states does not allow it.
 */
export async function changeSend(tx: Db, send: Changing, change: SendChange): Promise<void> {
  const stays = send.state === change.state;
  if (!stays && !mayFollow(send.state, change.state)) {
    throw new Error(`${send.id} is ${send.state} and cannot become ${change.state}`);
  }
  await writeSendChange(tx, send.id, change);
  if (stays && send.reason === change.reason) return;
  await touchMessage(tx, send.messageId);
  await tellSend(tx, send, change.state);
}

/** Leaves behind the event of the state that a send has come into; its row must be written. */
export async function tellSend(
  tx: Db,
  send: Pick<LockedSend, 'id' | 'subAccountId' | 'messageId'>,
  state: SendState,
): Promise<void> {
  const [message] = await readMessages(tx, send.subAccountId, [send.messageId]);
  if (message === undefined) throw new Error(`${send.id} has no message`);
  const type = events[state];
  const [shown] = type === 'message.updated' ? [message] : await readSends(tx, send.subAccountId, [send.id]);
  await recordEvents(tx, [
    { type, sub_account_id: send.subAccountId, order_keys: orderKeys(message), data: shown },
  ]);
}
