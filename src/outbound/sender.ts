import { randomUUID } from 'node:crypto';
import { messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import { createWaker } from '../lib/waker.ts';
import { findHeldToSettle, findSendLanes, lockSend, nextSendDueMs, renewSendLeases } from '../store/sends.ts';
import { claimWork } from '../store/work.ts';
import { sendLimits, trySend } from './attempt.ts';
import type { AttemptDeps } from './attempt.ts';
import { blockedStates } from './route.ts';
import { submit } from './smtp.ts';
import { changeSend } from './transition.ts';

/** Sends what is due, on every node; one for each process. */
export type Sender = {
  start(): void;
  /** Claims nothing more, lets what is at its end come to its end, gives the rest back. */
  stop(): Promise<void>;
  /** To be called after a commit that left something to send behind; never needed for correctness. */
  wake(): void;
};

/** Limits of the loop, in ms where nothing else is said. */
const loopLimits = {
  ...sendLimits,
  /** How long a send waits that nobody woke the sender for: one that another node accepted. */
  pollMs: 5_000,
  /** Sessions of this process at once, over all mailboxes. */
  sessionsMax: 100,
  /** At `stop`, a message whose end is out has so long to be answered. */
  stopMs: 10_000,
  /** Held for longer, and a message goes stale: it fails. */
  heldMsMax: 7 * 24 * 60 * 60_000,
  /** Held sends looked at in one round. */
  heldBatchMax: 100,
};

export type SenderDeps = Omit<AttemptDeps, 'limits' | 'submit'> & {
  /** Replaces smtp.ts in tests. */
  submit?: AttemptDeps['submit'];
  limits?: Partial<typeof loopLimits>;
};

type Limits = typeof loopLimits;

/** Makes the sender; nothing happens before `start`. */
export function createSender(deps: SenderDeps): Sender {
  const limits = { ...loopLimits, ...deps.limits };
  const waker = createWaker(deps.clock);
  const stopping = new AbortController();
  /** Ends when nothing is on its way any more: until then leases are kept. */
  const ended = new AbortController();
  const hand = createHand({ ...deps, submit: deps.submit ?? submit, limits }, () => waker.wake());

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await settleHeld(deps, limits);
        await claimDue(deps, limits, hand, stopping.signal);
        const dueMs = await nextSendDueMs(deps.db);
        await waker.wait(Math.min(dueMs ?? limits.pollMs, limits.pollMs));
      } catch (error) {
        deps.log.warn({ error: messageOf(error) }, 'sends could not be claimed; trying again');
        await deps.clock.sleep(limits.pollMs, stopping.signal);
      }
    }
  };

  let looping: Promise<void> | undefined;
  let leasing: Promise<void> | undefined;
  return {
    start() {
      looping ??= loop();
      leasing ??= keepLeases(deps, limits, hand, ended.signal);
    },
    wake: () => waker.wake(),
    async stop() {
      stopping.abort();
      waker.wake();
      await looping;
      await drain(hand, (signal) => deps.clock.sleep(limits.stopMs, signal));
      ended.abort();
      await leasing;
    },
  };
}

/** What this process has in hand. */
type Hand = {
  /** Names this process as holder of leases. */
  owner: string;
  running: ReadonlyMap<SendId, Running>;
  /** Takes a claimed send on. */
  take(id: SendId): void;
};

type Running = { abort: AbortController; handedOver: boolean; done: Promise<void> };

function createHand(deps: AttemptDeps, onEnd: () => void): Hand {
  const owner = randomUUID();
  const running = new Map<SendId, Running>();
  const take = (id: SendId): void => {
    const abort = new AbortController();
    const send: Running = { abort, handedOver: false, done: Promise.resolve() };
    const claimed = { id, owner, signal: abort.signal, onHandover: () => (send.handedOver = true) };
    send.done = trySend(deps, claimed)
      .catch((error: unknown) => {
        // Its lease runs out, and it is taken up again from what is stored of it.
        deps.log.error({ send_id: id, error: messageOf(error) }, 'a send was left to its lease');
      })
      .finally(() => {
        running.delete(id);
        onEnd();
      });
    running.set(id, send);
  };
  return { owner, running, take };
}

/**
 * Claims what is due: mailbox by mailbox, of each no more than its provider takes at once, so that
 * none stands in the way of another.
 */
async function claimDue(deps: SenderDeps, limits: Limits, hand: Hand, stopping: AbortSignal): Promise<void> {
  const { owner, running } = hand;
  for (const lane of await findSendLanes(deps.db, limits.sessionsMax)) {
    const sessionsMax = deps.provider(lane.provider).smtpSessionsMax;
    const limit = Math.min(sessionsMax - lane.running, limits.sessionsMax - running.size);
    if (stopping.aborted || limit <= 0) continue;
    const filter = { column: 'mailbox_id', value: lane.mailboxId } as const;
    const { leaseMs } = limits;
    const ids = await claimWork(deps.db, { table: 'sends', owner, leaseMs, limit, filter });
    for (const id of ids) hand.take(id as SendId);
  }
}

/** Cuts off what is not at its end, and at the deadline the rest. */
async function drain(hand: Hand, deadline: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const sends = [...hand.running.values()];
  const done = Promise.all(sends.map((send) => send.done));
  for (const send of sends) if (!send.handedOver) send.abort.abort();
  const early = new AbortController();
  await Promise.race([done, deadline(early.signal)]);
  early.abort();
  for (const send of sends) send.abort.abort();
  await done;
}

/** Prolongs the leases of what is on its way; what another node has taken over meanwhile is cut off. */
async function keepLeases(deps: SenderDeps, limits: Limits, hand: Hand, signal: AbortSignal): Promise<void> {
  const { owner, running } = hand;
  while (!signal.aborted) {
    await deps.clock.sleep(limits.leaseMs / 3, signal);
    const ids = [...running.keys()];
    if (ids.length === 0) continue;
    try {
      const mine = await renewSendLeases(deps.db, { owner, leaseMs: limits.leaseMs, ids });
      for (const id of ids) {
        const send = running.get(id);
        // One whose end is out may be lost because its copy was seen already; its answer is still worth having.
        if (send !== undefined && !mine.has(id) && !send.handedOver) send.abort.abort();
      }
    } catch (error) {
      deps.log.warn({ error: messageOf(error) }, 'the leases of sends were not prolonged');
    }
  }
}

/** Lets held sends go on, or ends them (see findHeldToSettle). */
async function settleHeld(deps: SenderDeps, limits: Limits): Promise<void> {
  const found = await findHeldToSettle(deps.db, {
    blockedStates,
    heldMsMax: limits.heldMsMax,
    limit: limits.heldBatchMax,
  });
  for (const { id, how, dueMs } of found) {
    await deps.db.transaction(async (tx) => {
      const send = await lockSend(tx, id);
      if (send?.state !== 'held') return;
      await changeSend(tx, send, how === 'release' ? { ...settled.release, next: dueMs } : settled[how]);
    });
  }
  if (found.length > 0) deps.wakePublisher();
}

const settled = {
  release: { state: 'queued', reason: null },
  give_up: { state: 'failed', reason: 'held_too_long', next: 'over' },
  ended: { state: 'failed', reason: 'mailbox_disconnected', next: 'over' },
} as const;
