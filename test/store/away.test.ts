import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isOfAbsence, isOfAll } from '../../src/store/away.ts';
import { openDatabase, rows } from '../../src/store/database.ts';
import type { Database } from '../../src/store/database.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import type { SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';

describe('errors of a database that is away', () => {
  let url: string;
  let proxy: SilentProxy;
  let database: Database;
  let beside: Database;
  let impatient: Database;

  before(async () => {
    url = await createPostgresDatabase('migrated');
    proxy = await startSilentProxy(Number(new URL(url).port));
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    const limits = { connectMs: 400, statementMs: 2_000, silenceMs: 400 };
    database = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 2, limits });
    beside = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    // So patient with a silence that a busy machine is not taken for one.
    const slow = { connectMs: 10_000, statementMs: 300, silenceMs: 10_000 };
    impatient = await openDatabase({ kind: 'postgres', url, connectionsMax: 1, limits: slow });
  });
  after(async () => {
    await database.close();
    await beside.close();
    await impatient.close();
    await proxy.stop();
    await dropPostgresDatabase(url);
  });

  const ask = (sql = 'select 1 as one') => rows(database.db, sql);
  /** A statement under way, as the server sees it. */
  const underWay = (sql: string) =>
    waitFor('the statement to be under way', async () => {
      const like = `${sql.slice(0, 20)}%`;
      const found = await rows(
        beside.db,
        `select from pg_stat_activity where query like :like and state = 'active' and pid <> pg_backend_pid()`,
        { like },
      );
      return found.length > 0;
    });
  const errorOf = (asked: Promise<unknown>) =>
    asked.then(
      () => assert.fail('it answered'),
      (error: unknown) => error,
    );

  const away: [name: string, fail: () => Promise<unknown>][] = [
    [
      'a statement whose connection is cut',
      async () => {
        const asked = errorOf(ask('select pg_sleep(1.91)'));
        await underWay('select pg_sleep(1.91)');
        proxy.cut();
        return asked;
      },
    ],
    [
      'a connection that does not come about',
      () => {
        proxy.cut();
        return errorOf(ask());
      },
    ],
    [
      'a server that says nothing',
      async () => {
        await ask();
        proxy.fallSilent();
        return errorOf(ask());
      },
    ],
    [
      'a connection that nobody answers',
      () => {
        proxy.fallSilent();
        return errorOf(ask());
      },
    ],
    [
      'a server that ends connections, as when it stops',
      async () => {
        const asked = errorOf(ask('select pg_sleep(1.92)'));
        await underWay('select pg_sleep(1.92)');
        await rows(
          beside.db,
          `select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(1.92)%' and pid <> pg_backend_pid()`,
        );
        return asked;
      },
    ],
    ['a statement that took too long', () => errorOf(rows(impatient.db, 'select pg_sleep(5)'))],
    [
      'a primary that may only read',
      () =>
        errorOf(
          database.db.transaction(async (tx) => {
            await tx.raw('set transaction read only');
            await tx.raw('delete from sends');
          }),
        ),
    ],
  ];
  for (const [name, fail] of away) {
    test(`${name}: away`, async () => {
      const error = await fail();
      proxy.recover();
      assert.ok(isOfAbsence(error), String(error));
      assert.equal(isOfAll(error), name !== 'a statement that took too long');
      await waitFor('it to answer again', async () => (await ask()).length === 1);
    });
  }

  const there: [name: string, error: () => unknown][] = [
    ['a statement that is wrong', () => errorOf(ask('select nothing'))],
    [
      'a value that is there already',
      () => errorOf(ask(`insert into nodes select 'a', 'b', now() from generate_series(1, 2)`)),
    ],
    ['a bucket that is away', () => Object.assign(new Error('x'), { code: 'ECONNREFUSED', $metadata: {} })],
    ['an error of our own', () => new TypeError('x')],
    ['what is no error', () => 'Connection terminated'],
  ];
  for (const [name, error] of there) {
    test(`${name}: not away`, async () => assert.equal(isOfAbsence(await error()), false));
  }
});
