import { Failure, messageOf } from '../lib/failure.ts';

/** What imapflow hangs on its errors (2.10.2); every field may be missing. */
type ImapError = {
  code?: string;
  authenticationFailed?: boolean;
  serverResponseCode?: string;
  responseText?: string;
  byeReason?: string;
  throttleReset?: number;
  oauthError?: unknown;
};

/** Response codes with which a server says "not now" even when it says it to a login (RFC 5530 §3, Gmail's ALERT). */
const notNow = new Set([
  'UNAVAILABLE',
  'LIMIT',
  'INUSE',
  'OVERQUOTA',
  'ALERT',
  'SERVERBUG',
  'WEBALERT',
  'CONTACTADMIN',
]);

/**
 * What an error of the IMAP client means. `login_refused` is the only one that doubts the credential,
 * and it proves nothing by itself: imapflow marks every NO to AUTHENTICATE as a failed login, also
 * "too many connections" and "not connected" (providers.md C.1, 2026-11). Pure.
 */
export function imapFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const error = (thrown ?? {}) as ImapError;
  const text = [error.responseText, error.byeReason, messageOf(thrown)].filter(Boolean).join(' ');
  const more = { cause: thrown };
  if (error.code === 'ETHROTTLE' || /throttled|Suggested Backoff Time/i.test(text)) {
    const wait = /Backoff Time:\s*(\d+)/i.exec(text)?.[1];
    const retryAfterMs = error.throttleReset ?? (wait === undefined ? 60_000 : Number(wait));
    return new Failure('throttled', 'provider_throttles', 'the provider asked for a pause', {
      ...more,
      retryAfterMs,
    });
  }
  const responseCode = error.serverResponseCode?.toUpperCase();
  if (responseCode === 'OVERQUOTA' || /bandwidth limits/i.test(text)) {
    // Gmail locks IMAP for up to a day past its daily bandwidth; an hour is soon enough to ask again.
    return new Failure('throttled', 'bandwidth_limit', 'the provider limits the bandwidth of this mailbox', {
      ...more,
      retryAfterMs: 3_600_000,
    });
  }
  if (/too many simultaneous|too many connections/i.test(text) || responseCode === 'LIMIT') {
    return new Failure(
      'throttled',
      'too_many_connections',
      'the provider allows no more connections to this mailbox',
      {
        ...more,
        retryAfterMs: 60_000,
      },
    );
  }
  if (/authenticated but not connected/i.test(text)) {
    // Exchange: another mailbox than the token's, IMAP switched off, no licence, or a passing fault.
    return new Failure(
      'temporary',
      'authenticated_not_connected',
      'the provider accepted the login and opened no mailbox',
      more,
    );
  }
  if (error.authenticationFailed === true && (responseCode === undefined || !notNow.has(responseCode))) {
    return new Failure('denied', 'login_refused', 'the provider refused the login', more);
  }
  return new Failure(
    'temporary',
    temporaryCode(error, responseCode),
    'the mailbox cannot be reached or did not answer as expected',
    more,
  );
}

function temporaryCode(error: ImapError, responseCode: string | undefined): string {
  const code = responseCode ?? error.code;
  return code === undefined ? 'connection_lost' : `imap_${code.toLowerCase()}`;
}
