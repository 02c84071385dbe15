import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { createWorld } from '../filing/world.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';
import { waitFor } from '../support/wait.ts';

const base = '/v1/sub-accounts/s1/contacts';

describe('contacts', () => {
  let t: ApiUnderTest;
  let erasures = 0;
  before(async () => {
    t = await startApi({ wakeHousekeeping: () => (erasures += 1) });
    for (const sid of ['s1', 's2']) await t.call('PUT', `/v1/sub-accounts/${sid}`, { json: {} });
    for (const uid of ['u1', 'u2'])
      await t.call('PUT', `/v1/users/${uid}`, { json: { email: `${uid}@crm.example` } });
    await t.call('PUT', '/v1/sub-accounts/s1/users/u1');
    await t.call('PUT', '/v1/sub-accounts/s2/users/u2');
  });
  after(() => t.close());

  const put = (id: string, json: object) => t.call('PUT', `${base}/${id}`, { json });
  const idsWith = async (email: string) => {
    const page = await t.call('GET', `${base}?email=${encodeURIComponent(email)}`);
    return (page.body['data'] as { id: string }[]).map((row) => row.id);
  };

  test('W1: PUT makes, changes nothing when repeated, replaces', async () => {
    const json = {
      name: 'Cleo',
      emails: ['Cleo@Customer.example', 'c@home.example'],
      assigned_user_id: 'u1',
    };
    const made = await put('c1', json);
    assert.equal(made.status, 201);
    const { created_at: createdAt, updated_at: updatedAt, ...rest } = made.body;
    assert.deepEqual(rest, { id: 'c1', ...json, created_by: 'crm', earlier_mail: [] });
    assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const again = await put('c1', json);
    assert.deepEqual([again.status, again.body], [200, made.body]);
    for (const change of [
      { ...json, name: 'Cleo C.' },
      { ...json, emails: ['c@home.example', 'Cleo@Customer.example'] },
      { ...json, emails: ['c@home.example'] },
      { ...json, assigned_user_id: null },
    ]) {
      const changed = await put('c1', change);
      assert.deepEqual([changed.status, changed.body['emails']], [200, change.emails]);
      assert.notEqual(changed.body['updated_at'], updatedAt);
      assert.equal(changed.body['created_at'], createdAt);
    }
    const empty = await put('c1', {});
    assert.deepEqual(
      [empty.body['name'], empty.body['emails'], empty.body['assigned_user_id']],
      ['', [], null],
    );
    assert.deepEqual((await t.call('GET', `${base}/c1`)).body, empty.body);
  });

  test('S16: a contact that is new is offered the mail that was left out, for each mailbox', async () => {
    const world = await createWorld(t.db);
    await world.addSubAccount('s3');
    await world.addSubAccount('s4');
    for (const user of ['ann', 'ben', 'eve'])
      await world.addUser(user, `${user}@crm.example`, user === 'eve' ? ['s4'] : ['s3']);
    const [ann, ben, eve] = [
      await world.connect('ann@mail.example', [['s3', 'ann']]),
      await world.connect('ben@mail.example', [['s3', 'ben']]),
      await world.connect('eve@mail.example', [['s4', 'eve']]),
    ];
    const kim = { from: 'Kim <kim@new.example>' };
    await ann.see('inbox', kim, { from: 'shop@stranger.example' }, { ...kim, cc: 'work@new.example' });
    await ann.see('sent', { from: 'ann@mail.example', to: 'work@new.example' });
    await ben.see('inbox', kim);
    await eve.see('inbox', kim, kim);
    const at = async (mailbox: { id: string }) =>
      (await rows<{ id: string }>(t.db, 'select id from connections where mailbox_id = :id', mailbox))[0]?.id;
    const json = { emails: ['KIM@new.example', 'work@new.example'] };
    const made = await t.call('PUT', '/v1/sub-accounts/s3/contacts/kim', { json });
    assert.deepEqual(made.body['earlier_mail'], [
      { connection_id: await at(ann), messages: 3 },
      { connection_id: await at(ben), messages: 1 },
    ]);
    await ann.seeAgain('inbox', [1], { sub: 's3' });
    const shown = await t.call('GET', '/v1/sub-accounts/s3/contacts/kim');
    assert.deepEqual(shown.body['earlier_mail'], [
      { connection_id: await at(ann), messages: 2 },
      { connection_id: await at(ben), messages: 1 },
    ]);
  });

  test('of two addresses that are the same the first is kept as written', async () => {
    const json = { emails: ['D.D@googlemail.com', 'dd@gmail.com', 'x@y.example', 'X@Y.example'] };
    const made = await put('c2', json);
    assert.deepEqual(made.body['emails'], ['D.D@googlemail.com', 'x@y.example']);
    assert.deepEqual((await put('c2', json)).body, made.body);
  });

  test('found by any address in its canonical form, the +tag kept; two may share one', async () => {
    await put('e1', { emails: ['Eve+shop@Gmail.com', 'eve@work.example'] });
    await put('e2', { emails: ['eve@work.example'] });
    assert.deepEqual(await idsWith('EVE@work.EXAMPLE'), ['e1', 'e2']);
    assert.deepEqual(await idsWith('e.v.e+shop@googlemail.com'), ['e1']);
    assert.deepEqual(await idsWith('eve@gmail.com'), []);
    await put('e1', { emails: [] });
    assert.deepEqual(await idsWith('eve@work.example'), ['e2']);
  });

  test('the assigned user must be a member of the sub-account', async () => {
    for (const uid of ['u2', 'nobody']) {
      const answer = await put('f1', { assigned_user_id: uid });
      assert.deepEqual(answer.body['errors'], [
        {
          in: 'body',
          path: 'assigned_user_id',
          code: 'unknown_user',
          detail: 'No member of the sub-account has this id.',
        },
      ]);
    }
    const both = await put('f1', { emails: ['nobody'], assigned_user_id: 'nobody' });
    assert.deepEqual(
      (both.body['errors'] as { path: string; code: string }[]).map(({ path, code }) => `${path} ${code}`),
      ['emails.0 invalid_address', 'assigned_user_id unknown_user'],
    );
    assert.equal((await t.call('GET', `${base}/f1`)).status, 404);
  });

  test('the same id in two sub-accounts is two contacts', async () => {
    await put('g1', { name: 'here' });
    const other = await t.call('PUT', '/v1/sub-accounts/s2/contacts/g1', { json: { name: 'there' } });
    assert.equal(other.status, 201);
    assert.equal((await t.call('GET', `${base}/g1`)).body['name'], 'here');
    await t.call('DELETE', '/v1/sub-accounts/s2/contacts/g1');
    assert.equal((await t.call('GET', `${base}/g1`)).status, 200);
  });

  test('the list goes by id in pages that miss and repeat nothing', async () => {
    const ids = Array.from({ length: 7 }, (_, n) => `page-${n}`);
    for (const id of ids) await put(id, { emails: ['page@customer.example'] });
    const seen: string[] = [];
    let cursor: unknown = undefined;
    do {
      const after: string = typeof cursor === 'string' ? `&cursor=${cursor}` : '';
      const page = await t.call('GET', `${base}?email=page@customer.example&limit=3${after}`);
      seen.push(...(page.body['data'] as { id: string }[]).map((row) => row.id));
      cursor = page.body['next_cursor'];
    } while (cursor !== null);
    assert.deepEqual(seen, ids);
  });

  test('DELETE', async () => {
    await put('h1', { emails: ['h@customer.example'] });
    const before = erasures;
    assert.equal((await t.call('DELETE', `${base}/h1`)).status, 204);
    assert.equal(erasures, before + 1, 'their blobs go soon');
    assert.equal((await t.call('DELETE', `${base}/h1`)).status, 404);
    assert.deepEqual(await idsWith('h@customer.example'), []);
  });

  const overtaken: [how: string, status: number, call: (id: string) => Promise<Answer>][] = [
    ['PUT', 200, (id) => put(id, { name: 'after' })],
    [
      'an import',
      200,
      (id) =>
        t.call('POST', `${base}/import`, {
          body: JSON.stringify({ id, name: 'after' }),
          headers: { 'content-type': 'application/x-ndjson' },
        }),
    ],
    ['DELETE', 204, (id) => t.call('DELETE', `${base}/${id}`)],
  ];
  for (const [n, [how, status, call]] of overtaken.entries()) {
    test(`${how} that PostgreSQL undoes for the sake of another transaction (40P01) is done again`, async () => {
      const id = `deadlock-${n}`;
      await put(id, { name: 'before' });
      const deadlocks = async () =>
        (
          await rows<{ n: number }>(
            t.db,
            `select deadlocks::int as n from pg_stat_database where datname = current_database()`,
          )
        )[0]?.n ?? 0;
      const before = await deadlocks();
      const called = await t.db.transaction(async (tx) => {
        // The other one looks first, and is the one that is undone.
        await run(tx, `set local deadlock_timeout = '1min'`);
        await run(tx, `select from contacts where sub_account_id = 's1' and id = :id for update`, { id });
        const under = call(id);
        await waitFor('the call to wait for the contact', async () => {
          const waiting = await rows(
            t.db,
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          );
          return waiting.length > 0;
        });
        // What the call has, and this one waits for.
        await run(tx, `select from sub_accounts where id = 's1' for update`);
        // Not awaited here: it waits for this one to end.
        return { under };
      });
      assert.equal((await called.under).status, status);
      await waitFor('the deadlock to be counted', async () => (await deadlocks()) > before);
      const left = await t.call('GET', `${base}/${id}`);
      assert.equal(left.body['name'], how === 'DELETE' ? undefined : 'after');
    });
  }

  const bad: Record<string, [json: object, path: string, code: string]> = {
    'an address without a domain': [
      { emails: ['ok@customer.example', 'nobody'] },
      'emails.1',
      'invalid_address',
    ],
    'an address with a name': [{ emails: ['C <c@customer.example>'] }, 'emails.0', 'invalid_address'],
    'too many addresses': [
      { emails: Array.from({ length: 51 }, (_, n) => `c${n}@y.example`) },
      'emails',
      'too_long',
    ],
    'a field that is not there': [{ phone: '1' }, 'phone', 'unknown_field'],
    'a bad user id': [{ assigned_user_id: 'u 1' }, 'assigned_user_id', 'invalid_id'],
  };
  for (const [name, [json, path, code]] of Object.entries(bad)) {
    test(`refused: ${name}`, async () => {
      const answer = await put('bad', json);
      const [error] = answer.body['errors'] as { path: string; code: string }[];
      assert.deepEqual([answer.status, error?.path, error?.code], [422, path, code]);
    });
  }
});
