import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { run, rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { claimWork, finishWork, postponeWork } from '../../src/store/work.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { seededRandom } from '../webhook/support.ts';

for (const kind of databaseKinds) {
  describe(`the claim query on sends, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      // Sends without what they belong to: the claim looks at nothing else.
      database = await testDatabase(kind, {
        breaks: ['send_has_decision', 'send_is_ready_or_over', 'send_is_known', 'send_is_told'],
      });
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(() => run(db, 'truncate sends cascade'));

    const claim = (owner: string, limit = 10, more: { leaseMs?: number; mailbox?: string } = {}) =>
      claimWork(db, {
        table: 'sends',
        owner,
        leaseMs: more.leaseMs ?? 60_000,
        limit,
        ...(more.mailbox === undefined ? {} : { filter: { column: 'mailbox_id', value: more.mailbox } }),
      });
    const finish = (id: string, owner: string) => finishWork(db, { table: 'sends', id, owner });

    test('of two that share a key the earlier goes first, and the other only when that is finished', async () => {
      await insertSends(db, [
        ['a', ['k1']],
        ['b', ['k1', 'k2']],
        ['c', ['k2']],
        ['d', ['k3']],
        ['e', []],
      ]);
      assert.deepEqual(await claim('n1'), ['a', 'd', 'e']);
      assert.deepEqual(await claim('n2'), [], 'leased rows hold up the others too');
      assert.equal(await finish('a', 'n1'), true);
      assert.deepEqual(await claim('n2'), ['b'], 'c waits for b');
      assert.equal(await finish('b', 'n2'), true);
      assert.deepEqual(await claim('n2'), ['c']);
    });

    test('a postponed row keeps its place', async () => {
      await insertSends(db, [
        ['a', ['k']],
        ['b', ['k']],
      ]);
      await claim('n1');
      const dueAt = new Date(Date.now() + 3_600_000);
      assert.equal(await postponeWork(db, { table: 'sends', id: 'a', owner: 'n1', dueAt }), true);
      assert.deepEqual(await claim('n1'), [], 'neither is due');
      await run(db, `update sends set due_at = now() - interval '1 second' where id = 'a'`);
      assert.deepEqual(await claim('n1'), ['a']);
    });

    test('the longest due first, no more than the limit, of one mailbox where asked', async () => {
      await insertSends(db, [
        ['a', ['1']],
        ['b', ['2'], 'mbx_2'],
        ['c', ['3']],
        ['d', ['4']],
      ]);
      await run(db, `update sends set due_at = now() - interval '1 minute' where id in ('c', 'd')`);
      assert.deepEqual(await claim('n1', 10, { mailbox: 'mbx_2' }), ['b']);
      assert.deepEqual(await claim('n1', 2), ['c', 'd']);
      assert.deepEqual(await claim('n1', 2), ['a']);
    });

    test('when a node dies its lease runs out; who comes back late has lost it', async () => {
      await insertSends(db, [['a', ['k']]]);
      assert.deepEqual(await claim('dead', 1, { leaseMs: 60_000 }), ['a']);
      assert.deepEqual(await claim('other'), []);
      await run(db, `update sends set lease_until = now() - interval '1 ms'`);
      assert.deepEqual(await claim('other'), ['a']);
      assert.equal(await finish('a', 'dead'), false, 'the fence');
      assert.equal(
        await postponeWork(db, { table: 'sends', id: 'a', owner: 'dead', dueAt: new Date() }),
        false,
      );
      const [row] = await rows(db, 'select attempts, lease_owner, ready from sends');
      assert.deepEqual(row, { attempts: 2, lease_owner: 'other', ready: true });
      assert.equal(await finish('a', 'other'), true);
      assert.equal(await finish('a', 'other'), false, 'it is finished once');
      assert.deepEqual(await claim('other'), []);
    });

    for (const seed of [1, 2, 3]) {
      test(`any history keeps the order of each key and loses nothing (seed ${seed})`, () =>
        history(db, seed));
    }
  });
}

/** Three nodes claim, finish, postpone, and sometimes forget what they claimed, until all is done. */
async function history(db: Db, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = (max: number) => Math.floor(random() * max);
  const sends = Array.from({ length: 60 }, (_, n): [string, string[]] => [
    `s${String(n).padStart(2, '0')}`,
    [...new Set(Array.from({ length: pick(3) + 1 }, () => `k${pick(6)}`))],
  ]);
  await insertSends(db, sends);
  const done: string[] = [];
  for (let step = 0; done.length < sends.length; step += 1) {
    assert.ok(step < 2_000, `stuck after ${done.join(' ')}`);
    const owner = `n${pick(3)}`;
    for (const id of await claimWork(db, { table: 'sends', owner, leaseMs: 60_000, limit: pick(5) + 1 })) {
      const fate = random();
      if (fate < 0.7 && (await finishWork(db, { table: 'sends', id, owner }))) done.push(id);
      else if (fate < 0.9) await postponeWork(db, { table: 'sends', id, owner, dueAt: new Date(0) });
      else await run(db, `update sends set lease_until = now() - interval '1 ms' where id = :id`, { id });
    }
  }
  for (const key of ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']) {
    const expected = sends.filter(([, keys]) => keys.includes(key)).map(([id]) => id);
    assert.deepEqual(
      done.filter((id) => expected.includes(id)),
      expected,
      `key ${key}`,
    );
  }
}

/** Id, order keys, mailbox. */
type SendForTest = readonly [string, readonly string[], string?];

/** Rows of work without what they belong to. */
async function insertSends(db: Db, sends: readonly SendForTest[]): Promise<void> {
  await db.transaction(async (tx) => {
    await run(tx, 'set local session_replication_role = replica');
    await run(
      tx,
      `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, route, state, envelope,
         internet_message_id, raw_sha256, raw_size, order_keys)
       select s->>0, 's1', 'm' || (s->>0), 'u1', coalesce(s->>2, 'mbx_1'), '{}', 'queued', '{}', 'x', 'x', 1,
              array(select jsonb_array_elements_text(s->1))
       from jsonb_array_elements(:sends::jsonb) with ordinality as l (s, n) order by n`,
      { sends: JSON.stringify(sends) },
    );
  });
}
