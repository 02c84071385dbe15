import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Request } from 'playwright-core';
import { startHttpServer } from '../../../../src/api/server.ts';
import type { HttpServer } from '../../../../src/api/server.ts';
import { logLogins, logSessionEnd } from '../../../../src/store/connection-log.ts';
import { setMailboxState } from '../../../../src/store/connections.ts';
import { run } from '../../../../src/store/database.ts';
import { openWaitingConnection } from '../../../../src/store/lifecycle.ts';
import { assertGoodToRead, openChromium, openPage } from '../../../support/chromium.ts';
import type { WatchedPage } from '../../../support/chromium.ts';
import { assertAllLookedAt } from '../../looked-at.ts';
import { waitFor } from '../../../support/wait.ts';
import { nastyMails, nastyText } from './nasty.ts';
import { htmlMail, startReading } from './world.ts';
import type { ReadingWorld } from './world.ts';

/** A picture of one red pixel. */
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
  'base64',
);

describe('an administrator reads, in a real browser', () => {
  let w: ReadingWorld;
  let http: HttpServer;
  let browser: Browser;

  /** A page of an administrator who is signed in. */
  const open = async (options: { javaScriptEnabled?: boolean } = {}): Promise<WatchedPage> => {
    const watched = await openPage(browser, options);
    const cookies = (await w.t.administrator()).cookies();
    await watched.page
      .context()
      .addCookies([...cookies].map(([name, value]) => ({ name, value, url: http.url })));
    return watched;
  };
  const assertQuiet = ({ complaints, origins }: WatchedPage) => {
    assert.deepEqual(complaints, []);
    assert.deepEqual([...origins], [new URL(http.url).host]);
  };

  before(async () => {
    w = await startReading();
    await fill(w);
    http = await startHttpServer({ app: w.t.app, host: '127.0.0.1', port: 0 });
    browser = await openChromium();
  });
  after(async () => {
    await browser.close();
    await http.stop();
    await w.t.close();
  });

  test('C5: from what needs a person to one connection, its life, and what can be done', async () => {
    const watched = await open();
    const { page } = watched;
    await page.goto(`${http.url}/admin/connections`);
    await assertGoodToRead(page, 'connections');
    await page.getByLabel('Mailbox or user').fill('ann@mail');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('link', { name: 'ann@' }).click();
    await page.getByText('The provider refuses the login').waitFor();
    await assertGoodToRead(page, 'connection');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('It is paused.').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText('It goes on.').waitFor();
    await page.getByText('Disconnect…').click();
    await page.getByText('What is stored stays').waitFor();
    assertQuiet(watched);
  });

  test('a conversation: quotes folded, pictures of the mail, those from elsewhere when they are asked for', async () => {
    const watched = await open();
    const { page, origins, complaints } = watched;
    await page.goto(`${http.url}/admin/conversations`);
    await assertGoodToRead(page, 'conversations');
    await page.getByLabel('Contact').fill('rita@cust');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('link', { name: 'rita' }).click();
    await page.getByText('Ten euros for each').last().waitFor();
    assert.equal(await page.getByText('> How much is it?').isVisible(), false);
    await page.getByText('Quoted text').first().click();
    assert.equal(await page.getByText('> How much is it?').isVisible(), true);
    const frame = page.frameLocator('iframe').last();
    await frame.getByText('our new lamps').waitFor();
    const picture = frame.getByAltText('Our logo');
    await waitFor('the picture of the mail', () =>
      picture.evaluate((img) => 'naturalWidth' in img && img.naturalWidth === 1),
    );
    assert.equal(
      await frame
        .getByText('our new lamps')
        .evaluate((p) => Reflect.get(globalThis, 'getComputedStyle')(p).color as string),
      'rgb(170, 0, 0)',
    );
    await assertGoodToRead(page, 'conversation');
    // As high as its mail at each width, without a bar of its own.
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await waitFor('the frame to be as high as its mail', async () => {
        const [inside, outside] = await Promise.all([
          frame.locator('html').evaluate(heightOfPage),
          page.locator('iframe.mail').last().evaluate(heightOfPage),
        ]);
        return inside === outside && inside > 60 && inside < 300;
      });
    }
    assertQuiet(watched);
    await page.getByRole('link', { name: 'Show them' }).click();
    await waitFor('the picture from elsewhere to be asked for', () => origins.has('far.invalid'));
    assert.ok(
      complaints.every((complaint) => complaint.includes('ERR_NAME_NOT_RESOLVED')),
      complaints.join(),
    );
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'lamps.pdf' }).click();
    assert.equal((await download).suggestedFilename(), 'lamps.pdf');
  });

  test('T1: why it is here, and why another mail is not', async () => {
    const watched = await open();
    const { page } = watched;
    await page.goto(`${http.url}/admin/conversations/${await w.conversationWith('rita')}`);
    await page.getByRole('link', { name: 'Why is this here?' }).first().click();
    await page.getByRole('heading', { name: 'What was decided' }).waitFor();
    await page.getByText('Rules that were asked before').first().click();
    await assertGoodToRead(page, 'story');
    await page.getByRole('navigation').getByRole('link', { name: 'Why?' }).click();
    await assertGoodToRead(page, 'why-nothing');
    await page.getByLabel('Message-ID, address').fill('sam@private.example');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('No rule asks for it').waitFor();
    await page.getByText('What the rules looked at').click();
    await assertGoodToRead(page, 'why');
    await page.getByLabel('Message-ID, address').fill('who@nowhere.example');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('Nothing is known of').waitFor();
    await assertGoodToRead(page, 'why-unknown');
    assertQuiet(watched);
  });

  for (const how of ['as it was filed', 'as it would be if nothing had been taken out of it'])
    test(`whatever a stranger sends, nothing runs, nothing is asked for, nobody is led away: ${how}`, async () => {
      if (how !== 'as it was filed') await storeUnsanitised(w);
      const watched = await open();
      const { page } = watched;
      const start = `${http.url}/admin/conversations/${await w.conversationWith('mallory')}`;
      await page.goto(start);
      await page.evaluate(
        `document.querySelectorAll('details').forEach((one) => (one.open = true));
         document.querySelectorAll('iframe').forEach((one) => (one.loading = 'eager'));`,
      );
      const mails = nastyMails().length;
      assert.ok(mails > 10 && mails < 20, `${mails} mails`);
      const shown = () => page.frames().filter((frame) => frame.url().endsWith('/html'));
      await waitFor('all mails to be shown', () => shown().length === mails);
      for (const frame of shown()) {
        await frame.waitForLoadState();
        // Nothing of ours is hit by a link that would run something.
        for (const link of await frame.getByText('click', { exact: true }).all())
          await link.click({ force: true });
      }
      assert.equal(await page.evaluate('window.hit'), undefined);
      assert.equal(page.url(), start);
      assert.equal(page.context().pages().length, 1);
      assertQuiet(watched);
    });

  test('where nothing at all was taken out, the policy of the frame alone lets nothing run, and lets nothing in or out', async () => {
    const { page, complaints } = await open();
    const gotOut: string[] = [];
    const note = (request: Request) => {
      if (new URL(request.url()).host !== new URL(http.url).host && request.failure()?.errorText !== 'csp')
        gotOut.push(request.url());
    };
    page.on('requestfinished', note);
    page.on('requestfailed', note);
    const nasty = nastyMails().map((html) => html.replaceAll(/(?:window\.)?top\.hit/g, 'window.ran'));
    await page.route('**/html', async (route) => {
      const answer = await route.fetch();
      const text = await answer.text();
      const body = text.replace(/<body>[^]*<\/body>/, () => `<body>${nasty.shift() ?? ''}</body>`);
      await route.fulfill({ response: answer, body });
    });
    await page.goto(`${http.url}/admin/conversations/${await w.conversationWith('mallory')}`);
    await page.evaluate(
      `document.querySelectorAll('details').forEach((one) => (one.open = true));
       document.querySelectorAll('iframe').forEach((one) => (one.loading = 'eager'));`,
    );
    await waitFor('all mails to be shown', () => nasty.length === 0);
    const frames = page.frames().filter((frame) => frame !== page.mainFrame());
    assert.ok(frames.length > 10, `${frames.length} frames`);
    for (const frame of frames) {
      await frame.waitForLoadState();
      for (const link of await frame.getByText('click', { exact: true }).all())
        await link.dispatchEvent('click');
      assert.equal(await frame.evaluate('window.ran'), undefined);
    }
    assert.ok(
      complaints.some((said) => said.includes('script-src')),
      'the policy was needed',
    );
    assert.deepEqual(gotOut, []);
  });

  test('a mail that is as high as its window does not grow with it for ever, and a strange height counts for nothing', async () => {
    const { page } = await open();
    await page.route('**/html', async (route) => {
      const answer = await route.fetch();
      const text = await answer.text();
      const body = text.replace(/<body>[^]*<\/body>/, '<body><div id="high" style="">tall</div></body>');
      const styled = body.replace('</style>', '#high{height:100vh}</style>');
      await route.fulfill({ response: answer, body: styled });
    });
    await page.goto(`${http.url}/admin/conversations/${await w.conversationWith('rita')}`);
    const frame = page.locator('iframe.mail').last();
    await page.frameLocator('iframe.mail').last().getByText('tall').waitFor();
    const height = () => frame.evaluate(heightOfPage);
    const first = await height();
    for (const said of ['-5', '0', '"<b>"', 'null', '1e9'])
      await page.evaluate(`window.postMessage({ mailHeight: ${said} }, '*')`);
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    assert.ok((await height()) - first < 100, `from ${first} to ${await height()}`);
  });

  test('without scripts all of it can be read, too', async () => {
    const { page, origins } = await open({ javaScriptEnabled: false });
    await page.goto(`${http.url}/admin/conversations?q=rita`);
    await page.getByRole('link', { name: 'rita' }).click();
    await page.getByText('Ten euros for each').last().waitFor();
    await page.frameLocator('iframe').last().getByText('our new lamps').waitFor();
    await page.goto(`${http.url}/admin/why?q=sam%40private.example`);
    await page.getByText('No rule asks for it').waitFor();
    assert.deepEqual([...origins], [new URL(http.url).host]);
  });

  test('every page of these was looked at', () =>
    assertAllLookedAt(/^\/admin\/(?:connections|conversations|messages|why)\b/));
});

