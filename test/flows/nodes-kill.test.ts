import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { TestGateway } from '../support/gateway.ts';
import { deliver, openMailbox } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { createRandom } from '../sim/random.ts';
import type { Random } from '../sim/random.ts';
import { openNodes } from './nodes-world.ts';
import type { NodesWorld, Pair } from './nodes-world.ts';

/** Mail flows until so many nodes have died, however long a start takes here, and letters went both ways each time. */
const deathsMin = 3;
/** Of a killed node deliveries are taken over after 60 s, everything else after 30. */
const settleMsMax = 120_000;
const seed = 20_261_128;

type Told = { sequence: number; type: string; data: Record<string, unknown> };

describe('three nodes, killed at random while mail goes both ways', () => {
  let world: NodesWorld;
  before(async () => {
    world = await openNodes({ name: 'kill', environments: [{}, {}, {}], people: ['ann', 'ben', 'cleo'] });
  });
  after(() => world.end());

  test('S12, D3, D5, W2: what was delivered is in the conversations, once each; webhooks tell it in order', async () => {
    const random = createRandom(seed);
    const { servers, pairs, nodes } = world;
    /** What everybody outside knows of: by customer, the subjects that came in and those that the CRM was told are accepted. */
    const ledger = new Map(
      pairs.map((pair) => [pair, { came: [] as string[], accepted: new Map<string, string>() }]),
    );
    const over = new AbortController();
    const storm = killAtRandom(nodes, random, over.signal);
    for (let n = 0; storm.deaths() < deathsMin; n += 1) {
      const pair = random.pick(pairs);
      const own = ledger.get(pair) ?? assert.fail();
      const subject = `In ${n}`;
      await deliver(servers, { from: pair.customer, to: pair.mailbox, subject, text: 'x' });
      own.came.push(subject);
      own.accepted.set(await sendByAnyNode(world, pair, `Out ${n}`, random), `Out ${n}`);
      await wait(random.below(400));
    }
    over.abort();
    await storm.ended;
    for (const [pair, { came, accepted }] of ledger) {
      const expected = [...came, ...accepted.values()].sort();
      const held = await waitFor(
        `the conversation with ${pair.customer}, seed ${seed}`,
        async () => {
          const subjects = await subjectsOf(world, pair);
          return subjects.length >= expected.length
            ? subjects
            : Promise.reject(new Error(subjects.join(' | ')));
        },
        { deadlineMs: settleMsMax, everyMs: 500 },
      );
      assert.deepEqual(held, expected, `seed ${seed}`);
      await assertArrivedOnce(world, pair, accepted);
    }
    await assertToldInOrder(world);
    assert.deepEqual(await sharesSettled(world), [1, 1, 1]);
  });
});

/** One node dies, by SIGKILL or by SIGTERM, and comes back a moment later; then the next one. Two are always there. */
function killAtRandom(nodes: TestGateway[], random: Random, stop: AbortSignal) {
  let deaths = 0;
  const work = async () => {
    while (!stop.aborted) {
      const node = random.pick(nodes);
      await wait(random.below(1_500));
      await (random.chance(0.25) ? node.stop() : node.kill());
      deaths += 1;
      await wait(random.below(500));
      await node.start();
    }
  };
  // A node that does not come back ends the storm, and the test.
  const ended = work().finally(() => (deaths = Infinity));
  return { ended, deaths: () => deaths };
}

