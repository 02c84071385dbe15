import { randomUUID } from 'node:crypto';
import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { createWaker } from '../lib/waker.ts';
import type { Db } from '../store/database.ts';
import { listDueWebhooks } from '../store/deliveries.ts';
import type { DueWebhook } from '../store/deliveries.ts';
import type { WebhookId } from '../lib/id.ts';
import { openLane } from './lane.ts';
import type { Lane } from './lane.ts';

/** Takes events to the CRM's webhooks (W2). Several nodes share the work. */
export type Deliverer = {
  start(): void;
  /** Gives running requests a few seconds to end; what is cut off then is delivered again later. */
  stop(): Promise<void>;
  /** Deliveries of these webhooks are due now. What nobody wakes is found within a second. */
  wake(webhooks: readonly DueWebhook[]): void;
};

/** How long a delivery that became due by itself (a retry, the end of a pause, a lease) may wait. */
const pollMs = 1_000;
/** How long a stop waits for endpoints that are slow to answer. */
const stopMsMax = 5_000;

/** `dispatcher` must be guarded: see createWebhookAgent. */
export function createDeliverer(deps: {
  db: Db;
  dispatcher: Dispatcher;
  clock: Clock;
  log: Log;
  secretBox: SecretBox;
}): Deliverer {
  const { db, clock, log } = deps;
  const owner = randomUUID();
  const waker = createWaker(clock);
  const lanes = new Map<WebhookId, Lane>();
  const stopRequests = new AbortController();
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const wakeLanes = (webhooks: readonly DueWebhook[]): void => {
    if (stopping.signal.aborted || running === undefined) return;
    for (const webhook of webhooks) {
      const lane = lanes.get(webhook.id);
      if (lane === undefined) {
        lanes.set(
          webhook.id,
          openLane({ ...deps, owner, stop: stopRequests.signal }, webhook, () => lanes.delete(webhook.id)),
        );
      } else lane.wake();
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        wakeLanes(await listDueWebhooks(db));
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'webhooks that are due cannot be listed; trying again');
      }
      await waker.wait(pollMs);
    }
  };

  return {
    start() {
      running ??= run();
    },
    async stop() {
      stopping.abort();
      waker.wake();
      await running;
      const ended = new AbortController();
      void clock.sleep(stopMsMax, ended.signal).then(() => stopRequests.abort());
      await Promise.all([...lanes.values()].map((lane) => lane.stop()));
      ended.abort();
    },
    wake: wakeLanes,
  };
}
