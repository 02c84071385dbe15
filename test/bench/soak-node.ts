// The process of the soak: the door, the spool, the filer and the publisher, put together as in src/gateway.ts.
import { createProver } from '../../src/intake/authenticate.ts';
import { startIntake } from '../../src/intake/server.ts';
import { openSpool } from '../../src/intake/spool.ts';
import { createTake } from '../../src/intake/take.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { rows } from '../../src/store/database.ts';
import { findLoggingOwners } from '../../src/store/logging-addresses.ts';
import { createPublisher } from '../../src/webhook/publisher.ts';
import { serveParent } from './child.ts';
import { createBenchFiler, heldBytes, loggingDomain, openLoggingStores } from './logging-node.ts';

export type SoakOptions = {
  users: number;
  databaseUrl: string;
  blobsDirectory: string;
  spoolDirectory: string;
};
export type SoakQuestion = 'start' | 'waiting' | 'look';
/** Of each user, who they are and where they log. */
export type SoakDoor = { port: number; users: { address: string; loggingAddress: string }[] };
export type SoakLook = { heldBytes: number; residentBytes: number };

const options = JSON.parse(process.argv[2] ?? '') as SoakOptions;
const [clock, log] = [systemClock, createLog('warn')];
const stores = await openLoggingStores(options);
const { db, users } = stores;

const publisher = createPublisher({ db, clock, log, published: () => undefined });
const filer = createBenchFiler(stores, () => publisher.wake());
const take = createTake({ ...stores, wakeFiler: () => filer.wake() });
const spool = await openSpool({ directory: options.spoolDirectory, take, clock, log });
const answers = { start, waiting, look };

serveParent((question) => answers[question as SoakQuestion]());

async function start(): Promise<SoakDoor> {
  const resolve = async (name: string, type: string) => {
    if (`${type} ${name}` === 'TXT bench.test') return [['v=spf1 ip4:127.0.0.1 -all']];
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  };
  publisher.start();
  filer.start();
  const { port } = await startIntake({
    host: '127.0.0.1',
    port: 0,
    domain: loggingDomain,
    certificate: null,
    proxies: [],
    lookUp: (locals) => findLoggingOwners(db, locals),
    spool,
    prover: createProver({ resolve, clock, log, hostName: loggingDomain }),
    clock,
    log,
  });
  return { port, users };
}

/** How many are accepted and not filed. */
async function waiting(): Promise<number> {
  const [taken] = await rows<{ ready: number }>(
    db,
    'select count(*)::int as ready from intake_spool where ready',
  );
  return spool.waiting().messages + (taken?.ready ?? 0);
}

async function look(): Promise<SoakLook> {
  const held = await heldBytes();
  return { heldBytes: held, residentBytes: process.memoryUsage().rss };
}
