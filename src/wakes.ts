import type { Clock } from './lib/clock.ts';
import type { MailboxId } from './lib/id.ts';
import type { Log } from './lib/log.ts';
import type { Db } from './store/database.ts';
import { createWakeUps } from './store/wake-ups.ts';
import type { Part, WakeUps } from './store/wake-ups.ts';

/** Wakes a part that runs here; false: what it is woken for is done on another node. */
export type WakeHere = (mailboxId: MailboxId | null) => boolean;

/** How whoever leaves work behind reaches whoever does it, here or on another node; never needed for correctness. */
export type Wakes = {
  start(): void;
  stop(): Promise<void>;
  /** Says that a part runs on this node. What it does itself no other node is woken for. */
  here(part: Part, wake: WakeHere): void;
  /** Wakes a part on other nodes alone. */
  elsewhere(part: Part): void;
  /** To be called after a commit. */
  calls: {
    wakePublisher(): void;
    wakeSender(): void;
    wakeErrands(): void;
    wakeMailbox(id: MailboxId): void;
    wakeWanted(id: MailboxId): void;
    wakeHousekeeping(): void;
    wakeFiler(): void;
    wakeRevoker(): void;
  };
};

/** `url` is PostgreSQL's; null: the database is embedded, and there are no other nodes. */
export function createWakes(deps: { db: Db; url: string | null; clock: Clock; log: Log }): Wakes {
  const parts = new Map<Part, WakeHere>();
  const { url } = deps;
  const others: WakeUps =
    url === null
      ? { start: () => {}, stop: () => Promise.resolve(), tell: () => {} }
      : createWakeUps({
          ...deps,
          url,
          heard: (part, mailboxId) => void parts.get(part)?.(mailboxId),
          missed: () => parts.forEach((wakeHere) => wakeHere(null)),
        });
  const wake = (part: Part, mailboxId?: MailboxId): void => {
    if (parts.get(part)?.(mailboxId ?? null) !== true) others.tell(part, mailboxId);
  };
  return {
    start: () => others.start(),
    stop: () => others.stop(),
    here: (part, wakeHere) => void parts.set(part, wakeHere),
    elsewhere: (part) => others.tell(part),
    calls: {
      wakePublisher: () => wake('publisher'),
      wakeSender: () => wake('sender'),
      wakeErrands: () => wake('errands'),
      wakeMailbox: (id) => wake('mailbox', id),
      wakeWanted: (id) => wake('wanted', id),
      wakeHousekeeping: () => wake('housekeeping'),
      wakeFiler: () => wake('filer'),
      wakeRevoker: () => wake('revoker'),
    },
  };
}
