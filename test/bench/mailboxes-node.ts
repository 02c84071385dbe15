// Many idle mailboxes in a process of their own: bare clients, or the gateway. They are there from the beginning, as after
// a restart.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import type { ImapFlow } from 'imapflow';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { preciseNow, serveParent } from './child.ts';
import { liveMailboxes, startBenchGateway } from './gateway.ts';
import { openRawClient } from './raw-client.ts';

export type MailboxesOptions = {
  kind: 'bare' | 'gateway';
  imap: ServerAddress;
  mailboxes: number;
  databaseUrl: string;
  blobsDirectory: string;
};

/** What a start took: on the clock, and of the processor by this process. */
export type Started = { ms: number; cpuMs: number };
/** A minute in which nothing comes: of the processor, the event loop's delay, and how many connections to PostgreSQL are open. */
export type Idled = { cpuMs: number; loopDelayMs: number; connections: number };
export type MailboxesQuestion = 'start' | 'memory' | 'idle' | 'commits';

/** As many at a time as the gateway connects to one host. */
const parallel = 40;
const idleMs = 45_000;
const startMsMax = 900_000;

const options = JSON.parse(process.argv[2] ?? '') as MailboxesOptions;
const held: ImapFlow[] = [];
const commits: number[] = [];
let database: Db | null = null;

const answers = { start, memory, idle, commits: () => commits };
serveParent((question) => answers[question as MailboxesQuestion]());

async function start(): Promise<Started> {
  const before = { at: performance.now(), cpu: process.cpuUsage() };
  await (options.kind === 'bare' ? openClients() : startGateway());
  return { ms: performance.now() - before.at, cpuMs: spent(before.cpu) };
}

async function openClients(): Promise<void> {
  const missing = Array.from({ length: options.mailboxes }, (_, n) => `idle-${n + 1}@bench.test`);
  const worker = async () => {
    for (let address = missing.pop(); address !== undefined; address = missing.pop()) {
      const client = await openRawClient(options.imap, { user: address, pass: passwordOf(address) });
      client.idle().catch(() => undefined);
      held.push(client);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

async function startGateway(): Promise<void> {
  const { databaseUrl: url, blobsDirectory, imap, mailboxes } = options;
  const { db } = await openDatabase({ kind: 'postgres', url, connectionsMax: 20 });
  database = db;
  const loginOf = (user: string) => ({ user, password: passwordOf(user) });
  startBenchGateway({
    db,
    blobsDirectory,
    imap,
    loginOf,
    connections: 1,
    committed: () => commits.push(preciseNow()),
  });
  const deadlineMs = startMsMax;
  await waitFor('live mailboxes', async () => (await liveMailboxes(db)) === mailboxes, {
    deadlineMs,
    everyMs: 100,
  });
}

/** Resident bytes after a few collections: what is left is held. */
async function memory(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await wait(500);
  }
  return process.memoryUsage.rss();
}

async function idle(): Promise<Idled> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  const before = process.cpuUsage();
  delay.enable();
  await wait(idleMs);
  delay.disable();
  const cpuMs = (spent(before) * 60_000) / idleMs;
  return { cpuMs, loopDelayMs: delay.percentile(99) / 1e6, connections: connectionsOf(database) };
}

function connectionsOf(db: Db | null): number {
  const pool = (db?.client as { pool: { numUsed(): number; numFree(): number } } | undefined)?.pool;
  return pool === undefined ? 0 : pool.numUsed() + pool.numFree();
}

function spent(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
