import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { systemClock } from '../../src/lib/clock.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { createDeliverer } from '../../src/webhook/deliverer.ts';
import { createPublisher } from '../../src/webhook/publisher.ts';
import { createWebhookAgent } from '../../src/webhook/request.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';
import {
  addWebhook,
  event,
  keptLog,
  loopbackGuard,
  record,
  secretBox,
  seededRandom,
  startEndpoint,
} from './support.ts';
import type { Arrival } from './support.ts';
import { typescript } from '../support/start-command.ts';

/** The machine's time with pauses ten times as short: polls, the grace of a stop, the time-out of a try. */
const hurriedClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

/** The same with the time-out of a try at its length: one that is late on a busy machine is no failure of the endpoint. */
const patientClock: Clock = {
  ...hurriedClock,
  sleep: (ms, signal) => systemClock.sleep(ms < 10_000 ? ms / 10 : ms, signal),
};

/** One node of a gateway, as far as webhooks go. */
function startNode(db: Db, clock: Clock = hurriedClock) {
  const agent = createWebhookAgent(loopbackGuard);
  const log = keptLog();
  const deliverer = createDeliverer({ db, dispatcher: agent, clock, log, secretBox });
  const publisher = createPublisher({ db, clock, log, published: (due) => deliverer.wake(due) });
  publisher.start();
  deliverer.start();
  return {
    publisher,
    deliverer,
    agent,
    messages: log.messages,
    stop: async () => {
      await publisher.stop();
      await deliverer.stop();
      await agent.close();
    },
  };
}

type Node = ReturnType<typeof startNode>;
type Endpoint = Awaited<ReturnType<typeof startEndpoint>>;

/** What time would bring: pauses and postponed tries are over. */
async function skipPauses(db: Db): Promise<void> {
  await run(db, `update webhooks set paused_until = now() where paused_until > now()`);
  await run(
    db,
    `update deliveries set due_at = now()
     where ready and due_at > now() and due_at < 'infinity' and lease_owner is null`,
  );
}

async function states(db: Db): Promise<Record<string, number>> {
  const found = await rows<{ state: string; n: number }>(
    db,
    'select state, count(*)::int as n from deliveries group by state',
  );
  return Object.fromEntries(found.map(({ state, n }) => [state, n]));
}

/** In each key, numbers in the order in which they were first taken. */
function assertOrdered(taken: readonly Arrival[]): void {
  const last = new Map<string, number>();
  const seen = new Set<number>();
  for (const { data } of taken) {
    if (seen.has(data.n)) continue;
    seen.add(data.n);
    for (const key of data.keys) {
      assert.ok((last.get(key) ?? -1) < data.n, `${key}: ${data.n} after ${last.get(key)}`);
      last.set(key, data.n);
    }
  }
}

