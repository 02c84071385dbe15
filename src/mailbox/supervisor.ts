import { randomUUID } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { MailboxId } from '../lib/id.ts';
import { createWaker } from '../lib/waker.ts';
import type { Waker } from '../lib/waker.ts';
import {
  beginToLeave,
  countFree,
  enterNode,
  keepNode,
  leaseMailboxes,
  leaveNode,
  readLeased,
  releaseMailboxes,
} from '../store/mailboxes.ts';
import { isOfAll } from '../store/away.ts';
import type { Db } from '../store/database.ts';
import type { NodeInstance } from '../store/mailboxes.ts';
import { createKeyedGate, createRampedGate } from './gate.ts';
import { startListener } from './listener.ts';
import type { Listener, ListenerDeps } from './listener.ts';
import { createPace } from './pace.ts';
import { createSharedTls } from './shared-tls.ts';
import { createSpread } from './spread.ts';
import { createTogether } from './together.ts';
import { placeOfError } from '../lib/failure.ts';

/** All in milliseconds but the counts. */
export type SupervisorLimits = {
  /** How long a node may be silent before others take its mailboxes over. */
  leaseMs: number;
  /** How often a node is heard of, and free mailboxes are looked for. */
  beatMs: number;
  /** Most listeners that one beat starts, so that it floods neither us nor the providers. */
  startsPerBeatMax: number;
  /** Most that are handed over at once: whoever takes them logs in as many at a time, and none waits for others. */
  handOverMax: number;
  /** How long those before may take to be taken, and how soon an overloaded node hands over the next. */
  handOverMs: number;
  /** A stop hands over for so long; then it ends all that is left at once, and waits as long for what does not end. */
  leaveMs: number;
  /** Connections to one host that are being opened at the same time: in the beginning, and most. */
  logins: { first: number; most: number };
  /** Most mailboxes of one host that are catching up at the same time; each may hold 16 MiB of bodies. */
  batchesMax: number;
};

export const supervisorLimits: SupervisorLimits = {
  leaseMs: 30_000,
  beatMs: 5_000,
  startsPerBeatMax: 200,
  handOverMax: 40,
  handOverMs: 500,
  leaveMs: 8_000,
  logins: { first: 8, most: 40 },
  batchesMax: 8,
};

/** Which listeners run on this node. */
export type Supervisor = {
  start(): void;
  /** Ends every listener and gives their mailboxes back. */
  stop(): Promise<void>;
  /**
   * Something about a mailbox changed (it was connected, ended, or a send wants its Sent folder
   * looked at): its listener is started, stopped or woken without waiting for the next beat. Null: mailboxes may be
   * free. False: no listener of it runs here.
   */
  wake(mailboxId: MailboxId | null): boolean;
  /** The CRM has asked for something to be done in a mailbox; false: no listener of it runs here. */
  wakeWanted(mailboxId: MailboxId | null): boolean;
  /** How many listeners run. */
  size(): number;
  /** Whether this node has said that it is there in time: else others may have its mailboxes. */
  isThere(): boolean;
};

/** What a supervisor needs beside what its listeners do. */
export type SupervisorDeps = Omit<ListenerDeps, 'gates' | 'tls' | 'together'> & {
  /** Tells the other nodes that there are mailboxes to take. */
  wakeOthers(): void;
};

type Node = {
  deps: ListenerDeps;
  limits: SupervisorLimits;
  wakeOthers(): void;
  listeners: Map<MailboxId, Listener>;
  /** Listeners that are being stopped; their mailboxes are given back when they are done. */
  ending: Map<MailboxId, Promise<void>>;
  /** Gives back what was leased under a name of this node; many that end together go together. */
  release(of: { nodeId: string; id: MailboxId }): Promise<unknown>;
  /** Until when others leave its mailboxes alone, less what stopping takes; ms of the monotonic clock. */
  thereUntil: number;
} & NodeInstance;

/** Mailboxes that are given back by one statement. */
const releasesMax = 500;

/** From so many listeners on what they ask the database for waits a moment for others of them. */
const crowdMin = 100;

/**
 * Leases mailboxes and runs a listener for each. A mailbox is listened to by one node at a time: a
 * node that cannot say that it is there stops its listeners before others take them over. (Should two
 * listen for a moment all the same, filing lets only one of them move a folder's cursor.)
 *
 * `nodeId` tells this node from others and is the same after a restart: it finds its mailboxes again
 * at once, however it ended.
 */
