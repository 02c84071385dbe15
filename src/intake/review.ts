import type { Step } from '../filing/decide.ts';
import { newId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import { discardHeld, lockHeld, readHeld, releaseHeld } from '../store/held.ts';
import type { Held } from '../store/held.ts';

/** Mail to a logging address, of whichever sub-account where that is null. */
type Which = { subAccountId: string | null; id: string };

/** Who wrote what was forwarded, as whoever reviews it says. */
export type NamedAuthor = { name: string; address: string };

/**
 * What came of a review (B2, B4).
 * - `already_decided`: it was released or discarded before, and it stays so.
 * - `author_unknown`: who wrote what was forwarded could not be read, and must be named.
 * - `not_a_forward`: an author was named of what forwards nothing.
 */
export type Reviewed =
  | { held: Held }
  | { refused: 'not_found' }
  | { refused: 'already_decided' | 'author_unknown' | 'not_a_forward'; held: Held };

/** Has a held mail logged as if nothing had been doubtful; again, it changes nothing. Wake the filer afterwards. */
export function releaseMail(db: Db, which: Which, author: NamedAuthor | null): Promise<Reviewed> {
  return db.transaction(async (tx) => {
    const held = await lockOne(tx, which);
    if (held === null) return { refused: 'not_found' };
    if (held.state === 'discarded') return { refused: 'already_decided', held };
    if (held.state === 'released') return { held };
    const problem = authorProblem(held, author);
    if (problem !== null) return { refused: problem, held };
    await releaseHeld(tx, [held.id], author);
    return { held: await readAgain(tx, held) };
  });
}

const discarded: readonly Step[] = [{ rule: 'B4', because: { say: 'discarded' } }];

/** Drops a held mail, of whose content nothing is kept; again, it changes nothing. Wake the housekeeping afterwards. */
export function discardMail(db: Db, which: Which): Promise<Reviewed> {
  return db.transaction(async (tx) => {
    const held = await lockOne(tx, which);
    if (held === null) return { refused: 'not_found' };
    if (held.state === 'released') return { refused: 'already_decided', held };
    if (held.state === 'discarded') return { held };
    await discardHeld(tx, [{ id: held.id, decisionId: newId('dec') }], discarded);
    return { held: await readAgain(tx, held) };
  });
}

/** Releases or discards what of these still waits, and tells how many that were; what needs an author to be named is left. */
export function reviewMails(
  db: Db,
  ids: readonly string[],
  verdict: 'release' | 'discard',
): Promise<{ done: number; left: number }> {
  return db.transaction(async (tx) => {
    const waiting = (await lockHeld(tx, { subAccountId: null, ids })).filter(({ state }) => state === 'held');
    const mine = waiting.filter((held) => verdict === 'discard' || authorProblem(held, null) === null);
    if (mine.length > 0 && verdict === 'release')
      await releaseHeld(
        tx,
        mine.map(({ id }) => id),
        null,
      );
    if (mine.length > 0 && verdict === 'discard')
      await discardHeld(
        tx,
        mine.map(({ id }) => ({ id, decisionId: newId('dec') })),
        discarded,
      );
    return { done: mine.length, left: waiting.length - mine.length };
  });
}

async function lockOne(tx: Db, { subAccountId, id }: Which): Promise<Held | null> {
  const [held] = await lockHeld(tx, { subAccountId, ids: [id] });
  return held ?? null;
}

async function readAgain(tx: Db, held: Held): Promise<Held> {
  return (await readHeld(tx, [held.id]))[0] ?? held;
}

/** What was forwarded is somebody's: named by whoever reviews it, or read out of it. */
function authorProblem(
  { mail }: Held,
  author: NamedAuthor | null,
): 'not_a_forward' | 'author_unknown' | null {
  const forwarded = mail?.forwarded ?? null;
  if (author !== null && forwarded === null) return 'not_a_forward';
  return author === null && forwarded !== null && forwarded.from === null ? 'author_unknown' : null;
}
