import { randomUUID } from 'node:crypto';
import { noteDone } from '../filing/wishes.ts';
import type { FilingDeps } from '../filing/file.ts';
import { backoffMs } from '../lib/backoff.ts';
import { Failure } from '../lib/failure.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { findTargets, readWanted } from '../store/wanted.ts';
import type { PlaceDone, Wanted } from '../store/wanted.ts';
import { claimWork, postponeWork } from '../store/work.ts';
import { uidSet } from './fetching.ts';
import { commandRefused } from './imap-errors.ts';
import type { Session } from './session.ts';
import { putSentCopies } from './sent-copies.ts';
import { placeOfError } from '../lib/failure.ts';
import { deedsFor, outcomeOf } from './wanted-plan.ts';
import type { Deed } from './wanted-plan.ts';

/** Writes into one mailbox what is to be written there, beside its listener: what the CRM asked for, and copies in Sent (U1). */
export type WantedWorker = {
  /** Does what is due, unless it is at it already. */
  poke(): void;
  /** Resolves when it is at nothing. */
  idle(): Promise<void>;
};

type Deps = {
  filing: FilingDeps;
  log: Log;
  mailboxId: MailboxId;
  /** A connection of its own, which is opened only when there is something to do, and closed then. */
  connect(): Promise<Session>;
  /** Whether anything may be due: the question is asked for many mailboxes at once, and mostly answered by no. */
  isWanted(): Promise<boolean>;
  stop: AbortSignal;
  /** What is done and not written down yet must not be taken for somebody else's doing. */
  writing: Writing;
  /** Told when it is written down. */
  onWritten(): void;
};

/** Whether something is being changed in the mailbox at this moment, and how often that was so. */
export type Writing = { isBusy: boolean; times: number };

/** In ms, but the number of wishes that one connection is opened for at once. */
const limits = { leaseMs: 300_000, atOnce: 100, retry: { firstMs: 5_000, mostMs: 600_000 } };

/** Makes the worker of one session of a listener: no mailbox has more than one such connection. */
export function createWantedWorker(deps: Deps): WantedWorker {
  const owner = randomUUID();
  let running: Promise<void> | null = null;
  let again = false;
  const unlessFailed = async (work: () => Promise<boolean>): Promise<boolean> => {
    try {
      return !deps.stop.aborted && (await work());
    } catch (error) {
      deps.log.warn({ ...placeOfError(error) }, 'what is to be written into a mailbox was left to its lease');
      return false;
    }
  };
  const run = async () => {
    do {
      again = false;
      if (!(await unlessFailed(() => deps.isWanted()))) continue;
      for (const work of [carryOut, putSentCopies]) while (await unlessFailed(() => work(deps, owner)));
    } while (again && !deps.stop.aborted);
    running = null;
  };
  return {
    poke() {
      again = true;
      running ??= run();
    },
    idle: () => running ?? Promise.resolve(),
  };
}

/** Takes up what is due; false when that is nothing. */
async function carryOut(deps: Deps, owner: string): Promise<boolean> {
  const { db } = deps.filing;
  const claim = { table: 'wanted_changes', owner, leaseMs: limits.leaseMs, limit: limits.atOnce } as const;
  const filter = { column: 'mailbox_id', value: deps.mailboxId } as const;
  const ids = await claimWork(db, { ...claim, filter });
  if (ids.length === 0) return false;
  const wishes = await readWanted(db, ids);
  const targets = await findTargets(db, deps.mailboxId);
  const deeds = wishes.flatMap((wanted) => deedsFor(wanted, targets));
  const tried = new Map(
    wishes.map(({ id }): [string, Tried] => [id, { done: [], missing: 0, failed: null }]),
  );
  deps.writing.isBusy = true;
  deps.writing.times += 1;
  try {
    if (deeds.length > 0) await doAll(deps, deeds, tried);
    await settle(deps, owner, { wishes, tried });
  } finally {
    deps.writing.isBusy = false;
    deps.onWritten();
  }
  return true;
}

/** What came of a wish. */
type Tried = { done: PlaceDone[]; missing: number; failed: 'refused' | 'passing' | null };