for (const kind of databaseKinds) {
  describe(`the deliverer, ${kind}`, () => {
    const many = kind === 'postgres' ? 2_000 : 300;
    let database: TestDatabase;
    let db: Db;
    let node: Node;
    let endpoints: Endpoint[];
    before(async () => {
      database = await testDatabase(kind);
      db = database.db;
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(db, 'truncate events, webhooks cascade');
      node = startNode(db);
      endpoints = [];
    });
    afterEach(async () => {
      for (const endpoint of endpoints) await endpoint.stop();
      await node.stop();
    });

    const endpoint = async (answer?: Parameters<typeof startEndpoint>[0]): Promise<Endpoint> => {
      const started = await startEndpoint(answer);
      endpoints.push(started);
      return started;
    };
    const tell = async (...events: ReturnType<typeof event>[]) => {
      await record(db, ...events);
      node.publisher.wake();
    };

    test("W2: an event arrives, signed, and the CRM's own check passes", async () => {
      const crm = await endpoint();
      const { secret } = await addWebhook(db, { url: crm.url });
      await tell(event(1, 'a'));
      const [arrival] = await waitFor('the delivery', () => crm.arrivals.length > 0 && crm.arrivals);
      assert.ok(arrival);
      const payload = new Webhook(secret).verify(arrival.body, arrival.headers as Record<string, string>);
      const { id, sequence, created_at, ...rest } = payload as Record<string, unknown>;
      assert.deepEqual(rest, {
        type: 'conversation.updated',
        sub_account_id: null,
        data: { n: 1, keys: ['a'] },
      });
      assert.equal(id, arrival.headers['webhook-id']);
      assert.ok(Number.isSafeInteger(sequence));
      assert.ok(!Number.isNaN(Date.parse(String(created_at))));
      await waitFor('the row', async () => (await states(db))['delivered'] === 1);
      assert.equal(crm.arrivals.length, 1);
    });

    test('woken after the commit, it waits for no poll; nor does the next of a conversation', async () => {
      await node.stop();
      node = startNode(db, createManualClock(Date.now()));
      const crm = await endpoint();
      await addWebhook(db, { url: crm.url });
      await tell(event(0, 'a'), event(1, 'a'), event(2, 'a'));
      await waitFor('the first three', () => crm.arrivals.length === 3);
      await tell(event(3, 'a'));
      await waitFor('the next', () => crm.arrivals.length === 4);
      assertOrdered(crm.arrivals);
    });

    test('W2: a failed one is repeated under the same id, and holds only its own conversation', async () => {
      let broken = true;
      const crm = await endpoint(({ data }) => (broken && data.n === 0 ? 500 : 200));
      await addWebhook(db, { url: crm.url });
      await tell(event(0, 'a'), event(1, 'a'), event(2, 'b'), event(3, 'b'));
      await waitFor('the other conversation', async () => {
        await skipPauses(db);
        return (await states(db))['delivered'] === 2;
      });
      broken = false;
      await waitFor('all', async () => {
        await skipPauses(db);
        return (await states(db))['delivered'] === 4;
      });
      const ofFirst = crm.arrivals.filter(({ data }) => data.n === 0);
      assert.ok(ofFirst.length >= 2);
      assert.equal(new Set(ofFirst.map(({ headers }) => headers['webhook-id'])).size, 1);
      assertOrdered(crm.arrivals.filter(({ data }) => data.n > 0));
      assert.ok(
        crm.arrivals.findIndex(({ data }) => data.n === 1) >
          crm.arrivals.lastIndexOf(ofFirst.at(-1) as Arrival),
      );
    });

    test('an endpoint that never answers holds up no other, and gets eight requests at most', async () => {
      await node.stop();
      // A try never runs out of time: however busy the machine is, the eight are these.
      node = startNode(db, {
        ...hurriedClock,
        sleep: (ms, signal) => systemClock.sleep(ms < 10_000 ? ms / 10 : ms * 20, signal),
      });
      const slow = await endpoint(() => undefined);
      const fast = await endpoint();
      await addWebhook(db, { url: slow.url });
      await addWebhook(db, { url: fast.url });
      await tell(...Array.from({ length: 300 }, (_, n) => event(n, `c${n}`)));
      await waitFor('the fast one to have all', () => fast.arrivals.length === 300, { deadlineMs: 60_000 });
      assert.equal(slow.arrivals.length, 8);
    });

    test('an endpoint that is down is asked once after each pause; when it is back it gets everything', async () => {
      await node.stop();
      node = startNode(db, patientClock);
      let up = false;
      const crm = await endpoint(() => (up ? 200 : 503));
      const { id } = await addWebhook(db, { url: crm.url });
      await tell(...Array.from({ length: 40 }, (_, n) => event(n, `c${n % 20}`)));
      const failures = async () => {
        const [row] = await rows<{ failures: number }>(db, 'select failures from webhooks where id = :id', {
          id,
        });
        return row?.failures ?? 0;
      };
      await waitFor('the first failure', async () => (await failures()) === 1);
      await waitFor(
        'what was under way to end',
        async () => (await rows(db, 'select 1 from deliveries where lease_owner is not null')).length === 0,
      );
      const first = crm.arrivals.length;
      assert.ok(first <= 8, `${first} requests`);
      for (const n of [2, 3]) {
        await skipPauses(db);
        await waitFor(`failure ${n}`, async () => (await failures()) === n);
        assert.equal(crm.arrivals.length, first + n - 1, 'one request after the pause');
      }
      assert.deepEqual(node.messages, ['a webhook fails and is paused']);
      up = true;
      await run(db, 'update webhooks set paused_until = now()');
      // Those that failed were put off; nobody has to wait for that now.
      await waitFor('all', async () => (await states(db))['delivered'] === 40);
      assert.deepEqual(node.messages, ['a webhook fails and is paused', 'a webhook works again']);
      assertOrdered(crm.arrivals.slice(first + 2));
    });

    test('eight that fail together are one failure, though the clock is set back meanwhile', async () => {
      await node.stop();
      let shiftMs = 0;
      node = startNode(db, { ...systemClock, now: () => Date.now() + shiftMs });
      const answers: (() => void)[] = [];
      const crm = await endpoint((_arrival, response) => {
        answers.push(() => response.writeHead(503).end());
        return undefined;
      });
      const { id } = await addWebhook(db, { url: crm.url });
      await tell(...Array.from({ length: 8 }, (_, n) => event(n, `c${n}`)));
      await waitFor('all to be under way', () => answers.length === 8);
      for (const [n, answer] of answers.entries()) {
        answer();
        await waitFor(`failure ${n + 1} to be written down`, async () => {
          const [row] = await rows<{ n: number }>(
            db,
            'select count(*)::int as n from deliveries where lease_owner is null and last_status = 503',
          );
          return row?.n === n + 1;
        });
        shiftMs -= 3_600_000;
      }
      const found = await rows(db, 'select failures from webhooks where id = :id', { id });
      assert.deepEqual(found, [{ failures: 1 }]);
    });

    // By a poll every 20 ms; the embedded database has one session for all of them.
    if (kind === 'postgres') {
      test('W2: an endpoint that is mute for a day holds up no other, holds little of ours, and then gets all of it in order', async () => {
        await node.stop();
        // A try of 15 s takes 300 ms; what a day brings beside it, the end of its pauses, is brought by `skipPauses`.
        node = startNode(db, { ...hurriedClock, sleep: (ms, signal) => systemClock.sleep(ms / 50, signal) });
        let isMute = true;
        const open = new Set<unknown>();
        const mute = await startEndpoint((_, response) => {
          if (!isMute) return 204;
          open.add(response);
          response.on('close', () => open.delete(response));
          return undefined;
        });
        const well = await startEndpoint();
        endpoints.push(mute, well);
        const { id } = await addWebhook(db, { url: mute.url });
        await addWebhook(db, { url: well.url });
        let n = 0;
        const leasedMost = { deliveries: 0, open: 0 };
        // The pauses of an endpoint grow to five minutes: some 280 in a day. Those of a delivery: 14.
        for (let hour = 0; hour < 24; hour += 2) {
          for (let more = 0; more < 10; more += 1, n += 1)
            await record(db, event(n, `conversation-${n % 7}`));
          node.publisher.wake();
          // On a busy machine one of its answers may come too late for so short a try.
          await waitFor('the other to have all of it', async () => {
            await skipPauses(db);
            return new Set(well.arrivals.map(({ data }) => data.n)).size === n;
          });
          const triesBefore = mute.arrivals.length;
          await skipPauses(db);
          await waitFor('the mute one to be asked', () => mute.arrivals.length > triesBefore);
          const leased = await rows(
            db,
            'select from deliveries where webhook_id = :id and lease_owner is not null',
            { id },
          );
          leasedMost.deliveries = Math.max(leasedMost.deliveries, leased.length);
          leasedMost.open = Math.max(leasedMost.open, open.size);
        }
        assert.ok(leasedMost.open <= 8, `${leasedMost.open} requests at once`);
        assert.ok(leasedMost.deliveries <= 64, `${leasedMost.deliveries} in memory`);
        await waitFor('the tries to be settled', async () => (await states(db))['delivered'] === n);
        assert.deepEqual(await states(db), { delivered: n, pending: n }, 'nothing is parked in a day');
        const heard = mute.arrivals.length;
        isMute = false;
        await waitFor(
          'it to have all of it',
          async () => {
            await skipPauses(db);
            return (await states(db))['delivered'] === 2 * n;
          },
          { deadlineMs: 30_000 },
        );
        const taken = mute.arrivals.slice(heard);
        assert.equal(new Set(taken.map(({ data }) => data.n)).size, n);
        assertOrdered(taken);
        assertOrdered(well.arrivals);
        await waitFor('no request to be left', () => open.size === 0);
      });
    }

    test('410 ends it', async () => {
      const crm = await endpoint(() => 410);
      const { id } = await addWebhook(db, { url: crm.url });
      await tell(event(0), event(1));
      await waitFor(
        'it to be disabled',
        async () =>
          (await rows(db, 'select 1 from webhooks where id = :id and not enabled', { id })).length === 1,
      );
      await tell(event(2));
      await waitFor(
        'the event to be published',
        async () => (await rows(db, 'select 1 from events where sequence is null')).length === 0,
      );
      assert.deepEqual(await states(db), { pending: 2 }, 'what was not delivered is still to be seen');
    });

    test('what fails to the last try is parked, and its conversation goes on', async () => {
      const crm = await endpoint(({ data }) => (data.n === 0 ? 422 : 200));
      await addWebhook(db, { url: crm.url });
      await record(db, event(0, 'a'), event(1, 'a'));
      node.publisher.wake();
      await waitFor(
        'the first try',
        async () => (await rows(db, 'select 1 from deliveries where last_status = 422')).length === 1,
      );
      await run(db, `update deliveries set attempts = 37, due_at = now() where last_status = 422`);
      await waitFor('the end', async () => (await states(db))['delivered'] === 1);
      assert.deepEqual(await states(db), { parked: 1, delivered: 1 });
      assert.deepEqual(node.messages, ['a delivery was given up and parked']);
    });

    test('a stop lets go of what is under way and of what was claimed ahead', async () => {
      const crm = await endpoint(({ data }) => (data.n < 100 ? 200 : undefined));
      await addWebhook(db, { url: crm.url });
      await tell(...Array.from({ length: 160 }, (_, n) => event(n, `c${n}`)));
      await waitFor('eight to be stuck', () => crm.arrivals.filter(({ data }) => data.n >= 100).length === 8);
      const stopped = node.stop();
      node = startNode(db);
      await stopped;
      const [row] = await rows<{ delivered: number; leases: number; tried: number }>(
        db,
        `select (count(*) filter (where state = 'delivered'))::int as delivered,
                (count(*) filter (where state = 'pending' and attempts > 2))::int as tried from deliveries`,
      );
      assert.deepEqual(row, { delivered: 100, tried: 0 });
      await waitFor(
        'the next node to take over',
        () => crm.arrivals.filter(({ data }) => data.n >= 100).length >= 16,
      );
    });

    test('a webhook whose secret cannot be opened fails in words', async () => {
      const crm = await endpoint();
      const { id } = await addWebhook(db, { url: crm.url });
      await run(db, `update webhooks set secret_sealed = 'v1.00000000.x.y' where id = :id`, { id });
      await tell(event(0));
      await waitFor(
        'the error',
        async () =>
          (await rows(db, `select 1 from deliveries where last_error like '%key that is not configured'`))
            .length === 1,
      );
      assert.equal(crm.arrivals.length, 0);
    });

    test(
      `${many} deliveries on 20 keys with random failures: none lost, none out of order`,
      { timeout: 120_000 },
      async () => {
        const random = seededRandom(7);
        const taken: Arrival[] = [];
        const crm = await endpoint((arrival) => {
          if (random() < 0.05) return random() < 0.5 ? 500 : 429;
          taken.push(arrival);
          return 200;
        });
        await addWebhook(db, { url: crm.url });
        for (let n = 0; n < many; n += 100) {
          await tell(...Array.from({ length: 100 }, (_, more) => event(n + more, `k${(n + more) % 20}`)));
        }
        await waitFor(
          'all',
          async () => {
            await skipPauses(db);
            return (await states(db))['delivered'] === many;
          },
          { deadlineMs: 100_000 },
        );
        assert.equal(new Set(taken.map(({ data }) => data.n)).size, many);
        assertOrdered(taken);
      },
    );
  });
}

