import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { rows } from '../../src/store/database.ts';
import { deliver } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openNodes } from './nodes-world.ts';
import type { NodesWorld } from './nodes-world.ts';

/**
 * Mail that comes during a hand-over is told of so soon on a machine that does much else; the bench measures it on one
 * that does not. Without a hand-over it takes a lease, 30 s.
 */
const gapMsMax = 10_000;
/** A letter to each mailbox in turn. */
const everyMs = 200;

describe('two nodes on one PostgreSQL', () => {
  let world: NodesWorld;

  before(async () => {
    world = await openNodes({ name: 'two', environments: [{}, {}], people: ['ann', 'ben', 'cleo', 'dan'] });
  });
  after(() => world.end());

  /** Delivers until `isOver`; how long it took from the acceptance of each letter to its event, ms. */
  async function mailWhile(name: string, work: () => Promise<void>): Promise<Map<string, number>> {
    const { servers, pairs, receiver } = world;
    const sentAt = new Map<string, number>();
    const over = new AbortController();
    const done = work().finally(() => over.abort());
    for (let n = 0; !over.signal.aborted || n % pairs.length !== 0; n += 1) {
      const { customer, mailbox } = pairs[n % pairs.length] ?? { customer: '', mailbox: '' };
      await deliver(servers, { from: customer, to: mailbox, subject: `${name} ${n}`, text: 'x' });
      sentAt.set(`${name} ${n}`, Date.now());
      await wait(everyMs);
    }
    await done;
    const delays = new Map<string, number>();
    for (const [subject, at] of sentAt) {
      const isIt = (event: (typeof receiver.events)[number]) =>
        event.type === 'message.created' && event.data['subject'] === subject;
      await receiver.waitForEvent(subject, isIt, 60_000);
      delays.set(subject, (receivedAt.get(subject) ?? 0) - at);
    }
    return delays;
  }

  /** When the webhook of each subject came. */
  const receivedAt = new Map<string, number>();

  before(() => {
    const { events } = world.receiver;
    const push = events.push.bind(events);
    events.push = (...more) => {
      for (const event of more)
        if (event.type === 'message.created') receivedAt.set(String(event.data['subject']), Date.now());
      return push(...more);
    };
  });

  /** Fails where two nodes were logged in to a mailbox at the same time. */
  async function assertListenedOnce(): Promise<void> {
    const twice = await rows(
      world.db,
      `select a.mailbox_id, a.logged_in_at, a.ended_at, b.logged_in_at as also_at
         from connection_log a join connection_log b on b.mailbox_id = a.mailbox_id and b.n > a.n
        where a.kind = 'session' and b.kind = 'session' and b.logged_in_at < a.ended_at`,
    );
    assert.deepEqual(twice, [], 'one node at a time has a session in a mailbox');
  }

  test('the mailboxes are spread over both, and each is listened to by one', async () => {
    await waitFor('an even spread', async () => JSON.stringify(await world.shares()) === '[2,2]');
    await assertListenedOnce();
  });

  test('one stops and comes back: mail that arrives meanwhile is there at once, and nothing is listened to twice', async () => {
    const [, second] = world.nodes;
    assert.ok(second !== undefined);
    const delays = await mailWhile('During a hand-over', async () => {
      await second.stop();
      await waitFor('the first to have all', async () => JSON.stringify(await world.shares()) === '[4]');
      await second.start();
      await waitFor('an even spread', async () => JSON.stringify(await world.shares()) === '[2,2]');
    });
    const late = [...delays].filter(([, ms]) => ms >= gapMsMax);
    assert.deepEqual(late, [], `of ${delays.size} letters; longer than ${gapMsMax} ms each`);
    await assertListenedOnce();
  });
});

describe('a node for each role', () => {
  let world: NodesWorld;

  before(async () => {
    const roles = ['api', 'mailbox', 'outbound,webhook', 'intake'];
    const environments = roles.map((TWOWAY_ROLES) => ({ TWOWAY_ROLES }));
    world = await openNodes({ name: 'roles', environments, people: ['eve'] });
  });
  after(() => world.end());

  test('each says what it does, answers for its own alone, and takes no part in the rest', async () => {
    const [api, mailbox, outbound, intake] = world.nodes;
    for (const [node, roles] of [
      [api, ['api']],
      [mailbox, ['mailbox']],
      [outbound, ['outbound', 'webhook']],
      [intake, ['intake']],
    ] as const) {
      assert.ok(node !== undefined);
      const ready = await node.call('GET', '/readyz');
      assert.deepEqual([ready.status, ready.body['status'], ready.body['roles']], [200, 'ready', roles]);
      assert.equal((await node.call('GET', '/v1/webhooks')).status, node === api ? 200 : 404);
      assert.equal(/SMTP\s+port/.test(node.output()), node === intake);
      assert.equal(/tw_\S+/.test(node.output()), node === api, 'the first key is shown where it is of use');
    }
  });

  test('mail goes both ways between them, sooner than by polling', async () => {
    const { servers, nodes, pairs, receiver, sub } = world;
    const [pair] = pairs;
    assert.ok(pair !== undefined && nodes[0] !== undefined);
    const took: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const subject = `Out ${n}`;
      const startedAt = Date.now();
      const { message } = await nodes[0].must<{ message: { id: string } }>('POST', `${sub}/messages`, {
        kind: 'individual',
        user_id: pair.user,
        contact_id: pair.contact,
        subject,
        text: 'x',
      });
      await receiver.waitForEvent(
        subject,
        ({ type, data }) => type === 'send.sent' && data['message_id'] === message.id,
      );
      took.push(Date.now() - startedAt);
      await deliver(servers, { from: pair.customer, to: pair.mailbox, subject: `In ${n}`, text: 'x' });
      await receiver.waitForEvent(
        `In ${n}`,
        ({ type, data }) => type === 'message.created' && data['subject'] === `In ${n}`,
      );
    }
    assert.ok(Math.min(...took) < 1_000, `sends took ${took.join(', ')} ms; polling alone is 5 s`);
  });

  test('while every connection for wake-ups is cut again and again, work is found by polling', async () => {
    const { nodes, pairs, receiver, sub } = world;
    const [pair] = pairs;
    assert.ok(pair !== undefined && nodes[0] !== undefined);
    const over = new AbortController();
    const cutting = (async () => {
      while (!over.signal.aborted) {
        await rows(
          world.db,
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'twoway_wake_ups'`,
        );
        await wait(20);
      }
    })();
    const { message } = await nodes[0].must<{ message: { id: string } }>('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: pair.user,
      contact_id: pair.contact,
      subject: 'Unheard',
      text: 'x',
    });
    await receiver.waitForEvent(
      'Unheard',
      ({ type, data }) => type === 'send.sent' && data['message_id'] === message.id,
    );
    over.abort();
    await cutting;
  });
});