/** Does all deeds, folder by folder; what fails is noted with the wishes that it was for. */
async function doAll(deps: Deps, deeds: readonly Deed[], tried: ReadonlyMap<string, Tried>): Promise<void> {
  const groups = Map.groupBy(deeds, ({ path, act }) =>
    JSON.stringify([path, typeof act === 'string' ? act : act.moveTo]),
  );
  let session: Session | null = null;
  try {
    for (const group of groups.values()) {
      // A wish that has failed is tried whole again: it is not moved away before it is marked.
      const open = group.filter(({ wanted }) => tried.get(wanted.id)?.failed === null);
      const [first] = open;
      if (first === undefined) continue;
      try {
        session ??= await deps.connect();
        await doTogether(session, first, open, tried);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const failed = error.code === commandRefused ? 'refused' : 'passing';
        deps.log.warn({ code: error.code, messages: open.length }, 'what the CRM asked for is not done yet');
        for (const { wanted } of open) Object.assign(tried.get(wanted.id) ?? {}, { failed });
      }
    }
  } finally {
    session?.close();
  }
}

/** The same thing in the same folder, for many messages. */
async function doTogether(
  session: Session,
  { path, uidValidity, act }: Deed,
  deeds: readonly Deed[],
  tried: ReadonlyMap<string, Tried>,
): Promise<void> {
  const copied = typeof act === 'string' ? new Set() : await copiedBefore(session, act.moveTo, deeds);
  const opened = await session.openToWrite(path);
  if (uidValidity !== null && opened.uidValidity !== uidValidity) {
    throw new Failure('temporary', 'folder_renumbered', 'the folder was numbered anew');
  }
  const found = new Map<Deed, number[]>();
  const wanted = deeds.flatMap(({ target }) => ('uid' in target ? [target.uid] : [])).sort((a, b) => a - b);
  const there = new Set(wanted.length === 0 ? [] : await session.uids(uidSet(wanted)));
  for (const deed of deeds) {
    const { target } = deed;
    const uids = 'uid' in target ? [target.uid] : await session.uidsOfGmail(target.gmailId);
    found.set(deed, 'uid' in target ? uids.filter((uid) => there.has(uid)) : uids);
  }
  const setOf = (some: readonly Deed[]) =>
    uidSet([...new Set(some.flatMap((deed) => found.get(deed) ?? []))].sort((a, b) => a - b));
  const ends = (deed: Deed) => copied.has(deed.wanted.internetMessageId);
  const [ended, begun] = [deeds.filter(ends), deeds.filter((deed) => !ends(deed))];
  const [set, left] = [setOf(begun), setOf(ended)];
  if (set !== '') {
    if (typeof act === 'string') await session.storeSeen(set, act === 'mark_read');
    else await session.moveMessages(set, act.moveTo);
  }
  if (left !== '') await session.removeMessages(left);
  for (const deed of deeds) {
    const of = tried.get(deed.wanted.id);
    // Gmail's inbox without it is what was wanted.
    if ('gmailId' in deed.target || (found.get(deed) ?? []).length > 0) of?.done.push(deed.done);
    else if (of !== undefined) of.missing += 1;
  }
}

/** Where a move is a copy and an end: those whose copy is there already, since somebody was interrupted. */
async function copiedBefore(session: Session, to: string, deeds: readonly Deed[]): Promise<Set<unknown>> {
  if (session.moves !== 'by_copy') return new Set();
  const ids = deeds.flatMap(({ wanted }) => wanted.internetMessageId ?? []);
  if (ids.length === 0) return new Set();
  await session.open(to);
  return session.messageIds(ids);
}

async function settle(
  deps: Deps,
  owner: string,
  { wishes, tried }: { wishes: readonly Wanted[]; tried: ReadonlyMap<string, Tried> },
): Promise<void> {
  const ended: Wanted[] = [];
  const done: PlaceDone[] = [];
  for (const wanted of wishes) {
    const of = tried.get(wanted.id) ?? { done: [], missing: 0, failed: null };
    done.push(...of.done);
    const outcome = outcomeOf(wanted, of);
    if (outcome === 'given_up')
      deps.log.error({ message: wanted.messageId }, 'what the CRM asked for is given up');
    if (outcome !== 'later') ended.push(wanted);
    else {
      const dueAt = new Date(deps.filing.clock.now() + backoffMs(wanted.attempts, limits.retry));
      await postponeWork(deps.filing.db, { table: 'wanted_changes', id: wanted.id, owner, dueAt });
    }
  }
  // A place that was marked and then left has two entries; the later one says both.
  const last = new Map(
    done.map((place) => [[place.folder_id, place.uid_validity, place.uid].join(' '), place]),
  );
  await noteDone(deps.filing, wishes, { done: [...last.values()], ended, owner });
}
