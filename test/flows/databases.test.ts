import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createPostgresDatabase,
  databaseKinds,
  dropPostgresDatabase,
  testDatabase,
} from '../support/database.ts';
import { openDatabase, rows } from '../../src/store/database.ts';

describe('the tests’ own databases', () => {
  for (const kind of databaseKinds) {
    test(`${kind}: each is migrated, and of its own`, async () => {
      const [one, two] = await Promise.all([testDatabase(kind), testDatabase(kind)]);
      try {
        await one.db.raw('create table only_here (id int)');
        assert.equal((await tables(one.db)).includes('sightings'), true);
        assert.equal((await tables(one.db)).includes('only_here'), true);
        assert.equal((await tables(two.db)).includes('only_here'), false);
        assert.equal(one.kind, kind);
        assert.equal(one.url === null, kind === 'pglite');
      } finally {
        await one.drop();
        await two.drop();
      }
    });
  }

  test('an empty PostgreSQL 15 can be migrated, and dropped', async () => {
    const url = await createPostgresDatabase('empty');
    const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
    const [version] = await rows<{ version: string }>(database.db, 'select version()');
    assert.match(version?.version ?? '', /^PostgreSQL 15\./);
    await database.close();
    await dropPostgresDatabase(url);
    await assert.rejects(dropPostgresDatabase(url), { code: '3D000' });
  });
});

async function tables(db: Parameters<typeof rows>[0]): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    "select tablename as name from pg_tables where schemaname = 'public'",
  );
  return found.map((row) => row.name);
}
