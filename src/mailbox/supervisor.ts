import { randomUUID } from 'node:crypto';
import { messageOf } from '../lib/failure.ts';
import { createWaker } from '../lib/waker.ts';
import type { MailboxId } from '../lib/id.ts';
import { leaseMailboxes, releaseLeases, renewLeases } from '../store/mailboxes.ts';

import { startListener } from './listener.ts';
import type { Listener, ListenerDeps } from './listener.ts';

/** All in milliseconds but the count. */
export type SupervisorLimits = {
  /** How long a node may be silent before others take its mailboxes over. */
  leaseMs: number;
  /** How often leases are renewed and free mailboxes looked for. */
  beatMs: number;
  /** Most listeners that one beat starts, so that a start floods neither us nor the providers. */
  startsPerBeatMax: number;
};

export const supervisorLimits: SupervisorLimits = { leaseMs: 30_000, beatMs: 5_000, startsPerBeatMax: 200 };

/** Which listeners run on this node. */
export type Supervisor = {
  start(): void;
  /** Ends every listener and gives the leases back. */
  stop(): Promise<void>;
  /**
   * Something about a mailbox changed (it was connected, ended, or a send wants its Sent folder
   * looked at): its listener is started, stopped or woken without waiting for the next beat.
   */
  wake(mailboxId: MailboxId): void;
  /** How many listeners run. */
  size(): number;
};

/**
 * Leases mailboxes and runs a listener for each. A mailbox is listened to by one node at a time: a
 * node that cannot renew its leases stops its listeners before they run out.
 */
export function createSupervisor(deps: ListenerDeps, limits: SupervisorLimits): Supervisor {
  const owner = randomUUID();
  const listeners = new Map<MailboxId, Listener>();
  const waker = createWaker(deps.clock);
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let renewedAt = deps.clock.now();

  const end = async (ids: readonly MailboxId[]) => {
    await Promise.all(ids.map((id) => listeners.get(id)?.stop()));
    await releaseLeases(deps.filing.db, owner, ids);
  };

  const begin = (id: MailboxId) => {
    const listener = startListener(deps, id);
    listeners.set(id, listener);
    void listener.done.then(() => {
      if (listeners.get(id) === listener) listeners.delete(id);
      waker.wake();
    });
  };

  const beat = async () => {
    const { db } = deps.filing;
    const mine = await renewLeases(db, { owner, leaseMs: limits.leaseMs });
    renewedAt = deps.clock.now();
    await end([...listeners.keys()].filter((id) => !mine.has(id)));
    // A listener that ended by itself: its lease is renewed above, and it begins again here.
    for (const id of mine) if (!listeners.has(id)) begin(id);
    const leased = await leaseMailboxes(db, {
      owner,
      leaseMs: limits.leaseMs,
      limit: limits.startsPerBeatMax,
    });
    for (const id of leased) begin(id);
    return leased.length === limits.startsPerBeatMax;
  };

  const run = async () => {
    let more = false;
    while (!stopping.signal.aborted) {
      await waker.wait(more ? 0 : limits.beatMs);
      if (stopping.signal.aborted) return;
      try {
        more = await beat();
      } catch (error) {
        more = false;
        deps.log.warn({ error: messageOf(error) }, 'leases could not be renewed');
        if (deps.clock.now() - renewedAt > limits.leaseMs - 2 * limits.beatMs) {
          await Promise.all([...listeners.values()].map((listener) => listener.stop()));
        }
      }
    }
  };

  return {
    start: () => {
      waker.wake();
      running = run();
    },
    stop: async () => {
      stopping.abort();
      waker.wake();
      await running;
      await end([...listeners.keys()]);
    },
    wake: (mailboxId) => {
      listeners.get(mailboxId)?.wake();
      waker.wake();
    },
    size: () => listeners.size,
  };
}
