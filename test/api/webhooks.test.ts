import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { run } from '../../src/store/database.ts';
import { settleDeliveries } from '../../src/store/deliveries.ts';
import { claimDeliveries } from '../../src/store/delivery-claims.ts';
import type { WebhookId } from '../../src/lib/id.ts';
import { openSecrets } from '../../src/webhook/sign.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { findWebhook } from '../../src/store/webhooks.ts';
import { event, publish, startEndpoint } from '../webhook/support.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

describe('W2: webhooks by API', () => {
  let t: ApiUnderTest;
  before(async () => {
    t = await startApi();
    for (const id of ['s1', 's2']) await t.call('PUT', `/v1/sub-accounts/${id}`, { json: { name: id } });
  });
  after(() => t.close());

  const post = (json: object, key?: string) =>
    t.call('POST', '/v1/webhooks', { json, ...(key ? { key } : {}) });
  const make = async (json: object = {}): Promise<{ id: WebhookId; secret: string }> => {
    const { status, body } = await post({ url: 'https://crm.example/in', ...json });
    assert.equal(status, 201, JSON.stringify(body));
    return { id: String(body['id']) as WebhookId, secret: String(body['secret']) };
  };
  const rows = (answer: Answer) => answer.body['data'] as Record<string, unknown>[];

  test('made, shown, listed, changed, deleted; the secret is shown once', async () => {
    const made = await post({
      url: 'https://crm.example/in?a=1',
      types: ['send.sent'],
      sub_account_id: 's1',
    });
    assert.equal(made.status, 201);
    const { secret, ...webhook } = made.body;
    assert.match(String(secret), /^whsec_/);
    const path = `/v1/webhooks/${String(webhook['id'])}`;
    assert.deepEqual((await t.call('GET', path)).body, webhook);
    const { id, created_at, ...rest } = webhook;
    assert.match(String(id), /^whk_/);
    assert.ok(!Number.isNaN(Date.parse(String(created_at))));
    assert.deepEqual(rest, {
      sub_account_id: 's1',
      url: 'https://crm.example/in?a=1',
      types: ['send.sent'],
      enabled: true,
      failures: 0,
      paused_until: null,
      pending: 0,
      parked: 0,
    });
    const change = { url: 'https://crm.example/other', types: [], enabled: false };
    const changed = await t.call('PATCH', path, { json: change });
    assert.deepEqual([changed.status, changed.body], [200, { ...webhook, ...change }]);
    assert.deepEqual((await t.call('PATCH', path, { json: {} })).body, { ...webhook, ...change });
    assert.ok(rows(await t.call('GET', '/v1/webhooks')).some((row) => row['id'] === id));
    assert.equal((await t.call('DELETE', path)).status, 204);
    assert.equal((await t.call('GET', path)).status, 404);
    assert.equal((await t.call('DELETE', path)).status, 404);
  });

  test('whose it is: of the key, of one, of all', async () => {
    const own = await t.makeKey('s1', 'write');
    const url = 'https://crm.example/';
    assert.equal((await post({ url }, own)).body['sub_account_id'], 's1');
    assert.equal((await post({ url })).body['sub_account_id'], null);
    assert.equal((await post({ url, sub_account_id: null }, own)).body['code'], 'sub_account_key');
    for (const [sub, key] of [
      ['s2', own],
      ['s9', undefined],
    ] as const) {
      const refused = await post({ url, sub_account_id: sub }, key);
      assert.deepEqual(
        [refused.status, (refused.body['errors'] as { code: string }[])[0]?.code],
        [422, 'unknown_sub_account'],
      );
    }
  });

  const badUrls = {
    'http://10.0.0.1/': 'private_address',
    'http://0x7f.0.0.2/': 'private_address',
    'http://localhost:8080/': null,
    'ftp://crm.example/': 'invalid_url',
    'https://user:pw@crm.example/': 'invalid_url',
    'crm.example': 'invalid_url',
  };
  for (const [url, code] of Object.entries(badUrls)) {
    test(`"${url}" is ${code === null ? 'taken, since loopback is allowed here' : 'refused'}`, async () => {
      const { id } = await make();
      for (const answer of [
        await post({ url }),
        await t.call('PATCH', `/v1/webhooks/${id}`, { json: { url } }),
      ]) {
        const [error] = (answer.body['errors'] ?? []) as { path: string; code: string; detail: string }[];
        if (code === null) assert.ok(answer.status < 300);
        else assert.deepEqual([answer.status, error?.path, error?.code], [422, 'url', code]);
        const namesSetting = error?.detail.includes('TWOWAY_ALLOW_PRIVATE') ?? false;
        assert.equal(namesSetting, code === 'private_address', 'what allows it is named where that helps');
      }
    });
  }

  test('what only the gateway can judge is named together with the rest', async () => {
    const fieldsOf = ({ body }: Answer) =>
      (body['errors'] as { path: string; code: string }[]).map((error) => `${error.path} ${error.code}`);
    const wrong = { url: 'http://10.0.0.1/', types: ['send.lost'] };
    assert.deepEqual(fieldsOf(await post({ ...wrong, sub_account_id: 's9' })), [
      'types.0 invalid_value',
      'url private_address',
      'sub_account_id unknown_sub_account',
    ]);
    const { id } = await make();
    const changed = await t.call('PATCH', `/v1/webhooks/${id}`, { json: wrong });
    assert.deepEqual(fieldsOf(changed), ['types.0 invalid_value', 'url private_address']);
  });

  test('a type that there is not is refused', async () => {
    const { status, body } = await post({ url: 'https://crm.example/', types: ['send.sent', 'send.lost'] });
    assert.deepEqual([status, (body['errors'] as { path: string }[])[0]?.path], [422, 'types.1']);
  });

  test('a new secret is shown once, and the old one is good for a day', async () => {
    const { id, secret } = await make();
    const answer = await t.call('PATCH', `/v1/webhooks/${id}`, { json: { rotate_secret: true } });
    const next = String(answer.body['secret']);
    assert.match(next, /^whsec_/);
    assert.notEqual(next, secret);
    assert.equal((await t.call('GET', `/v1/webhooks/${id}`)).body['secret'], undefined);
    const row = await findWebhook(t.db, id, null);
    assert.ok(row);
    const box = createSecretBox([Buffer.alloc(32, 7)]);
    assert.deepEqual(openSecrets(box, row, Date.now()), [next, secret]);
  });

  test('a test event comes signed, and the answer says how it went', async () => {
    const statuses = [200, 500];
    const crm = await startEndpoint(() => statuses.shift());
    const { id, secret } = await make({ url: crm.url });
    const good = await t.call('POST', `/v1/webhooks/${id}/test`);
    const { took_ms, ...result } = good.body;
    assert.ok(Number.isInteger(took_ms));
    assert.deepEqual(result, { delivered: true, status: 200, error: null });
    const [arrival] = crm.arrivals;
    assert.ok(arrival);
    const payload = new Webhook(secret).verify(arrival.body, arrival.headers as Record<string, string>);
    assert.deepEqual((payload as { type: string }).type, 'webhook.test');
    const bad = await t.call('POST', `/v1/webhooks/${id}/test`);
    assert.deepEqual([bad.body['delivered'], bad.body['error']], [false, 'the endpoint answered 500']);
    await crm.stop();
    const none = await t.call('POST', `/v1/webhooks/${id}/test`);
    assert.deepEqual([none.body['delivered'], none.body['status']], [false, null]);
    assert.match(String(none.body['error']), /ECONNREFUSED/);
    assert.deepEqual(rows(await t.call('GET', '/v1/events')), [], 'it is in no log');
  });

  test('deliveries are listed by state and page, counted, and tried again', async () => {
    await run(t.db, 'delete from webhooks');
    const { id } = await make();
    await publish(t.db, event(0, 'a'), event(1, 'a'), event(2, 'b'), event(3));
    const claimed = await claimDeliveries(t.db, { webhookId: id, owner: 'n', leaseMs: 60_000, limit: 2 });
    await settleDeliveries(t.db, {
      webhookId: id,
      owner: 'n',
      settled: claimed.map((delivery, n) => ({
        id: delivery.id,
        tried: true,
        state: n === 0 ? 'parked' : 'delivered',
        status: n === 0 ? 500 : 204,
        error: n === 0 ? 'the endpoint answered 500' : null,
        delayMs: 0,
      })),
      news: { kind: 'untold' },
      pauseMs: () => 0,
    });
    const path = `/v1/webhooks/${id}`;
    const { pending, parked } = (await t.call('GET', path)).body;
    assert.deepEqual([pending, parked], [2, 1]);
    const [first] = rows(await t.call('GET', `${path}/deliveries?state=parked`));
    const { id: did, event_id, created_at, ...rest } = first ?? {};
    assert.match(String(event_id), /^evt_/);
    assert.ok(created_at);
    assert.deepEqual(rest, {
      event_type: 'conversation.updated',
      state: 'parked',
      attempts: 1,
      last_status: 500,
      last_error: 'the endpoint answered 500',
      next_attempt_at: null,
      delivered_at: null,
    });
    const pages: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const answer: Answer = await t.call(
        'GET',
        `${path}/deliveries?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      pages.push(
        rows(answer)
          .map((row) => row['state'])
          .join(' '),
      );
      cursor = answer.body['next_cursor'] as string | null;
    }
    assert.deepEqual(pages, ['pending delivered pending', 'parked']);
    const retried = await t.call('POST', `${path}/deliveries/${String(did)}/retry`);
    assert.deepEqual([retried.status, retried.body['state'], retried.body['attempts']], [200, 'pending', 0]);
    assert.equal((await t.call('POST', `${path}/deliveries/dlv_9/retry`)).status, 404);
    const other = await make();
    assert.equal(
      (await t.call('POST', `/v1/webhooks/${other.id}/deliveries/${String(did)}/retry`)).status,
      404,
    );
  });
});
