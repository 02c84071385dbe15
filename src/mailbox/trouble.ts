import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { FolderId } from '../lib/id.ts';

/** How much of a folder to read at once. `none`: not even the next message; it is kept as failed. */
export type Portion = 'many' | 'one' | 'none';

/** Where a folder's cursor stands. */
type Place = { id: FolderId; cursorUid: number };

/**
 * Remembers, over sessions, where reading fails again and again: one message may break the server's
 * answer, the library or the connection, and must not hold up those behind it for ever (T3).
 */
export type Troubles = {
  /** How much to read from the cursor on, when `nextUid` is the first that is listed there. */
  portionAt(place: Place, nextUid: number): Portion;
  /** Fetching or filing from there on failed; `aloneUid` is what was asked for, where that was one message. */
  failedAt(place: Place, error: unknown, aloneUid: number | null): void;
  /** A folder was read to its end: what failed before was no message's fault. */
  readAt(place: Place): void;
};

/** So often the whole batch is tried, and then so often its first message alone. */
const batchTries = 3;
const singleTries = 3;

/** A provider in trouble fails at every message. A message is to blame only when it alone has failed for so long. */
const blameMs = 300_000;

type Trouble = {
  cursorUid: number;
  batches: number;
  /** The message that was asked for alone, how often that failed, and since when. */
  alone: { uid: number; times: number; since: number } | null;
};

export function createTroubles(clock: Clock): Troubles {
  const troubles = new Map<FolderId, Trouble>();
  const at = ({ id, cursorUid }: Place) => {
    const last = troubles.get(id);
    return last?.cursorUid === cursorUid ? last : null;
  };
  return {
    portionAt(place, nextUid) {
      const trouble = at(place);
      if (trouble === null || trouble.batches < batchTries) return 'many';
      const { alone } = trouble;
      const toBlame =
        alone?.uid === nextUid && alone.times >= singleTries && clock.monotonic() - alone.since >= blameMs;
      return toBlame ? 'none' : 'one';
    },
    failedAt(place, error, aloneUid) {
      // What is ours says nothing about a message (see isOfOneMessage), nor does a provider that asks for a pause.
      if (!(error instanceof Failure) || error.kind !== 'temporary') return;
      const { batches, alone } = at(place) ?? { batches: 0, alone: null };
      const before = alone?.uid === aloneUid ? alone : { times: 0, since: clock.monotonic() };
      troubles.set(place.id, {
        cursorUid: place.cursorUid,
        batches: aloneUid === null ? batches + 1 : batches,
        alone: aloneUid === null ? alone : { ...before, uid: aloneUid, times: before.times + 1 },
      });
    },
    readAt: ({ id }) => void troubles.delete(id),
  };
}

/** Errors that our own code has with what it was given. */
const ours: ReadonlySet<string> = new Set([
  'TypeError',
  'RangeError',
  'SyntaxError',
  'URIError',
  'AssertionError',
]);

/**
 * Whether an error lies in the message that was filed: a fault of our own, or values that the
 * database does not take (PostgreSQL, appendix A: classes 22, 23 and 54). Every other one may pass by
 * itself: a database that is away, busy or overtaken, a disk that is full or read-only. Pure.
 */
export function isOfOneMessage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Only what the database itself said has a severity.
  if ('severity' in error) return /^(22|23|54)/.test(codeOf(error) ?? '');
  return ours.has(error.name);
}

/** What may be logged of an error of our own: where it happened. Its message may hold content of mail. */
export function placeOfError(error: unknown): { error: string; code: string | null; stack: string | null } {
  if (!(error instanceof Error)) return { error: typeof error, code: null, stack: null };
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  return { error: error.name, code: codeOf(error), stack: frames?.slice(0, 8).join('\n') ?? null };
}

function codeOf(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null;
}
