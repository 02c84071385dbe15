import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { assertCopyGoodToRead, assertGoodToRead, openChromium, openPage } from '../../support/chromium.ts';
import type { WatchedPage } from '../../support/chromium.ts';
import { assertAllLookedAt } from '../looked-at.ts';
import { startDns } from '../../support/dns.ts';
import type { TestDns } from '../../support/dns.ts';
import { startTestGateway } from '../../support/gateway.ts';
import type { TestGateway } from '../../support/gateway.ts';
import { identityClient } from '../../support/identity.ts';
import type { IdentityControl } from '../../support/identity.ts';
import { deliver, openMailbox, passwordOf } from '../../support/mail.ts';
import { useServers } from '../../support/shared-servers.ts';
import type { UsedServers } from '../../support/shared-servers.ts';
import { waitFor } from '../../support/wait.ts';

/** A page of a CRM: it opens a link in a pop-up, or shows it in a frame, and writes down what it hears. */
const crmPage =
  `<!doctype html><title>CRM</title><link rel="icon" href="data:,"><button id="open">Connect</button><pre id="heard"></pre><script>
  const link = new URLSearchParams(location.search).get('link');
  addEventListener('message', ({ origin, data }) => { heard.textContent += JSON.stringify({ origin, ...data }); });
  if (location.pathname === '/frame') document.body.append(Object.assign(document.createElement('iframe'), { src: link, width: 600, height: 800 }));
  open_.onclick = () => window.open(link, 'connect', 'width=600,height=800');
</script>`.replaceAll('open_', 'document.getElementById("open")');

