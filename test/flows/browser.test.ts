import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { startTestGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

const quietly = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];

describe('C1: the connect page in a real browser', () => {
  let gateway: TestGateway;
  let browser: Browser;

  before(async () => {
    gateway = await startTestGateway(await useServers(), {
      database: 'pglite',
      environment: { TWOWAY_SANDBOX: 'on', TWOWAY_SANDBOX_PORT: '0' },
    });
    await gateway.must('PUT', '/v1/sub-accounts/acme', { name: 'Acme <script>alert(1)</script>' });
    await gateway.must('PUT', '/v1/users/ada', { name: 'Ada', email: 'ada@crm.example' });
    await gateway.must('PUT', '/v1/sub-accounts/acme/users/ada');
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: [...quietly, '--disable-background-networking', '--disable-component-update'],
    });
  });
  after(async () => {
    await browser.close();
    await gateway.remove();
  });

  /** Opens a new link, without JavaScript, and keeps what the browser complains of and asks for. */
  const open = async (): Promise<{ page: Page; complaints: string[]; origins: Set<string> }> => {
    const link = await gateway.must<{ url: string }>(
      'POST',
      '/v1/sub-accounts/acme/users/ada/connection-links',
      {
        provider: 'sandbox',
      },
    );
    const context = await browser.newContext({
      javaScriptEnabled: false,
      viewport: { width: 390, height: 800 },
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    const origins = new Set<string>();
    page.on('console', (message) => complaints.push(message.text()));
    page.on('request', (request) => origins.add(new URL(request.url()).hostname));
    await page.goto(link.url);
    return { page, complaints, origins };
  };

  test('refused: says so, and nothing is connected', async () => {
    const { page } = await open();
    await page.getByRole('button', { name: /Sandbox/ }).click();
    await page.getByRole('button', { name: /Refuse/ }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal((await gateway.call('GET', '/v1/sub-accounts/acme/users/ada/connection')).status, 404);
    assert.match(page.url(), /\/connect\//);
    await page.context().close();
  });

  test('allowed: the mailbox is live, no script ran, no other origin was asked, nothing is wider than a phone', async () => {
    const { page, complaints, origins } = await open();
    assert.match(await page.content(), /Acme &lt;script&gt;/, 'what the CRM named is text');
    await page.getByRole('button', { name: /Sandbox/ }).click();
    await page.getByRole('button', { name: /Allow/ }).click();
    await page.getByText('ada@sandbox.example').first().waitFor();
    await waitFor('the connection to be live', async () => {
      const { body } = await gateway.call('GET', '/v1/sub-accounts/acme/users/ada/connection');
      return body['state'] === 'live';
    });
    assert.deepEqual(complaints, [], 'no complaint of the content-security policy');
    assert.deepEqual([...origins], ['127.0.0.1']);
    const body = await page.locator('body').boundingBox();
    assert.ok(body !== null && body.width <= 390, 'the page fits a phone');
    await page.context().close();
  });
});
