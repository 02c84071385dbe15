import { backoffMs } from '../lib/backoff.ts';
import type { Failure } from '../lib/failure.ts';
import type { MailboxState } from '../provider/connection-states.ts';

/** A row of failures without a good session between them. Times are ms of the monotonic clock. */
export type Outage = {
  failures: number;
  /** When the first one happened. */
  since: number;
  /** How often the login itself was refused, and since when; null: it was not. */
  refusals: { times: number; since: number } | null;
  last: Failure;
};

/** Short faults are nobody's business: an outage is announced when it lasts, or is repeated. */
const quietFailures = 2;
const quietMs = 30_000;

/**
 * A refused login doubts a password only when it is refused again and again, for so long: providers
 * refuse logins for passing reasons too. It never doubts a consent: each try brings a fresh token, and
 * the token endpoint says it at once when the consent is gone.
 */
const refusalsMin = 3;
const refusedMs = 60_000;

/** A wrong password is not tried more often than that: hosts lock accounts, and addresses, for less. */
const refusedPauseMs = 30_000;

/** The outage after one more failure. `at` is when the failed session began; it may have failed after a login that worked. */
export function outageAfter(
  before: Outage | null,
  failure: Failure,
  { at, loggedIn }: { at: number; loggedIn: boolean },
): Outage {
  const refused = loggedIn ? null : (before?.refusals ?? null);
  return {
    failures: (before?.failures ?? 0) + 1,
    since: before?.since ?? at,
    refusals:
      failure.code === 'login_refused'
        ? { times: (refused?.times ?? 0) + 1, since: refused?.since ?? at }
        : refused,
    last: failure,
  };
}

/**
 * What an outage means for the mailbox's state (C5); null: nothing to announce yet. A time-out, a
 * 429, a 5xx or a DNS failure never means `reauth_required`. Pure.
 */
export function stateIn(
  outage: Outage,
  mailbox: { credential: 'oauth' | 'password'; now: number },
): { state: MailboxState; reason: string } | null {
  const { last, refusals } = outage;
  if (last.kind === 'denied' && last.code !== 'login_refused') {
    return { state: 'reauth_required', reason: last.code };
  }
  const refusedFor = refusals === null ? 0 : mailbox.now - refusals.since;
  const isWrong = (refusals?.times ?? 0) >= refusalsMin && refusedFor >= refusedMs;
  if (last.code === 'login_refused' && mailbox.credential === 'password' && isWrong) {
    return { state: 'reauth_required', reason: 'login_refused' };
  }
  const lasts = outage.failures > quietFailures || mailbox.now - outage.since >= quietMs;
  if (last.kind === 'throttled' && (lasts || (last.retryAfterMs ?? 0) >= quietMs)) {
    return { state: 'rate_limited', reason: last.code };
  }
  return lasts ? { state: 'degraded', reason: last.code } : null;
}

/** What a provider may ask for as a pause. More is no hint, and a timer of 25 days or more ends at once. */
const hintMsMax = 6 * 3_600_000;

/** How long to wait before the next try, in ms. */
export function pauseAfter(
  { last, failures }: Outage,
  { credential, retry }: { credential: 'oauth' | 'password'; retry: { firstMs: number; mostMs: number } },
): number {
  const refused = last.code === 'login_refused';
  // A refused token is replaced and tried once more before it means anything.
  if (refused && credential === 'oauth' && failures === 1) return 0;
  const atLeastMs = refused && credential === 'password' ? refusedPauseMs : 0;
  return Math.max(atLeastMs, Math.min(last.retryAfterMs ?? 0, hintMsMax), backoffMs(failures, retry));
}
