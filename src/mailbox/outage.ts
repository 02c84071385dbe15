import type { Failure } from '../lib/failure.ts';
import type { MailboxState } from '../provider/connection-states.ts';

/** A row of failures without a good session between them. */
export type Outage = {
  failures: number;
  /** How often the login itself was refused. */
  refusals: number;
  /** When the first one happened, ms since the epoch. */
  since: number;
  last: Failure;
};

/** Short faults are nobody's business: an outage is announced when it lasts, or is repeated. */
const quietFailures = 2;
const quietMs = 30_000;

/**
 * A refused login doubts the consent only when a fresh token, or the same password, is refused again
 * and again: providers refuse logins for passing reasons too.
 */
const refusalsMin = 3;
const oauthRefusedMs = 600_000;

/** The outage after one more failure. `at` is when the failed session began. */
export function outageAfter(before: Outage | null, failure: Failure, at: number): Outage {
  return {
    failures: (before?.failures ?? 0) + 1,
    refusals: (before?.refusals ?? 0) + (failure.code === 'login_refused' ? 1 : 0),
    since: before?.since ?? at,
    last: failure,
  };
}

/**
 * What an outage means for the mailbox's state (C5); null: nothing to announce yet. A time-out, a
 * 429, a 5xx or a DNS failure never means `reauth_required`. Pure.
 */
export function stateIn(
  outage: Outage,
  mailbox: { oauth: boolean; now: number },
): { state: MailboxState; reason: string } | null {
  const { last } = outage;
  const lastedMs = mailbox.now - outage.since;
  if (last.kind === 'denied' && last.code !== 'login_refused')
    return { state: 'reauth_required', reason: last.code };
  if (outage.refusals >= refusalsMin && (!mailbox.oauth || lastedMs >= oauthRefusedMs)) {
    return { state: 'reauth_required', reason: 'login_refused' };
  }
  if (last.kind === 'throttled') return { state: 'rate_limited', reason: last.code };
  if (outage.failures > quietFailures || lastedMs >= quietMs) return { state: 'degraded', reason: last.code };
  return null;
}
