import { randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { sessionsEnded } from '../lib/meters.ts';
import { CursorMoved } from '../filing/file.ts';
import type { FilingDeps } from '../filing/file.ts';
import type { MailboxId } from '../lib/id.ts';
import type { MailboxState } from '../provider/connection-states.ts';
import type { Provider } from '../provider/providers.ts';
import { logSessionEnd } from '../store/connection-log.ts';
import type { Db } from '../store/database.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import { createTraces } from '../store/tracing.ts';
import type { Traces } from '../store/tracing.ts';
import { createBell } from './bell.ts';
import type { Bell } from './bell.ts';
import { changePace } from './change-plan.ts';
import type { ChangePace } from './change-plan.ts';
import { createDoubts } from './doubt.ts';
import type { Doubts } from './doubt.ts';
import type { KeyedGate } from './gate.ts';
import type { SharedTls } from './shared-tls.ts';
import type { Spread } from './spread.ts';
import { outageAfter, pauseAfter, stateIn } from './outage.ts';
import type { Outage } from './outage.ts';
import type { Pace } from './pace.ts';
import type { Login, openSession } from './session.ts';
import { placeOfError } from '../lib/failure.ts';
import type { Together } from './together.ts';
import { createTroubles } from './trouble.ts';
import type { Troubles } from './trouble.ts';
import { watchMailbox } from './watching.ts';
import type { Ending } from './watching.ts';

export type ListenerDeps = {
  filing: FilingDeps;
  clock: Clock;
  log: Log;
  providerOf(mailbox: Mailbox): Provider;
  /** A login that works now. `refused` is the one that the server turned down last. Rejects with a Failure. */
  loginOf(mailbox: Mailbox, refused: Login | null): Promise<Login>;
  /** The address to connect to in place of a host that a person named; rejects where that is a private one. */
  resolveHost(host: string): Promise<{ address: string }>;
  limits: ListenerLimits;
  /** What the listeners of a process share, so that they do not all do the same at once. */
  gates: {
    /** Connecting and logging in, by host: one that does not answer keeps nobody from another. */
    logins: KeyedGate;
    /** Batches of a catch-up, with their headers and bodies in memory, by host too: a slow one keeps only its own. */
    batches: KeyedGate;
    /** When sessions that have ended begin anew. */
    spread: Spread;
    /** Looks of the safety net, of all hosts together. */
    looks: Pace;
  };
  /** What they ask the database for, joined. */
  together: Together;
  /** Shared by all connections; without it each begins from nothing. */
  tls?: SharedTls;
  /** Replaces session.ts in tests. */
  openSession?: typeof openSession;
};

/** All in milliseconds. */
export type ListenerLimits = {
  /** The safety net: how often every watched folder is asked about, whatever IDLE says or keeps to itself. */
  lookEveryMs: number;
  /** How long the answer to that may take; then the connection is dead. */
  answerMs: number;
  /** How often the folders are listed again where one of them shows all mail; elsewhere each look lists them. */
  listEveryMs: number;
  /** First and longest pause after a failure. */
  retry: { firstMs: number; mostMs: number };
  /** A session that was live for so long was a good one: its end is ordinary, and the pauses start anew. */
  provenMs: number;
  /** How long after it was announced a message that is not shown yet is asked for again. */
  announcedMs: number;
  /** How long a message that is gone from a folder may take to turn up in another: a move looks like both (U3). */
  goneWaitMs: number;
  /** How often changes of stored messages are asked about. */
  changePace: ChangePace;
  /** Mail that was judged so late had been held back by an outage, of the provider's or of ours (C7). */
  outageMs: number;
};

export const listenerLimits: ListenerLimits = {
  // Together with a new connection, these two bound the delay of any message to 60 s.
  lookEveryMs: 40_000,
  answerMs: 12_000,
  listEveryMs: 600_000,
  retry: { firstMs: 1_000, mostMs: 300_000 },
  provenMs: 60_000,
  announcedMs: 500,
  // And then one more look at every folder.
  goneWaitMs: 30_000,
  changePace,
  outageMs: 300_000,
};

export type Listener = {
  /** Resolves when the loop has ended: stopped, or waiting for a person. Never rejects. */
  readonly done: Promise<void>;
  /** Looks at every folder now; for whoever knows that something is there, or that the credential is new. */
  wake(): void;
  /** Does what the CRM has asked for in the mailbox, without a look. */
  wakeWanted(): void;
  stop(): Promise<void>;
};

/** What lasts as long as a listener, over all its sessions. */
export type Listening = {
  stop: AbortSignal;
  bell: Bell;
  troubles: Troubles;
  doubts: Doubts;
  /** Sub-account → messages that are new there, while the CRM does not know the mailbox as live. */
  gained: Map<string, number>;
  /** Sessions of late have ended as soon as they were live: the CRM hears of this one only when it lasts. */
  doubted: boolean;
  /** Null: what is said is not written down. */
  traces: Traces | null;
  /** The provider took the login. */
  onLogin(): Promise<void>;
  /** The session has caught up and listens. */
  onLive(): void;
};

/**
 * One serial loop for one mailbox: connect, catch up by plan, listen, go and look, listen again at
 * once. Callbacks only ring the bell. A session that ends, a token that runs out, a server that
 * restarts are ordinary steps: the loop connects again, and the state changes only when that does
 * not help.
 */
export function startListener(deps: ListenerDeps, mailboxId: MailboxId): Listener {
  const stopping = new AbortController();
  const bell = createBell(deps.clock);
  stopping.signal.addEventListener('abort', () => bell.wake(), { once: true });
  const log = deps.log.child({ mailbox: mailboxId });
  const done = listenForever({ ...deps, log }, mailboxId, stopping.signal, bell).catch((error: unknown) => {
    log.error({ ...placeOfError(error) }, 'the listener ended by an error of its own');
  });
  return {
    done,
    wake: () => bell.ringAll(),
    wakeWanted: () => bell.ringWanted(),
    stop: () => {
      stopping.abort();
      return done;
    },
  };
}

async function listenForever(
  deps: ListenerDeps,
  mailboxId: MailboxId,
  stop: AbortSignal,
  bell: Bell,
): Promise<void> {
  const { clock, limits } = deps;
  const kept = {
    stop,
    bell,
    troubles: createTroubles(clock),
    doubts: createDoubts(clock),
    gained: new Map<string, number>(),
  };
  let outage: Outage | null = null;
  let refused: Login | null = null;
  let doubted = false;
  while (!stop.aborted) {
    const mailbox = await deps.together.readMailbox(mailboxId);
    if (mailbox === null || mailbox.syncSince === null || mailbox.credentialKind === null) return;
    const session = await oneSession(deps, mailbox, refused, { ...kept, doubted });
    const { ending } = session;
    if (ending === 'stopped' || stop.aborted) return;
    const proven = session.liveAt !== null && clock.monotonic() - session.liveAt >= limits.provenMs;
    if (proven) {
      outage = null;
      doubted = false;
    }
    // Other connections are wanted, the token's hour is over, the server restarts, the network changed: connect again at once, or in turn.
    if (typeof ending === 'string') continue;
    if (proven && ending.kind === 'temporary') {
      await pause(deps, kept, deps.gates.spread(), ending);
      continue;
    }
    // Where there was no login, the one that was refused before is refused still: else it would be tried in between.
    if (session.login !== null) refused = ending.code === 'login_refused' ? session.login : null;
    outage = outageAfter(outage, ending, { at: session.startedAt, loggedIn: session.loggedIn });
    const credential = mailbox.credentialKind;
    const pauseMs = pauseAfter(outage, { credential, retry: limits.retry });
    deps.log.info(
      { code: ending.code, kind: ending.kind, failures: outage.failures, pauseMs },
      'the session with the provider failed',
    );
    const next = stateIn(outage, { credential, now: clock.monotonic() });
    const told = next === null ? null : await announce(deps, mailboxId, session, { ...next, pauseMs });
    doubted ||= told !== null && session.liveAt !== null && ending.kind === 'temporary';
    if (next?.state === 'reauth_required' && told !== 'outdated') return;
    if (told !== 'outdated') await pause(deps, kept, pauseMs, ending);
  }
}

/** Waits; whoever wakes the listener ends that, unless it was the provider who asked for it. */
async function pause(
  { clock }: ListenerDeps,
  { stop, bell }: Pick<Listening, 'stop' | 'bell'>,
  pauseMs: number,
  cause: Failure,
): Promise<void> {
  const until = clock.monotonic() + pauseMs;
  while (!stop.aborted && clock.monotonic() < until) {
    await bell.wait(until - clock.monotonic());
    if (bell.takeAll() && cause.kind !== 'throttled') return;
  }
}

async function announce(
  deps: ListenerDeps,
  mailboxId: MailboxId,
  session: Session,
  next: { state: MailboxState; reason: string; pauseMs: number },
) {
  const { state, reason, pauseMs } = next;
  const asksForPerson = state === 'reauth_required';
  const change = await deps.together.setState(mailboxId, {
    state,
    reason,
    nextTryAt: asksForPerson ? null : deps.clock.now() + pauseMs,
    ...(asksForPerson ? { credentialVersion: session.credentialVersion } : {}),
  });
  if (change === 'announced') deps.filing.wakePublisher();
  return change;
}

/** How a session went. Times are ms of the monotonic clock. */
type Session = {
  ending: Ending;
  startedAt: number;
  /** The provider took the login. */
  loggedIn: boolean;
  /** Its line in the life of the mailbox; null before the login. */
  line: string | null;
  /** When it had caught up; null: it never did. */
  liveAt: number | null;
  login: Login | null;
  /** Of the credential that the login came from. */
  credentialVersion: number;
};

/** A session from login to its end, however it ends. */
async function oneSession(
  deps: ListenerDeps,
  mailbox: Mailbox,
  refused: Login | null,
  kept: Omit<Listening, 'onLogin' | 'onLive' | 'traces'>,
): Promise<Session> {
  const { credentialVersion } = mailbox;
  const session: Session = {
    ending: 'stopped',
    startedAt: deps.clock.monotonic(),
    loggedIn: false,
    line: null,
    liveAt: null,
    login: null,
    credentialVersion,
  };
  const log = deps.log.child({ session: randomBytes(6).toString('base64url') });
  const onLogin = async () => {
    log.info({}, 'logged in');
    session.loggedIn = true;
    session.line = await deps.together.logLogin(mailbox.id);
  };
  const traces = mailbox.isTraced ? createTraces({ db: deps.filing.db, log }) : null;
  const onLive = () => void (session.liveAt = deps.clock.monotonic());
  try {
    // Nor is the database asked for thousands of logins at once, or a token endpoint for thousands of tokens.
    const ask = () => deps.loginOf(mailbox, refused);
    session.login = await unlessStopped(
      kept.stop,
      deps.gates.logins(`tokens of ${mailbox.provider}`, ask, kept.stop),
    );
    if (session.login === null) return session;
    const renewed = await deps.together.readMailbox(mailbox.id);
    session.credentialVersion = renewed?.credentialVersion ?? credentialVersion;
    session.ending = await watchMailbox({ ...deps, log }, mailbox, session.login, {
      ...kept,
      traces,
      onLogin,
      onLive,
    });
  } catch (error) {
    if (!kept.stop.aborted) session.ending = failureOf(log, error);
  }
  await traces?.written();
  await noteEnd(deps.filing.db, mailbox.id, session);
  return session;
}

/** A listener that was stopped before it had logged in leaves nothing to tell. */
async function noteEnd(db: Db, mailboxId: MailboxId, { ending, line }: Session): Promise<void> {
  if (ending === 'stopped' && line === null) return;
  const reason = ending instanceof Failure ? ending.code : ending;
  sessionsEnded.add([reason]);
  await logSessionEnd(db, { mailboxId, line, reason });
}

/** Null when the listener is stopped first; what is waited for ends by itself, and nobody hears of it. */
async function unlessStopped<T>(stop: AbortSignal, work: Promise<T>): Promise<T | null> {
  let stopped = () => {};
  const stops = new Promise<null>((resolve) => {
    stopped = () => resolve(null);
    if (stop.aborted) stopped();
    else stop.addEventListener('abort', stopped, { once: true });
  });
  try {
    return await Promise.race([work, stops]);
  } finally {
    stop.removeEventListener('abort', stopped);
  }
}

/** Errors of the session are Failures already; whatever else comes here is ours: a bug, or the database. */
function failureOf(log: Log, error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof CursorMoved) {
    return new Failure('temporary', 'cursor_moved', 'another listener reads this mailbox', { cause: error });
  }
  log.error({ ...placeOfError(error) }, 'a session with the provider ended by an error of our own');
  return new Failure('temporary', 'gateway_error', 'the gateway failed by itself', { cause: error });
}
