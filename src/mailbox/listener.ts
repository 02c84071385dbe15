import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { FilingDeps } from '../filing/file.ts';
import type { MailboxId } from '../lib/id.ts';
import type { MailboxState } from '../provider/connection-states.ts';
import type { Provider } from '../provider/providers.ts';
import { setMailboxState } from '../store/connections.ts';
import { readMailbox } from '../store/mailboxes.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import { createBell } from './bell.ts';
import type { Bell } from './bell.ts';
import { imapFailure } from './imap-errors.ts';
import { outageAfter, stateIn } from './outage.ts';
import type { Outage } from './outage.ts';
import type { Login } from './session.ts';
import { watchMailbox } from './watching.ts';

export type ListenerDeps = {
  filing: FilingDeps;
  clock: Clock;
  log: Log;
  providerOf(mailbox: Mailbox): Provider;
  /** A login that works now. `refused` is the one that the server turned down last. Rejects with a Failure. */
  loginOf(mailbox: Mailbox, refused: Login | null): Promise<Login>;
  limits: ListenerLimits;
};

/** All in milliseconds. */
export type ListenerLimits = {
  /** The safety net: how often every watched folder is asked about, whatever IDLE says or keeps to itself. */
  lookEveryMs: number;
  /** How often the folders are listed again. */
  listEveryMs: number;
  /** First and longest pause after a failure. */
  retry: { firstMs: number; mostMs: number };
  /** A session that lasted this long was a good one: its end is ordinary, and the pauses start anew. */
  provenMs: number;
  /** How long a message that was announced may take to be fetchable, asked for thrice. */
  announcedMs: number;
};

export const listenerLimits: ListenerLimits = {
  // With the time that a look takes, this bounds the delay of any message to 60 s.
  lookEveryMs: 45_000,
  listEveryMs: 600_000,
  retry: { firstMs: 1_000, mostMs: 300_000 },
  provenMs: 10_000,
  announcedMs: 500,
};

export type Listener = {
  /** Resolves when the loop has ended: stopped, or waiting for a person. Never rejects. */
  readonly done: Promise<void>;
  /** Looks at every folder now; for whoever knows that something is there. */
  wake(): void;
  stop(): Promise<void>;
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
  const done = listenForever({ ...deps, log }, mailboxId, { stop: stopping.signal, bell }).catch(
    (error: unknown) => {
      log.error(
        { error: error instanceof Error ? error.stack : String(error) },
        'the listener ended by an error of its own',
      );
    },
  );
  return {
    done,
    wake: () => {
      bell.everything = true;
      bell.wake();
    },
    stop: () => {
      stopping.abort();
      return done;
    },
  };
}

async function listenForever(
  deps: ListenerDeps,
  mailboxId: MailboxId,
  signals: { stop: AbortSignal; bell: Bell },
): Promise<void> {
  const { stop } = signals;
  let outage: Outage | null = null;
  let refused: Login | null = null;
  while (!stop.aborted) {
    const mailbox = await readMailbox(deps.filing.db, mailboxId);
    if (mailbox === null || mailbox.syncSince === null || mailbox.credentialKind === null) return;
    const ended = await oneSession(deps, mailbox, refused, signals);
    if (stop.aborted) return;
    if (ended.lastedMs >= deps.limits.provenMs) {
      outage = null;
      // The token's hour is over, the server restarts, the network changed: connect again at once.
      if (ended.failure.kind === 'temporary') continue;
    }
    refused = ended.failure.code === 'login_refused' ? ended.login : null;
    outage = outageAfter(outage, ended.failure, deps.clock.now() - ended.lastedMs);
    const next = stateIn(outage, { oauth: mailbox.credentialKind === 'oauth', now: deps.clock.now() });
    const pauseMs = pauseAfter(outage, deps.limits);
    deps.log.info(
      { code: ended.failure.code, kind: ended.failure.kind, failures: outage.failures, pauseMs },
      'the session with the provider failed',
    );
    if (next !== null) await announce(deps, mailboxId, next, deps.clock.now() + pauseMs);
    if (next?.state === 'reauth_required') return;
    await deps.clock.sleep(pauseMs, stop);
  }
}

function pauseAfter(outage: Outage, limits: ListenerLimits): number {
  const { last } = outage;
  // A refused token is replaced and tried once more before it means anything.
  if (last.code === 'login_refused' && outage.failures === 1) return 0;
  return Math.max(last.retryAfterMs ?? 0, backoffMs(outage.failures, limits.retry));
}

async function announce(
  deps: ListenerDeps,
  mailboxId: MailboxId,
  next: { state: MailboxState; reason: string },
  nextTryAt: number,
): Promise<void> {
  const waits = next.state === 'degraded' || next.state === 'rate_limited';
  const told = await setMailboxState(deps.filing.db, mailboxId, {
    ...next,
    nextTryAt: waits ? nextTryAt : null,
  });
  if (told) deps.filing.wakePublisher();
}

/** A session from login to its end, however it ends. `lastedMs` counts from the login. */
async function oneSession(
  deps: ListenerDeps,
  mailbox: Mailbox,
  refused: Login | null,
  signals: { stop: AbortSignal; bell: Bell },
): Promise<{ failure: Failure; lastedMs: number; login: Login | null }> {
  let login: Login | null = null;
  let startedAt = deps.clock.now();
  try {
    login = await deps.loginOf(mailbox, refused);
    startedAt = deps.clock.now();
    await watchMailbox(deps, mailbox, login, signals);
    const failure = new Failure('temporary', 'connection_closed', 'the provider closed the connection');
    return { failure, lastedMs: deps.clock.now() - startedAt, login };
  } catch (error) {
    return { failure: imapFailure(error), lastedMs: deps.clock.now() - startedAt, login };
  }
}
