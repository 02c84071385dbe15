import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createIdentityProvider } from '../../../src/console/admin/identity-provider.ts';
import { startOpenId } from '../../support/openid.ts';
import type { OpenIdPerson, OpenIdProvider } from '../../support/openid.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { Browser, PagesUnderTest, Shown } from '../pages.ts';
import { addAnn } from './people.ts';

const ann: OpenIdPerson = { sub: 'ann-1', email: 'Ann@operator.example', email_verified: true };

describe('signing in to the administration, by an OpenID Connect provider', () => {
  let openId: OpenIdProvider;
  let t: PagesUnderTest;
  before(async () => {
    openId = await startOpenId();
    const { issuer, clientId, clientSecret } = openId;
    const administrators = ['ann@operator.example', 'ben@operator.example', 'cat@operator.example'];
    t = await startPages({ operator: { identity: { issuer, clientId, clientSecret, administrators } } });
  });
  after(async () => {
    await t.close();
    await openId.stop();
  });
  beforeEach(async () => {
    openId.next = { person: ann, claims: {}, tokenStatus: 200, isForged: false };
    await t.sql('delete from sign_in_tries');
  });

  /** Where the provider sends the browser back to. */
  const ask = async (browser: Browser, to = ''): Promise<string> => {
    const sent = await browser.get(`${publicUrl}/admin/sign-in/identity${to}`);
    assert.equal(sent.status, 303);
    const response = await fetch(sent.location ?? '', { redirect: 'manual' });
    return response.headers.get('location') ?? assert.fail(await response.text());
  };
  const signIn = async (browser: Browser, to = ''): Promise<Shown> => browser.get(await ask(browser, to));

  test('makes an administrator, in a new session, and leads to where they wanted to go', async () => {
    const browser = t.browser();
    const page = await browser.get(`${publicUrl}/admin/sign-in?to=/admin/audit`);
    assert.match(page.text, /Sign in with 127\.0\.0\.1:\d+/);
    assert.ok(page.html.includes('href="/admin/sign-in/identity?to=%2Fadmin%2Faudit"'));
    const done = await signIn(browser, '?to=%2Fadmin%2Faudit');
    assert.deepEqual([done.status, done.location], [303, '/admin/audit']);
    assert.match(
      (await browser.get(`${publicUrl}/admin/audit`)).text,
      /Ann@operator\.example Signed in how: identity/,
    );
    await signIn(t.browser());
    const rows = await t.sql('select password_hash, subject from administrators');
    assert.deepEqual(rows, [{ password_hash: null, subject: `${openId.issuer} ann-1` }]);
    const account = await browser.get(`${publicUrl}/admin/account`);
    assert.match(account.text, /your organisation’s sign-in provider/);
    assert.equal((await browser.get(`${publicUrl}/admin/account/second-factor`)).location, '/admin/account');
  });

  test('asks with PKCE, state and nonce, and for the address alone', async () => {
    const { location } = await t.browser().get(`${publicUrl}/admin/sign-in/identity`);
    const query = new URL(location ?? '').searchParams;
    assert.equal(query.get('code_challenge_method'), 'S256');
    assert.equal(query.get('scope'), 'openid email');
    assert.equal(query.get('redirect_uri'), `${publicUrl}/admin/sign-in/callback`);
    for (const name of ['state', 'nonce', 'code_challenge'])
      assert.ok((query.get(name) ?? '').length >= 43, name);
  });

  test('an administrator by password of the same address is the same', async () => {
    const ben = await addAnn(t.db, 'ben@operator.example');
    openId.next.person = { sub: 'ben-1', email: 'ben@operator.example', email_verified: true };
    assert.equal((await signIn(t.browser())).status, 303);
    const [row] = await t.sql<{ id: string }>(`select id from administrators where subject like '% ben-1'`);
    assert.equal(row?.id, ben.id);
    assert.equal((await signIn(t.browser())).status, 303);
    const written = await t.sql<{ line: string }>(
      `select action || ' ' || coalesce(subject, '') || ' ' || coalesce(details ->> 'how', '') as line from audit
        where administrator_id = '${ben.id}' order by id`,
    );
    assert.deepEqual(
      written.map(({ line }) => line),
      [
        'administrator.identity_added ben@operator.example ',
        'sign_in.succeeded  identity',
        'sign_in.succeeded  identity',
      ],
      'that the account has another way in is written down, once',
    );
  });

  for (const [name, change, status, words] of [
    ['who cancels there', { person: null }, 403, /was asked, and said no/],
    ['a wrong audience', { claims: { aud: 'another-client' } }, 400, /not meant for this gateway/],
    ['a wrong issuer', { claims: { iss: 'https://evil.example' } }, 400, /not meant for this gateway/],
    ['a wrong nonce', { claims: { nonce: 'another' } }, 400, /not meant for this gateway/],
    ['a forged signature', { isForged: true }, 400, /not meant for this gateway/],
    ['a token that has run out', { claims: { exp: 1 } }, 400, /not meant for this gateway/],
    [
      'an address that is not verified',
      { claims: { email_verified: false } },
      403,
      /no address of yours that it has verified/,
    ],
    [
      'an address of which nobody says that it is verified',
      { claims: { email_verified: undefined } },
      403,
      /verified/,
    ],
    ['verified in words', { claims: { email_verified: 'true' } }, 403, /verified/],
    ['no address', { claims: { email: undefined } }, 403, /verified/],
    [
      'whoever is not allowed',
      { claims: { sub: 'eve', email: 'eve@operator.example' } },
      403,
      /not among those who may administer/,
    ],
    [
      'another account with the address of one who signed in',
      { claims: { sub: 'ann-2' } },
      403,
      /another account of the sign-in provider/,
    ],
    ['a provider that fails', { tokenStatus: 503 }, 502, /no usable answer/],
  ] as const) {
    test(`lets nobody in: ${name}`, async () => {
      await t.sql(
        `insert into administrators (id, email, canonical, subject) values ('adm_ann', 'Ann@operator.example', 'ann@operator.example', '${openId.issuer} ann-1')
         on conflict do nothing`,
      );
      const before = await t.sql('select id from administrators');
      Object.assign(openId.next, change);
      const browser = t.browser();
      const shown = await signIn(browser);
      assert.deepEqual([shown.status, words.test(shown.text)], [status, true], shown.text);
      assert.match(shown.text, /Try again/);
      assert.equal((await browser.get(`${publicUrl}/admin`)).status, 303);
      assert.equal((await t.sql('select id from administrators')).length, before.length);
    });
  }

  test('an answer counts once, in the browser that asked, and with its own state', async () => {
    const browser = t.browser();
    const back = await ask(browser);
    const elsewhere = await t.browser().get(back);
    assert.deepEqual([elsewhere.status, elsewhere.title], [400, 'Please begin once more']);
    const other = new URL(back);
    other.searchParams.set('state', 'another');
    assert.equal((await browser.get(other.href)).status, 400);
    // That used the kept question up.
    assert.equal((await browser.get(back)).title, 'Please begin once more');

    const again = await ask(browser);
    assert.equal((await browser.get(again)).status, 303);
    assert.equal((await browser.get(again)).title, 'Please begin once more', 'replayed');
    const [{ n } = { n: 0 }] = await t.sql<{ n: number }>(
      `select count(*)::int as n from audit where action = 'sign_in.refused'`,
    );
    assert.ok(n > 0, 'who was refused is in the audit log');
  });

  test('a kept question whose cookie was changed is none', async () => {
    const browser = t.browser();
    const back = await ask(browser);
    const shown = await t.app.request(back, {
      headers: { cookie: 'twoway-sign-in-identity=v1.00000000.AAAA.AAAA' },
    });
    assert.equal(shown.status, 400);
  });
});