describe('two nodes, one of which is killed, postgres', () => {
  let database: TestDatabase;
  let db: Db;
  before(async () => {
    database = await testDatabase('postgres');
    db = database.db;
  });
  after(() => database.drop());

  /** Names of the processes that have leases now, but for `known`. */
  const owners = async (known: string): Promise<string | undefined> => {
    const [row] = await rows<{ owner: string }>(
      db,
      'select lease_owner as owner from deliveries where lease_owner <> :known limit 1',
      { known },
    );
    return row?.owner;
  };

  test('none lost, none out of order; what was under way comes again under its id', async () => {
    const taken: Arrival[] = [];
    const random = seededRandom(3);
    const crm = await startEndpoint((arrival, response) => {
      if (random() < 0.05) return 500;
      taken.push(arrival);
      setTimeout(() => response.writeHead(204).end(), 20);
      return undefined;
    });
    const { secret } = await addWebhook(db, { url: crm.url });
    for (let n = 0; n < 2_000; n += 500) {
      await record(db, ...Array.from({ length: 500 }, (_, more) => event(n + more, `k${(n + more) % 20}`)));
    }
    const path = new URL('./node.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [...typescript, path, database.url ?? ''], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const doomed = await waitFor('the other process to work', () => owners(''), { everyMs: 5 });
    const node = startNode(db);
    const working = async () => {
      await skipPauses(db);
      return (await owners(doomed)) !== undefined && (await owners((await owners(doomed)) ?? '')) === doomed;
    };
    await waitFor('both to work', working, { everyMs: 1 });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const left = await run(db, 'update deliveries set lease_until = now() where lease_owner = :doomed', {
      doomed,
    });
    assert.ok(left > 0, 'it had something under way');
    await waitFor(
      'all',
      async () => {
        await skipPauses(db);
        return (await states(db))['delivered'] === 2_000;
      },
      { deadlineMs: 100_000 },
    );
    assert.equal(new Set(taken.map(({ data }) => data.n)).size, 2_000);
    assertOrdered(taken);
    const ids = new Map<number, unknown>();
    for (const { data, headers, body } of taken) {
      assert.equal(headers['webhook-id'], ids.get(data.n) ?? headers['webhook-id']);
      ids.set(data.n, headers['webhook-id']);
      new Webhook(secret).verify(body, headers as Record<string, string>);
    }
    assert.ok(taken.length - 2_000 <= left, `${taken.length - 2_000} repeats`);
    await node.stop();
    await crm.stop();
  });
});