/** Asks one node after the other, with one key for all of them, as a CRM behind a balancer does. Answers the message's id. */
async function sendByAnyNode(
  { nodes, sub }: NodesWorld,
  pair: Pair,
  subject: string,
  random: Random,
): Promise<string> {
  const key = randomUUID();
  const first = random.below(nodes.length);
  let tries = 0;
  return waitFor(
    `${subject} to be accepted`,
    async () => {
      const node = nodes[(first + tries++) % nodes.length] ?? assert.fail();
      const response = await fetch(`${node.url}${sub}/messages`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${node.key}`,
          'content-type': 'application/json',
          'idempotency-key': key,
        },
        body: JSON.stringify({
          kind: 'individual',
          user_id: pair.user,
          contact_id: pair.contact,
          subject,
          text: 'x',
        }),
      });
      const answer = (await response.json()) as { message?: { id: string } };
      return answer.message?.id ?? Promise.reject(new Error(JSON.stringify(answer)));
    },
    { deadlineMs: 30_000 },
  );
}

async function subjectsOf({ nodes, sub }: NodesWorld, pair: Pair): Promise<string[]> {
  const [api] = nodes;
  const found = await api?.must<{ data: { id: string }[] }>(
    'GET',
    `${sub}/conversations?contact_id=${pair.contact}`,
  );
  const subjects: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { data: { subject: string }[]; next_cursor: string | null } | undefined = await api?.must(
      'GET',
      `${sub}/conversations/${found?.data[0]?.id}/messages?limit=100${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    subjects.push(...(page?.data ?? []).map(({ subject }) => subject));
    cursor = page?.next_cursor ?? null;
  }
  return subjects.sort();
}

/**
 * The customer has each letter once that was sent. One that a node was killed with in the moment of the provider's answer
 * is uncertain until a copy has had ten minutes to appear (outbound/crash.test.ts), and may be nowhere.
 */
async function assertArrivedOnce(
  { nodes, sub, servers }: NodesWorld,
  pair: Pair,
  accepted: ReadonlyMap<string, string>,
): Promise<void> {
  const customer = await openMailbox(servers, pair.customer);
  const arrived = async () => (await customer.list('INBOX')).map(({ subject }) => subject).sort();
  for (const [id, subject] of accepted) {
    await waitFor(
      `${subject} to be sent, or to be uncertain and nowhere`,
      async () => {
        const { send } =
          (await nodes[0]?.must<{ send: { state: string } }>('GET', `${sub}/messages/${id}`)) ?? {};
        const isThere = (await arrived()).includes(subject);
        return (
          (send?.state === 'sent' && isThere) ||
          (send?.state === 'uncertain' && !isThere) ||
          Promise.reject(new Error(`${send?.state}, ${isThere}`))
        );
      },
      { deadlineMs: settleMsMax, everyMs: 500 },
    );
  }
  const there = await arrived();
  assert.deepEqual(there, [...new Set(there)], `nothing has arrived twice, seed ${seed}`);
  for (const subject of there) assert.ok([...accepted.values()].includes(subject), `${subject} was accepted`);
  await customer.close();
}

/** Each event has come at least once, and of each conversation in the order of the log. */
async function assertToldInOrder({ nodes, receiver }: NodesWorld): Promise<void> {
  const log: Told[] = [];
  for (let after = ''; ;) {
    const path = `/v1/events?limit=100${after === '' ? '' : `&after=${after}`}`;
    const page = await nodes[0]?.must<{ data: (Told & { id: string })[] }>('GET', path);
    if (page === undefined || page.data.length === 0) break;
    log.push(...page.data);
    after = page.data.at(-1)?.id ?? '';
  }
  const conversationOf = ({ type, data }: Pick<Told, 'type' | 'data'>) =>
    type === 'message.created' ? String((data['conversation_ids'] as string[])[0]) : null;
  const byConversation = (events: readonly Pick<Told, 'type' | 'data'>[]) =>
    Map.groupBy(
      events.filter((event) => conversationOf(event) !== null),
      (event) => conversationOf(event),
    );
  const ids = (events: readonly Pick<Told, 'type' | 'data'>[] | undefined) =>
    (events ?? []).map(({ data }) => String(data['id']));
  const expected = byConversation(log);
  assert.equal(expected.size, 3);
  await waitFor(
    'all webhooks',
    () =>
      byConversation(receiver.events).size === 3 &&
      log.every(({ data, type }) =>
        receiver.events.some((event) => event.type === type && event.data.id === data['id']),
      ),
    { deadlineMs: settleMsMax, everyMs: 500 },
  );
  const told = byConversation(receiver.events);
  for (const [conversation, events] of expected)
    assert.deepEqual(ids(told.get(conversation)), ids(events), `in order, and as created once, seed ${seed}`);
  assert.equal(receiver.forged(), 0);
}

function sharesSettled(world: NodesWorld): Promise<number[]> {
  return waitFor(
    'a mailbox for each node',
    async () => {
      const shares = await world.shares();
      return shares.length === 3 ? shares : Promise.reject(new Error(JSON.stringify(shares)));
    },
    { deadlineMs: 60_000 },
  );
}
