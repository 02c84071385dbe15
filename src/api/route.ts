import type { IncomingMessage } from 'node:http';
import { OpenAPIHono, createRoute } from '@hono/zod-openapi';
import type { RouteConfig, RouteHandler } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { Role } from '../lib/roles.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { ConnectDeps, Connecting } from '../mailbox/connect.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Database, Db } from '../store/database.ts';
import type { KeyAccess } from '../store/keys.ts';
import type { SmtpTrial } from '../outbound/prove.ts';
import type { EventSignal } from '../webhook/follow.ts';
import { ApiError, problemSchema, problems } from './errors.ts';
import type { LimitsOf } from '../provider/figures.ts';
import { parsing } from './field-words.ts';
import type { FieldError, ProblemCode } from './errors.ts';

/** What the API needs from the rest of the gateway. It grows with the nouns. */
export type ApiDeps = {
  db: Db;
  databaseKind: Database['kind'];
  blobs: BlobStore;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  /** See `httpClientOf`. */
  httpProxies: readonly string[];
  /** Ends connections properly (C7: state, events, grant and credential of a mailbox that has none left). */
  disconnect: Connecting['disconnect'];
  /** The same before the user, membership or sub-account that they belong to goes. */
  disconnectBefore: Connecting['disconnectBefore'];
  /** Connects a generic mailbox (C3), after its login is proven. */
  connectWithPassword: Connecting['connectWithPassword'];
  /** The providers that are configured. */
  offered: ConnectDeps['offered'];
  limitsOf: LimitsOf;
  /** What is behind the @ of logging addresses, in lower case; null: none are offered. */
  loggingDomain: string | null;
  /** Where recipients of tracked mail reach the gateway, without a slash at the end; null: nothing is tracked. */
  trackingUrl: string | null;
  /** Where browsers reach the gateway, without a slash at the end. */
  publicUrl(): string;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  /** Called after a commit that left something to send behind. */
  wakeSender(): void;
  /** Called after a commit that left something to do in a mailbox behind. */
  wakeErrands(): void;
  /** Starts, stops or wakes the listener of a mailbox after a commit that concerns it. */
  wakeMailbox(mailboxId: MailboxId): void;
  /** Called after a commit that left a wish of the CRM to be done in a mailbox (U2, U3). */
  wakeWanted(mailboxId: MailboxId): void;
  /** Called after a commit that left mail to a logging address to be filed. */
  wakeFiler(): void;
  /** Called after a commit that erased messages. */
  wakeHousekeeping(): void;
  /** Proves that a sub-account's own provider takes mail: see outbound/prove.ts. */
  proveRelay(trial: Omit<SmtpTrial, 'address'>): Promise<void>;
  /** What a webhook's URL may be. */
  netGuard: Pick<NetGuard, 'assertUrl'>;
  /** The guarded agent of webhooks, for test events. */
  dispatcher: Dispatcher;
  /** What must be true, beside the database, for this process to be of use. */
  readyChecks: readonly ReadyCheck[];
  /** All figures as they stand, in the text format of Prometheus. */
  metrics(): Promise<string>;
  /** Tells that events were published here. */
  eventSignal: EventSignal;
  /** What this node does. */
  roles: readonly Role[];
};

/** One thing that must be true; `why` says in a word or two why it is not, and null where it is. */
export type ReadyCheck = { name: string; why(): string | null | Promise<string | null> };

/** What the server hands to each call, read as `c.env`. Nothing in a test that calls the app itself. */
export type ApiBindings = {
  /** As the server of Node has it. */
  incoming?: Pick<IncomingMessage, 'socket'>;
  /** Aborted when the server stops: a stream that stays open by nature ends then. */
  stopping?: AbortSignal;
};

/** What middleware leaves for the handlers, read as `c.var.key` and so on. */
export type ApiEnv = {
  Bindings: ApiBindings;
  Variables: {
    key: KeyAccess;
    /** Of the sub-account that the path names. */
    subAccountExists: boolean;
    requestId: string;
  };
};

export type Api = OpenAPIHono<ApiEnv>;

/**
 * A check of one field of the JSON body that only the database or the configuration can make. It is
 * asked where the field itself is valid, also when others are not, so that all errors come at once.
 */
export type FieldCheck = (body: unknown, c: Context<ApiEnv>) => Promise<FieldError[]>;

