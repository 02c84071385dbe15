import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { run } from '../../src/store/database.ts';
import { findSubAccount, providerPasswordContext } from '../../src/store/sub-accounts.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const path = '/v1/sub-accounts/s1';
const provider = {
  kind: 'smtp',
  host: 'smtp.customer.example',
  port: 587,
  security: 'starttls',
  username: 'mailer',
  from: 'news@customer.example',
};
const defaults = {
  sync_sent_to_contacts: true,
  assigned_contacts_only: 'when_shared',
  outlook_two_way_sync: true,
  fetch_thread_head: true,
  inbound_attachments: 'skip_message',
};

describe('sub-accounts', () => {
  let t: ApiUnderTest;
  let erasures = 0;
  before(async () => {
    const secretBox = createSecretBox([Buffer.alloc(32, 9)]);
    t = await startApi({ secretBox, wakeHousekeeping: () => (erasures += 1) });
  });
  after(() => t.close());

  const sealed = async () => (await findSubAccount(t.db, 's1'))?.providerPasswordSealed;

  test('W1: PUT makes, then changes nothing when repeated, then replaces', async () => {
    const made = await t.call('PUT', path, { json: { name: 'One' } });
    assert.equal(made.status, 201);
    assert.deepEqual(made.body['settings'], defaults);
    assert.equal(made.body['provider'], null);
    const again = await t.call('PUT', path, { json: { name: 'One', settings: defaults, provider: null } });
    assert.deepEqual([again.status, again.body], [200, made.body]);
    const changed = await t.call('PUT', path, {
      json: { name: 'Two', settings: { fetch_thread_head: false } },
    });
    assert.deepEqual(changed.body['settings'], { ...defaults, fetch_thread_head: false });
    assert.notEqual(changed.body['updated_at'], made.body['updated_at']);
    assert.equal(changed.body['created_at'], made.body['created_at']);
    assert.deepEqual((await t.call('GET', path)).body, changed.body);
    const replaced = await t.call('PUT', path, { json: {} });
    assert.deepEqual([replaced.body['name'], replaced.body['settings']], ['', defaults]);
  });

  test('only what differs from the defaults is stored', async () => {
    await t.call('PUT', path, { json: { settings: { ...defaults, sync_sent_to_contacts: false } } });
    const [row] = await t.db.select('settings').from('sub_accounts').where({ id: 's1' });
    assert.deepEqual(row, { settings: { sync_sent_to_contacts: false } });
  });

  test("the provider's password is sealed, never shown, and kept where the login stays the same", async () => {
    const put = await t.call('PUT', path, { json: { provider: { ...provider, password: 'open sesame' } } });
    assert.deepEqual(put.body['provider'], { ...provider, has_password: true });
    const first = await sealed();
    const box = createSecretBox([Buffer.alloc(32, 9)]);
    assert.equal(box.open(first ?? '', providerPasswordContext('s1')), 'open sesame');
    for (const password of [{}, { password: 'open sesame' }]) {
      const again = await t.call('PUT', path, { json: { provider: { ...provider, ...password } } });
      assert.deepEqual(again.body, put.body);
      assert.equal(await sealed(), first);
    }
    await t.call('PUT', path, { json: { provider: { ...provider, from: 'other@customer.example' } } });
    assert.equal(await sealed(), first);
    await t.call('PUT', path, { json: { provider: { ...provider, password: 'another' } } });
    assert.equal(box.open((await sealed()) ?? '', providerPasswordContext('s1')), 'another');
  });

  for (const [name, change] of Object.entries({
    host: { host: 'smtp.attacker.example' },
    port: { port: 465 },
    username: { username: 'somebody' },
  })) {
    test(`a stored password is not handed to another ${name}`, async () => {
      await t.call('PUT', path, { json: { provider: { ...provider, password: 'open sesame' } } });
      const answer = await t.call('PUT', path, { json: { provider: { ...provider, ...change } } });
      assert.equal(answer.status, 422);
      assert.deepEqual((answer.body['errors'] as { path: string; code: string }[])[0], {
        in: 'body',
        path: 'provider.password',
        code: 'required',
        detail: 'A new login needs its password.',
      });
    });
  }

  test('a missing password is named together with the rest', async () => {
    const answer = await t.call('PUT', path, {
      json: { name: 5, provider: { ...provider, host: 'smtp.other.example' } },
    });
    assert.deepEqual(
      (answer.body['errors'] as { path: string }[]).map((error) => error.path),
      ['name', 'provider.password'],
    );
  });

  test('a provider without a login has no password, and none is kept', async () => {
    const answer = await t.call('PUT', path, { json: { provider: { ...provider, username: null } } });
    assert.deepEqual(answer.body['provider'], { ...provider, username: null, has_password: false });
    assert.equal(await sealed(), null);
    await t.call('PUT', path, { json: { provider: null } });
    assert.equal((await t.call('GET', path)).body['provider'], null);
  });

  test('DELETE ends the connections, then erases everything in it and nothing else', async () => {
    await t.call('PUT', '/v1/sub-accounts/s2', { json: {} });
    await t.call('PUT', '/v1/users/u1', { json: { email: 'ann@crm.example' } });
    for (const sid of ['s1', 's2']) {
      await t.call('PUT', `/v1/sub-accounts/${sid}/users/u1`);
      await t.call('PUT', `/v1/sub-accounts/${sid}/contacts/c1`, {
        json: { emails: ['c@customer.example'] },
      });
      await t.call('PUT', `/v1/sub-accounts/${sid}/never-log`, { json: { entries: ['@bank.example'] } });
    }
    await run(
      t.db,
      `insert into contacts (sub_account_id, id, name) select 's1', 'many-' || n, '' from generate_series(1, 4500) n`,
    );
    const portions: number[] = [];
    const note = (response: { rowCount: number }, { sql }: { sql: string }) => {
      if (sql.startsWith('delete from contacts')) portions.push(response.rowCount);
    };
    t.db.on('query-response', note);
    const key = await t.makeKey('s1', 'write');
    t.disconnected.length = 0;
    const before = erasures;
    assert.equal((await t.call('DELETE', path)).status, 204);
    assert.equal(erasures, before + 1, 'their blobs go soon');
    t.db.off('query-response', note);
    assert.deepEqual(portions, [1000, 1000, 1000, 1000, 501], 'nobody waits for one large statement');
    assert.deepEqual(t.disconnected, [{ subAccountId: 's1' }]);
    assert.equal((await t.call('GET', path)).status, 404);
    assert.equal((await t.call('DELETE', path)).status, 404);
    assert.equal((await t.call('GET', '/v1/keys', { key })).status, 401);
    for (const table of ['contacts', 'contact_addresses', 'memberships', 'never_log']) {
      const left = await t.db.select<{ sub_account_id: string }[]>('sub_account_id').from(table);
      assert.deepEqual(
        left.map((row) => row.sub_account_id),
        ['s2'],
        table,
      );
    }
    assert.equal((await t.call('GET', '/v1/users/u1')).status, 200);
  });
});
