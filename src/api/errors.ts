import { HTTPException } from 'hono/http-exception';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { Log } from '../lib/log.ts';
import { isOfAbsence } from '../store/away.ts';

/**
 * Every code that an error of this API can carry, with its HTTP status and its title. The codes are
 * part of the contract: add, never rename. The words of RULES.md are used where a rule refuses.
 */
export const problems = {
  malformed_json: { status: 400, title: 'The body is not JSON' },
  incomplete_body: { status: 400, title: 'The body broke off' },
  malformed_multipart: { status: 400, title: 'The parts of the body cannot be read' },
  unauthenticated: { status: 401, title: 'No valid key was given' },
  read_only_key: { status: 403, title: 'This key may only read' },
  sub_account_key: { status: 403, title: 'This needs a key for all sub-accounts' },
  shared_user: { status: 403, title: 'This user belongs to other sub-accounts too' },
  not_found: { status: 404, title: 'There is no such thing here' },
  content_omitted: { status: 404, title: 'The content is not kept' },
  method_not_allowed: { status: 405, title: 'This address takes other methods' },
  no_mailbox_connected: {
    status: 409,
    title: 'The user has no mailbox connected, and the sub-account has no provider',
  },
  no_provider: {
    status: 409,
    title: 'Mail of this kind goes through the provider of the sub-account, which has none',
  },
  logging_off: { status: 409, title: 'No domain is configured for logging addresses' },
  not_connected: { status: 409, title: 'The connection has ended' },
  already_decided: { status: 409, title: 'There is nothing left to decide about this mail' },
  author_unknown: { status: 409, title: 'Who wrote what was forwarded is not known' },
  not_a_forward: { status: 409, title: 'The mail forwards nothing' },
  not_kept: { status: 409, title: 'Its bytes are not kept' },
  being_sent: { status: 409, title: 'A message is being sent, or it is not known yet whether it was' },
  still_connected: { status: 409, title: 'The mailbox is still connected' },
  too_late: { status: 409, title: 'It cannot be cancelled any more' },
  not_in_mailbox: { status: 409, title: 'The message lies in no mailbox' },
  mailbox_disconnected: { status: 409, title: 'Nobody is connected to its mailbox any more' },
  no_such_folder: { status: 409, title: 'Its mailbox has no folder for that' },
  sent_is_read: { status: 409, title: 'What the user wrote counts as read' },
  idempotency_key_reused: { status: 409, title: 'This Idempotency-Key came with another body before' },
  events_gone: { status: 410, title: 'Events that come next are not kept any more' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body has a content type that is not taken here' },
  invalid_request: { status: 422, title: 'Some fields are not valid' },
  range_not_satisfiable: { status: 416, title: 'There are no such bytes' },
  unknown_contact: { status: 422, title: 'The message goes to no contact of the sub-account' },
  attachment_too_large: { status: 422, title: 'Attachments are larger than the mailbox takes' },
  attachment_type: { status: 422, title: 'Attachments are of types that the mailbox does not take' },
  no_recipients: { status: 422, title: 'Nobody is left to send it to' },
  from_not_allowed: { status: 422, title: 'The user cannot send from this address' },
  imap_unreachable: { status: 422, title: 'The IMAP server gave no usable answer' },
  imap_login_refused: { status: 422, title: 'The IMAP server refused the login' },
  smtp_unreachable: { status: 422, title: 'The SMTP server gave no usable answer' },
  smtp_login_refused: { status: 422, title: 'The SMTP server refused the login' },
  tls_untrusted: { status: 422, title: 'The certificate of a mail server is not trusted' },
  tls_failed: { status: 422, title: 'No encryption could be agreed upon with a mail server' },
  private_address: { status: 422, title: 'A mail server is in a private network that is not allowed' },
  daily_limit: { status: 429, title: 'The mailbox takes no more individual messages today' },
  too_many_requests: { status: 429, title: 'Too many calls' },
  internal: { status: 500, title: 'The gateway failed' },
  not_available: { status: 501, title: 'This is not available yet' },
  unavailable: { status: 503, title: 'The gateway cannot do its work now' },
} as const satisfies Record<string, { status: ContentfulStatusCode; title: string }>;

export type ProblemCode = keyof typeof problems;

/** One field that is not valid. */
export type FieldError = {
  /** Where the field is: `body`, `path`, `query` or `header`. */
  in: 'body' | 'path' | 'query' | 'header';
  /** Names and array positions from the outside in, joined by dots: `emails.0`. Empty: the whole. */
  path: string;
  /** Stable machine word: `required`, `unknown_field`, `invalid_address`, … */
  code: string;
  /** For people. */
  detail: string;
};

/** What a handler throws to answer with an error. */
export class ApiError extends Error {
  readonly code: ProblemCode;
  readonly fields: readonly FieldError[];
  /** Further members of the answer (RFC 9457 §3.2), for example the time from which a call works again. */
  readonly members: Readonly<Record<string, unknown>>;
  /** From when on the same call may succeed, ms since the epoch: the member `retry_at`, and Retry-After. */
  readonly retryAt: number | null;

  constructor(
    code: ProblemCode,
    detail: string,
    more: {
      fields?: readonly FieldError[];
      members?: Record<string, unknown>;
      retryAt?: number | undefined;
    } = {},
  ) {
    super(detail);
    this.name = 'ApiError';
    this.code = code;
    this.fields = more.fields ?? [];
    this.retryAt = more.retryAt ?? null;
    this.members = {
      ...(this.retryAt === null ? {} : { retry_at: new Date(this.retryAt).toISOString() }),
      ...more.members,
    };
  }
}

/** The 404 of an object that is not there, or is another tenant's: the two are told apart by nothing. */
export function notFound(what: string): ApiError {
  return new ApiError('not_found', `There is no such ${what}.`);
}

/** The 422 of one field that only the database can judge. */
export function invalidField(field: FieldError): ApiError {
  return new ApiError('invalid_request', 'See errors for each field.', { fields: [field] });
}

/** The shape of every error, RFC 9457. */
export const problemSchema = z
  .looseObject({
    type: z.string().describe('A URI that names the kind of error; it ends in `code`.'),
    title: z.string().describe('The kind of error in words, the same for every error of this code.'),
    status: z.int().describe('The HTTP status.'),
    detail: z.string().describe('What was wrong this time.'),
    code: z
      .enum(Object.keys(problems) as [ProblemCode, ...ProblemCode[]])
      .describe('Stable machine word. Decide by this, never by the texts.'),
    retry_at: z
      .string()
      .optional()
      .describe(
        'With `daily_limit` and `too_many_requests`: from when on the call works again; with `unavailable`: when to try ' +
          'again. Also in the header `Retry-After`.',
      ),
    kept_since: z.string().optional().describe('With `events_gone`: from when on all events are kept.'),
    request_id: z.string().describe('Also in the header `X-Request-Id` and in the log of the gateway.'),
    errors: z
      .array(
        z.strictObject({
          in: z.enum(['body', 'path', 'query', 'header']).describe('Where the field is.'),
          path: z
            .string()
            .describe('Names and array positions from the outside in, joined by dots: `emails.0`.'),
          code: z.string().describe('Stable machine word, for example `required` or `invalid_address`.'),
          detail: z.string().describe('For people.'),
        }),
      )
      .optional()
      .describe(
        'With `invalid_request`: every field that is not valid, at once; with `attachment_too_large` and ' +
          '`attachment_type`: every attachment that is not taken.',
      ),
  })
  .meta({ id: 'Problem', description: 'An error (RFC 9457), sent as `application/problem+json`.' });

/** Turns anything thrown into its answer. Only an ApiError's own words reach the caller. */
export function answerError(thrown: Error, c: Context, log: Log, requestId: string): Response {
  const error = thrown instanceof HTTPException ? fromHono(thrown) : thrown;
  if (error instanceof ApiError) return problem(c, error, requestId);
  const told = { request_id: requestId, ...describeThrown(error) };
  if (isOfAbsence(error)) {
    log.warn(told, 'a call found no database');
    return problem(c, databaseAway(c.req.method), requestId);
  }
  log.error(told, 'a call failed');
  return problem(c, new ApiError('internal', 'The gateway failed; its log has more.'), requestId);
}

/** When to try again: a database that was restarted, or replaced by its standby, is back within seconds. */
const awayMs = 5_000;

/**
 * The 503 of a call that found no database, or lost it. A commit whose answer was lost may have been made: so it is not
 * said of a call that it did nothing.
 */
function databaseAway(method: string): ApiError {
  const detail =
    method === 'GET' || method === 'HEAD'
      ? 'The database cannot be asked; try again later.'
      : 'The database cannot be asked. Whether this call was carried out is not known: the same PUT or DELETE again is ' +
        'safe, and so is the same message with the same Idempotency-Key; of anything else look first whether it is there.';
  return new ApiError('unavailable', detail, { retryAt: Date.now() + awayMs });
}

function problem(c: Context, error: ApiError, requestId: string): Response {
  const { status, title } = problems[error.code];
  if (status === 401) c.header('WWW-Authenticate', 'Bearer');
  // RFC 9110 §10.2.3.
  if (error.retryAt !== null)
    c.header('Retry-After', `${Math.max(1, Math.ceil((error.retryAt - Date.now()) / 1000))}`);
  const body = {
    type: `urn:twoway:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    ...(error.fields.length > 0 ? { errors: error.fields } : {}),
    ...error.members,
  };
  return c.body(JSON.stringify(body), status, { 'Content-Type': 'application/problem+json' });
}

function fromHono(thrown: HTTPException): ApiError | HTTPException {
  if (thrown.status === 413)
    return new ApiError('body_too_large', 'The body is larger than this call takes.');
  if (thrown.status === 400) return new ApiError('malformed_json', 'The body cannot be read.');
  return thrown;
}

/** What a log line may say of an unexpected error: a database's message can quote the values of a row. */
function describeThrown(error: Error): Record<string, string> {
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  const at = frames.slice(0, 8).join(' ').replaceAll(/\s+/g, ' ').trim();
  if ('severity' in error && 'code' in error) return { error: 'database', code: String(error.code), at };
  return { error: `${error.name}: ${error.message}`, at };
}
