import type { Clock } from '../lib/clock.ts';
import type { Db } from '../store/database.ts';
import { findSendLanes } from '../store/send-lanes.ts';
import type { LaneMark, SendLane } from '../store/send-lanes.ts';

/**
 * In which lanes something is due, as this process knows it. To find that out costs more than to claim, and while much is
 * due each lane asks for more after every few mails: what was found a moment ago is enough for that.
 */
export type Look = {
  lanes(): Promise<readonly SendLane[]>;
  /** What is known is not all that there is any more. */
  renew(): void;
  /** In so many ms something comes due that is not due yet. */
  noteDue(ms: number): void;
  /** In how many ms it is to be looked again even where nobody asks. `hasRoom`: more could be claimed. */
  nextMs(hasRoom: boolean): number;
};

/** Where much is due in many lanes, each look finds some of them: in so many ms the next ones are looked at. */
const walkMs = 250;
/** For how long what was found is enough. */
const knownMs = 250;

/** Makes one that knows nothing yet. `owner` names this process as the holder of leases; up to `limit` are found at once. */
export function createLook(deps: { db: Db; clock: Clock }, owner: string, limit: number): Look {
  const { db, clock } = deps;
  let known: readonly SendLane[] = [];
  /** By the monotonic clock. */
  let knownUntil = -Infinity;
  let isFresh = true;
  /** How far the last look has walked through all lanes; null: the next one begins anew. */
  let walkedTo: LaneMark | null = null;
  return {
    async lanes() {
      const now = clock.monotonic();
      isFresh = now >= knownUntil;
      if (!isFresh) return known;
      // Before it is looked: what comes meanwhile has it done once more.
      knownUntil = now + knownMs;
      const found = await findSendLanes(db, { owner, limit, after: walkedTo });
      ({ walkedTo, lanes: known } = found);
      return known;
    },
    renew: () => void (knownUntil = -Infinity),
    noteDue: (ms) => void (knownUntil = Math.min(knownUntil, clock.monotonic() + ms)),
    nextMs: (hasRoom) =>
      Math.min(
        walkedTo !== null && hasRoom ? walkMs : Infinity,
        // What has ended may be due again, in a lane that is not known of.
        isFresh ? Infinity : Math.max(0, knownUntil - clock.monotonic()),
      ),
  };
}
