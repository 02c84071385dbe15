import type { Role } from './lib/roles.ts';
import type { Worker } from './lib/waker.ts';
import type { Supervisor } from './mailbox/supervisor.ts';
import type { Part } from './store/wake-ups.ts';
import type { WakeHere, Wakes } from './wakes.ts';
import type { EventSignal } from './webhook/follow.ts';

type Running = Pick<Worker, 'start' | 'stop'>;

/** All that works by itself. */
export type Workers = {
  publisher: Worker;
  deliverer: Running;
  hits: Running;
  eventSignal: EventSignal;
  sender: Worker;
  supervisor: Supervisor;
  errands: Worker;
  revoker: Worker;
  filer: Worker;
  housekeeping: Worker;
};

/** What runs on the nodes of a role; of null on all of them. What wakes it answers false where other nodes are woken, too. */
type RoleWorker = { role: Role | null; worker: Running; wokenBy: Partial<Record<Part, WakeHere>> };

/** In the order in which they start. */
function workersByRole(all: Workers): RoleWorker[] {
  const { supervisor, eventSignal } = all;
  const streams: WakeHere = () => {
    eventSignal.ring();
    return false;
  };
  return [
    { role: 'webhook', worker: all.publisher, wokenBy: { publisher: waking(all.publisher) } },
    { role: 'webhook', worker: all.deliverer, wokenBy: {} },
    { role: 'api', worker: all.hits, wokenBy: { streams } },
    { role: 'outbound', worker: all.sender, wokenBy: { sender: waking(all.sender) } },
    {
      role: 'mailbox',
      worker: supervisor,
      wokenBy: { mailbox: supervisor.wake, wanted: supervisor.wakeWanted },
    },
    { role: 'mailbox', worker: all.errands, wokenBy: { errands: waking(all.errands) } },
    { role: 'mailbox', worker: all.revoker, wokenBy: { revoker: waking(all.revoker) } },
    { role: 'intake', worker: all.filer, wokenBy: { filer: waking(all.filer) } },
    { role: null, worker: all.housekeeping, wokenBy: { housekeeping: waking(all.housekeeping) } },
  ];
}

/** It does all that there is to do of its kind, whoever left it. */
function waking(worker: Worker): WakeHere {
  return () => {
    worker.wake();
    return true;
  };
}

/** Starts the workers of this node's roles; what they leave behind is told to other nodes until all of them have ended. */
export function startWorkersOf(
  roles: readonly Role[],
  wakes: Wakes,
  all: Workers,
  defer: (end: () => Promise<void>) => void,
): void {
  defer(() => wakes.stop());
  for (const { role, worker, wokenBy } of workersByRole(all)) {
    if (role !== null && !roles.includes(role)) continue;
    worker.start();
    defer(() => worker.stop());
    for (const [part, wakeHere] of Object.entries(wokenBy)) wakes.here(part as Part, wakeHere);
  }
  wakes.start();
}
