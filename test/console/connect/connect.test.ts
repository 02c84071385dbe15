import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findConnection } from '../../../src/store/connections.ts';
import { run } from '../../../src/store/database.ts';
import { startIdentityProvider, type IdentityProvider } from '../../support/identity.ts';
import { publicUrl, startPages, type PagesUnderTest, type Shown } from '../pages.ts';

describe('C1: the connect page', () => {
  let identity: IdentityProvider;
  let t: PagesUnderTest;

  before(async () => {
    identity = await startIdentityProvider();
    t = await startPages({ identity });
  });
  after(async () => {
    await t.close();
    await identity.stop();
  });
  afterEach(async () => {
    await identity.clearFaults();
    for (const subAccountId of ['s1', 's2']) await t.connecting.disconnect({ subAccountId });
  });

  /** A member of its own for each test, so that none sees another's connection. */
  let people = 0;
  async function person(
    subAccountId = 's1',
  ): Promise<{ subAccountId: string; userId: string; email: string }> {
    people += 1;
    const userId = `user${people}`;
    await t.member(subAccountId, userId);
    return { subAccountId, userId, email: `${userId}@company.example` };
  }
  const stateOf = async (of: { subAccountId: string; userId: string }) => {
    const connection = await findConnection(t.db, of);
    return connection === null ? null : { state: connection.state, email: connection.email };
  };
  function shows(page: Shown, status: number, title: string, ...words: string[]): void {
    assert.deepEqual([page.status, page.title], [status, title], page.text);
    for (const word of words) assert(page.text.includes(word), `${word} is not in: ${page.text}`);
  }

  test('opening a link shows for whom it is, and uses nothing up', async () => {
    const ann = await person();
    const link = await t.link({ ...ann, returnUrl: 'https://crm.example/settings' });
    for (let times = 0; times < 3; times += 1) {
      const page = await t.browser().get(link);
      shows(page, 200, 'Connect your mailbox', `User ${ann.userId}`, 'Company s1', 'Gmail', 'Outlook');
      assert(page.text.includes('Cancel and go back to crm.example'));
      assert(page.html.includes('href="https://crm.example/settings?state=cancelled"'));
    }
    assert.equal(await stateOf(ann), null);
    const page = await t.browser().connect(link, ann.email);
    assert.equal(page.title, 'Your mailbox is connected');
  });

  test('a consent connects, and the browser goes back to the CRM', async () => {
    const ann = await person();
    const link = await t.link({ ...ann, returnUrl: 'https://crm.example/mail?tab=2#sync' });
    const page = await t.browser().connect(link, ann.email);
    const connection = await findConnection(t.db, ann);
    const back = `https://crm.example/mail?tab=2&amp;connection=${connection?.id}&amp;state=connected#sync`;
    assert(page.html.includes(`<meta http-equiv="refresh" content="2; url=${back}"`), page.html);
    assert(page.html.includes(`data-goes-to="${back}"`));
    assert.deepEqual(await stateOf(ann), { state: 'connecting', email: ann.email });
    for (const header of ['cache-control', 'referrer-policy']) assert(page.headers.has(header));
  });

  test('without a return address the page says that it is done', async () => {
    const ann = await person();
    const page = await t.browser().connect(await t.link(ann), ann.email);
    shows(page, 200, 'Your mailbox is connected', ann.email, 'You can close this page.');
  });

  test('C2 Outlook: the address is the token’s, the login may be another', async () => {
    const ann = await person();
    const login = `upn-${ann.email}`;
    await identity.setPerson(login, { email: ann.email });
    const page = await t.browser().connect(await t.link(ann), login, 'outlook');
    shows(page, 200, 'Your mailbox is connected', ann.email);
    const rows = await t.sql(`select address, login, provider from mailboxes where address = '${ann.email}'`);
    assert.deepEqual(rows, [{ address: ann.email, login, provider: 'outlook' }]);
  });

  test('tokens are sealed in the row, and in no log and on no page', async () => {
    const ann = await person();
    const browser = t.browser();
    const redirect = await browser.consent(await t.link(ann), ann.email);
    const page = await browser.finish(redirect.href);
    shows(page, 200, 'Your mailbox is connected');
    const stored = JSON.stringify([
      await t.sql('select * from mailboxes'),
      await t.sql('select * from consents'),
    ]);
    const code = redirect.searchParams.get('code') ?? '';
    for (const text of [stored, t.logged.join('\n'), page.html]) {
      assert.doesNotMatch(text, /\b(rt|at)-[\w-]{40}/);
      assert(!text.includes(code));
    }
    assert.doesNotMatch(t.logged.join('\n'), /@/);
    assert.deepEqual(
      await t.sql('select 1 from consents where secrets_sealed is not null and redeemed_at is not null'),
      [],
    );
  });

  test('the person refuses: nothing is changed, and the same link goes on', async () => {
    const ann = await person();
    const link = await t.link({ ...ann, returnUrl: 'https://crm.example/' });
    await identity.setConsent(ann.email, { outcome: 'refuse' });
    const browser = t.browser();
    const page = await browser.connect(link, ann.email);
    shows(page, 200, 'You did not allow access', 'choose “Allow” at Gmail', 'Back to crm.example');
    assert(page.html.includes(`href="${new URL(link).pathname}"`), 'another try');
    assert(page.html.includes('https://crm.example/?state=refused'));
    assert.doesNotMatch(page.text, /administrator/);
    assert.equal(await stateOf(ann), null);
    shows(await browser.connect(link, ann.email), 200, 'Your mailbox is connected');
  });

  test('a permission that was unticked is named, and another try asks for it again', async () => {
    const ann = await person();
    const link = await t.link(ann);
    await identity.setConsent(ann.email, { outcome: 'allow', scopes: [] });
    const browser = t.browser();
    const page = await browser.connect(link, ann.email);
    const wanted = 'Read, compose, send and permanently delete all your email';
    shows(page, 200, 'A permission is missing', wanted, 'tick every box on Gmail’s page');
    assert.deepEqual(await stateOf(ann), { state: 'permission_missing', email: null });
    shows(await browser.connect(link, ann.email), 200, 'Your mailbox is connected');
    assert.deepEqual(await stateOf(ann), { state: 'connecting', email: ann.email });
  });

  for (const aadsts of [65001, 90094] as const) {
    test(`an administrator’s consent is wanted (${aadsts}): the link for them, and the way on`, async () => {
      const ann = await person();
      const link = await t.link({ ...ann, returnUrl: 'https://crm.example/' });
      await identity.setConsent(ann.email, { outcome: 'admin_consent_required', aadsts });
      const browser = t.browser();
      const page = await browser.connect(link, ann.email, 'outlook');
      shows(page, 200, 'Your administrator must allow this first', 'Send this link to your administrator');
      assert.deepEqual(await stateOf(ann), { state: 'admin_consent_required', email: null });
      const adminUrl = decodeHtml(/<textarea[^>]*>([^<]+)</.exec(page.html)?.[1] ?? '');
      assert.match(adminUrl, /\/organizations\/v2\.0\/adminconsent\?/);
      assert(page.html.includes('mailto:?subject='));
      const administrator = new URL(adminUrl);
      administrator.searchParams.set('as', 'boss@company.example');
      const back = await fetch(administrator, { redirect: 'manual' });
      const allowed = await t.browser().get(back.headers.get('location') ?? '');
      shows(allowed, 200, 'The application is allowed', `tell User ${ann.userId} to connect again`);
      assert.doesNotMatch(allowed.html, /crm\.example/);
      assert.deepEqual(await stateOf(ann), { state: 'admin_consent_required', email: null });
      shows(await browser.connect(link, ann.email, 'outlook'), 200, 'Your mailbox is connected');
      assert.deepEqual(await stateOf(ann), { state: 'connecting', email: ann.email });
    });
  }

  test('an administrator who says no, and an administrator’s answer that nobody asked for', async () => {
    const ann = await person();
    await identity.setConsent(ann.email, { outcome: 'admin_consent_required' });
    const page = await t.browser().connect(await t.link(ann), ann.email, 'outlook');
    const adminUrl = new URL(decodeHtml(/<textarea[^>]*>([^<]+)</.exec(page.html)?.[1] ?? ''));
    const state = adminUrl.searchParams.get('state') ?? '';
    const at = (query: Record<string, string>) =>
      `${publicUrl}/connect/callback?${new URLSearchParams(query).toString()}`;
    const refused = await t.browser().get(at({ error: 'access_denied', admin_consent: 'True', state }));
    shows(refused, 200, 'The application was not allowed');
    const forged = state.replace(/.$/, state.endsWith('A') ? 'B' : 'A');
    for (const wrong of [forged, 'admin.', `admin.lnk_1.zzzzzzzz.${'A'.repeat(43)}`]) {
      const shown = await t.browser().get(at({ admin_consent: 'True', tenant: 'x', state: wrong }));
      shows(shown, 400, 'This page was not reached in the right way');
    }
  });

  test('a plain refusal at Outlook offers the administrator’s link, too', async () => {
    const ann = await person();
    await identity.setConsent(ann.email, { outcome: 'refuse' });
    const page = await t.browser().connect(await t.link(ann), ann.email, 'outlook');
    shows(page, 200, 'You did not allow access', 'Did Microsoft say “Need admin approval”?');
    assert.match(page.html, /adminconsent/);
    assert.equal(await stateOf(ann), null);
  });

  for (const [name, error, status, title] of [
    ['an administrator blocks it', 'admin_policy_enforced', 403, 'Your organisation blocks this'],
    ['another organisation’s account', 'org_internal', 403, 'This account cannot be used here'],
    ['a wrong redirect address', 'redirect_uri_mismatch', 500, 'This is not set up correctly'],
    ['trouble at the provider', 'server_error', 503, 'Gmail cannot be reached'],
    ['something unknown', 'something_new', 502, 'That did not work'],
  ] as const) {
    test(`the redirect tells of ${name}`, async () => {
      const ann = await person();
      await identity.setConsent(ann.email, { outcome: 'error', error, description: '<b>whatever</b>' });
      const page = await t.browser().connect(await t.link(ann), ann.email);
      shows(page, status, title);
      assert.doesNotMatch(page.html, /whatever/);
      assert.equal(await stateOf(ann), null);
    });
  }

  for (const [name, fault, status, title] of [
    ['is down', { kind: 'unavailable' }, 503, 'Gmail cannot be reached'],
    ['resets the connection', { kind: 'reset' }, 503, 'Gmail cannot be reached'],
    ['asks for a pause', { kind: 'throttled' }, 503, 'Gmail cannot be reached'],
    ['knows no such client', { kind: 'invalid_client' }, 500, 'This is not set up correctly'],
    ['rejects the code', { kind: 'invalid_grant' }, 502, 'That did not work'],
  ] as const) {
    test(`the token endpoint ${name}`, async () => {
      const ann = await person();
      const link = await t.link(ann);
      await identity.fault(fault);
      const browser = t.browser();
      const page = await browser.connect(link, ann.email);
      shows(page, status, title);
      assert.equal(
        page.html.includes(`href="${new URL(link).pathname}"`),
        status !== 500,
        'another try, unless it cannot help',
      );
      if (status === 500) assert(page.text.includes('tell your administrator'));
      assert.equal(await stateOf(ann), null);
      shows(await browser.connect(link, ann.email), 200, 'Your mailbox is connected');
    });
  }

  test('an address that Google has not verified', async () => {
    const ann = await person();
    await identity.setPerson(ann.email, { emailVerified: false });
    const page = await t.browser().connect(await t.link(ann), ann.email);
    shows(page, 403, 'The address of this account is not verified', 'Verify the address at Gmail');
  });

  test('C2 a reconnect preselects the account, and refuses another one with both named', async () => {
    const ann = await person();
    await t.browser().connect(await t.link(ann), ann.email);
    const link = await t.link(ann);
    const browser = t.browser();
    shows(await browser.get(link), 200, 'Reconnect your mailbox', `the same account again: ${ann.email}`);
    const started = await browser.submit({ provider: 'gmail' });
    assert.equal(new URL(started.location ?? '').searchParams.get('login_hint'), ann.email);
    const page = await browser.connect(link, `private-${ann.email}`);
    shows(page, 409, 'That is another account', `Connected is ${ann.email}`, `as private-${ann.email}`);
    assert.deepEqual(await stateOf(ann), { state: 'connecting', email: ann.email });
    shows(await browser.connect(link, ann.email), 200, 'Your mailbox is connected');
  });

  test('C2 the same address by another account is refused', async () => {
    const ann = await person();
    const upn = `upn-${ann.email}`;
    await identity.setPerson(upn, { email: ann.email });
    await t.browser().connect(await t.link(ann), upn, 'outlook');
    const forger = `forger-${ann.email}`;
    await identity.setPerson(forger, { email: ann.email });
    const page = await t.browser().connect(await t.link(ann), forger, 'outlook');
    shows(page, 409, 'That is another account', 'another account than the connected one of that address');
    const eve = await person('s2');
    await t.browser().connect(await t.link(eve), forger, 'outlook');
    const same = `select 1 from mailboxes where address = '${ann.email}'`;
    assert.equal((await t.sql(same)).length, 2, 'a forged address joins nobody and keeps nobody out');
  });

  test('C6 update e-mail: what happens is said first, then another mailbox takes the place', async () => {
    const ann = await person();
    await t.browser().connect(await t.link(ann), ann.email);
    const link = await t.link({ ...ann, replace: true });
    const browser = t.browser();
    shows(await browser.get(link), 200, 'Change your mailbox', `takes the place of ${ann.email}`);
    const started = await browser.submit({ provider: 'gmail' });
    assert.equal(new URL(started.location ?? '').searchParams.get('login_hint'), null);
    shows(await browser.connect(link, `new-${ann.email}`), 200, 'Your mailbox is connected');
    assert.deepEqual(await stateOf(ann), { state: 'connecting', email: `new-${ann.email}` });
  });

  test('a link that names its provider goes there alone', async () => {
    const ann = await person();
    const link = await t.link({ ...ann, provider: 'outlook' });
    const browser = t.browser();
    const page = await browser.get(link);
    shows(page, 200, 'Connect your mailbox', 'Continue to Outlook');
    assert.doesNotMatch(page.text, /Gmail/);
    shows(await browser.submit({ provider: 'gmail' }), 404, 'There is no such page');
    const started = await browser.get(link).then(() => browser.submit({ provider: 'outlook' }));
    assert.match(started.location ?? '', /\/microsoft\//);
    shows(await browser.get(`${link}/imap`), 404, 'There is no such page');
  });

  test('C7 a callback after a disconnect connects anew', async () => {
    const ann = await person();
    await t.browser().connect(await t.link(ann), ann.email);
    const browser = t.browser();
    const redirect = await browser.consent(await t.link(ann), ann.email);
    await t.connecting.disconnect({ userId: ann.userId });
    shows(await browser.finish(redirect.href), 200, 'Your mailbox is connected');
    assert.deepEqual(await stateOf(ann), { state: 'connecting', email: ann.email });
    const all = await t.sql(`select state from connections where user_id = '${ann.userId}' order by id`);
    assert.deepEqual(all, [{ state: 'disconnected' }, { state: 'connecting' }]);
  });

  test('a membership that ended meanwhile', async () => {
    const ann = await person();
    const browser = t.browser();
    const link = await t.link(ann);
    const redirect = await browser.consent(link, ann.email);
    await run(t.db, 'delete from memberships where user_id = :userId', { userId: ann.userId });
    shows(await browser.finish(redirect.href), 400, 'This page was not reached in the right way');
    shows(await browser.get(link), 404, 'This link leads nowhere');
    assert.equal(await stateOf(ann), null);
  });
});

function decodeHtml(text: string): string {
  return text.replaceAll('&amp;', '&');
}
