import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Hono } from 'hono';
import { addAccount } from '../../../src/console/admin/account.tsx';
import { createPasswords } from '../../../src/console/admin/passwords.ts';
import { Failure } from '../../../src/lib/failure.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { Browser, PagesUnderTest } from '../pages.ts';
import { addAnn, appCode, goodPassword, signIn } from './people.ts';

const account = `${publicUrl}/admin/account`;
const newPassword = 'quiet copper lantern';

describe('an administrator’s own account', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages();
  });
  after(() => t.close());
  beforeEach(async () => {
    await t.sql('delete from administrators');
    await t.sql('delete from sign_in_tries');
    await addAnn(t.db);
  });

  const signedIn = async (): Promise<Browser> => {
    const browser = t.browser();
    assert.equal((await signIn(browser)).status, 303);
    return browser;
  };
  const isIn = async (browser: Browser) => (await browser.get(account)).status === 200;
  const actions = async () =>
    (await t.sql<{ action: string }>('select action from audit order by id desc limit 3')).map(
      ({ action }) => action,
    );
  /** Turns the second factor on; answers the secret and the recovery codes. */
  const enrol = async (browser: Browser) => {
    const page = await browser.get(`${account}/second-factor`);
    const secret = /<code>([A-Z2-7 ]+)<\/code>/.exec(page.html)?.[1] ?? '';
    const shown = await browser.submit({ code: appCode(secret, -1), current: goodPassword });
    const codes = [...shown.html.matchAll(/<code>([a-z2-7]{5}-[a-z2-7]{5})<\/code>/g)].map(
      ([, code]) => code ?? '',
    );
    return { page, shown, secret, codes };
  };

  test('changing the password ends the other sessions, wants the present one, and keeps this one', async () => {
    const [here, there] = [await signedIn(), await signedIn()];
    await here.get(account);
    const wrong = await here.submit({ current: 'not this one at all', password: newPassword });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /This is not your present password/);
    const weak = await here.submit({ current: goodPassword, password: 'ann@operator.example' });
    assert.match(weak.text, /made of your address/);
    assert.ok(await isIn(there));
    const done = await here.submit({ current: goodPassword, password: newPassword });
    assert.deepEqual([done.status, done.location], [303, '/admin/account?done=password']);
    assert.match((await here.get(`${publicUrl}${done.location}`)).text, /Your password is changed/);
    assert.equal(await isIn(there), false);
    assert.equal((await signIn(t.browser())).status, 401);
    assert.equal((await signIn(t.browser(), { password: newPassword })).status, 303);
    assert.ok((await actions()).includes('password.changed'));
  });

  test('the present password cannot be guessed in a browser that was left open', async () => {
    const here = await signedIn();
    await here.get(account);
    for (let tries = 0; tries < 5; tries += 1)
      await here.submit({ current: `not this one ${tries}`, password: newPassword });
    const shown = await here.submit({ current: goodPassword, password: newPassword });
    assert.match(shown.text, /too many tries/);
    await t.sql('delete from sign_in_tries');
    assert.equal((await signIn(t.browser())).status, 303, 'nothing was changed');
  });

  test('while too many ask at once, the page says so, and nothing is changed', async () => {
    const here = await signedIn();
    const { html } = await here.get(account);
    const form = /name="form_token" value="([^"]+)"/.exec(html)?.[1] ?? '';
    const busy = new Hono();
    const verify = () => Promise.reject(new Failure('temporary', 'busy', 'too many sign in at once'));
    addAccount(busy, { ...t.pages, passwords: { ...createPasswords(), verify } });
    const shown = await busy.request(`${account}/password`, {
      method: 'POST',
      headers: { cookie: [...here.cookies()].map(([name, value]) => `${name}=${value}`).join('; ') },
      body: new URLSearchParams({ form_token: form, current: goodPassword, password: newPassword }),
    });
    assert.equal(shown.status, 422);
    assert.match(await shown.text(), /Too many people sign in at this moment/);
    assert.equal((await signIn(t.browser())).status, 303, 'nothing was changed');
  });

  test('the second factor: turned on by a code and the password; then signing in takes both', async () => {
    const [here, there] = [await signedIn(), await signedIn()];
    const { page, shown, secret, codes } = await enrol(here);
    assert.match(page.html, /<img class="qr" src="data:image\/svg\+xml;base64,/);
    assert.doesNotMatch(page.html, / style=/);
    assert.equal(codes.length, 10);
    assert.equal(new Set(codes).size, 10);
    assert.match(shown.text, /shown this once/);
    assert.equal(await isIn(there), false, 'the other session is over');
    const stored = JSON.stringify(await t.sql('select * from administrators, recovery_codes'));
    for (const text of [secret, secret.replaceAll(' ', ''), ...codes]) assert.ok(!stored.includes(text));

    const browser = t.browser();
    const half = await signIn(browser, { to: '/admin/keys' });
    assert.equal(half.location, '/admin/sign-in/code');
    assert.equal(await isIn(browser), false, 'the password alone is not enough');
    await browser.get(`${publicUrl}/admin/sign-in/code`);
    const wrong = await browser.submit({ code: '000000' });
    assert.deepEqual([wrong.status, /not right, or it was used before/.test(wrong.text)], [401, true]);
    const used = await browser.submit({ code: appCode(secret, -1) });
    assert.equal(used.status, 401, 'the code that turned it on is used up');
    const code = appCode(secret);
    const done = await browser.submit({ code: `${code.slice(0, 3)} ${code.slice(3)}` });
    assert.deepEqual([done.status, done.location], [303, '/admin/keys']);
    assert.ok(await isIn(browser));

    const second = t.browser();
    await signIn(second);
    await second.get(`${publicUrl}/admin/sign-in/code`);
    assert.equal((await second.submit({ code })).status, 401, 'each code works once');
    assert.equal((await second.submit({ code: appCode(secret, 3) })).status, 401, 'too early');
    assert.equal((await second.submit({ code: appCode(secret, 1) })).status, 303, 'a clock that is ahead');
  });

  test('a recovery code works once, however it is typed; new ones put an end to the old', async () => {
    const here = await signedIn();
    const { codes } = await enrol(here);
    const byCode = async (code: string) => {
      const browser = t.browser();
      await signIn(browser);
      await browser.get(`${publicUrl}/admin/sign-in/code`);
      return (await browser.submit({ code })).status;
    };
    assert.equal(await byCode(` ${(codes[0] ?? '').toUpperCase().replace('-', ' ')} `), 303);
    assert.equal(await byCode(codes[0] ?? ''), 401);
    assert.match((await here.get(account)).text, /9 recovery codes left/);
    const renewed = await here.submit({ 'current-codes': goodPassword }, '/admin/account/recovery-codes');
    const fresh = /<code>([a-z2-7]{5}-[a-z2-7]{5})<\/code>/.exec(renewed.html)?.[1] ?? '';
    await t.sql('delete from sign_in_tries');
    assert.equal(await byCode(codes[1] ?? ''), 401);
    assert.equal(await byCode(fresh), 303);
    await here.get(account);
    const wrong = await here.submit({ 'current-codes': 'x' }, '/admin/account/recovery-codes');
    assert.equal(wrong.status, 422);
  });

  test('codes are guessed no quicker than passwords, and knowing the password resets nothing', async () => {
    const here = await signedIn();
    const { secret } = await enrol(here);
    for (let tries = 0; tries < 5; tries += 1) {
      const browser = t.browser({ client: `198.51.100.${tries}` });
      await signIn(browser);
      await browser.get(`${publicUrl}/admin/sign-in/code`);
      assert.equal((await browser.submit({ code: `00000${tries}` })).status, 401);
    }
    const browser = t.browser({ client: '198.51.100.9' });
    await signIn(browser);
    await browser.get(`${publicUrl}/admin/sign-in/code`);
    const paused = await browser.submit({ code: appCode(secret) });
    assert.equal(paused.status, 429);
    assert.ok((await actions()).includes('sign_in.failed'));
  });

  test('half a sign-in ends with the password that it began with, and cannot be made up', async () => {
    const here = await signedIn();
    const { secret } = await enrol(here);
    const browser = t.browser();
    await signIn(browser);
    await here.get(account);
    await here.submit({ current: goodPassword, password: newPassword });
    await browser.get(`${publicUrl}/admin/sign-in/code`);
    assert.equal((await browser.submit({ code: appCode(secret) })).status, 401);
    const none = await t.browser().get(`${publicUrl}/admin/sign-in/code`);
    assert.deepEqual([none.status, none.location], [303, '/admin/sign-in']);
  });

  test('it is turned off by the password, and its recovery codes are gone', async () => {
    const here = await signedIn();
    await enrol(here);
    await here.get(account);
    const wrong = await here.submit({ 'current-off': 'x' }, '/admin/account/second-factor/off');
    assert.equal(wrong.status, 422);
    const done = await here.submit({ 'current-off': goodPassword }, '/admin/account/second-factor/off');
    assert.equal(done.location, '/admin/account?done=off');
    assert.deepEqual(await t.sql('select * from recovery_codes'), []);
    assert.equal((await signIn(t.browser())).location, '/admin');
    assert.deepEqual((await actions()).includes('second_factor.turned_off'), true);
  });

  test('a secret that was not made for this session is not taken', async () => {
    const [here, there] = [await signedIn(), await signedIn()];
    const page = await there.get(`${account}/second-factor`);
    const sealed = /name="secret" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const secret = /<code>([A-Z2-7 ]+)<\/code>/.exec(page.html)?.[1] ?? '';
    await here.get(`${account}/second-factor`);
    const shown = await here.submit({ secret: sealed, code: appCode(secret), current: goodPassword });
    assert.equal(shown.status, 422);
    const wrong = await here.submit({ code: '12345', current: goodPassword });
    assert.match(wrong.text, /not the code of this secret/);
    assert.deepEqual(await t.sql('select id from administrators where totp_secret_sealed is not null'), []);
  });

  test('sessions are listed with where they were begun, and all others are ended at once', async () => {
    const here = await signedIn();
    const there = t.browser({ client: '198.51.100.4' });
    await signIn(there);
    const page = await here.get(account);
    assert.match(page.text, /198\.51\.100\.4/);
    assert.equal([...page.html.matchAll(/This browser/g)].length, 1);
    await here.submit({}, '/admin/account/sessions/end');
    assert.deepEqual([await isIn(here), await isIn(there)], [true, false]);
    assert.doesNotMatch((await here.get(account)).text, /End all other sessions/);
  });

  test('CSRF: no form of it is taken from elsewhere, nor with another session’s token', async () => {
    const [here, there] = [await signedIn(), await signedIn()];
    const page = await there.get(account);
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const paths = ['password', 'second-factor', 'second-factor/off', 'recovery-codes', 'sessions/end'];
    for (const path of paths) {
      const fields = { form_token: form, current: goodPassword, password: newPassword };
      assert.equal((await here.post(`${account}/${path}`, fields)).status, 403, path);
      const cross = await there.post(`${account}/${path}`, fields, { 'sec-fetch-site': 'cross-site' });
      assert.equal(cross.status, 403, path);
    }
  });

  test('in German', async () => {
    await signedIn();
    const browser = t.browser({ language: 'de' });
    await signIn(browser);
    const page = await browser.get(account);
    assert.equal(page.title, 'Mein Konto · Administration');
    assert.match(page.text, /Zweiter Faktor Ausgeschaltet/);
  });
});