/** What is wrong with a valid value; `path` where it is inside of the field. */
type FieldProblem = { path?: string; code: string; detail: string };

export function fieldCheck<S extends z.ZodType>(
  name: string,
  schema: S,
  judge: (value: z.output<S>, c: Context<ApiEnv>) => FieldProblem | null | Promise<FieldProblem | null>,
): FieldCheck {
  return async (body, c) => {
    const given = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
    const value = given === undefined ? undefined : schema.safeParse(given);
    const problem = value?.success === true ? await judge(value.data, c) : null;
    return problem === null ? [] : [{ in: 'body', path: name, ...problem }];
  };
}

/** JSON bodies are no larger; routes that stream set their own limits. */
const jsonBytesMax = 1_048_576;

/**
 * Adds one route: to the OpenAPI document, with the errors that any route of its kind can answer,
 * and to the server, with a check of path, query, headers and JSON body that reports every invalid
 * field of all four at once, with what `fieldChecks` find. `codes` are the route's own further errors.
 * A handler that `readsOwnBody` takes its body as it comes; the document shows the schema all the same.
 */
export function addRoute<R extends RouteConfig>(
  api: Api,
  route: R,
  handler: RouteHandler<R, ApiEnv>,
  codes: readonly ProblemCode[] = [],
  { readsOwnBody = false, fieldChecks = [] }: { readsOwnBody?: boolean; fieldChecks?: FieldCheck[] } = {},
): void {
  api.openAPIRegistry.registerPath(documented(route, codes));
  const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
  const limit = bodyLimit({
    maxSize: jsonBytesMax,
    onError: () => {
      throw new ApiError('body_too_large', `The body is larger than ${jsonBytesMax} bytes.`);
    },
  });
  const json = readsOwnBody ? undefined : jsonSchemaOf(route);
  const check = checkRequest(route, json, fieldChecks);
  const checks = json === undefined ? [check] : [limit, check];
  api.on(route.method, [path], ...checks, handler as MiddlewareHandler<ApiEnv>);
}

/** A route's definition, typed by its own schemas; pass it to addRoute. */
export const defineRoute = createRoute;

/** One response with a JSON body. */
export function jsonResponse<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A required JSON body. */
export function jsonBody<S extends z.ZodType>(schema: S) {
  return { required: true, content: { 'application/json': { schema } } };
}

/**
 * The body of a call as it arrives, for routes that stream; nothing else may have read it. Where
 * the caller leaves before its end it throws an ApiError, which is no failure of ours.
 */
export async function* bodyChunks(c: Context<ApiEnv>): AsyncGenerator<Uint8Array> {
  const body: AsyncIterable<Uint8Array> = c.req.raw.body ?? new Blob([]).stream();
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await nextChunk(chunks);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (error) {
    throw new ApiError('incomplete_body', `The body broke off: ${messageOf(error)}.`);
  }
}

/** What may be answered otherwise at another time. */
const mayBeLater: ReadonlySet<number> = new Set([429, 503]);
const retryAfter = {
  'Retry-After': {
    description: 'After how many seconds to try again, where that is known (`retry_at` says it as a time).',
    schema: { type: 'integer' as const, minimum: 1 },
  },
};

function documented(route: RouteConfig, own: readonly ProblemCode[]): RouteConfig {
  const codes = new Set<ProblemCode>(own);
  const request = route.request ?? {};
  if (route.path.startsWith('/v1/')) {
    codes.add('unauthenticated').add('too_many_requests').add('invalid_request').add('unavailable');
    if (route.method !== 'get') codes.add('read_only_key');
  }
  if (route.path.includes('{')) codes.add('not_found');
  if (request.params ?? request.query ?? request.headers ?? jsonSchemaOf(route)) codes.add('invalid_request');
  if (jsonSchemaOf(route)) codes.add('malformed_json').add('unsupported_media_type').add('body_too_large');
  codes.add('internal');
  const lines = new Map<number, string[]>();
  for (const code of [...codes].sort((a, b) => problems[a].status - problems[b].status)) {
    const { status, title } = problems[code];
    lines.set(status, [...(lines.get(status) ?? []), `\`${code}\`: ${title}.`]);
  }
  const content = { 'application/problem+json': { schema: problemSchema } };
  const errors = [...lines].map(([status, of]) => [
    status,
    { description: of.join(' '), content, ...(mayBeLater.has(status) ? { headers: retryAfter } : {}) },
  ]);
  return { ...route, responses: { ...route.responses, ...Object.fromEntries(errors) } };
}

