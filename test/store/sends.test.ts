import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { findSendLanes } from '../../src/store/send-lanes.ts';
import { findDueOfLane, nextSendDueMs } from '../../src/store/sends.ts';
import { noteHandovers, startAttempts } from '../../src/store/send-attempts.ts';
import { claimLanes } from '../../src/store/work.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

/** Due `dueMs` from now; `leased`: by whom. */
type Row = { id: string; lane: string; individual: boolean; dueMs?: number; leased?: string; key?: string };

for (const kind of databaseKinds) {
  describe(`letters and the rest, lane by lane, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      // Sends without what they belong to: claims look at nothing else.
      database = await testDatabase(kind, {
        breaks: ['send_has_decision', 'send_is_ready_or_over', 'send_is_known', 'send_is_told'],
      });
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(() => run(db, 'truncate sends cascade'));

    const found = async (limit = 10) =>
      (await findSendLanes(db, { owner: 'me', limit, after: null })).lanes.map(
        ({ lane, individual, elsewhere }) => [lane, individual ? 'letters' : 'rest', elsewhere],
      );
    const claim = async (individual: boolean, lanes: Record<string, number>, limit = 10) => {
      const wanted = Object.entries(lanes).map(([lane, limit]) => ({ lane, limit }));
      const claimed = await claimLanes(db, {
        owner: 'me',
        leaseMs: 60_000,
        individual,
        lanes: wanted,
        limit,
      });
      return claimed.map(({ id }) => id);
    };

    test('letters come first, whatever waits longer; then the longest waiting', async () => {
      await insertSends(db, [
        { id: 'campaign', lane: 'mbx_1', individual: false, dueMs: -9_000 },
        { id: 'older campaign', lane: 'mbx_2', individual: false, dueMs: -10_000 },
        { id: 'letter', lane: 'mbx_3', individual: true, dueMs: -1_000 },
        { id: 'older letter', lane: 'mbx_1', individual: true, dueMs: -2_000 },
      ]);
      assert.deepEqual(await found(), [
        ['mbx_1', 'letters', 0],
        ['mbx_3', 'letters', 0],
        ['mbx_2', 'rest', 0],
        ['mbx_1', 'rest', 0],
      ]);
    });

    test('not a lane of which nothing is due, or all is in hand; what others have in hand is counted', async () => {
      for (const individual of [true, false]) {
        const name = String(individual);
        await insertSends(db, [
          { id: `${name} 1`, lane: 'mbx_1', individual, leased: 'other', dueMs: -3_000 },
          { id: `${name} 2`, lane: 'mbx_1', individual, leased: 'me', dueMs: -3_000 },
          { id: `${name} 3`, lane: 'mbx_1', individual, leased: 'other', dueMs: -2_000 },
          { id: `${name} 4`, lane: 'mbx_1', individual, dueMs: -1_000 },
          { id: `${name} 5`, lane: 'mbx_2', individual, leased: 'other' },
          { id: `${name} 6`, lane: 'mbx_3', individual, dueMs: 60_000 },
        ]);
      }
      assert.deepEqual(await found(), [
        ['mbx_1', 'letters', 2],
        ['mbx_1', 'rest', 2],
      ]);
    });

    test('a claim takes letters, or the rest, up to so many of each lane, the longest due first', async () => {
      await insertSends(db, [
        { id: 'a', lane: 'mbx_1', individual: false, dueMs: -1_000 },
        { id: 'b', lane: 'mbx_1', individual: false, dueMs: -3_000 },
        { id: 'c', lane: 'mbx_1', individual: false, dueMs: -2_000 },
        { id: 'd', lane: 'mbx_2', individual: false },
        { id: 'e', lane: 'mbx_1', individual: true },
      ]);
      assert.deepEqual(await claim(false, { mbx_1: 2, mbx_2: 2, mbx_3: 2 }), ['b', 'c', 'd']);
      assert.deepEqual(await claim(true, { mbx_1: 2 }), ['e']);
      assert.deepEqual(await claim(false, { mbx_1: 2 }), ['a']);
    });

    test('of all lanes together no more than was asked for, of the first ones first; what nobody may take counts for nothing', async () => {
      await insertSends(db, [
        { id: 'put off', lane: 'mbx_1', individual: true, dueMs: 60_000, key: 'thread' },
        { id: 'behind it', lane: 'mbx_1', individual: true, dueMs: -9_000, key: 'thread' },
        { id: 'a', lane: 'mbx_2', individual: true },
        { id: 'b', lane: 'mbx_3', individual: true, dueMs: -5_000 },
      ]);
      assert.deepEqual(await claim(true, { mbx_1: 2, mbx_2: 2, mbx_3: 2 }, 1), ['a']);
    });

    test('D5: a letter goes before a campaign, but not before what its own thread has in front of it', async () => {
      await insertSends(db, [
        { id: 'first', lane: 'mbx_1', individual: false, key: 'thread' },
        { id: 'answer', lane: 'mbx_1', individual: true, key: 'thread' },
      ]);
      assert.deepEqual(await claim(true, { mbx_1: 5 }), []);
      assert.deepEqual(await claim(false, { mbx_1: 5 }), ['first']);
    });

    test('when the next one is due, letter or not; what waits for a person is never', async () => {
      assert.equal(await nextSendDueMs(db), null);
      await insertSends(db, [
        { id: 'held', lane: 'mbx_1', individual: true, dueMs: Infinity },
        { id: 'now', lane: 'mbx_1', individual: true, dueMs: 0 },
      ]);
      assert.equal(await nextSendDueMs(db), null);
      for (const [id, individual, dueMs] of [
        ['letter', true, 60_000],
        ['campaign', false, 30_000],
      ] as const) {
        await insertSends(db, [{ id, lane: 'mbx_1', individual, dueMs }]);
        const ms = await nextSendDueMs(db);
        assert.ok(ms !== null && ms > dueMs - 20_000 && ms <= dueMs, `${id}: ${ms}`);
      }
    });

    test('all that is due in a lane is found to be held, letters and the rest', async () => {
      await insertSends(db, [
        { id: 'a', lane: 'mbx_1', individual: false },
        { id: 'b', lane: 'mbx_1', individual: true },
        { id: 'c', lane: 'mbx_2', individual: true },
        { id: 'd', lane: 'mbx_1', individual: true, leased: 'other' },
      ]);
      assert.deepEqual((await findDueOfLane(db, { lane: 'mbx_1', limit: 5 })).sort(), ['a', 'b']);
    });
  });
}

describe('D5: the note before the end of a message, while somebody else has its row', () => {
  for (const [name, meanwhile, isMine] of [
    ['its lease is prolonged: all of it is noted', `lease_until = now() + interval '9 minutes'`, true],
    [
      'another node takes over: the end must not go out, and nothing is noted',
      `lease_owner = 'other'`,
      false,
    ],
    ['it is cancelled: the same', `lease_owner = null, ready = false, state = 'cancelled'`, false],
  ] as const) {
    test(name, async () => {
      const database = await testDatabase('postgres', {
        breaks: ['send_has_decision', 'send_is_ready_or_over', 'send_is_known', 'send_is_told'],
      });
      const { db } = database;
      try {
        await insertSends(db, [{ id: 'snd_1', lane: 'mbx_1', individual: true, leased: 'me' }]);
        await run(db, `update sends set state = 'sending'`);
        await startAttempts(db, ['snd_1']);
        await db.transaction(async (tx) => {
          await run(tx, 'set local session_replication_role = replica');
          await run(
            tx,
            `insert into daily_places (send_id, mailbox_id, at) values ('snd_1', 'mbx_1', now() - interval '1 hour')`,
          );
        });
        const refused = [
          { address: 'cyril@customer.example', state: 'deferred', reply: '450 later' },
        ] as const;
        const { promise: noting, resolve } = Promise.withResolvers<ReadonlySet<string>>();
        await db.transaction(async (tx) => {
          await run(tx, `update sends set ${meanwhile}`);
          void noteHandovers(db, { owner: 'me', attempts: [{ id: 'snd_1', n: 1, refused }] }).then(resolve);
          await waitFor('the note to wait for the row', async () => {
            const waiting = await rows(
              db,
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            );
            return waiting.length > 0;
          });
        });
        assert.deepEqual([...(await noting)], isMine ? ['snd_1'] : []);
        const found = await rows(
          db,
          `select s.refused, a.outcome, p.at > now() - interval '30 minutes' as counted
             from sends s join send_attempts a on a.send_id = s.id join daily_places p on p.send_id = s.id`,
        );
        const noted = { refused: [...refused], outcome: 'uncertain', counted: true };
        assert.deepEqual(found, [isMine ? noted : { refused: [], outcome: null, counted: false }]);
        await run(db, 'truncate sends cascade');
      } finally {
        await database.drop();
      }
    });
  }
});

/** Rows of work without what they belong to. */
async function insertSends(db: Db, sends: readonly Row[]): Promise<void> {
  const listed = sends.map(({ dueMs = 0, leased = null, key, ...send }) => ({
    ...send,
    due: dueMs === Infinity ? 'infinity' : new Date(Date.now() - 1 + dueMs).toISOString(),
    leased,
    key: key ?? send.id,
  }));
  await db.transaction(async (tx) => {
    await run(tx, 'set local session_replication_role = replica');
    await run(
      tx,
      `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, individual, route, state, envelope,
         internet_message_id, raw_sha256, raw_size, order_keys, due_at, lease_owner, lease_until)
       select id, 's1', 'm' || id, 'u1', lane, individual, '{}', 'queued', '{}', 'x', 'x', 1, array[key], due, leased,
              case when leased is not null then now() + interval '1 minute' end
         from json_to_recordset(:sends::json)
           as s (id text, lane text, individual boolean, due timestamptz, leased text, key text)`,
      { sends: JSON.stringify(listed) },
    );
  });
}
