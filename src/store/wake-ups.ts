import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { createWorker } from '../lib/waker.ts';
import { run } from './database.ts';
import type { Db } from './database.ts';

/** What may wait for work on another node. */
export type Part =
  | 'publisher'
  /** Whoever follows the log of events. */
  | 'streams'
  | 'sender'
  | 'errands'
  | 'filer'
  | 'revoker'
  | 'housekeeping'
  /** A mailbox is to be taken over, let go or looked at; without an id: whichever are free. */
  | 'mailbox'
  /** The CRM has asked for something to be done in a mailbox. */
  | 'wanted';

/**
 * Wakes what waits on other nodes, by LISTEN and NOTIFY. Never needed for correctness: all of it polls. What is told
 * while nobody can hear it is lost, and whoever listens again wakes everything once.
 */
export type WakeUps = {
  start(): void;
  /** Tells the rest, and lets the connection go. */
  stop(): Promise<void>;
  /** Wakes a part on every other node, within some milliseconds where all is well. Never waits, never throws. */
  tell(part: Part, mailboxId?: MailboxId): void;
};

export type WakeUpDeps = {
  db: Db;
  /** Of the same PostgreSQL, for a connection that lasts: behind a pooler of transactions nothing is heard. */
  url: string;
  clock: Clock;
  log: Log;
  /** Another node has told this. */
  heard(part: Part, mailboxId: MailboxId | null): void;
  /** This node listens again: anything may have been told meanwhile. */
  missed(): void;
  limits?: Partial<typeof usualLimits>;
};

const channel = 'twoway_wake_ups';

/** In ms, where nothing else is said. */
const usualLimits = {
  /** A statement takes 0.2 ms of this process: the first goes at once, and what comes within so long goes together. */
  gatherMs: 25,
  /** How often the connection is shown to live, and it is counted who listens. */
  beatMs: 30_000,
  answerMs: 10_000,
  retry: { firstMs: 500, mostMs: 30_000 },
  /** What waits to be told, at most; more is found by those whom it concerns when they next look. */
  waitingMax: 1_000,
};

/** PostgreSQL takes less than 8,000 bytes; a part and an id are below 60. */
const linesMax = 100;

/** Another node has begun to listen. */
const hello = 'hello';

/** Makes it; nothing happens before `start`. */
export function createWakeUps(deps: WakeUpDeps): WakeUps {
  const { db, clock, log } = deps;
  const limits = { ...usualLimits, ...deps.limits };
  const instance = randomUUID();
  const waiting = new Set<string>();
  const room: Room = { othersListen: true, heard: 0 };
  const stopping = new AbortController();

  const tellSome = async (): Promise<void> => {
    const lines = [...waiting].slice(0, linesMax);
    for (const line of lines) waiting.delete(line);
    await run(db, 'select pg_notify(:channel, :payload)', {
      channel,
      payload: [instance, ...lines].join('\n'),
    });
  };
  const teller = createWorker({
    clock,
    log,
    pollMs: limits.beatMs,
    failed: 'other nodes were not woken; they find by themselves what there is to do',
    async turn() {
      if (waiting.size === 0) return false;
      await tellSome();
      await clock.sleep(limits.gatherMs, stopping.signal);
      return true;
    },
  });
  const say = (line: string): void => {
    if (waiting.size < limits.waitingMax) waiting.add(line);
    teller.wake();
  };
  const hear = (payload: string): void => {
    const [from, ...lines] = payload.split('\n');
    if (from === instance) return;
    room.othersListen = true;
    room.heard += 1;
    for (const line of lines) {
      const [part, mailboxId = null] = line.split(' ');
      if (part !== hello) deps.heard(part as Part, mailboxId as MailboxId | null);
    }
  };
  const onListening = (): void => {
    say(hello);
    deps.missed();
  };

  let listening: Promise<void> | undefined;
  return {
    start() {
      teller.start();
      listening ??= listenForever({ ...deps, limits }, { hear, onListening, room }, stopping.signal);
    },
    tell(part, mailboxId) {
      if (room.othersListen) say(mailboxId === undefined ? part : `${part} ${mailboxId}`);
    },
    async stop() {
      stopping.abort();
      await teller.stop();
      await listening;
      try {
        if (waiting.size > 0) await tellSome();
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'other nodes do not hear what this one leaves');
      }
    },
  };
}

type Room = {
  /** A node that is alone spares the statements. */
  othersListen: boolean;
  /** How often another was heard; each time is newer than a count that was asked for before. */
  heard: number;
};
type Ear = { hear(payload: string): void; onListening(): void; room: Room };
type Listening = WakeUpDeps & { limits: typeof usualLimits };

/** Listens, and again after each end of the connection. Never rejects. */
async function listenForever(deps: Listening, ear: Ear, stop: AbortSignal): Promise<void> {
  const { clock, log, limits } = deps;
  let failures = 0;
  while (!stop.aborted) {
    try {
      await listen(deps, { ...ear, onListening: () => ((failures = 0), ear.onListening()) }, stop);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'this node is not woken by others for now; it polls');
    }
    // Nobody knows who else there is.
    ear.room.othersListen = true;
    failures += 1;
    await clock.sleep(backoffMs(failures, limits.retry), stop);
  }
}

/** One connection, from its start to its end; rejects with what ended it, unless that was the stop. */
async function listen({ url, clock, limits }: Listening, ear: Ear, stop: AbortSignal): Promise<void> {
  const { beatMs, answerMs } = limits;
  const client = new Client({
    connectionString: url,
    application_name: channel,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
    keepAlive: true,
  });
  const over = new AbortController();
  let cause = new Error('PostgreSQL ended the connection');
  client.on('error', (error) => (cause = error));
  client.on('end', () => over.abort());
  client.on('notification', ({ payload = '' }) => ear.hear(payload));
  const either = AbortSignal.any([stop, over.signal]);
  const count = async (): Promise<void> => {
    const { heard } = ear.room;
    const others = await othersListen(client);
    ear.room.othersListen = others || ear.room.heard > heard;
  };
  try {
    await client.connect();
    await client.query(`listen ${channel}`);
    await count();
    ear.onListening();
    while (!either.aborted) {
      await clock.sleep(beatMs, either);
      if (!either.aborted) await count();
    }
    if (!stop.aborted) throw cause;
  } finally {
    // A connection that has fallen silent does not say goodbye either.
    await Promise.race([client.end(), clock.sleep(answerMs / 10, over.signal)]);
  }
}

async function othersListen(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ n: number; mayWrite: boolean }>(
    `select count(*)::int as n, current_setting('transaction_read_only') = 'off' as "mayWrite"
       from pg_stat_activity where datname = current_database() and application_name = $1`,
    [channel],
  );
  // A primary that has become a standby without ending its sessions (see opening.ts): what is told is told at another one.
  if (rows[0]?.mayWrite !== true) throw new Error('PostgreSQL may only read here, and nobody tells anything');
  return rows[0].n > 1;
}
