import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

const json = { 'content-type': 'application/json' };
const path = '/v1/sub-accounts/s1';

function expectProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const { type, title, detail, request_id: id, ...rest } = answer.body;
  assert.equal(type, `urn:twoway:problem:${code}`);
  assert.equal(rest['code'], code);
  assert.equal(rest['status'], status);
  assert.ok(typeof title === 'string' && typeof detail === 'string');
  assert.equal(id, answer.headers.get('x-request-id'));
}

describe('problems (RFC 9457)', () => {
  let t: ApiUnderTest;
  before(async () => {
    t = await startApi();
  });
  after(() => t.close());

  test('every invalid field of path and body is named at once, with its own code', async () => {
    const answer = await t.call('PUT', '/v1/sub-accounts/no%20id', {
      json: {
        name: 5,
        colour: 'red',
        settings: { assigned_contacts_only: 'sometimes', speed: 1 },
        provider: { kind: 'smtp', host: '-', port: 0, security: 'none', from: 'nobody' },
      },
    });
    expectProblem(answer, 422, 'invalid_request');
    const errors = answer.body['errors'] as { in: string; path: string; code: string; detail: string }[];
    assert.ok(errors.every((error) => error.detail.length > 0));
    assert.deepEqual(errors.map((error) => `${error.in} ${error.path} ${error.code}`).sort(), [
      'body colour unknown_field',
      'body name invalid_type',
      'body provider.from invalid_address',
      'body provider.host invalid_format',
      'body provider.port too_small',
      'body settings.assigned_contacts_only invalid_value',
      'body settings.speed unknown_field',
      'path sid invalid_id',
    ]);
  });

  test('query and path are checked together too', async () => {
    await t.call('PUT', path, { json: {} });
    const answer = await t.call('GET', `${path}/contacts?limit=0&cursor=x&email=%00`);
    expectProblem(answer, 422, 'invalid_request');
    const errors = answer.body['errors'] as { in: string; path: string; code: string }[];
    assert.deepEqual(errors.map((error) => `${error.in} ${error.path} ${error.code}`).sort(), [
      'query cursor invalid_cursor',
      'query email invalid_text',
      'query limit too_small',
    ]);
  });

  test('a query’s Message-ID is checked with the rest', async () => {
    const answer = await t.call('GET', `${path}/decisions?internet_message_id=%20&limit=0`);
    const errors = answer.body['errors'] as { path: string; code: string }[];
    assert.deepEqual(errors.map((error) => `${error.path} ${error.code}`).sort(), [
      'internet_message_id invalid_message_id',
      'limit too_small',
    ]);
  });

  test('a missing field is required, a long text too long', async () => {
    const long = await t.call('PUT', path, { json: { name: 'x'.repeat(501) } });
    assert.deepEqual(long.body['errors'], [
      { in: 'body', path: 'name', code: 'too_long', detail: 'This must have 500 characters or fewer.' },
    ]);
    const missing = await t.call('PUT', '/v1/users/u1', { json: {} });
    assert.deepEqual((missing.body['errors'] as object[])[0], {
      in: 'body',
      path: 'email',
      code: 'required',
      detail: 'This is missing.',
    });
    const wrong = await t.call('PUT', path, {
      json: {
        name: 5,
        settings: { sync_sent_to_contacts: 'yes', assigned_contacts_only: 'sometimes' },
        provider: { kind: 'smtp', host: 'h', port: 0.5, security: 'none', from: 'a@b.example' },
      },
    });
    assert.deepEqual(
      (wrong.body['errors'] as { path: string; detail: string }[]).map(({ path, detail }) => [path, detail]),
      [
        ['name', 'This must be text.'],
        ['settings.sync_sent_to_contacts', 'This must be true or false.'],
        ['settings.assigned_contacts_only', 'This must be one of: when_shared, always, never.'],
        ['provider.port', 'This must be a whole number.'],
      ],
    );
    const query = await t.call('GET', `${path}/contacts?limit=0`);
    assert.equal((query.body['errors'] as { detail: string }[])[0]?.detail, 'This must be 1 or more.');
  });

  const bodies: {
    name: string;
    body: string;
    headers: Record<string, string>;
    status: number;
    code: string;
  }[] = [
    { name: 'no JSON', body: '{"name":', headers: json, status: 400, code: 'malformed_json' },
    { name: 'an empty body', body: '', headers: json, status: 400, code: 'malformed_json' },
    {
      name: 'another content type',
      body: '{}',
      headers: { 'content-type': 'text/plain' },
      status: 415,
      code: 'unsupported_media_type',
    },
    { name: 'a list', body: '[]', headers: json, status: 422, code: 'invalid_request' },
    { name: 'null', body: 'null', headers: json, status: 422, code: 'invalid_request' },
    { name: 'U+0000', body: '{"name":"a\\u0000"}', headers: json, status: 422, code: 'invalid_request' },
    {
      name: 'half a surrogate pair',
      body: '{"name":"\\ud800"}',
      headers: json,
      status: 422,
      code: 'invalid_request',
    },
    {
      name: 'a prototype',
      body: '{"__proto__":{"name":"x"}}',
      headers: json,
      status: 422,
      code: 'invalid_request',
    },
    {
      name: 'a deep nest',
      body: '['.repeat(400_000) + ']'.repeat(400_000),
      headers: json,
      status: 422,
      code: 'invalid_request',
    },
    {
      name: 'more than a megabyte',
      body: `{"name":"${'x'.repeat(1_048_577)}"}`,
      headers: json,
      status: 413,
      code: 'body_too_large',
    },
  ];
  for (const { name, body, headers, status, code } of bodies) {
    test(`a body of ${name}: ${status}`, async () => {
      expectProblem(await t.call('PUT', path, { body, headers }), status, code);
    });
  }

  test('a body without a content type: 415', async () => {
    const body = new Blob(['{}']).stream();
    expectProblem(await t.call('PUT', path, { body }), 415, 'unsupported_media_type');
  });

  test('a body of unknown length past the limit: 413', async () => {
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(Buffer.alloc(65_536, 0x20));
        sent += 1;
        if (sent === 100) controller.close();
      },
    });
    expectProblem(await t.call('PUT', path, { body, headers: json }), 413, 'body_too_large');
    assert.ok(sent < 30, 'the whole body was read');
  });

  test('a JSON content type with a character set or a suffix is JSON', async () => {
    for (const type of [
      'application/json; charset=utf-8',
      'Application/JSON',
      'application/merge-patch+json',
    ]) {
      const answer = await t.call('PUT', path, { body: '{}', headers: { 'content-type': type } });
      assert.equal(answer.status, 200, type);
    }
  });

  test('an unknown address: 404, with and without a key', async () => {
    expectProblem(await t.call('GET', '/v1/nothing'), 404, 'not_found');
    expectProblem(await t.call('GET', '/nothing', { key: null }), 404, 'not_found');
    expectProblem(await t.call('GET', '/v1/nothing', { key: null }), 401, 'unauthenticated');
  });

  for (const [method, address, allow] of [
    ['POST', path, 'DELETE, GET, HEAD, PUT'],
    ['PATCH', '/v1/users/u1', 'DELETE, GET, HEAD, PUT'],
    ['DELETE', '/v1/webhooks', 'GET, HEAD, POST'],
    ['GET', `${path}/messages`, 'POST'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ] as const) {
    test(`another method than ${address} takes, ${method}: 405 with those that it takes`, async () => {
      const answer = await t.call(method, address);
      expectProblem(answer, 405, 'method_not_allowed');
      assert.equal(answer.headers.get('allow'), allow);
    });
  }

  test('a parameter that there is not is an error, not ignored, also where there are none', async () => {
    for (const [address, names] of [
      [`${path}/contacts?emial=x&limit=0`, ['limit', 'emial']],
      [`${path}?verbose=1`, ['verbose']],
      ['/v1/events/stream?afer=1', ['afer']],
    ] as const) {
      const answer = await t.call('GET', address);
      expectProblem(answer, 422, 'invalid_request');
      const errors = answer.body['errors'] as { in: string; path: string; code: string }[];
      assert.deepEqual(
        errors.map((error) => `${error.in} ${error.path}`),
        names.map((name) => `query ${name}`),
      );
      assert.equal(errors.at(-1)?.code, 'unknown_field');
    }
    assert.equal((await t.call('GET', '/healthz?from=balancer', { key: null })).status, 200);
  });

  test('the front page says what this is, and leads to the documentation', async () => {
    const page = await t.api.request('/');
    const html = await page.text();
    assert.equal(page.status, 200);
    assert.match(html, /Twoway/);
    assert.match(html, /href="\/docs"/);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  });

  test('a 401 names the scheme (RFC 9110 §11.6.1)', async () => {
    assert.equal((await t.call('GET', path, { key: null })).headers.get('www-authenticate'), 'Bearer');
  });

  test('each call has an id of its own, in the header and in its log line, which holds no address', async () => {
    const first = await t.call('GET', `${path}/contacts?email=secret%40customer.example`);
    const second = await t.call('GET', `${path}/contacts`);
    const ids = [first, second].map((answer) => answer.headers.get('x-request-id'));
    assert.equal(new Set(ids).size, 2);
    const line = t.logged.find((entry) => entry['request_id'] === ids[0]);
    assert.equal(line?.['route'], '/v1/sub-accounts/:sid/contacts');
    assert.equal(line['status'], 200);
    assert.match(String(line['key_id']), /^key_/);
    assert.doesNotMatch(JSON.stringify(t.logged), /secret|tw_[\w-]{20}/);
  });
});

