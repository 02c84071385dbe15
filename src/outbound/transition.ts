import { orderKeys } from '../filing/events.ts';
import { recordEvents } from '../store/events.ts';
import type { EventType, NewEvent } from '../store/events.ts';
import type { Db } from '../store/database.ts';
import { readMessages } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import type { SendState } from '../store/public-send.ts';
import { touchMessages, writeSendChanges } from '../store/sends.ts';
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

type Told = Pick<LockedSend, 'id' | 'subAccountId' | 'messageId'>;

/** A locked send, and the state that it comes into. */
export type Transition = { send: Told & Pick<LockedSend, 'state' | 'reason'>; change: SendChange };

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
  await writeSendChanges(
    tx,
    transitions.map(({ send, change }) => ({ id: send.id, change })),
  );
  const told = transitions.filter(
    ({ send, change }) => send.state !== change.state || send.reason !== change.reason,
  );
  if (told.length === 0) return;
  await touchMessages(
    tx,
    told.map(({ send }) => send.messageId),
  );
  await tellSends(
    tx,
    told.map(({ send, change }) => ({ send, state: change.state })),
  );
}

/** Leaves behind the events of the states that sends have come into; their rows must be written. */
export async function tellSends(tx: Db, told: readonly { send: Told; state: SendState }[]): Promise<void> {
  const recorded: NewEvent[] = [];
  for (const subAccountId of new Set(told.map(({ send }) => send.subAccountId))) {
    const mine = told.filter(({ send }) => send.subAccountId === subAccountId);
    const messages = await readMessages(
      tx,
      subAccountId,
      mine.map(({ send }) => send.messageId),
    );
    const shownIds = mine
      .filter(({ state }) => events[state] !== 'message.updated')
      .map(({ send }) => send.id);
    const shown = new Map((await readSends(tx, subAccountId, shownIds)).map((send) => [send.id, send]));
    const byId = new Map(messages.map((message) => [message.id, message]));
    for (const { send, state } of mine) {
      const message = byId.get(send.messageId);
      if (message === undefined) throw new Error(`${send.id} has no message`);
      const type = events[state];
      const data = type === 'message.updated' ? message : shown.get(send.id);
      recorded.push({ type, sub_account_id: subAccountId, order_keys: orderKeys(message), data });
    }
  }
  await recordEvents(tx, recorded);
}
