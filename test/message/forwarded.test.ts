import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type Forwarded, readForwarded } from '../../src/message/forwarded.ts';
import { readHeader } from '../../src/message/header.ts';
import { parseMessage } from '../../src/message/parse.ts';
import {
  answersIn,
  clients,
  comment,
  forwardHtml,
  forwardText,
  forwardWords,
  languages,
  original,
  sentAt,
} from '../fixtures/message/forwards.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

type Mail = { subject: string; text?: string; html?: string; date?: string; attached?: readonly string[] };

/** A mail of a user to the logging address, as parsed. */
async function read({ subject, text, html, date, attached }: Mail): Promise<Forwarded> {
  const bodies = [
    text === undefined ? [] : [part('text/plain; charset=utf-8', text)],
    html === undefined ? [] : [part('text/html; charset=utf-8', html)],
    (attached ?? []).map((each) => `Content-Type: message/rfc822\r\n\r\n${each}`),
  ].flat();
  const multipart = (attached ?? []).length > 0 ? 'mixed' : 'alternative';
  const raw = [
    'From: Jonas Fink <jonas@acme.example>',
    'To: 8f3kq@log.twoway.example',
    `Subject: =?utf-8?B?${Buffer.from(subject).toString('base64')}?=`,
    `Date: ${date ?? 'Thu, 26 Nov 2026 09:30:00 +0100'}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/${multipart}; boundary=b`,
    '',
    ...bodies.map((each) => `--b\r\n${each}`),
    '--b--',
    '',
  ].join('\r\n');
  return readForwarded(await parseMessage(Buffer.from(raw)));
}

function part(type: string, content: string): string {
  const coded = Buffer.from(content).toString('base64').replace(/.{76}/g, '$&\r\n');
  return `Content-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${coded}`;
}

function inline(found: Forwarded): Extract<Forwarded, { form: 'inline' }> {
  if (found.form !== 'inline') assert.fail(`${found.form}, not inline`);
  return found;
}

describe('B2: forwards as the mail programs write them', () => {
  for (const client of clients) {
    for (const language of languages) {
      const bodies: [name: string, text: string | undefined, html: string | undefined][] = [
        ['text', forwardText(client, language), undefined],
        ['HTML', undefined, forwardHtml(client, language)],
        ['both', forwardText(client, language), forwardHtml(client, language)],
      ];
      for (const [name, text, html] of bodies) {
        test(`${client}, ${language}, ${name}`, async () => {
          const found = await read({
            subject: forwardWords[language][client].prefix + original.subject,
            ...(text === undefined ? {} : { text }),
            ...(html === undefined ? {} : { html }),
          });
          const { original: it, doubts, confident, comment: said } = inline(found);
          assert.deepEqual(doubts, []);
          assert.equal(confident, true);
          assert.deepEqual(it.from, original.from);
          assert.deepEqual(it.to, [original.to]);
          assert.deepEqual(it.cc, original.cc);
          assert.equal(it.subject, original.subject);
          assert.deepEqual(it.date, sentAt(client, language));
          assert.equal(said, comment);
          assert.equal(
            it.text.replace(/\n{2,}/g, '\n'),
            original.text.filter((line) => line !== '').join('\n'),
          );
          if (html === undefined) assert.equal(it.html, null);
          else {
            assert.match(it.html ?? '', /3,20 m by 2,10 m/);
            assert.match(it.html ?? '', /Could you send the measures/);
            assert.doesNotMatch(it.html ?? '', /Please log this|15:04|3:04|Jonas Fink, Acme/);
          }
        });
      }
    }
  }
});

describe('B2: answers are no forwards', () => {
  for (const language of languages) {
    for (const { name, subject, text, html } of answersIn(language)) {
      test(`${name}, ${language}`, async () => {
        assert.deepEqual(await read({ subject, text }), { form: 'none' });
        assert.deepEqual(await read({ subject, html }), { form: 'none' });
        assert.deepEqual(await read({ subject, text, html }), { form: 'none' });
        // Also where the subject was edited, and says nothing.
        assert.deepEqual(await read({ subject: 'Your kitchen', text, html }), { form: 'none' });
      });
    }
  }
});

/** A forward by Outlook in English whose block has these lines. */
const block = (lines: Readonly<Record<string, string>>, said = 'Hello'): string =>
  [
    '________________________________',
    ...Object.entries(lines).map(([name, value]) => `${name}: ${value}`),
    '',
    said,
  ].join('\n');
