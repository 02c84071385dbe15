import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SendingWay } from '../store/sends.ts';
import type { Attempts } from './attempt.ts';
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
  abort(of: 'all' | 'not_handed_over'): void;
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
  const queue: SendId[] = [];
  const runs = createRuns(deps);
  const gate = createGate(clock);
  const idle = new Set<() => void>();
  let workers = 0;
  let isClosed = false;

  const note = (ending: Ending | null): void => {
    if (ending !== null && gate.note(ending) && !('accepted' in ending)) deps.onTrouble(ending);
  };
  /** Waits for more, for as long as a session is kept. */
  const isWoken = async (): Promise<boolean> => {
    const waking = new AbortController();
    const wake = () => waking.abort();
    idle.add(wake);
    await clock.sleep(deps.idleMs, waking.signal);
    idle.delete(wake);
    return waking.signal.aborted && !isClosed;
  };
  const work = async (): Promise<void> => {
    const line = createLine(deps.open);
    try {
      for (;;) {
        const id = queue.shift();
        if (id !== undefined) {
          note(await runs.run(id, line));
          deps.onEnd();
        } else if (isClosed || !line.isOpen() || !(await isWoken())) return;
      }
    } finally {
      line.end();
      workers -= 1;
    }
  };

  return {
    take(ids) {
      queue.push(...ids);
      const woken = [...idle].slice(0, queue.length);
      for (const wake of woken) {
        idle.delete(wake);
        wake();
      }
      for (let n = woken.length; n < queue.length && workers < sessionsMax; n += 1) {
        workers += 1;
        void work();
      }
    },
    ids: () => [...queue, ...runs.ids()],
    waiting: () => queue.length,
    room: () => Math.max(0, gate.most(sessionsMax * aheadMax) - queue.length - runs.ids().length),
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
      for (const wake of idle) wake();
    },
    done: () => runs.done(),
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

type Running = { abort: AbortController; handedOver: boolean; done: Promise<unknown> };

/** What is on its way. */
function createRuns({ attempts, serverOf, log }: LaneDeps) {
  const running = new Map<SendId, Running>();
  const cutOff = (send: Running | undefined, of: 'all' | 'not_handed_over') => {
    if (send !== undefined && (of === 'all' || !send.handedOver)) send.abort.abort();
  };
  return {
    ids: () => [...running.keys()],
    /** Tries a send; null: nothing is known of how that ended. */
    run(id: SendId, line: Line): Promise<Ending | null> {
      const send: Running = { abort: new AbortController(), handedOver: false, done: Promise.resolve() };
      const trying = attempts
        .make({
          id,
          signal: send.abort.signal,
          onHandover: () => (send.handedOver = true),
          submit: ({ subAccountId }, way, submission) =>
            line.submit(submission, () => serverOf(subAccountId, way)),
        })
        .catch((error: unknown) => {
          // Its lease runs out, and it is taken up again from what is stored of it.
          log.error({ send_id: id, error: messageOf(error) }, 'a send was left to its lease');
          return null;
        })
        .finally(() => running.delete(id));
      send.done = trying;
      running.set(id, send);
      return trying;
    },
    /** One whose end is out may be lost because its copy was seen already; its answer is still worth having. */
    lose: (id: SendId) => cutOff(running.get(id), 'not_handed_over'),
    abort(of: 'all' | 'not_handed_over') {
      for (const send of running.values()) cutOff(send, of);
    },
    async done(): Promise<void> {
      await Promise.all([...running.values()].map((send) => send.done));
    },
  };
}
