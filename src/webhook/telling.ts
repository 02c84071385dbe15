import type { Agent } from 'undici';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { Db } from '../store/database.ts';
import { createDeliverer } from './deliverer.ts';
import type { Deliverer } from './deliverer.ts';
import { createEventSignal } from './follow.ts';
import type { EventSignal } from './follow.ts';
import { createPublisher } from './publisher.ts';
import type { Publisher } from './publisher.ts';
import { createWebhookAgent } from './request.ts';

/** All parts of telling the CRM, put together: what is published wakes the deliverer and the streams of this process. */
export function createTelling(deps: {
  db: Db;
  clock: Clock;
  log: Log;
  secretBox: SecretBox;
  netGuard: NetGuard;
  /** Tells the streams of other nodes that there is more. */
  tellStreams(): void;
}): { publisher: Publisher; deliverer: Deliverer; eventSignal: EventSignal; dispatcher: Agent } {
  const dispatcher = createWebhookAgent(deps.netGuard);
  const eventSignal = createEventSignal();
  const deliverer = createDeliverer({ ...deps, dispatcher });
  const publisher = createPublisher({
    ...deps,
    published: (webhooks) => {
      deliverer.wake(webhooks);
      eventSignal.ring();
      deps.tellStreams();
    },
  });
  return { publisher, deliverer, eventSignal, dispatcher };
}
