import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openApiDocument } from '../../src/api/openapi.ts';
import { accessCases, publicRoutes, seed, seedBreaks } from './access-cases.ts';
import type { AccessCase, PathValues } from './access-cases.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

/**
 * Who may call what (W3). Each route of the document is called with every kind of key; one that has
 * no case fails.
 */
describe('W3: access by key', () => {
  let t: ApiUnderTest;
  let values: PathValues;
  let keys: { own: string; ownRead: string; allRead: string; revoked: string };

  before(async () => {
    // What the routes name is written by hand, and is no whole mail.
    t = await startApi({
      breaks: seedBreaks,
    });
    await renew();
  });
  after(() => t.close());

  async function renew(): Promise<void> {
    values = await seed(t);
    const revoked = await t.call('POST', '/v1/keys', { json: { sub_account_id: null, scope: 'write' } });
    await t.call('DELETE', `/v1/keys/${String(revoked.body['id'])}`);
    keys = {
      own: await t.makeKey('s1', 'write'),
      ownRead: await t.makeKey('s1', 'read'),
      allRead: await t.makeKey(null, 'read'),
      revoked: String(revoked.body['key']),
    };
  }

  function call(route: string, of: AccessCase, params: Record<string, string>, key: string | null) {
    const [method = '', template = ''] = route.split(' ');
    const path = template.replaceAll(
      /\{(\w+)\}/g,
      (_, name: string) => params[of.id && name === 'id' ? of.id : name] ?? assert.fail(name),
    );
    const { json, body } = of;
    if (body) return t.call(method, path, { key, body: body.text, headers: { 'content-type': body.type } });
    return t.call(method, path, { key, ...(json === undefined ? {} : { json }) });
  }

  test('every route of the document has a case, and every case a route', () => {
    const paths = openApiDocument(t.api).paths ?? {};
    const routes = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(routes.sort(), [...publicRoutes, ...Object.keys(accessCases)].sort());
  });

  for (const route of publicRoutes) {
    test(`${route} needs no key`, async () => {
      assert.equal((await t.call('GET', route.split(' ')[1] ?? '', { key: null })).status, 200);
    });
  }

  for (const [route, of] of Object.entries(accessCases)) {
    test(route, async () => {
      const reads = route.startsWith('GET ');
      for (const key of [null, keys.revoked, `tw_${'A'.repeat(43)}`, '']) {
        expect(await call(route, of, values.own, key), 401, 'unauthenticated');
      }
      for (const key of [keys.allRead, keys.ownRead]) {
        if (reads) expect(await call(route, of, values.own, key), key === keys.ownRead ? of.own : 200);
        else expect(await call(route, of, values.own, key), 403, 'read_only_key');
      }
      if (of.foreign !== null) await checkForeign(route, of, of.foreign);
      if (of.mixed !== undefined) {
        const mixed = { ...values.foreign, sid: values.own['sid'] ?? '' };
        expect(await call(route, of, mixed, keys.own), of.mixed);
      }
      for (const [key, status] of [
        [keys.own, of.own],
        [t.adminKey, of.all],
      ] as const) {
        expect(await call(route, of, values.own, key), status);
        if (!reads) await renew();
      }
    });
  }

  async function checkForeign(route: string, of: AccessCase, status: number): Promise<void> {
    const foreign = await call(route, of, values.foreign, keys.own);
    expect(foreign, status, 'not_found');
    if (of.makes) return;
    const absent = await call(route, of, values.absent, keys.own);
    const { request_id: foreignId, ...foreignBody } = foreign.body;
    const { request_id: absentId, ...absentBody } = absent.body;
    assert.notEqual(foreignId, absentId);
    assert.deepEqual([foreign.status, foreignBody], [absent.status, absentBody]);
  }

  test("with a key of one sub-account, a list shows nothing of another's", async () => {
    const list = await t.call('GET', '/v1/keys', { key: keys.own });
    const owners = new Set(
      (list.body['data'] as { sub_account_id: string }[]).map((key) => key.sub_account_id),
    );
    assert.deepEqual([...owners], ['s1']);
  });

  test('another tenant is untouched after all of that', async () => {
    const { data } = (await t.call('GET', '/v1/sub-accounts/s2/contacts')).body as {
      data: { id: string }[];
    };
    assert.deepEqual(
      data.map((contact) => contact.id),
      ['c2'],
    );
    assert.deepEqual((await t.call('GET', '/v1/users/u2/never-log')).body, { entries: [] });
  });
});

function expect(answer: Answer, status: number, code?: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  if (code !== undefined) assert.equal(answer.body['code'], code);
}
