import assert from 'node:assert/strict';
import { argon2Sync } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Hono } from 'hono';
import { createPasswords } from '../../../src/console/admin/passwords.ts';
import { addSignIn, ownPath } from '../../../src/console/admin/sign-in.tsx';
import { run } from '../../../src/store/database.ts';
import { setPassword, setSecondFactor, totpContext } from '../../../src/store/administrators.ts';
import { base32 } from '../../../src/console/admin/totp.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';
import { addAnn, appCode, goodPassword, signIn } from './people.ts';

const wrongWords = /address or the password is not right/;

describe('signing in to the administration, by password', () => {
  let t: PagesUnderTest;
  before(async () => {
    t = await startPages({ operator: { httpProxies: ['10.0.0.0/8'] } });
    await t.member('s1', 'ann');
    await addAnn(t.db);
  });
  after(() => t.close());
  beforeEach(() => t.sql('delete from sign_in_tries'));

  const audited = async () =>
    (
      await t.sql<{ action: string; subject: string | null; client: string | null; email: string | null }>(
        'select action, subject, client, email from audit order by id',
      )
    ).map(({ action, subject, client, email }) => ({ action, subject, client, email }));
  /** As if the pauses had passed. */
  const wait = () => t.sql(`update sign_in_tries set paused_until = now() - interval '1 second'`);

  test('whoever is not signed in is led there, and afterwards to where they wanted to go', async () => {
    const browser = t.browser();
    const led = await browser.get(`${publicUrl}/admin/audit?noun=key`);
    assert.deepEqual([led.status, led.location], [303, '/admin/sign-in?to=%2Fadmin%2Faudit%3Fnoun%3Dkey']);
    await browser.get(`${publicUrl}${led.location}`);
    const done = await browser.submit({ email: ' Ann@Operator.example ', password: goodPassword });
    assert.deepEqual([done.status, done.location], [303, '/admin/audit?noun=key']);
    const page = await browser.get(`${publicUrl}/admin/audit?noun=sign_in`);
    assert.match(page.text, /ann@operator\.example Signed in how: password .*192\.0\.2\.1/);
    assert.deepEqual((await audited()).at(-1), {
      action: 'sign_in.succeeded',
      subject: null,
      client: '192.0.2.1',
      email: 'ann@operator.example',
    });
  });

  test('the address of the gateway itself leads to the administration', async () => {
    assert.equal((await t.browser().get(`${publicUrl}/`)).location, '/admin');
  });

  test('a part of a page, a form and a stream are no place to come back to', async () => {
    const browser = t.browser();
    const form = await browser.post(`${publicUrl}/admin/keys`, {}, { 'sec-fetch-site': 'same-origin' });
    assert.deepEqual([form.status, form.location], [303, '/admin/sign-in']);
    const part = await t.app.request(`${publicUrl}/admin/audit`, {
      headers: { 'hx-request': 'true', 'hx-current-url': `${publicUrl}/admin/setup` },
    });
    assert.equal(part.status, 401);
    assert.equal(part.headers.get('hx-redirect'), '/admin/sign-in?to=%2Fadmin%2Fsetup');
    const stream = await t.app.request(`${publicUrl}/admin/audit`, {
      headers: { accept: 'text/event-stream' },
    });
    assert.equal(stream.status, 401);
  });

  test('wrong: the same words, status and page whether there is such an account or not; what was typed stays', async () => {
    const pages = [];
    for (const email of ['ann@operator.example', 'nobody@operator.example']) {
      const shown = await signIn(t.browser(), { email, password: 'wrong horse ladder' });
      assert.equal(shown.status, 401);
      assert.match(shown.text, wrongWords);
      assert.ok(shown.html.includes(`value="${email}"`));
      assert.ok(!shown.html.includes('wrong horse ladder'), 'a password is not sent back');
      assert.equal(shown.headers.getSetCookie().length, 0);
      pages.push(shown.html.replaceAll(email, '').replaceAll(/name="form_token" value="[^"]+"/g, ''));
    }
    assert.equal(pages[0], pages[1]);
  });

  test('an address that is nobody’s takes as long as one that is somebody’s', async () => {
    const browser = t.browser();
    // Of the processor, since on a busy machine the clock tells of the others.
    const costOf = async (email: string) => {
      const before = process.cpuUsage();
      await signIn(browser, { email, password: 'wrong horse ladder' });
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    };
    await signIn(browser, { email: 'warm@operator.example' });
    const costs: { somebody: number; nobody: number }[] = [];
    for (let round = 0; round < 4; round += 1) {
      costs.push({
        somebody: await costOf('ann@operator.example'),
        nobody: await costOf('nobody@operator.example'),
      });
    }
    const somebody = Math.min(...costs.map((cost) => cost.somebody));
    const nobody = Math.min(...costs.map((cost) => cost.nobody));
    // The hash alone is many times all the rest.
    assert.ok(nobody > somebody / 2 && somebody > nobody / 2, `${nobody} ms and ${somebody} ms`);
  });

  test('lockout: by account the pauses grow, for unknown ones too, and the right password waits with them', async () => {
    for (const email of ['ann@operator.example', 'nobody@operator.example']) {
      // Each time from elsewhere: it is not the client that is counted.
      const from = (last: number) => t.browser({ client: `198.51.100.${last}` });
      for (let tries = 1; tries <= 5; tries += 1)
        assert.equal((await signIn(from(tries), { email, password: 'wrong horse ladder' })).status, 401);
      const paused = await signIn(from(6), { email });
      assert.equal(paused.status, 429);
      assert.match(paused.text, /too many tries\. The next one can be made at .* UTC/);
      const pauses: number[] = [];
      for (let tries = 6; tries <= 11; tries += 1) {
        await wait();
        await signIn(from(tries), { email, password: 'wrong horse ladder' });
        const [row] = await t.sql<{ seconds: number }>(
          `select round(extract(epoch from paused_until - now()))::int as seconds from sign_in_tries
            where tries = ${tries}`,
        );
        pauses.push(row?.seconds ?? 0);
      }
      for (const [index, seconds] of [30, 60, 120, 300, 900, 900].entries())
        assert.ok(Math.abs((pauses[index] ?? 0) - seconds) <= 3, pauses.join());
      await t.sql(`delete from sign_in_tries where tries < 11`);
      await wait();
      const done = await signIn(from(12), { email });
      assert.equal(done.status, email.startsWith('ann') ? 303 : 401, 'the pause has an end');
      await t.sql('delete from sign_in_tries');
    }
  });

  test('lockout: of tries at the same moment no more are made than one after the other', async () => {
    const browsers = Array.from({ length: 12 }, (_, index) => t.browser({ client: `198.51.100.${index}` }));
    const shown = await Promise.all(
      browsers.map((browser) => signIn(browser, { password: 'wrong horse ladder' })),
    );
    assert.equal(shown.filter(({ status }) => status === 401).length, 5);
    assert.equal(shown.filter(({ status }) => status === 429).length, 7);
  });

  test('lockout: by client, as a proxy of ours names it; another client is not kept out; one entry for each pause', async () => {
    const before = (await audited()).length;
    const post = async (forwardedFor: string) => {
      const browser = t.browser({ client: '10.0.0.1' });
      const shown = await browser.get(`${publicUrl}/admin/sign-in`);
      const form = /name="form_token" value="([^"]+)"/.exec(shown.html)?.[1] ?? '';
      const email = `n${Math.random()}@operator.example`;
      return browser.post(
        `${publicUrl}/admin/sign-in`,
        { form_token: form, email, password: 'x' },
        { 'x-forwarded-for': forwardedFor, 'sec-fetch-site': 'same-origin' },
      );
    };
    for (let tries = 1; tries <= 20; tries += 1) {
      const { status } = await post(`203.0.113.${tries}, 198.51.100.77`);
      assert.equal(status, 401, `${tries}`);
    }
    assert.equal((await post('198.51.100.77')).status, 429);
    assert.equal((await post('198.51.100.78')).status, 401);
    assert.deepEqual((await audited()).slice(before), [
      { action: 'sign_in.client_paused', subject: '198.51.100.77', client: '198.51.100.77', email: null },
    ]);
  });

  test('failed tries of accounts are in the audit log; what was typed where there is none is not', async () => {
    const before = (await audited()).length;
    await signIn(t.browser(), { password: 'wrong horse ladder' });
    await signIn(t.browser(), { email: 'my secret password', password: 'x' });
    assert.deepEqual((await audited()).slice(before), [
      { action: 'sign_in.failed', subject: 'ann@operator.example', client: '192.0.2.1', email: null },
    ]);
    const everything = JSON.stringify(await t.sql('select * from audit, sign_in_tries'));
    assert.ok(!everything.includes('my secret password') && !everything.includes('wrong horse'));
  });

  test('who was invited and has no password yet cannot sign in', async () => {
    await t.sql(
      `insert into administrators (id, email, canonical) values ('adm_new', 'new@operator.example', 'new@operator.example')`,
    );
    for (const password of ['', 'x', goodPassword])
      assert.equal((await signIn(t.browser(), { email: 'new@operator.example', password })).status, 401);
  });

  test('fixation: a cookie that was there before is worth nothing, and an old session ends with the new one', async () => {
    const browser = t.browser();
    const laid = 'A'.repeat(43);
    const shown = await t.app.request(`${publicUrl}/admin/sign-in`, {
      headers: { cookie: `twoway-admin=${laid}` },
    });
    const form = /name="form_token" value="([^"]+)"/.exec(await shown.text())?.[1] ?? '';
    const own = (shown.headers.getSetCookie()[0] ?? '').split(';')[0];
    const done = await t.app.request(`${publicUrl}/admin/sign-in`, {
      method: 'POST',
      headers: { cookie: `twoway-admin=${laid}; ${own}` },
      body: new URLSearchParams({ form_token: form, email: 'ann@operator.example', password: goodPassword }),
    });
    assert.equal(done.status, 303);
    const given = done.headers.getSetCookie().find((line) => line.startsWith('twoway-admin=')) ?? '';
    assert.match(given, /HttpOnly/i);
    assert.match(given, /SameSite=Lax/i);
    assert.ok(!given.includes(laid));
    const withLaid = await t.app.request(`${publicUrl}/admin`, {
      headers: { cookie: `twoway-admin=${laid}` },
    });
    assert.equal(withLaid.status, 303);

    await signIn(browser);
    const open = async () => (await t.sql('select id from console_sessions')).length;
    const before = await open();
    await signIn(browser);
    assert.equal(await open(), before);
  });

  test('CSRF: another site signs nobody in, with its own account or at all', async () => {
    const good = { email: 'ann@operator.example', password: goodPassword };
    const browser = t.browser();
    const page = await browser.get(`${publicUrl}/admin/sign-in`);
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    for (const [name, fields, headers] of [
      ['from another site', { ...good, form_token: form }, { 'sec-fetch-site': 'cross-site' }],
      ['from a sister site', { ...good, form_token: form }, { 'sec-fetch-site': 'same-site' }],
      ['without a token', good, {}],
      ['with another browser’s token', { ...good, form_token: 'A'.repeat(43) }, {}],
    ] as const) {
      const shown = await browser.post(`${publicUrl}/admin/sign-in`, fields, headers);
      assert.equal(shown.status, 403, name);
      assert.equal((await browser.get(`${publicUrl}/admin`)).status, 303, name);
    }
    const other = await t.browser().post(`${publicUrl}/admin/sign-in`, { ...good, form_token: form });
    assert.equal(other.status, 403, 'a token without its browser');
  });

  /** argon2id of goodPassword with m=64, t=1, as a later version would find today’s. */
  const outdated = (): string => {
    const nonce = Buffer.alloc(16, 7);
    const tag = argon2Sync('argon2id', {
      message: goodPassword,
      nonce,
      parallelism: 1,
      tagLength: 32,
      memory: 64,
      passes: 1,
    });
    const text = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
    return `$argon2id$v=19$m=64,t=1,p=1$${text(nonce)}$${text(tag)}`;
  };

  test('a hash with other parameters is still good, and is renewed', async () => {
    const { id } = await addAnn(t.db, 'old@operator.example');
    const old = outdated();
    await setPassword(t.db, id, old);
    assert.equal((await signIn(t.browser(), { email: 'old@operator.example' })).status, 303);
    const [row] = await t.sql<{ hash: string }>(
      `select password_hash as hash from administrators where id = '${id}'`,
    );
    assert.notEqual(row?.hash, old);
    assert.equal(createPasswords().isOutdated(row?.hash ?? ''), false);
    assert.equal((await signIn(t.browser(), { email: 'old@operator.example' })).status, 303);
  });

  test('a place to come back to that no cookie can hold does not keep anybody with a second factor out', async () => {
    const { id, email } = await addAnn(t.db, 'far@operator.example');
    const secret = Buffer.alloc(20, 8);
    const secretSealed = t.secretBox.seal(secret.toString('base64'), totpContext(id));
    await setSecondFactor(t.db, id, { secretSealed, step: 0 });
    for (const length of [1_900, 3_500]) {
      const half = await signIn(t.browser(), { email, to: `/admin/why?q=${'x'.repeat(length)}` });
      assert.equal(half.location, '/admin/sign-in/code');
      const cookie = half.headers.getSetCookie().join();
      assert.ok(cookie.includes('twoway-sign-in-code=') && cookie.length < 4_096, `${cookie.length}`);
    }
  });

  test('a hash that is renewed does not end the sign-in of whoever has a second factor, too', async () => {
    const { id, email } = await addAnn(t.db, 'both@operator.example');
    await setPassword(t.db, id, outdated());
    const secret = Buffer.alloc(20, 9);
    const secretSealed = t.secretBox.seal(secret.toString('base64'), totpContext(id));
    await setSecondFactor(t.db, id, { secretSealed, step: 0 });
    const browser = t.browser();
    assert.equal((await signIn(browser, { email })).location, '/admin/sign-in/code');
    await browser.get(`${publicUrl}/admin/sign-in/code`);
    const done = await browser.submit({ code: appCode(base32(secret)) });
    assert.deepEqual([done.status, done.location], [303, '/admin'], done.text);
  });

  for (const [name, old, change] of [
    ['another password', null, 'update administrators set password_hash = :hash where id = :id'],
    [
      'another password, of an old hash',
      outdated(),
      'update administrators set password_hash = :hash where id = :id',
    ],
    ['a second factor', null, `update administrators set totp_secret_sealed = 'x' where id = :id`],
    ['that it is gone', null, 'delete from administrators where id = :id'],
  ] as const) {
    test(`what shuts somebody out is not overtaken by a sign-in that began before: ${name}`, async () => {
      const { id, email } = await addAnn(t.db, 'shut@operator.example');
      await t.sql(`update administrators set totp_secret_sealed = null where id = '${id}'`);
      if (old !== null) await setPassword(t.db, id, old);
      const hash = await createPasswords().hash('quiet copper lantern');
      const slow = new Hono();
      const passwords = createPasswords();
      addSignIn(slow, {
        ...t.pages,
        passwords: {
          ...passwords,
          async verify(password, stored) {
            const isRight = await passwords.verify(password, stored);
            await run(t.db, change, { id, hash });
            return isRight;
          },
        },
      });
      const page = await slow.request(`${publicUrl}/admin/sign-in`);
      const form = /name="form_token" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
      const shown = await slow.request(`${publicUrl}/admin/sign-in`, {
        method: 'POST',
        headers: { cookie: (page.headers.getSetCookie()[0] ?? '').split(';')[0] ?? '' },
        body: new URLSearchParams({ form_token: form, email, password: goodPassword }),
      });
      assert.equal(shown.status, 401);
      assert.equal(shown.headers.getSetCookie().length, 0);
      assert.deepEqual(await t.sql(`select 1 from console_sessions where administrator_id = '${id}'`), []);
      const [row] = await t.sql<{ hash: string }>(
        `select password_hash as hash from administrators where id = '${id}'`,
      );
      if (name.startsWith('another password')) assert.equal(row?.hash, hash, 'the new one stays');
    });
  }

  test('in German', async () => {
    const browser = t.browser({ language: 'de' });
    assert.equal((await browser.get(`${publicUrl}/admin/sign-in`)).title, 'Bei der Administration anmelden');
    const shown = await browser.submit({ email: '"><script>alert(1)</script>', password: 'x' });
    assert.match(shown.text, /Die Adresse oder das Passwort stimmt nicht/);
    assert.ok(!shown.html.includes('<script>alert'));
  });
});

describe('where somebody is led after signing in', () => {
  for (const [to, led] of [
    ['/admin', '/admin'],
    ['/admin/audit?noun=key', '/admin/audit?noun=key'],
    ['/admin?x=1', '/admin?x=1'],
    ['', '/admin'],
    [undefined, '/admin'],
    ['https://evil.example/admin', '/admin'],
    ['//evil.example/admin', '/admin'],
    ['/admin//evil.example', '/admin'],
    ['/\\evil.example', '/admin'],
    ['/admin\\@evil.example', '/admin'],
    ['/admin/../connect/x', '/admin'],
    ['/administrator', '/admin'],
    ['/admin/%2e%2e/connect/x', '/admin'],
    ['/admin/\t/evil.example', '/admin'],
    ['javascript:alert(1)', '/admin'],
    ['/admin/sign-out', '/admin'],
    ['/connect/x', '/admin'],
  ] as const) {
    test(`open redirect: ${to}`, () => assert.equal(ownPath(to), led));
  }
});
