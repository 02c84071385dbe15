import { z } from 'zod';
import { messageOf } from '../lib/failure.ts';
import { roleNames } from '../lib/roles.ts';
import { isOfThisVersion, ping } from '../store/database.ts';
import { ApiError } from './errors.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps, ReadyCheck } from './route.ts';

/** A database that takes longer to say anything is of no use to a call either. */
const answerMsMax = 2000;

type HealthDeps = Pick<ApiDeps, 'db' | 'clock' | 'log' | 'roles' | 'readyChecks'>;

/**
 * `/healthz` and `/readyz`, without a key: for whatever starts, watches and balances the gateway. The first tells that the
 * process lives, whatever else is the matter: to be started anew helps against nothing that the second one finds.
 */
export function addHealth(api: Api, deps: HealthDeps): void {
  addRoute(api, healthRoute, (c) => c.json({ status: 'alive' as const }, 200));
  const all: readonly ReadyCheck[] = [
    { name: 'database', why: () => databaseFailure(deps) },
    ...deps.readyChecks,
  ].map(oncePerAnswer);
  addRoute(
    api,
    readyRoute,
    async (c) => {
      const checks = await inTime(deps, all);
      const failed = checks.filter(({ why }) => why !== null);
      if (failed.length === 0)
        return c.json({ status: 'ready' as const, roles: [...deps.roles], checks }, 200);
      for (const { name, why } of failed) deps.log.warn({ check: name, error: why }, 'not ready');
      const told = failed.map(({ name, why }) => `${name}: ${why}`).join('; ');
      throw new ApiError('unavailable', `Not ready: ${told}.`, { members: { checks } });
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

const checkSchema = z
  .strictObject({
    name: z
      .string()
      .describe('`database` (answers, and is of this version), `running`, `mailboxes`, `spool`, `blobs`.'),
    why: z.string().nullable().describe('Why it is not as it must be; null where it is.'),
  })
  .meta({ id: 'ReadyCheck', description: 'One thing that must be true for the gateway to do its work.' });

const readyRoute = defineRoute({
  method: 'get',
  path: '/readyz',
  tags: ['Health'],
  summary: 'Can it do its work?',
  description:
    'Where it cannot, `checks` of the error say why, in the same shape. From the moment in which it is told to stop it cannot.',
  security: [],
  responses: {
    200: jsonResponse(
      z.strictObject({
        status: z.literal('ready').describe('It can.'),
        roles: z.array(z.enum(roleNames)).describe('What this node does.'),
        checks: z.array(checkSchema),
      }),
      'It can.',
    ),
  },
});

/** Who asks while an answer is awaited gets that one: strangers may ask, and each answer costs a disk and a database. */
function oncePerAnswer({ name, why }: ReadyCheck): ReadyCheck {
  let awaited: Promise<string | null> | null = null;
  const ask = () =>
    Promise.resolve()
      .then(why)
      .finally(() => (awaited = null));
  return { name, why: () => (awaited ??= ask()) };
}

/** All at once; what says nothing in time is no better than what says no. */
async function inTime(
  { clock }: HealthDeps,
  checks: readonly ReadyCheck[],
): Promise<{ name: string; why: string | null }[]> {
  const done = new AbortController();
  const late = clock.sleep(answerMsMax, done.signal).then(() => `no answer within ${answerMsMax} ms`);
  const answers = await Promise.all(
    checks.map(async ({ name, why }) => ({ name, why: await Promise.race([why(), late]) })),
  );
  done.abort();
  return answers;
}

async function databaseFailure({ db, log }: HealthDeps): Promise<string | null> {
  try {
    await ping(db, answerMsMax);
    return (await isOfThisVersion(db)) ? null : 'it is of another version';
  } catch (error) {
    log.warn({ check: 'database', error: messageOf(error) }, 'the database cannot be asked');
    return 'it does not answer';
  }
}
