import type { Clock } from '../lib/clock.ts';
import type { SendId } from '../lib/id.ts';
import type { Begun } from './attempt.ts';
import { createLine } from './line.ts';
import type { Line } from './line.ts';
import type { Ending } from './outcome.ts';
import type { Precedence } from './precedence.ts';
import { createRuns } from './runs.ts';
import type { CutOff, Runs, RunsDeps } from './runs.ts';
import type { openSession } from './smtp.ts';

/** What this process has in hand of the sends that share a server and a login, and its sessions there. */
export type Lane = {
  /** Takes claimed sends, letters or the rest, to be handed over by as many sessions as there may be; letters first. */
  take(ids: readonly SendId[], individual: boolean): void;
  /** Everything in hand. */
  ids(): SendId[];
  /** How many letters are in hand, or how many of the rest. */
  count(individual: boolean): number;
  /** How many are in hand of which no try is written down yet. */
  notBegun(): number;
  /** How many more letters, or more of the rest, it takes now: 0 while its server lets nothing through, then one to try it. */
  room(individual: boolean): number;
  /** When it may be tried again, by the monotonic clock; null: it is not paused. */
  pausedUntil(): number | null;
  /** It is another node's now: it is not begun, and where it is on its way, and its end is not out, cut off. */
  lose(id: SendId): void;
  /** Takes what was not begun out of hand. */
  giveBack(): SendId[];
  /** Cuts off what is on its way, or only what is not at its end. */
  abort(of: CutOff): void;
  /** Ends kept sessions. */
  close(): void;
  /** Resolves when nothing is on its way. */
  done(): Promise<void>;
};

export type LaneDeps = RunsDeps & {
  clock: Clock;
  precedence: Precedence;
  open: typeof openSession;
  /** Sessions at once. */
  sessionsMax: number;
  /** How long a session is kept that has nothing to do, ms. */
  idleMs: number;
  /** Told when something ended: more may be claimed. */
  onEnd(): void;
  /** Told that nothing of it gets through any more: what is in hand and not begun is to be given back. */
  onTrouble(ending: Exclude<Ending, { accepted: unknown }>): void;
};

/**
 * In hand for each session, at most: the next ones are there when one is through, and few wait if the process dies. Of
 * what comes by the thousand, more share each statement.
 */
const lettersAhead = 4;
const othersAhead = 10;

/** While letters have precedence, the rest goes out no faster than one in so many ms: 70,000 an hour still do. */
const paceMs = 50;

/** Makes a lane with nothing in hand. */
export function createLane(deps: LaneDeps): Lane {
  const { clock, sessionsMax } = deps;
  const runs: Runs = createRuns(deps, (individual) => {
    // Half of what there may be is asked for at once, and not one after the other.
    if (inHand(individual) <= most(individual) / 2) deps.onEnd();
  });
  const letters = createCourse(runs, true);
  const others = createCourse(runs, false);
  const courseOf = (individual: boolean) => (individual ? letters : others);
  const gate = createGate(clock);
  const note = (ending: Ending | null): void => {
    if (ending === null || !gate.note(ending) || 'accepted' in ending) return;
    // What has begun would find the same: it is given back without being tried.
    runs.abort('not_on_its_way');
    deps.onTrouble(ending);
  };
  const sessions = createSessions(deps, { letters, others }, async (begun, line) =>
    note(await runs.make(begun, line)),
  );
  const most = (individual: boolean) => gate.most(sessionsMax * (individual ? lettersAhead : othersAhead));
  const inHand = (individual: boolean) => runs.open(individual) + courseOf(individual).waiting();
  const waiting = () => letters.waiting() + others.waiting();

  return {
    take(ids, individual) {
      courseOf(individual).add(ids);
      sessions.go(waiting());
    },
    ids: () => [...letters.ids(), ...others.ids(), ...runs.ids()],
    count: (individual) => courseOf(individual).waiting() + runs.count(individual),
    notBegun: () => waiting() + runs.beginning(),
    room(individual) {
      const all = most(individual);
      // What there is of the rest leaves letters their room, but where one is to try the server.
      const taken = individual && all > 1 ? inHand(true) : inHand(true) + inHand(false);
      return Math.max(0, all - taken);
    },
    pausedUntil: () => gate.closedUntil(),
    lose(id) {
      if (!letters.remove(id) && !others.remove(id)) runs.lose(id);
    },
    giveBack: () => [...letters.giveBack(), ...others.giveBack()],
    abort: (of) => runs.abort(of),
    close: () => sessions.close(),
    done: () => runs.done(),
  };
}

type Course = ReturnType<typeof createCourse>;

