import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeSecretKey, openData, readSecretKeys } from '../src/data.ts';
import { layEmbeddedDatabase } from './support/embedded.ts';

describe('the secret key of an installation', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twoway-data-'));
  });
  after(() => rm(directory, { recursive: true }));

  test('it is made once, for its owner alone; who only reads makes none', async () => {
    const config = { DATA_DIR: directory, SECRET_KEYS: [] };
    const path = join(directory, 'secret.key');
    assert.throws(() => readSecretKeys(config), /there is no secret key/);
    makeSecretKey(config);
    const [key] = readSecretKeys(config);
    assert.deepEqual([key.length, key.toString('base64')], [32, await readFile(path, 'utf8')]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    makeSecretKey(config);
    assert.deepEqual(readSecretKeys(config), [key]);
  });

  test('configured keys come first, in their order, and none is made', () => {
    const keys = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const config = {
      DATA_DIR: join(directory, 'nothing'),
      SECRET_KEYS: keys.map((key) => key.toString('base64')),
    };
    makeSecretKey(config);
    assert.deepEqual(readSecretKeys(config), keys);
  });
});

test('the embedded database is asked nothing more once its folder is another’s, however much waits to be asked', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-data-'));
  const path = join(directory, 'lock');
  await layEmbeddedDatabase(directory);
  // The lock's own timer would find out first.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const database = await openData({ DATA_DIR: directory, DATABASE_URL: null, DATABASE_CONNECTIONS: 1 });
  try {
    await writeFile(path, '1 123 0123456789abcdef\n');
    const now = performance.now();
    t.mock.method(performance, 'now', () => now + 5_000);
    const exits = t.mock.method(process, 'exit', () => {
      throw new Error('ended');
    });
    await assert.rejects(async () => database.db.raw('select 1'));
    assert.deepEqual(exits.mock.calls[0]?.arguments, [1]);
  } finally {
    t.mock.restoreAll();
    await database.close();
    assert.equal(await readFile(path, 'utf8'), '1 123 0123456789abcdef\n');
    await rm(directory, { recursive: true });
  }
});
