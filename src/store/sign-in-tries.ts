import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Whether somebody may try to sign in now. */
export type Try =
  /** `tries`: how many there were without success, with this one. `pauseSeconds`: what follows if it fails, too. */
  | { allowed: true; tries: number; pauseSeconds: number }
  /** `until`: RFC 3339. */
  | { allowed: false; until: string };

/** After so long without a try they are forgotten. */
const forgottenHours = 24;

/**
 * Counts a try before it is known how it ends: of many at once, no more are made than are allowed. Success forgets
 * them. `pausesSeconds`: how long the next one has to wait after the first try, the second …; the last for all further.
 */
export async function takeTry(
  db: Db,
  { whose, pausesSeconds }: { whose: Buffer; pausesSeconds: readonly number[] },
): Promise<Try> {
  await run(db, 'delete from sign_in_tries where last_at < now() - make_interval(hours => :forgottenHours)', {
    forgottenHours,
  });
  // clock_timestamp: the row may have been waited for.
  const [taken] = await rows<{ tries: number; pauseSeconds: number }>(
    db,
    `insert into sign_in_tries as old (whose, tries, paused_until)
     values (:whose, 1, clock_timestamp() + (:pausesSeconds::int[])[1] * interval '1 second')
     on conflict (whose) do update
       set tries = old.tries + 1, last_at = now(),
           paused_until = clock_timestamp()
             + (:pausesSeconds::int[])[least(old.tries + 1, cardinality(:pausesSeconds::int[]))] * interval '1 second'
       where old.paused_until <= clock_timestamp()
     returning tries, (:pausesSeconds::int[])[least(tries, cardinality(:pausesSeconds::int[]))] as "pauseSeconds"`,
    { whose, pausesSeconds },
  );
  if (taken !== undefined) return { allowed: true, ...taken };
  const [paused] = await rows<{ until: string }>(
    db,
    `select ${timestamp('paused_until')} as until from sign_in_tries where whose = :whose`,
    { whose },
  );
  return { allowed: false, until: paused?.until ?? new Date().toISOString() };
}

/** Forgets the tries of whoever has signed in. */
export async function forgetTries(db: Db, whose: readonly Buffer[]): Promise<void> {
  await run(db, 'delete from sign_in_tries where whose = any(:whose::bytea[])', { whose });
}
