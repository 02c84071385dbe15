import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { openStory } from '../../flows/story.ts';
import type { Story } from '../../flows/story.ts';
import { assertCopyGoodToRead, assertGoodToRead, openChromium, openPage } from '../../support/chromium.ts';
import type { WatchedPage } from '../../support/chromium.ts';
import { assertAllLookedAt } from '../looked-at.ts';
import { deliver } from '../../support/mail.ts';
import { waitFor } from '../../support/wait.ts';

const dayMs = 24 * 3_600_000;

describe('a person’s own pages, in a browser, on the real servers', () => {
  let story: Story;
  let browser: Browser;
  let watched: WatchedPage;
  let page: Page;

  before(async () => {
    story = await openStory({
      name: 'mine',
      database: 'pglite',
      environment: { TWOWAY_LOGGING_DOMAIN: 'log.crm.test' },
    });
    browser = await openChromium();
    watched = await openPage(browser);
    ({ page } = watched);
    page.setDefaultTimeout(30_000);
    // Of the tests' identity provider, which has none.
    await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  });
  after(async () => {
    await browser.close();
    await story.end();
  });

  const link = async () =>
    (await story.gateway.must<{ url: string }>('POST', `${story.sub}/users/ann/mailbox-links`)).url;
  const shows = (text: string | RegExp) => page.getByText(text).first().waitFor();
  const open = (part: string) =>
    page.getByRole('navigation').first().getByRole('link', { name: part, exact: true }).click();
  const press = (name: string | RegExp) => page.getByRole('button', { name, exact: true }).click();
  const body = () => page.locator('main').innerText();

  test('the link opens them by itself; nothing is connected, and connecting leads there and back', async () => {
    for (const [days, from, subject] of [
      [3, story.carla, 'An older letter'],
      [4, story.carla, 'An even older one'],
      [5, 'doctor@clinic.example', 'Private and old'],
    ] as const) {
      const raw = `From: ${from}\r\nTo: ${story.ann}\r\nSubject: ${subject}\r\nMessage-ID: <${days}@old.example>\r\nDate: ${new Date(Date.now() - days * dayMs).toUTCString()}\r\n\r\nText.\r\n`;
      await story.annClient.append(raw, 'INBOX', [], new Date(Date.now() - days * dayMs));
    }
    await page.goto(await link());
    await page.waitForURL('**/mailbox');
    await shows('No mailbox is connected yet.');
    await assertGoodToRead(page, 'none');
    await press('Connect a mailbox');
    await page.waitForURL('**/connect/*');
    await page.getByRole('button', { name: /Gmail/ }).click();
    await page.getByRole('textbox').fill(story.ann);
    await page.getByRole('button').first().click();
    await press('Connect');
    await page.waitForURL('**/mailbox?*');
    // By itself: the state is asked for until it has settled.
    await page.locator('.badge', { hasText: 'Live' }).waitFor();
    await shows(/All is well/);
    await shows(story.ann);
    await shows('0 of 500 in the last 24 hours, 500 more can go now');
    await assertGoodToRead(page, 'overview-new');
  });

  test('what was synced, what was left out, and why: of private mail nothing but the reason', async () => {
    const name = '<img src=x onerror=document.title=1>';
    await story.gateway.must('PUT', `${story.sub}/contacts/carla`, { name, emails: [story.carla] });
    const subject = 'Offer <script>document.title="owned"</script>';
    await deliver(story.servers, { from: story.carla, to: story.ann, subject, text: 'x' });
    const doctor = 'doctor@clinic.example';
    await deliver(story.servers, { from: doctor, to: story.ann, subject: 'Your findings', text: 'x' });
    await waitFor('both to be judged', async () => {
      const { data } = await story.gateway.must<{ data: unknown[] }>('GET', `${story.sub}/decisions`);
      return data.length >= 2;
    });
    await open('Mail');
    await shows(subject);
    await shows(name);
    await shows('Received through your mailbox');
    await assertGoodToRead(page, 'mail-synced');
    await page.getByRole('link', { name: `Why? ${subject}` }).click();
    await shows('A contact wrote it.');
    await page.getByText('How that was decided').click();
    await shows('Is it a draft, or in Spam or Trash?');
    await assertGoodToRead(page, 'why');

    await open('Mail');
    await page.getByRole('link', { name: 'Left out' }).click();
    await shows(/It is private: no contact is on it/);
    assert.doesNotMatch(await page.content(), /findings|clinic/, 'nothing of it is shown');
    await assertGoodToRead(page, 'mail-left-out');
    await page.getByLabel('Looking for mail with somebody?').fill(doctor);
    await press('Search');
    await shows(`Mail with ${doctor}`);
    await page.getByRole('link', { name: /^Why\?/ }).click();
    await shows(/Nothing of its content is kept/);
    await assertGoodToRead(page, 'why-not');

    await story.gateway.must('PUT', `${story.sub}/contacts/doc`, { name: 'Doctor', emails: [doctor] });
    await press('Look at it again');
    await shows('It is being looked at again.');
    await waitFor('it to be stored', async () => {
      await page.reload();
      return (await body()).includes('It was asked for by hand.');
    });
    assert.equal(await page.title(), 'Why is it here? · My mailbox');
  });

  test('a link for somebody else is not followed by itself by who is signed in', async () => {
    await story.gateway.must('PUT', '/v1/users/zoe', { name: 'Zoe', email: 'zoe@crm.example' });
    await story.gateway.must('PUT', `${story.sub}/users/zoe`);
    const made = await story.gateway.must<{ url: string }>('POST', `${story.sub}/users/zoe/mailbox-links`);
    await page.goto(made.url);
    await shows('Open somebody else’s pages?');
    await assertGoodToRead(page, 'change');
    await page.getByRole('link', { name: 'Stay' }).click();
    await shows(/All is well/);
  });

  test('S15: the never-log list, with what is stored of somebody on it', async () => {
    await open('Never log');
    await shows('Nobody is on your list.');
    const entry = page.getByLabel('Address, or @ and a domain');
    await entry.fill('not an address');
    await press('Add');
    await shows('This is neither an e-mail address nor @ and a domain.');
    assert.equal(await entry.inputValue(), 'not an address', 'what was typed is kept');
    await assertGoodToRead(page, 'never-log-wrong');
    await entry.fill('@clinic.example');
    await press('Add');
    await shows('One message of theirs is stored already.');
    await assertGoodToRead(page, 'never-log');
    await page.getByRole('link', { name: 'Erase what is stored' }).click();
    await shows('Erase what is stored of @clinic.example?');
    await assertGoodToRead(page, 'never-log-erase');
    await page.getByRole('link', { name: 'Keep it' }).click();
    await entry.fill('bank@bank.example');
    await press('Add');
    await shows('Nothing of theirs was stored before.');
    await press('Remove bank@bank.example');
    await shows(/is off your list/);
  });

  test('C8: older mail is counted, and then synced, with its progress', async () => {
    await open('Older mail');
    await page.getByLabel('A week').check();
    await assertGoodToRead(page, 'older');
    await press('Count first');
    await page.waitForURL('**/older/bkf_*');
    await page.getByRole('button', { name: 'Store these messages' }).waitFor({ timeout: 30_000 });
    await page.getByText('Why the others are left out').click();
    assert.match(await body(), /Would be in the CRM\s+4\s+Left out\s+1/);
    await assertGoodToRead(page, 'older-counted');
    assert.equal((await story.conversation()).length, 1, 'counting stores nothing');
    await press('Store these messages');
    await page.locator('.badge', { hasText: 'Done' }).waitFor({ timeout: 30_000 });
    assert.match(await body(), /In the CRM\s+4/);
    await story.conversationOf(3);
    await page.getByRole('link', { name: 'Choose otherwise' }).click();
    await shows('Asked for before');
    await assertGoodToRead(page, 'older-before');
  });

  test('B1: the logging address is replaced, with an overlap', async () => {
    await open('Logging address');
    const address = page.locator('.copyable code').first();
    const before = await address.innerText();
    assert.match(before, /^log-[0-9a-z]{16}@log\.crm\.test$/);
    await assertGoodToRead(page, 'logging');
    const [card] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Save as a contact' }).click(),
    ]);
    assert.equal(card.suggestedFilename(), 'crm-log.vcf');
    await page.getByRole('link', { name: 'Replace it' }).click();
    await shows('Replace your logging address?');
    await page.getByLabel('A week').check();
    await assertGoodToRead(page, 'logging-replace');
    await press('Replace it');
    await shows('This is your new address.');
    assert.notEqual(await address.innerText(), before);
    await shows(before);
    await assertGoodToRead(page, 'logging-replaced');
  });

  test('C7: disconnecting and erasing, each confirmed', async () => {
    await open('Overview');
    await assertGoodToRead(page, 'overview');
    await page.getByRole('link', { name: 'Disconnect' }).click();
    await shows(`Disconnect ${story.ann}?`);
    await page.getByLabel(/Erase what this mailbox brought/).check();
    await assertGoodToRead(page, 'disconnect');
    await press('Disconnect');
    await shows(`Erase what ${story.ann} brought?`);
    assert.equal((await story.conversation()).length, 3, 'asked once more before that');
    await assertGoodToRead(page, 'erase');
    await press('Erase for good');
    await shows(/What the mailbox brought is erased\. 4 messages were erased/);
    assert.equal((await story.conversation()).length, 0);
    await open('Overview');
    await shows(/You can connect again at any time/);
    await assertGoodToRead(page, 'overview-ended');
  });

  test('nothing was complained of, and nobody else was asked', () => {
    assert.deepEqual(
      watched.complaints.filter((said) => !/status of (409|422)/.test(said)),
      [],
    );
    const allowed = [story.gateway.url, story.servers.identityUrl].map((url) => new URL(url).host);
    assert.deepEqual(
      [...watched.origins].filter((host) => !allowed.includes(host)),
      [],
    );
  });

  test('without scripts, in German, on a phone', async () => {
    const plain = await openPage(browser, {
      javaScriptEnabled: false,
      locale: 'de-DE',
      viewport: { width: 390, height: 800 },
    });
    await plain.page.goto(await link());
    await plain.page.getByRole('button', { name: 'Mein Postfach öffnen' }).click();
    await plain.page.getByText('Nichts Neues wird gelesen.').waitFor();
    await plain.page.getByRole('link', { name: 'Nie ablegen' }).click();
    await plain.page.getByLabel('Adresse, oder @ und eine Domain').fill('bank@bank.example');
    await plain.page.getByRole('button', { name: 'Hinzufügen' }).click();
    await plain.page.getByText('Davor war nichts davon gespeichert.').waitFor();
    await assertCopyGoodToRead(plain.page);
    assert.deepEqual(plain.complaints, []);
  });

  test('every page of these was looked at', () => assertAllLookedAt(/^\/mailbox\b/));
});
