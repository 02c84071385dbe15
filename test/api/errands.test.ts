import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { seed, seedBreaks } from './access-cases.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

describe('what is done in a mailbox besides listening, by API', () => {
  let t: ApiUnderTest;
  let woken = 0;
  const connection = '/v1/connections/con_1';

  before(async () => {
    t = await startApi({
      kind: 'pglite',
      wakeErrands: () => void (woken += 1),
      breaks: seedBreaks,
    });
    await seed(t);
    await t.call('PUT', '/v1/sub-accounts/s1/contacts/c1', { json: { emails: ['carla@customer.example'] } });
  });
  after(() => t.close());

  const fieldsOf = (body: Record<string, unknown>) =>
    (body['errors'] as { path: string; code: string }[]).map(({ path, code }) => `${path} ${code}`);

  test('C8: a backfill is queued with its window, shown, and cancelled', async () => {
    const made = await t.call('POST', `${connection}/backfills`, {
      json: { since: '2026-01-01T00:00:00Z', until: '2026-02-01T00:00:00Z' },
    });
    assert.equal(made.status, 202);
    assert.equal(woken, 1);
    const { id, created_at: createdAt, ...rest } = made.body;
    assert.match(String(id), /^bkf_/);
    assert.ok(typeof createdAt === 'string');
    assert.deepEqual(rest, {
      connection_id: 'con_1',
      sub_account_id: 's1',
      state: 'queued',
      reason: null,
      ended_at: null,
      since: '2026-01-01T00:00:00.000Z',
      until: '2026-02-01T00:00:00.000Z',
      contact_id: null,
      dry_run: false,
      seen: 0,
      stored: 0,
      skipped: {},
      failed: 0,
      bytes: 0,
      share: 0,
    });
    const path = `${connection}/backfills/${String(id)}`;
    assert.deepEqual((await t.call('GET', path)).body, made.body);
    assert.equal((await t.call('GET', `/v1/connections/con_2/backfills/${String(id)}`)).status, 404);
    const cancelled = await t.call('DELETE', path);
    assert.equal(cancelled.body['state'], 'cancelled');
    assert.deepEqual((await t.call('DELETE', path)).body, cancelled.body, 'once more it stays as it is');
    const told = await rows(t.db, `select from events where type = 'backfill.finished' and object_id = :id`, {
      id,
    });
    assert.equal(told.length, 1);
  });

  test('S16: one contact needs no window', async () => {
    const made = await t.call('POST', `${connection}/backfills`, {
      json: { contact_id: 'c1', dry_run: true },
    });
    assert.equal(made.status, 202);
    assert.equal(made.body['since'], '1970-01-01T00:00:00.000Z');
  });

  for (const [what, json, expected] of [
    ['nothing', {}, ['since invalid_window']],
    [
      'an empty window',
      { since: '2026-02-01T00:00:00Z', until: '2026-01-01T00:00:00Z' },
      ['since invalid_window'],
    ],
    ['the future', { since: '2999-01-01T00:00:00Z' }, ['since invalid_window']],
    ['no such contact', { contact_id: 'c9' }, ['contact_id unknown_contact']],
    [
      'no time, and a field that is none',
      { since: 'yesterday', limit: 3 },
      ['since invalid_format', 'limit unknown_field'],
    ],
  ] as const) {
    test(`a backfill of ${what} is refused, and nothing is queued`, async () => {
      const before = await rows(t.db, 'select id from errands');
      const { status, body } = await t.call('POST', `${connection}/backfills`, { json });
      assert.equal(status, 422, JSON.stringify(body));
      assert.deepEqual(fieldsOf(body).sort(), [...expected].sort());
      assert.deepEqual(await rows(t.db, 'select id from errands'), before);
    });
  }

  test('T2: an audit is queued and shown', async () => {
    const made = await t.call('POST', `${connection}/audits`, { json: {} });
    assert.equal(made.status, 202);
    const { messages, decided, missing, healed, covered, heal } = made.body;
    assert.deepEqual([messages, decided, missing, healed, covered, heal], [0, 0, 0, 0, null, true]);
    const path = `${connection}/audits/${String(made.body['id'])}`;
    assert.deepEqual((await t.call('GET', path)).body, made.body);
  });

  test('a decision is stored by hand, or tried again, by its place', async () => {
    const asked = async () =>
      (
        await rows<{ request: unknown }>(
          t.db,
          `select request from errands where kind = 'judge_again' order by seq`,
        )
      ).map((row) => row.request);
    assert.equal((await t.call('POST', '/v1/sub-accounts/s1/decisions/dec_1/store')).status, 202);
    const place = { folderId: 'fld_1', uidValidity: 1, uids: [1] };
    assert.deepEqual(await asked(), [{ ...place, byHand: true }]);
    await run(t.db, `update decisions set outcome = 'failed', reason = 'unreadable' where id = 'dec_1'`);
    assert.equal((await t.call('POST', '/v1/sub-accounts/s1/decisions/dec_1/store')).status, 202);
    assert.deepEqual(await asked(), [
      { ...place, byHand: true },
      { ...place, byHand: false },
    ]);
    await run(
      t.db,
      `update decisions set outcome = 'stored', reason = 'from_contact', message_id = 'msg_1' where id = 'dec_1'`,
    );
    const { status, body } = await t.call('POST', '/v1/sub-accounts/s1/decisions/dec_1/store');
    assert.deepEqual([status, body['code'], body['outcome']], [409, 'already_decided', 'stored']);
    await run(
      t.db,
      `update decisions set outcome = 'skipped', reason = 'erased', message_id = null where id = 'dec_1'`,
    );
    const erased = await t.call('POST', '/v1/sub-accounts/s1/decisions/dec_1/store');
    assert.deepEqual([erased.status, erased.body['code']], [409, 'already_decided']);
    assert.equal((await asked()).length, 2, 'C7: no hand brings it back');
    await run(
      t.db,
      `update decisions set outcome = 'skipped', reason = 'no_match', message_id = null where id = 'dec_1'`,
    );
  });

  test('C5: paused, and resumed; each is told once, and what came meanwhile is left to be judged', async () => {
    const states = async () =>
      (
        await rows<{ state: string }>(
          t.db,
          `select data ->> 'state' as state from events where type = 'connection.state_changed' and object_id = 'con_1' order by ord`,
        )
      ).map((row) => row.state);
    const first = await t.call('POST', `${connection}/pause`);
    assert.deepEqual([first.status, first.body['state']], [200, 'paused']);
    assert.equal((await t.call('POST', `${connection}/pause`)).body['state'], 'paused');
    assert.deepEqual(await states(), ['paused']);
    const resumed = await t.call('POST', `${connection}/resume`);
    assert.deepEqual(
      [resumed.status, resumed.body['state']],
      [200, 'connecting'],
      'nobody has listened to it',
    );
    assert.equal((await t.call('POST', `${connection}/resume`)).body['state'], 'connecting');
    assert.deepEqual(await states(), ['paused', 'connecting']);
    assert.equal((await rows(t.db, `select from errands where kind = 'resume'`)).length, 1);
  });

  test('what has ended takes nothing', async () => {
    await run(t.db, `update connections set state = 'disconnected', ended_at = now() where id = 'con_1'`);
    for (const [path, json] of [
      ['backfills', { since: '2026-01-01T00:00:00Z' }],
      ['audits', {}],
      ['pause', undefined],
      ['resume', undefined],
    ] as const) {
      const { status, body } = await t.call(
        'POST',
        `${connection}/${path}`,
        json === undefined ? {} : { json },
      );
      assert.deepEqual([status, body['code']], [409, 'not_connected'], path);
    }
    const { body } = await t.call('POST', '/v1/sub-accounts/s1/decisions/dec_1/store');
    assert.equal(body['code'], 'not_connected');
  });
});
