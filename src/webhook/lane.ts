import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { deliveryTime, deliveryTries, steps } from '../lib/meters.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { createWaker } from '../lib/waker.ts';
import type { Waker } from '../lib/waker.ts';
import type { Db } from '../store/database.ts';
import { settleDeliveries } from '../store/deliveries.ts';
import type { DueWebhook, EndpointState, SettledDelivery } from '../store/deliveries.ts';
import { claimDeliveries } from '../store/delivery-claims.ts';
import type { ClaimedDelivery } from '../store/delivery-claims.ts';
import { endpointPauseMs, newsOf, outcomeOf } from './outcome.ts';
import type { Answer, Outcome, Try } from './outcome.ts';
import { publicEvent } from './payload.ts';
import { postEvent } from './request.ts';
import { openSecrets } from './sign.ts';

/** The deliveries of one webhook on this node: no other webhook waits for them. It closes when nothing is due. */
export type Lane = {
  /** Something is due. */
  wake(): void;
  /** Starts no more requests; resolves when all of them are settled. */
  stop(): Promise<void>;
};

type LaneDeps = {
  db: Db;
  dispatcher: Dispatcher;
  clock: Clock;
  log: Log;
  secretBox: SecretBox;
  /** Names this process in leases. */
  owner: string;
  /** Gives running requests up. */
  stop: AbortSignal;
};

/** Requests of one webhook at once, on one node. */
const inFlightMax = 8;
/** Well over the 15 s that a try can take, so that a lease is lost only by a crash. */
const leaseMs = 60_000;
/**
 * A fast endpoint would wait for the database between two tries, so more are claimed than can be in
 * flight: what is likely to be started within a second, and no more than 56.
 */
const aheadMs = 1_000;
const aheadMax = 56;
/** What has waited for its turn for so long is given back: its lease must not end during a try. */
const aheadWaitMsMax = 30_000;
/** How long the database is left alone after an error. */
const databaseRestMs = 1_000;

/** Starts to deliver what is due; `closed` is called when the lane has ended. */
export function openLane(deps: LaneDeps, webhook: DueWebhook, closed: () => void): Lane {
  const lane: LaneState = {
    webhook,
    waker: createWaker(deps.clock),
    claimed: [],
    returned: [],
    inFlight: 0,
    paceMs: Infinity,
    ended: [],
    endpoint: { enabled: true, failures: webhook.failures, pausedMs: 0 },
    pausedAtMs: 0,
    mayBeDue: true,
    stopping: false,
  };
  const running = runLane(deps, lane, closed);
  return {
    wake() {
      lane.mayBeDue = true;
      lane.waker.wake();
    },
    async stop() {
      lane.stopping = true;
      lane.waker.wake();
      await running;
    },
  };
}

type LaneState = {
  webhook: DueWebhook;
  waker: Waker;
  /** Claimed, and waiting for their turn; the oldest first. */
  claimed: ClaimedTry[];
  /** Claimed, and to be given back untried. */
  returned: ClaimedDelivery[];
  inFlight: number;
  /** How long a try takes of late. */
  paceMs: number;
  /** Tries that have ended and are not settled yet. */
  ended: EndedTry[];
  endpoint: EndpointState;
  /** When the endpoint was last found failing, by the clock that only goes forward; its pause counts from here. */
  pausedAtMs: number;
  /** False after a claim that found less than it asked for. */
  mayBeDue: boolean;
  stopping: boolean;
};

/** A delivery that may be tried, and what goes after it when it is delivered. `atMs`: when all of them were claimed. */
type ClaimedTry = { delivery: ClaimedDelivery; behind: readonly ClaimedDelivery[]; atMs: number };

type EndedTry = Try & { delivery: ClaimedDelivery };

