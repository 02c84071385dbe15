import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { idFrom } from '../../src/lib/id.ts';
import type { DeliveryId, WebhookId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { retryDelivery, retryParked } from '../../src/store/delivery-list.ts';
import { dropPastEvents, listHoldingUp, readDroppedEvents } from '../../src/store/event-retention.ts';
import { publishBatch, recordEvents } from '../../src/store/events.ts';
import { dropPast, keptSince, makePartitions, makePartitionsPatiently } from '../../src/store/partitions.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { addWebhook, event } from '../webhook/support.ts';

/** In UTC. */
const day = (month: number, date: number) => Date.UTC(2019, month - 1, date);
const [december, january, february] = [day(0, 20), day(1, 20), day(2, 20)];

for (const kind of databaseKinds) {
  describe(`partitions, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      // Rows by hand, of which only the time counts.
      const breaks = ['decision_names_message', 'decision_has_place', 'send_has_decision', 'send_is_known'];
      database = await testDatabase(kind, { breaks });
      db = database.db;
    });
    after(async () => {
      await run(db, 'truncate sub_accounts, webhooks, events, deliveries, threads cascade');
      await database.drop();
    });
    beforeEach(async () => {
      await run(db, 'truncate sub_accounts, webhooks, events, deliveries, kept_since cascade');
      await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
      for (const month of [december, january]) assert.deepEqual(await makePartitions(db, month), []);
    });

    const partitionsOf = async (table: string, years = '2018|2019') =>
      (
        await rows<{ name: string }>(
          db,
          `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = :table::regclass and c.relname ~ :years order by 1`,
          { table, years },
        )
      ).map(({ name }) => name);

    const waitingFor = async (table: string) =>
      (await rows(db, `select from pg_locks where relation = :table::regclass and not granted`, { table }))
        .length;

    const decide = (at: number, name: string, lasting = false) =>
      run(
        db,
        `insert into decisions (id, sub_account_id, outcome, reason, reasons, lasting)
         values (:id, 'acme', 'skipped', 'no_match', '[]', :lasting)`,
        { id: `${idFrom('dec', at)}-${name}`, lasting },
      );
    const decided = async () =>
      (await rows<{ id: string }>(db, 'select id from decisions order by id')).map(({ id }) => id.slice(18));

    test('a month has one for itself, and so has the next; they are made once', async () => {
      assert.deepEqual(await partitionsOf('events'), ['events_2018_12', 'events_2019_01', 'events_2019_02']);
      assert.deepEqual(await makePartitions(db, january), []);
      await decide(day(1, 1), 'first');
      await decide(day(2, 1) - 1, 'last');
      await decide(day(2, 1), 'next');
      const found = await rows<{ place: string }>(
        db,
        'select tableoid::regclass::text as place from decisions order by id',
      );
      assert.deepEqual(
        found.map(({ place }) => place),
        ['decisions_left_out_2019_01', 'decisions_left_out_2019_01', 'decisions_left_out_2019_02'],
      );
    });

    if (kind === 'postgres') {
      test('a start waits for whoever holds the tables, and says what to do when that has no end', async () => {
        const month = Date.UTC(2030, 6, 1);
        const clock = { ...systemClock, now: () => month };
        const held = Promise.withResolvers<void>();
        const isHeld = Promise.withResolvers<void>();
        const holding = db.transaction(async (tx) => {
          await tx.raw('lock table events in share mode');
          isHeld.resolve();
          await held.promise;
        });
        await isHeld.promise;
        await assert.rejects(makePartitionsPatiently(db, clock, 0), /pg_stat_activity.*start again/);
        assert.ok(!(await partitionsOf('events', '2030')).includes('events_2030_07'));
        const making = makePartitionsPatiently(db, clock);
        await waitFor('it to wait', async () => (await waitingFor('events')) > 0);
        await waitFor('it to have let others through', async () => (await waitingFor('events')) === 0);
        held.resolve();
        await holding;
        await making;
        assert.ok((await partitionsOf('events', '2030')).includes('events_2030_07'));
      });
    }

    test('T1: of mail that was left out decisions go, month by month; what lasts stays, and what is younger', async () => {
      await decide(january, 'past');
      await decide(january, 'passed');
      await decide(january, 'lasting', true);
      await decide(february, 'young');
      assert.equal(await keptSince(db, 'decisions'), null);
      assert.deepEqual(await dropPast(db, 'decisions', day(2, 1) - 1), ['decisions_left_out_2018_12']);
      assert.deepEqual(await decided(), ['past', 'passed', 'lasting', 'young'].sort());
      assert.deepEqual(await dropPast(db, 'decisions', day(2, 27)), ['decisions_left_out_2019_01']);
      assert.deepEqual(await decided(), ['lasting', 'young']);
      assert.equal(await keptSince(db, 'decisions'), day(2, 1));
      assert.deepEqual(await partitionsOf('events'), ['events_2018_12', 'events_2019_01', 'events_2019_02']);
    });

    if (kind === 'postgres') {
      test('a query that has the table in hand, and not yet the partition, is let through', async () => {
        await decide(january, 'past');
        let dropping: Promise<string[]> | undefined;
        await db.transaction(async (tx) => {
          await run(tx, 'lock table only decisions_left_out in access share mode');
          dropping ??= dropPast(db, 'decisions', day(2, 1));
          await waitFor('the drop waits', async () => {
            const waiting = await rows(
              db,
              `select from pg_locks where not granted and database = (
                 select oid from pg_database where datname = current_database())`,
            );
            return waiting.length > 0;
          });
          assert.equal((await rows(tx, 'select from decisions')).length, 1);
        });
        assert.deepEqual(await dropping, ['decisions_left_out_2018_12', 'decisions_left_out_2019_01']);
      });
    }

    test('what no partition was made for is kept as long, and keeps nothing from being made', async () => {
      await decide(day(6, 10), 'stray');
      assert.deepEqual(await makePartitions(db, day(6, 1)), ['decisions_left_out_2019_06']);
      assert.ok((await partitionsOf('events')).includes('events_2019_06'));
      await dropPast(db, 'decisions', day(6, 20));
      assert.deepEqual(await decided(), ['stray']);
      await dropPast(db, 'decisions', day(7, 1));
      assert.deepEqual(await decided(), []);
    });

    test('D5: tries of a send go when it is over, and not before', async () => {
      const id = `${idFrom('snd', january)}-1`;
      await run(
        db,
        `insert into threads (id, sub_account_id, subject, opened_by) values ('t', 'acme', '', 'crm_send')`,
      );
      await run(
        db,
        `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to, recipients_cc,
           recipients_bcc, subject, date, received_at)
         values ('m', 'acme', 't', 'outbound', '{crm}', '{}', '[]', '[]', '[]', '', now(), now())`,
      );
      await run(
        db,
        `insert into sends (id, sub_account_id, message_id, user_id, route, state, envelope, internet_message_id,
           raw_sha256, raw_size, order_keys)
         values (:id, 'acme', 'm', 'u', '{}', 'queued', '{}', 'x', 'x', 1, '{}')`,
        { id },
      );
      await run(
        db,
        'insert into send_attempts (send_id, n, started_at) values (:id, 1, now()), (:id, 2, now())',
        { id },
      );
      assert.deepEqual(await dropPast(db, 'send_attempts', day(3, 1)), ['send_attempts_2018_12']);
      await run(db, `update sends set ready = false, state = 'sent'`);
      assert.deepEqual(await dropPast(db, 'send_attempts', day(3, 1)), [
        'send_attempts_2019_01',
        'send_attempts_2019_02',
      ]);
      assert.deepEqual(await rows(db, 'select from send_attempts'), []);
      // A person has it tried again, long after.
      await run(db, `update sends set ready = true, state = 'queued'`);
      await run(db, 'insert into send_attempts (send_id, n, started_at) values (:id, 1, now())', { id });
      await dropPast(db, 'send_attempts', day(3, 1));
      assert.equal((await rows(db, 'select from send_attempts')).length, 1);
      await run(db, `update sends set ready = false, state = 'sent'`);
      await dropPast(db, 'send_attempts', day(3, 1));
      assert.deepEqual(await rows(db, 'select from send_attempts'), []);
    });

    describe('W2: events', () => {
      let hook: WebhookId;
      beforeEach(async () => {
        ({ id: hook } = await addWebhook(db));
      });

      /** Events of a time in the past, with their deliveries in a state. */
      const tell = async (at: number, state: 'pending' | 'delivered' | 'parked', count = 1) => {
        await recordEvents(
          db,
          Array.from({ length: count }, (_, n) => event(n)),
        );
        await publishBatch(db);
        const moved = { start: idFrom('evt', at), recent: idFrom('evt', day(12, 31)) };
        await run(db, `update events set id = :start || right(id, 23) where id >= :recent`, moved);
        await run(
          db,
          `update deliveries set event_id = :start || right(event_id, 23) where event_id >= :recent`,
          moved,
        );
        if (state === 'pending') return;
        await run(
          db,
          `update deliveries set state = :state, ready = false, due_at = now(),
                  delivered_at = case when :state = 'delivered' then now() end where ready`,
          { state },
        );
        await run(db, 'delete from delivery_keys');
      };
      const left = async () =>
        (
          await rows<{ n: number; deliveries: number }>(
            db,
            `select count(*)::int as n, (select count(*) from deliveries)::int as deliveries from events`,
          )
        )[0];

      test('they go with their deliveries, and it is told which of those had been given up', async () => {
        await tell(january, 'delivered', 2);
        await tell(january, 'parked', 3);
        await tell(february, 'delivered');
        const [last] = await rows<{ sequence: string }>(
          db,
          'select max(sequence) as sequence from events where id < :end',
          { end: idFrom('evt', day(2, 1)) },
        );
        const past = await dropPastEvents(db, day(2, 10));
        assert.deepEqual(past, {
          dropped: ['events_2018_12', 'events_2019_01'],
          undelivered: [{ webhookId: hook, count: 3 }],
        });
        assert.deepEqual(await left(), { n: 1, deliveries: 1 });
        assert.deepEqual(await readDroppedEvents(db), {
          since: new Date(day(2, 1)),
          sequence: last?.sequence,
        });
      });

      test('they stay while one of them is still to be delivered, and while one has no number', async () => {
        await tell(january, 'parked');
        await tell(february, 'delivered');
        await tell(january, 'pending');
        assert.deepEqual((await dropPastEvents(db, day(3, 1))).dropped, ['events_2018_12']);
        assert.deepEqual(await left(), { n: 3, deliveries: 3 });
        assert.deepEqual(await listHoldingUp(db, Date.now() + 1_000), [{ webhookId: hook, enabled: true }]);
        await run(db, `update deliveries set state = 'parked', ready = false where ready`);
        await run(db, 'delete from delivery_keys');
        await run(db, 'update events set sequence = null where id = (select min(id) from events)');
        assert.deepEqual((await dropPastEvents(db, day(3, 1))).dropped, []);
        assert.deepEqual(await listHoldingUp(db, Date.now() + 1_000), []);
        await run(db, `update events set sequence = nextval('event_numbers') where sequence is null`);
        assert.equal((await dropPastEvents(db, day(3, 1))).undelivered[0]?.count, 2);
      });

      test('those without a partition of their month go as well, each unless it is still to be delivered', async () => {
        const state = async () => {
          const found = await rows<{ state: string }>(
            db,
            'select d.state from events e join deliveries d on d.event_id = e.id order by 1',
          );
          return found.map((each) => each.state);
        };
        const strays = day(6, 10) - 3 * 365 * 86_400_000;
        await tell(strays, 'delivered');
        await tell(strays, 'parked', 2);
        await tell(strays, 'pending');
        const [last] = await rows<{ sequence: string }>(
          db,
          `select max(sequence) as sequence from events e join deliveries d on d.event_id = e.id where not d.ready`,
        );
        const past = await dropPastEvents(db, day(1, 10));
        assert.deepEqual(past.undelivered, [{ webhookId: hook, count: 2 }]);
        assert.deepEqual(await state(), ['pending']);
        assert.deepEqual(await left(), { n: 1, deliveries: 1 });
        assert.deepEqual(await readDroppedEvents(db), {
          since: new Date(day(1, 1)),
          sequence: last?.sequence,
        });
      });

      test('what somebody asks to be tried again meanwhile is delivered first', async () => {
        await tell(january, 'parked');
        assert.equal(await retryParked(db, hook), 1);
        assert.deepEqual((await dropPastEvents(db, day(3, 1))).dropped, ['events_2018_12']);
        const [delivery] = await rows<{ id: DeliveryId }>(db, 'select id from deliveries where ready');
        assert.ok(delivery);
      });

      for (const [table, at] of [
        ['events_2019_01', january],
        ['events_default', day(6, 10) - 3 * 365 * 86_400_000],
      ] as const)
        test(`what is tried again while events are dropped, and over before they are, leaves no delivery without its event: ${table}`, async () => {
          await tell(at, 'parked', 2);
          const [first] = await rows<{ id: DeliveryId }>(db, 'select id from deliveries order by seq');
          assert.ok(first);
          const clearing = (statement: string) =>
            statement.includes(table) && statement.includes('delete from deliveries');
          const past = await dropPastEvents(
            meanwhile(db, clearing, {
              before: () => retryDelivery(db, { webhookId: hook, id: first.id }),
              after: () => run(db, `update deliveries set state = 'delivered', ready = false where ready`),
            }),
            day(3, 1),
          );
          assert.equal(past.undelivered[0]?.count, 1);
          const told = await rows<{ id: string }>(
            db,
            'select d.id from deliveries d join events e on e.id = d.event_id',
          );
          assert.deepEqual(told, [first], 'what was tried again stays, with its event');
          assert.equal((await left())?.deliveries, 1);
          await run(db, 'delete from delivery_keys');
          await dropPastEvents(db, day(3, 1));
          assert.deepEqual(await left(), { n: 0, deliveries: 0 }, 'until the next round');
        });
    });
  });
}

/** A database to which something happens before and after the first raw statement that fits. */
function meanwhile(
  db: Db,
  fits: (statement: string) => boolean,
  { before, after }: { before(): Promise<unknown>; after(): Promise<unknown> },
): Db {
  let isDone = false;
  const between = async (statement: string, values: Record<string, unknown>) => {
    await before();
    const result: unknown = await db.raw(statement, values as never);
    await after();
    return result;
  };
  const raw = (statement: string, values: Record<string, unknown> = {}): unknown => {
    if (isDone || !fits(statement)) return db.raw(statement, values as never);
    isDone = true;
    return between(statement, values);
  };
  return new Proxy(db, {
    get: (target, name) => (name === 'raw' ? raw : Reflect.get(target, name)) as never,
  });
}
