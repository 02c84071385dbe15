import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roleNames } from '../../src/lib/roles.ts';
import { openDatabase, run } from '../../src/store/database.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { startApi } from './support.ts';

describe('health', () => {
  test('alive and ready, then alive and not ready when the database is gone', async () => {
    const t = await startApi({ kind: 'pglite' });
    const ask = (path: string) => t.call('GET', path, { key: null });
    assert.deepEqual((await ask('/healthz')).body, { status: 'alive' });
    const checks = [{ name: 'database', why: null }];
    assert.deepEqual((await ask('/readyz')).body, { status: 'ready', roles: [...roleNames], checks });
    await t.close();
    assert.equal((await ask('/healthz')).status, 200);
    const ready = await ask('/readyz');
    assert.deepEqual([ready.status, ready.body['code']], [503, 'unavailable']);
    assert.deepEqual(ready.body['checks'], [{ name: 'database', why: 'it does not answer' }]);
    assert.equal(t.logged.at(-1)?.['level'] ?? '', 'debug');
    assert.ok(t.logged.some((line) => line['level'] === 'warn' && line['check'] === 'database'));
  });

  test('ready is only what every check finds so; each says why not, and one that hangs says that', async () => {
    const never = new Promise<null>(() => {});
    const t = await startApi({
      kind: 'pglite',
      readyChecks: [
        { name: 'running', why: () => null },
        { name: 'spool', why: () => Promise.resolve('it cannot be written (ENOSPC)') },
        { name: 'blobs', why: () => never },
      ],
    });
    const { status, body } = await t.call('GET', '/readyz', { key: null });
    assert.equal(status, 503);
    assert.deepEqual(body['checks'], [
      { name: 'database', why: null },
      { name: 'running', why: null },
      { name: 'spool', why: 'it cannot be written (ENOSPC)' },
      { name: 'blobs', why: 'no answer within 2000 ms' },
    ]);
    assert.equal((await t.call('GET', '/healthz', { key: null })).status, 200);
    await t.close();
  });

  test('however many ask at once, each check is made once; who asks afterwards has it made again', async () => {
    let made = 0;
    const answer = Promise.withResolvers<null>();
    const why = () => {
      made += 1;
      return answer.promise;
    };
    const t = await startApi({ kind: 'pglite', readyChecks: [{ name: 'blobs', why }] });
    const ask = () => t.call('GET', '/readyz', { key: null });
    const asked = Array.from({ length: 20 }, ask);
    await waitFor('the check is made', () => made > 0);
    answer.resolve(null);
    for (const { status } of await Promise.all(asked)) assert.equal(status, 200);
    assert.equal(made, 1);
    assert.equal((await ask()).status, 200);
    assert.equal(made, 2);
    await t.close();
  });

  test('a database of another version is not ready: a newer program has changed it meanwhile', async () => {
    const t = await startApi({ kind: 'pglite' });
    await run(t.db, `insert into knex_migrations (name, batch) values ('0099-later', 99)`);
    const { status, body } = await t.call('GET', '/readyz', { key: null });
    assert.deepEqual(
      [status, body['checks']],
      [503, [{ name: 'database', why: 'it is of another version' }]],
    );
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
    const t = await startApi({ db: database.db });
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
