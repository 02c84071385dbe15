import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { problems } from '../../src/api/errors.ts';
import { openApiDocument } from '../../src/api/openapi.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const golden = new URL('../golden/openapi.json', import.meta.url);

type Schema = {
  $ref?: string;
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
};
type Operation = {
  summary?: string;
  tags?: string[];
  parameters?: { name: string; description?: string }[];
  responses: Record<string, { headers?: object; content?: Record<string, { schema?: Schema }> }>;
};
type Document = {
  openapi: string;
  components: { schemas: Record<string, Schema> };
  paths: Record<string, Record<string, Operation>>;
  tags: { name: string }[];
  info: { description: string };
};

let t: ApiUnderTest;
let document: Document;

describe('the OpenAPI document', () => {
  before(async () => {
    t = await startApi();
    document = openApiDocument(t.api) as unknown as Document;
  });
  after(() => t.close());

  test('is the golden one', async () => {
    const text = `${JSON.stringify(document, null, 2)}\n`;
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(golden, text);
    const hint = 'the API changed. If that is wanted: UPDATE_GOLDEN=1 npm test -- test/api/openapi.test.ts';
    const expected = (await readFile(golden, 'utf8')).split('\n');
    // The first line that differs says more than two documents of thousands.
    const line = text.split('\n').findIndex((actual, index) => actual !== expected[index]);
    const around = (lines: string[]) => lines.slice(Math.max(line - 3, 0), line + 3).join('\n');
    if (line >= 0) assert.equal(around(text.split('\n')), around(expected), hint);
    assert.equal(text.length, expected.join('\n').length, hint);
  });

  test('is served as it is, without a key', async () => {
    const served = await t.call('GET', '/openapi.json', { key: null });
    assert.equal(served.status, 200);
    assert.deepEqual(served.body, JSON.parse(JSON.stringify(document)));
    assert.equal(document.openapi, '3.1.0');
  });

  test('describes every object, field and parameter', () => {
    const silent: string[] = [];
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      if (!schema.description) silent.push(name);
      collectSilent(schema, name, silent);
    }
    for (const { id, operation } of operations(document)) {
      if (!operation.summary) silent.push(id);
      for (const parameter of operation.parameters ?? []) {
        if (!parameter.description) silent.push(`${id} ${parameter.name}`);
      }
    }
    assert.deepEqual(silent, []);
  });

  test('gives every route a described tag and its errors as problems', () => {
    const tags = new Set(document.tags.map((tag) => tag.name));
    for (const { id, operation } of operations(document)) {
      assert.ok(
        operation.tags?.every((tag) => tags.has(tag)),
        `${id}: its tag is not in the list of tags`,
      );
      const failures = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400);
      assert.ok(failures.length > 0, id);
      for (const [status, { content }] of failures) {
        const schema = content?.['application/problem+json']?.schema;
        assert.equal(schema?.$ref, '#/components/schemas/Problem', `${id} ${status}`);
      }
    }
  });

  test('says of every call that the database may be away, and when to try again', () => {
    for (const { id, operation } of operations(document)) {
      for (const [status, { headers = {} }] of Object.entries(operation.responses))
        assert.equal('Retry-After' in headers, status === '429' || status === '503', `${id} ${status}`);
      if (!id.endsWith('/healthz')) assert.ok('503' in operation.responses, id);
    }
  });

  test('lists every code of an error', () => {
    for (const code of Object.keys(problems))
      assert.ok(document.info.description.includes(`\`${code}\``), code);
  });

  test('/docs loads nothing from elsewhere and runs no inline script', async () => {
    const page = await t.api.request('/docs');
    const html = await page.text();
    const policy = page.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.doesNotMatch(policy, /unsafe|https?:/);
    assert.doesNotMatch(html, /https?:|<script>|<script [^s]|style=| on\w+=/);
    const urls = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    assert.equal(urls.length, 4);
    for (const url of urls) {
      const file = await t.api.request(url);
      assert.equal(file.status, 200, url);
      assert.ok((await file.arrayBuffer()).byteLength > 50, url);
      assert.match(
        file.headers.get('content-type') ?? '',
        /^(text\/(css|javascript); charset=utf-8|image\/png)$/,
      );
    }
  });

  test('/docs asks no validator outside', async () => {
    assert.match(await (await t.api.request('/docs/init.js')).text(), /validatorUrl: null/);
  });

  test('/docs/ leads to /docs', async () => {
    const answer = await t.api.request('/docs/');
    assert.deepEqual([answer.status, answer.headers.get('location')], [301, '/docs']);
  });

  for (const name of ['package.json', '..%2fpackage.json', '%2e%2e%2fpackage.json', 'swagger-ui.js.map']) {
    test(`/docs has no file ${JSON.stringify(name)}`, async () => {
      assert.equal((await t.api.request(`/docs/${name}`)).status, 404);
    });
  }
});

function* operations(document: Document): Generator<{ id: string; operation: Operation }> {
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) yield { id: `${method} ${path}`, operation };
  }
}

function collectSilent(schema: Schema, path: string, silent: string[]): void {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const inner = `${path}.${name}`;
    if (!property.description && !property.$ref) silent.push(inner);
    collectSilent(property, inner, silent);
  }
  if (schema.items) collectSilent(schema.items, `${path}[]`, silent);
  for (const part of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) collectSilent(part, path, silent);
}