describe('C1: the connect page in a real browser', () => {
  const domain = `browser-${process.pid}.test`;
  const ann = `ann@${domain}`;
  let servers: UsedServers;
  let identity: IdentityControl;
  let dns: TestDns;
  let gateway: TestGateway;
  let browser: Browser;
  const crms: Server[] = [];
  let [crm, stranger] = ['', ''];

  before(async () => {
    servers = await useServers();
    identity = identityClient(servers.identityUrl);
    dns = await startDns({ [`MX ${domain}`]: ['10 mx1.one.com'] });
    [crm, stranger] = [await serveCrm(), await serveCrm()];
    gateway = await startTestGateway(servers, {
      database: 'postgres',
      environment: {
        TWOWAY_SANDBOX: 'on',
        TWOWAY_SANDBOX_PORT: '0',
        TWOWAY_CRM_ORIGINS: crm,
        TWOWAY_DNS_SERVERS: dns.address,
      },
    });
    await gateway.must('PUT', '/v1/sub-accounts/acme', { name: 'Acme <script>alert(1)</script>' });
    await gateway.must('PUT', '/v1/sub-accounts/acme/contacts/carla', {
      name: '<img src=x onerror=alert(1)>Carla',
      emails: [`carla@customer-${domain}`],
    });
    const client = await openMailbox(servers, ann);
    for (const [from, subject] of [
      [`carla@customer-${domain}`, '<script>alert(1)</script> The offer'],
      [`mum@home-${domain}`, 'Sunday'],
    ] as const)
      await deliver(servers, { from, to: ann, subject, text: 'x' });
    await client.waitForMail('Sunday');
    await client.close();
    browser = await openChromium();
  });
  after(async () => {
    await browser.close();
    await gateway.remove();
    await dns.stop();
    for (const server of crms) server.close();
  });

  /** Under the name `localhost`, which is another site than the gateway's address. */
  async function serveCrm(): Promise<string> {
    const server = createServer((_, response) =>
      response.setHeader('content-type', 'text/html').end(crmPage),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    crms.push(server);
    return `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  let people = 0;
  /** A link for somebody new. */
  async function link(more: Record<string, unknown> = {}): Promise<{ url: string; path: string }> {
    people += 1;
    const path = `/v1/sub-accounts/acme/users/user${people}`;
    await gateway.must('PUT', `/v1/users/user${people}`, {
      name: `Ada ${people}`,
      email: `user${people}@crm.example`,
    });
    await gateway.must('PUT', path);
    return { url: await linkOf(path, more), path };
  }
  async function linkOf(path: string, more: Record<string, unknown> = {}): Promise<string> {
    const made = await gateway.must<{ url: string }>('POST', `${path}/connection-links`, more);
    return made.url;
  }
  const connection = async (path: string) => (await gateway.call('GET', `${path}/connection`)).body;
  const isLive = (path: string) =>
    waitFor('the connection to be live', async () => (await connection(path))['state'] === 'live');

  /** Signs in at the tests' provider. */
  async function signIn(page: Page, login: string): Promise<void> {
    await page.getByLabel('Account').fill(login);
    await page.getByRole('button', { name: 'Allow' }).click();
  }
  async function opened(url: string, options?: BrowserContextOptions): Promise<WatchedPage> {
    const watched = await openPage(browser, options);
    await watched.page.goto(url);
    return watched;
  }
  async function assertQuiet({ page, complaints, origins }: WatchedPage): Promise<void> {
    // A page that says what went wrong has a status that says so, too.
    const others = complaints.filter((text) => !/with a status of (?:409|422) /.test(text));
    assert.deepEqual(others, []);
    const known = [gateway.url, servers.identityUrl, crm, stranger].map((url) => new URL(url).host);
    assert.deepEqual(
      [...origins].filter((host) => !known.includes(host)),
      [],
    );
    await page.context().close();
  }
  const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name }).waitFor();

  test('consent with its refusals, the look at the last days, and the CRM hears of it from the pop-up', async () => {
    const { url, path } = await link();
    const watched = await opened(`${crm}/?link=${encodeURIComponent(url)}`);
    const popup = watched.page.waitForEvent('popup');
    await watched.page.getByRole('button', { name: 'Connect' }).click();
    const page = await popup;
    const complaints: string[] = [];
    page.on('console', (message) => void complaints.push(message.text()));
    page.on('pageerror', (error) => void complaints.push(String(error)));
    await heading(page, 'Connect your mailbox');
    await assertGoodToRead(page, 'connect-start');
    for (const [choice, provider, title] of [
      [{ outcome: 'refuse' }, 'Gmail', 'You did not allow access'],
      [{ outcome: 'allow', scopes: [] }, 'Gmail', 'A permission is missing'],
      [{ outcome: 'admin_consent_required' }, 'Outlook', 'Your administrator must allow this first'],
    ] as const) {
      await identity.setConsent(ann, 'scopes' in choice ? { outcome: 'allow', scopes: [] } : choice);
      await page.getByRole('button', { name: provider }).click();
      await signIn(page, ann);
      await heading(page, title);
      if (choice.outcome === 'admin_consent_required') await assertGoodToRead(page, 'connect-administrator');
      await page.getByRole('link', { name: 'Try again' }).click();
    }
    await page.getByRole('button', { name: 'Gmail' }).click();
    await signIn(page, ann);
    await heading(page, 'Connect this mailbox?');
    await page.getByText('1 message of 1 contact would be in the CRM. 1 other stays private.').waitFor();
    assert.match(
      await page.locator('.would-be').innerText(),
      /<img src=x onerror=alert\(1\)>Carla[^]*<script>alert\(1\)<\/script> The offer/,
    );
    assert.equal((await connection(path))['email'], null, 'nothing is connected before the last word');
    await assertGoodToRead(page, 'connect-confirm');
    const closed = page.waitForEvent('close');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await closed;
    await watched.page.getByText('twoway:connected').waitFor();
    const heard = JSON.parse(await watched.page.locator('#heard').innerText()) as Record<string, string>;
    const { id } = await connection(path);
    assert.deepEqual(heard, {
      origin: gateway.url,
      type: 'twoway:connected',
      connection: id,
      state: 'connected',
    });
    await isLive(path);
    assert.deepEqual(complaints, []);
    await assertQuiet(watched);

    const again = await opened(await linkOf(path));
    await again.page.getByRole('button', { name: 'Gmail' }).click();
    await signIn(again.page, `other-${ann}`);
    await heading(again.page, 'That is another account');
    await assertQuiet(again);

    const change = await opened(await linkOf(path, { replace: true }));
    await change.page.locator('.leaves', { hasText: ann }).waitFor();
    await assertGoodToRead(change.page, 'connect-replace');
    await change.page.getByRole('button', { name: 'Gmail' }).click();
    await signIn(change.page, `new@${domain}`);
    await heading(change.page, 'Connect this mailbox?');
    await change.page.getByRole('button', { name: 'Not now' }).click();
    await heading(change.page, 'Nothing was connected');
    assert.equal((await connection(path))['email'], ann);
    await assertQuiet(change);
  });

  test('a page of another origin opens it, and hears nothing; without an opener it goes back by return_url', async () => {
    const { url, path } = await link();
    const watched = await opened(`${stranger}/?link=${encodeURIComponent(url)}`);
    const popup = watched.page.waitForEvent('popup');
    await watched.page.getByRole('button', { name: 'Connect' }).click();
    const page = await popup;
    await page.getByRole('button', { name: 'Sandbox' }).click();
    await page.getByRole('button', { name: /Allow/ }).click();
    const closed = page.waitForEvent('close');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await closed;
    await isLive(path);
    assert.equal(await watched.page.locator('#heard').innerText(), '');
    await watched.page.context().close();

    const back = await link({ return_url: `${crm}/settings` });
    const tab = await opened(back.url);
    await tab.page.getByRole('button', { name: 'Sandbox' }).click();
    await tab.page.getByRole('button', { name: /Allow/ }).click();
    await tab.page.getByRole('button', { name: 'Connect', exact: true }).click();
    await tab.page.waitForURL((at) => at.pathname === '/settings');
    assert.equal(new URL(tab.page.url()).searchParams.get('connection'), (await connection(back.path))['id']);
    await tab.page.context().close();
  });

  test('in a frame of the CRM the consent opens beside it, and the frame tells the CRM; of another origin it is not shown', async () => {
    const { url, path } = await link();
    const watched = await opened(`${crm}/frame?link=${encodeURIComponent(url)}`);
    const frame = watched.page.frameLocator('iframe');
    await frame.getByText('opens in a window of its own').waitFor();
    const popup = watched.page.waitForEvent('popup');
    await frame.getByRole('button', { name: 'Gmail' }).click();
    const page = await popup;
    await signIn(page, `framed@${domain}`);
    await heading(page, 'Connect this mailbox?');
    const closed = page.waitForEvent('close');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await closed;
    await frame.getByRole('heading', { name: 'Your mailbox is connected' }).waitFor();
    await watched.page.getByText('twoway:connected').waitFor();
    assert.equal((await connection(path))['email'], `framed@${domain}`);
    await assertQuiet(watched);

    const foreign = await openPage(browser);
    await foreign.page.goto(`${stranger}/frame?link=${encodeURIComponent((await link()).url)}`);
    await waitFor('the browser to refuse the frame', () =>
      foreign.complaints.some((text) => text.includes('frame-ancestors')),
    );
    await foreign.page.context().close();
  });

  test('C3: another mail host: found, corrected where a step failed, connected', async () => {
    const { url, path } = await link({ provider: 'imap' });
    const watched = await opened(url);
    const { page } = watched;
    await assertGoodToRead(page, 'imap-address');
    await page.getByLabel('E-mail address').fill(ann);
    await page.getByLabel('Password').fill(passwordOf(ann));
    await page.getByRole('button', { name: 'Find the settings' }).click();
    await page.getByText(`goes to one.com`).waitFor();
    await assertGoodToRead(page, 'imap-found');
    await page.getByText('Servers and ports').click();
    const { dovecot, smtp } = servers;
    const [incoming, outgoing] = [page.locator('#imap'), page.locator('#smtp')];
    await incoming.getByLabel('Server').fill(dovecot.imap.full.host);
    await incoming.getByLabel('Port').fill(String(dovecot.imap.full.tlsPort));
    await outgoing.getByLabel('Server').fill(smtp.host);
    await outgoing.getByLabel('Port').fill('1');
    await outgoing.getByLabel('Encryption').selectOption('starttls');
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.locator('.steps .failed', { hasText: 'Connected' }).waitFor();
    await assertGoodToRead(page, 'imap-failed');
    await outgoing.getByLabel('Port').fill(String(smtp.submissionPort));
    await page.getByRole('button', { name: 'Connect' }).click();
    await heading(page, 'Connect this mailbox?');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await heading(page, 'Your mailbox is connected');
    await assertGoodToRead(page, 'connect-done');
    await isLive(path);
    await assertQuiet(watched);
  });

  test('without scripts: refused, then allowed, looked at, and connected', async () => {
    const { url, path } = await link({ provider: 'sandbox' });
    const watched = await opened(url, { javaScriptEnabled: false, viewport: { width: 390, height: 800 } });
    const { page } = watched;
    assert.match(await page.content(), /Acme &lt;script&gt;/, 'what the CRM named is text');
    await page.getByRole('button', { name: /Sandbox/ }).click();
    await page.getByRole('button', { name: /Refuse/ }).click();
    await heading(page, 'You did not allow access');
    assert.equal((await gateway.call('GET', `${path}/connection`)).status, 404);
    await page.getByRole('link', { name: 'Try again' }).click();
    await page.getByRole('button', { name: /Sandbox/ }).click();
    await page.getByRole('button', { name: /Allow/ }).click();
    await page.getByRole('link', { name: 'Look at the last 7 days' }).waitFor();
    await assertCopyGoodToRead(page);
    await page.getByRole('link', { name: 'Look at the last 7 days' }).click();
    await page.getByText('This was only a look').waitFor();
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await heading(page, 'Your mailbox is connected');
    await isLive(path);
    const body = await page.locator('body').boundingBox();
    assert.ok(body !== null && body.width <= 390, 'the page fits a phone');
    assert.deepEqual(watched.complaints, []);
    await page.context().close();
  });

  test('every page of these was looked at', () => assertAllLookedAt(/^\/connect\b/));
});
