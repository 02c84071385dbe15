import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { listAudit } from '../../src/store/audit.ts';
import { run } from '../../src/store/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

/** A call of the API, what it answers, and what the audit log says of it; `:id` stands for the id of what is there. */
type Case = {
  call: string;
  json?: object;
  status: number;
  entries: { action: string; details: object }[];
};

describe('what is done by the API to keys, webhooks and traces is in the audit log', () => {
  let t: ApiUnderTest;
  let keyId: string;
  const ids: Record<string, string> = { connection: 'con_1', ended: 'con_2' };

  before(async () => {
    // Its connections are written by hand.
    t = await startApi({
      breaks: ['connection_has_ended_or_not', 'user_has_login_address', 'connection_state_is_told'],
    });
    await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 'One' } });
    for (const [id, ended] of [
      ['con_1', 'null'],
      ['con_2', 'now()'],
    ]) {
      await run(
        t.db,
        `with u as (insert into users (id, name, email) values ('u_' || :id, 'Ann', :id || '@crm.example')),
         m as (insert into memberships (sub_account_id, user_id) values ('s1', 'u_' || :id)),
         a as (insert into user_addresses (user_id, kind, canonical) values ('u_' || :id, 'mailbox', :id || '@mail.example')),
         b as (insert into mailboxes (id, provider, address, canonical, login, state)
               values ('mbx_' || :id, 'gmail', :id || '@mail.example', :id || '@mail.example', :id, 'live'))
         insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state, ended_at)
         values (:id, 's1', 'u_' || :id, 'mbx_' || :id, 'gmail', 'live', ${ended})`,
        { id },
      );
    }
    const { body } = await t.call('GET', '/v1/keys');
    keyId = (body['data'] as { id: string }[])[0]?.id ?? '';
  });
  after(() => t.close());

  const url = 'https://crm.example/in';
  const key = { label: 'CRM', scope: 'read', sub_account_id: 's1' };
  const cases: Case[] = [
    { call: 'POST /v1/keys', json: key, status: 201, entries: [{ action: 'key.made', details: key }] },
    { call: 'POST /v1/keys', json: { ...key, scope: 'all' }, status: 422, entries: [] },
    { call: 'GET /v1/keys', status: 200, entries: [] },
    { call: 'DELETE /v1/keys/:key', status: 204, entries: [{ action: 'key.revoked', details: key }] },
    { call: 'DELETE /v1/keys/:key', status: 404, entries: [] },
    {
      call: 'POST /v1/webhooks',
      json: { url, sub_account_id: 's1' },
      status: 201,
      entries: [{ action: 'webhook.made', details: { url, sub_account_id: 's1' } }],
    },
    { call: 'PATCH /v1/webhooks/:webhook', json: {}, status: 200, entries: [] },
    { call: 'PATCH /v1/webhooks/:webhook', json: { enabled: true }, status: 200, entries: [] },
    {
      call: 'PATCH /v1/webhooks/:webhook',
      json: { url: `${url}/2`, enabled: false, rotate_secret: true },
      status: 200,
      entries: ['webhook.changed', 'webhook.paused', 'webhook.secret_replaced'].map((action) => ({
        action,
        details: { url: `${url}/2` },
      })),
    },
    {
      call: 'PATCH /v1/webhooks/:webhook',
      json: { enabled: true },
      status: 200,
      entries: [{ action: 'webhook.resumed', details: { url: `${url}/2` } }],
    },
    {
      call: 'DELETE /v1/webhooks/:webhook',
      status: 204,
      entries: [{ action: 'webhook.deleted', details: { url: `${url}/2` } }],
    },
    { call: 'DELETE /v1/webhooks/:webhook', status: 404, entries: [] },
    {
      call: 'POST /v1/connections/:connection/traces',
      json: { minutes: 5 },
      status: 201,
      entries: [{ action: 'connection.traced', details: { minutes: 5 } }],
    },
    { call: 'POST /v1/connections/:ended/traces', json: { minutes: 5 }, status: 409, entries: [] },
    {
      call: 'DELETE /v1/connections/:connection/traces',
      status: 204,
      entries: [{ action: 'connection.traces_deleted', details: {} }],
    },
  ];
  let latest = '0';
  for (const { call, json, status, entries } of cases) {
    const said = entries.map(({ action }) => action).join(', ') || 'nothing';
    test(`${call} ${json === undefined ? '' : JSON.stringify(json)} → ${status}: ${said}`, async () => {
      const [method = '', path = ''] = call.split(' ');
      const noun = /:(\w+)/.exec(path)?.[1] ?? (path.endsWith('keys') ? 'key' : 'webhook');
      const answer = await t.call(
        method,
        path.replace(`:${noun}`, ids[noun] ?? ''),
        json === undefined ? {} : { json },
      );
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      if (answer.status === 201 && noun !== 'connection') ids[noun] = String(answer.body['id']);
      const log = await listAudit(t.db, { before: null, administratorId: null, noun: null, limit: 20 });
      const written = log.filter(({ id }) => BigInt(id) > BigInt(latest)).reverse();
      latest = log[0]?.id ?? '0';
      assert.deepEqual(
        written.map(({ action, details, subject, keyId: by, email }) => ({
          action,
          details,
          subject,
          by,
          email,
        })),
        entries.map((entry) => ({ ...entry, subject: ids[noun], by: keyId, email: null })),
      );
      assert.doesNotMatch(JSON.stringify(written), /tw_|whsec_/, 'no secret');
    });
  }
});
