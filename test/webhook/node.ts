import { systemClock } from '../../src/lib/clock.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createDeliverer } from '../../src/webhook/deliverer.ts';
import { createPublisher } from '../../src/webhook/publisher.ts';
import { createWebhookAgent } from '../../src/webhook/request.ts';
import { keptLog, loopbackGuard, secretBox } from './support.ts';

/* A node that publishes and delivers until it is killed: node --import ./src/typescript.js test/webhook/node.ts <database URL> */

const { db } = await openDatabase({ kind: 'postgres', url: process.argv[2] ?? '', connectionsMax: 5 });
const log = keptLog();
const deliverer = createDeliverer({
  db,
  dispatcher: createWebhookAgent(loopbackGuard),
  clock: systemClock,
  log,
  secretBox,
});
createPublisher({ db, clock: systemClock, log, published: (webhooks) => deliverer.wake(webhooks) }).start();
deliverer.start();
// The clock's timers keep no process alive.
setInterval(() => {}, 1_000);
