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
