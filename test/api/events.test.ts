import assert from 'node:assert/strict';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { startHttpServer } from '../../src/api/server.ts';
import type { HttpServer } from '../../src/api/server.ts';
import { idFrom, newId } from '../../src/lib/id.ts';
import { run } from '../../src/store/database.ts';
import { dropPastEvents } from '../../src/store/event-retention.ts';
import { makePartitions } from '../../src/store/partitions.ts';
import { createEventSignal } from '../../src/webhook/follow.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';
import { event, publish, record } from '../webhook/support.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

type Row = { id: string; sequence: number; type: string; data: { n: number } };
const rowsOf = (answer: Answer) => answer.body['data'] as Row[];
const numbers = (rows: readonly Row[]) => rows.map(({ data }) => data.n);

describe('W2: the log of events by API', () => {
  let t: ApiUnderTest;
  let own: string;
  let all: Row[];
  before(async () => {
    t = await startApi();
    for (const id of ['s1', 's2']) await t.call('PUT', `/v1/sub-accounts/${id}`, { json: { name: id } });
    own = await t.makeKey('s1', 'read');
    await publish(
      t.db,
      { ...event(0), sub_account_id: 's1' },
      { ...event(1), sub_account_id: 's2', type: 'send.sent' },
      event(2),
      { ...event(3), sub_account_id: 's1', type: 'send.failed' },
      { ...event(4), sub_account_id: 's1' },
    );
    await record(t.db, event(5));
    all = rowsOf(await t.call('GET', '/v1/events'));
  });
  after(() => t.close());

  const read = async (query: string, key?: string) =>
    numbers(rowsOf(await t.call('GET', `/v1/events?${query}`, key === undefined ? {} : { key })));

  test('what is published, oldest first', () => {
    assert.deepEqual(numbers(all), [0, 1, 2, 3, 4]);
    const [first] = all;
    assert.deepEqual(Object.keys(first ?? {}).sort(), [
      'created_at',
      'data',
      'id',
      'sequence',
      'sub_account_id',
      'type',
    ]);
  });

  test('after a number, and after an id', async () => {
    assert.deepEqual(await read(`after=${all[2]?.sequence}`), [3, 4]);
    assert.deepEqual(await read(`after=${all[2]?.id}`), [3, 4]);
    assert.deepEqual(await read(`after=999999`), []);
  });

  test('page by page; the last page says that it is the last', async () => {
    const first = await t.call('GET', '/v1/events?limit=3');
    assert.deepEqual(numbers(rowsOf(first)), [0, 1, 2]);
    const next = await t.call('GET', `/v1/events?limit=3&cursor=${String(first.body['next_cursor'])}`);
    assert.deepEqual(numbers(rowsOf(next)), [3, 4]);
    assert.equal(next.body['next_cursor'], null);
  });

  test('by type and by sub-account', async () => {
    assert.deepEqual(await read('types=send.sent,send.failed'), [1, 3]);
    assert.deepEqual(await read('types=send.sent&types=send.failed'), [1, 3]);
    assert.deepEqual(await read('sub_account_id=s2'), [1]);
    assert.deepEqual(await read('sub_account_id=s9'), []);
  });

  test('W3: a key of one sub-account sees its own', async () => {
    assert.deepEqual(await read('', own), [0, 3, 4]);
    assert.deepEqual(await read('sub_account_id=s1', own), [0, 3, 4]);
    assert.deepEqual(await read('sub_account_id=s2', own), []);
    const foreign = await t.call('GET', `/v1/events?after=${all[1]?.id}`, { key: own });
    const absent = await t.call('GET', '/v1/events?after=evt_9', { key: own });
    for (const { status, body } of [foreign, absent]) {
      assert.deepEqual([status, (body['errors'] as { code: string }[])[0]?.code], [422, 'unknown_event']);
    }
  });

  test('a type that there is not is an error, not an empty answer', async () => {
    const { status, body } = await t.call('GET', '/v1/events?types=send.lost');
    assert.deepEqual([status, (body['errors'] as { code: string }[])[0]?.code], [422, 'unknown_type']);
  });
});

