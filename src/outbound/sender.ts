import { randomUUID } from 'node:crypto';
import { messageOf } from '../lib/failure.ts';
import { createWaker } from '../lib/waker.ts';
import {
  findDueOfLane,
  findHeldToSettle,
  lockSends,
  nextSendDueMs,
  releaseSends,
  renewSendLeases,
} from '../store/sends.ts';
import type { SendLane } from '../store/send-lanes.ts';
import { endSendingLeases, takeSendingLeases } from '../store/sending-leases.ts';
import { createTraces } from '../store/tracing.ts';
import { claimLanes } from '../store/work.ts';
import { createAttempts } from './attempt.ts';
import type { AttemptDeps } from './attempt.ts';
import { createLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { createLook } from './look.ts';
import type { Look } from './look.ts';
import { heldForProvider, sendLimits } from './outcome.ts';
import { createPrecedence } from './precedence.ts';
import type { Precedence } from './precedence.ts';
import { isTaken } from './refused.ts';
import { holdRest } from './rest.ts';
import { blockedStates } from './route.ts';
import { relaySessionsMax, serverFor } from './server.ts';
import { openSession } from './smtp.ts';
import { changeSends } from './transition.ts';
import type { Transition } from './transition.ts';

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
  /** Letters that this process has in hand at once, over all lanes; and so many of bulk and workflow mail beside them. */
  inHandMax: 200,
  /** How long a session is kept for the next message. */
  idleMs: 2_000,
  /** At `stop`, a message whose end is out has so long to be answered. */
  stopMs: 10_000,
  /** Held for longer, and a message goes stale: it fails. */
  heldMsMax: 7 * 24 * 60 * 60_000,
  /** Held sends that go on, or end, in one transaction. */
  heldBatchMax: 100,
};

