import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findLoggingOwners } from '../../src/store/logging-addresses.ts';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const path = '/v1/sub-accounts/s1/users/u1/logging-address';

for (const kind of databaseKinds)
  describe(`B1: logging addresses on ${kind}`, () => {
    let t: ApiUnderTest;
    before(async () => {
      t = await startApi({ kind });
      await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 'North; East, and the rest' } });
      await t.call('PUT', '/v1/sub-accounts/s2', { json: {} });
      for (const id of ['u1', 'u2']) {
        await t.call('PUT', `/v1/users/${id}`, {
          json: { email: `${id}@crm.example`, aliases: [`${id}.alias@crm.example`] },
        });
        await t.call('PUT', `/v1/sub-accounts/s1/users/${id}`);
      }
      await t.call('PUT', '/v1/sub-accounts/s2/users/u1');
    });
    after(() => t.close());

    const get = async (of: string) =>
      (await t.call('GET', of)).body as { address: string; replaced: unknown[] };
    const localOf = ({ address }: { address: string }) => address.slice(0, address.indexOf('@'));
    const owner = async (local: string) => (await findLoggingOwners(t.db, [local])).get(local);

    test('each member of each sub-account has one of their own, with 80 random bits', async () => {
      const all = await Promise.all(
        [path, path.replace('s1', 's2'), path.replace('u1', 'u2')].map((each) => get(each)),
      );
      for (const { address, replaced } of all) {
        assert.match(address, /^log-[0-9a-hjkmnp-tv-z]{16}@log\.crm\.example$/);
        assert.deepEqual(replaced, []);
      }
      assert.equal(new Set(all.map(({ address }) => address)).size, 3);
      assert.deepEqual(await get(path), all[0], 'it stays');
    });

    test('whose it is, with every address that counts as theirs', async () => {
      const found = await owner(localOf(await get(path)));
      assert.deepEqual(
        [found?.subAccountId, found?.userId, [...(found?.ownAddresses ?? [])]],
        ['s1', 'u1', ['u1.alias@crm.example', 'u1@crm.example']],
      );
      assert.equal(await owner('log-0000000000000000'), undefined);
    });

    test('replaced, the one before counts for as long as was said, and no longer', async () => {
      const first = await get(path);
      const second = (await t.call('POST', `${path}/replace`, { json: {} })).body as typeof first;
      assert.notEqual(second.address, first.address);
      assert.deepEqual(
        (second.replaced as { address: string }[]).map(({ address }) => address),
        [first.address],
      );
      assert.deepEqual(await get(path), second);
      for (const each of [first, second]) assert.equal((await owner(localOf(each)))?.userId, 'u1');
      await t.db.raw(`update logging_addresses set expires_at = now() where expires_at is not null`);
      assert.equal(await owner(localOf(first)), undefined);
      assert.deepEqual((await get(path)).replaced, []);
      const third = (await t.call('POST', `${path}/replace`, { json: { overlap_days: 0 } }))
        .body as typeof first;
      assert.deepEqual(third.replaced, []);
      assert.equal(await owner(localOf(second)), undefined);
    });

    test('replaced by several at the same moment, each gets an answer, and one is in use', async () => {
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => t.call('POST', `${path}/replace`, { json: { overlap_days: 0 } })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200],
      );
      assert.deepEqual((await get(path)).replaced, []);
    });

    for (const overlap_days of [-1, 366, 1.5, '3']) {
      test(`an overlap of ${JSON.stringify(overlap_days)} days is refused, and replaces nothing`, async () => {
        const before = await get(path);
        assert.equal((await t.call('POST', `${path}/replace`, { json: { overlap_days } })).status, 422);
        assert.deepEqual(await get(path), before);
      });
    }

    test('a card for the address book, with what the name holds escaped', async () => {
      const { address } = await get(path);
      const answer = await t.api.request(`${path}.vcf`, {
        headers: { Authorization: `Bearer ${t.adminKey}` },
      });
      assert.match(answer.headers.get('content-type') ?? '', /^text\/vcard/);
      const lines = (await answer.text()).replaceAll('\r\n ', '').split('\r\n');
      assert.deepEqual(lines.slice(0, 5), [
        'BEGIN:VCARD',
        'VERSION:3.0',
        'FN:CRM log (North\\; East\\, and the rest)',
        'N:CRM log (North\\; East\\, and the rest);;;;',
        `EMAIL;TYPE=INTERNET:${address}`,
      ]);
      assert.deepEqual(lines.slice(-2), ['END:VCARD', '']);
    });

    test('it ends with the membership, and another one is made with the next', async () => {
      const before = await get(path.replace('u1', 'u2'));
      await t.call('DELETE', '/v1/sub-accounts/s1/users/u2');
      assert.equal((await t.call('GET', path.replace('u1', 'u2'))).status, 404);
      assert.equal((await t.call('POST', `${path.replace('u1', 'u2')}/replace`, { json: {} })).status, 404);
      assert.equal(await owner(localOf(before)), undefined);
      await t.call('PUT', '/v1/sub-accounts/s1/users/u2');
      assert.notEqual((await get(path.replace('u1', 'u2'))).address, before.address);
    });
  });

test('B1: without a domain there are none to show, and it is said', async () => {
  const t = await startApi({ kind: 'pglite', loggingDomain: null });
  try {
    await t.call('PUT', '/v1/sub-accounts/s1', { json: {} });
    await t.call('PUT', '/v1/users/u1', { json: { email: 'u1@crm.example' } });
    await t.call('PUT', '/v1/sub-accounts/s1/users/u1');
    const answer = await t.call('GET', path);
    assert.deepEqual([answer.status, answer.body['code']], [409, 'logging_off']);
  } finally {
    await t.close();
  }
});