/** The sessions of a lane, each of them handing over one after the other: letters first, the rest as these leave room. */
function createSessions(
  { clock, precedence, open, sessionsMax, idleMs }: LaneDeps,
  { letters, others }: { letters: Course; others: Course },
  make: (begun: Begun, line: Line) => Promise<void>,
) {
  const idle = createIdle(clock);
  const walk = createWalk(clock, precedence);
  let count = 0;
  let isClosed = false;
  /** For how long a session leaves what waits of the rest. */
  const makesRoomMs = () => (others.isThere() ? walk.roomMs() : 0);

  /** Hands one over; false: there is nothing that this session should do. */
  const handOver = async (line: Line): Promise<boolean> => {
    const letter = letters.next(line);
    const next = letter ?? (makesRoomMs() > 0 ? null : others.next(line));
    if (next === null) return false;
    const step = async () => {
      const begun = await next;
      if (begun !== null) await make(begun, line);
    };
    await (letter === null ? walk.take(step) : step());
    return true;
  };
  const work = async (): Promise<void> => {
    const line = createLine(open);
    try {
      for (;;) {
        if (await handOver(line)) continue;
        const roomMs = makesRoomMs();
        if (roomMs > 0) await idle.isWoken(roomMs);
        else if (isClosed || !line.isOpen() || !(await idle.isWoken(idleMs))) return;
      }
    } finally {
      line.end();
      count -= 1;
    }
  };
  return {
    /** So many wait: as many sessions see to it, or all that there may be. */
    go(waiting: number) {
      for (let n = idle.wake(waiting); n < waiting && count < sessionsMax; n += 1) {
        count += 1;
        void work();
      }
    },
    close() {
      isClosed = true;
      idle.wake(Infinity);
    },
  };
}

/** The letters that wait in a lane, or what else does. */
function createCourse(runs: Pick<Runs, 'begin'>, individual: boolean) {
  const queue: SendId[] = [];
  /** Those that are begun and that nobody has on their way, the first one first. */
  const beginning: Promise<Begun | null>[] = [];
  return {
    add: (ids: readonly SendId[]) => void queue.push(...ids),
    ids: () => [...queue],
    waiting: () => queue.length,
    isThere: () => queue.length + beginning.length > 0,
    /** Null: there is nothing to do. Where a session takes them, all begin at once, and share their transaction. */
    next(line: Line): Promise<Begun | null> | null {
      if (beginning.length === 0) {
        const first = queue.splice(0, line.isOpen() ? Infinity : 1);
        beginning.push(...first.map((id) => runs.begin(id, individual)));
      }
      return beginning.shift() ?? null;
    },
    remove(id: SendId): boolean {
      const position = queue.indexOf(id);
      if (position !== -1) queue.splice(position, 1);
      return position !== -1;
    },
    giveBack: () => queue.splice(0),
  };
}

/** How bulk and workflow mail of a lane goes while letters have precedence: one after the other, no faster than at a pace. */
function createWalk(clock: Clock, precedence: Precedence) {
  /** How many of them are on their way. */
  let count = 0;
  /** When the last one began, by the monotonic clock. */
  let lastAt = -Infinity;
  return {
    /** For how long the next one must not begin yet: there is one, or letters are to be let by. */
    roomMs() {
      const roomMs = precedence.roomMs();
      return count > 0 ? roomMs : Math.max(0, Math.min(roomMs, lastAt + paceMs - clock.monotonic()));
    },
    async take(step: () => Promise<void>): Promise<void> {
      count += 1;
      lastAt = clock.monotonic();
      await step().finally(() => (count -= 1));
    },
  };
}

/** The workers that keep a session and have nothing to do. */
function createIdle(clock: Clock) {
  const waiting = new Set<() => void>();
  return {
    /** True when there is something to do; false after the time for which one waits for that. */
    async isWoken(ms: number): Promise<boolean> {
      const waking = new AbortController();
      const wake = () => waking.abort();
      waiting.add(wake);
      await clock.sleep(ms, waking.signal);
      waiting.delete(wake);
      return waking.signal.aborted;
    },
    /** Wakes so many at most; answers how many. */
    wake(most: number): number {
      const woken = [...waiting].slice(0, most);
      for (const wake of woken) {
        waiting.delete(wake);
        wake();
      }
      return woken.length;
    },
  };
}

/** What keeps a lane from asking a server again and again that lets nothing through. */
function createGate(clock: Clock) {
  let closedUntil: number | null = null;
  let isTried = false;
  return {
    /** True where the ending says that nothing else gets through; one that says nothing of the server opens nothing. */
    note(ending: Ending): boolean {
      const lane = 'accepted' in ending ? { what: 'open' as const } : ending.lane;
      if (lane === undefined) return false;
      isTried = lane.what !== 'open';
      closedUntil = lane.what === 'pause' ? clock.monotonic() + lane.ms : null;
      return isTried;
    },
    closedUntil: () => closedUntil,
    /** Of `all` that it may have in hand, how many now. */
    most(all: number): number {
      if (closedUntil !== null && clock.monotonic() < closedUntil) return 0;
      return isTried ? 1 : all;
    },
  };
}
