import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Failure } from '../../../src/lib/failure.ts';
import type { DryRun, LookAhead } from '../../../src/mailbox/dry-run.ts';
import { findConnection } from '../../../src/store/connections.ts';
import { run } from '../../../src/store/database.ts';
import { startIdentityProvider, type IdentityProvider } from '../../support/identity.ts';
import { waitFor } from '../../support/wait.ts';
import { publicUrl, startPages, type Browser, type PagesUnderTest, type Shown } from '../pages.ts';

const script = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`;

const found: DryRun = {
  days: 7,
  listed: [
    { direction: 'inbound', contacts: ['Carla'], subject: 'The offer', date: '2026-11-20T09:00:00.000Z' },
    { direction: 'outbound', contacts: [script], subject: script, date: '2026-11-19T09:00:00.000Z' },
    { direction: 'inbound', contacts: [], subject: '', date: '2026-11-18T09:00:00.000Z' },
  ],
  stored: 14,
  contacts: 5,
  left: 212,
  seen: 230,
  whole: true,
};

describe('C1, C8: the last word before a mailbox is connected', () => {
  let identity: IdentityProvider;
  let t: PagesUnderTest;
  let lookAhead: LookAhead;
  const looked: Parameters<LookAhead>[0][] = [];
  const ann = { subAccountId: 's1', userId: 'ann' };
  const email = 'ann@company.example';

  before(async () => {
    identity = await startIdentityProvider();
    t = await startPages({
      identity,
      lookAhead: (of, onProgress, stop) => {
        looked.push(of);
        return lookAhead(of, onProgress, stop);
      },
    });
    await t.member('s1', 'ann');
  });
  after(async () => {
    await t.close();
    await identity.stop();
  });
  afterEach(async () => {
    await t.connecting.disconnect({ subAccountId: 's1' });
    await waitFor(
      'every grant to be revoked',
      async () => (await t.sql('select 1 from revocations')).length === 0,
    );
    assert.doesNotMatch(t.logged.join(), /was not revoked/);
    await run(t.db, 'delete from proven_logins');
    looked.length = 0;
  });

  /** Up to the page that asks. */
  async function askedIn(
    browser: Browser,
    more: Parameters<PagesUnderTest['link']>[0] = {},
  ): Promise<string> {
    const { location } = await browser.get((await browser.consent(await t.link(more), email)).href);
    assert.match(location ?? '', /^\/connect\/[\w-]{43}\/confirm\/[\w-]{43}$/);
    return `${publicUrl}${location}`;
  }
  const kept = () =>
    t.sql<{ outcome: string | null }>('select outcome, credential_sealed from proven_logins');
  const isConnected = async () =>
    (await t.sql('select 1 from connections where ended_at is null')).length > 0;
  const revoked = (least: number) =>
    waitFor('the grant to be revoked', async () => (await identity.counts()).revoke >= least);
  function shows(page: Shown, status: number, title: string, ...words: string[]): void {
    assert.deepEqual([page.status, page.title], [status, title], page.text);
    for (const word of words) assert(page.text.includes(word), `${word} is not in: ${page.text}`);
  }

  test('nothing is connected, and nobody told, before the person says so', async () => {
    await t.events();
    const browser = t.browser();
    const url = await askedIn(browser);
    shows(await browser.get(url), 200, 'Connect this mailbox?', `signed in as ${email}`, 'Not now');
    assert.equal(await isConnected(), false);
    assert.deepEqual(await t.events(), []);
    assert.deepEqual(t.woken, []);
    assert.doesNotMatch(JSON.stringify(await t.sql('select * from proven_logins')), /\b(rt|at)-[\w-]{40}/);
    const said = await browser.submit({ decision: 'connect' });
    shows(await browser.get(`${publicUrl}${said.location}`), 200, 'Your mailbox is connected', email);
    assert.equal((await findConnection(t.db, ann))?.state, 'connecting');
    assert.deepEqual(
      (await t.events()).map(({ type }) => type),
      ['connection.created'],
    );
    assert.deepEqual(await kept(), [{ outcome: 'connected', credential_sealed: null }]);
    shows(await browser.get(url), 200, 'Your mailbox is connected', email);
  });

  test('“Not now” gives the grant back, and tells nobody', async () => {
    await t.events();
    const before = (await identity.counts()).revoke;
    const browser = t.browser();
    const url = await askedIn(browser, { returnUrl: 'https://crm.example/' });
    await browser.get(url);
    await browser.submit({ decision: 'decline' });
    const page = await browser.get(url);
    shows(page, 200, 'Nothing was connected', `${email} was not connected`, 'Try again');
    assert.match(page.html, /crm\.example\/\?state=declined/);
    await revoked(before + 1);
    assert.deepEqual(await kept(), [{ outcome: 'declined', credential_sealed: null }]);
    assert.equal(await isConnected(), false);
    assert.deepEqual(await t.events(), []);
    const late = await browser.post(url, { decision: 'connect' }, { 'sec-fetch-site': 'same-origin' });
    shows(late, 200, 'Nothing was connected');
    assert.equal(await isConnected(), false);
  });

  test('who says nothing for half an hour: the login goes, and the grant with it', async () => {
    const before = (await identity.counts()).revoke;
    const browser = t.browser();
    const url = await askedIn(browser);
    const [life] = await t.sql<{ minutes: number }>(
      `select round(extract(epoch from expires_at - now()) / 60)::int as minutes from proven_logins`,
    );
    assert.deepEqual(life, { minutes: 30 });
    await run(t.db, `update proven_logins set expires_at = now() - interval '1 second'`);
    shows(await browser.get(url), 410, 'That took too long', 'Nothing was connected');
    const late = await browser.post(url, { decision: 'connect' }, { 'sec-fetch-site': 'same-origin' });
    shows(late, 410, 'That took too long');
    t.revoker.wake();
    await revoked(before + 1);
    assert.deepEqual(await kept(), []);
    assert.equal(await isConnected(), false);
  });

  test('a membership that ends meanwhile takes nothing with it: the grant is revoked all the same', async () => {
    await t.member('s2', 'bob');
    const before = (await identity.counts()).revoke;
    const browser = t.browser();
    const url = await askedIn(browser, { subAccountId: 's2', userId: 'bob' });
    await run(t.db, `delete from memberships where user_id = 'bob'`);
    shows(await browser.get(url), 404, 'This link leads nowhere');
    assert.equal((await kept()).length, 1);
    await run(t.db, `update proven_logins set expires_at = now()`);
    t.revoker.wake();
    await revoked(before + 1);
  });

  test('declining one of two sign-ins with the same account leaves the other its grant', async () => {
    const before = (await identity.counts()).revoke;
    const browser = t.browser();
    const [first, second] = [await askedIn(browser), await askedIn(browser)];
    await browser.get(first);
    await browser.submit({ decision: 'decline' });
    await waitFor(
      'the revocation to be over',
      async () => (await t.sql('select 1 from revocations')).length === 0,
    );
    await browser.get(second);
    await browser.submit({ decision: 'connect' });
    shows(await browser.get(second), 200, 'Your mailbox is connected');
    assert.equal((await identity.counts()).revoke, before);
  });

  test('two tabs: the first to say yes counts, the other learns of it and its grant is given up', async () => {
    const browser = t.browser();
    const link = await t.link();
    const at = async () =>
      `${publicUrl}${(await browser.get((await browser.consent(link, email)).href)).location}`;
    const [first, second] = [await at(), await at()];
    await browser.get(first);
    await browser.submit({ decision: 'connect' });
    await browser.get(second);
    shows(await browser.submit({ decision: 'connect' }), 410, 'This link has been used');
    assert.deepEqual((await kept()).map(({ outcome }) => String(outcome)).sort(), ['connected', 'declined']);
  });

  test('an account that is connected already goes on at once', async () => {
    await t.browser().connect(await t.link(), email);
    const browser = t.browser();
    const page = await browser.get((await browser.consent(await t.link(), email)).href);
    shows(page, 200, 'Your mailbox is connected');
  });

  test('nobody else’s page says yes, and no other address opens this one', async () => {
    const url = await askedIn(t.browser());
    for (const site of ['cross-site', 'same-site', 'none']) {
      const page = await t.browser().post(url, { decision: 'connect' }, { 'sec-fetch-site': site });
      shows(page, 403, 'Please open the link again');
    }
    const [token = '', login = ''] = url.split('/confirm/');
    const other = (await askedIn(t.browser())).split('/confirm/')[0] ?? '';
    for (const wrong of [
      `${token}/confirm/${'A'.repeat(43)}`,
      `${other}/confirm/${login}`,
      `${token}/confirm/x`,
    ])
      shows(await t.browser().get(wrong), 410, 'That took too long');
    assert.equal(await isConnected(), false);
  });

  test('C8 the dry run says what would be in the CRM, as text; nothing of it is stored', async () => {
    lookAhead = () => Promise.resolve(found);
    const browser = t.browser();
    const url = await askedIn(browser);
    const page = await browser.get(`${url}/look`);
    shows(
      page,
      200,
      'Connect this mailbox?',
      'Of the last 7 days, 14 messages of 5 contacts would be in the CRM.',
    );
    for (const words of ['212 others stay private', 'From Carla', 'The offer', 'No subject', 'and 11 more'])
      assert(page.text.includes(words), `${words} is not in: ${page.text}`);
    assert.doesNotMatch(page.html, /<(script(?! src="\/assets\/)|img)/i);
    assert.deepEqual(
      looked.map(({ subAccountId, userId }) => [subAccountId, userId]),
      [['s1', 'ann']],
    );
    assert.doesNotMatch(JSON.stringify(await t.sql('select * from proven_logins')), /offer/);
    assert.doesNotMatch(t.logged.join(), /offer|Carla/);
  });

  test('C8 while it looks, the page shows how far it is; it stops when the page is left', async () => {
    lookAhead = (_, onProgress) => {
      onProgress({ seen: 200, stored: 3, share: 0.5 });
      return Promise.resolve({ ...found, whole: false, listed: [] });
    };
    const url = await askedIn(t.browser());
    const response = await t.app.request(`${url}/look`, { headers: { 'hx-request': 'true' } });
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const [first = '', last = ''] = (await response.text()).trim().split('\n\n');
    assert.match(
      first,
      /^data: <p class="looking"><progress max="100" value="50"[^>]*><\/progress>.*200 messages so far/,
    );
    assert.match(last, /Only 230 messages were looked at/);
    let stopped: AbortSignal | undefined;
    lookAhead = (_, __, stop) => {
      stopped = stop;
      return new Promise((_, reject) => stop.addEventListener('abort', () => reject(new Error('left'))));
    };
    const left = await t.app.request(`${url}/look`, { headers: { 'hx-request': 'true' } });
    await waitFor('the look to begin', () => stopped !== undefined);
    await left.body?.cancel();
    await waitFor('the look to stop', () => stopped?.aborted === true);
  });

  for (const [name, failure] of [
    ['the provider', new Failure('temporary', 'connection_closed', 'gone')],
    ['ourselves', new TypeError('a subject')],
  ] as const) {
    test(`C8 a look that fails by ${name} keeps nobody from connecting`, async () => {
      lookAhead = () => Promise.reject(failure);
      const browser = t.browser();
      const url = await askedIn(browser);
      shows(
        await browser.get(`${url}/look`),
        200,
        'Connect this mailbox?',
        'could not be looked at just now',
      );
      const said = await browser.submit({ decision: 'connect' });
      shows(await browser.get(`${publicUrl}${said.location}`), 200, 'Your mailbox is connected');
      assert.doesNotMatch(t.logged.join(), /a subject/);
    });
  }

  test('C8 one sign-in looks ten times, not for ever', async () => {
    lookAhead = () => Promise.resolve(found);
    const browser = t.browser();
    const url = await askedIn(browser);
    for (let times = 0; times < 10; times += 1) await browser.get(`${url}/look`);
    const page = await browser.get(`${url}/look`);
    shows(page, 200, 'Connect this mailbox?', 'could not be looked at just now');
    assert.equal(looked.length, 10);
  });

  test('C8 of looks at the same moment no more are made than this process makes at once', async () => {
    let [now, answered] = [0, 0];
    const ends: (() => void)[] = [];
    lookAhead = async () => {
      now += 1;
      await new Promise<void>((end) => ends.push(end));
      return found;
    };
    const browser = t.browser();
    const url = await askedIn(browser);
    const asked = Array.from({ length: 10 }, async () => {
      const response = await t.app.request(`${url}/look`);
      answered += 1;
      return response.text();
    });
    // Those that are too many have their answer while the others still look.
    await waitFor('each to look or to be answered', () => now + answered === 10);
    const atOnce = now;
    for (const end of ends) end();
    assert.equal(atOnce, 8);
    const failed = (await Promise.all(asked)).filter((said) => /could not be looked at just now/.test(said));
    assert.equal(failed.length, 2);
  });

  test('C8 a database that fails at a look fails the look, and says nothing of itself', async () => {
    lookAhead = () => Promise.resolve(found);
    const url = await askedIn(t.browser());
    await run(t.db, 'alter table proven_logins add constraint no_look check (looks = 0)');
    try {
      const response = await t.app.request(`${url}/look`, { headers: { 'hx-request': 'true' } });
      const said = await response.text();
      assert.match(said, /could not be looked at just now/);
      assert.doesNotMatch(said, /no_look|event: error/);
    } finally {
      await run(t.db, 'alter table proven_logins drop constraint no_look');
    }
  });

  test('in German', async () => {
    lookAhead = () => Promise.resolve(found);
    const browser = t.browser({ language: 'de' });
    const url = await askedIn(browser);
    shows(
      await browser.get(`${url}/look`),
      200,
      'Dieses Postfach verbinden?',
      'Von den letzten 7 Tagen stünden 14 Nachrichten von 5 Kontakten im CRM.',
      '212 andere bleiben privat.',
    );
  });
});
