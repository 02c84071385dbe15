import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import {
  findSequence,
  lastSequence,
  listEvents,
  publicationMax,
  publishBatch,
  recordEvents,
} from '../../src/store/events.ts';
import { updateWebhook } from '../../src/store/webhooks.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { addWebhook, event, publish, record } from '../webhook/support.ts';

for (const kind of databaseKinds) {
  describe(`events, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      database = await testDatabase(kind);
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(db, 'truncate events, webhooks cascade');
      await run(db, `delete from sub_accounts`);
      await run(db, `insert into sub_accounts (id, name) values ('s1', ''), ('s2', '')`);
    });

    test('W2: an event is there exactly when its transaction was committed', async () => {
      await assert.rejects(
        db.transaction(async (tx) => {
          await recordEvents(tx, [event(1, 'c1')]);
          throw new Error('the effect failed');
        }),
      );
      await record(db, event(2, 'c1'), event(3));
      const found = await rows(db, 'select type, order_keys, data, sequence from events order by ord');
      const common = { type: 'conversation.updated', sequence: null };
      assert.deepEqual(found, [
        { ...common, order_keys: ['c1'], data: { n: 2, keys: ['c1'] } },
        { ...common, order_keys: [], data: { n: 3, keys: [] } },
      ]);
    });

    test('what JSON in the database cannot hold is taken out, and nothing else', async () => {
      const text = 'a\0b \ud83d\ude00 \ud83d c \\u0000 "';
      await record(db, { ...event(1), data: { text } });
      const [found] = await rows<{ data: { text: string } }>(db, 'select data from events');
      assert.equal(found?.data.text, 'ab \ud83d\ude00 � c \\u0000 "');
    });

    test('bodies over 64 KiB are cut at a whole character, HTML is left out, and the event says so', async () => {
      const short = { text: 'x'.repeat(65_536), html: '<p>y</p>', reply_text: '' };
      const long = {
        text: `${'x'.repeat(65_535)}ää`,
        html: 'z'.repeat(65_537),
        reply_text: '€'.repeat(30_000),
      };
      const message = (data: unknown) => ({ ...event(1), type: 'message.created' as const, data });
      await record(db, message(short), message(long), { ...event(1), data: long });
      const found = await rows<{ data: unknown }>(db, 'select data from events order by ord');
      assert.deepEqual(
        found.map(({ data }) => data),
        [
          short,
          {
            text: 'x'.repeat(65_535),
            html: null,
            reply_text: '€'.repeat(21_845),
            bodies_cut: ['text', 'html', 'reply_text'],
          },
          long,
        ],
      );
    });

    test('numbers are given in the order of recording, never twice, also in many batches', async () => {
      const many = Array.from({ length: publicationMax + 5 }, (_, n) => event(n));
      await record(db, ...many);
      const first = await publishBatch(db);
      assert.deepEqual(first, { published: publicationMax, webhooks: [] });
      assert.deepEqual(await publishBatch(db), { published: 5, webhooks: [] });
      assert.deepEqual(await publishBatch(db), { published: 0, webhooks: [] });
      const found = await rows<{ n: number }>(
        db,
        `select (data->>'n')::int as n from events order by sequence`,
      );
      assert.deepEqual(
        found.map(({ n }) => n),
        many.map((_, n) => n),
      );
      const before = await lastSequence(db);
      // A publication that fails takes numbers with it.
      await assert.rejects(
        db.transaction(async (tx) => {
          await recordEvents(tx, [event(1)]);
          await publishBatch(tx);
          throw new Error('broken off');
        }),
      );
      await publish(db, event(7));
      assert.ok(Number(await lastSequence(db)) > Number(before));
    });

    test('webhooks get what they asked for, and disabled ones nothing', async () => {
      const all = await addWebhook(db);
      const typed = await addWebhook(db, { types: ['send.sent', 'send.failed'] });
      const own = await addWebhook(db, { subAccountId: 's1' });
      const off = await addWebhook(db);
      await updateWebhook(db, off.id, { enabled: false });
      const events = [
        { ...event(0), sub_account_id: 's1' },
        { ...event(1), sub_account_id: 's2', type: 'send.sent' as const },
        event(2),
      ];
      await record(db, ...events);
      const done = await publishBatch(db);
      assert.ok(done !== 'busy');
      assert.deepEqual(
        done.webhooks.map(({ id }) => id).sort(),
        [all.id, typed.id, own.id].sort(),
        'these have something now',
      );
      const found = await rows<{ webhook_id: string; n: number }>(
        db,
        `select d.webhook_id, (e.data->>'n')::int as n from deliveries d join events e on e.id = d.event_id
         order by d.seq`,
      );
      const of = (id: string) => found.filter((row) => row.webhook_id === id).map((row) => row.n);
      assert.deepEqual([of(all.id), of(typed.id), of(own.id), of(off.id)], [[0, 1, 2], [1], [0], []]);
    });

    test('a delivery has an id of its own kind: a UUIDv7 of now', async () => {
      await addWebhook(db);
      await publish(db, event(1));
      const [row] = await rows<{ id: string }>(db, 'select id from deliveries');
      const uuid = /^dlv_([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(
        row?.id ?? '',
      );
      assert.ok(uuid, row?.id);
      const madeAt = Number.parseInt(`${uuid[1]}${uuid[2]}`, 16);
      assert.ok(Math.abs(Date.now() - madeAt) < 60_000);
    });

    test('the log is read by number, by type and by sub-account', async () => {
      await publish(
        db,
        { ...event(0), sub_account_id: 's1' },
        { ...event(1), sub_account_id: 's2' },
        { ...event(2), sub_account_id: 's1', type: 'send.sent' },
      );
      await record(db, { ...event(3), sub_account_id: 's1' });
      const read = async (more: Partial<Parameters<typeof listEvents>[1]>) =>
        (await listEvents(db, { after: '0', types: null, subAccountId: null, limit: 10, ...more })).map(
          (found) => (found.data as { n: number }).n,
        );
      assert.deepEqual(await read({}), [0, 1, 2], 'only what is published');
      assert.deepEqual(await read({ subAccountId: 's1' }), [0, 2]);
      assert.deepEqual(await read({ types: ['send.sent', 'send.failed'] }), [2]);
      assert.deepEqual(await read({ limit: 2 }), [0, 1]);
      const [first, second] = await listEvents(db, { after: '0', types: null, subAccountId: null, limit: 2 });
      assert.deepEqual(await read({ after: first?.sequence ?? '' }), [1, 2]);
      assert.equal(await findSequence(db, second?.id ?? '', null), second?.sequence);
      assert.equal(await findSequence(db, second?.id ?? '', 's1'), undefined, "another tenant's");
      const [unpublished] = await rows<{ id: string }>(db, 'select id from events where sequence is null');
      assert.equal(await findSequence(db, unpublished?.id ?? '', null), undefined);
    });
  });
}

describe('events with several sessions, postgres', () => {
  let database: TestDatabase;
  let db: Db;
  before(async () => {
    database = await testDatabase('postgres');
    db = database.db;
  });
  after(() => database.drop());

  test('an event that commits late is not missed by a reader who has seen later ones', async () => {
    const late = await db.transaction();
    await recordEvents(late, [event(1, 'c')]);
    await publish(db, event(2, 'c'));
    const seen = await listEvents(db, { after: '0', types: null, subAccountId: null, limit: 10 });
    assert.deepEqual(
      seen.map(({ data }) => (data as { n: number }).n),
      [2],
    );
    await late.commit();
    await publish(db);
    const after = seen[0]?.sequence ?? '0';
    const more = await listEvents(db, { after, types: null, subAccountId: null, limit: 10 });
    assert.deepEqual(
      more.map(({ data }) => (data as { n: number }).n),
      [1],
      'it has a higher number, though it was recorded first',
    );
  });

  test('one publisher at a time; the others do not wait', async () => {
    const other = await db.transaction();
    await publishBatch(other);
    await record(db, event(3));
    assert.equal(await publishBatch(db), 'busy');
    await other.commit();
    assert.deepEqual(await publishBatch(db), { published: 1, webhooks: [] });
  });
});
