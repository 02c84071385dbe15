import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

for (const kind of databaseKinds)
  describe(`users and members on ${kind}`, () => {
    let t: ApiUnderTest;
    before(async () => {
      t = await startApi({ kind });
      for (const sid of ['s1', 's2']) await t.call('PUT', `/v1/sub-accounts/${sid}`, { json: {} });
    });
    after(() => t.close());

    const addresses = async (id: string) => {
      const rows = await t.db.select('kind', 'canonical').from('user_addresses').where({ user_id: id });
      return (rows as { kind: string; canonical: string }[])
        .map((row) => `${row.kind} ${row.canonical}`)
        .sort();
    };

    test('W1: PUT makes, changes nothing when repeated, replaces', async () => {
      const json = { name: 'Ann', email: 'Ann@CRM.example', aliases: ['A.Nn+work@googlemail.com'] };
      const made = await t.call('PUT', '/v1/users/u1', { json });
      assert.equal(made.status, 201);
      const again = await t.call('PUT', '/v1/users/u1', { json });
      assert.deepEqual([again.status, again.body], [200, made.body]);
      assert.deepEqual([made.body['email'], made.body['aliases']], [json.email, json.aliases]);
      const replaced = await t.call('PUT', '/v1/users/u1', { json: { email: 'ann@crm.example' } });
      assert.deepEqual([replaced.body['name'], replaced.body['aliases']], ['', []]);
    });

    test('S7: a user is recognised by login and aliases in their own form, and by mailboxes after a change', async () => {
      const put = (email: string, aliases: string[]) =>
        t.call('PUT', '/v1/users/u2', { json: { email, aliases } });
      await put('Ben+x@CRM.example', ['B.En@googlemail.com', 'ben@gmail.com', 'b2@crm.example']);
      assert.deepEqual(await addresses('u2'), [
        'alias b2@crm.example',
        'alias ben@gmail.com',
        'login ben@crm.example',
      ]);
      await t.db('user_addresses').insert({ user_id: 'u2', kind: 'mailbox', canonical: 'box@mail.example' });
      await put('b2@crm.example', ['ben@crm.example']);
      assert.deepEqual(await addresses('u2'), [
        'alias ben@crm.example',
        'login b2@crm.example',
        'mailbox box@mail.example',
      ]);
    });

    test('membership: made once, listed by pages, ended', async () => {
      for (const uid of ['m1', 'm2', 'm3']) {
        await t.call('PUT', `/v1/users/${uid}`, { json: { email: `${uid}@crm.example` } });
        assert.equal((await t.call('PUT', `/v1/sub-accounts/s1/users/${uid}`)).status, 201);
      }
      const again = await t.call('PUT', '/v1/sub-accounts/s1/users/m1');
      assert.equal(again.status, 200);
      const first = await t.call('GET', '/v1/sub-accounts/s1/users?limit=2');
      assert.deepEqual((first.body['data'] as object[])[0], again.body);
      const cursor = String(first.body['next_cursor']);
      const second = await t.call('GET', `/v1/sub-accounts/s1/users?limit=2&cursor=${cursor}`);
      assert.deepEqual(
        (second.body['data'] as { id: string }[]).map((row) => row.id),
        ['m3'],
      );
      assert.equal(second.body['next_cursor'], null);
      assert.equal((await t.call('PUT', '/v1/sub-accounts/s1/users/nobody')).status, 404);
      assert.equal((await t.call('PUT', '/v1/sub-accounts/nowhere/users/m1')).status, 404);
      assert.equal((await t.call('DELETE', '/v1/sub-accounts/s1/users/m3')).status, 204);
      assert.equal((await t.call('DELETE', '/v1/sub-accounts/s1/users/m3')).status, 404);
      assert.equal((await t.call('GET', '/v1/users/m3')).status, 200);
    });

    test('C7: who leaves is disconnected there first, and their contacts there are assigned to nobody', async () => {
      await t.call('PUT', '/v1/users/u3', { json: { email: 'u3@crm.example' } });
      for (const sid of ['s1', 's2']) {
        await t.call('PUT', `/v1/sub-accounts/${sid}/users/u3`);
        await t.call('PUT', `/v1/sub-accounts/${sid}/contacts/k1`, { json: { assigned_user_id: 'u3' } });
      }
      const assigned = async (sid: string) =>
        (await t.call('GET', `/v1/sub-accounts/${sid}/contacts/k1`)).body['assigned_user_id'];
      t.disconnected.length = 0;
      await t.call('DELETE', '/v1/sub-accounts/s1/users/u3');
      assert.deepEqual(t.disconnected, [{ subAccountId: 's1', userId: 'u3' }]);
      assert.deepEqual([await assigned('s1'), await assigned('s2')], [null, 'u3']);
      assert.equal((await t.call('DELETE', '/v1/users/u3')).status, 204);
      assert.deepEqual(t.disconnected[1], { userId: 'u3' });
      assert.equal(await assigned('s2'), null);
      assert.equal((await t.call('GET', '/v1/users/u3')).status, 404);
      assert.deepEqual(await addresses('u3'), []);
    });

    test('W3: a key of one sub-account makes members of its own, and leaves shared users alone', async () => {
      const key = await t.makeKey('s1', 'write');
      const put = (uid: string) =>
        t.call('PUT', `/v1/users/${uid}`, { key, json: { email: 'x@crm.example' } });
      assert.equal((await put('own')).status, 201);
      assert.equal((await put('own')).status, 200);
      const members = (await t.call('GET', '/v1/sub-accounts/s1/users?limit=200', { key })).body;
      assert.ok((members['data'] as { id: string }[]).some((row) => row.id === 'own'));
      await t.call('PUT', '/v1/sub-accounts/s2/users/own');
      assert.equal((await t.call('GET', '/v1/users/own', { key })).status, 200);
      const neverLog = { json: { entries: [] } };
      for (const answer of [
        await put('own'),
        await t.call('DELETE', '/v1/users/own', { key }),
        await t.call('PUT', '/v1/users/own/never-log', { key, ...neverLog }),
      ]) {
        assert.deepEqual([answer.status, answer.body['code']], [403, 'shared_user']);
      }
      assert.equal((await t.call('DELETE', '/v1/sub-accounts/s1/users/own', { key })).status, 204);
      assert.equal((await put('own')).status, 404);
      assert.equal((await t.call('GET', '/v1/users/own', { key })).status, 404);
    });

    const bad: Record<string, object> = {
      'no address': { email: 'nobody' },
      'a display name': { email: 'Ann <ann@crm.example>' },
      'a bad alias': { email: 'ann@crm.example', aliases: ['@crm.example'] },
      'too many aliases': {
        email: 'ann@crm.example',
        aliases: Array.from({ length: 51 }, (_, n) => `a${n}@crm.example`),
      },
    };
    for (const [name, json] of Object.entries(bad)) {
      test(`refused: ${name}`, async () =>
        assert.equal((await t.call('PUT', '/v1/users/bad', { json })).status, 422));
    }
  });
