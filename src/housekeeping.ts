import type { Config } from './config.ts';
import type { Clock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import type { Log } from './lib/log.ts';
import type { SecretBox } from './lib/secret-box.ts';
import { createWaker } from './lib/waker.ts';
import { findUnreferencedBlobs } from './store/blob-references.ts';
import type { SweptBlobStore } from './store/blobs.ts';
import { forgetSpooled } from './store/spool.ts';
import { vacuum } from './store/database.ts';
import type { Database, Db } from './store/database.ts';
import { countDecisions } from './store/decision-counts.ts';
import { forgetFacts } from './store/decisions.ts';
import { forgetErrands, scheduleAudits } from './store/errands.ts';
import { dropPastEvents, listHoldingUp } from './store/event-retention.ts';
import { forgetAnswers } from './store/idempotency.ts';
import { dropPast, makePartitions } from './store/partitions.ts';
import { resealAll } from './store/sealed.ts';
import { forgetAudit } from './store/audit.ts';
import { forgetTraces } from './store/wire-traces.ts';

/** How often it comes round. */
const everyMs = 3_600_000;

/** Its next round begins no earlier than this, however much is erased. */
const pauseMs = 60_000;

/** A blob is put before the row that refers to it is committed. No call takes that long. */
const blobsUntouchedMs = 3_600_000;

/** D3: how long a repeat of a call gets the first answer. */
const answersKeptHours = 7 * 24;

/** T2: how often a connection is audited by itself, and how far back. A round leaves no more than a node can do before the next. */
const audits = { everyHours: 24, windowDays: 3, limit: 500 };

/** How long traces can be read. */
const tracesKeptDays = 7;

/** How long it can be seen what a backfill or an audit came to. */
const errandsKeptDays = 90;

const dayMs = 24 * 3_600_000;

/** How many days is kept what goes by itself. */
export type KeptDays = {
  /** T4: what decisions rest on. */
  facts: number;
  /** Decisions about mail that was left out. */
  decisions: number;
  /** W2: with their deliveries. */
  events: number;
  /** Tries of sends. */
  attempts: number;
  /** What administrators did. */
  audit: number;
};

export function keptDaysOf(
  config: Pick<
    Config,
    'KEEP_FACTS_DAYS' | 'KEEP_DECISIONS_DAYS' | 'KEEP_EVENTS_DAYS' | 'KEEP_ATTEMPTS_DAYS' | 'KEEP_AUDIT_DAYS'
  >,
): KeptDays {
  return {
    facts: config.KEEP_FACTS_DAYS,
    decisions: config.KEEP_DECISIONS_DAYS,
    events: config.KEEP_EVENTS_DAYS,
    attempts: config.KEEP_ATTEMPTS_DAYS,
    audit: config.KEEP_AUDIT_DAYS,
  };
}

/** Removes what has served its time, and leaves what is due by itself. Any node may do it; doing it twice harms nothing. */
export function createHousekeeping(deps: {
  database: Database;
  blobs: SweptBlobStore;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  keptDays: KeptDays;
}): {
  start(): void;
  stop(): Promise<void>;
  /** To be called after a commit that erased messages: their blobs go soon, not in an hour. */
  wake(): void;
} {
  const { database, blobs, secretBox, clock, log, keptDays } = deps;
  const stopping = new AbortController();
  const waker = createWaker(clock);
  let running: Promise<void> = Promise.resolve();
  let forgottenTo = '';
  const forget = async () => {
    await forgetAnswers(database.db, answersKeptHours);
    await forgetErrands(database.db, errandsKeptDays);
    await forgetSpooled(database.db);
    await forgetTraces(database.db, tracesKeptDays);
    await forgetAudit(database.db, keptDays.audit);
    await countDecisions(database.db);
    await scheduleAudits(database.db, { ...audits, now: clock.now() });
    const before = clock.now() - keptDays.facts * dayMs;
    forgottenTo = await forgetFacts(database.db, { before, after: forgottenTo }, stopping.signal);
    if (secretBox.keyNames.length > 1) await reseal(deps, stopping.signal);
  };
  const sweep = async () => {
    const removed = await blobs.sweep({
      before: new Date(clock.now() - blobsUntouchedMs),
      findUnreferenced: (names) => findUnreferencedBlobs(database.db, names),
    });
    if (removed > 0) log.info({ removed }, 'blobs that nothing refers to were removed');
  };
  const keep = async () => {
    await keepPartitions({ db: database.db, clock, log }, keptDays);
    // The embedded database says that it vacuums by itself and does not (PGlite 0.5.16, 2026-11).
    if (database.kind === 'pglite') await vacuum(database.db);
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      // Each by itself: a month without partitions is not to follow from a store of blobs that refuses to be listed.
      for (const part of [forget, sweep, keep]) {
        try {
          await part();
        } catch (error) {
          log.warn({ error: messageOf(error) }, 'housekeeping failed; it comes round again');
        }
      }
      await clock.sleep(pauseMs, stopping.signal);
      await waker.wait(everyMs - pauseMs);
    }
  };
  return {
    start: () => {
      running = run();
    },
    stop: async () => {
      stopping.abort();
      waker.wake();
      await running;
    },
    wake: () => waker.wake(),
  };
}

async function reseal(
  { database, secretBox, log }: { database: Database; secretBox: SecretBox; log: Log },
  stop: AbortSignal,
): Promise<void> {
  const { resealed, lost } = await resealAll(database.db, secretBox, stop);
  if (resealed > 0) log.info({ resealed }, 'secrets were sealed anew with the newest key');
  if (lost > 0) log.warn({ lost }, 'secrets cannot be opened with the keys that are configured');
}

/** Makes the partitions of the months to come, and drops those that are past; what keeps one from either is logged. */
async function keepPartitions(
  { db, clock, log }: { db: Db; clock: Clock; log: Log },
  keptDays: KeptDays,
): Promise<void> {
  const before = (days: number) => clock.now() - days * dayMs;
  const unmade = await makePartitions(db, clock.now());
  if (unmade.length > 0)
    log.warn(
      { partitions: unmade.join(' ') },
      'rows of these months are in the default partitions, and deleted later',
    );
  const events = await dropPastEvents(db, before(keptDays.events));
  const dropped = [
    ...(await dropPast(db, 'decisions', before(keptDays.decisions))),
    ...(await dropPast(db, 'send_attempts', before(keptDays.attempts))),
    ...events.dropped,
  ];
  if (dropped.length > 0) log.info({ partitions: dropped.join(' ') }, 'what is past was dropped');
  for (const { webhookId, count } of events.undelivered)
    log.warn(
      { webhook: webhookId, deliveries: count },
      'deliveries that had been given up went with past events',
    );
  for (const { webhookId, enabled } of await listHoldingUp(db, before(keptDays.events)))
    log.warn(
      { webhook: webhookId, enabled },
      'past events are kept, since this webhook still waits for some',
    );
}
