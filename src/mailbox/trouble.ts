import { Failure } from '../lib/failure.ts';
import { CursorMoved } from '../filing/file.ts';
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
  portionAt(place: Place): Portion;
  /** Reading on from there failed. */
  failedAt(place: Place, error: unknown): void;
  /** A folder was read to its end: what failed before was no message's fault. */
  readAt(place: Place): void;
};

/** So often the whole batch is tried, and then so often its first message alone. */
const batchTries = 3;
const singleTries = 3;

export function createTroubles(): Troubles {
  const tries = new Map<FolderId, { cursorUid: number; times: number }>();
  const timesAt = ({ id, cursorUid }: Place) => {
    const last = tries.get(id);
    return last?.cursorUid === cursorUid ? last.times : 0;
  };
  return {
    portionAt(place) {
      const times = timesAt(place);
      if (times < batchTries) return 'many';
      return times < batchTries + singleTries ? 'one' : 'none';
    },
    failedAt(place, error) {
      // A database that is away says nothing about a message.
      if (!(error instanceof Failure) && !isOfOneMessage(error)) return;
      // Nor does a provider that asks for a pause.
      if (error instanceof Failure && error.kind === 'throttled') return;
      tries.set(place.id, { cursorUid: place.cursorUid, times: timesAt(place) + 1 });
    },
    readAt: ({ id }) => void tries.delete(id),
  };
}

/**
 * Whether an error may lie in the message that was filed: a fault of our own, or values that the
 * database does not take. Not the provider's, and not that of a database which is away, busy or
 * overtaken (PostgreSQL, appendix A: classes 08, 40, 53, 55, 57, 58). Pure.
 */
export function isOfOneMessage(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof Failure || error instanceof CursorMoved) return false;
  const code = codeOf(error);
  if (code === null) return error.name !== 'KnexTimeoutError' && !/connection/i.test(error.message);
  return /^[0-9A-Z]{5}$/.test(code) && !/^(08|40|53|55|57|58)/.test(code);
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
