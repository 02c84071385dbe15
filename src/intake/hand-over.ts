import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { createWaker } from '../lib/waker.ts';
import type { Spooled } from '../store/spool.ts';

/**
 * Where spooled messages go. Resolves when they are durable in the database; idempotent by the id of each, so
 * that what a crash leaves in doubt is given again. Rejects when the database is away.
 */
export type Take = (batch: readonly { spooled: Spooled; raw: Buffer }[]) => Promise<void>;

/** A durable message that has not been taken yet. */
export type Untaken = {
  spooled: Spooled;
  /** Its raw bytes, from memory or from the disk. */
  read(): Promise<Buffer>;
  /** Called once, when it is taken. */
  done(): Promise<void>;
};

/** Gives messages to `take`, batch by batch, until it has them. */
export type HandOver = {
  add(message: Untaken): void;
  start(): void;
  /** Resolves when what is being taken is; the rest stays in the spool. */
  stop(): Promise<void>;
};

/** One batch: round trips are few, and what is in memory at once is bounded. */
const batchMessagesMax = 100;
const batchBytesMax = 16 * 1024 * 1024;
const retry = { firstMs: 100, mostMs: 10_000 };
/** For a message that was refused alone while others were taken. */
const retryAlone = { firstMs: 1_000, mostMs: 60_000 };
/** Nobody has to wait so long: each message wakes the loop. */
const idleMs = 60_000;

/** A message, and how often it was refused when it was alone. */
type Entry = { message: Untaken; refusals: number; notBefore: number };

export function createHandOver(deps: { take: Take; clock: Clock; log: Log }): HandOver {
  const { clock, log } = deps;
  const waker = createWaker(clock);
  const stopping = new AbortController();
  const queue = createQueue(clock);
  let running: Promise<void> | undefined;
  /** In a row. */
  let failures = 0;

  const give = async (batch: readonly Entry[]): Promise<void> => {
    try {
      const given = [];
      for (const { message } of batch) given.push({ spooled: message.spooled, raw: await message.read() });
      await deps.take(given);
    } catch (error) {
      failures += 1;
      const spoolId = batch[0]?.message.spooled.id;
      const fields = { error: messageOf(error), messages: batch.length, spoolId, failures };
      log.warn(fields, 'accepted mail could not be handed over; trying again');
      queue.refused(batch);
      return;
    }
    failures = 0;
    queue.taken();
    for (const { message } of batch) await message.done();
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const batch = queue.next(failures === 0);
      if (batch.length > 0) await give(batch);
      else await waker.wait(queue.pause());
      if (failures > 0) await clock.sleep(backoffMs(failures, retry), stopping.signal);
      if (queue.hasNothingFresh()) failures = 0;
    }
  };

  return {
    add(message) {
      queue.add(message);
      waker.wake();
    },
    start() {
      running ??= run();
    },
    async stop() {
      stopping.abort();
      waker.wake();
      await running;
    },
  };
}

/**
 * What comes next. A refusal may be the database's, or be about one message of a batch: batches are halved
 * until that one is found, and then it stands aside.
 */
function createQueue(clock: Clock) {
  let fresh: Entry[] = [];
  /** Refused when they were alone: tried again alone, so that they hold nobody. */
  const suspects: Entry[] = [];
  let messagesMax = batchMessagesMax;
  return {
    add: (message: Untaken) => void fresh.push({ message, refusals: 0, notBefore: 0 }),
    hasNothingFresh: () => fresh.length === 0,
    /** A batch; empty when nothing is due. */
    next(withSuspects: boolean): Entry[] {
      const due = suspects.findIndex(({ notBefore }) => notBefore <= clock.monotonic());
      if (due >= 0 && withSuspects) return suspects.splice(due, 1);
      let bytes = 0;
      const end = fresh.findIndex(
        ({ message }, at) => at >= messagesMax || (bytes += message.spooled.size) > batchBytesMax,
      );
      return fresh.splice(0, end < 0 ? fresh.length : Math.max(end, 1));
    },
    taken() {
      messagesMax = Math.min(messagesMax * 2, batchMessagesMax);
    },
    refused(batch: readonly Entry[]) {
      messagesMax = Math.max(Math.ceil(batch.length / 2), 1);
      const [first] = batch;
      if (batch.length > 1 || first === undefined) {
        fresh = [...batch, ...fresh];
        return;
      }
      first.refusals += 1;
      first.notBefore = clock.monotonic() + backoffMs(first.refusals, retryAlone);
      suspects.push(first);
    },
    /** For how long nothing is due, ms. */
    pause(): number {
      const due = Math.min(...suspects.map(({ notBefore }) => notBefore)) - clock.monotonic();
      return Math.min(Math.max(due, 0), idleMs);
    },
  };
}
