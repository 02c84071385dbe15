import type { Clock } from '../lib/clock.ts';

/** How many looks of the safety net a node makes at once, and when that became fewer last, by the monotonic clock. */
export type Width = { looks: number; narrowedAt: number };

/** In the beginning, and where the node has time: with each for a second at most, of more mailboxes than it can hold. */
const looksMax = 500;
/** That many keep a node busy which gets little of the processor, and leave new mail in well under a second. */
const looksMin = 40;
/** A timer that comes later than this has waited for work of this process, or for the processor. */
const lateMsMax = 50;
/** Before what one cut has brought about is seen, there is no other. */
const narrowsEveryMs = 500;
/** A look that takes longer waits for its server, which costs nothing here: it keeps no other one waiting. */
const holdMs = 1_000;

/**
 * How many looks are made at once, after one that is due was woken so late, in ms: half as many where the node has too
 * much to do, one more where it has not. Pure.
 */
export function nextWidth(
  { looks, narrowedAt }: Width,
  { lateMs, now }: { lateMs: number; now: number },
): Width {
  if (lateMs <= lateMsMax) return { looks: Math.min(looksMax, looks + 1), narrowedAt };
  if (now - narrowedAt < narrowsEveryMs) return { looks, narrowedAt };
  return { looks: Math.max(looksMin, Math.floor(looks / 2)), narrowedAt: now };
}

/** The turn of one look. */
export type Turn = {
  readonly hasCome: boolean;
  /** The look is over, or is not wanted any more. */
  end(): void;
};

/**
 * Asks for the turn of a look that is due. `lateMs`: how late its timer came; null: nothing waited for it. Where the
 * turn has not come at once, `come` is called when it has.
 */
export type Pace = (lateMs: number | null, come: () => void) => Turn;

/**
 * Lets the looks of a process give way to new mail where it gets too little of the processor. Each would begin as soon
 * as it is due, until all mailboxes have one under way and the steps of a new mail, some ten, wait each time for a step of
 * all of them (ten thousand mailboxes, 2026-11: 27 seconds). The looks that wait go in the order in which they were due.
 */
export function createPace(clock: Clock): Pace {
  let width: Width = { looks: looksMax, narrowedAt: Number.NEGATIVE_INFINITY };
  let underWay = 0;
  const waiting = new Set<() => void>();
  const letIn = () => {
    for (const begin of waiting) {
      if (underWay >= width.looks) return;
      waiting.delete(begin);
      begin();
    }
  };
  return (lateMs, come) => {
    if (lateMs !== null) width = nextWidth(width, { lateMs, now: clock.monotonic() });
    const held = new AbortController();
    let isAsking = true;
    const turn = {
      hasCome: false,
      end: () => {
        waiting.delete(begin);
        held.abort();
      },
    };
    const begin = () => {
      underWay += 1;
      turn.hasCome = true;
      void clock.sleep(holdMs, held.signal).then(() => {
        underWay -= 1;
        letIn();
      });
      if (!isAsking) come();
    };
    waiting.add(begin);
    letIn();
    isAsking = false;
    return turn;
  };
}
