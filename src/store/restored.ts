import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** How far the numbers of events go ahead: more than any backup misses, and far from what a number holds. */
const numbersAhead = 1_000_000_000;

/** What was done with a database that is older than what became of its data. */
export type Settled = { sendsDelayed: number; sessionsEnded: number };

/**
 * For a database that was restored, before anything runs on it. What waited to be sent may have gone out since:
 * each such send waits for `waitMs`, in which the mailbox's Sent folder tells of it. Numbers of events that the CRM has
 * seen are given to no others, and who signed in then is not signed in now.
 */
export function settleRestored(db: Db, waitMs: number): Promise<Settled> {
  return db.transaction(async (tx) => {
    const sendsDelayed = await run(
      tx,
      `update sends set due_at = greatest(due_at, now() + make_interval(secs => :waitMs::float8 / 1000))
        where ready and state in ('queued', 'held')`,
      { waitMs },
    );
    await rows(tx, `select setval('event_numbers', nextval('event_numbers') + :numbersAhead::bigint)`, {
      numbersAhead,
    });
    return { sendsDelayed, sessionsEnded: await run(tx, 'delete from console_sessions') };
  });
}
