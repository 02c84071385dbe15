import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openDatabase, rows, run } from '../../src/store/database.ts';
import type { Database, Db } from '../../src/store/database.ts';
import { listSealKeys, moveRows } from '../../src/store/move.ts';
import { createPostgresDatabase, dropPostgresDatabase, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

/** A table of all that a column may hold and a copy might lose. */
const oddTable = `
  create table odd (
    n bigint generated always as identity primary key,
    "order" text,
    bytes bytea,
    document jsonb,
    at timestamptz,
    day date,
    modseq numeric(20),
    list text[] not null default '{}',
    hashes bytea[],
    next bigint references odd,
    doubled text generated always as ("order" || "order") stored
  );
  create table parts (n integer not null, word text) partition by range (n);
  create table parts_low partition of parts for values from (0) to (10);
  create table parts_other partition of parts default;
  create sequence odd_numbers`;

const oddRows = `
  insert into odd ("order", bytes, document, at, day, modseq, list, hashes, next) values
    ('', '\\x00ff5c', 'null', 'infinity', '2026-02-28', 18446744073709551615, '{}', null, 3),
    (null, null, null, null, null, null, array['a,b', '{"c"}', null, ''], array['\\x00'::bytea, null], null),
    (e'line\\nend\\t\\\\ "quoted" ''single'' \\u00e4\\U0001F600', '', '{"a": [1.50, "\\\\u0001"], "b": null}',
     '2026-11-27 23:59:59.999999+05:45', '0044-03-15 BC', 0, array['x'], '{}', 1);
  insert into odd ("order", list) select repeat(md5(n::text), 6000), array[n::text] from generate_series(1, 30) n;
  insert into odd ("order") select n::text from generate_series(1, 3000) n;
  create table parts_high partition of parts for values from (50) to (100) partition by range (n);
  create table parts_high_90 partition of parts_high for values from (90) to (100);
  insert into parts values (1, 'low'), (99, 'high'), (1000, 'other');
  select nextval('odd_numbers'), nextval('odd_numbers')`;

/** Each message answers the one behind it, as no order of rows could have it. */
const mail = `
  insert into sub_accounts (id, name, settings) values ('acme', 'Acme', '{"fetch_thread_head": false}');
  insert into threads (id, sub_account_id, subject, opened_by) values ('thr_1', 'acme', 'Offer', 'from_contact');
  insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to, recipients_cc,
                        recipients_bcc, subject, date, received_at, answers)
  select 'msg_' || n, 'acme', 'thr_1', 'inbound', '{mailbox}', '{}', '[]', '[]', '[]', 'Offer', now(), now(),
         case when n < 400 then 'msg_' || n + 1 end
    from generate_series(1, 400) n;
  insert into events (id, type, sub_account_id, order_keys, data)
  values ('evt_1', 'message.created', 'acme', '{cnv_1}', '{"id": "msg_1"}')`;

/** There is no more of them than that. */
const breaks = [
  'message_has_key',
  'message_has_source',
  'message_has_bytes',
  'message_is_shown',
  'message_is_told_once',
];

/** Everything in every table of ours, and where the sequences are. */
async function contents(db: Db): Promise<Record<string, unknown>> {
  const tables = await rows<{ name: string }>(
    db,
    `select relname as name from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname not like 'knex%' order by 1`,
  );
  const all: Record<string, unknown> = {};
  for (const { name } of tables) {
    all[name] = await rows(
      db,
      `select left(t::text, 300) || md5(t::text) as row from ${name} t order by (t::text) collate "C"`,
    );
  }
  all['sequences'] = await rows(
    db,
    `select sequencename, last_value from pg_sequences where sequencename not like 'knex%' order by 1`,
  );
  return all;
}

describe('moving rows into another database', () => {
  let embedded: TestDatabase;
  let url: string;
  let server: Database;

  before(async () => {
    embedded = await testDatabase('pglite', { breaks });
    await run(embedded.db, `update installation set id = 'this one'`);
    await embedded.db.raw(`set timezone = 'America/St_Johns'; ${oddTable}`);
    await embedded.db.raw(`${oddRows}; ${mail}`);
    url = await createPostgresDatabase('migrated');
    server = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
  });
  after(async () => {
    await server.close();
    await dropPostgresDatabase(url);
    await embedded.drop();
  });

  test('tables that are not the same: nothing is moved', async () => {
    await assert.rejects(moveRows(embedded.db, server.db), /tables of the two databases differ/);
    await server.db.raw(oddTable);
  });

  test('into one that is in use nothing is moved, and what it holds is named', async () => {
    await run(server.db, `insert into sub_accounts (id, name) values ('theirs', 'Theirs')`);
    await run(server.db, `insert into parts values (5, 'theirs')`);
    const before = await contents(server.db);
    await assert.rejects(moveRows(embedded.db, server.db), /is not empty \(it has parts, sub_accounts\)/);
    assert.deepEqual(await contents(server.db), before);
    await server.db.raw('delete from sub_accounts; delete from parts');
  });

  test('what would arrive as something else ends it, and leaves nothing behind', async () => {
    const before = await contents(server.db);
    await server.db.raw(`
      create function spoil() returns trigger language plpgsql as
        $$ begin if new.n = 2000 then new."order" = 'spoilt'; end if; return new; end $$;
      create trigger spoil before insert on odd for each row execute function spoil()`);
    await assert.rejects(moveRows(embedded.db, server.db), /what arrived in odd is not what was read/);
    await server.db.raw(`create or replace function spoil() returns trigger language plpgsql as
        $$ begin if new.n = 2000 then return null; end if; return new; end $$`);
    await assert.rejects(moveRows(embedded.db, server.db), /what arrived in odd .*\(3032 of 3033 rows\)/);
    await server.db.raw('drop function spoil cascade');
    assert.deepEqual(await contents(server.db), before);
  });

  test('every row, every value and every number to come are there, and the rules of the schema hold again', async () => {
    const rules = `select conrelid::regclass::text as on, conname, pg_get_constraintdef(oid) as rule
                     from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2`;
    const before = await rows(server.db, rules);
    const { tables, rows: moved } = await moveRows(embedded.db, server.db);
    assert.equal(moved, 3033 + 3 + 400 + 4);
    assert.ok(tables > 40);
    // Times are compared as moments, and not as each session writes them.
    for (const { db } of [embedded, server]) await db.raw(`set timezone = 'UTC'`);
    assert.deepEqual(await contents(server.db), await contents(embedded.db));
    assert.deepEqual(await rows(server.db, rules), before);
    const [event] = await rows(
      server.db,
      `insert into events (id, type, order_keys, data) values ('evt_2', 'x', '{}', '{"id": "msg_2"}') returning ord::int, object_id`,
    );
    assert.deepEqual(event, { ord: 2, object_id: 'msg_2' });
    await assert.rejects(run(server.db, `update messages set answers = 'msg_0' where id = 'msg_1'`), {
      code: '23503',
    });
    assert.deepEqual(await rows(server.db, `select nextval('odd_numbers')::int as next`), [{ next: 3 }]);
  });

  test('the keys that anything is sealed with, each once, wherever it is', async () => {
    await run(server.db, `update sub_accounts set provider_password_sealed = 'v1.11aa22bb.n.d'`);
    await run(
      server.db,
      `insert into webhooks (id, url, types, secret_sealed)
       values ('whk_1', 'https://crm.example', '{}', 'v1.33cc44dd.n.d'), ('whk_2', 'https://crm.example', '{}', 'v1.33cc44dd.n.d')`,
    );
    assert.deepEqual((await listSealKeys(server.db)).sort(), ['11aa22bb', '33cc44dd']);
    assert.deepEqual(await listSealKeys(embedded.db), []);
  });
});
