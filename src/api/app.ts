import { randomBytes } from 'node:crypto';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { Log } from '../lib/log.ts';
import { httpRequests, httpTime } from '../lib/meters.ts';
import { authenticate, guardSubAccount } from './auth.ts';
import { addConversations } from './conversations.ts';
import { addConnectionLinks } from './connection-links.ts';
import { addConnections } from './connections.ts';
import { addContacts } from './contacts.ts';
import { addContactsImport } from './contacts-import.ts';
import { addDecisions } from './decisions.ts';
import { ApiError, answerError, notFound } from './errors.ts';
import type { Api, ApiDeps, ApiEnv } from './route.ts';
import { addErrandRoutes } from './errands.ts';
import { addEvents } from './events.ts';
import { addHeld } from './held.ts';
import { addHealth } from './health.ts';
import { addKeys } from './keys.ts';
import { addLoggingAddresses } from './logging-address.ts';
import { addMailboxLinks } from './mailbox-links.ts';
import { addMembers } from './members.ts';
import { addMetrics } from './metrics.ts';
import { addMessageChanges } from './message-changes.ts';
import { addMessages } from './messages.ts';
import { addNeverLog } from './never-log.ts';
import { addOpenApi } from './openapi.ts';
import { addSends } from './sends.ts';
import { addSubAccounts } from './sub-accounts.ts';
import { addTraces } from './traces.ts';
import { addThreads } from './threads.ts';
import { addUsers } from './users.ts';
import { addWebhooks } from './webhooks.ts';

/*
 * How to add a noun (sub-accounts.ts is the one to imitate):
 *
 * 1. Write `<noun>.ts` with one exported `add<Noun>(api, deps)`. Define each route by `defineRoute`,
 *    with zod schemas that describe every field and carry `.meta({ id, description })` where they
 *    are an object of their own, and add it by `addRoute(api, route, handler, ownErrorCodes)`: that
 *    validates path, query, headers and JSON at once, and documents the errors that every route has.
 * 2. Handlers hold no SQL (src/store has it) and no rules; they throw `ApiError` (errors.ts; add
 *    your codes to its table) and never answer with an error by themselves. Lists take `pageQuery`
 *    and answer by `pageOf` (paging.ts). What a noun needs beyond `ApiDeps` is added to it.
 * 3. Whoever calls is known: `c.var.key`. Everything under /v1/sub-accounts/{sid} is reached only by
 *    keys that see that sub-account, when it exists; everything else must be asked with
 *    `c.var.key.subAccountId` (null: all), so that another tenant's object is not found. Keys that
 *    may only read pass with GET alone; no handler has to check that.
 * 4. Call it below. Add its cases to test/api/access-cases.ts (a route without one fails there) and
 *    renew the golden document: UPDATE_GOLDEN=1 npm test -- test/api/openapi.test.ts
 */

/** The HTTP API as a Hono app: call `fetch` of it from a server, or `request` in a test. */
export function createApi(deps: ApiDeps): Api {
  const api: Api = new OpenAPIHono<ApiEnv>();
  api.use(identifyAndLog(deps.log));
  api.onError((error, c) => answerError(error, c, deps.log, c.var.requestId));
  api.notFound((c) => {
    const methods = methodsAt(api, c.req.path);
    if (methods.length === 0) return answerError(notFound('address'), c, deps.log, c.var.requestId);
    const allow = methods.join(', ');
    c.header('Allow', allow);
    const error = new ApiError('method_not_allowed', `This address takes ${allow}.`);
    return answerError(error, c, deps.log, c.var.requestId);
  });
  const admit = authenticate(deps);
  // First where the path names a sub-account, which is looked up with the key.
  api.use('/v1/sub-accounts/:sid/*', admit, guardSubAccount);
  api.use('/v1/*', admit);
  addHealth(api, deps);
  addMetrics(api, deps);
  addSubAccounts(api, deps);
  addUsers(api, deps);
  addMembers(api, deps);
  addLoggingAddresses(api, deps);
  addHeld(api, deps);
  addContacts(api, deps);
  addContactsImport(api, deps);
  addNeverLog(api, deps);
  addKeys(api, deps);
  addConnectionLinks(api, deps);
  addMailboxLinks(api, deps);
  addConnections(api, deps);
  addErrandRoutes(api, deps);
  addTraces(api, deps);
  addConversations(api, deps);
  addThreads(api, deps);
  addMessages(api, deps);
  addMessageChanges(api, deps);
  addSends(api, deps);
  addDecisions(api, deps);
  addWebhooks(api, deps);
  addEvents(api, deps);
  addOpenApi(api);
  return api;
}

/** What a node without the role `api` answers: how it is, and nothing else. */
export function createProbes(deps: Parameters<typeof addHealth>[1] & Parameters<typeof addMetrics>[1]): Api {
  const api: Api = new OpenAPIHono<ApiEnv>();
  api.use(identifyAndLog(deps.log));
  api.onError((error, c) => answerError(error, c, deps.log, c.var.requestId));
  api.notFound((c) => answerError(notFound('address'), c, deps.log, c.var.requestId));
  addHealth(api, deps);
  addMetrics(api, deps);
  return api;
}

/** The methods that some route takes at this address (RFC 9110 §15.5.6); none where there is no route. */
function methodsAt(api: Api, path: string): string[] {
  const given = path.split('/');
  const methods = new Set<string>();
  for (const route of api.routes) {
    const parts = route.path.split('/');
    const leadsHere =
      parts.length === given.length &&
      parts.every((part, n) => (part.startsWith(':') ? given[n] !== '' : part === given[n]));
    // All methods are those of middleware, which answers nothing by itself.
    if (!leadsHere || route.method === 'ALL') continue;
    methods.add(route.method);
    // Answered like GET, without the body.
    if (route.method === 'GET') methods.add('HEAD');
  }
  return [...methods].sort();
}

/**
 * What whoever calls names the call: the trace of W3C's Trace Context (`traceparent`), or `X-Request-Id`; null: neither, or
 * nothing that may stand in a log.
 */
function givenRequestId(c: Context): string | null {
  const [, trace] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(c.req.header('traceparent') ?? '') ?? [];
  // All zeros is no trace (Trace Context §3.2.2.3).
  if (trace !== undefined && /[1-9a-f]/.test(trace)) return trace;
  const given = c.req.header('x-request-id') ?? '';
  return /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : null;
}

/** Names each call, in the answer's `X-Request-Id` and in one log line without anything of its content. */
function identifyAndLog(log: Log): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const requestId = givenRequestId(c) ?? randomBytes(9).toString('base64url');
    const start = performance.now();
    c.set('requestId', requestId);
    c.header('X-Request-Id', requestId);
    await next();
    const fields = {
      request_id: requestId,
      method: c.req.method,
      // The pattern, not the path: a query can hold an address.
      route: routePath(c, -1),
      status: c.res.status,
      ms: Math.round(performance.now() - start),
      key_id: (c.var.key as ApiEnv['Variables']['key'] | undefined)?.id,
    };
    httpRequests.add([fields.method, fields.route, `${fields.status}`]);
    httpTime.observe([fields.method], (performance.now() - start) / 1_000);
    log.debug(fields, 'call');
  };
}
