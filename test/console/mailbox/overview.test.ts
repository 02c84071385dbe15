import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { run } from '../../../src/store/database.ts';
import { findConnectLink } from '../../../src/store/connect-links.ts';
import { hashOfLinkToken } from '../../../src/store/link-token.ts';
import { newId } from '../../../src/lib/id.ts';
import { publicUrl } from '../pages.ts';
import { openOwnPages, own, setState } from './own.ts';
import type { OwnPages } from './own.ts';

describe('a person’s overview', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages({ more: [] });
  });
  after(() => o.close());

  const cases: [state: string, reason: string | null, says: RegExp, connectsAgain: boolean][] = [
    ['connecting', null, /being opened/, false],
    ['catching_up', null, /being looked at/, false],
    ['live', null, /All is well/, false],
    ['degraded', 'imap_etimedout', /mail server cannot be reached/, false],
    ['degraded', 'imap_nonsense', /mail provider cannot be reached/, false],
    ['rate_limited', 'bandwidth_limit', /download in a day/, false],
    ['reauth_required', 'login_refused', /new password/, true],
    ['reauth_required', 'token_revoked', /no longer lets us in/, true],
    ['admin_consent_required', null, /administrator of your organisation/, true],
    [
      'permission_missing',
      'https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send',
      /Read and write access to mailboxes via IMAP.*Send emails from mailboxes using SMTP AUTH/,
      true,
    ],
    ['paused', null, /administrator paused/, false],
  ];
  for (const [state, reason, says, connectsAgain] of cases) {
    test(`C5 ${state}, ${reason}: what is true, and the button that does something about it`, async () => {
      const { id } = await o.connectionOf('ann');
      await setState(o, id, { state, reason });
      const page = await own(o.ann, '/mailbox');
      assert.equal(page.status, 200);
      assert.match(page.text, says);
      assert.equal(page.text.includes('Connect again'), connectsAgain);
      const looks = page.html.includes('hx-get="/mailbox/state"');
      assert.equal(looks, ['connecting', 'catching_up'].includes(state), 'asks again only while it passes');
      assert.doesNotMatch(page.text, /imap_|_required|IMAP\.Access/, 'no word for machines');
    });
  }

  test('C5: what it says in German', async () => {
    const { id } = await o.connectionOf('ann');
    await setState(o, id, { state: 'reauth_required', reason: null });
    const page = await o.t.app.request(`${publicUrl}/mailbox`, {
      headers: { 'accept-language': 'de', cookie: await cookieOf(o) },
    });
    const html = await page.text();
    assert.match(html, /Ihr Mailanbieter lässt uns nicht mehr hinein/);
    assert.match(html, />Neu verbinden</);
  });

  test('caught up to, backlog and next try are there while they mean something', async () => {
    const { id } = await o.connectionOf('ann');
    await run(
      o.t.db,
      `update mailboxes set caught_up_to = '2026-11-20T09:03:00Z', backlog = 34 where address = 'ann@mail.example'`,
    );
    await setState(o, id, { state: 'degraded', nextTryAt: '2026-11-20T09:30:00Z' });
    const page = await own(o.ann, '/mailbox');
    assert.match(page.text, /Everything up to .*20, 2026.* has been looked at/);
    assert.match(page.html, /<time datetime="2026-11-20T09:03:00\.000Z"/);
    assert.match(page.text, /34 messages are still to be looked at/);
    assert.match(page.html, /<time datetime="2026-11-20T09:30:00\.000Z"/);
    assert.doesNotMatch((await own(o.ben, '/mailbox')).text, /34 messages/, 'another mailbox');
  });

  test('L3: the meter of the day, and when sending works again', async () => {
    const { id } = await o.connectionOf('ann');
    await setState(o, id, { state: 'live' });
    const limit = (max: number | null) =>
      run(o.t.db, `update mailboxes set limits = :limits::jsonb where address = 'ann@mail.example'`, {
        limits: JSON.stringify({ individualMessagesPerDayMax: max }),
      });
    await limit(null);
    assert.match((await own(o.ann, '/mailbox')).text, /0 messages; your mailbox has no limit here/);
    await limit(2);
    const take = (hours: number) =>
      run(
        o.t.db,
        `insert into daily_places (send_id, mailbox_id, at)
         select :id, id, now() - :hours * interval '1 hour' from mailboxes where address = 'ann@mail.example'`,
        { id: newId('snd'), hours },
      );
    await take(1);
    const some = await own(o.ann, '/mailbox');
    assert.match(some.text, /1 of 2 in the last 24 hours, 1 more can go now/);
    assert.match(some.html, /<meter min="0" max="2" value="1"/);
    assert.doesNotMatch(some.text, /works again/);
    assert.doesNotMatch(some.text, /kept for messages/);
    await take(-3);
    const kept = await own(o.ann, '/mailbox');
    assert.match(kept.text, /1 of 2 in the last 24 hours, 0 more can go now/);
    assert.match(kept.text, /No more can go now\. Sending works again at .* kept for messages that wait/);
    assert.doesNotMatch(kept.text, /Your mail provider takes no more/);
    await run(o.t.db, 'delete from daily_places where at > now()');
    await take(2);
    const full = await own(o.ann, '/mailbox');
    assert.match(full.text, /No more can go now\. Sending works again at/);
    assert.doesNotMatch(full.text, /kept for messages/);
    await run(
      o.t.db,
      `insert into daily_quotas (mailbox_id, closed_until)
       select id, now() + interval '1 hour' from mailboxes where address = 'ann@mail.example'
       on conflict (mailbox_id) do update set closed_until = excluded.closed_until`,
    );
    await limit(500);
    const closed = await own(o.ann, '/mailbox');
    assert.match(closed.text, /2 of 500 .*, 0 more can go now Your mail provider takes no more for now/);
    assert.doesNotMatch(closed.text, /kept for messages/);
    await run(o.t.db, 'update daily_quotas set closed_until = null');
  });

  test('connecting again makes a link for that person alone, to the same provider, and comes back here', async () => {
    const { id } = await o.connectionOf('ann');
    await setState(o, id, { state: 'reauth_required' });
    await own(o.ann, '/mailbox');
    const sent = await o.ann.submit({}, '/mailbox/reconnect');
    assert.equal(sent.status, 303);
    const token = /^\/connect\/([\w-]{43})$/.exec(sent.location ?? '')?.[1] ?? '';
    const link = await findConnectLink(o.t.db, { tokenHash: hashOfLinkToken(token) });
    assert.deepEqual(
      [link?.subAccountId, link?.userId, link?.provider, link?.replace, link?.returnUrl],
      ['north', 'ann', 'imap', false, `${publicUrl}/mailbox`],
    );
  });

  test('C6: another mailbox is chosen anew, and takes the place', async () => {
    const { id } = await o.connectionOf('ann');
    await setState(o, id, { state: 'live' });
    const page = await own(o.ann, '/mailbox');
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const sent = await o.ann.post(
      `${publicUrl}/mailbox/reconnect`,
      { form_token: form, replace: '1' },
      { 'sec-fetch-site': 'same-origin' },
    );
    const token = (sent.location ?? '').slice('/connect/'.length);
    const link = await findConnectLink(o.t.db, { tokenHash: hashOfLinkToken(token) });
    assert.deepEqual([link?.provider, link?.replace], [null, true]);
  });

  test('in a frame of the CRM connecting goes on in a tab of its own: providers refuse to be framed', async () => {
    const page = await own(o.ann, '/mailbox');
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const shown = await o.ann.post(
      `${publicUrl}/mailbox/reconnect`,
      { form_token: form },
      { 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'iframe' },
    );
    assert.equal(shown.status, 200);
    const [, token = ''] =
      /href="\/connect\/([\w-]{43})" target="_blank" rel="noopener"/.exec(shown.html) ?? [];
    const link = await findConnectLink(o.t.db, { tokenHash: hashOfLinkToken(token) });
    assert.equal(link?.returnUrl, null, 'the tab ends where it is');
  });
});

/** Of Ann, as her browser sends it. */
async function cookieOf({ t }: OwnPages): Promise<string> {
  const token = 'x'.repeat(43);
  await run(
    t.db,
    `insert into console_sessions (id, token_hash, sub_account_id, user_id, expires_at)
     values ('ses_german', :hash, 'north', 'ann', now() + interval '1 hour')`,
    { hash: hashOfLinkToken(token) },
  );
  return `twoway-mailbox=${token}`;
}