export function createSupervisor(deps: SupervisorDeps, limits: SupervisorLimits, nodeId: string): Supervisor {
  const gates = {
    logins: createRampedGate(limits.logins),
    batches: createKeyedGate(limits.batchesMax),
    spread: createSpread(deps.clock),
    looks: createPace(deps.clock),
  };
  const { db } = deps.filing;
  const together = createTogether(db, () => node.listeners.size >= crowdMin);
  const node: Node = {
    deps: { ...deps, gates, tls: createSharedTls(deps.clock), together },
    limits,
    wakeOthers: () => deps.wakeOthers(),
    id: nodeId,
    instance: randomUUID(),
    listeners: new Map(),
    ending: new Map(),
    release: createBatcher({ most: releasesMax, isOfAll, run: (ended) => releaseAll(db, ended) }),
    thereUntil: -Infinity,
  };
  const waker = createWaker(deps.clock);
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    start: () => {
      running = run(node, waker, stopping.signal);
    },
    stop: async () => {
      stopping.abort();
      waker.wake();
      await running;
      await handOver(node);
      const left = [...node.listeners.values()].map((listener) => listener.stop());
      // Its mailboxes are free all the same: should it read on, filing lets only one move a folder's cursor.
      if (!(await haveEnded(node, [...left, ...node.ending.values()], limits.leaveMs)))
        deps.log.warn({ mailboxes: node.ending.size + node.listeners.size }, 'listeners do not end');
      await leaveNode(db, node);
      node.wakeOthers();
    },
    wake: (mailboxId) => {
      const listener = mailboxId === null ? undefined : node.listeners.get(mailboxId);
      listener?.wake();
      waker.wake();
      return listener !== undefined;
    },
    wakeWanted: (mailboxId) => {
      const listener = mailboxId === null ? undefined : node.listeners.get(mailboxId);
      listener?.wakeWanted();
      return listener !== undefined;
    },
    size: () => node.listeners.size,
    isThere: () => deps.clock.monotonic() < node.thereUntil,
  };
}

async function run(node: Node, waker: Waker, stop: AbortSignal): Promise<void> {
  const { clock, log, filing } = node.deps;
  const { leaseMs, beatMs } = node.limits;
  // Two beats are left for stopping.
  const thereMs = leaseMs - 2 * beatMs;
  let entered = false;
  let nextMs = 0;
  node.thereUntil = clock.monotonic() + thereMs;
  while (!stop.aborted) {
    await waker.wait(nextMs);
    if (stop.aborted) return;
    const startedAt = clock.monotonic();
    try {
      if (!entered) {
        await enterNode(filing.db, node, leaseMs);
        // They have more than their share now.
        node.wakeOthers();
      }
      entered = true;
      nextMs = await answeredBy(Math.max(node.thereUntil, startedAt + beatMs), clock, beat(node));
      node.thereUntil = startedAt + thereMs;
    } catch (error) {
      log.warn({ ...placeOfError(error) }, 'this node could not say that it is there');
      nextMs = beatMs;
      if (error instanceof Replaced) {
        Object.assign(node, { id: randomUUID(), instance: randomUUID() });
        entered = false;
      } else if (clock.monotonic() < node.thereUntil) continue;
      for (const id of node.listeners.keys()) end(node, id);
    }
  }
}

/** Another process calls itself by the same name; it came later and has the mailboxes now. */
class Replaced extends Error {}

/** Answers in how many ms the next one is due. */
async function beat(node: Node): Promise<number> {
  const { db } = node.deps.filing;
  const { leaseMs, beatMs, startsPerBeatMax, handOverMax, handOverMs } = node.limits;
  const there = await keepNode(db, node, leaseMs);
  if (there === null) throw new Replaced('another process uses the name of this node');
  const mine = await readLeased(db, node.id);
  for (const id of node.listeners.keys()) if (!mine.has(id)) end(node, id);
  // Also one whose listener ended by itself: by an error of its own, or until a person had acted.
  const still = [...mine].filter((id) => !node.listeners.has(id) && !node.ending.has(id));
  // A node that has ten thousand after a restart: what the next beat asks waits behind what these ask.
  for (const id of still.slice(0, startsPerBeatMax)) begin(node, id);
  const share = Math.ceil(there.mailboxes / Math.max(1, there.nodes));
  const tooMany = [...node.listeners.keys()].slice(share);
  for (const id of tooMany.slice(0, handOverMax)) end(node, id);
  const free = Math.min(share - Math.max(node.listeners.size, mine.size), startsPerBeatMax);
  const leased = free > 0 ? await leaseMailboxes(db, node.id, free) : [];
  for (const id of leased) begin(node, id);
  if (Math.max(leased.length, still.length) >= startsPerBeatMax) return 0;
  if (tooMany.length > handOverMax) return Math.min(handOverMs, beatMs);
  // What a node that was killed has left is taken in the moment when its lease is over.
  return Math.min(beatMs, there.nextGoneMs ?? beatMs);
}

