import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { publicUrl, startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';

describe('the pages of the administrators', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages();
    await t.member('s1', 'ann');
  });
  after(() => t.close());

  test('who is signed in sees them, and signs out', async () => {
    const browser = await t.administrator();
    const page = await browser.get(`${publicUrl}/admin`);
    assert.deepEqual([page.status, page.title], [200, 'Overview · Administration']);
    assert.match(page.text, /root@operator\.example/);
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    await browser.post(
      `${publicUrl}/admin/sign-out`,
      { form_token: form },
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.notEqual((await browser.get(`${publicUrl}/admin`)).title, 'Overview · Administration');
  });

  test('a person’s own session opens nothing of it, and an administrator’s no mailbox', async () => {
    const person = await t.person();
    assert.notEqual((await person.get(`${publicUrl}/admin`)).title, 'Overview · Administration');
    const root = await t.administrator();
    assert.equal((await root.get(`${publicUrl}/mailbox`)).status, 401);
  });
});
