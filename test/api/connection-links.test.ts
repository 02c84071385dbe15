import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

describe('C1: links to the connect page', () => {
  let t: ApiUnderTest;
  const path = '/v1/sub-accounts/s1/users/ann/connection-links';

  before(async () => {
    t = await startApi({ kind: 'pglite' });
    await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 'One' } });
    for (const uid of ['ann', 'ben'])
      await t.call('PUT', `/v1/users/${uid}`, { json: { email: `${uid}@crm.example` } });
    await t.call('PUT', '/v1/sub-accounts/s1/users/ann');
  });
  after(() => t.close());

  async function codes(json: object): Promise<string[]> {
    const answer = await t.call('POST', path, { json });
    assert.equal(answer.status, 422, JSON.stringify(answer.body));
    return (answer.body['errors'] as { path: string; code: string }[]).map(
      (error) => `${error.path} ${error.code}`,
    );
  }

  test('a link has 256 random bits, of which only the hash is stored, and lives 30 minutes', async () => {
    const made = await t.call('POST', path, {
      json: { provider: 'imap', return_url: 'https://crm.example/mail?tab=2' },
    });
    assert.equal(made.status, 201);
    const url = String(made.body['url']);
    const token = /^https:\/\/twoway\.example\/connect\/([\w-]{43})$/.exec(url)?.[1] ?? assert.fail(url);
    assert.equal(Buffer.from(token, 'base64url').length, 32);
    const left = Date.parse(String(made.body['expires_at'])) - Date.now();
    assert(left > 29 * 60_000 && left <= 30 * 60_000 + 1000, String(left));
    const [row] = await rows<{ token_hash: Buffer }>(t.db, 'select * from connect_links');
    assert.deepEqual(row?.token_hash, createHash('sha256').update(token).digest());
    assert.doesNotMatch(JSON.stringify(row), new RegExp(token));
    assert.doesNotMatch(JSON.stringify(t.logged), new RegExp(token));
    assert.equal((await rows(t.db, 'select 1 from connections')).length, 0);
  });

  test('no body is an empty one; two links differ', async () => {
    const made = await Promise.all([
      t.call('POST', path),
      t.call('POST', path, { json: {} }),
      t.call('POST', path, { body: '', headers: { 'content-type': 'application/json' } }),
      t.call('POST', path, { body: '', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    ]);
    assert.deepEqual(
      made.map(({ status }) => status),
      [201, 201, 201, 201],
    );
    assert.equal(new Set(made.map(({ body }) => body['url'])).size, 4);
  });

  for (const url of [
    'javascript:alert(1)',
    'data:text/html,x',
    '//crm.example/',
    '/settings',
    'ftp://crm.example/',
    'https://ann:secret@crm.example/',
    `https://crm.example/${'x'.repeat(2048)}`,
  ]) {
    test(`return_url ${url.slice(0, 40)} is refused`, async () => {
      const [first = ''] = await codes({ return_url: url });
      assert.match(first, /^return_url (invalid_url|too_long)$/);
    });
  }

  test('a provider that is not set up, or is none', async () => {
    assert.deepEqual(await codes({ provider: 'gmail' }), ['provider provider_not_configured']);
    assert.deepEqual(await codes({ provider: 'aol' }), ['provider invalid_value']);
    assert.deepEqual(await codes({ provider: 'gmail', replace: 'yes', more: 1 }), [
      'replace invalid_type',
      'more unknown_field',
      'provider provider_not_configured',
    ]);
  });

  test('only for members', async () => {
    const answer = await t.call('POST', '/v1/sub-accounts/s1/users/ben/connection-links', { json: {} });
    assert.deepEqual([answer.status, answer.body['code']], [404, 'not_found']);
  });

  test('a link ends with the membership; old ones are forgotten', async () => {
    await run(t.db, `update connect_links set expires_at = now() - interval '41 days'`);
    await t.call('POST', path);
    assert.equal((await rows(t.db, 'select 1 from connect_links')).length, 1);
    await t.call('DELETE', '/v1/sub-accounts/s1/users/ann');
    assert.equal((await rows(t.db, 'select 1 from connect_links')).length, 0);
  });
});
