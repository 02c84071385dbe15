import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openApiDocument } from '../../src/api/openapi.ts';
import { createRandom } from '../sim/random.ts';
import { nastyTexts, nastyValues, worstTexts } from '../support/nasty.ts';
import { accessCases, seed, seedBreaks } from './access-cases.ts';
import type { AccessCase, PathValues } from './access-cases.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

/** Of the values that are not always tried each place gets this many, by this seed. */
const [picked, fromSeed] = [2, 1];

/**
 * What nobody should send: each parameter, each field and each body of each route in turn is one of the nasty values.
 * Whatever is said to that, it is no failure of ours, and it is a problem (RFC 9457) that names the field.
 */
describe('no call makes the gateway fail', () => {
  const random = createRandom(fromSeed);
  let t: ApiUnderTest;
  let own: PathValues['own'];
  let document: Document;
  before(async () => {
    t = await startApi({ breaks: seedBreaks });
    document = openApiDocument(t.api) as unknown as Document;
    ({ own } = await seed(t));
  });
  after(() => t.close());

  type Options = Parameters<ApiUnderTest['call']>[2];

  async function judge(method: string, path: string, options: Options = {}): Promise<void> {
    const answer = await t.call(method, path, options);
    const call = `${method} ${path.slice(0, 300)} ${JSON.stringify(options).slice(0, 300)}`;
    const failure = t.logged.findLast(({ level }) => level === 'error');
    assert.ok(answer.status < 500, `${call}: ${JSON.stringify(failure)}`);
    if (answer.status < 400) return;
    assert.equal(answer.headers.get('content-type'), 'application/problem+json', call);
    if (answer.body['code'] === 'invalid_request') assert.notEqual(answer.body['errors'], undefined, call);
  }

  /** The path of a route, about things of our own but for what `more` says. */
  const pathOf = (template: string, { id }: AccessCase, more: Record<string, string> = {}) =>
    template.replaceAll(
      /\{(\w+)\}/g,
      (_, name: string) =>
        more[name] ?? own[id !== undefined && name === 'id' ? id : name] ?? assert.fail(name),
    );

  for (const [route, of] of Object.entries(accessCases)) {
    test(`${route} (seed ${fromSeed})`, async () => {
      const [method = '', template = ''] = route.split(' ');
      const { json, body } = of;
      const asked: Options = {
        ...(json === undefined ? {} : { json }),
        ...(body === undefined ? {} : { body: body.text, headers: { 'content-type': body.type } }),
      };
      const texts = () => [...worstTexts, ...random.shuffled(nastyTexts).slice(0, picked)];
      for (const [, name = ''] of template.matchAll(/\{(\w+)\}/g)) {
        for (const value of texts())
          await judge(method, pathOf(template, of, { [name]: encoded(value) }), asked);
      }
      // What was deleted could not be asked about any more.
      if (method === 'DELETE') return;
      const path = pathOf(template, of);
      for (const name of queryNames(document, method, template)) {
        const values = name === 'cursor' ? texts().flatMap(cursorsOf) : texts();
        for (const value of values) await judge(method, `${path}?${name}=${encoded(value)}`, asked);
        await judge(method, `${path}?${name}=1&${name}=2`, asked);
      }
      if (json === undefined) return;
      const whole = { ...bodyFields(document, method, template), ...(json as object) };
      for (const value of random.shuffled(nastyValues).slice(0, picked))
        await judge(method, path, { json: value });
      for (const place of placesIn(whole)) {
        const values = [...worstTexts, ...random.shuffled(nastyValues).slice(0, picked)];
        for (const value of values) await judge(method, path, { json: replaced(json, place, value) });
      }
      await judge(method, path, {
        body: '{"a":'.repeat(100_000),
        headers: { 'content-type': 'application/json' },
      });
    });
  }

  test('W1: what an import cannot store is an error of its line, and the lines beside it are stored', async () => {
    const lines = [
      { id: 'c70' },
      { id: 'c71', name: 'a\0b' },
      { id: 'c72', emails: ['\ud800@x.example'] },
      { id: 'c73' },
    ];
    const { body } = await t.call('POST', '/v1/sub-accounts/s1/contacts/import', {
      body: lines.map((line) => JSON.stringify(line)).join('\n'),
      headers: { 'content-type': 'application/x-ndjson' },
    });
    assert.deepEqual([body['created'], body['error_count']], [2, 2]);
  });

  test('a NUL, half of a surrogate pair and a year 0 are told by the name of their field', async () => {
    for (const [path, field] of [
      ['/v1/sub-accounts/s1/contacts?email=a%00b', 'query email'],
      ['/v1/sub-accounts/s1/decisions?since=0000-01-01T00:00:00Z', 'query since'],
      [`/v1/sub-accounts/s1/conversations?cursor=${cursorsOf('0000-01-01T00:00:00Z')[1]}`, 'query cursor'],
    ] as const) {
      const { status, body } = await t.call('GET', path);
      const [error] = body['errors'] as { in: string; path: string }[];
      assert.deepEqual([status, `${error?.in} ${error?.path}`], [422, field]);
    }
    const { status, body } = await t.call('PUT', '/v1/sub-accounts/s1', { json: { name: 'a\ud800' } });
    assert.deepEqual([status, (body['errors'] as { path: string }[])[0]?.path], [422, 'name']);
  });
});

type Schema = { $ref?: string; properties?: Record<string, unknown> };
type Operation = {
  parameters?: { in: string; name: string }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
};

type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

function operationOf({ paths }: Document, method: string, template: string): Operation {
  return paths[template]?.[method.toLowerCase()] ?? assert.fail(`${method} ${template}`);
}

/** The parameters of a route's query, and one that it has not. */
function queryNames(document: Document, method: string, template: string): string[] {
  const { parameters = [] } = operationOf(document, method, template);
  return [...parameters.filter((each) => each.in === 'query').map(({ name }) => name), 'unheard_of'];
}

/** The fields of a route's body, and one that it has not. */
function bodyFields(document: Document, method: string, template: string): Record<string, null> {
  const { requestBody } = operationOf(document, method, template);
  const schema = requestBody?.content['application/json']?.schema ?? {};
  const named = document.components.schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema;
  return Object.fromEntries(
    [...Object.keys(named.properties ?? {}), 'unheard_of'].map((name) => [name, null]),
  );
}

/** Cursors of the right form, with what no list has put into one. */
function cursorsOf(text: string): string[] {
  return [[text], [text, 'msg_1'], ['2026-01-01T00:00:00Z', text]].map((values) =>
    Buffer.from(JSON.stringify(values)).toString('base64url'),
  );
}

/** As in a URL; half of a surrogate pair as the bytes that some programs make of it. */
function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : '%ed%a0%80';
}

/** The ways to each value in JSON. */
function placesIn(json: unknown): (string | number)[][] {
  if (typeof json !== 'object' || json === null) return [];
  const entries: [string | number, unknown][] = Array.isArray(json)
    ? [...json.entries()]
    : Object.entries(json);
  return entries.flatMap(([name, inner]) => [[name], ...placesIn(inner).map((rest) => [name, ...rest])]);
}

/** The same JSON with another value in that place. */
function replaced(json: unknown, [name, ...rest]: readonly (string | number)[], value: unknown): unknown {
  if (name === undefined) return value;
  const copy = (Array.isArray(json) ? [...json] : { ...(json as object) }) as Record<
    string | number,
    unknown
  >;
  copy[name] = replaced(copy[name], rest, value);
  return copy;
}