test('a provider that is away is asked once by all who ask at the same moment, and again later', async () => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(503).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const identity = {
      issuer: `http://127.0.0.1:${port}`,
      clientId: 'x',
      clientSecret: 'x',
      administrators: [],
    };
    const provider = createIdentityProvider(identity, () => 0);
    const ask = () => provider.ask(`${publicUrl}/admin/sign-in/callback`);
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    assert.ok(answers.every((answer) => 'problem' in answer && answer.problem === 'unreachable'));
    assert.equal(asked, 1);
    await ask();
    assert.equal(asked, 2);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('where no provider is configured, there is no way by one, and one that is away says so', async () => {
  const t = await startPages();
  try {
    assert.equal((await t.browser().get(`${publicUrl}/admin/sign-in/identity`)).status, 404);
    assert.doesNotMatch((await t.browser().get(`${publicUrl}/admin/sign-in`)).text, /Sign in with/);
  } finally {
    await t.close();
  }
  const identity = { issuer: 'http://127.0.0.1:9', clientId: 'x', clientSecret: 'x', administrators: [] };
  const away = await startPages({ operator: { identity } });
  try {
    const shown = await away.browser({ language: 'de' }).get(`${publicUrl}/admin/sign-in/identity`);
    assert.deepEqual([shown.status, shown.title], [502, 'Der Anmeldedienst ist nicht erreichbar']);
  } finally {
    await away.close();
  }
});
