import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inOneGo, openDatabase, rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import {
  createPostgresDatabase,
  databaseKinds,
  dropPostgresDatabase,
  testDatabase,
} from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

for (const kind of databaseKinds) {
  describe(`statements that are asked for at once (${kind})`, () => {
    let database: TestDatabase;

    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());

    test('go out in their order, before the first answer, and each sees what those before it did', async () => {
      const { db } = database;
      const seen: string[] = [];
      const nameOf = ({ sql }: { sql: string }) => /as (\w+)$/.exec(sql)?.[1] ?? '';
      await db.transaction(async (tx) => {
        tx.on('query', (query: { sql: string }) => seen.push(`ask ${nameOf(query)}`));
        tx.on('query-response', (_rows: unknown, query: { sql: string }) =>
          seen.push(`answer ${nameOf(query)}`),
        );
        const told = await inOneGo([
          rows(tx, `select set_config('twoway.test', 'one', true) as first`),
          run(tx, 'select 1 as second'),
          rows(tx, `select current_setting('twoway.test') as third`),
        ]);
        assert.deepEqual(told, [[{ first: 'one' }], 1, [{ third: 'one' }]]);
      });
      const names = ['first', 'second', 'third'];
      assert.deepEqual(seen.slice(0, 6), [
        ...names.map((name) => `ask ${name}`),
        ...names.map((name) => `answer ${name}`),
      ]);
    });

    test('fail together: the first error is told, and the transaction is undone', async () => {
      const { db } = database;
      const work = db.transaction((tx) =>
        inOneGo([
          run(tx, `insert into sub_accounts (id, name) values ('one', 'One')`),
          run(tx, 'select 1 / :zero::int', { zero: 0 }),
          run(tx, `insert into sub_accounts (id, name) values ('two', 'Two')`),
        ]),
      );
      await assert.rejects(work, /division by zero/);
      assert.deepEqual(await rows(db, 'select id from sub_accounts'), []);
    });
  });
}

test('a statement that is new where the transaction is aborted already is known on that connection afterwards', async () => {
  const url = await createPostgresDatabase('migrated');
  const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
  const backend = () => rows<{ pid: number }>(db, 'select pg_backend_pid() as pid');
  const before = await backend();
  const ask = (tx: Db) => rows(tx, `select 'new' as word`);
  for (const times of [1, 2, 3]) {
    // Also twice in one go, of which the second counts on what the first has told the server.
    const work = db.transaction((tx) =>
      inOneGo([
        run(tx, 'select 1 / :zero::int', { zero: 0 }),
        ...Array.from({ length: times }, () => ask(tx)),
      ]),
    );
    await assert.rejects(work, /division by zero/);
  }
  const both = async (tx: Db) => {
    await run(tx, 'select 1 as first');
    await inOneGo([ask(tx), ask(tx)]);
  };
  const late = db.transaction((tx) =>
    inOneGo([both(tx), run(tx, 'select 1 / :zero::int from pg_sleep(0.05)', { zero: 0 })]),
  );
  await assert.rejects(late, /division by zero/, 'whatever asked for it first');
  for (let times = 0; times < 2; times += 1) assert.deepEqual(await ask(db), [{ word: 'new' }]);
  assert.deepEqual(await db.transaction((tx) => inOneGo([ask(tx), ask(tx)])), [
    [{ word: 'new' }],
    [{ word: 'new' }],
  ]);
  assert.deepEqual(await backend(), before);
  await close();
  await dropPostgresDatabase(url);
});

test('what is read under a lock is what whoever held it before has left', async () => {
  const { db, drop } = await testDatabase('postgres');
  try {
    await run(db, `insert into sub_accounts (id, name) values ('one', 'before')`);
    const held = await db.transaction();
    await run(held, `update sub_accounts set name = 'after' where id = 'one'`);
    const name = db.transaction(async (tx) => {
      const [, found] = await inOneGo([
        run(tx, `select from sub_accounts where id = 'one' for no key update`),
        rows<{ name: string }>(tx, `select name from sub_accounts where id = 'one'`),
      ]);
      return found[0]?.name;
    });
    await waitFor('the second to wait for the lock', async () => {
      const waiting = await rows(db, `select from pg_locks where not granted`);
      return waiting.length > 0;
    });
    await held.commit();
    assert.equal(await name, 'after');
  } finally {
    await drop();
  }
});
