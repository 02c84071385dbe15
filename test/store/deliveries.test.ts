import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { listDueWebhooks, settleDeliveries } from '../../src/store/deliveries.ts';
import type { EndpointNews, SettledDelivery } from '../../src/store/deliveries.ts';
import { listDeliveries, retryDelivery, retryParked } from '../../src/store/delivery-list.ts';
import { claimDeliveries } from '../../src/store/delivery-claims.ts';
import type { ClaimedDelivery, ClaimedLine } from '../../src/store/delivery-claims.ts';
import { publishBatch } from '../../src/store/events.ts';
import type { DeliveryId, WebhookId } from '../../src/lib/id.ts';
import type { ListPart } from '../../src/store/list-part.ts';
import { updateWebhook } from '../../src/store/webhooks.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { addWebhook, event, publish, record, seededRandom } from '../webhook/support.ts';

const delivered = { state: 'delivered', tried: true, status: 200, error: null, delayMs: 0 } as const;
const failed = { state: 'pending', tried: true, status: 500, error: 'the endpoint answered 500' } as const;
const parked = { ...failed, state: 'parked', delayMs: 0 } as const;
const untried = { state: 'pending', tried: false, status: null, error: null, delayMs: 0 } as const;
const hourMs = 3_600_000;
const newest = (limit: number): ListPart => ({ from: null, way: 'older', limit });

function claimLines(db: Db, webhookId: WebhookId, owner = 'n1', limit = 10): Promise<ClaimedLine[]> {
  return claimDeliveries(db, { webhookId, owner, leaseMs: 60_000, limit });
}

/** What may be tried at once; what is behind that is given back. */
async function claim(
  db: Db,
  webhookId: WebhookId,
  owner?: string,
  limit?: number,
): Promise<ClaimedDelivery[]> {
  const lines = await claimLines(db, webhookId, owner, limit);
  const behind = lines.flatMap((line) => line.behind);
  if (behind.length > 0)
    await settle(db, webhookId, all(behind, untried), owner === undefined ? {} : { owner });
  return lines;
}

function settle(
  db: Db,
  webhookId: WebhookId,
  settled: readonly SettledDelivery[],
  more: { owner?: string; news?: EndpointNews } = {},
) {
  return settleDeliveries(db, {
    webhookId,
    owner: more.owner ?? 'n1',
    settled,
    news: more.news ?? { kind: 'untold' },
    pauseMs: (failures) => failures * 1_000,
  });
}

const numbers = (claimed: readonly ClaimedDelivery[]) =>
  claimed.map(({ event: { data } }) => (data as { n: number }).n);
const all = (claimed: readonly ClaimedDelivery[], outcome: Omit<SettledDelivery, 'id'>) =>
  claimed.map(({ id }) => ({ id, ...outcome }));

