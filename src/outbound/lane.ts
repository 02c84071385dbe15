import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SendingWay } from '../store/sends.ts';
import type { Attempts, Begun } from './attempt.ts';
import { createLine } from './line.ts';
import type { Line } from './line.ts';
import type { Ending } from './outcome.ts';
import type { openSession, SmtpServer } from './smtp.ts';

/** What this process has in hand of the sends that share a server and a login, and its sessions there. */
export type Lane = {
  /** Takes claimed sends, to be handed over one after the other by as many sessions as there may be. */
  take(ids: readonly SendId[]): void;
  /** Everything in hand. */
  ids(): SendId[];
  /** How many are in hand and not begun. */
  waiting(): number;
  /** How many more it takes now: 0 while its server lets nothing through, then one to try it. */
  room(): number;
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

export type LaneDeps = {
  clock: Clock;
  log: Log;
  attempts: Attempts;
  open: typeof openSession;
  serverOf(subAccountId: string, way: SendingWay): Promise<SmtpServer>;
  /** Sessions at once. */
  sessionsMax: number;
  /** How long a session is kept that has nothing to do, ms. */
  idleMs: number;
  /** Told when something ended: more may be claimed. */
  onEnd(): void;
  /** Told that nothing of it gets through any more: what is in hand and not begun is to be given back. */
  onTrouble(ending: Exclude<Ending, { accepted: unknown }>): void;
};

/** In hand for each session: the next ones are there when one is through, and few wait if the process dies. */
const aheadMax = 4;

/** Makes a lane with nothing in hand. */
export function createLane(deps: LaneDeps): Lane {
  const { clock, sessionsMax } = deps;
  const idle = createIdle(clock, deps.idleMs);
  const queue: SendId[] = [];
  const runs = createRuns(deps, () => {
    // Half of what there may be is asked for at once, and not one after the other.
    if (inHand() <= most() / 2) deps.onEnd();
  });
  const gate = createGate(clock);
  let workers = 0;
  let isClosed = false;

  const note = (ending: Ending | null): void => {
    if (ending === null || !gate.note(ending) || 'accepted' in ending) return;
    // What has begun would find the same: it is given back without being tried.
    runs.abort('not_on_its_way');
    deps.onTrouble(ending);
  };
  const most = () => gate.most(sessionsMax * aheadMax);
  const inHand = () => queue.length + runs.ids().length;
  /** Those that are begun and that nobody has on their way, the first one first. */
  const beginning: Promise<Begun | null>[] = [];
  /** Null: there is nothing to do. Where a session takes them, all begin at once, and share their transaction. */
  const next = (line: Line): Promise<Begun | null> | null => {
    if (beginning.length === 0)
      beginning.push(...queue.splice(0, line.isOpen() ? Infinity : 1).map((id) => runs.begin(id)));
    return beginning.shift() ?? null;
  };
  const work = async (): Promise<void> => {
    const line = createLine(deps.open);
    try {
      for (;;) {
        const begun = next(line);
        if (begun !== null) {
          const one = await begun;
          if (one !== null) note(await runs.make(one, line));
        } else if (isClosed || !line.isOpen() || !(await idle.isWoken())) return;
      }
    } finally {
      line.end();
      workers -= 1;
    }
  };

  return {
    take(ids) {
      queue.push(...ids);
      for (let n = idle.wake(queue.length); n < queue.length && workers < sessionsMax; n += 1) {
        workers += 1;
        void work();
      }
    },
    ids: () => [...queue, ...runs.ids()],
    waiting: () => queue.length,
    room: () => Math.max(0, most() - inHand()),
    pausedUntil: () => gate.closedUntil(),
    lose(id) {
      const position = queue.indexOf(id);
      if (position === -1) runs.lose(id);
      else queue.splice(position, 1);
    },
    giveBack: () => queue.splice(0),
    abort: (of) => runs.abort(of),
    close() {
      isClosed = true;
      idle.wake(Infinity);
    },
    done: () => runs.done(),
  };
}

/** The workers that keep a session and have nothing to do. */
function createIdle(clock: Clock, idleMs: number) {
  const waiting = new Set<() => void>();
  return {
    /** True when there is something to do; false after the time for which a session is kept. */
    async isWoken(): Promise<boolean> {
      const waking = new AbortController();
      const wake = () => waking.abort();
      waiting.add(wake);
      await clock.sleep(idleMs, waking.signal);
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
    /** True where the ending says that nothing else gets through. */
    note(ending: Ending): boolean {
      const lane = 'accepted' in ending ? undefined : ending.lane;
      isTried = lane !== undefined;
      closedUntil = lane?.what === 'pause' ? clock.monotonic() + lane.ms : null;
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

type CutOff = 'all' | 'not_handed_over' | 'not_on_its_way';

type Running = { abort: AbortController; isOnItsWay: boolean; handedOver: boolean };

/** What is begun, and not written down as ended. */
function createRuns({ attempts, serverOf, log }: LaneDeps, onEnd: () => void) {
  const running = new Map<SendId, Running>();
  const waiting: (() => void)[] = [];
  const forget = (id: SendId) => {
    running.delete(id);
    onEnd();
    if (running.size === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  const cutOff = (send: Running, of: CutOff) => {
    if (of === 'all' || (of === 'not_handed_over' ? !send.handedOver : !send.isOnItsWay)) send.abort.abort();
  };
  /** Its lease runs out, and it is taken up again from what is stored of it. */
  const leave = (id: SendId) => (error: unknown) => {
    forget(id);
    log.error({ send_id: id, error: messageOf(error) }, 'a send was left to its lease');
    return null;
  };
  return {
    ids: () => [...running.keys()],
    /** Null: no try is made. */
    async begin(id: SendId): Promise<Begun | null> {
      running.set(id, { abort: new AbortController(), isOnItsWay: false, handedOver: false });
      const begun = await attempts.begin(id).catch(leave(id));
      if (begun === null) forget(id);
      return begun;
    },
    /**
     * Resolves as soon as it is known how it ended: the session is free then, and writing that down takes its time.
     * Null: nothing is known of that.
     */
    make(begun: Begun, line: Line): Promise<Ending | null> {
      const { id } = begun.send;
      const send = running.get(id);
      if (send === undefined) throw new Error(`${id} was never begun`);
      send.isOnItsWay = true;
      const making = attempts.make(begun, {
        signal: send.abort.signal,
        onHandover: () => (send.handedOver = true),
        submit: ({ subAccountId }, way, submission) =>
          line.submit(submission, () => serverOf(subAccountId, way)),
      });
      making
        .then((ending) => attempts.end(begun, ending))
        .then(() => forget(id))
        .catch(leave(id));
      return making.catch(() => null);
    },
    /** One whose end is out may be lost because its copy was seen already; its answer is still worth having. */
    lose(id: SendId) {
      const send = running.get(id);
      if (send !== undefined) cutOff(send, 'not_handed_over');
    },
    abort(of: CutOff) {
      for (const send of running.values()) cutOff(send, of);
    },
    done: (): Promise<void> =>
      new Promise((resolve) => {
        if (running.size === 0) resolve();
        else waiting.push(resolve);
      }),
  };
}
