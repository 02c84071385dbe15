/**
 * What went wrong at an edge, classified once, so that flows never read library errors.
 *
 * - `temporary`: the same call may work later, nothing for a person to do.
 * - `throttled`: as temporary, but the other side asked for a pause (`retryAfterMs`).
 * - `denied`: a person must act (consent again, an administrator's switch); retrying is useless.
 * - `permanent`: the request itself is refused for good.
 * - `uncertain`: the request may have been carried out; only looking can tell.
 * - `operator`: our own set-up is wrong (client secret, redirect URI); never the user's fault.
 */
export type FailureKind = 'temporary' | 'throttled' | 'denied' | 'permanent' | 'uncertain' | 'operator';

/** An error that crossed an edge. `message` is for our log and the API; it holds no secret and no content of mail. */
export class Failure extends Error {
  readonly kind: FailureKind;
  /** Stable machine word, for example `token_revoked`, `too_many_connections`, `smtp_550`. */
  readonly code: string;
  /** How long the other side asked us to wait, where it did. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: FailureKind,
    code: string,
    message: string,
    more: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = 'Failure';
    this.kind = kind;
    this.code = code;
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** The text of anything thrown, for a log line. */
export function messageOf(thrown: unknown): string {
  // Where a name has several addresses and none answers, node:net gathers what each said, and says nothing itself.
  if (thrown instanceof AggregateError && thrown.message === '')
    return thrown.errors.map(messageOf).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * Whether TLS was what failed. `untrusted`: the server's certificate is not its own, has expired, or
 * nobody that we trust has signed it. `failed`: no encryption could be agreed upon at all, as with a
 * port that speaks without it. Node's and OpenSSL's codes, also where a library keeps the first one
 * under `originalCode`.
 */
export function tlsProblem(thrown: unknown): 'untrusted' | 'failed' | null {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth += 1) {
    const { code = '', originalCode = '', tlsFailed } = error as TlsError;
    const words = `${originalCode} ${code}`;
    if (/CERT|ISSUER|LEAF_SIGNATURE|HOSTNAME_MISMATCH|INVALID_CA/.test(words)) return 'untrusted';
    // imapflow (2.10.2) says it so where STARTTLS was wanted and is not offered; Node has one code for
    // every reset, and words for one that came in the middle of the handshake.
    // Neither what nodemailer calls a strange answer (EPROTOCOL), nor what ends without one after TLS was agreed on.
    const isTls = /SSL|(?<!AfterConnect)TLS|EPROTO\b/.test(words) || tlsFailed === true;
    if (isTls || error.message.includes('before secure TLS connection')) return 'failed';
  }
  return null;
}

type TlsError = Error & { code?: string; originalCode?: string; tlsFailed?: boolean };

/** Errors that our own code has with what it was given. */
const ours: ReadonlySet<string> = new Set([
  'TypeError',
  'RangeError',
  'SyntaxError',
  'URIError',
  'AssertionError',
]);

/**
 * Whether an error lies in the message that was filed: a fault of our own, or values that the
 * database does not take (PostgreSQL, appendix A: classes 22, 23 and 54). Every other one may pass by
 * itself: a database that is away, busy or overtaken, a disk that is full or read-only. Pure.
 */
export function isOfOneMessage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Only what the database itself said has a severity.
  if ('severity' in error) return /^(22|23|54)/.test(codeOf(error) ?? '');
  return ours.has(error.name);
}

/** What may be logged of an error of our own: where it happened. Its message may hold content of mail. */
export function placeOfError(error: unknown): { error: string; code: string | null; stack: string | null } {
  if (!(error instanceof Error)) return { error: typeof error, code: null, stack: null };
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  return { error: error.name, code: codeOf(error), stack: frames?.slice(0, 8).join('\n') ?? null };
}

function codeOf(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null;
}
