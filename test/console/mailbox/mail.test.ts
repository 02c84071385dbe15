import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { run } from '../../../src/store/database.ts';
import { withFiles } from '../../filing/world.ts';
import type { Browser } from '../pages.ts';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

const carla = 'carla@customer.example';

describe('a person’s mail, and why', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages();
  });
  after(() => o.close());

  const leftOut = (browser: Browser) => own(browser, '/mailbox/mail?show=left_out');
  const whyOf = (html: string, kind: 'message' | 'decision') =>
    [...html.matchAll(new RegExp(`href="(/mailbox/mail/${kind}/[^"]+)"`, 'g'))].map(([, path]) => path ?? '');
  const idOf = async (subject: string) =>
    (await o.world.messages('north')).find((message) => message.subject === subject)?.id ?? '';

  test('T1, S5: of what was left out nothing is shown but time, folder and reason', async () => {
    await o.mailbox.see('inbox', {
      from: 'Dr. Secret <doctor@clinic.example>',
      subject: 'Your secret findings',
    });
    const page = await leftOut(o.ann);
    assert.match(page.text, /It is private: no contact is on it/);
    assert.match(page.text, /Folder inbox/);
    assert.doesNotMatch(page.html, /secret|clinic|findings/i);
    const [path = ''] = whyOf(page.html, 'decision');
    const why = await own(o.ann, path);
    assert.equal(why.title, 'Why is it not here? · My mailbox');
    assert.match(why.text, /Is it stored already\? No .*So: It is private/);
    assert.match(why.text, /Nothing of its content is kept/);
    assert.doesNotMatch(why.html, /secret|clinic|findings/i);
  });

  test('T1: what somebody looks for by an address is found by its hash, and only in their own mail', async () => {
    await o.bens.see('inbox', { from: 'friend@private.example', subject: 'To Ben alone' });
    const query = `/mailbox/mail?address=${encodeURIComponent('Friend@private.example')}`;
    assert.match((await own(o.ben, query)).text, /It is private/);
    assert.match((await own(o.ann, query)).text, /No mail with this address was looked at/);
    const wrong = await own(o.ann, '/mailbox/mail?address=%3Cscript%3E');
    assert.equal(wrong.status, 422);
    assert.match(wrong.html, /value="&lt;script&gt;"/, 'what was typed is kept');
    assert.match(wrong.text, /This is no e-mail address/);
  });

  test('what mail and CRM carry is text, wherever it is shown', async () => {
    const evil = '<img src=x onerror=alert(1)>';
    await run(o.t.db, `update contacts set name = :evil where id = 'carla'`, { evil });
    await run(o.t.db, `update folders set path = :evil where role = 'archive'`, { evil: `arch${evil}` });
    await o.mailbox.see('archive', {
      from: `"${evil}" <${carla}>`,
      subject: `Offer ${evil}`,
      to: `"${evil}" <ann@mail.example>`,
    });
    const page = await own(o.ann, '/mailbox/mail');
    assert.match(page.text, /Offer <img/);
    const why = await own(o.ann, `/mailbox/mail/message/${await idOf(`Offer ${evil}`)}`);
    assert.match(why.text, /A contact wrote it/);
    await run(o.t.db, `update sub_accounts set name = :evil where id = 'north'`, { evil });
    const overview = await own(o.ann, '/mailbox');
    for (const { html } of [page, why, overview, await leftOut(o.ann)]) {
      assert.doesNotMatch(html, /<img/);
      assert.doesNotMatch(html, /<[^>]*"\s(?:on\w+|style)=/, 'nothing inline');
    }
    await run(o.t.db, `update folders set path = 'archive' where role = 'archive'`);
    await run(o.t.db, `update contacts set name = 'Carla' where id = 'carla'`);
  });

  test('what a colleague’s mailbox brought is not theirs, nor is its why', async () => {
    await o.bens.see('inbox', { from: carla, to: 'ben@mail.example', subject: 'For Ben only' });
    assert.match((await own(o.ben, '/mailbox/mail')).text, /For Ben only/);
    assert.doesNotMatch((await own(o.ann, '/mailbox/mail')).text, /For Ben only/);
    assert.equal((await own(o.ann, `/mailbox/mail/message/${await idOf('For Ben only')}`)).status, 404);
  });

  test('S12: what two mailboxes brought is both’s, each with their own why', async () => {
    const both = {
      id: 'both@example.com',
      from: carla,
      subject: 'For both',
      date: 'Fri, 20 Nov 2026 09:00:00 +0000',
    };
    const to = 'ann@mail.example, ben@mail.example';
    await o.mailbox.see('inbox', { ...both, to, text: 'x' });
    await o.bens.see('other', { ...both, to, text: 'x' });
    const path = `/mailbox/mail/message/${await idOf('For both')}`;
    for (const [browser, folder, notFolder] of [
      [o.ann, 'inbox', 'other'],
      [o.ben, 'other', 'inbox'],
    ] as const) {
      assert.match((await own(browser, '/mailbox/mail')).text, /For both/);
      const why = await own(browser, path);
      assert.match(why.text, new RegExp(`seen in the folder ${folder}`));
      assert.doesNotMatch(why.text, new RegExp(`seen in the folder ${notFolder}`));
    }
  });

  test('L1: what is too large is shown by its subject, and stored by hand', async () => {
    await run(
      o.t.db,
      `update mailboxes set limits = '{"attachmentsBytesMax": 10}' where address = 'ann@mail.example'`,
    );
    const file = { name: '<b>.pdf', type: 'application/pdf', content: Buffer.alloc(200) };
    await o.mailbox.see('inbox', withFiles({ from: carla, subject: 'With plans' }, [file]));
    const page = await leftOut(o.ann);
    assert.match(page.text, /With plans Its attachments are larger/);
    const [path = ''] = whyOf(page.html, 'decision');
    const why = await own(o.ann, path);
    assert.match(why.text, /Store it/);
    const asked = await o.ann.submit({}, `${path}/store`);
    assert.deepEqual([asked.status, asked.location], [303, `${path}?asked`]);
    assert.match((await own(o.ann, `${path}?asked`)).text, /It is being looked at again/);
    const errands = await o.t.sql<{ request: { byHand: boolean } }>(
      `select request from errands where kind = 'judge_again'`,
    );
    assert.deepEqual(
      errands.map(({ request }) => request.byHand),
      [true],
    );
  });

  for (const [role, offers] of [
    ['drafts', false],
    ['spam', false],
    ['inbox', true],
  ] as const) {
    test(`storing by hand is offered only where it can come to anything: ${role}`, async () => {
      const list = { 'List-Id': '<news.customer.example>' };
      await o.mailbox.see(role, { from: carla, subject: `News in ${role}`, headers: list });
      const [path = ''] = whyOf((await leftOut(o.ann)).html, 'decision');
      assert.equal((await own(o.ann, path)).html.includes(`action="${path}/store"`), offers);
    });
  }

  test('what was decided anew meanwhile is not asked for, and the page leads to what holds', async () => {
    const [path = ''] = whyOf((await leftOut(o.ann)).html, 'decision');
    const id = path.split('/').at(-1) ?? '';
    await own(o.ann, path);
    await run(
      o.t.db,
      `insert into decisions (id, sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason, reasons)
       select 'dec_zzz', sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, 'skipped', 'no_match', '[]'
         from decisions where id = :id`,
      { id },
    );
    await run(o.t.db, `update decisions set replaced_by = 'dec_zzz' where id = :id`, { id });
    const refused = await o.ann.submit({}, `${path}/store`);
    assert.equal(refused.status, 409);
    assert.match(refused.text, /decided anew meanwhile.*What holds now/);
    assert.equal((await own(o.ann, `${path}?asked`)).location, '/mailbox/mail/decision/dec_zzz');
    assert.doesNotMatch((await leftOut(o.ann)).html, new RegExp(id), 'it is left out no longer');
  });

  test('what is stored is explained with its message, whichever decision led there', async () => {
    await o.mailbox.see('inbox', { from: carla, subject: 'Found by address' });
    const found = await own(o.ann, `/mailbox/mail?address=${carla}`);
    const [path = ''] = whyOf(found.html, 'decision');
    assert.equal(
      (await own(o.ann, path)).location,
      `/mailbox/mail/message/${await idOf('Found by address')}`,
    );
  });

  test('B4: what came to the logging address and waits is shown with its subject', async () => {
    await run(
      o.t.db,
      `insert into decisions (id, sub_account_id, outcome, reason, reasons, intake_id)
       values ('dec_held', 'north', 'held', 'unproven', '[{"rule": "B4", "because": {"say": "proof_unproven"}}]', 'spl_1')`,
    );
    await run(
      o.t.db,
      `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof, received_at,
                                 raw_sha256, raw_size, state, decision_id, read, ready)
       values ('spl_1', 'a', 'lad_1', 'north', 'ann', '{}', '{}', '{}', now(), 'x', 1, 'held', 'dec_held',
               '{"subject": "Held <b>one</b>", "from": null, "to": [], "cc": [], "date": null, "forwarded": null}', false)`,
    );
    const page = await leftOut(o.ann);
    assert.match(
      page.text,
      /Waits for review .*Held <b>one<\/b> It came to your logging address without proof/,
    );
    assert.equal((await own(o.ann, '/mailbox/mail/decision/dec_held')).status, 200);
    assert.doesNotMatch((await leftOut(o.ben)).text, /Held/);
    assert.equal((await own(o.ben, '/mailbox/mail/decision/dec_held')).status, 404);
  });

  test('long lists come in pages, without a gap', async () => {
    const letters = Array.from({ length: 60 }, (_, n) => ({ from: carla, subject: `Many ${n}` }));
    await o.bens.see('inbox', ...letters);
    const seen: string[] = [];
    for (let path: string | undefined = '/mailbox/mail'; path !== undefined;) {
      const { html, text }: { html: string; text: string } = await own(o.ben, path);
      seen.push(...[...text.matchAll(/Many (\d+)/g)].map(([, n]) => n ?? ''));
      path = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
    }
    assert.equal(new Set(seen).size, 60);
    assert.equal(seen.length, 60, 'each once');
  });

  test('nothing is there yet: what to do next', async () => {
    const page = await own(o.zoe, '/mailbox/mail');
    assert.match(page.text, /Nothing was synced yet/);
    assert.match(page.html, /href="\/mailbox\/older"/);
  });
});
