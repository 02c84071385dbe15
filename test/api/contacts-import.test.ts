import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { after, before, describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const base = '/v1/sub-accounts/s1/contacts';
const headers = { 'content-type': 'application/x-ndjson' };

type Result = {
  created: number;
  updated: number;
  unchanged: number;
  error_count: number;
  errors: { line: number; code: string; detail: string }[];
};

for (const kind of databaseKinds)
  describe(`W1: import of contacts on ${kind}`, () => {
    let t: ApiUnderTest;
    before(async () => {
      t = await startApi({ kind });
      await t.call('PUT', '/v1/sub-accounts/s1', { json: {} });
      await t.call('PUT', '/v1/users/u1', { json: { email: 'ann@crm.example' } });
      await t.call('PUT', '/v1/sub-accounts/s1/users/u1');
    });
    after(() => t.close());

    async function post(body: string | Uint8Array | ReadableStream): Promise<Result> {
      const answer = await t.call('POST', `${base}/import`, { body, headers });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return answer.body as Result;
    }
    const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    const get = async (id: string) => (await t.call('GET', `${base}/${id}`)).body;

    test('the same call twice changes nothing', async () => {
      const body = lines(
        {
          id: 'a1',
          name: 'Cleo',
          emails: ['cleo@customer.example', 'c@home.example'],
          assigned_user_id: 'u1',
        },
        { id: 'a2' },
      );
      const first = await post(body);
      assert.deepEqual(first, { created: 2, updated: 0, unchanged: 0, error_count: 0, errors: [] });
      const stored = await get('a1');
      assert.deepEqual(stored['emails'], ['cleo@customer.example', 'c@home.example']);
      assert.deepEqual(await post(body), { ...first, created: 0, unchanged: 2 });
      assert.deepEqual(await get('a1'), stored);
      const changed = await post(lines({ id: 'a1', name: 'Cleo' }, { id: 'a2' }, { id: 'a3' }));
      assert.deepEqual(changed, { created: 1, updated: 1, unchanged: 1, error_count: 0, errors: [] });
      assert.deepEqual((await get('a1'))['emails'], []);
    });

    test('a single PUT and a line of an import mean the same', async () => {
      const contact = { name: 'Dan', emails: ['dan@customer.example'], assigned_user_id: 'u1' };
      await t.call('PUT', `${base}/b1`, { json: contact });
      assert.equal((await post(lines({ id: 'b1', ...contact }))).unchanged, 1);
    });

    test('a bad line is reported by its number and code, and harms no other', async () => {
      const long = `{"id":"c2","name":"${'x'.repeat(70_000)}"}\n`;
      const notUtf8 = Buffer.concat([
        Buffer.from('{"id":"c3","name":"'),
        Buffer.from([0xfc]),
        Buffer.from('"}\n'),
      ]);
      const body = Buffer.concat([
        Buffer.from(lines({ id: 'c1' })),
        Buffer.from(long),
        notUtf8,
        Buffer.from('\n{"id":\n"c4"\n[]\nnull\n'),
        Buffer.from(
          lines(
            {},
            { id: 'c 5' },
            { id: 'c6', emails: ['ok@y.example', 'nobody'] },
            { id: 'c7', phone: '1' },
            { id: 'c8', assigned_user_id: 'u9' },
            { id: 'c9', name: 'a\0b' },
            { id: 'c10', name: 7 },
            { id: 'c11' },
          ),
        ),
      ]);
      const result = await post(body);
      assert.deepEqual(
        result.errors.map(({ line, code }) => `${line} ${code}`),
        [
          '2 line_too_long',
          '3 invalid_utf8',
          '5 malformed_json',
          '6 invalid_type',
          '7 invalid_type',
          '8 invalid_type',
          '9 required',
          '10 invalid_id',
          '11 invalid_address',
          '12 unknown_field',
          '13 unknown_user',
          '14 invalid_text',
          '15 invalid_type',
        ],
      );
      assert.deepEqual([result.created, result.error_count], [2, 13]);
      assert.equal(result.errors[8]?.detail, 'emails.1: This is no e-mail address.');
      assert.equal((await t.call('GET', `${base}/c11`)).status, 200);
      assert.equal((await t.call('GET', `${base}/c8`)).status, 404);
    });

    test('of two lines with one id the later wins, unless it is bad', async () => {
      const twice = await post(lines({ id: 'd1', name: 'first' }, { id: 'd1', name: 'second' }));
      assert.equal((await get('d1'))['name'], 'second');
      assert.deepEqual([twice.created, twice.unchanged], [1, 1]);
      await post(lines({ id: 'd2', name: 'first' }, { id: 'd2', name: 'second', assigned_user_id: 'u9' }));
      assert.equal((await get('d2'))['name'], 'first');
      // Also where other batches lie between them.
      const between = Array.from({ length: 2500 }, (_, n) => ({ id: `d3-${n}` }));
      await post(lines({ id: 'd3', name: 'first' }, ...between, { id: 'd3', name: 'second' }));
      assert.equal((await get('d3'))['name'], 'second');
    });

    test('errors past 10,000 are counted and not listed', async () => {
      const result = await post('x\n'.repeat(10_050));
      assert.deepEqual([result.error_count, result.errors.length], [10_050, 10_000]);
      assert.equal(result.errors.at(-1)?.line, 10_000);
    });

    test('an empty body is an import of nothing', async () => {
      assert.deepEqual(await post(''), { created: 0, updated: 0, unchanged: 0, error_count: 0, errors: [] });
    });

    for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x']) {
      test(`refused: ${type}`, async () => {
        const answer = await t.call('POST', `${base}/import`, {
          body: '{}',
          headers: { 'content-type': type },
        });
        assert.deepEqual([answer.status, answer.body['code']], [415, 'unsupported_media_type']);
      });
    }
    test('taken: the other names of NDJSON', async () => {
      for (const type of ['application/ndjson; charset=utf-8', 'application/jsonl']) {
        const answer = await t.call('POST', `${base}/import`, {
          body: '',
          headers: { 'content-type': type },
        });
        assert.equal(answer.status, 200, type);
      }
    });

    test('when the body breaks off, what was stored stays: in batches, small ones where everybody waits', async () => {
      let sent = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (sent > 2500) controller.error(new Error('the line went down'));
          const chunk = lines(...Array.from({ length: 100 }, (_, n) => ({ id: `e-${sent + n}` })));
          sent += 100;
          controller.enqueue(Buffer.from(chunk));
        },
      });
      const answer = await t.call('POST', `${base}/import`, { body, headers });
      assert.deepEqual([answer.status, answer.body['code']], [400, 'incomplete_body']);
      assert.deepEqual(
        t.logged.filter((entry) => entry['level'] === 'error'),
        [],
      );
      const [row] = await t.db('contacts').where('id', 'like', 'e-%').count<{ count: string }[]>();
      assert.equal(Number(row?.count), kind === 'postgres' ? 2500 : 2600);
    });

    // The embedded database keeps its rows in this process's memory, which would be measured with the rest.
    if (kind === 'postgres')
      test('100,000 contacts in one call do not grow the memory', async (context) => {
        setFlagsFromString('--expose-gc');
        const collect = runInNewContext('gc') as () => void;
        const total = 100_000;
        const held: number[] = [];
        let sent = 0;
        const body = new ReadableStream({
          pull(controller) {
            if (sent % 10_000 === 0) {
              collect();
              const { heapUsed, arrayBuffers } = process.memoryUsage();
              held.push(heapUsed + arrayBuffers);
            }
            if (sent === total) return controller.close();
            const rows = Array.from({ length: 500 }, (_, n) => ({
              id: `big-${sent + n}`,
              name: `Person ${sent + n}`,
              emails: [`person.${sent + n}@customer.example`],
            }));
            controller.enqueue(Buffer.from(lines(...rows)));
            sent += rows.length;
          },
        });
        const start = performance.now();
        const result = await post(body);
        const seconds = (performance.now() - start) / 1000;
        assert.equal(result.created, total);
        context.diagnostic(
          `${Math.round(total / seconds)} contacts a second; held: ${held.map((n) => Math.round(n / 1e5) / 10).join(' ')} MB`,
        );
        // The first tenth warms up; from there on 90,000 contacts (9 MB of lines) leave nothing behind.
        const growth = Math.max(...held.slice(2)) - (held[1] ?? 0);
        assert.ok(growth < 3_000_000, `${growth} bytes more were held`);
      });
  });
