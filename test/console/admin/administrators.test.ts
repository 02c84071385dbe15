import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { makeAdministratorLink } from '../../../src/store/administrator-links.ts';
import type { AdministratorId } from '../../../src/lib/id.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { Browser, PagesUnderTest } from '../pages.ts';
import { addAnn, appCode, goodPassword, signIn } from './people.ts';

const list = `${publicUrl}/admin/administrators`;

describe('administrators, and the links by which they get in', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages();
  });
  after(() => t.close());
  beforeEach(async () => {
    for (const table of ['administrators', 'administrator_links', 'sign_in_tries'])
      await t.sql(`delete from ${table}`);
  });

  const link = (id: AdministratorId | null) =>
    t.db.transaction((tx) => makeAdministratorLink(tx, id)).then((path) => `${publicUrl}${path}`);
  const signedIn = async (email?: string): Promise<Browser> => {
    const browser = t.browser();
    assert.equal((await signIn(browser, email === undefined ? {} : { email })).status, 303);
    return browser;
  };

  test('the first administrator chooses address and password by a link, and is signed in', async () => {
    const first = await link(null);
    const browser = t.browser();
    for (let looks = 0; looks < 2; looks += 1)
      assert.equal((await browser.get(first)).title, 'Become the first administrator');
    const wrong = await browser.submit({ email: 'nobody', password: 'short' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /This is no e-mail address/);
    assert.match(wrong.text, /shorter than 12/);
    assert.ok(wrong.html.includes('value="nobody"'), 'what was typed stays');
    const done = await browser.submit({ email: 'Ann@operator.example', password: goodPassword });
    assert.deepEqual([done.status, done.location], [303, '/admin/account']);
    assert.match((await browser.get(`${publicUrl}/admin/account`)).text, /Ann@operator\.example/);
    assert.equal((await t.browser().get(first)).status, 410);
    assert.equal((await signIn(t.browser())).status, 303);
  });

  test('there is one first administrator, of two who are quick, and none where there is one', async () => {
    const first = await link(null);
    const browsers = [t.browser(), t.browser()];
    const done = await Promise.all(
      browsers.map(async (browser, index) => {
        await browser.get(first);
        return browser.submit({ email: `n${index}@operator.example`, password: goodPassword });
      }),
    );
    assert.deepEqual(done.map(({ status }) => String(status)).sort(), ['303', '410']);
    const late = await link(null);
    const browser = t.browser();
    await browser.get(late);
    assert.equal(
      (await browser.submit({ email: 'eve@operator.example', password: goodPassword })).status,
      410,
    );
    assert.equal((await t.sql('select id from administrators')).length, 1);
  });

  test('a link for somebody who lost them sets the password, turns the second factor off, and ends sessions', async () => {
    const ann = await addAnn(t.db);
    const browser = await signedIn();
    const page = await browser.get(`${publicUrl}/admin/account/second-factor`);
    const secret = /<code>([A-Z2-7 ]+)<\/code>/.exec(page.html)?.[1] ?? '';
    await browser.submit({ code: appCode(secret), current: goodPassword });
    const [older, reset] = [await link(ann.id), await link(ann.id)];
    assert.equal((await t.browser().get(older)).status, 410, 'an earlier link ends');
    const other = t.browser();
    assert.match((await other.get(reset)).text, /For ann@operator\.example/);
    const done = await other.submit({ password: 'quiet copper lantern', email: 'eve@operator.example' });
    assert.equal(done.status, 303);
    assert.equal((await browser.get(list)).status, 303, 'the old session is over');
    assert.equal((await signIn(t.browser())).status, 401);
    assert.equal((await signIn(t.browser(), { password: 'quiet copper lantern' })).location, '/admin');
    assert.deepEqual(await t.sql('select email, totp_secret_sealed from administrators'), [
      { email: 'ann@operator.example', totp_secret_sealed: null },
    ]);
  });

  test('links that are expired, unknown, cut short, or sent from another site', async () => {
    const ann = await addAnn(t.db);
    const good = await link(ann.id);
    const lured = await t
      .browser()
      .post(good, { password: 'quiet copper lantern' }, { 'sec-fetch-site': 'cross-site' });
    assert.equal(lured.status, 403);
    await t.sql(`update administrator_links set expires_at = now() - interval '1 second'`);
    const expired = await t.browser({ language: 'de' }).get(good);
    assert.deepEqual([expired.status, expired.title], [410, 'Dieser Link gilt nicht mehr']);
    assert.equal((await t.browser().post(good, { password: 'quiet copper lantern' })).status, 410);
    for (const path of ['x', 'A'.repeat(43), ''])
      assert.equal((await t.browser().get(`${publicUrl}/admin/welcome/${path}`)).status, 404, path);
    const [row] = await t.sql<{ days: number }>(
      `select round(extract(epoch from expires_at - now()) / 3600)::int as days from administrator_links`,
    );
    assert.ok(row);
    assert.ok(
      !JSON.stringify(await t.sql('select token_hash::text from administrator_links')).includes(good),
    );
  });

  test('one invites another, who gets in by the link; known and wrong addresses are said at the field', async () => {
    await addAnn(t.db);
    const browser = await signedIn();
    await browser.get(list);
    const wrong = await browser.submit({ email: '<script>alert(1)</script>' }, '/admin/administrators');
    assert.equal(wrong.status, 422);
    assert.ok(!wrong.html.includes('<script>alert'));
    const known = await browser.submit({ email: 'ANN@operator.example' }, '/admin/administrators');
    assert.match(known.text, /already/);
    const shown = await browser.submit({ email: 'ben@operator.example' }, '/admin/administrators');
    const path = /<code>([^<]+welcome[^<]+)<\/code>/.exec(shown.html)?.[1] ?? '';
    assert.match((await browser.get(list)).text, /ben@operator\.example Invited/);
    const ben = t.browser();
    await ben.get(path);
    assert.equal((await ben.submit({ password: 'quiet copper lantern' })).status, 303);
    const log = await browser.get(`${publicUrl}/admin/audit?noun=administrator`);
    assert.match(log.text, /ben@operator\.example Set a password by a link/);
    assert.match(log.text, /ann@operator\.example Invited an administrator ben@operator\.example/);
  });

  test('removing: at once, never the last who can sign in, and not oneself without being told', async () => {
    const ann = await addAnn(t.db);
    const ben = await addAnn(t.db, 'ben@operator.example');
    await t.sql(
      `insert into administrators (id, email, canonical) values ('adm_cat', 'cat@operator.example', 'cat@operator.example')`,
    );
    const [annsBrowser, bensBrowser] = [await signedIn(), await signedIn('ben@operator.example')];
    const remove = async (browser: Browser, id: string) => {
      await browser.get(list);
      return browser.submit({ id }, '/admin/administrators/remove');
    };
    assert.match((await annsBrowser.get(list)).text, /This is your own account: you are signed out at once/);
    assert.equal((await remove(annsBrowser, 'adm_nobody')).status, 404);
    assert.equal((await remove(annsBrowser, ben.id)).location, '/admin/administrators?removed=1');
    assert.equal((await bensBrowser.get(list)).status, 303, 'the session is over');
    assert.equal((await signIn(t.browser(), { email: 'ben@operator.example' })).status, 401);
    const last = await remove(annsBrowser, ann.id);
    assert.deepEqual([last.status, /Nobody was removed/.test(last.text)], [409, true]);
    const removals = await t.sql(`select 1 from audit where action = 'administrator.removed'`);
    assert.equal(removals.length, 1, 'what did not happen is not in the audit log');
    await addAnn(t.db, 'dan@operator.example');
    assert.equal((await remove(annsBrowser, ann.id)).location, '/admin/sign-in');
    assert.equal((await annsBrowser.get(list)).status, 303);
  });

  test('who could only sign in by an identity provider counts while there is one, and they are on its list', async () => {
    const identity = { issuer: 'https://login.operator.example', clientId: 'x', clientSecret: 'x' };
    for (const [administrators, status] of [
      [null, 409],
      [['somebody@operator.example'], 409],
      [['Eve@operator.example'], 303],
    ] as const) {
      for (const table of ['administrators', 'sign_in_tries']) await t.sql(`delete from ${table}`);
      const ann = await addAnn(t.db);
      await t.sql(
        `insert into administrators (id, email, canonical, subject)
         values ('adm_eve', 'eve@operator.example', 'eve@operator.example', 'issuer eve')`,
      );
      t.pages.operator.identity = administrators && { ...identity, administrators };
      const browser = await signedIn();
      await browser.get(list);
      const { status: said } = await browser.submit({ id: ann.id }, '/admin/administrators/remove');
      t.pages.operator.identity = null;
      assert.equal(said, status, String(administrators));
    }
  });

  test('of two who remove each other in the same moment one stays', async () => {
    const [ann, ben] = [await addAnn(t.db), await addAnn(t.db, 'ben@operator.example')];
    const browsers = [await signedIn(), await signedIn('ben@operator.example')] as const;
    await Promise.all(browsers.map((browser) => browser.get(list)));
    await Promise.all([
      browsers[0].submit({ id: ben.id }, '/admin/administrators/remove'),
      browsers[1].submit({ id: ann.id }, '/admin/administrators/remove'),
    ]);
    assert.equal((await t.sql('select id from administrators')).length, 1);
  });
});