/** Runs in the browser. */
function heightOfPage(element: {
  clientHeight: number;
  getBoundingClientRect(): { height: number };
}): number {
  return element instanceof Reflect.get(globalThis, 'HTMLIFrameElement')
    ? element.clientHeight
    : Math.ceil(element.getBoundingClientRect().height);
}

/** HTML of Mallory's mails as it came. */
async function storeUnsanitised({ t }: ReadingWorld): Promise<void> {
  for (const [n, html] of nastyMails().entries()) {
    const changed = await run(t.db, 'update messages set body_html = :html where subject like :subject', {
      html: html.replaceAll('\0', ''),
      subject: `${n} %`,
    });
    assert.equal(changed, 1);
  }
}

/** People and mail that show what the pages are for. */
async function fill({ t, world, ann, zoe }: ReadingWorld): Promise<void> {
  const line = (await logLogins(t.db, [ann.id])).get(ann.id) ?? null;
  await logSessionEnd(t.db, { mailboxId: ann.id, line, reason: 'connection_closed' });
  for (let tries = 0; tries < 4; tries += 1)
    await logSessionEnd(t.db, { mailboxId: ann.id, line: null, reason: 'login_refused' });
  await setMailboxState(t.db, ann.id, { state: 'reauth_required', reason: 'login_refused', nextTryAt: null });
  await run(t.db, `update mailboxes set caught_up_to = now() - interval '3 minutes'`);
  await world.addUser('ned', nastyText, ['other']);
  await openWaitingConnection(t.db, {
    subAccountId: 'other',
    userId: 'ned',
    provider: 'outlook',
    state: 'admin_consent_required',
    reason: null,
    active: null,
  });
  await ann.see('inbox', {
    id: 'q1@customer.example',
    from: 'Rita Roe <rita@customer.example>',
    cc: 'Otto Ohm <otto@customer.example>',
    subject: 'Your lamps',
    text: 'Hello Ann,\r\n\r\nHow much is it?\r\n\r\nRegards\r\nRita',
    date: 'Fri, 20 Nov 2026 09:00:00 +0000',
    seen: true,
  });
  await ann.see('sent', {
    from: 'Ann <ann@mail.example>',
    to: 'Rita Roe <rita@customer.example>',
    subject: 'Re: Your lamps',
    inReplyTo: 'q1@customer.example',
    references: '<q1@customer.example>',
    text: 'Ten euros for each, and we bring them.\r\n\r\nOn Fri, 20 Nov 2026, Rita Roe wrote:\r\n> How much is it?',
    date: 'Fri, 20 Nov 2026 10:00:00 +0000',
    seen: true,
  });
  await ann.see(
    'inbox',
    htmlMail({
      from: 'Rita Roe <rita@customer.example>',
      subject: 'The catalogue',
      html:
        '<p style="color:#a00;font-family:\'Segoe UI\',sans-serif">Look at our new lamps.</p><img alt="Our logo" src="cid:logo@customer.example">' +
        '<img alt="" src="http://far.invalid/pixel.png"><blockquote>As we said</blockquote>',
      files: [
        { name: 'logo.png', type: 'image/png', content: png, contentId: 'logo@customer.example' },
        { name: 'lamps.pdf', type: 'application/pdf', content: Buffer.alloc(123_456, '%PDF ') },
      ],
    }),
  );
  await ann.see('inbox', { from: 'Sam <sam@private.example>', subject: 'Private', text: 'Private' });
  await zoe.see('inbox', {
    from: 'Omar <omar@customer.example>',
    subject: 'An offer',
    text: 'Dear Zoe, here it is.',
  });
  await world.addContact('other', 'mallory', ['mallory@evil.example']);
  await zoe.see(
    'inbox',
    ...nastyMails().map((html, n) =>
      htmlMail({
        from: `=?utf-8?B?${Buffer.from(nastyText).toString('base64')}?= <mallory@evil.example>`,
        subject: `${n} ${nastyText}`,
        html,
        files: [{ name: `${nastyText}.html`, type: 'text/html', content: Buffer.from(html) }],
      }),
    ),
  );
}
