import { messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SendingWay } from '../store/sends.ts';
import type { Attempts, Begun } from './attempt.ts';
import type { Line } from './line.ts';
import type { Ending } from './outcome.ts';
import type { SmtpServer } from './smtp.ts';

/** What is to be cut off of what is begun. */
export type CutOff = 'all' | 'not_handed_over' | 'not_on_its_way';

type Running = {
  individual: boolean;
  /** It is written down that it is tried, or that it is not. */
  isBegun: boolean;
  abort: AbortController;
  isOnItsWay: boolean;
  handedOver: boolean;
  /** It is known how it ended, and being written down. */
  isOver: boolean;
};

function newRun(individual: boolean): Running {
  const state = { isBegun: false, isOnItsWay: false, handedOver: false, isOver: false };
  return { individual, abort: new AbortController(), ...state };
}

/** The sends of a lane that are begun, and not written down as ended. */
export type Runs = {
  ids(): SendId[];
  /** How many letters there are, or how many of the rest. */
  count(individual: boolean): number;
  /** How many of them are not over: to be made, or on their way. */
  open(individual: boolean): number;
  /** Of how many it is not written down yet that they begin. */
  beginning(): number;
  /** Null: no try is made. */
  begin(id: SendId, individual: boolean): Promise<Begun | null>;
  /**
   * Resolves as soon as it is known how it ended: the session is free then, and writing that down takes its time.
   * Null: nothing is known of that.
   */
  make(begun: Begun, line: Line): Promise<Ending | null>;
  /** One whose end is out may be lost because its copy was seen already; its answer is still worth having. */
  lose(id: SendId): void;
  abort(of: CutOff): void;
  /** Resolves when there are none. */
  done(): Promise<void>;
};

export type RunsDeps = {
  attempts: Attempts;
  log: Log;
  serverOf(subAccountId: string, way: SendingWay): Promise<SmtpServer>;
};

/** `onEnd` hears of each that is over, and again when that is written down. */
export function createRuns(
  { attempts, serverOf, log }: RunsDeps,
  onEnd: (individual: boolean) => void,
): Runs {
  const running = new Map<SendId, Running>();
  const waiting: (() => void)[] = [];
  const count = (which: (send: Running) => boolean) => [...running.values()].filter(which).length;
  const forget = (id: SendId) => {
    const send = running.get(id);
    running.delete(id);
    if (send !== undefined) onEnd(send.individual);
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
    count: (individual: boolean) => count((send) => send.individual === individual),
    open: (individual: boolean) => count((send) => send.individual === individual && !send.isOver),
    beginning: () => count((send) => !send.isBegun),
    async begin(id: SendId, individual: boolean): Promise<Begun | null> {
      const send = newRun(individual);
      running.set(id, send);
      const begun = await attempts.begin(id, individual).catch(leave(id));
      send.isBegun = true;
      if (begun === null) forget(id);
      return begun;
    },
    make(begun: Begun, line: Line): Promise<Ending | null> {
      const { id } = begun.send;
      const send = running.get(id);
      if (send === undefined) throw new Error(`${id} was never begun`);
      send.isOnItsWay = true;
      const making = attempts.make(begun, {
        signal: send.abort.signal,
        onHandover: () => (send.handedOver = true),
        submit: ({ subAccountId }, way, submission) =>
          line.submit(submission, way, () => serverOf(subAccountId, way)),
      });
      making
        .then((ending) => {
          send.isOver = true;
          onEnd(send.individual);
          return attempts.end(begun, ending);
        })
        .then(() => forget(id))
        .catch(leave(id));
      return making.catch(() => null);
    },
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
