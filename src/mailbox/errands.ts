import { randomUUID } from 'node:crypto';
import { ConnectionAway } from '../filing/file.ts';
import { backoffMs } from '../lib/backoff.ts';
import { Failure } from '../lib/failure.ts';
import type { ErrandId, MailboxId } from '../lib/id.ts';
import { createWaker } from '../lib/waker.ts';
import { beginErrand, endErrand, keepErrand, postponeErrand } from '../store/errands.ts';
import type { Errand } from '../store/errands.ts';
import { readFolders } from '../store/folders.ts';
import { readMailbox } from '../store/mailboxes.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import { claimWork } from '../store/work.ts';
import { carryOut } from './errand-kinds.ts';
import type { Done } from './errand-kinds.ts';
import type { ListenerDeps } from './listener.ts';
import type { Session } from './session.ts';
import { commandRefused } from './imap-errors.ts';
import { placeOfError } from '../lib/failure.ts';
import { createWalker } from './walker.ts';
import { openApart } from './watching.ts';

/**
 * Does what is to be done in mailboxes besides listening: backfills, audits, mail that is judged once
 * more. On every node, whichever listens to the mailbox; one for each process.
 */
export type ErrandRunner = {
  start(): void;
  /** Resolves when nothing is under way; what was begun is gone on with by somebody else, or later. */
  stop(): Promise<void>;
  /** To be called after a commit that left an errand behind; never needed for correctness. */
  wake(): void;
};

export type ErrandDeps = Pick<
  ListenerDeps,
  'filing' | 'clock' | 'log' | 'providerOf' | 'loginOf' | 'resolveHost' | 'tls' | 'openSession'
> & { limits?: Partial<ErrandLimits> };

export type ErrandLimits = {
  /** Mailboxes at once; each has a connection of its own meanwhile. */
  parallelMax: number;
  pollMs: number;
  /** Renewed while the errand is done, so that it runs out only when the process is gone. */
  leaseMs: number;
  /** After so long a long errand lets the others of its mailbox go first. */
  turnMs: number;
  retry: { firstMs: number; mostMs: number };
  /** A fault of our own that comes again and again is told as a failure. */
  triesMax: number;
  /** So often in a row a folder that cannot be read holds an errand up; then the others are read without it. */
  folderTriesMax: number;
};

const errandLimits: ErrandLimits = {
  parallelMax: 4,
  pollMs: 10_000,
  leaseMs: 120_000,
  turnMs: 20_000,
  retry: { firstMs: 2_000, mostMs: 600_000 },
  triesMax: 8,
  folderTriesMax: 5,
};

type Running = ErrandDeps & { limits: ErrandLimits; owner: string; stop: AbortSignal };

/** Makes the runner; nothing happens before `start`. */
export function createErrandRunner(given: ErrandDeps): ErrandRunner {
  const limits = { ...errandLimits, ...given.limits };
  const stopping = new AbortController();
  const deps: Running = { ...given, limits, owner: randomUUID(), stop: stopping.signal };
  const waker = createWaker(deps.clock);
  const busy = new Set<Promise<void>>();
  let looping: Promise<void> | undefined;
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const id = busy.size < limits.parallelMax ? await claim(deps, null) : null;
      if (id === null) {
        await waker.wait(limits.pollMs);
        continue;
      }
      const work = visit(deps, id).finally(() => {
        busy.delete(work);
        waker.wake();
      });
      busy.add(work);
    }
    await Promise.all(busy);
  };
  return {
    start() {
      looping ??= loop();
    },
    wake: () => waker.wake(),
    async stop() {
      stopping.abort();
      waker.wake();
      await looping;
    },
  };
}

/** Null: nothing is due, or the database cannot be asked now. */
async function claim(deps: Running, mailboxId: MailboxId | null): Promise<ErrandId | null> {
  const { owner, limits, filing } = deps;
  try {
    const filter = mailboxId === null ? {} : { filter: { column: 'mailbox_id' as const, value: mailboxId } };
    const lease = { table: 'errands' as const, owner, leaseMs: limits.leaseMs, limit: 1, ...filter };
    const [id] = await claimWork(filing.db, lease);
    return (id as ErrandId | undefined) ?? null;
  } catch (error) {
    deps.log.warn({ ...placeOfError(error) }, 'errands could not be looked for; trying again');
    return null;
  }
}

/** Does one errand, and then what else is due in its mailbox on the same connection. Never rejects. */
async function visit(deps: Running, first: ErrandId): Promise<void> {
  let session: Session | null = null;
  const sessionFor = async (mailbox: Mailbox) => (session ??= await connect(deps, mailbox));
  try {
    for (let id: ErrandId | null = first; id !== null;) {
      const errand: Errand | null = await beginErrand(deps.filing.db, { id, owner: deps.owner });
      if (errand === null) return;
      const good = await attempt(deps, errand, sessionFor);
      if (!good || deps.stop.aborted) return;
      id = await claim(deps, errand.mailboxId);
    }
  } catch (error) {
    deps.log.error({ ...placeOfError(error) }, 'an errand could not be begun or ended; it is tried again');
  } finally {
    (session as Session | null)?.close();
  }
}

