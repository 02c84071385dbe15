import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startHttpServer } from '../../../src/api/server.ts';
import type { HttpServer } from '../../../src/api/server.ts';
import { countDecisions } from '../../../src/store/decision-counts.ts';
import { run } from '../../../src/store/database.ts';
import { assertCopyGoodToRead, assertGoodToRead, openChromium, openPage } from '../../support/chromium.ts';
import type { WatchedPage } from '../../support/chromium.ts';
import { assertAllLookedAt } from '../looked-at.ts';
import { startReceiver } from '../../support/receiver.ts';
import type { Receiver } from '../../support/receiver.ts';
import { endSessions, openWorkingOffice } from './office.ts';
import type { WorkingOffice } from './office.ts';

const evil = '<img src=x onerror="document.title=\'taken\'"> "Offer" & more';
const offer = {
  from: 'Ann <ann@mail.example>',
  to: 'x@other.example',
  subject: evil,
  proof: 'unproven',
} as const;

describe('the administrators’ work in Chromium', () => {
  let t: WorkingOffice;
  let http: HttpServer;
  let chromium: Browser;
  let receiver: Receiver;
  before(async () => {
    t = await openWorkingOffice();
    http = await startHttpServer({ app: t.app, host: '127.0.0.1', port: 0 });
    chromium = await openChromium();
    receiver = await startReceiver();
  });
  after(async () => {
    await chromium.close();
    await http.stop();
    await receiver.stop();
    await t.close();
  });

  async function open(options: { scripts?: boolean; language?: string } = {}): Promise<WatchedPage> {
    const watched = await openPage(chromium, {
      javaScriptEnabled: options.scripts !== false,
      ...(options.language === undefined ? {} : { locale: options.language }),
    });
    const cookies = (await t.administrator()).cookies();
    await watched.page
      .context()
      .addCookies([...cookies].map(([name, value]) => ({ name, value, url: http.url })));
    return watched;
  }
  const go = (page: Page, path: string) => page.goto(`${http.url}${path}`);

  test('the overview, held mail, sends and webhooks, with scripts and kept up to date', async () => {
    const { page, complaints, origins } = await open();
    await go(page, '/admin');
    assert.match(await page.textContent('#needs').then(String), /Nothing needs you/);
    // What happens meanwhile shows by itself.
    await t.logMail(offer, { ...offer, subject: 'A second one' });
    await t.publish();
    await page.getByText('2 mails to logging addresses wait for your review').waitFor();
    assert.equal(await page.textContent('#count-held'), '2');
    await fillTheOffice(t, receiver);
    await t.publish();
    await page.getByText('One message was not sent').waitFor();
    await countDecisions(t.office.db);
    await page.reload();
    await assertGoodToRead(page, 'overview');

    await page.getByRole('link', { name: 'Held mail' }).click();
    await assertGoodToRead(page, 'held');
    await page.getByRole('link', { name: evil }).click();
    assert.equal(await page.title(), `${evil} · Administration`);
    await assertGoodToRead(page, 'held-one');
    await page.getByRole('button', { name: 'Release' }).click();
    await page.getByText('Released: it will be logged').waitFor();
    await page.getByLabel('Choose all').check();
    await page.getByRole('button', { name: 'Discard chosen' }).click();
    await assertGoodToRead(page, 'held-sure');
    await page.getByRole('button', { name: 'Discard one mail for good' }).click();
    await page.getByText('No mail waits for review').waitFor();
    assert.deepEqual(await t.fileAll(), ['stored logged']);

    await page.getByRole('link', { name: 'Sends' }).click();
    await assertGoodToRead(page, 'sends');
    await t.accept('One more');
    await t.publish();
    await page.getByText('One new entry.').waitFor();
    await page.getByRole('link', { name: 'Show', exact: true }).click();
    await page.getByRole('link', { name: 'One more' }).click();
    await page.getByText('Cancel …').click();
    await page.getByRole('button', { name: 'Cancel this message' }).click();
    await page.getByText('Cancelled. It will not be sent.').waitFor();
    await page.getByRole('link', { name: 'Sends' }).first().click();
    await page.getByLabel('State').selectOption('failed');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('link', { name: evil }).click();
    await assertGoodToRead(page, 'send-one');

    await workOnWebhooks(page);
    // Chromium says so of each form that is shown again with what is wrong in it.
    assert.deepEqual(complaints, [
      'Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)',
    ]);
    assert.deepEqual([...origins], [new URL(http.url).host]);
    await page.getByRole('link', { name: 'Overview' }).click();
    await endSessions(t);
    await t.accept('The last one');
    await t.publish();
    await page.getByText('Your session is over').waitFor();
  });

  async function workOnWebhooks(page: Page) {
    await page.getByRole('link', { name: 'Webhooks' }).first().click();
    await assertGoodToRead(page, 'webhooks');
    await page.getByRole('link', { name: 'New webhook' }).click();
    await page.getByLabel('Address').fill('http://10.0.0.1/hook');
    await page.getByRole('button', { name: 'Make webhook' }).click();
    await page.getByText('This is in a private network').waitFor();
    await assertGoodToRead(page, 'webhook-form');
    await page.getByLabel('Address').fill(receiver.url);
    await page.getByRole('button', { name: 'Make webhook' }).click();
    const secret = await page.getByText(/^whsec_/).textContent();
    receiver.trust(String(secret));
    await page.reload();
    assert.equal(await page.getByText(/^whsec_/).count(), 0, 'it is shown once');
    await page.getByRole('button', { name: 'Send a test' }).click();
    await page.getByText('The endpoint took the test event.').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('Paused. Nothing is delivered').waitFor();
    await page.getByRole('link', { name: 'Webhooks' }).first().click();
    await page.getByRole('link', { name: 'https://crm.example/hook' }).click();
    await assertGoodToRead(page, 'webhook-one');
    await page.getByRole('link', { name: 'Change' }).click();
    await page.getByRole('heading', { level: 1, name: 'Change' }).waitFor();
    await assertGoodToRead(page, 'webhook-change');
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Try all of them again' }).click();
    await page.getByText('It is delivered again now.').waitFor();
  }

  test('without scripts, in German: the same by plain links and forms', async () => {
    const { page, complaints } = await open({ scripts: false, language: 'de-DE' });
    await t.logMail({ ...offer, subject: 'Ein Angebot' });
    await go(page, '/admin');
    await page.getByText('Eine Mail an eine Ablageadresse wartet auf Ihre Prüfung').waitFor();
    await page.getByRole('link', { name: /^Ansehen: Eine Mail/ }).click();
    await page.getByRole('checkbox', { name: 'Ein Angebot auswählen' }).check();
    await page.getByRole('button', { name: 'Ausgewählte freigeben' }).click();
    await page.getByText('Freigegeben').waitFor();
    await assertCopyGoodToRead(page);
    assert.deepEqual(complaints, []);
  });

  test('every page of these was looked at', () =>
    assertAllLookedAt(/^\/admin(?:$|\/(?:held|sends|webhooks|live)\b)/));
});

/** Sends of each kind of end, and a webhook with deliveries of each state. */
async function fillTheOffice(t: WorkingOffice, receiver: Receiver): Promise<void> {
  const hook = await t.webhook();
  await t.send(await t.accept('Good morning'));
  await t.send(await t.accept(evil, 'nobody@customer.example'));
  await t.publish();
  await t.settle(hook, 'parked');
  await t.settle(hook, 'delivered');
  assert.notEqual(receiver.url, '');
  // Days that have passed.
  for (const [days, stored, skipped] of [
    [1, 120, 840],
    [2, 90, 610],
    [3, 140, 1_120],
    [4, 20, 130],
    [5, 35, 90],
  ])
    await run(
      t.office.db,
      `insert into decision_counts (hour, outcome, count)
       select date_bin('1 hour', now() - :days * interval '1 day', 'epoch'::timestamptz), o.outcome, o.count
         from (values ('stored', :stored::int), ('skipped', :skipped::int)) as o (outcome, count)`,
      { days, stored, skipped },
    );
}
