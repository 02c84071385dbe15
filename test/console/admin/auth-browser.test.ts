import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startHttpServer } from '../../../src/api/server.ts';
import type { HttpServer } from '../../../src/api/server.ts';
import type { Examined } from '../../../src/console/admin/operator.ts';
import { readConfig, showSettings } from '../../../src/config.ts';
import { ok, problem, warning } from '../../../src/lib/finding.ts';
import { makeAdministratorLink } from '../../../src/store/administrator-links.ts';
import { assertGoodToRead, openChromium, openPage } from '../../support/chromium.ts';
import { assertAllLookedAt } from '../looked-at.ts';
import { startOpenId } from '../../support/openid.ts';
import type { OpenIdProvider } from '../../support/openid.ts';
import { startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';
import { appCode, goodPassword } from './people.ts';

const found: Examined[] = [
  { name: 'check_public_address', finding: ok({ say: 'as_set', value: 'https://gateway.example' }) },
  {
    name: 'check_mx_record',
    finding: problem(
      { say: 'mx_none', domain: 'log.crm.example' },
      { say: 'add_mx', domain: 'log.crm.example' },
    ),
  },
  {
    name: 'check_disk',
    finding: warning({ say: 'disk_free', free: '8 GB', folder: '/data' }, { say: 'make_room' }),
  },
];

describe('administrators in a browser', () => {
  let world: PagesUnderTest;
  let openId: OpenIdProvider;
  let server: HttpServer;
  let browser: Browser;
  before(async () => {
    [openId, browser] = await Promise.all([startOpenId(), openChromium()]);
    const { issuer, clientId, clientSecret } = openId;
    world = await startPages({
      servedAt: () => server.url,
      operator: {
        identity: { issuer, clientId, clientSecret, administrators: ['ben@operator.example'] },
        settings: showSettings(readConfig({})),
        loggingDomain: 'log.crm.example',
        examine: () => Promise.resolve(found),
      },
    });
    await world.member('acme', 'ann');
    const { app } = world;
    server = await startHttpServer({ app, host: '127.0.0.1', port: 0 });
  });
  after(async () => {
    await browser.close();
    await server.stop();
    await openId.stop();
    await world.close();
  });

  const heading = (page: Page) => page.locator('h1').textContent();

  test('from the first link to a second factor, keys, settings, set-up and the audit log', async () => {
    const { page, complaints, origins } = await openPage(browser);
    const path = await world.db.transaction((tx) => makeAdministratorLink(tx, null));
    await page.goto(`${server.url}${path}`);
    await assertGoodToRead(page, 'welcome');
    await page.getByLabel('E-mail address').fill('ann@operator.example');
    await page.getByLabel('New password').fill('password1234');
    await page.getByRole('button', { name: 'Set password and sign in' }).click();
    await page.getByText('among the passwords that are tried first').waitFor();
    await page.getByLabel('New password').fill(goodPassword);
    await page.getByRole('button', { name: 'Set password and sign in' }).click();
    await page.waitForURL('**/admin/account');
    await assertGoodToRead(page, 'account');

    await page.getByRole('link', { name: 'Turn on' }).click();
    const secret = (await page.locator('.copyable code').textContent()) ?? '';
    assert.ok(
      await page.evaluate(`document.querySelector('img.qr').naturalWidth > 0`),
      'the QR code is drawn',
    );
    await assertGoodToRead(page, 'second-factor');
    await page.getByLabel('Code that the app shows').fill(appCode(secret, -1));
    await page.getByLabel('Your present password').fill(goodPassword);
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    await assertGoodToRead(page, 'recovery-codes');
    await page.getByRole('link', { name: 'I have kept it' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();

    await page.goto(`${server.url}/admin/keys`);
    assert.equal(await heading(page), 'Sign in to the administration');
    await page.getByLabel('E-mail address').fill('ann@operator.example');
    await page.getByLabel('Password').fill('wrong horse ladder');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('alert').waitFor();
    await assertGoodToRead(page, 'sign-in');
    await page.getByLabel('Password').fill(goodPassword);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.waitForURL('**/admin/sign-in/code');
    await assertGoodToRead(page, 'code');
    await page.getByLabel('Code').fill(appCode(secret));
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.waitForURL('**/admin/keys');

    await page.getByLabel('What it is for').fill('CRM, production');
    await page.getByRole('button', { name: 'Make the key' }).click();
    await page.getByText('This is shown once').waitFor();
    await assertGoodToRead(page, 'key-made');
    await page.getByRole('link', { name: 'I have kept it' }).click();
    await page.getByText('Revoke', { exact: true }).click();
    await assertGoodToRead(page, 'keys');
    await page.getByRole('button', { name: 'Revoke the key' }).click();
    await page.getByText('There are no keys').waitFor();

    await page.getByRole('link', { name: 'Settings' }).click();
    await assertGoodToRead(page, 'sub-accounts');
    await page.getByRole('link', { name: 'acme' }).click();
    await page.getByLabel('Wherever the contact is').check();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved. It counts').waitFor();
    await assertGoodToRead(page, 'settings');
    await page.getByRole('link', { name: 'Configuration' }).click();
    await assertGoodToRead(page, 'configuration');

    await page.getByRole('link', { name: 'Set-up' }).click();
    await page.evaluate('window.same = true');
    await page.getByRole('button', { name: 'Look now' }).click();
    await page.getByText('There is one problem').waitFor();
    assert.ok(await page.evaluate('window.same'), 'in place, without another page');
    await assertGoodToRead(page, 'setup');

    await page.getByRole('link', { name: 'Administrators' }).click();
    await page.getByLabel('E-mail address').fill('cat@operator.example');
    await page.getByRole('button', { name: 'Make a link' }).click();
    await page.getByText('It works once, within a day').waitFor();
    await assertGoodToRead(page, 'link');
    await page.getByRole('link', { name: 'Back to the administrators' }).click();
    await page.locator('summary', { hasText: 'Remove' }).nth(1).click();
    await assertGoodToRead(page, 'administrators');

    await page.getByRole('link', { name: 'Audit log' }).click();
    await assertGoodToRead(page, 'audit');
    await page.getByLabel('What').selectOption('Keys');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('CRM, production').first().waitFor();
    assert.equal(await page.locator('tbody tr').count(), 2);

    // A wrong password and a weak one are answers of 401 and 422, which browsers mention.
    assert.deepEqual(
      complaints.filter((text) => !/status of (401|422)/.test(text)),
      [],
    );
    assert.deepEqual([...origins], [new URL(server.url).host]);
  });

  test('by a sign-in provider, without scripts', async () => {
    openId.next.person = { sub: 'ben', email: 'ben@operator.example', email_verified: true };
    const { page, complaints } = await openPage(browser, { javaScriptEnabled: false });
    await page.goto(`${server.url}/admin/setup`);
    await page.getByRole('link', { name: /Sign in with 127/ }).click();
    await page.waitForURL('**/admin/setup');
    await page.getByRole('button', { name: 'Look now' }).click();
    await page.getByText('There is one problem').waitFor();
    await page.getByRole('link', { name: 'Keys' }).click();
    await page.getByLabel('What it is for').fill('a script');
    await page.getByRole('button', { name: 'Make the key' }).click();
    await page.getByRole('link', { name: 'I have kept it' }).click();
    await page.getByText('Revoke', { exact: true }).click();
    await page.getByRole('button', { name: 'Revoke the key' }).click();
    assert.equal(await heading(page), 'Keys');
    await page.getByRole('button', { name: 'Sign out' }).click();
    assert.equal(await heading(page), 'Sign in to the administration');
    assert.deepEqual(complaints, []);
  });

  test('every page of these was looked at', () =>
    assertAllLookedAt(
      /^\/(?!$|connect\b|mailbox\b|assets\b|admin$|admin\/(?:held|sends|webhooks|live|connections|conversations|messages|why)\b)/,
    ));
});