/** One serial loop: settle what has ended, claim what is due, wait. */
async function runLane(deps: LaneDeps, lane: LaneState, closed: () => void): Promise<void> {
  for (;;) {
    try {
      if (mustSettle(deps, lane)) await settle(deps, lane);
      if (wanted(deps, lane) > 0) await claim(deps, lane, wanted(deps, lane));
    } catch (error) {
      deps.log.warn(
        { webhook_id: lane.webhook.id, error: messageOf(error) },
        'a webhook waits for the database',
      );
      await restAfterError(deps, lane);
    }
    if (mustSettle(deps, lane) || wanted(deps, lane) > 0) continue;
    // In the same step as the looks before it: nobody can wake the lane in between and be forgotten.
    if (lane.inFlight === 0) return closed();
    // Each try wakes the loop when it ends, and has its own time-out.
    await lane.waker.wait(leaseMs);
  }
}

/** What has ended stays in the list. If that takes longer than the lease it is delivered again, under the same id. */
async function restAfterError(deps: LaneDeps, lane: LaneState): Promise<void> {
  lane.mayBeDue = false;
  if (!lane.stopping) return deps.clock.sleep(databaseRestMs);
  lane.ended = [];
  lane.returned = [];
}

/** How many requests may be under way now. A failing endpoint gets one at a time. */
function inFlightNow(deps: LaneDeps, lane: LaneState): number {
  const { endpoint } = lane;
  if (lane.stopping || !endpoint.enabled) return 0;
  if (deps.clock.monotonic() < lane.pausedAtMs + endpoint.pausedMs) return 0;
  return endpoint.failures > 0 ? 1 : inFlightMax;
}

/** How many deliveries to claim now. */
function wanted(deps: LaneDeps, lane: LaneState): number {
  const most = inFlightNow(deps, lane);
  if (!lane.mayBeDue || most === 0) return 0;
  const ahead = most === 1 ? 0 : Math.min(aheadMax, Math.floor((most * aheadMs) / lane.paceMs));
  const held = lane.inFlight + lane.claimed.length;
  // A few at a time only where requests would have to wait for them.
  return held < most || held < ahead / 2 ? most + ahead - held : 0;
}

async function claim(deps: LaneDeps, lane: LaneState, limit: number): Promise<void> {
  // Set before, so that whoever wakes the lane during the claim is not forgotten.
  lane.mayBeDue = false;
  const atMs = deps.clock.monotonic();
  const claimed = await claimDeliveries(deps.db, {
    webhookId: lane.webhook.id,
    owner: deps.owner,
    leaseMs,
    limit,
  });
  if (claimed.length === limit) lane.mayBeDue = true;
  for (const { behind, ...delivery } of claimed) lane.claimed.push({ delivery, behind, atMs });
  startClaimed(deps, lane);
}

/** Starts what may be under way, and gives back what should not wait here. */
function startClaimed(deps: LaneDeps, lane: LaneState): void {
  const most = inFlightNow(deps, lane);
  const tooOld = deps.clock.monotonic() - aheadWaitMsMax;
  while (lane.claimed.length > 0) {
    const next = lane.claimed[0];
    const giveBack =
      next !== undefined && (next.atMs < tooOld || (most < inFlightMax && lane.inFlight >= most));
    if (!giveBack && lane.inFlight >= most) return;
    lane.claimed.shift();
    if (giveBack) lane.returned.push(next.delivery, ...next.behind);
    else if (next !== undefined) void attempt(deps, lane, next);
  }
}

async function attempt(
  deps: LaneDeps,
  lane: LaneState,
  { delivery, behind, atMs }: ClaimedTry,
): Promise<void> {
  const startedAtMs = deps.clock.monotonic();
  lane.inFlight += 1;
  const answer = await post(deps, delivery);
  lane.inFlight -= 1;
  const ended = { delivery, answer, attempts: delivery.attempts, startedAtMs };
  lane.ended.push(ended);
  const { state } = outcomeOf(ended);
  note(deps, ended, state);
  const [next, ...others] = behind;
  if (next !== undefined && state === 'delivered')
    lane.claimed.unshift({ delivery: next, behind: others, atMs });
  else lane.returned.push(...behind);
  const tookMs = Math.max(1, deps.clock.monotonic() - startedAtMs);
  lane.paceMs = lane.paceMs === Infinity ? tookMs : (lane.paceMs * 7 + tookMs) / 8;
  startClaimed(deps, lane);
  lane.waker.wake();
}

