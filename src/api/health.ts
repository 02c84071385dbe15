import { z } from 'zod';
import { messageOf } from '../lib/failure.ts';
import { roleNames } from '../lib/roles.ts';
import { ping } from '../store/database.ts';
import { ApiError } from './errors.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** A database that takes longer to say anything is of no use to a call either. */
const answerMsMax = 2000;

type HealthDeps = Pick<ApiDeps, 'db' | 'clock' | 'log' | 'roles' | 'isThere'>;

/** `/healthz` and `/readyz`, without a key: for whatever starts, watches and balances the gateway. */
export function addHealth(api: Api, deps: HealthDeps): void {
  addRoute(api, healthRoute, (c) => c.json({ status: 'alive' as const }, 200));
  addRoute(
    api,
    readyRoute,
    async (c) => {
      const failed = await databaseFailure(deps);
      if (failed !== null) {
        deps.log.warn({ check: 'database', error: failed }, 'not ready');
        throw new ApiError('unavailable', 'The database does not answer.');
      }
      if (!deps.isThere()) {
        deps.log.warn({ check: 'mailboxes' }, 'not ready');
        throw new ApiError(
          'unavailable',
          'This node has not said in time that it is there: others may have its mailboxes.',
        );
      }
      return c.json({ status: 'ready' as const, roles: [...deps.roles] }, 200);
    },
    ['unavailable'],
  );
}

const healthRoute = defineRoute({
  method: 'get',
  path: '/healthz',
  tags: ['Health'],
  summary: 'Is the process alive?',
  security: [],
  responses: {
    200: jsonResponse(z.strictObject({ status: z.literal('alive').describe('It is.') }), 'It is.'),
  },
});

const readyRoute = defineRoute({
  method: 'get',
  path: '/readyz',
  tags: ['Health'],
  summary: 'Can it do its work?',
  security: [],
  responses: {
    200: jsonResponse(
      z.strictObject({
        status: z.literal('ready').describe('It can.'),
        roles: z.array(z.enum(roleNames)).describe('What this node does.'),
      }),
      'It can.',
    ),
  },
});

async function databaseFailure(deps: HealthDeps): Promise<string | null> {
  const done = new AbortController();
  const late = deps.clock.sleep(answerMsMax, done.signal).then(() => `no answer within ${answerMsMax} ms`);
  const asked = ping(deps.db, answerMsMax).then(
    () => null,
    (error: unknown) => messageOf(error),
  );
  const failure = await Promise.race([asked, late]);
  done.abort();
  return failure;
}
