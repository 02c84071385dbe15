import { z } from 'zod';
import { createBatcher } from '../lib/batcher.ts';
import { isOfAll } from '../store/away.ts';
import { findKeys, hashOfKey } from '../store/keys.ts';
import type { AskedKey, FoundKey, KeyAccess } from '../store/keys.ts';
import { bearerOf, limitUnknownKeys } from './auth.ts';
import { ApiError } from './errors.ts';
import { addRoute, defineRoute } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** So long a key that was good reads figures while the database cannot be asked whether it still is. */
const rememberedMs = 3_600_000;
/** And so long the database is waited for. */
const answerMsMax = 2_000;

type MetricsDeps = Pick<ApiDeps, 'db' | 'clock' | 'httpProxies' | 'metrics'>;

/**
 * `/metrics`, for a key of all sub-accounts, which may be one that only reads. A database that is away is when the
 * figures are wanted most: a key that was good within the last hour reads them then, too.
 */
export function addMetrics(api: Api, deps: MetricsDeps): void {
  const goodAt = new Map<string, number>();
  const limitUnknown = limitUnknownKeys(deps);
  // Strangers who ask with keys that they make up take one connection to the database, not all.
  const find = createBatcher({
    most: 100,
    isOfAll,
    run: (asked: readonly AskedKey[]) => findKeys(deps.db, asked),
  });
  addRoute(
    api,
    route,
    async (c) => {
      const hash = hashOfKey(bearerOf(c));
      const id = hash.toString('base64');
      const key = await lookUp(deps.clock, find({ hash, subAccountId: null }));
      if (key === 'unknown') {
        const before = goodAt.get(id);
        if (before === undefined || deps.clock.monotonic() - before > rememberedMs)
          throw new ApiError('unavailable', 'The database does not answer.');
      } else {
        goodAt.delete(id);
        if (key === null) {
          limitUnknown(c);
          throw new ApiError(
            'unauthenticated',
            'Send a key that is in force as "Authorization: Bearer tw_…".',
          );
        }
        if (key.subAccountId !== null)
          throw new ApiError('sub_account_key', 'The figures are those of all sub-accounts.');
        goodAt.set(id, deps.clock.monotonic());
      }
      return c.text(await deps.metrics(), 200, { 'Content-Type': contentType });
    },
    ['unauthenticated', 'sub_account_key', 'too_many_requests', 'unavailable'],
  );
}

const contentType = 'text/plain; version=0.0.4; charset=utf-8';

const route = defineRoute({
  method: 'get',
  path: '/metrics',
  tags: ['Health'],
  summary: 'Figures for Prometheus',
  description: 'For keys of all sub-accounts. Nothing in it is of a tenant. The README lists the names.',
  security: [{ key: [] }],
  responses: {
    200: {
      description: 'The figures, in the text format of Prometheus.',
      content: { 'text/plain': { schema: z.string() } },
    },
  },
});

/** Null: there is no such key. `unknown`: the database does not say. */
async function lookUp(
  clock: MetricsDeps['clock'],
  finding: Promise<FoundKey>,
): Promise<KeyAccess | null | 'unknown'> {
  const done = new AbortController();
  const late = clock.sleep(answerMsMax, done.signal).then(() => 'unknown' as const);
  const asked = finding.then(
    ({ access }) => access,
    () => 'unknown' as const,
  );
  const key = await Promise.race([asked, late]);
  done.abort();
  return key;
}
