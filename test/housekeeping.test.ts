import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createHousekeeping } from '../src/housekeeping.ts';
import { createDiskBlobs } from '../src/store/blobs.ts';
import type { SweptBlobStore } from '../src/store/blobs.ts';
import { idFrom } from '../src/lib/id.ts';
import { createSecretBox } from '../src/lib/secret-box.ts';
import { rows, run } from '../src/store/database.ts';
import { makePartitions } from '../src/store/partitions.ts';
import { testDatabase } from './support/database.ts';
import type { TestDatabase } from './support/database.ts';
import { createManualClock } from './support/manual-clock.ts';
import { waitFor } from './support/wait.ts';

describe('housekeeping', () => {
  let database: TestDatabase;
  let directory: string;
  let blobs: SweptBlobStore;
  const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
  before(async () => {
    // A message by hand, of which only the blob counts.
    database = await testDatabase('pglite', {
      breaks: ['message_has_source', 'message_has_key', 'message_is_shown', 'message_is_told_once'],
    });
    directory = await mkdtemp(join(tmpdir(), 'twoway-housekeeping-'));
    blobs = createDiskBlobs(directory);
  });
  after(async () => {
    await database.drop();
    await rm(directory, { recursive: true });
  });
  beforeEach(() => run(database.db, 'truncate sub_accounts cascade'));

  /** Starts it on a clock of its own; `wait` waits until a round is over. */
  function start(now = Date.now(), store = blobs) {
    const clock = createManualClock(now);
    const { db, kind } = database;
    const housekeeping = createHousekeeping({
      database: { db, kind, close: () => Promise.resolve() },
      blobs: store,
      secretBox: createSecretBox([Buffer.alloc(32, 7)]),
      clock,
      log: silent,
      keptDays: { facts: 90, decisions: 180, events: 90, attempts: 365, audit: 730 },
    });
    housekeeping.start();
    return { housekeeping, clock, round: () => waitFor('the end of a round', () => clock.sleeping() === 1) };
  }

  test('D3: answers are forgotten after a week, and the embedded database is vacuumed', async () => {
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
    const { housekeeping, round } = start();
    await round();
    const [row] = await rows<{ vacuumed: boolean }>(
      db,
      `select last_vacuum is not null as vacuumed from pg_stat_user_tables where relname = 'idempotency_keys'`,
    );
    assert.equal(row?.vacuumed, true);
    assert.deepEqual(await rows(db, 'select key from idempotency_keys'), [{ key: 'new' }]);
    await housekeeping.stop();
  });

  test('what administrators did is forgotten after its time', async () => {
    const { db } = database;
    for (const days of [731, 729]) {
      await run(
        db,
        `insert into audit (at, action, subject)
         values (now() - :days * interval '1 day', 'sub_account.made', 'days-' || :days)`,
        { days },
      );
    }
    const { housekeeping, round } = start();
    await round();
    assert.deepEqual(await rows(db, 'select subject from audit'), [{ subject: 'days-729' }]);
    await housekeeping.stop();
  });

  test('T4: the facts of a decision go after their time, its reason stays', async () => {
    const { db } = database;
    await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
    const days = (count: number) => idFrom('dec', Date.now() - count * 86_400_000);
    for (const id of [days(140), days(91), days(89)]) {
      await run(
        db,
        `insert into decisions (id, sub_account_id, outcome, reason, reasons, facts)
         values (:id, 'acme', 'skipped', 'no_match', '[{"rule":"S5"}]', '{"role":"inbox"}')`,
        { id },
      );
    }
    const { housekeeping, round } = start();
    await round();
    assert.deepEqual(
      await rows(db, `select facts is not null as facts, reason, reasons from decisions order by id`),
      [false, false, true].map((facts) => ({ facts, reason: 'no_match', reasons: [{ rule: 'S5' }] })),
    );
    await housekeeping.stop();
  });

  test('T1, W2: months of decisions, tries and events go when they are past, each after its own time; the next are made', async () => {
    const { db } = database;
    const june = Date.UTC(2019, 5, 15);
    for (const month of [-14, -12, -8, -6, -4, -3, -2])
      await makePartitions(db, Date.UTC(2019, 5 + month, 15));
    const { housekeeping, round } = start(june);
    await round();
    const found = await rows<{ table: string; months: string }>(
      db,
      `select i.inhparent::regclass::text as table, string_agg(right(c.relname, 7), ' ' order by c.relname) as months
         from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where c.relname ~ '_201[0-9]_[0-9]{2}$' and c.relkind = 'r'
        group by 1 order by 1`,
    );
    const from = { march: '2019_03 2019_04 2019_05 2019_06 2019_07', december: '2018_12 2019_01 2019_02' };
    assert.deepEqual(found, [
      { table: 'decisions_left_out', months: `${from.december} ${from.march}` },
      { table: 'events', months: from.march },
      { table: 'send_attempts', months: `2018_06 2018_07 2018_10 2018_11 ${from.december} ${from.march}` },
    ]);
    await housekeeping.stop();
  });

  test('a store of blobs that cannot be swept keeps no partition from being made', async () => {
    const sweep = () => Promise.reject(new Error('AccessDenied'));
    const { housekeeping, round } = start(Date.UTC(2017, 5, 15), { ...blobs, sweep });
    await round();
    const made = await rows(database.db, `select from pg_class where relname = 'events_2017_07'`);
    assert.equal(made.length, 1);
    await housekeeping.stop();
  });

  test('C7: blobs go when nothing refers to them any more, soon after an erasure', async () => {
    const { db } = database;
    const [kept = '', erased = '', young = ''] = await blobs.put([
      Buffer.from('kept'),
      Buffer.from('erased'),
      Buffer.from('young'),
    ]);
    const age = async (name: string, minutes: number) => {
      const then = new Date(Date.now() - minutes * 60_000);
      await utimes(join(directory, name.slice(0, 2), name.slice(2)), then, then);
    };
    await age(kept, 61);
    await age(erased, 61);
    await age(young, 50);
    await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
    await run(
      db,
      `insert into threads (id, sub_account_id, subject, opened_by) values ('t', 'acme', '', 'crm_send')`,
    );
    for (const [id, name] of [
      ['m1', kept],
      ['m2', erased],
    ]) {
      await run(
        db,
        `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to, recipients_cc,
           recipients_bcc, subject, date, received_at, raw_sha256)
         values (:id, 'acme', 't', 'inbound', '{}', '{}', '[]', '[]', '[]', '', now(), now(), :name)`,
        { id, name },
      );
    }
    const there = async () =>
      Promise.all([kept, erased, young].map(async (n) => (await blobs.size(n)) !== null));
    const { housekeeping, clock, round } = start();
    await round();
    assert.deepEqual(await there(), [true, true, true]);
    await run(db, `delete from messages where id = 'm2'`);
    housekeeping.wake();
    await clock.advance(60_000);
    await waitFor('the erased one to go', async () => !(await there())[1]);
    assert.deepEqual(
      await there(),
      [true, false, true],
      'what is younger than an hour may still get its row',
    );
    await round();
    // The next round comes by itself.
    await clock.advance(60_000);
    await clock.advance(3_540_000);
    await waitFor('the young one to go', async () => !(await there())[2]);
    assert.equal((await there())[0], true);
    await housekeeping.stop();
  });
});
