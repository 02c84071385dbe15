import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer } from 'node:tls';
import { createHash, randomBytes } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { startHttpServer } from '../../../src/api/server.ts';
import type { HttpServer } from '../../../src/api/server.ts';
import { insertMailboxLink } from '../../../src/store/mailbox-links.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { openChromium, openPage } from '../../support/chromium.ts';
import { startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';

/** A page of the CRM, of another site than the gateway, that shows a link in a frame. */
const crmPage = `<!doctype html><title>CRM</title><link rel="icon" href="data:,"><h1>The CRM</h1><script>
  const src = new URLSearchParams(location.search).get('link');
  if (src) document.body.append(Object.assign(document.createElement('iframe'), { src, width: 700, height: 700 }));
</script>`;

describe('a person’s own pages in a frame of the CRM, by TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'twoway-frame-'));
  let t: PagesUnderTest;
  let http: HttpServer;
  let tls: TlsServer;
  let crm: Server;
  let browser: Browser;
  let [url, crmUrl] = ['', ''];

  before(async () => {
    const { certificatePath, keyPath } = await makeCertificates(directory, ['127.0.0.1']);
    crm = createServer((_, response) => response.setHeader('content-type', 'text/html').end(crmPage));
    crm.listen(0, '127.0.0.1');
    await once(crm, 'listening');
    crmUrl = `http://localhost:${(crm.address() as AddressInfo).port}`;
    t = await startPages({ servedAt: () => url, crmOrigins: [crmUrl] });
    await t.member('s1', 'ann');
    const { app } = t;
    http = await startHttpServer({ app, host: '127.0.0.1', port: 0 });
    const port = Number(new URL(http.url).port);
    tls = createTlsServer({ cert: readFileSync(certificatePath), key: readFileSync(keyPath) }, (socket) => {
      const inner = connect(port, '127.0.0.1');
      pipeline(socket, inner, () => inner.destroy());
      pipeline(inner, socket, () => socket.destroy());
    });
    tls.listen(0, '127.0.0.1');
    await once(tls, 'listening');
    url = `https://127.0.0.1:${(tls.address() as AddressInfo).port}`;
    browser = await openChromium();
  });
  after(async () => {
    await browser.close();
    tls.close();
    await http.stop();
    crm.close();
    await t.close();
    rmSync(directory, { recursive: true });
  });

  test('the link opens them, a form works, and signing out stays in the frame, beside the CRM', async () => {
    const token = randomBytes(32).toString('base64url');
    await insertMailboxLink(t.db, {
      subAccountId: 's1',
      userId: 'ann',
      returnUrl: `${crmUrl}/people`,
      lifeMs: 60_000,
      tokenHash: createHash('sha256').update(token).digest(),
    });
    const { page, complaints } = await openPage(browser, { ignoreHTTPSErrors: true });
    await page.goto(`${crmUrl}/?link=${encodeURIComponent(`${url}/mailbox/${token}`)}`);
    const frame = page.frameLocator('iframe');
    await frame.getByText('No mailbox is connected yet.').waitFor();
    await frame.getByRole('link', { name: 'Never log' }).click();
    await frame.getByLabel('Address, or @ and a domain').fill('bank@bank.example');
    await frame.getByRole('button', { name: 'Add' }).click();
    await frame.getByText('Nothing of theirs was stored before.').waitFor();
    const [cookie] = await page.context().cookies(url);
    assert.deepEqual([cookie?.name, cookie?.sameSite], ['__Host-twoway-mailbox', 'None']);
    await frame.getByRole('button', { name: 'Sign out' }).click();
    await frame.getByRole('heading', { name: 'You are signed out' }).waitFor();
    assert.equal(await frame.getByText('The CRM').count(), 0, 'no CRM inside the CRM');
    assert.deepEqual(complaints, []);
    // Framing is the CRM's alone: its cookie is of no use where the pages are opened by themselves.
    await page.goto(`${url}/mailbox`);
    await page.getByRole('heading', { name: 'Your session is over' }).waitFor();
  });
});
