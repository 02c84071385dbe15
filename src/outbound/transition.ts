import { isDeepStrictEqual } from 'node:util';
import { orderKeys } from '../filing/events.ts';
import { recordEvents } from '../store/events.ts';
import type { EventType, NewEvent } from '../store/events.ts';
import { lockMessages } from '../store/changed-messages.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { readMessages, readWhereShown } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import type { SendState } from '../store/public-send.ts';
import { writeSendChanges } from '../store/sends.ts';
import type { LockedSend, SendChange } from '../store/sends.ts';
import { mayFollow } from './states.ts';

/** What was taken, or has bounced, and goes on for other recipients changes without a new state. */
const lasting: readonly SendState[] = ['sent', 'bounced'];

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

type Told = Pick<LockedSend, 'id' | 'subAccountId' | 'messageId'>;

/** A locked send, and the state that it comes into. */
export type Transition = {
  send: Told & Pick<LockedSend, 'state' | 'reason' | 'refused'>;
  change: SendChange;
};

/**
 * Takes locked sends, each once, from their states to the next, with the events for the CRM, in the caller's
 * transaction. The same state again, with another reason or another time, is a change that is told
 * when the reason changed. Throws when the table of states does not allow one of them.
 */
export async function changeSends(tx: Db, transitions: readonly Transition[]): Promise<void> {
  if (transitions.length === 0) return;
  for (const { send, change } of transitions) {
    if (send.state !== change.state && !mayFollow(send.state, change.state))
      throw new Error(`${send.id} is ${send.state} and cannot become ${change.state}`);
  }
  const told = transitions.filter(
    ({ send, change }) =>
      send.state !== change.state ||
      send.reason !== change.reason ||
      (change.refused !== undefined && !isDeepStrictEqual(change.refused, send.refused)),
  );
  // One after the other, without waiting for the answers.
  await inOneGo([
    writeSendChanges(
      tx,
      transitions.map(({ send, change }) => ({ id: send.id, change })),
    ),
    lockMessages(
      tx,
      told.map(({ send }) => send.messageId),
    ),
    tellSends(
      tx,
      told.map(({ send, change: { state } }) => ({
        send,
        state,
        isNew: send.state !== state || !lasting.includes(state),
      })),
    ),
  ]);
}

/**
 * Leaves behind the events of the states that sends have come into; their rows must be written, or the statements that do so
 * be on their way. `isNew` false: they are in them as before, and only the message is told to have changed.
 */
export async function tellSends(
  tx: Db,
  all: readonly { send: Told; state: SendState; isNew: boolean }[],
): Promise<void> {
  const told = all.map(({ send, state, isNew }) => ({
    send,
    type: isNew ? events[state] : 'message.updated',
  }));
  const subAccountIds = [...new Set(told.map(({ send }) => send.subAccountId))];
  const recorded = await inOneGo(
    subAccountIds.map((subAccountId) =>
      eventsOf(
        tx,
        subAccountId,
        told.filter(({ send }) => send.subAccountId === subAccountId),
      ),
    ),
  );
  await recordEvents(tx, recorded.flat());
}

async function eventsOf(
  tx: Db,
  subAccountId: string,
  told: readonly { send: Told; type: EventType }[],
): Promise<NewEvent[]> {
  const ofSends = told.filter(({ type }) => type !== 'message.updated').map(({ send }) => send);
  const ofMessages = told.filter(({ type }) => type === 'message.updated').map(({ send }) => send);
  const [messages, sends, shown] = await inOneGo([
    readMessages(
      tx,
      subAccountId,
      ofMessages.map(({ messageId }) => messageId),
    ),
    readSends(
      tx,
      subAccountId,
      ofSends.map(({ id }) => id),
    ),
    // A message of which its send alone is told is not read with all that it says.
    readWhereShown(
      tx,
      subAccountId,
      ofSends.map(({ messageId }) => messageId),
    ),
  ]);
  const objects = new Map<string, unknown>([...messages, ...sends].map((object) => [object.id, object]));
  const where = new Map([...messages, ...shown].map((message) => [message.id, message]));
  return told.map(({ send, type }) => {
    const message = where.get(send.messageId);
    if (message === undefined) throw new Error(`${send.id} has no message`);
    const data = objects.get(type === 'message.updated' ? send.messageId : send.id);
    return { type, sub_account_id: subAccountId, order_keys: orderKeys(message), data };
  });
}
