import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHousekeeping } from '../src/housekeeping.ts';
import { systemClock } from '../src/lib/clock.ts';
import { openDatabase, rows, run } from '../src/store/database.ts';
import { waitFor } from './support/wait.ts';

test('D3: answers are forgotten after a week, and the embedded database is vacuumed', async () => {
  const database = await openDatabase({ kind: 'pglite', directory: null });
  const { db } = database;
  await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
  for (const [key, age] of [
    ['old', '8 days'],
    ['new', '6 days'],
  ]) {
    await run(
      db,
      `insert into idempotency_keys (sub_account_id, key, request_hash, status, body, created_at)
       values ('acme', :key, 'x', 200, '{}', now() - :age::interval)`,
      { key, age },
    );
  }
  const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
  const housekeeping = createHousekeeping({ database, clock: systemClock, log: silent });
  housekeeping.start();
  await waitFor('the vacuum', async () => {
    const [row] = await rows<{ vacuumed: boolean }>(
      db,
      `select last_vacuum is not null as vacuumed from pg_stat_user_tables where relname = 'idempotency_keys'`,
    );
    return row?.vacuumed;
  });
  assert.deepEqual(await rows(db, 'select key from idempotency_keys'), [{ key: 'new' }]);
  await housekeeping.stop();
  await database.close();
});