const plain = {
  From: 'Anna Berg <anna@customer.example>',
  Sent: 'Monday, November 23, 2026 3:04 PM',
  To: 'Jonas Fink <jonas@acme.example>',
  Subject: 'Kitchen',
};
/** A block of Outlook in a language that is not among ours. */
const hungarian =
  'Feladó: Ute <ute@customer.example>\nElküldve: 2026. november 25., szerda 9:04\nCímzett: Jonas\nTárgy: Konyha';
const sent = '2026-11-23T14:04:00.000Z';

/** Whose words these are, and when: all that matters for where a forward is logged. */
function gist(found: Forwarded): unknown {
  const { original: it, doubts } = inline(found);
  const text = it.text.replaceAll('\r', '').replace(/^\n+|\n+$/g, '');
  return [it.from?.address ?? null, it.date?.toISOString() ?? null, it.subject, text, ...doubts];
}

describe('B2: forwards of other programs, and odd ones', () => {
  const cases: [name: string, mail: Mail, gist: unknown][] = [
    [
      'Outlook in plain text',
      {
        subject: 'FW: Kitchen',
        text: block({ ...plain }).replace(/^_+/, '-----Original Message-----'),
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'Outlook up to 2013, [mailto:…]',
      {
        subject: 'FW: Kitchen',
        text: block({ ...plain, From: 'Anna Berg [mailto:anna@customer.example] ' }),
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'Samsung',
      {
        subject: 'Fwd: Kitchen',
        text: '\n-------- Original message --------\nFrom: Anna Berg <anna@customer.example>\nDate: 11/23/26 3:04 PM (GMT+01:00)\nTo: jonas@acme.example\nSubject: Kitchen\n\nHello',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'Yahoo',
      {
        subject: 'Fw: Kitchen',
        text: '----- Forwarded Message -----\nFrom: Anna Berg <anna@customer.example>\nTo: "jonas@acme.example" <jonas@acme.example>\nSent: Monday, November 23, 2026 at 03:04:00 PM GMT+1\nSubject: Kitchen\n\nHello',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'HTML made to text, with stars and blank lines',
      {
        subject: 'FW: Kitchen',
        text: '*From:* Anna Berg <anna@customer.example>\n\n*Sent:* Monday, November 23, 2026 3:04 PM\n\n*To:* Jonas\n\n*Subject:* Kitchen\n\nHello',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'no blank line below the block, and a colon in the text',
      { subject: 'FW: Kitchen', text: block(plain).replace('\n\nHello', '\nNote: hello\nyou@there.example') },
      ['anna@customer.example', sent, 'Kitchen', 'Note: hello\nyou@there.example'],
    ],
    [
      'lines of the block that are not read',
      { subject: 'FW: Kitchen', text: block({ ...plain, Importance: 'High', Attachments: 'plan.pdf' }) },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'a block that Gmail wrapped',
      {
        subject: 'Fwd: Kitchen',
        text: '---------- Forwarded message ---------\nFrom: Anna Berg of the customer with the very long name\n<anna@customer.example>\nDate: Mon, Nov 23, 2026 at 3:04 PM\nSubject: Kitchen with\nan island\nTo: Jonas Fink <jonas@acme.example>, Ute Weber\n<ute@customer.example>,\nolaf@customer.example\n\n\nHello',
      },
      ['anna@customer.example', sent, 'Kitchen with an island', 'Hello'],
    ],
    [
      'an empty subject',
      { subject: 'FW: ', text: block({ ...plain, Subject: '' }) },
      ['anna@customer.example', sent, '', 'Hello'],
    ],
    [
      'a forward of a forward: the outer one is what the user has',
      {
        subject: 'Fwd: Fwd: Kitchen',
        text: `---------- Forwarded message ---------\nFrom: Anna Berg <anna@customer.example>\nDate: Mon, Nov 23, 2026 at 3:04 PM\nSubject: Fwd: Kitchen\nTo: <jonas@acme.example>\n\n\n---------- Forwarded message ---------\nFrom: Ute <ute@customer.example>\nDate: Sun, Nov 22, 2026 at 1:00 PM\nSubject: Kitchen\nTo: <anna@customer.example>\n\nInner`,
      },
      [
        'anna@customer.example',
        sent,
        'Fwd: Kitchen',
        '---------- Forwarded message ---------\nFrom: Ute <ute@customer.example>\nDate: Sun, Nov 22, 2026 at 1:00 PM\nSubject: Kitchen\nTo: <anna@customer.example>\n\nInner',
      ],
    ],
    [
      'a mark, and a subject that was edited',
      { subject: 'Kitchen in Ulm', text: forwardText('Gmail', 'de') },
      ['anna.berg@customer.example', sent, original.subject, original.text.join('\n')],
    ],
    [
      'Exchange: only a name',
      { subject: 'FW: Kitchen', text: block({ ...plain, From: 'Anna Berg' }) },
      [null, sent, 'Kitchen', 'Hello', 'no_from_address'],
    ],
    [
      'Exchange: only a name, with a link',
      {
        subject: 'FW: Kitchen',
        html: '<p><b>From:</b> <a href="mailto:anna@customer.example">Anna Berg</a><br><b>Sent:</b> Monday, November 23, 2026 3:04 PM<br><b>To:</b> <a href="mailto:jonas@acme.example">Jonas Fink</a><br><b>Subject:</b> Kitchen</p><p>Hello</p>',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'a service that sends for somebody',
      {
        subject: 'FW: Kitchen',
        text: block({
          ...plain,
          From: 'bounces@mailer.example [mailto:bounces@mailer.example] On Behalf Of Anna Berg',
        }),
      },
      [null, sent, 'Kitchen', 'Hello', 'no_from_address'],
    ],
    [
      'a list that sends for somebody, with both addresses',
      {
        subject: 'FW: Kitchen',
        text: block({
          ...plain,
          From: 'list <list@lists.example> on behalf of Anna Berg <anna@customer.example>',
        }),
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'a name that claims another address',
      {
        subject: 'FW: Kitchen',
        text: block({ ...plain, From: '"boss@acme.example" <anna@customer.example>' }),
      },
      [null, sent, 'Kitchen', 'Hello', 'no_from_address'],
    ],
    [
      "the user's own mail",
      { subject: 'FW: Kitchen', text: block({ ...plain, From: 'Jonas Fink <Jonas+x@acme.example>' }) },
      ['Jonas+x@acme.example', sent, 'Kitchen', 'Hello', 'from_is_forwarder'],
    ],
    [
      'a date that is none',
      { subject: 'FW: Kitchen', text: block({ ...plain, Sent: 'yesterday' }) },
      ['anna@customer.example', null, 'Kitchen', 'Hello', 'no_date'],
    ],
    [
      'a date that may be two',
      { subject: 'FW: Kitchen', text: block({ ...plain, Sent: '03/04/2026 15:04' }) },
      ['anna@customer.example', '2026-03-04T14:04:00.000Z', 'Kitchen', 'Hello', 'ambiguous_date'],
    ],
    [
      'a date after the forward',
      { subject: 'FW: Kitchen', text: block({ ...plain, Sent: 'Monday, December 7, 2026 3:04 PM' }) },
      ['anna@customer.example', '2026-12-07T14:04:00.000Z', 'Kitchen', 'Hello', 'date_after_forward'],
    ],
    [
      'no line for the subject',
      {
        subject: 'Fwd: Kitchen',
        text: '> Begin forwarded message:\n> \n> From: Anna Berg <anna@customer.example>\n> Date: 23 November 2026 at 15:04:00 CET\n> To: jonas@acme.example\n> \n> Hello\n> > older\n\nJonas',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello\n> older', 'no_subject'],
    ],
    [
      'nothing but the subject says that it is a forward',
      { subject: 'Fwd: Kitchen', text: 'Anna called, she wants the island.' },
      [null, null, 'Kitchen', 'Anna called, she wants the island.', 'no_header_block'],
    ],
    [
      'a language that we do not know',
      {
        subject: 'Fwd: Kitchen',
        text: '---------- Forwarded message ---------\nFeladó: Anna Berg <anna@customer.example>\nDate: 2026. nov. 23., H, 15:04\nSubject: Kitchen\nTo: <jonas@acme.example>\n\nHello',
      },
      [null, null, 'Kitchen', 'Hello', 'no_from_address', 'no_date'],
    ],
    [
      'a language that we do not know, by Outlook, above an older mail that we could read',
      { subject: 'FW: Kitchen', text: `See below\n\n${hungarian}\n\nHello\n\n${block(plain)}` },
      [null, null, 'Kitchen', `See below\n\n${hungarian}\n\nHello\n\n${block(plain)}`, 'no_header_block'],
    ],
    [
      'the same above an older forward',
      { subject: 'FW: Kitchen', text: `${hungarian}\n\n${forwardText('Gmail', 'en')}` },
      [
        null,
        null,
        'Kitchen',
        `${hungarian}\n\n${forwardText('Gmail', 'en')}`.replaceAll('\r', ''),
        'no_header_block',
      ],
    ],
    [
      'a block that fell apart, above an older one',
      {
        subject: 'FW: Kitchen',
        text: `From: Ute <ute@customer.example>\n\n\nSent: today\n\n\nHello\n\n${block(plain)}`,
      },
      [
        null,
        null,
        'Kitchen',
        `From: Ute <ute@customer.example>\n\n\nSent: today\n\n\nHello\n\n${block(plain)}`,
        'no_header_block',
      ],
    ],
    [
      'two bodies that say different things',
      {
        subject: 'FW: Kitchen',
        text: block(plain),
        html: block({ ...plain, From: 'ute@customer.example' }).replaceAll('\n', '<br>'),
      },
      [null, sent, 'Kitchen', 'Hello', 'no_from_address'],
    ],
    [
      'two bodies, of which the text has an older mail only',
      {
        subject: 'FW: Kitchen',
        text: `${hungarian}\n\nHello\n\n${block(plain)}`.replaceAll('@', ' at '),
        html: `${hungarian}\n\nHello\n\n${block(plain)}`.replaceAll('<', '&lt;').replaceAll('\n', '<br>'),
      },
      [
        null,
        null,
        'Kitchen',
        `${hungarian}\n\nHello\n\n${block(plain)}`.replaceAll('@', ' at '),
        'no_header_block',
      ],
    ],
    [
      'a phone that puts an invisible mark before the text',
      {
        subject: 'Fwd: Kitchen',
        text: 'Begin forwarded message:\n\n> From: Anna Berg <anna@customer.example>\n> Date: 23 November 2026 at 15:04:00 CET\n> To: jonas@acme.example\n> Subject: Kitchen\n> \n> \ufeffHello',
      },
      ['anna@customer.example', sent, 'Kitchen', 'Hello'],
    ],
    [
      'a mark below the subject of an answer',
      { subject: 'Re: Kitchen', text: forwardText('Gmail', 'en') },
      ['anna.berg@customer.example', sent, original.subject, original.text.join('\n'), 'reply_subject'],
    ],
    [
      'a block, and neither a subject that says so nor a word above',
      { subject: 'Kitchen', text: block(plain) },
      ['anna@customer.example', sent, 'Kitchen', 'Hello', 'unmarked'],
    ],
  ];
  for (const [name, mail, expected] of cases) {
    test(name, async () => {
      const found = await read(mail);
      assert.deepEqual(gist(found), expected);
      assert.equal(inline(found).confident, inline(found).doubts.length === 0);
    });
  }

  test('what was read is shown as written', async () => {
    const text = block({ ...plain, From: 'Anna  Berg', Sent: 'the other day', Cc: 'Ute; Olaf' });
    assert.deepEqual(inline(await read({ subject: 'FW: x', text })).read, {
      from: 'Anna Berg',
      to: 'Jonas Fink <jonas@acme.example>',
      cc: 'Ute; Olaf',
      date: 'the other day',
      subject: 'Kitchen',
    });
  });

  test("the user's words below the forwarded message are theirs", async () => {
    const { comment: said, original: it } = inline(
      await read({ subject: 'Fwd: x', text: `${forwardText('Apple Mail', 'en')}\n\nCall her, please.` }),
    );
    assert.equal(said, `${comment}\n\nCall her, please.`);
    assert.equal(it.text, original.text.join('\n'));
  });

  test('a signature alone is no word of the user', async () => {
    for (const signature of ['Sent from my iPhone', '-- \nJonas Fink\nAcme', '-- ']) {
      const found = inline(await read({ subject: 'Kitchen', text: `${signature}\n\n${block(plain)}` }));
      assert.deepEqual([found.comment, found.doubts], ['', ['unmarked']]);
    }
  });

  test('a forward that could not be parsed as a whole is doubted', async () => {
    const message = await parseMessage(Buffer.from(`Subject: FW: x\r\n\r\n${block(plain)}`));
    const found = inline(readForwarded({ ...message, partial: 'mime_broken' }));
    assert.deepEqual(found.doubts, ['incomplete']);
  });

  test('where the forward is dated in UTC, as by Exchange, the original is not dated after it', async () => {
    const text = block(plain);
    const found = inline(await read({ subject: 'FW: x', text, date: 'Mon, 23 Nov 2026 14:10:00 +0000' }));
    assert.equal(found.original.date?.toISOString(), sent);
    assert.equal(found.original.zoneAssumed, true);
    assert.deepEqual(found.doubts, []);
  });
});

describe('B2: mail that is no forward', () => {
  const cases: [name: string, mail: Mail][] = [
    ['a mail', { subject: 'Kitchen', text: 'Hello Anna,\n\nwe deliver on Monday.' }],
    [
      'a mail that says From: in prose',
      {
        subject: 'Trip',
        text: 'Our trains:\n\nFrom: Ulm\nTo: Berlin\nDate: Monday, November 23, 2026 15:04\n\nSee you',
      },
    ],
    [
      'a mail about a mail',
      { subject: 'Kitchen', text: `Is this from you?\n\n${block(plain)}\n\nIt looks odd.` },
    ],
    [
      'a mail that names the mark in a sentence',
      {
        subject: 'Help',
        text: 'It says "---------- Forwarded message ---------" above the text.\nFrom: a@b.example',
      },
    ],
    [
      'a newsletter',
      {
        subject: 'News for November',
        html: '<table><tr><td><h1>News</h1></td></tr><tr><td>From: 10 EUR<br>Date: 23 November 2026</td></tr></table><p>You get this since you subscribed: <a href="mailto:off@news.example">off</a></p>',
      },
    ],
    [
      'an answer to a forward, which is quoted',
      {
        subject: 'Re: Fwd: Kitchen',
        text: `Thanks!\n\nOn Mon, Nov 23, 2026 at 3:04 PM Anna Berg <anna@customer.example> wrote:\n\n${forwardText('Gmail', 'en').replace(/^/gm, '> ')}`,
      },
    ],
    [
      'the same with an edited subject, and the mark first in the quote',
      {
        subject: 'Kitchen',
        text: `Thanks!\n\nOn Mon, Nov 23, 2026 at 3:04 PM Anna Berg <anna@customer.example> wrote:\n\n> Begin forwarded message:\n> \n> From: Ute <ute@customer.example>\n> Date: 23 November 2026 at 15:04:00 CET\n> Subject: Kitchen\n> \n> Hello`,
      },
    ],
    [
      "an answer by Outlook to Gmail's forward",
      { subject: 'RE: Fwd: Kitchen', text: `Thanks!\n\n${block(plain, forwardText('Gmail', 'en'))}` },
    ],
    [
      'the same by one in a language that we do not know',
      {
        subject: 'RE: Fwd: Kitchen',
        text: `Thanks!\n\nFeladó: Anna <anna@customer.example>\nElküldve: 2026. november 23., hétfő 15:04\n\n${forwardText('Gmail', 'en')}`,
      },
    ],
    [
      'an answer with a mail attached',
      { subject: 'Re: Kitchen', text: 'See there', attached: ['Subject: x\r\n\r\ny'] },
    ],
    ['nothing', { subject: '', text: '' }],
  ];
  for (const [name, mail] of cases) {
    test(name, async () => assert.deepEqual(await read(mail), { form: 'none' }));
  }
});

describe('B2: a message that is attached', () => {
  const inner = [
    'From: Anna Berg <anna@customer.example>',
    'To: jonas@acme.example',
    'Subject: =?utf-8?Q?K=C3=BCche?=',
    'Date: Mon, 23 Nov 2026 15:04:00 +0100',
    'Content-Type: multipart/mixed; boundary=inner',
    '',
    '--inner',
    'Content-Type: text/plain',
    '',
    'Hello',
    '--inner',
    'Content-Type: application/pdf; name=plan.pdf',
    'Content-Transfer-Encoding: base64',
    '',
    'JVBERg==',
    '--inner--',
  ].join('\r\n');

  test('comes as its own bytes, with what the user wrote', async () => {
    const found = await read({
      subject: 'Fwd: Küche',
      text: 'For the file.\n\n-- \nJonas',
      attached: [inner],
    });
    if (found.form !== 'attached') assert.fail(found.form);
    assert.deepEqual([found.confident, found.doubts, found.comment], [true, [], 'For the file.']);
    const message = await parseMessage(found.raw);
    assert.equal(message.header.from[0]?.address, 'anna@customer.example');
    assert.equal(message.header.subject, 'Küche');
    assert.equal(message.text.trim(), 'Hello');
    assert.deepEqual(
      message.attachments.map(({ name, content }) => [name, content.toString()]),
      [['plan.pdf', '%PDF']],
    );
    assert.equal(found.raw.toString().trimEnd(), inner);
  });

  /** As the programs put it into a forward, from the Content-Type of the forward on. */
  const coded = Buffer.from(inner).toString('base64').replace(/.{76}/g, '$&\r\n');
  const mixed = (...parts: string[]) =>
    `multipart/mixed; boundary=b\r\n\r\n${parts.map((each) => `--b\r\n${each}\r\n`).join('')}--b--\r\n`;
  const empty = 'Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n';
  const ways: [name: string, content: string][] = [
    [
      'Thunderbird',
      mixed(
        'Content-Type: text/html; charset=UTF-8\r\n\r\n<html><body><p><br></p></body></html>',
        `Content-Type: message/rfc822; charset=UTF-8; name="K.eml"\r\nContent-Disposition: attachment; filename="K.eml"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${inner}`,
      ),
    ],
    [
      'Outlook',
      mixed(
        'Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain\r\n\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>&nbsp;</p>\r\n--c--',
        `Content-Type: message/rfc822\r\nContent-Disposition: attachment;\r\n\tcreation-date="Thu, 26 Nov 2026 08:30:00 GMT"\r\n\r\n${inner}`,
      ),
    ],
    [
      'Apple Mail',
      mixed(
        empty,
        `Content-Disposition: attachment; filename=K.eml\r\nContent-Type: message/rfc822; x-mac-hide-extension=yes; name="K.eml"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${inner}`,
        empty,
      ),
    ],
    [
      'Gmail',
      mixed(
        'Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain\r\n\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\n<div dir="ltr"><br></div>\r\n--c--',
        `Content-Type: message/rfc822; name="K.eml"\r\nContent-Disposition: attachment; filename="K.eml"\r\nX-Attachment-Id: f_1\r\n\r\n${inner}`,
      ),
    ],
    [
      'a program that codes it, which RFC 2046 §5.2.1 forbids',
      mixed(empty, `Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n${coded}`),
    ],
    [
      'a program that knows no type but its ending',
      mixed(
        empty,
        `Content-Type: application/octet-stream; name="K.eml"\r\nContent-Transfer-Encoding: base64\r\n\r\n${coded}`,
      ),
    ],
    ['nothing around it', `message/rfc822\r\n\r\n${inner}`],
    ['a header in UTF-8 (RFC 6532 §3.7)', mixed(empty, `Content-Type: message/global\r\n\r\n${inner}`)],
  ];
  for (const [name, content] of ways) {
    test(`as by ${name}`, async () => {
      const head = [
        'From: Jonas Fink <jonas@acme.example>',
        'Subject: Fwd: x',
        'Date: Thu, 26 Nov 2026 09:30:00 +0100',
        'MIME-Version: 1.0',
        'Content-Type: ',
      ];
      const found = readForwarded(await parseMessage(Buffer.from(head.join('\r\n') + content)));
      if (found.form !== 'attached') assert.fail(found.form);
      assert.deepEqual([found.doubts, found.comment], [[], '']);
      const message = await parseMessage(found.raw);
      assert.deepEqual([message.header.subject, message.text.trim()], ['Küche', 'Hello']);
      assert.equal(message.attachments[0]?.content.toString(), '%PDF');
    });
  }

  const cases: [name: string, mail: Mail, doubts: readonly string[]][] = [
    [
      'its own subject, which Gmail leaves',
      { subject: 'Küche', text: 'For the file', attached: [inner] },
      [],
    ],
    ['no subject', { subject: '', text: 'For the file', attached: [inner] }, []],
    ['another subject, and no word', { subject: 'The plan', text: '', attached: [inner] }, []],
    ['another subject, and words', { subject: 'The plan', text: 'For you', attached: [inner] }, ['unmarked']],
    ['several', { subject: 'Fwd: 2 messages', text: '', attached: [inner, inner] }, ['several_messages']],
    [
      'a header that says nothing',
      { subject: 'Fwd: x', text: '', attached: ['Subject: x\r\n\r\ny'] },
      ['no_from_address', 'no_date'],
    ],
    [
      "the user's own",
      { subject: 'Fwd: x', text: '', attached: [inner.replace('anna@customer', 'jonas@acme')] },
      ['from_is_forwarder'],
    ],
  ];
  for (const [name, mail, doubts] of cases) {
    test(`with ${name}`, async () => {
      const found = await read(mail);
      if (found.form !== 'attached') assert.fail(found.form);
      assert.deepEqual([found.doubts, found.confident], [doubts, doubts.length === 0]);
    });
  }

  test('in what was forwarded in the text belongs to that', async () => {
    const found = await read({ subject: 'Fwd: x', text: forwardText('Gmail', 'en'), attached: [inner] });
    assert.equal(inline(found).confident, true);
  });
});

describe('B2: hostile forwards', () => {
  const forward = (text: string, html: string | null) => {
    const header = readHeader(
      Buffer.from(
        'From: jonas@acme.example\r\nSubject: Fwd: x\r\nDate: Thu, 26 Nov 2026 09:30:00 +0100\r\n\r\n',
      ),
    );
    return readForwarded({ header, text, html, replyText: '', attachments: [], partial: null });
  };

  test('never throw', () => {
    const piece = fc.constantFrom(
      '---------- Forwarded message ---------\n',
      'Begin forwarded message:\n',
      'From: ',
      'Date: ',
      'Von: a <a@b.example>\n',
      'Subject: x\n',
      'To: a@b.example,\n',
      '23. November 2026 15:04',
      '> ',
      '\n',
      '<div class="gmail_quote">',
      '<blockquote type="cite">',
      '</blockquote>',
      '</div>',
      '<br>',
      '<a href="mailto:a@b.example">',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
        const body = pieces.join('');
        forward(body, null);
        const found = forward(body, body);
        if (found.form === 'inline') assert.ok(found.original.text.length <= body.length * 4 + 100);
      }),
    );
  });

  const size = 300_000;
  const units = [
    'From: a\n',
    'From: a\nx\n',
    'From: a\n\n',
    'From: a <a@b.example>\nDate: x\nTo: a@b.example,\n',
    '---------- Forwarded message ---------\n',
    'Begin forwarded message:\n\n',
    '> Begin forwarded message:\n',
    'a:\n',
    '>\n',
    '> ',
    '\n',
    'a@b.example, ',
    '<a@b.example> ',
    '[mailto:',
    '[a@',
    '<',
    '"',
    ' on behalf of ',
    '1:',
    '23. november ',
  ];
  const markup = [
    '<div>',
    '<blockquote>',
    '<div class="gmail_quote">',
    '<a href="mailto:a@b.example">',
    '</blockquote><blockquote>',
    '<br>',
    '<table><tr><td>',
    '<pre>\n',
    '<p>',
  ];
  const filled = (unit: string, length: number) => unit.repeat(Math.ceil(length / unit.length));

  test('take linear time', () => {
    const head =
      '---------- Forwarded message ---------\nFrom: Anna <a@b.example>\nDate: 23 November 2026 15:04\nSubject: x\nTo: ';
    const htmlHead = `<blockquote type="cite"><div>${head.replaceAll('\n', '<br>').replaceAll('<a@', '&lt;a@')}</div>`;
    for (const unit of [...units, ...markup]) {
      assertInProportion(JSON.stringify(unit), size, (length) => forward(filled(unit, length), null));
      assertInProportion(`under a block: ${JSON.stringify(unit)}`, size, (length) =>
        forward(head + filled(unit, length), null),
      );
      assertInProportion(`HTML: ${JSON.stringify(unit)}`, size, (length) =>
        forward('', filled(unit, length)),
      );
      assertInProportion(`HTML, under a block: ${JSON.stringify(unit)}`, size, (length) =>
        forward('', htmlHead + filled(unit, length)),
      );
    }
  });
});
