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
  return thrown instanceof Error ? thrown.message : String(thrown);
}