function note(deps: LaneDeps, ended: EndedTry, state: Outcome['state']): void {
  const { delivery, startedAtMs, answer, attempts } = ended;
  const { id, event, webhook, requestId } = delivery;
  // What no call asked for comes by hundreds a second, and is in the database.
  if (requestId !== null) {
    const ids = { request_id: requestId, event_id: event.id, delivery_id: id, webhook_id: webhook.id };
    deps.log.info(
      { ...ids, type: event.type, attempt: attempts, status: answer.status, state },
      'tried to deliver',
    );
  }
  deliveryTries.add([state === 'pending' ? 'failed' : state]);
  deliveryTime.observe([], (deps.clock.monotonic() - startedAtMs) / 1_000);
  if (state === 'delivered')
    steps.observe(['delivered'], (deps.clock.now() - event.createdAt.getTime()) / 1_000);
}

function post(deps: LaneDeps, delivery: ClaimedDelivery): Promise<Answer> {
  const { event, webhook } = delivery;
  const body = JSON.stringify(publicEvent(event));
  let secrets: string[];
  try {
    secrets = openSecrets(deps.secretBox, webhook, deps.clock.now());
  } catch (error) {
    // The key with which it was sealed is not configured any more.
    return Promise.resolve({ status: null, error: messageOf(error), stopped: false });
  }
  return postEvent(deps, { url: webhook.url, id: event.id, body, secrets }, deps.stop);
}

function mustSettle(deps: LaneDeps, lane: LaneState): boolean {
  startClaimed(deps, lane);
  return lane.ended.length > 0 || lane.returned.length > 0;
}

async function settle(deps: LaneDeps, lane: LaneState): Promise<void> {
  const round = [...lane.ended];
  const returned = [...lane.returned];
  const settled: SettledDelivery[] = [
    ...round.map((ended) => ({ id: ended.delivery.id, tried: true, ...outcomeOf(ended) })),
    ...returned.map(({ id }) => ({ id, tried: false, ...untried })),
  ];
  const after = await settleDeliveries(deps.db, {
    webhookId: lane.webhook.id,
    owner: deps.owner,
    settled,
    news: newsOf(round, lane.pausedAtMs),
    pauseMs: (failures) => endpointPauseMs(failures, round),
  });
  lane.ended.splice(0, round.length);
  lane.returned.splice(0, returned.length);
  // What was finished may have held up others; what failed is tried again later, which the poll finds.
  lane.mayBeDue = true;
  const before = lane.endpoint;
  lane.endpoint = after ?? { ...before, enabled: false };
  if (lane.endpoint.pausedMs > 0) lane.pausedAtMs = deps.clock.monotonic();
  report(deps.log, lane, before, settled);
}

const untried = { state: 'pending', status: null, error: null, delayMs: 0 } as const;

function report(log: Log, lane: LaneState, before: EndpointState, settled: readonly SettledDelivery[]): void {
  const webhook_id = lane.webhook.id;
  const { enabled, failures, pausedMs } = lane.endpoint;
  const error = settled.find((delivery) => delivery.error !== null)?.error;
  if (before.enabled && !enabled)
    log.warn({ webhook_id }, 'a webhook takes no more events: it was deleted, disabled, or answered 410');
  if (before.failures === 0 && failures > 0)
    log.warn({ webhook_id, error, pause_ms: pausedMs }, 'a webhook fails and is paused');
  if (before.failures > 0 && failures === 0) log.info({ webhook_id }, 'a webhook works again');
  for (const { id, state, status } of settled) {
    if (state === 'parked')
      log.warn({ webhook_id, delivery_id: id, status }, 'a delivery was given up and parked');
  }
}