/** A stream as a browser sees it. */
type Stream = { response: IncomingMessage; text: () => string; messages: () => Row[]; ended: () => boolean };

describe('W2: the log of events, of which the oldest were dropped', () => {
  let t: ApiUnderTest;
  before(async () => {
    t = await startApi();
    await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 's1' } });
    await makePartitions(t.db, Date.UTC(2019, 0, 15));
    await publish(t.db, event(0), event(1));
    await run(t.db, `update events set id = :january || right(id, 23)`, {
      january: idFrom('evt', Date.UTC(2019, 0, 15)),
    });
    await publish(t.db, event(2), event(3));
  });
  after(() => t.close());

  test('who goes on from before them is told so, by number, id or Last-Event-ID; nobody else is', async () => {
    const all = rowsOf(await t.call('GET', '/v1/events'));
    assert.deepEqual(numbers(all), [0, 1, 2, 3]);
    assert.equal((await dropPastEvents(t.db, Date.UTC(2019, 1, 20))).dropped.length, 1);
    const [first, second, third] = all;
    for (const after of [first?.sequence, first?.id, second?.id]) {
      const { status, body } = await t.call('GET', `/v1/events?after=${after}`);
      assert.deepEqual(
        [status, body['code'], body['kept_since']],
        [410, 'events_gone', '2019-02-01T00:00:00.000Z'],
      );
    }
    const stream = await t.call('GET', '/v1/events/stream', {
      headers: { 'Last-Event-ID': String(first?.sequence) },
    });
    assert.equal(stream.status, 410);
    const read = async (query: string) => numbers(rowsOf(await t.call('GET', `/v1/events${query}`)));
    for (const query of ['', '?after=0', `?after=${second?.sequence}`])
      assert.deepEqual(await read(query), [2, 3]);
    assert.deepEqual(await read(`?after=${third?.id}`), [3]);
    const unknown = await t.call('GET', `/v1/events?after=${newId('evt')}`);
    assert.equal(unknown.status, 422);
  });
});

