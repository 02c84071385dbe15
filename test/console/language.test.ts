import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Hono } from 'hono';
import { inReadersLanguage } from '../../src/console/language.ts';
import { words } from '../../src/console/texts/texts.ts';

const cases: readonly (readonly [asked: string, language: string])[] = [
  ['', 'en'],
  ['de', 'de'],
  ['de-AT', 'de'],
  ['DE-ch', 'de'],
  ['fr, de;q=0.5, en;q=0.4', 'de'],
  ['fr, en;q=0.5, de;q=0.4', 'en'],
  ['de;q=0', 'en'],
  ['fr', 'en'],
  ['*', 'en'],
  ['<script>', 'en'],
];

describe('the language of the pages', () => {
  const app = new Hono();
  app.use(inReadersLanguage);
  app.get('/', (c) => c.text(words('page.language')));

  for (const [asked, language] of cases) {
    test(`asked for ${asked || 'none'}: ${language}`, async () => {
      const headers = asked === '' ? {} : { 'accept-language': asked };
      const answer = await app.request('/', { headers });
      assert.equal(await answer.text(), language);
      assert.equal(answer.headers.get('vary'), 'Accept-Language');
    });
  }

  test('two readers at the same time each have their own', async () => {
    const ask = async (language: string) =>
      (await app.request('/', { headers: { 'accept-language': language } })).text();
    assert.deepEqual(await Promise.all(['de', 'en', 'de', 'fr'].map(ask)), ['de', 'en', 'de', 'en']);
  });
});
