import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { check } from '../src/check.ts';
import { readConfig } from '../src/config.ts';
import { openData } from '../src/data.ts';
import { replayDecisions } from '../src/replay.ts';
import { run } from '../src/store/database.ts';
import { twoway } from './support/cli.ts';
import { createPostgresDatabase, dropPostgresDatabase, testDatabase } from './support/database.ts';
import { layEmbeddedDatabase } from './support/embedded.ts';

describe('twoway check', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twoway-check-'));
  });
  after(() => rm(directory, { recursive: true }));

  test('a folder without a database is no sound one, and gets none', async () => {
    const settings = { TWOWAY_DATA_DIR: join(directory, 'nothing') };
    await assert.rejects(check(readConfig(settings), { blobs: false }), /there is no database in .*nothing/);
    const { code, stdout, stderr } = await twoway(['check'], settings);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /there is no database in .*nothing: set TWOWAY_DATA_DIR or TWOWAY_DATABASE_URL/);
  });

  test('the embedded database: not beside a gateway, and then what holds, with 0', async () => {
    const settings = { TWOWAY_DATA_DIR: join(directory, 'embedded') };
    const config = readConfig(settings);
    await layEmbeddedDatabase(config.DATA_DIR);
    const gateway = await openData(config);
    const beside = await twoway(['check'], settings);
    assert.deepEqual([beside.code, beside.stdout], [2, '']);
    assert.match(beside.stderr, /another Twoway \(process \d+\) is using .*embedded; stop it first/);
    await gateway.close();
    const { code, stdout } = await twoway(['check', 'blobs'], settings);
    assert.equal(code, 0);
    assert.match(stdout, /^ok {6}message_has_key \(S12\)$/m);
    assert.match(stdout, /^ok {6}blob_is_kept \(T3, B5\)$/m);
    assert.match(stdout, /\n\nAll \d+ invariants hold\.\n$/);
    assert.doesNotMatch((await check(config, { blobs: false })).text, /blob_is_kept/);
  });

  test('PostgreSQL: what is broken, by which rows, with 1', async () => {
    const database = await testDatabase('postgres', { breaks: ['user_has_login_address'] });
    try {
      await run(
        database.db,
        `insert into users (id, name, email) select 'u' || n, 'Somebody', 'u@crm.example' from generate_series(1, 22) n`,
      );
      const { code, stdout } = await twoway(['check'], {
        TWOWAY_DATA_DIR: join(directory, 'blobs'),
        TWOWAY_DATABASE_URL: database.url ?? '',
        TWOWAY_SECRET_KEYS: Buffer.alloc(32, 1).toString('base64'),
      });
      assert.equal(code, 1);
      assert.match(
        stdout,
        /^BROKEN {2}user_has_login_address \(S7\): 22 rows\n {8}The login address of a user counts as theirs\.\n( {8}user u\d+\n){20} {8}… and 2 more$/m,
      );
      assert.match(stdout, /\n\n1 of \d+ invariants is broken\.\n$/);
      assert.doesNotMatch(stdout, /Somebody|crm\.example/);
    } finally {
      await database.drop();
    }
  });

  test('PostgreSQL of an older or a newer version: it says so, with 2, and changes nothing', async () => {
    const url = await createPostgresDatabase('empty');
    const settings = {
      TWOWAY_DATA_DIR: join(directory, 'none'),
      TWOWAY_DATABASE_URL: url,
      TWOWAY_SECRET_KEYS: Buffer.alloc(32, 1).toString('base64'),
    };
    try {
      const older = await twoway(['check'], settings);
      assert.deepEqual([older.code, older.stdout], [2, '']);
      assert.match(older.stderr, /the database is older than this version of Twoway \(it lacks 0001-start\)/);
      await assert.rejects(replayDecisions(readConfig(settings), { since: 0 }), /is older than this version/);
      assert.equal(existsSync(settings.TWOWAY_DATA_DIR), false);
      const gateway = await openData(readConfig(settings));
      await run(gateway.db, `insert into knex_migrations (name) values ('0007-later')`);
      await gateway.close();
      const newer = await twoway(['check'], settings);
      assert.deepEqual([newer.code, newer.stdout], [2, '']);
      assert.match(newer.stderr, /the database was used by a newer version of Twoway \(it has 0007-later\)/);
    } finally {
      await dropPostgresDatabase(url);
    }
  });

  test('words that it does not know', async () => {
    const { code, stderr } = await twoway(['check', 'bolbs'], {});
    assert.equal(code, 2);
    assert.match(stderr, /check knows no 'bolbs', only 'blobs'/);
    const wrong = await twoway(['check'], { TWOWAY_HTTP_PORT: 'http' });
    assert.deepEqual([wrong.code, /TWOWAY_HTTP_PORT/.test(wrong.stderr)], [2, true]);
  });
});