describe('W2: following the log by server-sent events', () => {
  let t: ApiUnderTest;
  let server: HttpServer;
  let own: string;
  const eventSignal = createEventSignal();
  const clock = createManualClock();
  before(async () => {
    t = await startApi({ eventSignal, clock });
    server = await startHttpServer({ app: t.api, host: '127.0.0.1', port: 0 });
    await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 's1' } });
    own = await t.makeKey('s1', 'read');
    await publish(t.db, event(0), { ...event(1), sub_account_id: 's1' });
  });
  after(async () => {
    await server.stop();
    await t.close();
  });

  const tell = async (...events: ReturnType<typeof event>[]) => {
    await publish(t.db, ...events);
    eventSignal.ring();
  };
  const open = async (query = '', headers: Record<string, string> = {}): Promise<Stream> => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(
        `${server.url}/v1/events/stream${query}`,
        { headers: { authorization: `Bearer ${t.adminKey}`, ...headers } },
        resolve,
      ).on('error', reject);
    });
    let text = '';
    let ended = false;
    response.on('data', (chunk: Buffer) => (text += chunk.toString()));
    response.on('close', () => (ended = true));
    response.on('error', () => {});
    await waitFor('the stream to begin', () => text.includes('\n\n'));
    return {
      response,
      text: () => text,
      messages: () => [...text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data) as Row),
      ended: () => ended,
    };
  };

  test('it begins now, and brings each event with its number and type', async () => {
    const stream = await open();
    assert.equal(stream.response.headers['content-type'], 'text/event-stream');
    await tell(event(2), { ...event(3), type: 'send.sent' });
    await waitFor('both', () => stream.messages().length === 2);
    assert.deepEqual(numbers(stream.messages()), [2, 3]);
    const { sequence } = stream.messages()[1] ?? {};
    for (const line of ['event: send.sent', `id: ${sequence}`])
      assert.ok(stream.text().includes(`${line}\n`), line);
    stream.response.destroy();
  });

  test('who comes back with Last-Event-ID gets what was missed, then what is new', async () => {
    const [first] = rowsOf(await t.call('GET', '/v1/events'));
    for (const id of [String(first?.sequence), first?.id ?? '']) {
      const stream = await open('', { 'Last-Event-ID': id });
      const missed = numbers(rowsOf(await t.call('GET', `/v1/events?after=${first?.id}`)));
      await waitFor('what was missed', () => stream.messages().length === missed.length);
      await tell(event(100));
      await waitFor('what is new', () => stream.messages().length === missed.length + 1);
      assert.deepEqual(numbers(stream.messages()), [...missed, 100]);
      stream.response.destroy();
    }
  });

  test('who lost it before the first event comes back to where it began, or was last heard of', async () => {
    const idsOf = (stream: Stream) => [...stream.text().matchAll(/^id: (\d+)$/gm)].map(([, id = '']) => id);
    const first = await open('?types=send.bounced');
    const began = idsOf(first).at(-1) ?? '';
    await tell(event(8));
    await waitFor('a word in the silence', async () => {
      await clock.advance(1_000);
      return first.text().includes(': nothing new');
    });
    const heard = idsOf(first).at(-1) ?? '';
    first.response.destroy();
    await tell(event(9));
    for (const [id, missed] of [
      [began, [8, 9]],
      [heard, [9]],
    ] as const) {
      const stream = await open('', { 'Last-Event-ID': id });
      await waitFor('what was missed', () => stream.messages().length === missed.length);
      assert.deepEqual(numbers(stream.messages()), missed);
      stream.response.destroy();
    }
  });

  test('after, types and the sub-account of the key', async () => {
    const stream = await open('?after=0&types=conversation.updated', { authorization: `Bearer ${own}` });
    await tell(
      event(5),
      { ...event(6), sub_account_id: 's1' },
      { ...event(7), sub_account_id: 's1', type: 'send.sent' },
    );
    await waitFor('both', () => stream.messages().length === 2);
    assert.deepEqual(numbers(stream.messages()), [1, 6]);
    stream.response.destroy();
  });

  for (const quiet of [true, false]) {
    test(`a key that is revoked sees no more${quiet ? ', also where nothing happens' : ''}`, async () => {
      const made = await t.call('POST', '/v1/keys', { json: { sub_account_id: 's1', scope: 'read' } });
      const stream = await open('', { authorization: `Bearer ${String(made.body['key'])}` });
      await t.call('DELETE', `/v1/keys/${String(made.body['id'])}`);
      if (!quiet) await tell({ ...event(10), sub_account_id: 's1' });
      await waitFor('the end', async () => {
        if (quiet) await clock.advance(1_000);
        return stream.ended();
      });
      assert.deepEqual(stream.messages(), []);
      assert.ok(stream.response.complete, 'in good order, not cut off');
    });
  }

  test('a reader who does not read keeps nobody waiting, and gets all in the end', async () => {
    const slow = await open();
    slow.response.pause();
    const quick = await open();
    const big = { text: 'x'.repeat(50_000) };
    const many = Array.from({ length: 300 }, (_, n) => ({ ...event(n), data: { n, ...big } }));
    await tell(...many);
    await waitFor('the quick one', () => quick.messages().length === 300);
    slow.response.resume();
    await waitFor('the slow one', () => slow.messages().length === 300);
    assert.deepEqual(
      numbers(slow.messages()),
      many.map((_, n) => n),
    );
    for (const { response } of [slow, quick]) response.destroy();
  });

  test('an unknown event is an error before the stream begins', async () => {
    const { status, body } = await t.call('GET', '/v1/events/stream', {
      headers: { 'Last-Event-ID': 'evt_9' },
    });
    assert.deepEqual([status, (body['errors'] as { code: string }[])[0]?.code], [422, 'unknown_event']);
  });

  test('it ends when the gateway stops', async () => {
    const stream = await open();
    await server.stop();
    await waitFor('the end', () => stream.ended());
    assert.ok(stream.response.complete, 'in good order, not cut off');
    server = await startHttpServer({ app: t.api, host: '127.0.0.1', port: 0 });
  });
});
