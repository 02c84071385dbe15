import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { isOfAbsence } from '../../src/store/away.ts';
import { openDatabase, ping, rows, run, runLong } from '../../src/store/database.ts';
import type { Database, Db } from '../../src/store/database.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import type { SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';

/** The number of the server's process for this connection. */
async function backendOf(db: Db): Promise<number> {
  const [row] = await rows<{ pid: number }>(db, 'select pg_backend_pid() as pid');
  return row?.pid ?? 0;
}

describe('PostgreSQL that says nothing', () => {
  let url: string;
  let proxy: SilentProxy;
  let database: Database;
  const limits = { connectMs: 400, statementMs: 300, silenceMs: 300 };

  before(async () => {
    url = await createPostgresDatabase('migrated');
    proxy = await startSilentProxy(Number(new URL(url).port));
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    database = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 1, limits });
  });
  after(async () => {
    await database.close();
    await proxy.stop();
    await dropPostgresDatabase(url);
  });

  test('a connection that fell silent fails in time, and the next call has a new one', async () => {
    const { db } = database;
    const before = await backendOf(db);
    proxy.fallSilent();
    await assert.rejects(run(db, 'select 1'), /Query read timeout/);
    await assert.rejects(run(db, 'select 1'), /timeout expired/, 'nor does a new one come about');
    proxy.recover();
    assert.notEqual(await backendOf(db), before);
  });

  test('a transaction whose connection fell silent fails in time', async () => {
    const { db } = database;
    const work = db.transaction(async (tx) => {
      await run(tx, 'select 1');
      proxy.fallSilent();
      await run(tx, 'select 1');
    });
    await assert.rejects(work, /closed and is not queryable/, 'the rollback is not waited for as well');
    proxy.recover();
    await run(db, 'select 1');
  });

  test('a ping has a limit of its own, and gives up the connection that was silent', async () => {
    const { db } = database;
    const before = await backendOf(db);
    proxy.fallSilent();
    await assert.rejects(ping(db, 50), /Query read timeout/);
    proxy.recover();
    await ping(db, 5_000);
    assert.notEqual(await backendOf(db), before);
  });

  test('the late answer to a query is not read as that of the next', async () => {
    const { db } = database;
    // No limit of the server's own: it answers when nobody waits any more.
    const late = db.raw(`set statement_timeout = 0; select 'late' as word from pg_sleep(0.2)`);
    await assert.rejects(async () => late.options({ query_timeout: 50 }), /Query read timeout/);
    assert.deepEqual(await rows(db, `select 'next' as word from pg_sleep(0.2)`), [{ word: 'next' }]);
  });

  test('a statement that takes too long is ended by the server, and the connection goes on', async () => {
    const { db } = database;
    const before = await backendOf(db);
    await assert.rejects(run(db, 'select pg_sleep(30)'), /statement timeout/);
    assert.equal(await backendOf(db), before);
  });

  test('an erasure may take longer, and only that', async () => {
    const { db } = database;
    assert.equal(await runLong(db, 'select pg_sleep(0.7)'), 1);
    await assert.rejects(run(db, 'select pg_sleep(30)'), /statement timeout/);
  });

  test('a transaction that its node forgot lets go of its locks', async () => {
    const { db } = database;
    const work = db.transaction(async (tx) => {
      await run(tx, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
      const direct = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
      try {
        // Waits for the row until the server has ended the other.
        await run(direct.db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
      } finally {
        await direct.close();
      }
      await run(tx, 'select 1');
    });
    await assert.rejects(work);
    assert.deepEqual(await rows(db, 'select id from sub_accounts'), [{ id: 'acme' }]);
  });

  test('of connections that fell silent together one costs the wait, and no call after it another', async () => {
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    const two = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 2, limits });
    const askBoth = () => Promise.all([1, 2].map(() => run(two.db, 'select pg_sleep(0.05)')));
    await askBoth();
    proxy.fallSilent();
    await assert.rejects(run(two.db, 'select 1'), /Query read timeout/);
    proxy.recover();
    assert.deepEqual(await askBoth(), [1, 1], 'both are new');
    await two.close();
  });
});