describe('a failure of the gateway', () => {
  test('is a 500 without a text of ours, and is in the log with its place', async () => {
    const failing = await startApi({
      disconnectBefore: () => Promise.reject(new Error('no route to the mail host')),
    });
    await failing.call('PUT', path, { json: {} });
    const answer = await failing.call('DELETE', path);
    expectProblem(answer, 500, 'internal');
    assert.doesNotMatch(JSON.stringify(answer.body), /mail host/);
    const line = failing.logged.find((entry) => entry['level'] === 'error');
    assert.equal(line?.['request_id'], answer.body['request_id']);
    assert.match(String(line?.['error']), /no route to the mail host/);
    assert.match(String(line?.['at']), /route\.test/);
    await failing.db.raw('alter table contact_addresses rename to lost');
    const contact = { json: { emails: ['secret@customer.example'] } };
    expectProblem(await failing.call('PUT', `${path}/contacts/c1`, contact), 500, 'internal');
    const database = failing.logged.filter((entry) => entry['level'] === 'error')[1];
    assert.equal(database?.['error'], 'database');
    assert.equal(database['code'], '42P01');
    assert.doesNotMatch(JSON.stringify(failing.logged), /secret/);
    await failing.db.raw('alter table lost rename to contact_addresses');
    await failing.close();
  });
});
