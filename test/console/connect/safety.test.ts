import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findConnection } from '../../../src/store/connections.ts';
import { run } from '../../../src/store/database.ts';
import { startIdentityProvider, type IdentityProvider } from '../../support/identity.ts';
import { publicUrl, startPages, type PagesUnderTest, type Shown } from '../pages.ts';

describe('C1: nobody’s consent can be taken over', () => {
  let identity: IdentityProvider;
  let t: PagesUnderTest;

  before(async () => {
    identity = await startIdentityProvider();
    t = await startPages({ identity });
    await t.member('s1', 'ann');
  });
  after(async () => {
    await t.close();
    await identity.stop();
  });
  afterEach(() => t.connecting.disconnect({ subAccountId: 's1' }));

  const email = 'ann@company.example';
  const connected = async () =>
    (
      await t.sql(
        `select m.address from connections c join mailboxes m on m.id = c.mailbox_id where c.ended_at is null`,
      )
    ).length;
  function shows(page: Shown, status: number, title: string, ...words: string[]): void {
    assert.deepEqual([page.status, page.title], [status, title], page.text);
    for (const word of words) assert(page.text.includes(word), `${word} is not in: ${page.text}`);
  }

  test('a link works for one connection, whoever asks again', async () => {
    const link = await t.link();
    const browser = t.browser();
    const redirect = await browser.consent(link, email);
    shows(await browser.finish(redirect.href), 200, 'Your mailbox is connected');
    shows(await browser.get(link), 410, 'This link has been used');
    shows(await browser.get(`${link}/imap`), 410, 'This link has been used');
    shows(await browser.finish(redirect.href), 200, 'Your mailbox is connected', email);
    shows(await t.browser().finish(redirect.href), 410, 'This link has been used');
    // A program says of its form what it likes: a link that is used must not tell whose mailbox it has led to.
    for (const path of ['', '/imap']) {
      const said = await t.browser().post(`${link}${path}`, {}, { 'sec-fetch-site': 'same-origin' });
      assert.ok(!said.html.includes(email.split('@')[0] ?? ''), said.text);
    }
    assert.equal(await connected(), 1);
  });

  test('links that are expired, unknown or cut short', async () => {
    const expired = await t.link({ lifeMs: -1 });
    const browser = t.browser();
    shows(await browser.get(expired), 410, 'This link has expired');
    shows(
      await browser.post(expired, { provider: 'gmail' }, { 'sec-fetch-site': 'same-origin' }),
      410,
      'This link has expired',
    );
    for (const token of ['A'.repeat(43), 'x', '%01', '..%2f..', '<b>']) {
      shows(await browser.get(`${publicUrl}/connect/${token}`), 404, 'This link leads nowhere');
    }
    shows(await browser.get(`${publicUrl}/connect/`), 404, 'There is no such page');
  });

  test('who began in time may finish after the link has run out', async () => {
    const link = await t.link();
    const browser = t.browser();
    const redirect = await browser.consent(link, email);
    await run(
      t.db,
      `update connect_links set expires_at = now() - interval '1 second' where used_at is null`,
    );
    shows(await browser.finish(redirect.href), 200, 'Your mailbox is connected');
  });

  test('a state works once: a refusal that is repeated counts once', async () => {
    await identity.setConsent(email, { outcome: 'refuse' });
    const browser = t.browser();
    const redirect = await browser.consent(await t.link(), email);
    shows(await browser.finish(redirect.href), 200, 'You did not allow access');
    shows(await browser.finish(redirect.href), 410, 'This page has been used');
    redirect.searchParams.delete('error');
    redirect.searchParams.set('code', 'another');
    shows(await browser.finish(redirect.href), 410, 'This page has been used');
  });

  test('a double click on the way back connects once, and the code is asked for once', async () => {
    const browser = t.browser();
    const before = (await identity.counts()).code;
    const redirect = await browser.consent(await t.link(), email);
    const pages = await Promise.all([1, 2, 3].map(() => browser.finish(redirect.href)));
    assert.deepEqual(pages.map(({ status }) => String(status)).sort(), ['200', '410', '410']);
    assert.equal((await identity.counts()).code, before + 1);
    assert.equal(await connected(), 1);
  });

  test('two tabs: each has its own consent, and the first to end it counts', async () => {
    const link = await t.link();
    const browser = t.browser();
    const [first, second] = [await browser.consent(link, email), await browser.consent(link, email)];
    shows(await browser.finish(second.href), 200, 'Your mailbox is connected');
    shows(await browser.get(first.href), 410, 'This link has been used');
    assert.equal(await connected(), 1);
  });

  test('a state that is forged, borrowed or broken', async () => {
    const browser = t.browser();
    const redirect = await browser.consent(await t.link(), email);
    const other = await browser.consent(await t.link(), email);
    const state = redirect.searchParams.get('state') ?? '';
    const [id, mac = ''] = state.split('.');
    const borrowed = `${id}.${(other.searchParams.get('state') ?? '').split('.')[1]}`;
    const turned = `${id}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`;
    for (const wrong of ['', 'x', `${id}.`, borrowed, turned, `${'A'.repeat(22)}.${mac}`, `${state}x`]) {
      redirect.searchParams.set('state', wrong);
      shows(await browser.finish(redirect.href), 400, 'This page was not reached in the right way');
    }
    shows(
      await browser.get(`${publicUrl}/connect/callback`),
      400,
      'This page was not reached in the right way',
    );
    assert.equal(await connected(), 0);
    redirect.searchParams.set('state', state);
    shows(await browser.finish(redirect.href), 200, 'Your mailbox is connected');
  });

  test('an answer that took more than an hour', async () => {
    const browser = t.browser();
    const redirect = await browser.consent(await t.link(), email);
    await run(t.db, `update consents set created_at = now() - interval '61 minutes'`);
    shows(await browser.finish(redirect.href), 410, 'That took too long');
    assert.equal(await connected(), 0);
  });

  test('a victim who was lured to the provider’s page is asked first, and nothing is connected', async () => {
    const lured = await t.browser().consent(await t.link({ returnUrl: 'https://crm.example/' }), email);
    const victim = t.browser();
    const page = await victim.get(lured.href);
    shows(page, 200, 'Is this you?', 'User ann', 'Company s1', 'somebody may be after your mail');
    assert.equal(await connected(), 0);
    assert.equal((await t.sql('select 1 from consents where redeemed_at is null')).length > 0, true);
    const csp = page.headers.get('content-security-policy') ?? '';
    assert.match(csp, /form-action 'self' https:;/);
  });

  test('where cookies are blocked, saying yes goes on, once', async () => {
    const browser = t.browser({ cookies: false });
    const redirect = await browser.consent(await t.link(), email);
    shows(await browser.finish(redirect.href), 200, 'Is this you?');
    const done = await browser.finish(await browser.submit());
    shows(done, 200, 'Your mailbox is connected', email);
    shows(await browser.finish(redirect.href), 410, 'This link has been used');
  });

  test('another site cannot say yes', async () => {
    const redirect = await t.browser().consent(await t.link(), email);
    const fields = Object.fromEntries(redirect.searchParams);
    const page = await t
      .browser()
      .post(`${publicUrl}/connect/callback`, fields, { 'sec-fetch-site': 'cross-site' });
    shows(page, 403, 'Please open the link again');
    assert.equal(await connected(), 0);
  });

  test('another site’s form begins no consent', async () => {
    const link = await t.link();
    const attacker = t.browser();
    await attacker.get(link);
    const form = /name="form_token" value="([^"]+)"/.exec((await attacker.get(link)).html)?.[1] ?? '';
    const victim = t.browser();
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, {}]) {
      shows(
        await victim.post(link, { provider: 'gmail', form_token: form }, headers),
        403,
        'Please open the link again',
      );
    }
    // A browser that says nothing of where a form came from, and has a cookie of ours, needs its own form token.
    await victim.get(await t.link());
    shows(
      await victim.post(link, { provider: 'gmail', form_token: form }),
      403,
      'Please open the link again',
    );
    shows(await victim.post(`${link}/imap`, { form_token: form }), 403, 'Please open the link again');
    assert.deepEqual(
      await t.sql(`select 1 from connect_links where tries > 0 and used_at is null and expires_at > now()
      and id = (select max(id) from connect_links)`),
      [],
    );
  });

  test('a browser that says nothing of where forms come from, but keeps cookies, goes on', async () => {
    const browser = t.browser({ fetchSite: false });
    shows(await browser.connect(await t.link(), email), 200, 'Your mailbox is connected');
  });

  test('a link is not tried for ever', async () => {
    const link = await t.link();
    const browser = t.browser();
    await browser.get(link);
    for (let tries = 0; tries < 30; tries += 1)
      assert.equal((await browser.submit({ provider: 'gmail' })).status, 303);
    shows(await browser.submit({ provider: 'gmail' }), 429, 'Too many tries');
  });

  test('names and queries are shown, and never run', async () => {
    const script = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`;
    await t.member('s1', 'eve');
    await run(t.db, 'update users set name = :script where id = :id', { script, id: 'eve' });
    await run(t.db, 'update sub_accounts set name = :script where id = :id', { script, id: 's1' });
    const browser = t.browser();
    const link = await t.link({ userId: 'eve', returnUrl: `https://crm.example/?q="><script>` });
    const pages = [await browser.get(link), await browser.get(`${link}/imap`)];
    const hostile = new URLSearchParams({
      address: script,
      imap_host: script,
      imap_port: script,
      user: script,
    });
    pages.push(await browser.submit(Object.fromEntries(hostile)));
    pages.push(
      await browser.get(
        `${publicUrl}/connect/callback?${new URLSearchParams({ state: script, code: script, error: script }).toString()}`,
      ),
    );
    pages.push(await browser.get(`${publicUrl}/connect/${encodeURIComponent(script)}`));
    const redirect = await t.browser().consent(link, email);
    redirect.searchParams.set('code', script);
    pages.push(await t.browser().finish(redirect.href));
    for (const page of pages) {
      assert.doesNotMatch(page.html, /<(script(?! src="\/assets\/)|img)/i, page.title);
      assert.doesNotMatch(page.html, /"'>/, page.title);
    }
    await run(t.db, 'update sub_accounts set name = :name where id = :id', { name: 'Company s1', id: 's1' });
  });

  test('every page says what a browser may do with it: hardly anything', async () => {
    const link = await t.link({ returnUrl: 'http://localhost:4000/' });
    const page = await t.browser().get(link);
    assert.equal(
      page.headers.get('content-security-policy'),
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self' https: http://localhost:4000 ${identity.url}; base-uri 'none'; frame-ancestors 'none'`,
    );
    const password = await t.browser().get(`${link}/imap`);
    assert.match(password.headers.get('content-security-policy') ?? '', /form-action 'self';/);
    for (const shown of [page, password, await t.browser().get(`${publicUrl}/connect/x`)]) {
      assert.equal(shown.headers.get('cache-control'), 'no-store');
      assert.equal(shown.headers.get('referrer-policy'), 'no-referrer');
      assert.equal(shown.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(shown.headers.get('x-frame-options'), 'DENY');
      assert.doesNotMatch(shown.html, /<script(?! src="\/assets\/)|\s(style|on\w+)=/);
    }
  });

  test('the cookie: not for scripts, not for other sites; pinned to the host where there is TLS', async () => {
    const plain = (await t.browser().get(await t.link())).headers.getSetCookie();
    assert.match(plain.join(), /^twoway-connect=[\w-]{43}; Max-Age=7200; Path=\/; HttpOnly; SameSite=Lax$/);
    const secure = await startPages({ identity, secure: true });
    try {
      await secure.member('s1', 'ann');
      const link = await secure.link();
      const browser = secure.browser();
      const page = await browser.get(link);
      assert.match(
        page.headers.getSetCookie().join(),
        /^__Host-twoway-connect=[\w-]{43}; Max-Age=7200; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      );
      assert.deepEqual((await browser.get(link)).headers.getSetCookie(), [], 'one cookie for all tabs');
      shows(await browser.connect(link, email), 200, 'Your mailbox is connected');
    } finally {
      await secure.close();
    }
  });

  test('a form that is too large', async () => {
    const page = await t
      .browser()
      .post(await t.link(), { form_token: 'x'.repeat(70_000) }, { 'content-length': '70010' });
    shows(page, 413, 'That is too much');
  });

  test('the style sheet is ours, and may be kept', async () => {
    const page = await t.browser().get(await t.link());
    const address = /<link rel="stylesheet" href="([^"]+)"/.exec(page.html)?.[1] ?? '';
    assert.match(address, /^\/assets\/console\.css\?v=[\da-f]{12}$/);
    const sheet = await t.app.request(`${publicUrl}${address}`);
    assert.match(sheet.headers.get('content-type') ?? '', /^text\/css/);
    assert.match(sheet.headers.get('cache-control') ?? '', /immutable/);
    assert.doesNotMatch(await sheet.text(), /@import|url\((?!"data:)/);
  });

  test('a fault of ours shows nothing of itself', async () => {
    const broken = await startPages({ identity });
    await broken.member('s1', 'ann');
    const link = await broken.link();
    await run(broken.db, 'alter table connect_links rename to gone');
    const page = await broken.browser().get(link);
    shows(page, 500, 'Something went wrong here');
    assert.doesNotMatch(page.html, /connect_links|select/);
    assert.doesNotMatch(broken.logged.join(), /token_hash|select/);
    assert(broken.logged.some((line) => line.includes('a page failed')));
    await broken.close();
    assert.equal(await findConnection(t.db, { subAccountId: 's1', userId: 'nobody' }), null);
  });
});
