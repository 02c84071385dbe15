import { Failure, type FailureKind } from '../lib/failure.ts';
import type { GoogleEndpoints, MicrosoftEndpoints } from './providers.ts';

type Dialect = (GoogleEndpoints | MicrosoftEndpoints)['dialect'];

/** What is known of a token call that failed, in words of no library. */
export type TokenCallProblem = {
  dialect: Dialect;
  stage: 'exchange' | 'refresh' | 'revoke';
  /** Null: no answer came. */
  status: number | null;
  /** The answer's body, when it was JSON. */
  body: unknown;
  /** The answer's Retry-After, in milliseconds. */
  retryAfterMs: number | null;
  /** What broke the connection: `ENOTFOUND`, `ECONNRESET`, `TimeoutError`. */
  networkCode: string | null;
};

/**
 * Codes of the failures of a token call, beside their kind.
 *
 * - `token_endpoint_unreachable`, `token_endpoint_unavailable` (temporary), `token_endpoint_throttled`
 *   (throttled): nothing is wrong with the consent.
 * - `token_revoked` (denied): the person consents again; the message says why, as far as it was told.
 * - `admin_consent_required`, `blocked_by_administrator` (denied): an administrator must act.
 * - `wrong_account_type` (denied): that account cannot be used with this registration.
 * - `code_rejected` (permanent): the authorisation code is spent, expired or not ours; start again.
 * - `client_rejected`, `redirect_mismatch`, `scope_rejected`, `single_tenant`, `token_request_rejected`
 *   (operator): our registration or configuration is wrong.
 */
type TokenFailureCode =
  | 'token_endpoint_unreachable'
  | 'token_endpoint_unavailable'
  | 'token_endpoint_throttled'
  | 'token_revoked'
  | 'admin_consent_required'
  | 'blocked_by_administrator'
  | 'wrong_account_type'
  | 'code_rejected'
  | 'client_rejected'
  | 'redirect_mismatch'
  | 'scope_rejected'
  | 'single_tenant'
  | 'token_request_rejected';

type Verdict = { kind: FailureKind; code: TokenFailureCode; meaning: string };

/**
 * Microsoft's numbers and who fixes what they mean (learn.microsoft.com error codes, seen 2026-11;
 * 90095 by one report). Microsoft asks not to branch on them, so they refine a refusal only: a number
 * that is not here is judged by `error`, and none of them turns an outage into a refusal.
 */
const aadstsVerdicts = new Map<number, Verdict>([
  ...verdicts('denied', 'token_revoked', {
    50173: 'the grant was revoked: password reset by an administrator, or sessions revoked',
    70008: 'the refresh token expired',
    700082: 'the refresh token expired by inactivity',
    700084: 'the refresh token of a single-page app lives 24 hours',
    70043: 'the refresh token expired by the sign-in frequency policy',
    65004: 'the person declined',
    50072: 'enrolment in multi-factor authentication is needed',
    50074: 'multi-factor authentication is needed',
    50076: 'multi-factor authentication is needed',
    50078: 'multi-factor authentication expired',
    50079: 'enrolment in multi-factor authentication is needed',
    50055: 'the password expired',
    50144: 'the password expired',
  }),
  ...verdicts('denied', 'admin_consent_required', {
    65001: 'consent is missing or was withdrawn',
    90094: "an administrator's consent is needed",
    90095: "an administrator's consent was asked for",
  }),
  ...verdicts('denied', 'blocked_by_administrator', {
    53000: 'the device does not comply with the policy',
    53001: 'the device is not joined to the domain',
    53003: 'conditional access blocks it',
    530003: 'the device must be managed',
    530034: 'blocked for a delegated administrator',
    530035: 'blocked by security defaults',
    50057: 'the account is disabled',
    50105: 'the person is not assigned to the app',
  }),
  ...verdicts('denied', 'wrong_account_type', {
    50020: 'the account is of another tenant or kind',
    500208: 'the account is of a kind that may not sign in here',
  }),
  ...verdicts('operator', 'single_tenant', { 50194: 'the app is for one tenant and was used with all' }),
  ...verdicts('operator', 'redirect_mismatch', { 50011: 'the redirect address is not registered' }),
  ...verdicts('operator', 'scope_rejected', { 70011: 'a scope is not valid' }),
  ...verdicts('operator', 'client_rejected', {
    7000215: 'the client secret is wrong',
    7000222: 'the client secret expired',
    700016: 'the app is not found in the tenant',
  }),
  ...verdicts('throttled', 'token_endpoint_throttled', { 50196: 'the same request came too often' }),
  ...verdicts('permanent', 'code_rejected', { 54005: 'the authorisation code was used before' }),
]);

