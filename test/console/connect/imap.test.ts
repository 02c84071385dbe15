import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findConnection } from '../../../src/store/connections.ts';
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

describe('C3: another mail host, by page', () => {
  let t: PagesUnderTest;
  const peers: ScriptPeer[] = [];
  const ann = { subAccountId: 's1', userId: 'ann' };

  before(async () => {
    t = await startPages();
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
    const token = /name="form" value="([^"]*)"/.exec(form.html)?.[1] ?? '';
    const again = { ...(await host()), form: token };
    const reloaded = await browser.post(`${link}/imap`, again, { 'sec-fetch-site': 'same-origin' });
    assert.deepEqual([reloaded.status, reloaded.title], [200, 'Your mailbox is connected']);
    assert(reloaded.html.includes(`href="${back}"`));
    assert.equal((await t.browser().get(link)).title, 'This link has been used');
    assert.deepEqual(await t.sql('select login, address, credential_kind from mailboxes'), [
      { login: 'ann@company.example', address: 'ann@company.example', credential_kind: 'password' },
    ]);
    assert.doesNotMatch(t.logged.join(), /pw-|company/);
  });

  test('what was typed stays, the password does not, and the failing step is named', async () => {
    const fields = { ...(await host()), user: 'ann.the.user', password: 'pw-wrong' } as Record<
      string,
      string
    >;
    const browser = t.browser();
    await browser.get(`${await t.link()}/imap`);
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
      'Incoming mail (IMAP), server: The name of the server is missing or is none.',
      'Incoming mail (IMAP), port: A port is a number from 1 to 65535.',
      'Incoming mail (IMAP), encryption: Choose one of the three.',
      'Outgoing mail (SMTP), server: The name of the server is missing or is none.',
      'Outgoing mail (SMTP), port: A port is a number from 1 to 65535.',
      'Outgoing mail (SMTP), encryption: Choose one of the three.',
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