/**
 * Gives the mailboxes of a node that stops to the others, some at a time, each time when those before are taken: of
 * all at once the last would wait for the logins of the first. Where there is nobody to take them, it does nothing.
 */
async function handOver(node: Node): Promise<void> {
  const { clock, log, filing } = node.deps;
  const { leaseMs, leaveMs, handOverMax } = node.limits;
  const until = clock.monotonic() + leaveMs;
  try {
    if (node.listeners.size === 0 || !(await beginToLeave(filing.db, node, leaseMs))) return;
    while (node.listeners.size > 0 && clock.monotonic() < until) {
      const ids = [...node.listeners.keys()].slice(0, handOverMax);
      for (const id of ids) end(node, id);
      const ending = ids.flatMap((id) => node.ending.get(id) ?? []);
      await haveEnded(node, ending, Math.min(hangMs, until - clock.monotonic()));
      await untilTaken(
        node,
        ids.filter((id) => !node.ending.has(id)),
      );
    }
  } catch (error) {
    log.warn({ ...placeOfError(error) }, 'the mailboxes of this node could not be handed over in turn');
  }
}

/** A listener ends within some milliseconds; one that hangs keeps the next ones from others no longer than this. */
const hangMs = 1_000;

/** Whether all of them end within so long. */
async function haveEnded(
  { deps }: Node,
  endings: readonly Promise<void>[],
  withinMs: number,
): Promise<boolean> {
  const done = new AbortController();
  const late = deps.clock.sleep(withinMs, done.signal).then(() => false);
  const ended = await Promise.race([Promise.all(endings).then(() => true), late]);
  done.abort();
  return ended;
}

/** How often it is asked whether somebody has taken what was given back. */
const askTakenMs = 25;

async function untilTaken({ deps, limits }: Node, ids: readonly MailboxId[]): Promise<void> {
  const until = deps.clock.monotonic() + limits.handOverMs;
  while (deps.clock.monotonic() < until && (await countFree(deps.filing.db, ids)) > 0) {
    await deps.clock.sleep(askTakenMs);
  }
}

function begin(node: Node, id: MailboxId): void {
  if (node.listeners.has(id) || node.ending.has(id)) return;
  const listener = startListener(node.deps, id);
  node.listeners.set(id, listener);
  void listener.done.then(() => {
    if (node.listeners.get(id) === listener) node.listeners.delete(id);
  });
}

/** Stops a listener, without waiting for that, and then gives its mailbox back. */
function end(node: Node, id: MailboxId): void {
  const listener = node.listeners.get(id);
  if (listener === undefined) return;
  node.listeners.delete(id);
  const { log } = node.deps;
  const nodeId = node.id;
  const ended = listener
    .stop()
    .then(() => node.release({ nodeId, id }))
    .then(() => node.wakeOthers())
    .catch((error: unknown) =>
      log.warn({ mailbox: id, ...placeOfError(error) }, 'a mailbox stays leased until this node is gone'),
    )
    .finally(() => node.ending.delete(id));
  node.ending.set(id, ended);
}

async function releaseAll(
  db: Db,
  ended: readonly { nodeId: string; id: MailboxId }[],
): Promise<readonly undefined[]> {
  for (const [nodeId, of] of Map.groupBy(ended, (each) => each.nodeId)) {
    await releaseMailboxes(
      db,
      nodeId,
      of.map(({ id }) => id),
    );
  }
  return ended.map(() => undefined);
}

/** Rejects when there is no answer by then; the answer, should it come, finds nobody. */
async function answeredBy<T>(at: number, clock: Clock, answer: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(at - clock.monotonic(), done.signal).then((): never => {
    throw new Error('the database does not answer');
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    done.abort();
    late.catch(() => undefined);
  }
}