describe('PostgreSQL that is asked whether it is still at work', () => {
  let url: string;
  let proxy: SilentProxy;
  let database: Database;
  // Far from what a statement may take.
  const limits = { connectMs: 400, statementMs: 60_000, silenceMs: 200 };

  before(async () => {
    url = await createPostgresDatabase('migrated');
    proxy = await startSilentProxy(Number(new URL(url).port));
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    database = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 2, limits });
  });
  after(async () => {
    await database.close();
    await proxy.stop();
    await dropPostgresDatabase(url);
  });

  const within = async (ms: number, work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    assert.ok(performance.now() - start < ms, `${performance.now() - start} ms`);
  };

  test('a statement that takes its time is waited for, however little is heard of it', async () => {
    const { db } = database;
    const before = await backendOf(db);
    assert.equal(await run(db, 'select pg_sleep(1)'), 1);
    assert.equal(await backendOf(db), before);
  });

  test('so it is where the server does not say what its processes do', async () => {
    const { db } = database;
    await run(db, `alter database ${new URL(url).pathname.slice(1)} set track_activities = off`);
    proxy.cut();
    proxy.recover();
    await waitFor(
      'a new connection',
      async () => (await db.raw('show track_activities').catch(() => null)) !== null,
    );
    assert.equal(await run(db, 'select pg_sleep(0.6)'), 1);
    await run(db, `alter database ${new URL(url).pathname.slice(1)} reset track_activities`);
    proxy.cut();
    proxy.recover();
  });

  test('a statement that takes its time to be sent is waited for', async () => {
    let held = false;
    const server = createServer((client) => {
      const target = connect(Number(new URL(url).port), '127.0.0.1');
      client.on('error', () => {}).on('close', () => target.destroy());
      target.on('error', () => {}).pipe(client);
      client.on('data', (chunk) => {
        target.write(chunk);
        if (held || client.bytesRead < 1_000_000) return;
        held = true;
        client.pause();
        setTimeout(() => client.resume(), 600);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const through = Object.assign(new URL(url), {
      port: String((server.address() as AddressInfo).port),
    }).href;
    const { db, close } = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 1, limits });
    const lengthOf = (text: string) => rows(db, 'select length(cast(:text as text)) as length', { text });
    // One that is new to the server is told it before its values are.
    assert.deepEqual(await lengthOf('short'), [{ length: 5 }]);
    assert.deepEqual(await lengthOf('x'.repeat(20_000_000)), [{ length: 20_000_000 }]);
    assert.ok(held);
    await close();
    server.close();
  });

  test('where it says nothing at all, what waits fails soon, as a database that is away', async () => {
    const { db } = database;
    await Promise.all([backendOf(db), backendOf(db)]);
    proxy.fallSilent();
    await within(5_000, async () => {
      for (const error of (await Promise.allSettled([run(db, 'select 1'), run(db, 'select 2')])).map(
        reasonOf,
      ))
        assert.ok(isOfAbsence(error), String(error));
    });
    proxy.recover();
    await run(db, 'select 1');
  });

  test('where it answers others, a connection that it does not know to be asked anything is given up', async () => {
    const { db } = database;
    await backendOf(db);
    proxy.fallSilent();
    proxy.recover();
    await within(5_000, () => assert.rejects(run(db, 'select 1'), isOfAbsence));
  });

  const reasonOf = (result: PromiseSettledResult<unknown>) =>
    result.status === 'rejected' ? (result.reason as unknown) : assert.fail('it answered');
});

describe('the schema', () => {
  let url: string;

  before(async () => {
    url = await createPostgresDatabase('empty');
  });
  after(() => dropPostgresDatabase(url));

  const open = () => openDatabase({ kind: 'postgres', url, connectionsMax: 3 });

  test('nodes that start together on an empty database all start', async () => {
    const opened = await Promise.all([open(), open(), open()]);
    try {
      assert.deepEqual(await rows(opened[2].db, 'select count(*)::int as n from mailboxes'), [{ n: 0 }]);
    } finally {
      await Promise.all(opened.map((database) => database.close()));
    }
  });

  test('a node that was killed while it migrated keeps none from starting', async () => {
    const killed = await open();
    await run(killed.db, 'update knex_migrations_lock set is_locked = 1');
    await killed.close();
    await (await open()).close();
  });

  test('an older program refuses a newer database, in words, and changes nothing; without its last step it opens again', async () => {
    const { db, close } = await open();
    try {
      await run(db, `insert into knex_migrations (name) values ('0009-later')`);
      const schema = () =>
        rows(db, `select relname from pg_class where relnamespace = 'public'::regnamespace order by relname`);
      const before = await schema();
      const newer = /the database was used by a newer version of Twoway \(it has 0009-later\)/;
      await assert.rejects(open(), newer);
      assert.deepEqual(await schema(), before);
      // As a backup has it that was made before the newer version.
      await run(db, `delete from knex_migrations where name = '0009-later'`);
      await (await open()).close();
    } finally {
      await close();
    }
  });
});

describe('a primary that becomes a standby, and does not end its sessions', () => {
  test('what writes next connects anew, on every connection, and finds whoever is the primary now', async () => {
    const url = await createPostgresDatabase('migrated');
    const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
    const { db } = database;
    const write = (id: string, on: Db = db) =>
      run(on, `insert into sub_accounts (id, name) values (:id, 'x')`, { id });
    try {
      // Each session is told for itself, as each of that server's is: the next ones are another server's.
      await Promise.all(
        [1, 2].map(() =>
          db.transaction(async (tx) => {
            await run(tx, 'set default_transaction_read_only = on');
            await run(tx, 'select pg_sleep(0.1)');
          }),
        ),
      );
      const refused = await write('one').catch((error: unknown) => error);
      assert.ok(isOfAbsence(refused), String(refused));
      await Promise.all([db.transaction((tx) => write('one', tx)), write('two')]);
      const found = await rows(db, 'select id from sub_accounts order by id');
      assert.deepEqual(found, [{ id: 'one' }, { id: 'two' }]);
    } finally {
      await database.close();
      await dropPostgresDatabase(url);
    }
  });
});