/** Refusals by the standard's words (RFC 6749 §5.2) and by those that Google and Microsoft add. */
const errorVerdicts = new Map<string, Verdict>([
  ...errors('denied', 'token_revoked', ['invalid_grant', 'interaction_required', 'login_required']),
  ...errors('denied', 'admin_consent_required', ['consent_required']),
  ...errors('denied', 'blocked_by_administrator', ['admin_policy_enforced', 'access_denied']),
  ...errors('denied', 'wrong_account_type', ['org_internal']),
  ...errors('operator', 'client_rejected', [
    'invalid_client',
    'unauthorized_client',
    'deleted_client',
    'disabled_client',
  ]),
  ...errors('operator', 'redirect_mismatch', ['redirect_uri_mismatch']),
  ...errors('operator', 'scope_rejected', ['invalid_scope']),
  ...errors('throttled', 'token_endpoint_throttled', ['rate_limit_exceeded', 'slow_down', 'quota_exceeded']),
  ...errors('temporary', 'token_endpoint_unavailable', [
    'temporarily_unavailable',
    'server_error',
    'internal_failure',
  ]),
]);

/**
 * The failure of a token call. Only words from the tables, numbers and short machine words of the
 * answer go into its message: descriptions can hold addresses, and bodies tokens.
 */
export function tokenFailure(problem: TokenCallProblem): Failure {
  const who = problem.dialect === 'google' ? 'The provider' : 'Microsoft';
  const said = saidBy(problem.body);
  const verdict = verdictOn(problem, said);
  const words = [
    said.error,
    said.suberror,
    said.aadsts === null ? null : `AADSTS${said.aadsts}`,
    problem.status === null ? problem.networkCode : `HTTP ${problem.status}`,
  ].filter((word) => word !== null);
  return new Failure(
    verdict.kind,
    verdict.code,
    `${who}, at ${problem.stage}: ${verdict.meaning} (${words.join(', ')})`,
    problem.retryAfterMs === null ? {} : { retryAfterMs: problem.retryAfterMs },
  );
}

/** Why the identity token, or the answer around it, cannot be trusted. Starting again is all a person can do. */
export function identityFailure(problem: string): Failure {
  return new Failure('permanent', 'identity_token_invalid', `The identity token is refused: ${problem}`);
}

/** The code of whatever broke a connection, looked for along `cause`: fetch hides it there. */
export function networkCodeOf(thrown: unknown): string {
  let error = thrown;
  let name = 'unknown';
  for (let depth = 0; depth < 5 && error instanceof Error; depth += 1) {
    if ('code' in error && typeof error.code === 'string' && /^[A-Za-z_]{3,40}$/.test(error.code))
      return error.code;
    if (error.name === 'TimeoutError') name = error.name;
    error = error.cause;
  }
  return name;
}

