import { setImmediate as nextTurn } from 'node:timers/promises';
import { SendNotOver, eraseMessages } from '../filing/erase.ts';
import type { ConnectionId, MessageId, SendId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { findMailboxOf } from '../store/connections.ts';
import type { Db } from '../store/database.ts';
import { erasedAtOnce, findOfMailbox } from '../store/erasable.ts';
import type { SeenPlace } from '../store/erasable.ts';
import { neverLogPattern } from '../store/never-log.ts';
import { neverLogged } from '../store/never-logged.ts';
import type { NeverLogScope } from '../store/never-logged.ts';
import type { SendState } from '../store/public-send.ts';
import { cancelSend } from './cancel.ts';

/** What erasing needs. */
export type ErasingDeps = {
  db: Db;
  secretBox: SecretBox;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  /** Called after a commit that left something to send behind. */
  wakeSender(): void;
  /** Called after a commit that erased messages. */
  wakeHousekeeping(): void;
};

/** One of the messages is on its way at this moment; what was erased before it stays erased. */
export class BeingSent extends Error {
  readonly sendId: SendId;
  readonly state: SendState;

  constructor(sendId: SendId, state: SendState) {
    super(`${sendId} is ${state}`);
    this.sendId = sendId;
    this.state = state;
  }
}

/** Somebody of the sub-account is connected to the mailbox: more would come, and be in the way. */
export class StillConnected extends Error {}

/**
 * C7: erases portion by portion what `next` names, until it names nothing: the same call again goes on where a
 * crash, or a message that is being sent, stopped it. What is queued or held is cancelled first. Answers how many
 * went. Rejects with BeingSent.
 */
export async function eraseAll(
  deps: ErasingDeps,
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

/**
 * C7: erases what a connection's mailbox brought into its sub-account. Rejects with StillConnected, or BeingSent.
 * `isOver` ends it early, between two portions; called again it goes on.
 */
export async function eraseBrought(
  deps: ErasingDeps,
  connection: { id: ConnectionId; subAccountId: string },
  isOver: () => boolean = () => false,
): Promise<number> {
  const { id, subAccountId } = connection;
  let after: SeenPlace | null = null;
  return eraseAll(deps, subAccountId, async () => {
    const mailbox = await findMailboxOf(deps.db, id);
    if (mailbox?.mailboxId == null || isOver()) return [];
    if (mailbox.isConnected) throw new StillConnected();
    const found = await findOfMailbox(deps.db, { subAccountId, mailboxId: mailbox.mailboxId, after });
    after = found.at(-1) ?? after;
    return [...new Set(found.map((seen) => seen.id))];
  });
}

/** S15: erases everything stored on which somebody falls under one of the entries. Rejects with BeingSent. */
export async function eraseNeverLogged(
  deps: ErasingDeps,
  entries: readonly string[],
  scopes: readonly NeverLogScope[],
): Promise<number> {
  let erased = 0;
  for (const scope of scopes) {
    const found = neverLogged(deps.db, scope, new Set(entries.map(neverLogPattern)));
    erased += await eraseAll(deps, scope.subAccountId, inPortions(found));
  }
  return erased;
}

/** What `found` names, in portions as long as one transaction takes. */
function inPortions(found: AsyncGenerator<{ id: MessageId }[]>): () => Promise<MessageId[]> {
  let waiting: MessageId[] = [];
  return async () => {
    while (waiting.length === 0) {
      const next = await found.next();
      if (next.done === true) return [];
      waiting = next.value.map(({ id }) => id);
    }
    return waiting.splice(0, erasedAtOnce);
  };
}

async function erasePortion(
  deps: ErasingDeps,
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<number> {
  for (;;) {
    try {
      return await eraseMessages(deps, subAccountId, ids);
    } catch (error) {
      if (!(error instanceof SendNotOver)) throw error;
      const { sendId, state } = error;
      // Once it is cancelled nothing more is to be done about it.
      if ((await cancelSend(deps.db, subAccountId, sendId)) !== 'too_late') continue;
      throw new BeingSent(sendId, state);
    }
  }
}
