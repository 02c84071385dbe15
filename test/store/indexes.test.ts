import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('indexes', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('postgres');
  });
  after(() => database.drop());

  test('each foreign key has one on its own side: without it each deleted row reads the whole table', async () => {
    const found = await rows<{ key: string }>(
      database.db,
      // The first columns of an index, in any order, must be those of the key. A partial index does not
      // serve, but where it leaves out null alone.
      `select c.conrelid::regclass || ' (' || (
                select string_agg(attname, ', ' order by attnum) from pg_attribute
                 where attrelid = c.conrelid and attnum = any(c.conkey)) || ')' as key
         from pg_constraint c
        -- No mailbox is ever deleted.
        where c.contype = 'f' and c.confrelid <> 'mailboxes'::regclass and not exists (
          select from pg_index i
           where i.indrelid = c.conrelid
             and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~ '^\\(\\w+ IS NOT NULL\\)$')
             and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
        order by 1`,
    );
    assert.deepEqual(
      found.map(({ key }) => key),
      // Read once for a webhook that is deleted. An index on it alone would lead a claim astray that should
      // take the first that is due (see the migration).
      ['deliveries (webhook_id)'],
    );
  });

  for (const [table, columns] of [
    // Ended ones, too: a member's last connection is shown.
    ['connections', 'sub_account_id, user_id'],
    // Asked at each beat of a node.
    ['mailboxes', 'node_id'],
    ['sends', 'raw_sha256'],
  ] as const) {
    test(`${table} are found by ${columns}`, async () => {
      const found = await rows<{ definition: string }>(
        database.db,
        'select indexdef as definition from pg_indexes where tablename = :table',
        { table },
      );
      const whole = new RegExp(`\\(${columns}\\)( WHERE \\(${columns} IS NOT NULL\\))?$`);
      assert.ok(
        found.some(({ definition }) => whole.test(definition)),
        JSON.stringify(found),
      );
    });
  }
});