function jsonSchemaOf(route: RouteConfig): z.ZodType | undefined {
  const media = route.request?.body?.content['application/json'];
  const schema = media !== undefined && 'schema' in media ? media.schema : undefined;
  return schema instanceof z.ZodType ? schema : undefined;
}

function checkRequest(
  route: RouteConfig,
  json: z.ZodType | undefined,
  fieldChecks: readonly FieldCheck[],
): MiddlewareHandler<ApiEnv> {
  const { params, query, headers, body } = route.request ?? {};
  const headerSchemas = headers === undefined ? [] : [headers].flat();
  return async (c, next) => {
    const errors: FieldError[] = [];
    const check = (target: 'param' | 'query' | 'header' | 'json', schema: z.ZodType, value: unknown) => {
      const result = schema.safeParse(value, parsing);
      if (result.success) c.req.addValidatedData(target, result.data as object);
      else errors.push(...fieldErrors(places[target], result.error.issues));
    };
    if (params) check('param', params, c.req.param());
    if (query) check('query', query, flatQuery(c));
    if (route.path.startsWith('/v1/')) errors.push(...unknownParameters(c, query));
    for (const schema of headerSchemas) check('header', schema, c.req.header());
    if (json) {
      const given = await readJson(c, body?.required === true);
      check('json', json, given);
      for (const judged of fieldChecks) errors.push(...(await judged(given, c)));
    }
    if (errors.length > 0) {
      throw new ApiError('invalid_request', 'See errors for each field.', { fields: errors });
    }
    await next();
  };
}

/** A misspelt parameter would be a filter that is not there: an answer that looks right and is not. */
function unknownParameters(c: Context, query: z.ZodType | undefined): FieldError[] {
  const known = query instanceof z.ZodObject ? Object.keys(query.shape) : [];
  return Object.keys(c.req.queries())
    .filter((name) => !known.includes(name))
    .map((path) => ({
      in: 'query',
      path,
      code: 'unknown_field',
      detail:
        known.length === 0 ? 'There are no parameters here.' : `The parameters are: ${known.join(', ')}.`,
    }));
}

const places = { param: 'path', query: 'query', header: 'header', json: 'body' } as const;

function flatQuery(c: Context): Record<string, string | string[]> {
  const pairs = Object.entries(c.req.queries());
  return Object.fromEntries(
    pairs.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? '') : values]),
  );
}

async function readJson(c: Context, required: boolean): Promise<unknown> {
  const type = c.req.header('content-type');
  // No body, whatever type some programs say that it has.
  if (!required && (await c.req.text()) === '') return {};
  if (type === undefined || !/^application\/(?:[a-z.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new ApiError('unsupported_media_type', 'The content type of the body must be application/json.');
  }
  const text = await c.req.text();
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const position = /position (\d+)/.exec(error.message)?.[1];
    const where = position === undefined ? '' : ` (at character ${position})`;
    throw new ApiError('malformed_json', `The body is not JSON${where}.`);
  }
}

/** The issues that zod found, in the words of this API. Never quotes a value. */
export function fieldErrors(place: FieldError['in'], issues: readonly z.core.$ZodIssue[]): FieldError[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        in: place,
        path: [...issue.path, key].join('.'),
        code: 'unknown_field',
        detail: 'There is no such field.',
      }));
    }
    // Of a name in a map: what is wrong with it stands inside.
    const [inner = issue] = issue.code === 'invalid_key' ? issue.issues : [];
    return [{ in: place, path: issue.path.join('.'), code: codeOf(inner), detail: inner.message }];
  });
}

function codeOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'custom' && issue.input === undefined) return 'required';
  if (issue.code === 'invalid_type') return 'invalid_type';
  if (issue.code === 'too_small') return isLength(issue.origin) ? 'too_short' : 'too_small';
  if (issue.code === 'too_big') return isLength(issue.origin) ? 'too_long' : 'too_large';
  if (issue.code === 'invalid_format') return 'invalid_format';
  const own = issue.code === 'custom' ? issue.params?.['code'] : undefined;
  return typeof own === 'string' ? own : 'invalid_value';
}

function isLength(origin: string): boolean {
  return origin === 'string' || origin === 'array';
}
