import { backoffMs } from '../lib/backoff.ts';
import type { EndpointNews } from '../store/deliveries.ts';

/** What came back from an endpoint: an HTTP status, or why there is none. */
export type Answer =
  | { status: number; retryAfterMs: number | null }
  | { status: null; error: string; /** The gateway is stopping and gave the request up. */ stopped: boolean };

/** One try that has ended. */
export type Try = {
  answer: Answer;
  /** Tries of this delivery so far, this one included. */
  attempts: number;
  /** By the clock that only goes forward. */
  startedAtMs: number;
};

/** What becomes of a delivery after a try. */
export type Outcome = {
  state: 'delivered' | 'pending' | 'parked';
  status: number | null;
  error: string | null;
  delayMs: number;
};

/**
 * The pauses grow from 5 s to 6 h; twelve of them are used up in the first nine hours, and 38 tries
 * take about five days, a weekend and a holiday.
 */
const retryPauses = { firstMs: 5_000, mostMs: 6 * 3_600_000 };
const attemptsMax = 38;

/** An endpoint that is down is asked with one request after each pause. */
const endpointPauses = { firstMs: 1_000, mostMs: 300_000 };
/** An endpoint may ask for a longer pause than that (Retry-After), within reason. */
const retryAfterMsMax = 3_600_000;

/** Only 2xx delivers: a redirect is not followed, since it could lead anywhere, and loses the body on the way. */
export function outcomeOf(ended: Try): Outcome {
  const { answer, attempts } = ended;
  if (answer.status === null) {
    if (answer.stopped) return { state: 'pending', status: null, error: answer.error, delayMs: 0 };
    return failed(attempts, null, answer.error);
  }
  if (isDelivered(answer.status))
    return { state: 'delivered', status: answer.status, error: null, delayMs: 0 };
  return failed(attempts, answer.status, `the endpoint answered ${answer.status}`);
}

function failed(attempts: number, status: number | null, error: string): Outcome {
  if (attempts >= attemptsMax) return { state: 'parked', status, error, delayMs: 0 };
  return { state: 'pending', status, error, delayMs: backoffMs(attempts, retryPauses) };
}

/**
 * What the tries that ended together tell of the endpoint. One that works refuses some deliveries for
 * what is in them (4xx), and that says nothing against it. Tries that began before `pausedAtMs`, when
 * it was last found failing, tell nothing new either: eight that time out together are one failure.
 */
export function newsOf(ended: readonly Try[], pausedAtMs: number): EndpointNews {
  if (ended.some(({ answer }) => answer.status === 410)) return { kind: 'gone' };
  if (ended.some(({ answer }) => answer.status !== null && !speaksOfEndpoint(answer.status))) {
    return { kind: 'answered' };
  }
  const failing = ended.filter(({ answer }) => answer.status !== null || !answer.stopped);
  if (failing.length === 0) return { kind: 'untold' };
  const newly = failing.some(
    ({ answer, attempts, startedAtMs }) =>
      startedAtMs >= pausedAtMs && (attempts === 1 || answer.status === 429),
  );
  return { kind: 'failing', newly };
}

/** How long an endpoint rests after so many failures in a row, or as long as it asked for. */
export function endpointPauseMs(failures: number, ended: readonly Try[]): number {
  const asked = ended.map(({ answer }) => (answer.status === null ? 0 : (answer.retryAfterMs ?? 0)));
  return Math.max(backoffMs(failures, endpointPauses), Math.min(Math.max(0, ...asked), retryAfterMsMax));
}

function isDelivered(status: number): boolean {
  return status >= 200 && status <= 299;
}

function speaksOfEndpoint(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}
