import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createFirstKey, makeKey } from '../../src/store/keys.ts';
import { databaseKinds } from '../support/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

for (const kind of databaseKinds)
  describe(`W3: keys on ${kind}`, () => {
    let t: ApiUnderTest;
    before(async () => {
      t = await startApi({ kind });
      await t.call('PUT', '/v1/sub-accounts/s1', { json: {} });
    });
    after(() => t.close());

    test('a key has 256 random bits, and only its SHA-256 is stored', async () => {
      assert.match(t.adminKey, /^tw_[A-Za-z0-9_-]{43}$/);
      const wanted = { subAccountId: null, scope: 'read', label: '' } as const;
      const made = await Promise.all(Array.from({ length: 50 }, () => makeKey(t.db, wanted)));
      assert.equal(new Set(made.map(({ key }) => key)).size, 50);
      const stored = JSON.stringify(await t.db.select('*').from('api_keys'));
      assert.ok(!stored.includes(t.adminKey.slice(3)));
      assert.ok(!stored.includes(Buffer.from(t.adminKey).toString('hex')));
    });

    test('the first key is made once, and again only when no such key is in force', async () => {
      assert.equal(await createFirstKey(t.db), null);
      await t.db.raw('update api_keys set revoked_at = now()');
      const both = await Promise.all([createFirstKey(t.db), createFirstKey(t.db)]);
      assert.equal(both.filter((key) => key !== null).length, 1);
      t.adminKey = both.find((key) => key !== null) ?? '';
      const list = await t.call('GET', '/v1/keys', { key: t.adminKey });
      assert.equal(list.status, 200);
    });

    test('a key that calls too often is held back, and no other key is', async () => {
      const clock = createManualClock(Date.now());
      const slow = await startApi({ kind, clock });
      const other = await slow.makeKey(null, 'read');
      let answer = await slow.call('GET', '/openapi.json');
      const held = new Set<number>();
      for (let n = 0; n < 51; n += 1) {
        const answers = await Promise.all(Array.from({ length: 100 }, () => slow.call('GET', '/v1/nothing')));
        for (const { status } of answers) held.add(status);
        answer = answers.at(-1) ?? answer;
      }
      assert.deepEqual([...held], [404, 429]);
      assert.equal(answer.headers.get('content-type'), 'application/problem+json');
      assert.equal(answer.headers.get('retry-after'), '1');
      assert.equal(answer.body['code'], 'too_many_requests');
      assert.equal((await slow.call('GET', '/v1/nothing', { key: other })).status, 404);
      await clock.advance(1_000);
      assert.equal((await slow.call('GET', '/v1/nothing')).status, 404, 'a second later it goes on');
      const guess = (from = '192.0.2.1') =>
        slow.api.request(
          '/v1/keys',
          { headers: { authorization: `Bearer tw_${'A'.repeat(43)}` } },
          { incoming: { socket: { remoteAddress: from } as Socket } },
        );
      for (let n = 0; n < 100; n += 1) assert.equal((await guess()).status, 401);
      assert.equal((await guess()).status, 429, 'whoever has no key is held back by their address');
      assert.equal((await guess('192.0.2.2')).status, 401);
      assert.equal(
        (await slow.call('GET', '/v1/nothing', { key: other })).status,
        404,
        'and whoever has one is not',
      );
      await slow.close();
    });

    for (const [name, header] of [
      ['no scheme', (key: string) => key],
      ['another scheme', (key: string) => `Basic ${key}`],
      ['two keys', (key: string) => `Bearer ${key} ${key}`],
      ['a key with one character more', (key: string) => `Bearer ${key}a`],
      ['a key with one character less', (key: string) => `Bearer ${key.slice(0, -1)}`],
    ] as const) {
      test(`refused: ${name}`, async () => {
        const headers = { authorization: header(t.adminKey) };
        assert.equal((await t.call('GET', '/v1/keys', { key: null, headers })).status, 401);
      });
    }

    test('the scheme is compared without case (RFC 9110 §11.1)', async () => {
      const headers = { authorization: `bearer ${t.adminKey}` };
      assert.equal((await t.call('GET', '/v1/keys', { key: null, headers })).status, 200);
    });

    test('a key is shown once, works, and opens nothing once revoked', async () => {
      const made = await t.call('POST', '/v1/keys', {
        key: t.adminKey,
        json: { sub_account_id: 's1', scope: 'write', label: 'CRM' },
      });
      assert.equal(made.status, 201);
      const { id, key } = made.body as { id: string; key: string };
      assert.match(id, /^key_/);
      const list = await t.call('GET', '/v1/keys', { key });
      const shown = (list.body['data'] as Record<string, unknown>[]).find((row) => row['id'] === id);
      assert.deepEqual(Object.keys(shown ?? {}).sort(), [
        'created_at',
        'id',
        'label',
        'scope',
        'sub_account_id',
      ]);
      assert.equal((await t.call('DELETE', `/v1/keys/${id}`, { key })).status, 204);
      assert.equal((await t.call('GET', '/v1/keys', { key })).status, 401);
      assert.equal((await t.call('DELETE', `/v1/keys/${id}`, { key: t.adminKey })).status, 404);
    });

    test('calls at the same moment each have what their own key opens; one that was just revoked opens nothing', async () => {
      await t.call('PUT', '/v1/sub-accounts/s3', { key: t.adminKey, json: {} });
      const make = async (more: object) => {
        const json = { sub_account_id: 's1', scope: 'write', ...more };
        const { body } = await t.call('POST', '/v1/keys', { key: t.adminKey, json });
        return { id: String(body['id']), key: String(body['key']) };
      };
      const [own, reads, other, revoked] = await Promise.all([
        make({}),
        make({ scope: 'read' }),
        make({ sub_account_id: 's3' }),
        make({}),
      ]);
      const put = (path: string, key: string) => t.call('PUT', path, { key, json: { name: 'Bert' } });
      const contact = '/v1/sub-accounts/s1/contacts/bert';
      const first = await put(contact, revoked.key);
      assert.equal(first.status, 201);
      assert.equal((await t.call('DELETE', `/v1/keys/${revoked.id}`, { key: t.adminKey })).status, 204);
      const table: [path: string, key: string, status: number][] = [
        [contact, own.key, 200],
        [contact, revoked.key, 401],
        [contact, reads.key, 403],
        [contact, other.key, 404],
        [contact, t.adminKey, 200],
        ['/v1/sub-accounts/s9/contacts/bert', t.adminKey, 404],
        ['/v1/sub-accounts/%00/contacts/bert', t.adminKey, 404],
        ['/v1/sub-accounts/s9/contacts/bert', own.key, 404],
        [contact, `${own.key}x`, 401],
        [contact, own.key, 200],
      ];
      const answers = await Promise.all(table.map(([path, key]) => put(path, key)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        table.map(([, , status]) => status),
      );
    });

    test('a key of one sub-account makes keys for no other and not for all', async () => {
      await t.call('PUT', '/v1/sub-accounts/s2', { key: t.adminKey, json: {} });
      const made = await t.call('POST', '/v1/keys', {
        key: t.adminKey,
        json: { sub_account_id: 's1', scope: 'write' },
      });
      const key = String(made.body['key']);
      const post = (subAccountId: unknown) =>
        t.call('POST', '/v1/keys', { key, json: { sub_account_id: subAccountId, scope: 'read' } });
      assert.equal((await post('s1')).status, 201);
      assert.equal((await post(null)).body['code'], 'sub_account_key');
      const other = await post('s2');
      const absent = await post('s9');
      assert.deepEqual([other.status, other.body['errors']], [422, absent.body['errors']]);
      assert.equal((other.body['errors'] as { code: string }[])[0]?.code, 'unknown_sub_account');
    });

    test('whom a key opens for must be said', async () => {
      const answer = await t.call('POST', '/v1/keys', { key: t.adminKey, json: { scope: 'read' } });
      assert.equal((answer.body['errors'] as { code: string }[])[0]?.code, 'required');
    });

    test('the list has pages', async () => {
      const ids: string[] = [];
      let cursor: string | null = '';
      for (let pages = 0; cursor !== null && pages < 100; pages++) {
        const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
        const page = await t.call('GET', `/v1/keys?limit=2${query}`, { key: t.adminKey });
        ids.push(...(page.body['data'] as { id: string }[]).map((row) => row.id));
        cursor = page.body['next_cursor'] as string | null;
      }
      const all = await t.db.select('id').from('api_keys').whereNull('revoked_at');
      assert.deepEqual(ids, all.map((row: { id: string }) => row.id).sort());
    });
  });
