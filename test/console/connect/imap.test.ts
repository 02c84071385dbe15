import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findConnection } from '../../../src/store/connections.ts';
import type { Discover, Found } from '../../../src/mailbox/discovery.ts';
import { startScriptPeer, type ScriptPeer } from '../../support/script-peer.ts';
import { startPages, type PagesUnderTest, type Shown } from '../pages.ts';

const imapScript = `capabilities: IMAP4rev1 AUTH=PLAIN SASL-IR
refusal:
  S: $tag NO [AUTHENTICATIONFAILED] Wrong password
`;
const smtpScript = `protocol: smtp
ehlo: mail.company.example
ehlo: AUTH PLAIN
refusal:
  S: 535 5.7.8 Wrong password
`;

const script = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`;

const found: Found = {
  by: 'autoconfig',
  label: 'Their host',
  servers: {
    imap: { host: 'imap.company.example', port: 993, security: 'tls' },
    smtp: { host: 'smtp.company.example', port: 465, security: 'tls' },
  },
  user: 'ann-at-home',
  hint: 'imap_off',
  provider: null,
};

function serversIn(fields: Record<string, string>): Found['servers'] {
  const server = (name: string) => ({
    host: fields[`${name}_host`] ?? '',
    port: Number(fields[`${name}_port`]),
    security: 'none' as const,
  });
  return { imap: server('imap'), smtp: server('smtp') };
}

describe('C3: another mail host, by page', () => {
  let t: PagesUnderTest;
  let discover: Discover;
  const peers: ScriptPeer[] = [];
  const ann = { subAccountId: 's1', userId: 'ann' };

  before(async () => {
    t = await startPages({ discover: (address) => discover(address) });
    await t.member('s1', 'ann');
  });
  after(() => t.close());
  afterEach(async () => {
    await t.connecting.disconnect({ userId: 'ann' });
    await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  });

  async function host(smtpTokens = ['pw-right']): Promise<Record<string, string>> {
    const [imap, smtp] = [
      await startScriptPeer(imapScript, { tokens: ['pw-right'] }),
      await startScriptPeer(smtpScript, { tokens: smtpTokens }),
    ];
    peers.push(imap, smtp);
    return {
      address: 'ann@company.example',
      password: 'pw-right',
      user: '',
      imap_host: '127.0.0.1',
      imap_port: String(imap.port),
      imap_security: 'none',
      smtp_host: '127.0.0.1',
      smtp_port: String(smtp.port),
      smtp_security: 'none',
    };
  }
  const value = (page: Shown, name: string) =>
    new RegExp(`<input[^>]*name="${name}"[^>]*>`).exec(page.html)?.[0] ?? '';

  test('a login that is proven connects; the way back is offered and taken', async () => {
    const link = await t.link({ provider: 'imap', returnUrl: 'https://crm.example/mail' });
    const browser = t.browser();
    const form = await browser.get(link);
    assert.equal(form.title, 'Connect another mail host');
    const cancel = 'https://crm.example/mail?state=cancelled';
    assert.match(form.html, new RegExp(`href="${cancel.replace('?', '\\?')}"`));
    assert.match(form.text, /Cancel and go back to\s+crm\.example/);
    const page = await browser.finish(await browser.submit(await host()));
    assert.deepEqual([page.status, page.title], [200, 'Your mailbox is connected'], page.text);
    const connection = await findConnection(t.db, ann);
    const back = `https://crm.example/mail?connection=${connection?.id}&amp;state=connected`;
    assert(page.html.includes(`<meta http-equiv="refresh" content="2; url=${back}"`), page.html);
    assert(page.html.includes(`href="${back}"`));
    const token = /name="form_token" value="([^"]*)"/.exec(form.html)?.[1] ?? '';
    const again = { ...(await host()), form_token: token };
    const reloaded = await browser.post(`${link}/imap`, again, { 'sec-fetch-site': 'same-origin' });
    assert.deepEqual([reloaded.status, reloaded.title], [200, 'Your mailbox is connected']);
    assert(reloaded.html.includes(`href="${back}"`));
    assert.equal((await t.browser().get(link)).title, 'This link has been used');
    assert.deepEqual(await t.sql('select login, address, credential_kind from mailboxes'), [
      { login: 'ann@company.example', address: 'ann@company.example', credential_kind: 'password' },
    ]);
    assert.doesNotMatch(t.logged.join(), /pw-|company/);
  });

  test('settings are found from the address, shown with what they were found by, and tried when the person says so', async () => {
    const fields = await host();
    const asked: string[] = [];
    discover = (address) => {
      asked.push(address);
      return Promise.resolve({ ...found, servers: serversIn(fields), label: script });
    };
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap`);
    const first = await browser.submit({ address: 'ann@company.example', password: 'pw-right' });
    assert.deepEqual([first.status, first.title], [200, 'Connect another mail host'], first.text);
    assert.deepEqual(asked, ['ann@company.example']);
    assert.match(first.text, /Settings that company\.example publishes itself, for mail programs/);
    assert.match(first.text, /allow IMAP in the settings of your mailbox/);
    assert.match(value(first, 'imap_port'), new RegExp(`value="${fields['imap_port']}"`));
    assert.match(value(first, 'user'), /value="ann-at-home"/);
    assert.doesNotMatch(first.html, /pw-right|<(script(?! src="\/assets\/)|img)/);
    assert.match(first.html, /<details>/, 'found, so that nobody has to look at all of it');
    assert.equal(
      peers.flatMap((peer) => peer.sent('*')).length,
      0,
      'nothing is tried before the person says so',
    );
    // Without the password being typed again.
    const done = await browser.finish(await browser.submit({ ...fields, password: '', user: '' }));
    assert.deepEqual([done.status, done.title], [200, 'Your mailbox is connected'], done.text);
  });

  test('a guess says that it is one, and shows every field', async () => {
    discover = () => Promise.resolve({ ...found, by: 'guess', label: null, hint: null });
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap`);
    const page = await browser.submit({ address: 'ann@company.example', password: 'pw' });
    assert.match(page.text, /No settings were found for company\.example\. These are a guess/);
    assert.match(page.html, /<details open/);
  });

  test('who knows the servers goes there at once; what is no address is said before anything is looked for', async () => {
    discover = () => assert.fail('nothing is looked for');
    const browser = t.browser();
    const link = await t.link();
    const hand = await browser.get(`${link}/imap?by=hand`);
    assert.match(value(hand, 'imap_port'), /value="993"/);
    await browser.get(`${link}/imap`);
    const page = await browser.submit({ address: 'ann', password: '' });
    assert.equal(page.status, 422);
    const wrong = [...page.html.matchAll(/id="(\w+)-wrong"/g)].map(([, name]) => name);
    assert.deepEqual(wrong, ['address', 'password']);
    assert.match(value(page, 'address'), /value="ann"/);
  });

  for (const [name, provider, more, expected] of [
    ['Gmail', 'gmail', {}, /This mailbox is at Gmail.*Continue to Gmail.*Use a password all the same/],
    [
      'Outlook',
      'outlook',
      { servers: null },
      /This mailbox is at Outlook.*Continue to Outlook(?!.*Use a password)/,
    ],
  ] as const) {
    test(`an address at ${name} leads to its consent`, async () => {
      discover = () => Promise.resolve({ ...found, provider, ...more });
      const browser = t.browser();
      await browser.get(`${await t.link()}/imap`);
      const page = await browser.submit({ address: 'ann@company.example', password: 'pw' });
      assert.match(page.text, expected);
      assert.match(page.html, new RegExp(`<button name="provider" value="${provider}"`));
    });
  }

  test('where the link is for passwords alone, an address at Outlook is told that there is no way in', async () => {
    discover = () =>
      Promise.resolve({
        ...found,
        provider: 'outlook',
        servers: null,
        label: 'Outlook',
        hint: 'no_password',
      });
    const browser = t.browser();
    await browser.get(await t.link({ provider: 'imap' }));
    const page = await browser.submit({ address: 'ann@hotmail.com', password: 'pw' });
    assert.match(page.text, /Outlook offers no way in.*Outlook takes no passwords from other programs/);
    assert.doesNotMatch(page.html, /name="kept"/);
  });

  test('a kept password is of this link alone', async () => {
    const fields = await host();
    discover = () => Promise.resolve({ ...found, servers: serversIn(fields) });
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap`);
    const page = await browser.submit({ address: 'ann@company.example', password: 'pw-right' });
    const kept = /name="kept" value="([^"]+)"/.exec(page.html)?.[1] ?? assert.fail();
    for (const wrong of [kept, `${kept}A`, 'v1.x.y.z', '']) {
      await browser.get(`${await t.link()}/imap?by=hand`);
      const other = await browser.submit({ ...fields, password: '', kept: wrong });
      assert.equal(other.status, 422);
      assert.match(other.html, /id="password-wrong"/);
    }
    assert.equal(peers.flatMap((peer) => peer.sent('*')).length, 0);
  });

  test('a failure is told step by step: what worked, what did not, what was not tried', async () => {
    const steps = (page: Shown) =>
      [...page.html.matchAll(/<li class="(done|failed|not_reached)">([^<]+) /g)].map(
        ([, state, step]) => `${step}: ${state}`,
      );
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap?by=hand`);
    const atSmtp = await browser.submit(await host(['other']));
    const all = ['Server found', 'Connected', 'Server answers', 'Signed in'];
    const told = (...states: string[]) => states.map((state, n) => `${all[n % 4]}: ${state}`);
    assert.deepEqual(steps(atSmtp), told('done', 'done', 'done', 'done', 'done', 'done', 'done', 'failed'));
    assert.doesNotMatch(atSmtp.html, /name="kept"/, 'one that was refused is typed again');
    const atImap = await browser.submit({ ...(await host()), imap_port: '1' });
    const rest = Array.from({ length: 6 }, () => 'not_reached');
    assert.deepEqual(steps(atImap), told('done', 'failed', ...rest));
    assert.match(atImap.html, /name="kept" value="v1\./, 'nothing is wrong with the password');
    const corrected = await browser.finish(await browser.submit({ ...(await host()), password: '' }));
    assert.equal(corrected.title, 'Your mailbox is connected');
  });

  test('in German', async () => {
    discover = () => Promise.resolve(found);
    const browser = t.browser({ language: 'de' });
    await browser.get(`${await t.link()}/imap`);
    const page = await browser.submit({ address: 'ann@company.example', password: 'pw' });
    assert.match(page.text, /Einstellungen, die company\.example selbst für Mailprogramme veröffentlicht/);
  });

  test('what was typed stays, the password does not, and the failing step is named', async () => {
    const fields = { ...(await host()), user: 'ann.the.user', password: 'pw-wrong' } as Record<
      string,
      string
    >;
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap?by=hand`);
    const page = await browser.submit(fields);
    assert.equal(page.status, 422);
    assert.match(page.text, /The incoming server \(IMAP\) refused the login/);
    assert.match(page.html, /role="alert"/);
    assert.match(value(page, 'address'), /value="ann@company\.example"/);
    assert.match(value(page, 'user'), /value="ann\.the\.user"/);
    assert.match(value(page, 'imap_port'), new RegExp(`value="${fields['imap_port']}"`));
    assert.match(page.html, /<option value="none" selected/);
    assert.doesNotMatch(page.html, /pw-/);
    assert.deepEqual(await t.sql('select 1 from connections where ended_at is null'), []);
    assert.equal(
      (await browser.finish(await browser.submit({ ...fields, password: 'pw-right' }))).title,
      'Your mailbox is connected',
    );
  });

  for (const [name, change, words] of [
    ['SMTP refuses', { smtp: 'other' }, /the outgoing server \(SMTP\) refused it/],
    ['IMAP is not there', { imap_port: '1' }, /incoming server \(IMAP\) gave no usable answer/],
    ['SMTP is not there', { smtp_port: '1' }, /outgoing server \(SMTP\) gave no usable answer/],
    [
      'IMAP offers no STARTTLS',
      { imap_security: 'starttls' },
      /incoming server \(IMAP\) does not speak this kind of encryption/,
    ],
    [
      'IMAP is in a private network',
      { imap_host: '192.168.1.1' },
      /incoming server \(IMAP\) is in a private network/,
    ],
    [
      'SMTP is in a private network',
      { smtp_host: '10.0.0.1' },
      /outgoing server \(SMTP\) is in a private network/,
    ],
  ] as const) {
    test(`says that ${name}`, async () => {
      const browser = t.browser();
      await browser.get(`${await t.link()}/imap`);
      const page = await browser.submit({
        ...(await host('smtp' in change ? ['other'] : undefined)),
        ...change,
      });
      assert.equal(page.status, 422);
      assert.match(page.text, words);
    });
  }

  test('fields that are not valid are named at once, each beside its field', async () => {
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap`);
    const page = await browser.submit({
      address: 'ann',
      imap_host: 'a b',
      imap_port: '99999',
      smtp_security: 'ssl',
    });
    assert.equal(page.status, 422);
    const wrong = [...page.html.matchAll(/id="(\w+)-wrong"/g)].map(([, name]) => name);
    assert.deepEqual(wrong, ['address', 'password', 'imap_host', 'imap_port', 'smtp_host', 'smtp_port']);
    assert.match(value(page, 'address'), /aria-invalid="true"/);
    assert.match(value(page, 'address'), /aria-describedby="address-wrong"/);
    assert(page.html.includes('<a href="#imap_host">'));
    const summary = [...page.html.matchAll(/<li><a href="#\w+">([^<]+)<\/a>/g)].map(([, text]) => text);
    assert.deepEqual(summary, [
      'E-mail address: This is no e-mail address.',
      'Password: The password is missing.',
      'Incoming mail (IMAP) – Server: The name of the server is missing or is none.',
      'Incoming mail (IMAP) – Port: A port is a number from 1 to 65535.',
      'Incoming mail (IMAP) – Encryption: Choose one of the three.',
      'Outgoing mail (SMTP) – Server: The name of the server is missing or is none.',
      'Outgoing mail (SMTP) – Port: A port is a number from 1 to 65535.',
      'Outgoing mail (SMTP) – Encryption: Choose one of the three.',
    ]);
  });

  test('a reconnect finds its servers filled in', async () => {
    const fields = await host();
    const browser = t.browser();
    await browser.get(await t.link({ provider: 'imap' }));
    await browser.finish(await browser.submit(fields));
    const page = await browser.get(await t.link({ provider: 'imap' }));
    assert.match(value(page, 'address'), /value="ann@company\.example"/);
    assert.match(value(page, 'smtp_port'), new RegExp(`value="${fields['smtp_port']}"`));
    assert.match(value(page, 'password'), /value=""/);
    const other = await browser.submit({ ...fields, address: 'ann@home.example' });
    assert.deepEqual([other.status, other.title], [409, 'That is another account']);
  });
});
