import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { run } from '../../../src/store/database.ts';
import { insertMailboxLink } from '../../../src/store/mailbox-links.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';

describe('a person’s own pages are opened by a one-use link', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages({ crmOrigins: ['https://crm.example'] });
    await t.member('s1', 'ann');
    await t.member('s1', 'ben');
  });
  after(() => t.close());

  const makeLink = async (userId = 'ann', more: { lifeMs?: number; returnUrl?: string } = {}) => {
    const token = randomBytes(32).toString('base64url');
    const tokenHash = createHash('sha256').update(token).digest();
    await insertMailboxLink(t.db, {
      subAccountId: 's1',
      userId,
      returnUrl: null,
      lifeMs: 60_000,
      tokenHash,
      ...more,
    });
    return `${publicUrl}/mailbox/${token}`;
  };

  test('it opens a session, once; looking at it uses nothing up', async () => {
    const link = await makeLink();
    const browser = t.browser();
    for (let looks = 0; looks < 3; looks += 1) assert.equal((await browser.get(link)).status, 200);
    assert.equal((await browser.get(`${publicUrl}/mailbox`)).status, 401, 'nobody is signed in by looking');
    await browser.get(link);
    const opened = await browser.submit();
    assert.deepEqual([opened.status, opened.location], [303, '/mailbox']);
    const page = await browser.get(`${publicUrl}/mailbox`);
    assert.deepEqual([page.status, page.title], [200, 'My mailbox · My mailbox']);
    assert.match(page.text, /ann@/);

    const other = t.browser();
    const again = await other.get(link);
    assert.deepEqual([again.status, again.title], [410, 'This link has been used']);
    assert.equal((await other.post(link, {}, { 'sec-fetch-site': 'same-origin' })).status, 410);
    assert.equal((await other.get(`${publicUrl}/mailbox`)).status, 401);
  });

  test('of two who open it in the same moment one has the session', async () => {
    const link = await makeLink();
    const browsers = [t.browser(), t.browser(), t.browser()];
    const opened = await Promise.all(
      browsers.map((browser) => browser.post(link, {}, { 'sec-fetch-site': 'same-origin' })),
    );
    assert.deepEqual(opened.map(({ status }) => String(status)).sort(), ['303', '410', '410']);
  });

  test('links that are expired, unknown or cut short', async () => {
    const expired = await t.browser().get(await makeLink('ann', { lifeMs: -1 }));
    assert.deepEqual([expired.status, expired.title], [410, 'This link has expired']);
    for (const token of ['A'.repeat(43), 'x', '%00', '<b>'])
      assert.equal((await t.browser().get(`${publicUrl}/mailbox/${token}`)).status, 404);
  });

  test('another site opens no session with a link of its own, and sends no form of ours', async () => {
    const link = await makeLink();
    const victim = t.browser();
    assert.equal((await victim.post(link, {}, { 'sec-fetch-site': 'cross-site' })).status, 403);
    const person = await t.person();
    const out = `${publicUrl}/mailbox/sign-out`;
    const form =
      /name="form_token" value="([^"]+)"/.exec((await person.get(`${publicUrl}/mailbox`)).html)?.[1] ?? '';
    assert.equal(
      (await person.post(out, { form_token: form }, { 'sec-fetch-site': 'cross-site' })).status,
      403,
    );
    assert.equal((await person.post(out, {}, { 'sec-fetch-site': 'same-origin' })).status, 403);
    const ben = await t.person({ subAccountId: 's1', userId: 'ben' });
    assert.equal(
      (await ben.post(out, { form_token: form }, { 'sec-fetch-site': 'same-origin' })).status,
      403,
      'Ann’s token',
    );
    assert.equal((await person.get(`${publicUrl}/mailbox`)).status, 200, 'still signed in');
  });

  test('who is signed in and is lured to another person’s link is asked, and stays signed in', async () => {
    const browser = t.browser();
    await browser.get(await makeLink('ann'));
    await browser.submit();
    const link = await makeLink('ben');
    for (const referer of [
      undefined,
      'https://evil.example/',
      'https://crm.example.evil.example/',
      'nonsense',
    ]) {
      const asked = await browser.get(link, referer === undefined ? {} : { referer });
      assert.deepEqual([asked.status, asked.title], [200, 'Open somebody else’s pages?'], referer);
      assert.match(asked.text, /opens the pages of ben@[^]* ann@[^ ]+ is signed in/);
      assert.doesNotMatch(asked.html, /data-submit/, 'nothing goes on by itself');
    }
    assert.match((await browser.get(`${publicUrl}/mailbox`)).text, /ann@/, 'nothing has changed');
    await browser.get(link);
    assert.equal((await browser.submit()).status, 303, 'it is theirs to say so');
    assert.match((await browser.get(`${publicUrl}/mailbox`)).text, /ben@/);
  });

  test('it goes on by itself where nobody is signed in, for the same person, and from a page of the CRM', async () => {
    assert.match((await t.browser().get(await makeLink('ann'))).html, /data-submit/);
    const person = await t.person({ subAccountId: 's1', userId: 'ann' });
    assert.match((await person.get(await makeLink('ann'))).html, /data-submit/);
    const fromCrm = await person.get(await makeLink('ben'), { referer: 'https://crm.example/people?id=7' });
    assert.match(fromCrm.html, /data-submit/);
  });

  test('signing out in a frame of the CRM does not load the CRM inside it', async () => {
    const browser = t.browser();
    await browser.get(await makeLink('ann', { returnUrl: 'https://crm.example/people' }));
    await browser.submit();
    const { html } = await browser.get(`${publicUrl}/mailbox`);
    const out = await browser.post(
      `${publicUrl}/mailbox/sign-out`,
      { form_token: /name="form_token" value="([^"]+)"/.exec(html)?.[1] ?? '' },
      { 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'iframe' },
    );
    assert.deepEqual([out.status, out.title, out.location], [200, 'You are signed out', null]);
    assert.equal((await browser.get(`${publicUrl}/mailbox`)).status, 401);
  });

  test('signing out ends the session, and leads back to the CRM', async () => {
    const browser = t.browser();
    await browser.get(await makeLink('ann', { returnUrl: 'https://crm.example/people' }));
    const opened = await browser.submit();
    const cookie = opened.headers.getSetCookie()[0] ?? '';
    const page = await browser.get(`${publicUrl}/mailbox`);
    assert.match(
      page.headers.get('content-security-policy') ?? '',
      /form-action 'self' https:\/\/crm\.example;/,
    );
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const out = await browser.post(
      `${publicUrl}/mailbox/sign-out`,
      { form_token: form },
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.deepEqual([out.status, out.location], [303, 'https://crm.example/people']);
    const kept = await t.app.request(`${publicUrl}/mailbox`, {
      headers: { cookie: cookie.split(';')[0] ?? '' },
    });
    assert.equal(kept.status, 401, 'the cookie opens nothing any more');
  });

  test('a session ends by itself, and with the membership', async () => {
    for (const sql of [
      `update console_sessions set seen_at = now() - interval '31 minutes'`,
      `update console_sessions set expires_at = now()`,
      `delete from memberships where user_id = 'ben'`,
    ]) {
      const person = await t.person({ subAccountId: 's1', userId: 'ben' });
      assert.equal((await person.get(`${publicUrl}/mailbox`)).status, 200);
      await run(t.db, sql);
      const over = await person.get(`${publicUrl}/mailbox`);
      assert.deepEqual([over.status, over.title], [401, 'Your session is over'], sql);
    }
  });

  test('what a page asks for by itself does not keep a session alive; what a person does, does', async () => {
    const person = await t.person({ subAccountId: 's1', userId: 'ann' });
    const idleMinutes = async () => {
      const [row] = await t.sql<{ n: number }>(
        `select round(min(extract(epoch from now() - seen_at)) / 60)::int as n from console_sessions`,
      );
      return row?.n;
    };
    await t.sql(`update console_sessions set seen_at = now() - interval '20 minutes'`);
    assert.equal((await person.get(`${publicUrl}/mailbox/state`, { 'hx-request': 'true' })).status, 200);
    assert.equal(await idleMinutes(), 20);
    assert.equal((await person.get(`${publicUrl}/mailbox`)).status, 200);
    assert.equal(await idleMinutes(), 0);
  });

  test('the cookie: one for each sign-in, not for scripts, in a frame only where the CRM may frame', async () => {
    const link = await makeLink();
    const browser = t.browser();
    await browser.get(link);
    const plain = (await browser.submit()).headers.getSetCookie().join();
    assert.match(plain, /^twoway-mailbox=[\w-]{43}; Max-Age=7200; Path=\/; HttpOnly; SameSite=Lax$/);
    const page = await t.browser().get(await makeLink());
    assert.match(
      page.headers.get('content-security-policy') ?? '',
      /frame-ancestors 'self' https:\/\/crm\.example$/,
    );
    const admin = await (await t.administrator()).get(`${publicUrl}/admin`);
    assert.match(admin.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'$/);

    const secure = await startPages({ secure: true, crmOrigins: ['https://crm.example'] });
    try {
      await secure.member('s1', 'ann');
      const token = randomBytes(32).toString('base64url');
      const tokenHash = createHash('sha256').update(token).digest();
      await insertMailboxLink(secure.db, {
        subAccountId: 's1',
        userId: 'ann',
        returnUrl: null,
        lifeMs: 60_000,
        tokenHash,
      });
      const framed = secure.browser();
      const shown = await framed.get(`${publicUrl.replace('http:', 'https:')}/mailbox/${token}`);
      assert.match(
        shown.headers.get('content-security-policy') ?? '',
        /frame-ancestors 'self' https:\/\/crm\.example$/,
      );
      assert.equal(shown.headers.get('x-frame-options'), null);
      const cookie = (await framed.submit()).headers.getSetCookie().join();
      assert.match(cookie, /^__Host-twoway-mailbox=.*; HttpOnly; Secure; SameSite=None; Partitioned$/);
      // What ends, or is not there, shows in the frame, too.
      const mine = `${publicUrl.replace('http:', 'https:')}/mailbox`;
      const form = /name="form_token" value="([^"]+)"/.exec((await framed.get(mine)).html)?.[1] ?? '';
      for (const [ends, title] of [
        [await framed.get(`${mine}/nothing/of/the/kind`), 'There is no such page'],
        [await framed.post(`${mine}/sign-out`, { form_token: form }), 'You are signed out'],
      ] as const) {
        assert.equal(ends.title, title);
        assert.match(ends.headers.get('content-security-policy') ?? '', /https:\/\/crm\.example$/, title);
      }
    } finally {
      await secure.close();
    }
  });
});