export type SenderDeps = Omit<AttemptDeps, 'limits'> & {
  /** Wakes the senders of other nodes; never needed for correctness. */
  wakeOthers(): void;
  /** Replaces smtp.ts in tests. */
  open?: typeof openSession;
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
  const hand = createHand(deps, limits, () => waker.wake(), stopping.signal);

  const loop = async (): Promise<void> => {
    let settledAt = -Infinity;
    while (!stopping.signal.aborted) {
      try {
        if (deps.clock.monotonic() - settledAt >= limits.pollMs) {
          settledAt = deps.clock.monotonic();
          await settleHeld(deps, limits, stopping.signal);
          hand.look.renew();
        }
        const askedAt = deps.clock.monotonic();
        // Before it is looked: what comes due in between would be found by neither.
        const nextMs = (await nextSendDueMs(deps.db)) ?? limits.pollMs;
        await claimDue(deps, limits, hand, stopping.signal);
        const dueMs = Math.max(0, askedAt + nextMs - deps.clock.monotonic());
        hand.look.noteDue(dueMs);
        const lookMs = hand.look.nextMs(hand.room(true) > 0);
        await waker.wait(Math.min(dueMs, hand.nextRoomMs(), lookMs, limits.pollMs));
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
    wake() {
      hand.look.renew();
      waker.wake();
    },
    async stop() {
      stopping.abort();
      waker.wake();
      await looping;
      await hand.drain();
      ended.abort();
      await leasing;
    },
  };
}

/** What this process has in hand, lane by lane. */
type Hand = {
  /** Names this process as holder of leases. */
  owner: string;
  precedence: Precedence;
  lane(of: SendLane): Lane;
  lanes(): Lane[];
  look: Look;
  /** How many more letters, or more of the rest, may be taken in hand. */
  room(individual: boolean): number;
  /** To be called with the lanes of which another node alone may send letters. */
  wakeOthers(theirs: readonly SendLane[]): void;
  /** In how many ms a lane that is paused may be tried again. */
  nextRoomMs(): number;
  drain(): Promise<void>;
};

function createHand(deps: SenderDeps, limits: Limits, wake: () => void, stopping: AbortSignal): Hand {
  const { clock, db } = deps;
  const owner = randomUUID();
  const attempts = createAttempts({ ...deps, limits }, owner, stopping);
  const precedence = createPrecedence(clock);
  const traces = createTraces(deps);
  const lanes = new Map<string, Lane>();
  /** Where the database is away, a lease that runs out does the same. */
  const left = (lane: string) => (error: unknown) => {
    deps.log.warn({ lane, error: messageOf(error) }, 'sends of a lane were left to their leases');
  };
  const giveBack = async (name: string, lane: Lane): Promise<void> => {
    const ids = lane.giveBack();
    if (ids.length > 0) await releaseSends(db, { owner, ids }).catch(left(name));
  };
  const make = ({ lane: name, mailbox }: SendLane): Lane => {
    const lane = createLane({
      clock,
      log: deps.log,
      attempts,
      precedence,
      open: deps.open ?? openSession,
      serverOf: (subAccountId, way) => serverFor({ ...deps, traces }, subAccountId, way),
      sessionsMax: mailbox === null ? relaySessionsMax : deps.provider(mailbox.provider).smtpSessionsMax,
      idleMs: limits.idleMs,
      onEnd: wake,
      onTrouble: (ending) => {
        // What is given back is to be held as well.
        const given = giveBack(name, lane);
        if (ending.lane?.what === 'hold')
          given.then(() => holdLane(deps, limits, name, ending.word)).catch(left(name));
      },
    });
    return lane;
  };
  return {
    owner,
    precedence,
    lane(of) {
      const lane = lanes.get(of.lane) ?? make(of);
      lanes.set(of.lane, lane);
      return lane;
    },
    lanes: () => [...lanes.values()],
    look: createLook(deps, owner, limits.inHandMax),
    room: (individual) =>
      limits.inHandMax - [...lanes.values()].reduce((sum, lane) => sum + lane.count(individual), 0),
    wakeOthers: forNews(deps.wakeOthers),
    nextRoomMs: () => nextRoomMs(clock.monotonic(), [...lanes.values()]),
    async drain() {
      const all = [...lanes.values()];
      const given = Promise.all([...lanes].map(([name, lane]) => giveBack(name, lane)));
      for (const lane of all) lane.abort('not_handed_over');
      const done = Promise.all(all.map((lane) => lane.done()));
      const early = new AbortController();
      await Promise.race([done, clock.sleep(limits.stopMs, early.signal)]);
      early.abort();
      for (const lane of all) lane.abort('all');
      await done;
      for (const lane of all) lane.close();
      await given;
      await endSendingLeases(db, owner).catch(left('every mailbox'));
      await traces.written();
    },
  };
}

function nextRoomMs(now: number, lanes: readonly Lane[]): number {
  const pauses = lanes.flatMap((lane) => lane.pausedUntil() ?? []);
  return Math.min(Infinity, ...pauses.filter((until) => until > now).map((until) => until - now));
}

/**
 * Calls where there is a letter for which it was not called yet: two nodes, each of which has found what is the other's,
 * would wake each other for ever.
 */
function forNews(call: () => void): (theirs: readonly SendLane[]) => void {
  const calledFor = new Map<string, number>();
  return (theirs) => {
    const news = theirs.filter(({ lane, newestDue }) => newestDue > (calledFor.get(lane) ?? -Infinity));
    for (const { lane, newestDue } of news) calledFor.set(lane, newestDue);
    if (news.length > 0) call();
  };
}

/**
 * Claims what is due, letters before all else: of each lane no more than its server takes at once, so that none stands in
 * the way of another.
 */
async function claimDue(deps: SenderDeps, limits: Limits, hand: Hand, stopping: AbortSignal): Promise<void> {
  const { owner, precedence } = hand;
  const all = await hand.look.lanes();
  const rooms = new Map([true, false].map((individual) => [individual, hand.room(individual)]));
  // Whoever has no room for more of a mailbox leaves it to others as soon as nothing of it is in hand.
  const found = all.filter((of) => {
    const { individual, elsewhere } = of;
    return Math.min(hand.lane(of).room(individual) - elsewhere, rooms.get(individual) ?? 0) > 0;
  });
  for (const [individual, most] of rooms) {
    const lanes = found.filter((of) => of.individual === individual);
    const rates = await roomByRate(deps, limits, hand, { lanes, room: most });
    if (individual) hand.wakeOthers(lanes.filter(({ lane }) => rates.get(lane) === -Infinity));
    // Each as if it were alone: of some there is nothing that may be taken yet, and they would keep the others from it.
    const wanted = lanes.flatMap((of) => {
      const lane = hand.lane(of);
      const limit = Math.min(lane.room(individual) - of.elsewhere, rates.get(of.lane) ?? Infinity, most);
      return limit > 0 ? [{ name: of.lane, limit, lane }] : [];
    });
    if (stopping.aborted) return;
    if (wanted.length === 0) continue;
    const claimed = await claimLanes(deps.db, {
      owner,
      leaseMs: limits.leaseMs,
      individual,
      lanes: wanted.map(({ name, limit }) => ({ lane: name, limit })),
      limit: most,
    });
    if (individual && claimed.length > 0) precedence.noteLetters();
    const asked = wanted.reduce((sum, { limit }) => sum + limit, 0);
    if (claimed.length < Math.min(asked, most)) hand.look.renew();
    const idsOf = Map.groupBy(claimed, ({ lane }) => lane);
    for (const { name, lane } of wanted) {
      const mine = (idsOf.get(name) ?? []).map(({ id }) => id);
      if (mine.length > 0) lane.take(mine, individual);
    }
  }
}

/**
 * How many more sends may be claimed now of each lane whose provider counts messages by the minute; -Infinity where another
 * node sends for the mailbox. Of mailboxes that are nobody's it takes no more than there is room for: others would wait for
 * this node.
 */
async function roomByRate(
  deps: SenderDeps,
  limits: Limits,
  hand: Hand,
  found: { lanes: readonly SendLane[]; room: number },
): Promise<Map<string, number>> {
  const counted = found.lanes.flatMap((of) => {
    const { lane, mailbox } = of;
    const most = mailbox === null ? null : deps.provider(mailbox.provider).smtpMessagesPerMinuteMax;
    // Before the tries are counted: one that begins meanwhile counts twice rather than not at all.
    return mailbox === null || most === null
      ? []
      : [{ lane, id: mailbox.id, most: most - hand.lane(of).notBegun() }];
  });
  if (counted.length === 0) return new Map();
  const leases = await takeSendingLeases(deps.db, {
    owner: hand.owner,
    leaseMs: limits.leaseMs,
    mailboxIds: counted.map(({ id }) => id),
    most: found.room,
  });
  const leaseOf = new Map(leases.map((lease) => [lease.id, lease]));
  return new Map(
    counted.map(({ lane, id, most }) => {
      const { whose, tries } = leaseOf.get(id) ?? { whose: 'left', tries: 0 };
      return [lane, whose === 'mine' ? most - tries : whose === 'left' ? 0 : -Infinity];
    }),
  );
}

/** Prolongs the leases of what is in hand; what another node has taken over meanwhile is let go. */
async function keepLeases(deps: SenderDeps, limits: Limits, hand: Hand, signal: AbortSignal): Promise<void> {
  const { owner } = hand;
  while (!signal.aborted) {
    await deps.clock.sleep(limits.leaseMs / 3, signal);
    const held = hand.lanes().flatMap((lane) => lane.ids().map((id) => ({ lane, id })));
    if (held.length === 0) continue;
    try {
      const ids = held.map(({ id }) => id);
      const mine = await renewSendLeases(deps.db, { owner, leaseMs: limits.leaseMs, ids });
      for (const { lane, id } of held) if (!mine.has(id)) lane.lose(id);
    } catch (error) {
      deps.log.warn({ error: messageOf(error) }, 'the leases of sends were not prolonged');
    }
  }
}

/**
 * The login is refused, or there is no token: whatever else is due in the lane waits for the same reason. Also what was
 * held before and is to be tried again: a server that refused the password would hear it once for each.
 */
async function holdLane(deps: SenderDeps, limits: Limits, lane: string, word: string): Promise<void> {
  for (;;) {
    const ids = await findDueOfLane(deps.db, { lane, limit: limits.heldBatchMax });
    if (ids.length === 0) break;
    await deps.db.transaction(async (tx) => {
      const transitions = (await lockSends(tx, ids)).flatMap((send): Transition[] => {
        const { state, leaseOwner } = send;
        if (state === 'queued' || state === 'held') return [{ send, change: heldForProvider(limits, word) }];
        return isTaken(send) && leaseOwner === null ? [{ send, change: holdRest(limits, send) }] : [];
      });
      await changeSends(tx, transitions);
    });
  }
  deps.wakePublisher();
}

/** Lets held sends go on, or ends them (see findHeldToSettle): all that there are, a batch in each transaction. */
async function settleHeld(deps: SenderDeps, limits: Limits, signal: AbortSignal): Promise<void> {
  const { heldMsMax, heldBatchMax } = limits;
  while (!signal.aborted) {
    const found = await findHeldToSettle(deps.db, { blockedStates, heldMsMax, limit: heldBatchMax });
    if (found.length > 0) await settleBatch(deps, new Map(found.map((each) => [each.id, each])));
    if (found.length < heldBatchMax) return;
  }
}

type HeldToSettle = Awaited<ReturnType<typeof findHeldToSettle>>[number];

async function settleBatch(
  deps: SenderDeps,
  how: ReadonlyMap<HeldToSettle['id'], HeldToSettle>,
): Promise<void> {
  await deps.db.transaction(async (tx) => {
    const held = (await lockSends(tx, [...how.keys()])).filter(({ state }) => state === 'held');
    await changeSends(
      tx,
      held.flatMap((send) => {
        const found = how.get(send.id);
        if (found === undefined) return [];
        const change =
          found.how === 'release' ? { ...settled.release, next: found.dueMs } : settled[found.how];
        return [{ send, change }];
      }),
    );
  });
  deps.wakePublisher();
}

const settled = {
  release: { state: 'queued', reason: null },
  give_up: { state: 'failed', reason: 'held_too_long', next: 'over' },
  ended: { state: 'failed', reason: 'mailbox_disconnected', next: 'over' },
} as const;
