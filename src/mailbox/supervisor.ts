import { randomUUID } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import type { MailboxId } from '../lib/id.ts';
import { createWaker } from '../lib/waker.ts';
import type { Waker } from '../lib/waker.ts';
import {
  enterNode,
  keepNode,
  leaseMailboxes,
  leaveNode,
  readLeased,
  releaseMailboxes,
} from '../store/mailboxes.ts';
import type { NodeInstance } from '../store/mailboxes.ts';
import { createKeyedGate, createRampedGate } from './gate.ts';
import { startListener } from './listener.ts';
import type { Listener, ListenerDeps } from './listener.ts';
import { createSpread } from './spread.ts';
import { placeOfError } from '../lib/failure.ts';

/** All in milliseconds but the counts. */
export type SupervisorLimits = {
  /** How long a node may be silent before others take its mailboxes over. */
  leaseMs: number;
  /** How often a node is heard of, and free mailboxes are looked for. */
  beatMs: number;
  /** Most listeners that one beat starts or hands over, so that it floods neither us nor the providers. */
  startsPerBeatMax: number;
  /** Connections to one host that are being opened at the same time: in the beginning, and most. */
  logins: { first: number; most: number };
  /** Most mailboxes of one host that are catching up at the same time; each may hold 16 MiB of bodies. */
  batchesMax: number;
};

export const supervisorLimits: SupervisorLimits = {
  leaseMs: 30_000,
  beatMs: 5_000,
  startsPerBeatMax: 200,
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
   * looked at): its listener is started, stopped or woken without waiting for the next beat.
   */
  wake(mailboxId: MailboxId): void;
  /** The CRM has asked for something to be done in a mailbox; where another node listens, its next look finds that. */
  wakeWanted(mailboxId: MailboxId): void;
  /** How many listeners run. */
  size(): number;
};

type Node = {
  deps: ListenerDeps;
  limits: SupervisorLimits;
  listeners: Map<MailboxId, Listener>;
  /** Listeners that are being stopped; their mailboxes are given back when they are done. */
  ending: Map<MailboxId, Promise<void>>;
} & NodeInstance;

/**
 * Leases mailboxes and runs a listener for each. A mailbox is listened to by one node at a time: a
 * node that cannot say that it is there stops its listeners before others take them over. (Should two
 * listen for a moment all the same, filing lets only one of them move a folder's cursor.)
 *
 * `nodeId` tells this node from others and is the same after a restart: it finds its mailboxes again
 * at once, however it ended.
 */
export function createSupervisor(
  deps: Omit<ListenerDeps, 'gates' | 'secureContext'>,
  limits: SupervisorLimits,
  nodeId: string,
): Supervisor {
  const gates = {
    logins: createRampedGate(limits.logins),
    batches: createKeyedGate(limits.batchesMax),
    spread: createSpread(deps.clock),
  };
  const node: Node = {
    deps: { ...deps, gates, secureContext: createSecureContext() },
    limits,
    id: nodeId,
    instance: randomUUID(),
    listeners: new Map(),
    ending: new Map(),
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
      await Promise.all([...node.listeners.values()].map((listener) => listener.stop()));
      await Promise.all(node.ending.values());
      await leaveNode(deps.filing.db, node);
    },
    wake: (mailboxId) => {
      node.listeners.get(mailboxId)?.wake();
      waker.wake();
    },
    wakeWanted: (mailboxId) => node.listeners.get(mailboxId)?.wakeWanted(),
    size: () => node.listeners.size,
  };
}

async function run(node: Node, waker: Waker, stop: AbortSignal): Promise<void> {
  const { clock, log } = node.deps;
  const { leaseMs, beatMs } = node.limits;
  let entered = false;
  let more = true;
  let keptAt = clock.monotonic();
  while (!stop.aborted) {
    await waker.wait(more ? 0 : beatMs);
    if (stop.aborted) return;
    const startedAt = clock.monotonic();
    // Two beats are left for stopping.
    const lostAt = keptAt + leaseMs - 2 * beatMs;
    try {
      if (!entered) await enterNode(node.deps.filing.db, node, leaseMs);
      entered = true;
      more = await answeredBy(Math.max(lostAt, startedAt + beatMs), clock, beat(node));
      keptAt = startedAt;
    } catch (error) {
      log.warn({ ...placeOfError(error) }, 'this node could not say that it is there');
      more = false;
      if (error instanceof Replaced) {
        Object.assign(node, { id: randomUUID(), instance: randomUUID() });
        entered = false;
      } else if (clock.monotonic() < lostAt) continue;
      for (const id of node.listeners.keys()) end(node, id);
    }
  }
}

/** Another process calls itself by the same name; it came later and has the mailboxes now. */
class Replaced extends Error {}

/** Answers whether there is more to do at once. */
async function beat(node: Node): Promise<boolean> {
  const { db } = node.deps.filing;
  const { leaseMs, startsPerBeatMax } = node.limits;
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
  for (const id of tooMany.slice(0, startsPerBeatMax)) end(node, id);
  const free = Math.min(share - Math.max(node.listeners.size, mine.size), startsPerBeatMax);
  const leased = free > 0 ? await leaseMailboxes(db, node.id, free) : [];
  for (const id of leased) begin(node, id);
  return Math.max(leased.length, still.length) >= startsPerBeatMax;
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
  const { log, filing } = node.deps;
  const nodeId = node.id;
  const ended = listener
    .stop()
    .then(() => releaseMailboxes(filing.db, nodeId, [id]))
    .catch((error: unknown) =>
      log.warn({ mailbox: id, ...placeOfError(error) }, 'a mailbox stays leased until this node is gone'),
    )
    .finally(() => node.ending.delete(id));
  node.ending.set(id, ended);
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
