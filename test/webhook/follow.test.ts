import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import type { PublishedEvent } from '../../src/store/deliveries.ts';
import { createEventSignal, followEvents } from '../../src/webhook/follow.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { event, publish, record } from './support.ts';

const numberOf = ({ data }: PublishedEvent) => (data as { n: number }).n;

for (const kind of databaseKinds) {
  describe(`following the log, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      database = await testDatabase(kind);
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(() => run(db, 'truncate events cascade'));

    test(
      'nothing is missed or doubled between what was there and what comes',
      { timeout: 60_000 },
      async () => {
        const eventSignal = createEventSignal();
        const stop = new AbortController();
        const total = 1_500;
        const write = async () => {
          for (let n = 0; n < total; n += 50) {
            await publish(db, ...Array.from({ length: 50 }, (_, more) => event(n + more)));
            eventSignal.ring();
          }
        };
        const writing = write();
        const read: number[] = [];
        const query = { after: '0', types: null, subAccountId: null };
        for await (const { events } of followEvents(
          { db, clock: systemClock, eventSignal },
          query,
          stop.signal,
        )) {
          read.push(...events.map(numberOf));
          if (read.length >= total) break;
        }
        await writing;
        assert.deepEqual(
          read,
          Array.from({ length: total }, (_, n) => n),
        );
      },
    );
  });
}

describe('following the log', () => {
  let database: TestDatabase;
  let db: Db;
  before(async () => {
    database = await testDatabase('pglite');
    db = database.db;
  });
  after(() => database.drop());
  beforeEach(() => run(db, 'truncate events cascade'));

  const start = (query: Partial<Parameters<typeof followEvents>[1]> = {}) => {
    const clock = createManualClock();
    const eventSignal = createEventSignal();
    const stop = new AbortController();
    const pages = followEvents(
      { db, clock, eventSignal },
      { after: '0', types: null, subAccountId: null, ...query },
      stop.signal,
    );
    return { clock, eventSignal, stop, pages };
  };
  const sleeper = async (clock: ReturnType<typeof createManualClock>) => {
    while (clock.sleeping() === 0) await new Promise((resolve) => setImmediate(resolve));
  };

  test('a ring brings what is new at once; what another node published comes within a second', async () => {
    const { clock, eventSignal, stop, pages } = start();
    const first = pages.next();
    await sleeper(clock);
    await publish(db, event(1));
    eventSignal.ring();
    assert.deepEqual((await first).value?.events.map(numberOf), [1]);
    const second = pages.next();
    await sleeper(clock);
    await publish(db, event(2));
    await clock.advance(1_000);
    assert.deepEqual((await second).value?.events.map(numberOf), [2]);
    stop.abort();
    assert.equal((await pages.next()).done, true);
  });

  test('when nothing happens it says so every 15 s', async () => {
    const { clock, stop, pages } = start();
    const first = pages.next();
    for (let second = 0; second < 15; second += 1) {
      await sleeper(clock);
      await clock.advance(1_000);
    }
    assert.deepEqual(await first, { done: false, value: { events: [], after: '0' } });
    stop.abort();
    assert.equal((await pages.next()).done, true);
    assert.equal(clock.sleeping(), 0);
  });

  test('only the types that were asked for, also those that commit late', async () => {
    await publish(db, event(1), { ...event(2), type: 'send.sent' });
    const { clock, eventSignal, stop, pages } = start({ types: ['send.sent'] });
    assert.deepEqual((await pages.next()).value?.events.map(numberOf), [2]);
    const next = pages.next();
    await sleeper(clock);
    await record(db, { ...event(3), type: 'send.sent' });
    await publish(db, event(4));
    eventSignal.ring();
    assert.deepEqual((await next).value?.events.map(numberOf), [3]);
    stop.abort();
    assert.equal((await pages.next()).done, true);
  });
});
