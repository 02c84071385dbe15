import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createConsole } from '../../src/console/app.tsx';
import type { Db } from '../../src/store/database.ts';
import { publicUrl, startPages } from './pages.ts';
import type { PagesUnderTest } from './pages.ts';

describe('a page while the database is away', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages();
  });
  after(() => t.close());

  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
  const db = { raw: () => ({ options: () => Promise.reject(refused) }) } as unknown as Db;

  for (const [language, title] of [
    ['en', 'Not available for the moment'],
    ['de', 'Im Augenblick nicht verfügbar'],
  ] as const) {
    test(`says so and what to do, as 503, and shows nothing of the error: ${language}`, async () => {
      const app = createConsole({ ...t.pages, db });
      const response = await app.request(`${publicUrl}/connect/${'x'.repeat(43)}`, {
        headers: { 'accept-language': language },
      });
      const page = await response.text();
      assert.equal(response.status, 503, page);
      assert.match(page, new RegExp(`<h1>${title}</h1>`));
      assert.equal(response.headers.get('retry-after'), '5');
      assert.doesNotMatch(page, /ECONNREFUSED|127\.0\.0\.1:5432/);
    });
  }
});