for (const kind of databaseKinds) {
  describe(`deliveries, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    let hook: WebhookId;
    before(async () => {
      database = await testDatabase(kind);
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(db, 'truncate events, webhooks cascade');
      ({ id: hook } = await addWebhook(db));
    });

    test('W2: in each conversation one at a time, in order; conversations do not wait for each other', async () => {
      await publish(
        db,
        event(0, 'a'),
        event(1, 'a', 'b'),
        event(2, 'b'),
        event(3, 'c'),
        event(4),
        event(5, 'a'),
      );
      const first = await claim(db, hook);
      assert.deepEqual(numbers(first), [0, 3, 4]);
      assert.deepEqual(await claim(db, hook, 'n2'), []);
      await settle(db, hook, all(first, delivered));
      const second = await claim(db, hook);
      assert.deepEqual(numbers(second), [1], '2 waits for it by b, 5 by a');
      await publish(db, event(6, 'b'), event(7, 'c'));
      assert.deepEqual(numbers(await claim(db, hook, 'n2')), [7]);
      await settle(db, hook, all(second, delivered));
      assert.deepEqual(numbers(await claim(db, hook)), [2, 5]);
    });

    test('W2: what is right behind one in its only conversation is claimed with it', async () => {
      await publish(
        db,
        event(0, 'a'),
        event(1, 'a'),
        event(2, 'a'),
        event(3, 'a', 'b'),
        event(4, 'a'),
        event(5),
      );
      const lines = await claimLines(db, hook);
      assert.deepEqual(
        lines.map((line) => [...numbers([line]), ...numbers(line.behind)]),
        [[0, 1, 2], [5]],
        '3 is in another conversation, too, and 4 is behind it',
      );
      assert.deepEqual(
        lines[0]?.behind.map(({ attempts }) => attempts),
        [1, 1],
      );
      assert.deepEqual(await claim(db, hook, 'n2'), []);
      const [first, second, third] = [lines[0], ...(lines[0]?.behind ?? [])];
      assert.ok(first && second && third);
      await settle(db, hook, [
        { id: third.id, ...untried },
        { id: second.id, ...failed, delayMs: hourMs },
        { id: first.id, ...delivered },
      ]);
      assert.deepEqual(await claim(db, hook), [], 'the second is put off, and holds up the third');
      await run(db, `update deliveries set due_at = now() where due_at < 'infinity'`);
      const [again] = await claimLines(db, hook);
      assert.deepEqual([again?.attempts, ...(again?.behind ?? []).map(({ attempts }) => attempts)], [2, 1]);
    });

    test('W2: one that was put off behind another waits as long as that one does', async () => {
      await publish(db, event(0, 'a'), event(1, 'a'));
      const [first] = await claimLines(db, hook);
      const [second] = first?.behind ?? [];
      assert.ok(first && second);
      await run(db, `update deliveries set lease_until = now() - interval '1 ms' where id = :id`, {
        id: first.id,
      });
      const [taken] = await claimLines(db, hook, 'n2');
      assert.deepEqual([taken?.id, taken?.behind], [first.id, []], 'the second is still held');
      await settle(db, hook, [{ id: second.id, ...failed, delayMs: 0 }]);
      assert.deepEqual(await claim(db, hook), []);
      await settle(db, hook, all([first], delivered), { owner: 'n2' });
      assert.deepEqual(numbers(await claim(db, hook)), [1]);
    });

    test('webhooks do not wait for each other', async () => {
      const other = await addWebhook(db);
      await publish(db, event(0, 'a'), event(1, 'a'));
      const held = await claim(db, hook);
      const claimed = await claim(db, other.id);
      assert.deepEqual([numbers(held), numbers(claimed)], [[0], [0]]);
      await settle(db, other.id, all(claimed, delivered));
      assert.deepEqual(numbers(await claim(db, other.id)), [1]);
      assert.deepEqual(await claim(db, hook), []);
    });

    test('a claim brings all that the request needs', async () => {
      await publish(db, event(0, 'a'));
      const [claimed] = await claim(db, hook);
      assert.ok(claimed);
      assert.deepEqual(claimed.event.data, { n: 0, keys: ['a'] });
      assert.match(claimed.event.id, /^evt_/);
      assert.ok(Number(claimed.event.sequence) > 0);
      assert.equal(claimed.webhook.url, 'http://127.0.0.1:9/');
      assert.equal(claimed.attempts, 1);
    });

    test('a postponed head holds its conversation; a parked one lets it go on', async () => {
      await publish(db, event(0, 'a'), event(1, 'a'), event(2, 'a'));
      const head = await claim(db, hook);
      await settle(db, hook, all(head, { ...failed, delayMs: hourMs }));
      assert.deepEqual(await claim(db, hook), []);
      assert.deepEqual(await listDueWebhooks(db), []);
      await run(db, `update deliveries set due_at = now() where due_at < 'infinity'`);
      assert.deepEqual(await listDueWebhooks(db), [{ id: hook, failures: 0 }]);
      const again = await claim(db, hook);
      assert.deepEqual([numbers(again), again[0]?.attempts], [[0], 2]);
      await settle(db, hook, all(again, parked));
      assert.deepEqual(numbers(await claim(db, hook)), [1]);
    });

    test('what is given back untried keeps its attempts and what was last said of it', async () => {
      await publish(db, event(0, 'a'));
      await settle(db, hook, all(await claim(db, hook), { ...failed, delayMs: 0 }));
      await settle(db, hook, all(await claim(db, hook), untried));
      const [row] = await listDeliveries(db, { webhookId: hook, state: null }, newest(1));
      assert.deepEqual(
        [row?.attempts, row?.lastStatus, row?.lastError],
        [1, 500, 'the endpoint answered 500'],
      );
    });

    test('who has lost the lease settles nothing', async () => {
      await publish(db, event(0, 'a'), event(1, 'a'));
      const lost = await claim(db, hook, 'dead');
      await run(db, `update deliveries set lease_until = now() - interval '1 ms' where lease_owner = 'dead'`);
      assert.deepEqual(await listDueWebhooks(db), [{ id: hook, failures: 0 }]);
      const taken = await claim(db, hook, 'other');
      assert.deepEqual(numbers(taken), [0]);
      await settle(db, hook, all(lost, delivered), { owner: 'dead' });
      assert.deepEqual(await claim(db, hook), [], 'it is still being delivered by the other node');
      await settle(db, hook, all(taken, delivered), { owner: 'other' });
      assert.deepEqual(numbers(await claim(db, hook)), [1]);
    });

    test('a parked or delivered one is put back behind what its conversation has waiting', async () => {
      await publish(db, event(0, 'a'), event(1, 'a'), event(2, 'b'));
      const [head, other] = await claim(db, hook);
      assert.ok(head && other);
      await settle(db, hook, [
        { id: head.id, ...parked },
        { id: other.id, ...delivered },
      ]);
      const retried = await retryDelivery(db, { webhookId: hook, id: head.id });
      assert.deepEqual([retried?.state, retried?.attempts, retried?.nextAttemptAt], ['pending', 0, null]);
      const next = await claim(db, hook);
      assert.deepEqual(numbers(next), [1]);
      await settle(db, hook, all(next, delivered));
      assert.deepEqual(numbers(await claim(db, hook)), [0]);
      const twice = await retryDelivery(db, { webhookId: hook, id: other.id });
      assert.equal(twice?.state, 'pending');
      assert.deepEqual(numbers(await claim(db, hook)), [2]);
    });

    test('a retry of one that is put off makes it due; of one that waits or runs it changes nothing', async () => {
      await publish(db, event(0, 'a'), event(1, 'a'));
      const [head] = await claim(db, hook);
      assert.ok(head);
      const [waiting] = await listDeliveries(db, { webhookId: hook, state: 'pending' }, newest(1));
      for (const id of [head.id, waiting?.id ?? '']) await retryDelivery(db, { webhookId: hook, id });
      assert.deepEqual(await claim(db, hook), []);
      await settle(db, hook, all([head], { ...failed, delayMs: hourMs }));
      await run(db, `update webhooks set paused_until = now() + interval '1 hour' where id = :hook`, {
        hook,
      });
      assert.deepEqual(await listDueWebhooks(db), []);
      await retryDelivery(db, { webhookId: hook, id: head.id });
      assert.deepEqual(
        (await listDueWebhooks(db)).map(({ id }) => id),
        [hook],
        'its pause is over too',
      );
      assert.deepEqual(numbers(await claim(db, hook)), [0]);
      const foreign = await addWebhook(db);
      assert.equal(await retryDelivery(db, { webhookId: foreign.id, id: head.id }), undefined);
    });

    test('the list: newest first, by state, page by page', async () => {
      await publish(db, event(0), event(1), event(2));
      const [first, second] = await claim(db, hook, 'n1', 2);
      assert.ok(first && second);
      await settle(db, hook, [
        { id: first.id, ...delivered },
        { id: second.id, ...parked },
      ]);
      const list = (state: 'parked' | null, part: Partial<ListPart> = {}) =>
        listDeliveries(db, { webhookId: hook, state }, { ...newest(10), ...part });
      const found = await list(null);
      assert.deepEqual(
        found.map(({ state, lastStatus }) => [state, lastStatus]),
        [
          ['pending', null],
          ['parked', 500],
          ['delivered', 200],
        ],
      );
      assert.ok(found[2]?.deliveredAt && !found[1]?.deliveredAt && found[0]?.nextAttemptAt);
      assert.deepEqual(await list('parked'), [found[1]]);
      const from = found[1]?.seq ?? '';
      assert.deepEqual(await list(null, { from }), [found[2]]);
      assert.deepEqual(await list(null, { from, way: 'newer' }), [found[0]]);
      assert.deepEqual(await list(null, { limit: 1 }), [found[0]]);
      assert.deepEqual(await list(null, { from: found[2]?.seq ?? '', way: 'newer' }), found.slice(0, 2));
    });

    test('a retry of all that are parked: in their order, behind what waits, and nothing else', async () => {
      await publish(db, event(0, 'a'), event(1, 'b'), event(2), event(3, 'b'), event(4, 'a'), event(5, 'c'));
      for (let found = await claim(db, hook); found.length > 0; found = await claim(db, hook))
        for (const each of found)
          await settle(db, hook, all([each], numbers([each])[0] === 5 ? delivered : parked));
      await publish(db, event(6, 'a'));
      await run(db, `update webhooks set paused_until = now() + interval '1 hour' where id = :hook`, {
        hook,
      });
      assert.equal(await retryParked(db, hook), 5);
      assert.equal(await retryParked(db, hook), 0);
      assert.equal((await listDueWebhooks(db)).length, 1, 'its pause is over');
      const order: number[] = [];
      for (let found = await claim(db, hook); found.length > 0; found = await claim(db, hook)) {
        order.push(...numbers(found));
        await settle(db, hook, all(found, delivered));
      }
      const ofKey = (...of: number[]) => order.filter((n) => of.includes(n));
      assert.deepEqual(new Set(order), new Set([0, 1, 2, 3, 4, 6]));
      assert.equal(order.length, 6);
      assert.deepEqual(
        [ofKey(0, 4, 6), ofKey(1, 3)],
        [
          [6, 0, 4],
          [1, 3],
        ],
      );
      assert.equal(await retryParked(db, 'whk_none'), 0);
    });

    describe('what a round tells of the endpoint', () => {
      const webhookRow = async () => {
        const [row] = await rows<{ enabled: boolean; failures: number; paused: boolean | null }>(
          db,
          'select enabled, failures, paused_until > now() as paused from webhooks where id = :hook',
          { hook },
        );
        return row;
      };

      test('failing: it is paused for longer each time, and nothing of it is due', async () => {
        await publish(db, event(0), event(1));
        const failing = { kind: 'failing', newly: true } as const;
        assert.deepEqual(await settle(db, hook, [], { news: failing }), {
          enabled: true,
          failures: 1,
          pausedMs: 1_000,
        });
        assert.deepEqual(await settle(db, hook, [], { news: failing }), {
          enabled: true,
          failures: 2,
          pausedMs: 2_000,
        });
        assert.deepEqual(await listDueWebhooks(db), []);
        await record(db, event(2));
        const done = await publishBatch(db);
        assert.deepEqual(done, { published: 1, webhooks: [] }, 'nobody is woken for it');
        await run(db, `update webhooks set paused_until = now() - interval '1 ms'`);
        assert.deepEqual(await listDueWebhooks(db), [{ id: hook, failures: 2 }]);
      });

      test('failing again, by a delivery that is known to fail: a working endpoint is not paused for it', async () => {
        const known = { kind: 'failing', newly: false } as const;
        assert.deepEqual(await settle(db, hook, [], { news: known }), {
          enabled: true,
          failures: 0,
          pausedMs: 0,
        });
        await settle(db, hook, [], { news: { kind: 'failing', newly: true } });
        const after = await settle(db, hook, [], { news: known });
        assert.equal(after?.failures, 1, 'one that is down is, and the count stays');
        assert.deepEqual(await webhookRow(), { enabled: true, failures: 1, paused: true });
      });

      test('answering after it was down: all that was put off is due at once', async () => {
        await publish(db, event(0, 'a'), event(1, 'b'), event(2, 'b'));
        await settle(db, hook, all(await claim(db, hook), { ...failed, delayMs: hourMs }));
        for (let n = 0; n < 2; n += 1) await settle(db, hook, [], { news: { kind: 'failing', newly: true } });
        const state = await settle(db, hook, [], { news: { kind: 'answered' } });
        assert.deepEqual(state, { enabled: true, failures: 0, pausedMs: 0 });
        assert.deepEqual(numbers(await claim(db, hook)), [0, 1], '2 still waits for 1');
      });

      test('410: it gets nothing more; enabled again it gets what it has waiting', async () => {
        await publish(db, event(0, 'a'));
        await settle(db, hook, all(await claim(db, hook), { ...failed, status: 410, delayMs: 0 }), {
          news: { kind: 'gone' },
        });
        assert.deepEqual(await webhookRow(), { enabled: false, failures: 0, paused: null });
        assert.deepEqual(await listDueWebhooks(db), []);
        await publish(db, event(1, 'b'));
        await updateWebhook(db, hook, { enabled: true });
        assert.deepEqual(await listDueWebhooks(db), [{ id: hook, failures: 0 }]);
        assert.deepEqual(numbers(await claim(db, hook)), [0], 'not what happened in between');
      });

      test('a webhook that was deleted meanwhile', async () => {
        await run(db, 'delete from webhooks');
        assert.equal(await settle(db, hook, []), undefined);
      });
    });

    for (const seed of [1, 2]) {
      test(`any history keeps the order of each key and loses nothing (seed ${seed})`, () =>
        history(db, hook, seed));
    }
  });
}

/** Nodes deliver, fail, park and die while events are published beside them. */
async function history(db: Db, hook: WebhookId, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = (max: number) => Math.floor(random() * max);
  const keysOf = Array.from({ length: 80 }, () => [
    ...new Set(Array.from({ length: pick(3) + 1 }, () => `k${pick(6)}`)),
  ]);
  const finished: number[] = [];
  let published = 0;
  for (let step = 0; finished.length < keysOf.length; step += 1) {
    assert.ok(step < 3_000, `stuck after ${finished.join(' ')}`);
    const batch = keysOf
      .slice(published, published + pick(6))
      .map((keys, n) => event(published + n, ...keys));
    published += batch.length;
    const owner = `n${pick(3)}`;
    // At once: a row must not be made to wait for one that is finished in the same moment.
    const [lines] = await Promise.all([claimLines(db, hook, owner, pick(5) + 1), publish(db, ...batch)]);
    const settled = lines.flatMap(({ behind, ...first }) => {
      const line = fateOf([first, ...behind], random);
      for (const { delivery, outcome } of line) {
        if (outcome.state !== 'pending') finished.push(...numbers([delivery]));
      }
      return line.map(({ delivery, outcome }): SettledDelivery => ({ id: delivery.id, ...outcome }));
    });
    const next = keysOf.slice(published, published + pick(3)).map((keys, n) => event(published + n, ...keys));
    published += next.length;
    await Promise.all([settle(db, hook, settled, { owner }), publish(db, ...next)]);
    await run(
      db,
      `update deliveries set lease_until = now() - interval '1 ms' where lease_owner is not null`,
    );
  }
  for (const key of ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']) {
    const expected = keysOf.flatMap((keys, n) => (keys.includes(key) ? [n] : []));
    assert.deepEqual(
      finished.filter((n) => expected.includes(n)),
      expected,
      `key ${key}`,
    );
  }
  assert.deepEqual(await rows(db, 'select 1 from delivery_keys'), [], 'no key is left behind');
}

/** One after the other is tried, as long as each is delivered; then the others are given back, or lost with their node. */
function fateOf(
  line: readonly ClaimedDelivery[],
  random: () => number,
): { delivery: ClaimedDelivery; outcome: Omit<SettledDelivery, 'id'> }[] {
  const [delivery, ...behind] = line;
  const fate = random();
  if (delivery === undefined || fate < 0.1) return [];
  const outcome = fate < 0.7 ? delivered : fate < 0.75 ? parked : { ...failed, delayMs: 0 };
  const givesBack = fate < 0.9 ? behind.map((each) => ({ delivery: each, outcome: untried })) : [];
  return [
    { delivery, outcome },
    ...(outcome.state === 'delivered' && fate < 0.6 ? fateOf(behind, random) : givesBack),
  ];
}

describe('a row that comes while the one before it is being finished, postgres', () => {
  let database: TestDatabase;
  let db: Db;
  let hook: WebhookId;
  before(async () => {
    database = await testDatabase('postgres');
    db = database.db;
  });
  after(() => database.drop());
  beforeEach(async () => {
    await run(db, 'truncate events, webhooks cascade');
    ({ id: hook } = await addWebhook(db));
    await publish(db, event(0, 'a'));
  });

  /** Until `work` has ended, or waits for a lock that somebody else holds. */
  async function heldUpOrDone(work: Promise<unknown>): Promise<void> {
    let done = false;
    const ended = work.then(() => (done = true));
    await waitFor('it to wait or to end', async () => {
      const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
      return done || (await rows(db, waiting)).length > 0;
    });
    void ended;
  }

  test('published before the end of the other transaction, it does not wait for ever', async () => {
    const finishing = await db.transaction();
    await settle(finishing, hook, all(await claim(db, hook), delivered));
    await record(db, event(1, 'a'));
    const publishing = publishBatch(db);
    await heldUpOrDone(publishing);
    await finishing.commit();
    await publishing;
    assert.deepEqual(numbers(await claim(db, hook)), [1]);
  });

  test('nor when its own transaction ends after that of the other', async () => {
    const head = await claim(db, hook);
    await record(db, event(1, 'a'));
    const publishing = await db.transaction();
    await publishBatch(publishing);
    const finishing = settle(db, hook, all(head, delivered));
    await heldUpOrDone(finishing);
    await publishing.commit();
    await finishing;
    assert.deepEqual(numbers(await claim(db, hook)), [1]);
  });
});

describe('a hundred thousand deliveries behind an endpoint that is down, postgres', () => {
  let database: TestDatabase;
  let db: Db;
  let hook: WebhookId;
  before(async () => {
    database = await testDatabase('postgres');
    db = database.db;
    ({ id: hook } = await addWebhook(db));
    // Statistics of a moment when the tables were nearly empty, as a burst finds them.
    await publish(db, event(0, 'one for all'));
    await run(db, 'vacuum analyze');
    await run(
      db,
      `insert into events (id, type, order_keys, data)
       select 'evt_' || n, 'conversation.updated', array['k' || (n % 2000), 'one for all'], json_build_object('n', n)
       from generate_series(1, 50000) n
       union all
       select 'evt_' || n, 'conversation.updated', array['k' || (n % 2000)], json_build_object('n', n)
       from generate_series(50001, 100000) n`,
    );
    await publish(db);
  });
  after(() => database.drop());

  test('a claim reads a few pages, by the index of what is due', async () => {
    assert.deepEqual(numbers(await claim(db, hook, 'n1', 1)), [0]);
    // 99,999 of them wait: for the one that is held, and for each other.
    const read = await readBy(db, async (tx) => assert.deepEqual(await claim(tx, hook, 'n2', 8), []));
    assert.ok(read.pages < 50, `${read.pages} pages`);
    assert.deepEqual(read.indexes, ['deliveries_due']);
  });

  test('finishing one lets the next go without reading those behind it', async () => {
    const [row] = await rows<{ id: DeliveryId }>(db, `select id from deliveries where lease_owner = 'n1'`);
    assert.ok(row);
    const read = await readBy(db, (tx) => settle(tx, hook, [{ id: row.id, ...delivered }]));
    assert.ok(read.pages < 150, `${read.pages} pages`);
    const claimed = await claim(db, hook, 'n1', 8);
    assert.deepEqual(numbers(claimed), [1], 'all others have a key of it');
  });
});

/** What was touched of the tables of deliveries: pages, and the indexes that were searched. */
async function readBy(
  db: Db,
  work: (tx: Db) => Promise<unknown>,
): Promise<{ pages: number; indexes: string[] }> {
  return db.transaction(async (tx) => {
    const count = () =>
      rows<{ name: string; pages: number; scans: number }>(
        tx,
        `select relname as name, pg_stat_get_xact_blocks_fetched(oid)::int as pages,
                case when relkind = 'i' then pg_stat_get_xact_numscans(oid)::int else 0 end as scans
         from pg_class where relname like 'deliver%' and relkind in ('r', 'i') order by relname`,
      );
    const before = await count();
    await work(tx);
    const after = await count();
    const more = after.map(({ name, pages, scans }, n) => ({
      name,
      pages: pages - (before[n]?.pages ?? 0),
      scans: scans - (before[n]?.scans ?? 0),
    }));
    return {
      pages: more.reduce((sum, { pages }) => sum + pages, 0),
      indexes: more.filter(({ scans }) => scans > 0).map(({ name }) => name),
    };
  });
}
