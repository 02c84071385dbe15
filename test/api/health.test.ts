import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roleNames } from '../../src/lib/roles.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { startApi } from './support.ts';

describe('health', () => {
  test('alive and ready, then alive and not ready when the database is gone', async () => {
    const t = await startApi({ kind: 'pglite' });
    const ask = (path: string) => t.call('GET', path, { key: null });
    assert.deepEqual((await ask('/healthz')).body, { status: 'alive' });
    assert.deepEqual((await ask('/readyz')).body, { status: 'ready', roles: [...roleNames] });
    await t.close();
    assert.equal((await ask('/healthz')).status, 200);
    const ready = await ask('/readyz');
    assert.deepEqual([ready.status, ready.body['code']], [503, 'unavailable']);
    assert.equal(t.logged.at(-1)?.['level'] ?? '', 'debug');
    assert.ok(t.logged.some((line) => line['level'] === 'warn' && line['check'] === 'database'));
  });

  test('a node that has not said in time that it is there is alive, and not ready', async () => {
    let there = true;
    const t = await startApi({ kind: 'pglite', roles: ['mailbox'], isThere: () => there });
    const ask = (path: string) => t.call('GET', path, { key: null });
    assert.deepEqual((await ask('/readyz')).body, { status: 'ready', roles: ['mailbox'] });
    there = false;
    assert.deepEqual([(await ask('/readyz')).status, (await ask('/healthz')).status], [503, 200]);
    await t.close();
  });

  test('a database that does not answer in time is not ready', async () => {
    const slept: number[] = [];
    const clock = {
      now: () => 0,
      monotonic: () => 0,
      sleep: (ms: number) => {
        slept.push(ms);
        return Promise.resolve();
      },
    };
    const t = await startApi({ kind: 'pglite', clock });
    const busy = Promise.withResolvers<void>();
    // The embedded database has one session: a transaction that stays open is a database that hangs.
    const hanging = t.db.transaction(() => busy.promise);
    assert.equal((await t.call('GET', '/readyz', { key: null })).status, 503);
    assert.deepEqual(slept, [2000]);
    busy.resolve();
    await hanging;
    await t.close();
  });

  test('a database that fell silent is not ready, and ready when it is heard again', async () => {
    const url = await createPostgresDatabase('migrated');
    const proxy = await startSilentProxy(Number(new URL(url).port));
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    const database = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 2 });
    const t = await startApi({ kind: 'pglite', db: database.db });
    const status = async () => (await t.call('GET', '/readyz', { key: null })).status;
    assert.equal(await status(), 200);
    proxy.fallSilent();
    const startedAt = Date.now();
    assert.equal(await status(), 503);
    assert.ok(Date.now() - startedAt < 4_000);
    proxy.recover();
    // The connections of before stay silent: the next ones are new.
    await waitFor('ready', async () => (await status()) === 200, { deadlineMs: 5_000 });
    await database.close();
    await t.close();
    await proxy.stop();
    await dropPostgresDatabase(url);
  });
});