async function connect(deps: Running, mailbox: Mailbox): Promise<Session> {
  return openApart(deps, mailbox, await deps.loginOf(mailbox, null), deps.stop);
}

/** One try of an errand; false when the connection is of no further use. */
async function attempt(
  deps: Running,
  errand: Errand,
  sessionFor: (mailbox: Mailbox) => Promise<Session>,
): Promise<boolean> {
  const { owner, limits, filing } = deps;
  const log = deps.log.child({ mailbox: errand.mailboxId, errand: errand.id });
  const end = (state: 'finished' | 'failed' | 'cancelled', reason: string | null) =>
    endErrand(filing.db, { id: errand.id, owner, state, reason }).then((told) => {
      if (told) filing.wakePublisher();
    });
  const postpone = (pauseMs: number, reason: string | null, isTrouble = false) =>
    postponeErrand(filing.db, { id: errand.id, owner, pauseMs, reason, isTrouble });
  if (errand.connection === 'ended') {
    await end('cancelled', 'disconnected');
    return true;
  }
  const over = new AbortController();
  const keeping = keepLease(deps, errand, over.signal);
  try {
    const done = await work(deps, errand, sessionFor);
    if (done.done === 'finished') await end('finished', null);
    else if (done.done === 'not_yet') await postpone(done.pauseMs, done.reason);
    // Whoever has it now, if anybody has, keeps it; else it is looked at what became of its connection.
    else await postpone(0, null);
    return done.done !== 'lost';
  } catch (error) {
    if (error instanceof ConnectionAway) {
      await postpone(0, null);
      return false;
    }
    const failure = error instanceof Failure ? error : null;
    const code = failure?.code ?? 'gateway_error';
    const isStop = deps.stop.aborted;
    if (failure === null) log.error({ ...placeOfError(error) }, 'an errand failed by an error of our own');
    else if (!isStop) log.info({ code, kind: failure.kind }, 'an errand is interrupted');
    if (mayGiveUp(errand, failure) && errand.attempts >= limits.triesMax) await end('failed', code);
    else {
      const pauseMs = Math.max(failure?.retryAfterMs ?? 0, backoffMs(errand.attempts, limits.retry));
      await postpone(isStop ? 0 : pauseMs, isStop ? null : code, !isStop);
    }
    return false;
  } finally {
    over.abort();
    await keeping;
  }
}

/**
 * Whether trying again may be of no use. What was caught up with is never given up (C5): mail would be lost with
 * it. What a provider refuses of few messages, it may refuse for ever; of a walk the CRM sees it, and can cancel.
 */
function mayGiveUp({ kind }: Errand, failure: Failure | null): boolean {
  if (kind === 'resume') return false;
  if (failure === null) return true;
  return failure.code === commandRefused && (kind === 'thread_head' || kind === 'judge_again');
}

/** Renews the lease of an errand until it is over, however long a listing or large mails take. Never rejects. */
async function keepLease(deps: Running, { id }: Errand, over: AbortSignal): Promise<void> {
  const { clock, filing, limits, owner } = deps;
  for (;;) {
    await clock.sleep(limits.leaseMs / 3, over);
    if (over.aborted) return;
    try {
      await keepErrand(filing.db, { id, owner, leaseMs: limits.leaseMs });
    } catch (error) {
      deps.log.warn({ errand: id, ...placeOfError(error) }, 'the lease of an errand could not be renewed');
    }
  }
}

async function work(
  deps: Running,
  errand: Errand,
  sessionFor: (mailbox: Mailbox) => Promise<Session>,
): Promise<Done> {
  const { filing, limits } = deps;
  if (errand.connection === 'paused')
    return { done: 'not_yet', pauseMs: limits.retry.mostMs, reason: 'paused' };
  const mailbox = await readMailbox(filing.db, errand.mailboxId);
  if (mailbox?.credentialKind == null || mailbox.state === 'reauth_required') {
    return { done: 'not_yet', pauseMs: limits.retry.mostMs, reason: 'reauth_required' };
  }
  const folders = await readFolders(filing.db, mailbox.id);
  // What was held back while it was paused is not missing.
  if (mailbox.caughtUpTo === null || (errand.kind === 'audit' && errand.resumes))
    return { done: 'not_yet', pauseMs: limits.retry.firstMs, reason: 'catching_up' };
  const provider = deps.providerOf(mailbox);
  const parts = {
    filing,
    log: deps.log,
    session: await sessionFor(mailbox),
    mailboxId: mailbox.id,
    provider,
    leavesOut: errand.attempts > limits.folderTriesMax,
  };
  const until = deps.clock.monotonic() + limits.turnMs;
  return carryOut(
    {
      filing,
      clock: deps.clock,
      owner: deps.owner,
      leaseMs: limits.leaseMs,
      provider,
      isOver: () => deps.stop.aborted || deps.clock.monotonic() >= until,
    },
    errand,
    createWalker(parts, folders),
  );
}
