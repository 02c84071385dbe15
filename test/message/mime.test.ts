import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { readHeader } from '../../src/message/header.ts';
import { parseBody, type ParsedBody, roughBody } from '../../src/message/mime.ts';
import { multipart, rawMessage } from '../fixtures/message/raw.ts';

const parse = (raw: Buffer): Promise<ParsedBody> => parseBody(raw, readHeader(raw));

const bodies: [name: string, raw: Buffer, text: string, html: string | null, reply: string][] = [
  ['plain text', rawMessage('', 'Hello', '', '> quoted'), 'Hello\n\n> quoted', null, 'Hello'],
  [
    'nothing but HTML',
    rawMessage('Content-Type: text/html', '', '<p>Hello <b>you</b></p>'),
    'Hello you',
    '<p>Hello <b>you</b></p>',
    'Hello you',
  ],
  [
    'alternatives, the quote marked in HTML',
    multipart(
      'alternative',
      ['', 'Hello', 'Bob:', 'Old'],
      ['Content-Type: text/html', '', '<p>Hello</p><div id="divRplyFwdMsg">Bob:</div>Old'],
    ),
    'Hello\nBob:\nOld',
    '<p>Hello</p><div>Bob:</div>Old',
    'Hello',
  ],
  [
    'text and HTML one after the other',
    multipart('mixed', ['', 'Hello <you>'], ['Content-Type: text/html', '', '<p>Footer</p>']),
    'Hello <you>\nFooter',
    '<p>Hello &lt;you&gt;</p><br />\n<p>Footer</p>',
    'Hello <you>\n\n\nFooter',
  ],
  ['NUL', rawMessage('', 'a\0b'), 'ab', null, 'ab'],
  ['NUL in HTML', rawMessage('Content-Type: text/html', '', '<p>a\0b</p>'), 'ab', '<p>ab</p>', 'ab'],
  [
    'windows-1252 that says UTF-8',
    rawMessage('Content-Type: text/plain; charset=utf-8', '', 'Gr\xfc\xdfe'),
    'Grüße',
    null,
    'Grüße',
  ],
  ['windows-1252 that says nothing', rawMessage('', 'Gr\xfc\xdfe \x80'), 'Grüße €', null, 'Grüße €'],
  [
    'an unknown charset in quoted-printable',
    rawMessage(
      'Content-Type: text/html; charset=x-none',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '<p>Gr=FC=DFe</p>',
    ),
    'Grüße',
    '<p>Grüße</p>',
    'Grüße',
  ],
  [
    'Japanese',
    rawMessage('Content-Type: text/plain; charset=iso-2022-jp', '', '\x1b$B$3$s\x1b(B'),
    'こん',
    null,
    'こん',
  ],
  [
    'format=flowed',
    rawMessage('Content-Type: text/plain; format=flowed', '', 'one ', 'two'),
    'one two',
    null,
    'one two',
  ],
  [
    'a multipart without a boundary',
    rawMessage('Content-Type: multipart/mixed', '', 'Hello'),
    'Hello',
    null,
    'Hello',
  ],
  [
    'a missing end',
    rawMessage('Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'Hello'),
    'Hello',
    null,
    'Hello',
  ],
  ['no body', rawMessage(''), '', null, ''],
  ['no bytes', Buffer.alloc(0), '', null, ''],
];

describe('the body of a message', () => {
  for (const [name, raw, text, html, reply] of bodies) {
    test(`of ${name}`, async () => {
      const body = await parse(raw);
      assert.deepEqual(
        { ...body, text: body.text.trim() },
        { text, html, replyText: reply, attachments: [], partial: null },
      );
    });
  }

  test('lists attachments in order, decoded, hashed, named', async () => {
    const body = await parse(
      multipart(
        'mixed',
        ['', 'Hello'],
        [
          'Content-Type: application/pdf; name="=?utf-8?q?Gr=C3=BC=C3=9Fe=2Epdf?="',
          'Content-Transfer-Encoding: base64',
          '',
          'JVBERg==',
        ],
        [
          'Content-Type: application/octet-stream',
          "Content-Disposition: attachment; filename*=utf-8''..%2F%C3%A4.bin",
          '',
          'x',
        ],
        ['Content-Type: text/calendar; method=REQUEST', '', 'BEGIN:VCALENDAR'],
        ['Content-Type: application/ms-tnef; name=winmail.dat', '', 'x'],
        [
          'Content-Type: message/rfc822',
          '',
          'Subject: =?utf-8?q?The/offer_=C3=BC?=',
          'From: bob@acme.example',
          '',
          'inner text',
        ],
        [
          'Content-Type: message/rfc822',
          'Content-Disposition: inline',
          '',
          'From: bob@acme.example',
          '',
          'inner text',
        ],
        ['Content-Type: text/plain', 'Content-Disposition: attachment', '', 'x'],
        ['Content-Type: in valid', 'Content-Disposition: attachment', '', 'x'],
      ),
    );
    assert.equal(body.text.trim(), 'Hello');
    assert.deepEqual(
      body.attachments.map((file) => [file.n, file.name, file.type, file.size, file.inline]),
      [
        [1, 'Grüße.pdf', 'application/pdf', 4, false],
        [2, 'ä.bin', 'application/octet-stream', 1, false],
        [3, 'attachment-3.ics', 'text/calendar', 15, false],
        [4, 'winmail.dat', 'application/ms-tnef', 1, false],
        [5, 'The-offer ü.eml', 'message/rfc822', 75, false],
        [6, 'message.eml', 'message/rfc822', 36, false],
        [7, 'attachment-7.txt', 'text/plain', 1, false],
        [8, 'attachment-8.bin', 'application/octet-stream', 1, false],
      ],
    );
    const pdf = body.attachments[0];
    assert.equal(pdf?.content.toString(), '%PDF');
    assert.equal(pdf?.sha256, createHash('sha256').update('%PDF').digest('hex'));
  });

  test('L2: what the HTML shows by its Content-ID is inline', async () => {
    const image = (id: string, ...more: string[]): string[] => [
      'Content-Type: image/png',
      `Content-ID: <${id}>`,
      ...more,
      '',
      'x',
    ];
    const body = await parse(
      multipart(
        'related',
        [
          'Content-Type: text/html',
          '',
          '<img src="cid:shown@x.example"><img src="CID:with%20blank%40x.example">',
        ],
        image('shown@x.example', 'Content-Disposition: attachment; filename=a.png'),
        image('with blank@x.example'),
        image('not-shown@x.example'),
        ['Content-Type: image/png', '', 'x'],
      ),
    );
    assert.deepEqual(
      body.attachments.map((file) => [file.contentId, file.inline]),
      [
        ['shown@x.example', true],
        ['withblank@x.example', true],
        ['not-shown@x.example', false],
        [null, false],
      ],
    );
    assert.match(body.html ?? '', /src="cid:shown@x\.example"/);
  });

  test('S11: the parts of a delivery report are kept', async () => {
    const body = await parse(
      multipart(
        'report; report-type=delivery-status',
        ['', 'It was not delivered.'],
        [
          'Content-Type: message/delivery-status',
          '',
          'Reporting-MTA: dns; mx.example',
          '',
          'Action: failed',
          'Status: 5.1.1',
        ],
        ['Content-Type: text/rfc822-headers', '', 'Message-ID: <1@acme.example>'],
      ),
    );
    assert.equal(body.text.trim(), 'It was not delivered.');
    assert.deepEqual(
      body.attachments.map((file) => [file.type, file.name]),
      [
        ['message/delivery-status', 'attachment-1.txt'],
        ['text/rfc822-headers', 'attachment-2.txt'],
      ],
    );
    assert.match(body.attachments[0]?.content.toString() ?? '', /Status: 5\.1\.1/);
  });

  test('PostgreSQL can store every string: no NUL, no half of a surrogate pair', async () => {
    const written = Buffer.from('a\0\ud800b', 'utf16le').toString('base64');
    const type = (subtype: string) => [
      `Content-Type: text/${subtype}; charset=utf-16le`,
      'Content-Transfer-Encoding: base64',
      '',
    ];
    const odd = '%61%00%00%D8%62%00';
    const raws = [
      rawMessage(...type('plain'), written),
      rawMessage(...type('html'), written),
      rawMessage('Content-Type: text/html', '', 'a&#0;&#xd800;b&#xdc00;<p title="&#xd800;">&#0;</p>'),
      rawMessage('', 'a\0b'),
      multipart(
        'mixed',
        ['', 'x'],
        [
          'Content-Type: image/png',
          `Content-Disposition: attachment; filename*=utf-16le''${odd}`,
          'Content-ID: <a\0=?utf-16le?b?ANg=?=>',
          '',
          'x',
        ],
        ['Content-Type: image/png; name="=?utf-16le?b?ANg=?=\0.png"', '', 'x'],
      ),
    ];
    for (const raw of raws) {
      for (const body of [await parse(raw), roughBody(raw, 'parse_failed')]) {
        const strings = [body.text, body.html ?? '', body.replyText];
        for (const { name, contentId, type } of body.attachments) strings.push(name, contentId ?? '', type);
        for (const text of strings)
          assert.ok(text.isWellFormed() && !text.includes('\0'), JSON.stringify(text));
      }
    }
  });

  test('a message of 200 levels is whole', async () => {
    const levels = Array.from({ length: 200 }, (_, level) => [
      `Content-Type: multipart/mixed; boundary=b${level}`,
      '',
      `--b${level}`,
    ]);
    const body = await parse(rawMessage(...levels.flat(), 'Content-Type: text/plain', '', 'deep'));
    assert.deepEqual([body.text.trim(), body.partial], ['deep', null]);
  });

  test('T3: what the parser refuses keeps its text, and says why', async () => {
    const manyParts = await parse(
      multipart(
        'mixed',
        ['', 'Hello'],
        ...Array.from({ length: 3000 }, () => ['Content-Type: image/png', '', 'x']),
      ),
    );
    assert.deepEqual(manyParts, {
      text: 'Hello',
      html: null,
      replyText: 'Hello',
      attachments: [],
      partial: 'mime_too_many_parts',
    });
    const hugeHeader = await parse(
      rawMessage(`X-A: ${'a'.repeat(1_100_000)}`, 'Content-Type: text/html', '', '<p>Hello</p>'),
    );
    assert.deepEqual(
      [hugeHeader.text, hugeHeader.html, hugeHeader.partial],
      ['Hello', null, 'mime_header_too_large'],
    );
  });
});
