import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { claimBlobs } from '../../src/store/blob-owner.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { run } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('a folder of blobs belongs to one database', () => {
  let database: TestDatabase;
  let other: TestDatabase;
  let directory: string;
  let stored: Parameters<typeof claimBlobs>[1];

  before(async () => {
    database = await testDatabase('pglite');
    other = await testDatabase('pglite');
    // The databases of tests are copies of one.
    await run(other.db, `update installation set id = 'another'`);
    directory = join(await mkdtemp(join(tmpdir(), 'twoway-owner-')), 'blobs');
    stored = { blobs: createDiskBlobs(directory), where: directory };
  });
  after(async () => {
    await database.drop();
    await other.drop();
    await rm(join(directory, '..'), { recursive: true });
  });

  test('a new one is marked, and is its database’s own from then on', async () => {
    await Promise.all([claimBlobs(database.db, stored), claimBlobs(database.db, stored)]);
    await claimBlobs(database.db, stored);
  });

  test('with another database nothing starts, and nothing is changed', async () => {
    const mark = await readFile(join(directory, 'installation'), 'utf8');
    await assert.rejects(claimBlobs(other.db, stored), /another database.*TWOWAY_DATABASE_URL/);
    assert.equal(await readFile(join(directory, 'installation'), 'utf8'), mark);
    await claimBlobs(database.db, stored);
  });
});
