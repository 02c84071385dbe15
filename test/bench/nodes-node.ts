// One of several nodes that listen to the same mailboxes: node nodes-node.ts <options>. Told "stop" it hands over.
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createWakes } from '../../src/wakes.ts';
import { passwordOf } from '../support/mail.ts';
import { serveParent } from './child.ts';
import { startBenchGateway } from './gateway.ts';

export type NodeOptions = { id: string; databaseUrl: string; blobsDirectory: string; imap: ServerAddress };

const options = JSON.parse(process.argv[2] ?? '') as NodeOptions;
const { databaseUrl: url, id } = options;
const { db } = await openDatabase({ kind: 'postgres', url, connectionsMax: 10 });
const wakes = createWakes({ db, url, clock: systemClock, log: createLog('error') });
const gateway = startBenchGateway({
  ...options,
  db,
  loginOf: (user) => ({ user, password: passwordOf(user) }),
  connections: 1,
  node: { id, wakes },
});
wakes.start();

serveParent(async () => {
  await gateway.stop();
  await wakes.stop();
});
