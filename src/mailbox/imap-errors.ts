import { Failure } from '../lib/failure.ts';

/** What imapflow hangs on its errors (2.10.2); every field may be missing. */
type ImapError = {
  code?: string;
  /** Of every tagged NO to AUTHENTICATE or LOGIN, whatever its reason. */
  authenticationFailed?: boolean;
  /** The tagged answer's own word. */
  responseStatus?: string;
  /** RFC 5530 and others: `UNAVAILABLE`, `ALERT`, … */
  serverResponseCode?: string;
  responseText?: string;
  /** The answer's text, or (where the library left it so) the parsed answer. */
  response?: unknown;
  /** What the server said with its BYE. */
  reason?: string;
  /** Milliseconds. */
  throttleReset?: number;
};

/** A tagged NO or BAD to a command: that command failed, and the connection goes on. */
export const commandRefused = 'command_refused';

/** The server said more than an answer may have (answer-limits.ts). */
export const answerTooLong = 'answer_too_long';

/** An answer that went past a bound, and is not read on. */
export function tooLong(): Failure {
  return new Failure('temporary', answerTooLong, 'the provider did not come to the end of its answer');
}

/**
 * What an error of the IMAP client means. `login_refused` is the only one that doubts the credential,
 * and it proves nothing by itself: imapflow marks every NO to AUTHENTICATE as a failed login, also
 * "too many connections" and "not connected" (providers.md C.1, 2026-11). Pure.
 */
export function imapFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const error = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as ImapError;
  const said = wordsOf(error);
  const code = error.serverResponseCode?.toUpperCase() ?? error.code?.toUpperCase();
  // RFC 5530 §3: the server knows the credential to be wrong; "please try again" is for the person then.
  const isWrong = code === 'AUTHENTICATIONFAILED';
  const known = meanings.find(
    ({ codes, words, vague }) => codes.includes(code ?? '') || (words.test(said) && !(isWrong && vague)),
  );
  if (known?.kind === 'throttled') {
    const retryAfterMs = error.throttleReset ?? known.retryAfterMs;
    return new Failure(known.kind, known.code, known.message, { cause: thrown, retryAfterMs });
  }
  if (known !== undefined) return new Failure(known.kind, known.code, known.message, { cause: thrown });
  if (error.authenticationFailed === true && doubtsCredential(code, said)) {
    return new Failure('denied', 'login_refused', 'the provider refused the login', { cause: thrown });
  }
  const message = 'the mailbox cannot be reached or did not answer as expected';
  return new Failure('temporary', temporaryCode(error, code), message, { cause: thrown });
}

type Meaning = {
  codes: readonly string[];
  words: RegExp;
  /** Its words are also said of a wrong password. */
  vague?: boolean;
  code: string;
  message: string;
} & ({ kind: 'temporary' } | { kind: 'throttled'; retryAfterMs: number });

/** What servers say, by response code (RFC 5530 §3) or by their words where they have no code; the first counts. */
const meanings: readonly Meaning[] = [
  {
    // Exchange, at any command; up to 300,000 ms are usual.
    codes: ['ETHROTTLE'],
    words: /throttled|suggested backoff time/i,
    kind: 'throttled',
    code: 'provider_throttles',
    message: 'the provider asked for a pause',
    retryAfterMs: 60_000,
  },
  {
    // Gmail locks IMAP for up to a day past its daily bandwidth; an hour is soon enough to ask again.
    codes: ['OVERQUOTA'],
    words: /bandwidth limits/i,
    kind: 'throttled',
    code: 'bandwidth_limit',
    message: 'the provider limits the bandwidth of this mailbox',
    retryAfterMs: 3_600_000,
  },
  {
    // Gmail says it with ALERT, Dovecot with LIMIT, others with a BYE as their greeting.
    codes: ['LIMIT'],
    words: /too many\b.*\bconnections|maximum number of connections/i,
    kind: 'throttled',
    code: 'too_many_connections',
    message: 'the provider allows no more connections to this mailbox',
    retryAfterMs: 60_000,
  },
  {
    // Exchange: another mailbox than the token's, IMAP switched off, no licence, or a passing fault.
    codes: [],
    words: /authenticated but not connected|connection closed\. 14/i,
    kind: 'temporary',
    code: 'authenticated_not_connected',
    message: 'the provider accepted the login and opened no mailbox',
  },
  {
    // Google wants to see the person in a browser; the consent is fine.
    codes: ['WEBALERT'],
    words: /web login required|via your web browser/i,
    kind: 'temporary',
    code: 'web_login_required',
    message: 'the provider wants the person to log in with a browser once',
  },
  {
    codes: ['UNAVAILABLE', 'INUSE', 'SERVERBUG', 'CONTACTADMIN'],
    words: /unavailable|temporar(y|ily)|try again|internal (server )?error/i,
    vague: true,
    kind: 'temporary',
    code: 'server_unavailable',
    message: 'the provider has trouble of its own',
  },
  {
    // What the library gives a connection up for.
    codes: ['LINETOOLARGE', 'LITERALTOOLARGE', 'RESPONSETOOLARGE', 'TOOMANYRESPONSES', 'TOOMANYTOKENS'],
    words: /(?!)/,
    kind: 'temporary',
    code: answerTooLong,
    message: 'the provider did not come to the end of its answer',
  },
];

/** Only what the server said: our own library's words mean nothing here. */
function wordsOf({ responseText, response, reason }: ImapError): string {
  return [responseText, response, reason].filter((words) => typeof words === 'string').join(' ');
}

/** ALERT (RFC 9051 §7.1) is a message for a person, about anything at all; Gmail says also this with it. */
function doubtsCredential(code: string | undefined, said: string): boolean {
  return code !== 'ALERT' || /credential|password/i.test(said);
}

function temporaryCode(error: ImapError, code: string | undefined): string {
  const refused = error.responseStatus === 'NO' || error.responseStatus === 'BAD';
  if (refused && error.authenticationFailed !== true) return commandRefused;
  if (error.reason !== undefined || closedCodes.has(code ?? '')) return 'connection_closed';
  return code === undefined ? 'unexpected_answer' : `imap_${code.toLowerCase()}`;
}

/** What imapflow calls a connection that ended under a command, or before the first one. */
const closedCodes: ReadonlySet<string> = new Set([
  'NOCONNECTION',
  'ECONNECTIONCLOSED',
  'STATELOGOUT',
  'CLOSEDAFTERCONNECTTEXT',
  'CLOSEDAFTERCONNECTTLS',
]);