/** Retry-After (RFC 9110 §10.2.3) in milliseconds: seconds or a date. */
export function retryAfterMsOf(header: string | null | undefined, nowMs: number): number | null {
  if (header === null || header === undefined || header === '') return null;
  if (/^\d{1,7}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** Why the provider sent the browser back without a code. */
export type RedirectFailure =
  /** The person said no. At Microsoft also who turned back from "Need admin approval". */
  | 'refused'
  /** The person may not consent alone: an administrator must (C1). */
  | 'admin_consent_required'
  /** The organisation's administrator blocks this app or this sign-in. */
  | 'blocked_by_administrator'
  /** The app is for another organisation's people, or for another kind of account. */
  | 'wrong_account_type'
  /** Our registration or configuration is wrong; the person can do nothing. */
  | 'operator'
  /** The provider has trouble; trying again may work. */
  | 'temporary'
  /** Not known: try again, and look at the log. */
  | 'unknown';

/** What the query of the redirect tells, or null when it carries no error. */
export function redirectFailure(query: URLSearchParams): RedirectFailure | null {
  const error = query.get('error');
  if (error === null) return null;
  const number = Number(/AADSTS(\d{4,9})/.exec(query.get('error_description') ?? '')?.[1]);
  const numbered = aadstsVerdicts.get(number);
  // Microsoft says `access_denied` both for a person's "no" (65004) and for the want of an administrator (90094).
  if (number === 65004 || (error === 'access_denied' && numbered === undefined)) return 'refused';
  const verdict = numbered ?? errorVerdicts.get(error);
  if (verdict === undefined) return ourMistakes.includes(error) ? 'operator' : 'unknown';
  if (verdict.kind === 'operator') return 'operator';
  if (verdict.kind === 'temporary' || verdict.kind === 'throttled') return 'temporary';
  return blockedCodes.find((code) => code === verdict.code) ?? 'unknown';
}

/** Errors of the authorisation endpoint (RFC 6749 §4.1.2.1) that only a wrong request can cause. */
const ourMistakes = ['invalid_request', 'unsupported_response_type', 'disallowed_useragent'];
const blockedCodes = ['admin_consent_required', 'blocked_by_administrator', 'wrong_account_type'] as const;

function verdictOn(problem: TokenCallProblem, said: Said): Verdict {
  const { status, stage } = problem;
  if (status === null) {
    return {
      kind: 'temporary',
      code: 'token_endpoint_unreachable',
      meaning: 'no answer from the token endpoint',
    };
  }
  if (status === 429) {
    return { kind: 'throttled', code: 'token_endpoint_throttled', meaning: 'asked too often' };
  }
  // A page instead of JSON comes from something in between, whatever its status; it refuses nobody.
  if (status >= 500 || status === 408 || !isRecord(problem.body)) {
    return {
      kind: 'temporary',
      code: 'token_endpoint_unavailable',
      meaning: 'the token endpoint is not available',
    };
  }
  const verdict =
    (said.aadsts === null ? undefined : aadstsVerdicts.get(said.aadsts)) ??
    errorVerdicts.get(said.error ?? '');
  if (verdict === undefined) {
    return { kind: 'operator', code: 'token_request_rejected', meaning: 'the request was rejected' };
  }
  // A code can be wrong, late or used; that is no revoked consent.
  if (
    stage === 'exchange' &&
    said.error === 'invalid_grant' &&
    verdict === errorVerdicts.get('invalid_grant')
  ) {
    return { kind: 'permanent', code: 'code_rejected', meaning: 'the authorisation code was rejected' };
  }
  return verdict;
}

type Said = { error: string | null; suberror: string | null; aadsts: number | null };

function saidBy(body: unknown): Said {
  if (!isRecord(body)) return { error: null, suberror: null, aadsts: null };
  const codes: unknown[] = Array.isArray(body['error_codes']) ? body['error_codes'] : [];
  const first = codes[0];
  return {
    error: word(body['error']),
    // Google's `invalid_rapt`, a session policy of a Workspace; Microsoft's `bad_token` and others.
    suberror: word(body['suberror']) ?? word(body['error_subtype']),
    aadsts: typeof first === 'number' && Number.isInteger(first) ? first : null,
  };
}

/** A machine word of the answer; anything longer or stranger could be somebody's data. */
function word(value: unknown): string | null {
  return typeof value === 'string' && /^[a-z_]{3,40}$/.test(value) ? value : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function verdicts(
  kind: FailureKind,
  code: TokenFailureCode,
  meanings: Record<number, string>,
): [number, Verdict][] {
  return Object.entries(meanings).map(([number, meaning]) => [Number(number), { kind, code, meaning }]);
}

function errors(kind: FailureKind, code: TokenFailureCode, words: readonly string[]): [string, Verdict][] {
  return words.map((error) => [error, { kind, code, meaning: code.replaceAll('_', ' ') }]);
}
