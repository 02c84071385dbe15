import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { run } from '../../../../src/store/database.ts';
import { publicUrl } from '../../pages.ts';
import type { Browser } from '../../pages.ts';
import { nastyHtml, nastyText } from './nasty.ts';
import { htmlMail, startReading } from './world.ts';
import type { ReadingWorld } from './world.ts';

const list = `${publicUrl}/admin/conversations`;
const png = Buffer.from('89504e470d0a1a0a', 'hex');

describe('the administrators’ pages about conversations', () => {
  let w: ReadingWorld;
  let root: Browser;
  const open = async (contactId: string) => root.get(`${list}/${await w.conversationWith(contactId)}`);
  const of = async (subject: string) => `${publicUrl}/admin/messages/${await w.messageOf(subject)}`;

  before(async () => {
    w = await startReading();
    await w.ann.see('inbox', {
      id: 'q1@customer.example',
      from: 'Rita Roe <rita@customer.example>',
      subject: 'A question',
      text: 'How much is it?\n\nRegards\nRita',
      date: 'Fri, 20 Nov 2026 09:00:00 +0000',
    });
    await w.ann.see('sent', {
      id: 'a1@mail.example',
      from: 'ann@mail.example',
      to: 'Rita Roe <rita@customer.example>',
      subject: 'Re: A question',
      inReplyTo: 'q1@customer.example',
      references: '<q1@customer.example>',
      text: 'Ten euros.\n\nOn Fri, 20 Nov 2026, Rita Roe wrote:\n> How much is it?',
      date: 'Fri, 20 Nov 2026 10:00:00 +0000',
      seen: true,
    });
    await w.ann.see(
      'inbox',
      htmlMail({
        subject: 'Pictures',
        html: '<p style="color:red">See</p><img src="cid:a@b"><img src="cid:svg@b"><img src="https://far.example/p.png"><blockquote>old</blockquote>',
        files: [
          { name: 'a.png', type: 'image/png', content: png, contentId: 'a@b' },
          { name: 'b.svg', type: 'image/svg+xml', content: Buffer.from('<svg/>'), contentId: 'svg@b' },
          { name: 'offer.pdf', type: 'application/pdf', content: Buffer.from('%PDF-1.7 and so on') },
        ],
      }),
    );
    await w.zoe.see('inbox', { from: 'Omar <omar@customer.example>', subject: 'To Zoe', text: 'Hello' });
    await w.ann.see('inbox', { from: 'stranger@private.example', subject: 'Private matter' });
    root = await w.t.administrator();
  });
  after(() => w.t.close());

  for (const [query, expected] of [
    ['', ['omar', 'rita']],
    ['q=rita', ['rita']],
    ['q=RITA%40cust', ['rita']],
    ['q=rita%40home.example', ['rita']],
    ['q=oma', ['omar']],
    ['q=customer', []],
    ['q=rita&sub_account=other', []],
    ['sub_account=acme', ['rita']],
    ['sub_account=nobody', []],
    ['q=%25', []],
    ['after=1.cnv_0', []],
    ['after=nonsense', ['omar', 'rita']],
  ] as const) {
    test(`the list by ${query === '' ? 'nothing' : query}`, async () => {
      const { status, text, html } = await root.get(`${list}?${query}`);
      assert.equal(status, 200);
      const found = [...html.matchAll(/<span class="who-with"><bdi>(\w+)/g)].map(([, name]) => name);
      assert.deepEqual(found, expected);
      if (expected.length === 0) assert.match(text, /No conversation is like that/);
      assert.doesNotMatch(text, /Private matter|stranger@/);
    });
  }

  test('a long list goes by pages, each conversation once, and so does a search in it', async () => {
    await run(
      w.t.db,
      `insert into contacts (sub_account_id, id, name) select 'other', 'many' || n, 'Many ' || n from generate_series(1, 130) n`,
    );
    await run(
      w.t.db,
      `insert into conversations (id, sub_account_id, contact_id, updated_at)
       select 'cnv_' || n, 'other', 'many' || n, '2026-01-01'::timestamptz + (n / 3) * interval '1 ms' from generate_series(1, 130) n`,
    );
    for (const start of ['?sub_account=other', '?q=many']) {
      const seen: string[] = [];
      let at: string | undefined = `${list}${start}`;
      for (let pages = 0; at !== undefined && pages < 5; pages += 1) {
        const { html } = await root.get(at);
        seen.push(...[...html.matchAll(/conversations\/(cnv_\d+)"/g)].map(([, id]) => id ?? ''));
        const next = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
        at = next === undefined ? undefined : new URL(next, publicUrl).href;
      }
      assert.equal(seen.length, 130, start);
      assert.equal(new Set(seen).size, 130, start);
    }
    await run(w.t.db, `delete from contacts where id like 'many%'`);
  });

  test('one conversation: who, when, what, the quotes folded, the newest last', async () => {
    const { text, html, title } = await open('rita');
    assert.equal(title, 'rita · Administration');
    const parts = ['How much is it? Regards', 'Ten euros.', 'Quoted text', 'Pictures'].map((part) =>
      text.indexOf(part),
    );
    assert.ok(!parts.includes(-1), text);
    assert.deepEqual(
      parts,
      parts.toSorted((a, b) => a - b),
    );
    assert.match(text, /Rita Roe rita@customer\.example Unread/);
    assert.match(text, /By the mailbox/);
    assert.match(
      html,
      /<details class="fold"><summary>Quoted text<\/summary><div class="mail-text soft" dir="auto">On Fri/,
    );
    assert.doesNotMatch(text, /To Zoe|Private matter/);
    assert.equal((await root.get(`${list}/cnv_0`)).status, 404);
  });

  test('U3, S11: what became of a message is said', async () => {
    await run(
      w.t.db,
      `update messages set mailbox_state = 'trashed', automatic = 'auto_reply' where subject = 'A question'`,
    );
    assert.match((await open('rita')).text, /Automatic reply In the mailbox’s Trash/);
    await run(w.t.db, `update messages set mailbox_state = 'present', automatic = null`);
  });

  test('formatted mail is in a sandboxed frame with the strictest policy, its styles as rules', async () => {
    const page = await open('rita');
    const frame = /<iframe[^>]+>/.exec(page.html)?.[0] ?? '';
    assert.match(frame, /sandbox="allow-scripts allow-popups allow-popups-to-escape-sandbox"/);
    const { html, headers, status } = await root.get(`${await of('Pictures')}/html`);
    assert.equal(status, 200);
    const policy = headers.get('content-security-policy') ?? '';
    const nonce = /style-src 'nonce-([^']+)'/.exec(policy)?.[1] ?? '';
    assert.match(
      policy,
      /^default-src 'none'; img-src 'self' data:; style-src 'nonce-[\w+/=]{24}'; script-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox$/,
    );
    assert.ok(html.includes(`<style nonce="${nonce}">`));
    const [, script = ''] = /<script>([^<]+)<\/script>/.exec(html) ?? [];
    const hash = createHash('sha256').update(script).digest('base64');
    assert.ok(policy.includes(`script-src 'sha256-${hash}';`), 'one script alone may run, and it is ours');
    assert.match(html, /\.s0\{color:red\}/);
    assert.doesNotMatch(html, /style="|far\.example|cid:/);
    assert.match(html, /<details><summary>Quoted text<\/summary><blockquote>old/);
    const again = await root.get(`${await of('Pictures')}/html`);
    assert.doesNotMatch(
      again.headers.get('content-security-policy') ?? '',
      new RegExp(nonce.replace(/\W/g, '.')),
    );
  });

  test('images from elsewhere come when they are asked for, on our own page alone', async () => {
    assert.match((await open('rita')).text, /Images from elsewhere are left out.*Show them/);
    const url = `${await of('Pictures')}/html?images=1`;
    const shown = await root.get(url);
    assert.match(shown.html, /<img src="https:\/\/far\.example\/p\.png"/);
    assert.match(shown.headers.get('content-security-policy') ?? '', /img-src 'self' data: https: http:;/);
    assert.doesNotMatch((await root.get(url, { 'sec-fetch-site': 'cross-site' })).html, /far\.example/);
  });

  test('pictures of the mail are shown by an address that only we can make, for an hour; documents are not', async () => {
    const { html } = await root.get(`${await of('Pictures')}/html`);
    const [first = '', second = ''] = [...html.matchAll(/src="([^"]+)"/g)].map(
      ([, src]) => new URL((src ?? '').replaceAll('&amp;', '&'), publicUrl).href,
    );
    const picture = await w.t.browser().get(first);
    assert.equal(picture.status, 200);
    assert.equal(picture.headers.get('content-type'), 'image/png');
    assert.equal((await w.t.browser().get(second)).status, 404, 'an SVG');
    for (const other of [
      first.replace(/pictures\/\d+/, 'pictures/3'),
      first.replace(/until=\d/, 'until=9'),
      first.replace(/proof=.*/, ''),
      first.replace(/proof=./, 'proof=_'),
    ])
      assert.equal((await w.t.browser().get(other)).status, 404, other);
  });

  test('attachments and the source are downloads that run nothing', async () => {
    const at = await of('Pictures');
    assert.match((await open('rita')).text, /offer\.pdf 18 B/);
    const file = await root.get(`${at}/attachments/3`);
    assert.equal(file.html, '%PDF-1.7 and so on');
    assert.equal(file.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(file.headers.get('content-security-policy'), "sandbox; default-src 'none'");
    assert.match(file.headers.get('content-disposition') ?? '', /^attachment; filename="offer\.pdf"/);
    const raw = await root.get(`${at}/raw`);
    assert.match(raw.headers.get('content-disposition') ?? '', /^attachment; filename="msg_[\w-]+\.eml"/);
    assert.match(raw.html, /^From: Rita/);
    assert.equal((await root.get(`${at}/attachments/9`)).status, 404);
    assert.equal((await root.get(`${publicUrl}/admin/messages/msg_0/raw`)).status, 404);
  });

  test('nobody else sees any of it: not without a session, nor a person in their own', async () => {
    const at = await of('Pictures');
    const person = await w.t.person({ subAccountId: 'acme', userId: 'ann' });
    for (const url of [
      list,
      `${list}/${await w.conversationWith('rita')}`,
      `${at}/html`,
      `${at}/raw`,
      `${at}/attachments/3`,
    ]) {
      for (const who of [person, w.t.browser()]) {
        const { location, text } = await who.get(url);
        assert.match(location ?? '', /^\/admin\/sign-in\?to=/, url);
        assert.doesNotMatch(text, /PDF|Rita|See/, url);
      }
    }
  });

  test('whatever a stranger writes anywhere is text', async () => {
    const names = [
      { from: `${JSON.stringify(nastyText)} <rita@customer.example>`, subject: nastyText, text: nastyText },
      { from: 'Rita <rita@customer.example>', subject: 'nasty html', text: 'x' },
    ];
    await w.ann.see('inbox', names[0] ?? assert.fail());
    await w.ann.see(
      'inbox',
      htmlMail({
        subject: nastyText,
        // Some of it swallows what follows.
        html: nastyHtml.toReversed().join('\n'),
        files: [
          { name: `../${nastyText}.html`, type: 'text/html', content: Buffer.from(nastyHtml.join('')) },
        ],
      }),
    );
    await run(w.t.db, `update contacts set name = :nastyText where id = 'rita'`, { nastyText });
    const conversation = `${list}/${await w.conversationWith('rita')}`;
    for (const url of [list, `${list}?q=${encodeURIComponent(nastyText)}`, conversation]) {
      const { html, headers } = await root.get(url);
      const tags = html.replaceAll(/="[^"]*"/g, '=');
      assert.doesNotMatch(tags, /<img|<script(?! src= defer)|<[^>]*\s(?:on\w+|style)=/i, url);
      assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe/);
    }
    const page = await root.get(conversation);
    const frames = [...page.html.matchAll(/<iframe[^>]+src="([^"]+)"/g)].map(([, src]) => src ?? '');
    const { html } = await root.get(new URL(frames.at(-1) ?? '', publicUrl).href);
    const tags = html.slice(html.indexOf('<body>')).replaceAll(/="[^"]*"/g, '=');
    assert.doesNotMatch(tags, /<(?:script|iframe|object|embed|form|input|svg|math|base|link|video|audio)/i);
    assert.match(html, /an honest link/);
    const download = /href="([^"]+\/attachments\/\d+)"/.exec(
      page.html.slice(page.html.lastIndexOf('attachments') - 400),
    )?.[1];
    const file = await root.get(new URL(download ?? '', publicUrl).href);
    assert.match(
      file.headers.get('content-disposition') ?? '',
      /^attachment; filename="[^"\\/\r\n]+"; filename\*=UTF-8''[^"';\s]+$/,
    );
  });

  test('in German', async () => {
    const german = await w.t.administrator('root@operator.example', { language: 'de' });
    const { text } = await german.get(`${list}/${await w.conversationWith('rita')}`);
    assert.match(text, /Zitierter Text.*Bilder von anderswo sind ausgelassen/);
  });
});
