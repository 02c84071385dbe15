import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { author, type MessageHeader, readHeader } from '../../src/message/header.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const read = (...lines: string[]): MessageHeader =>
  readHeader(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
const addresses = (list: MessageHeader['to']): string[] => list.map((each) => each.address);

describe('the header of a message', () => {
  test('reads what a mail client writes', () => {
    const header = read(
      'Received: from x.example by y.example; Mon, 3 Jun 2024 10:00:01 +0200',
      'From: "Doe, Jane" <Jane.Doe@customer.example>',
      'Sender: Office <office@customer.example>',
      'Reply-To: jane@customer.example',
      'To: Bob <bob@acme.example>,',
      '\tcarol@acme.example',
      'Cc: =?UTF-8?Q?J=C3=BCrgen?= <j@acme.example>',
      'Bcc: dave@acme.example',
      'Subject: =?UTF-8?B?UmU6IEFuZ2Vib3QgZsO8cg==?=',
      ' =?UTF-8?Q?_alle?=',
      'Date: Mon, 3 Jun 2024 10:00:00 +0200 (CEST)',
      'Message-ID: <3@customer.example>',
      'In-Reply-To: <2@acme.example>',
      'References: <1@customer.example>',
      ' <2@acme.example>',
      'Thread-Index: AdqwCgEBAQEBAgMEBQYHCAkKCwwNDg==',
      'Content-Type: text/plain; charset=utf-8',
      'X-Other: not asked for',
    );
    assert.deepEqual(header, {
      messageId: '3@customer.example',
      originalMessageId: null,
      inReplyTo: ['2@acme.example'],
      references: ['1@customer.example', '2@acme.example'],
      threadIndexRoot: '01dab00a010101010102030405060708090a0b0c0d0e',
      from: [{ name: 'Doe, Jane', address: 'Jane.Doe@customer.example' }],
      sender: { name: 'Office', address: 'office@customer.example' },
      replyTo: [{ name: '', address: 'jane@customer.example' }],
      to: [
        { name: 'Bob', address: 'bob@acme.example' },
        { name: '', address: 'carol@acme.example' },
      ],
      cc: [{ name: 'Jürgen', address: 'j@acme.example' }],
      bcc: [{ name: '', address: 'dave@acme.example' }],
      subject: 'Re: Angebot für alle',
      date: Date.UTC(2024, 5, 3, 8),
      dateText: 'Mon, 3 Jun 2024 10:00:00 +0200 (CEST)',
      fields: new Map([
        ['content-type', 'text/plain; charset=utf-8'],
        ['received', 'from x.example by y.example; Mon, 3 Jun 2024 10:00:01 +0200'],
      ]),
    });
  });

  test('of nothing is empty', () => {
    for (const raw of ['', '\r\n', '\r\n\r\nbody\r\n', 'no header at all', '\0\0\0', ':\r\n', 'From\r\n']) {
      const header = readHeader(Buffer.from(raw));
      assert.deepEqual(
        [header.messageId, header.subject, header.date, header.from],
        [null, '', null, []],
        raw,
      );
    }
  });

  test('ends at the empty line', () => {
    assert.equal(readHeader(Buffer.from('Subject: a\r\n\r\nMessage-ID: <b@x.example>\r\n')).messageId, null);
  });

  test('bears bare LF, bare CR and a missing end', () => {
    for (const end of ['\n', '\r', '\r\n']) {
      const header = readHeader(Buffer.from(['Subject: a', ' b', 'From: j@x.example'].join(end)));
      assert.equal(header.subject, 'a b', JSON.stringify(end));
      assert.deepEqual(addresses(header.from), ['j@x.example'], JSON.stringify(end));
    }
  });

  test('bears an mbox line in front, blanks before the colon, and junk between', () => {
    const header = read(
      'From jane@x.example Mon Jun  3 10:00:00 2024',
      'SUBJECT : a',
      'junk',
      ' more junk',
      'from:j@x.example',
    );
    assert.equal(header.subject, 'a');
    assert.deepEqual(addresses(header.from), ['j@x.example']);
  });

  test('S12: of repeated single fields the first counts, of lists all', () => {
    const header = read(
      'Message-ID: <first@x.example>',
      'Message-ID: <second@x.example>',
      'From: a@x.example',
      'From: evil@x.example',
      'Subject: one',
      'Subject: two',
      'To: b@x.example',
      'To: c@x.example',
      'References: <1@x.example>',
      'References: <2@x.example>',
    );
    assert.equal(header.messageId, 'first@x.example');
    assert.equal(header.subject, 'one');
    assert.deepEqual(addresses(header.from), ['a@x.example']);
    assert.deepEqual(addresses(header.to), ['b@x.example', 'c@x.example']);
    assert.deepEqual(header.references, ['1@x.example', '2@x.example']);
  });

  test('knows the id that Outlook or Gmail replaced', () => {
    assert.equal(read('X-Microsoft-Original-Message-ID: <own@x.example>').originalMessageId, 'own@x.example');
    assert.equal(read('X-Google-Original-Message-ID: own@x.example').originalMessageId, 'own@x.example');
  });

  const eightBit: [name: string, subject: string, expected: string][] = [
    ['raw UTF-8', 'Gr\xc3\xbc\xc3\x9fe', 'Grüße'],
    ['raw windows-1252', 'Gr\xfc\xdfe \x80', 'Grüße €'],
    ['a wrong charset', '=?utf-8?q?Gr=FC=DFe?=', 'Grüße'],
    ['an unknown charset', '=?x-none?q?Gr=FC=DFe?=', 'Grüße'],
    ['NUL and control characters', 'a\0b\x01c\x7fd', 'ab c d'],
    ['NUL inside an encoded word', '=?utf-8?q?a=00b=0D=0Ac?=', 'a b c'],
  ];
  for (const [name, subject, expected] of eightBit) {
    test(`reads a subject of ${name}`, () => assert.equal(read(`Subject: ${subject}`).subject, expected));
  }

  test('a date that is broken or absurd is null, and stays readable', () => {
    const header = read('Date: Tomorrow, if\t possible');
    assert.deepEqual([header.date, header.dateText], [null, 'Tomorrow, if possible']);
    assert.equal(read('Date: Thu, 1 Jan 1970 00:00:00 +0000').date, null);
  });

  test('keeps the fields that tell what kind of mail it is, and no others', () => {
    const header = read('Precedence: list', 'X-Secret: y', 'Comments: z', 'List-Id: <a.b>');
    assert.deepEqual(Object.fromEntries(header.fields), { 'list-id': '<a.b>', precedence: 'list' });
  });

  test('reads the first 256 KiB and ignores the rest', () => {
    const header = readHeader(
      Buffer.from(`Subject: a\r\n${'X: y\r\n'.repeat(100_000)}From: j@x.example\r\n\r\n`),
    );
    assert.equal(header.subject, 'a');
    assert.deepEqual(header.from, []);
    assert.equal(readHeader(Buffer.from(`Subject: ${'a'.repeat(400_000)}`)).subject.length, 10_000);
  });

  test('any bytes give a header without control characters', () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('Subject', 'From', 'To', 'References', 'Date', 'List-Id', ''),
        junk,
        (name, bytes) => {
          const header = readHeader(Buffer.concat([Buffer.from(`${name}: `), bytes]));
          const texts = [header.subject, header.dateText, ...header.references, ...header.fields.values()];
          for (const text of texts) assert.doesNotMatch(text, /\p{Cc}/u);
        },
      ),
    );
  });

  test('hostile headers take less than 200 ms', () => {
    const units = [
      'a\n',
      '\n a',
      ':\n',
      'To: a@x.example,\n',
      'To:,,,,\n',
      'From: "a\n',
      'References: <<<\n',
      'References: <a@x> <b@x>\n',
    ];
    units.push(
      'Subject: =?utf-8?q?a?=\n =?utf-8?q?b?=\n',
      'Subject: =?\n',
      '\r',
      'Date: 1 1 1 1\n',
      'To: (((((\n',
      'Thread-Index: AAAA\n',
    );
    for (const unit of units) {
      assertInProportion(JSON.stringify(unit), 300_000, (length) =>
        readHeader(Buffer.from(unit.repeat(length / unit.length))),
      );
    }
  });
});

describe('the author', () => {
  const list = ['List-Id: <sales.acme.example>', 'List-Post: <mailto:sales@acme.example>'];
  const cases: [name: string, lines: string[], expected: string | null][] = [
    ['is From', ['From: Jane <jane@customer.example>', 'Reply-To: x@y.example'], 'jane@customer.example'],
    ['is the first of From', ['From: a@x.example, b@x.example'], 'a@x.example'],
    ['is null without From', ['Sender: a@x.example'], null],
    ['is null when From has no address', ['From: Jane'], null],
    [
      'is X-Original-From where a list put itself into From (F32)',
      [
        ...list,
        "From: 'Jane' via Sales <sales@acme.example>",
        'X-Original-From: Jane <jane@customer.example>',
      ],
      'jane@customer.example',
    ],
    [
      'is Reply-To where a list put itself into From',
      [...list, 'From: Jane via Sales <Sales@acme.example>', 'Reply-To: Jane <jane@customer.example>'],
      'jane@customer.example',
    ],
    [
      'is the list when Reply-To is the list',
      [...list, 'From: Jane via Sales <sales@acme.example>', 'Reply-To: sales@acme.example'],
      'sales@acme.example',
    ],
    [
      'is the list when Reply-To names several',
      [...list, 'From: Jane via Sales <sales@acme.example>', 'Reply-To: a@x.example, b@x.example'],
      'sales@acme.example',
    ],
    [
      'is From when From is not the list',
      [...list, 'From: Jane via Sales <mallory@x.example>', 'Reply-To: jane@customer.example'],
      'mallory@x.example',
    ],
    [
      'is From when there is no list',
      ['From: Jane via Sales <sales@acme.example>', 'X-Original-From: jane@customer.example'],
      'sales@acme.example',
    ],
    [
      'is known by List-Id alone',
      [
        'List-Id: Sales <sales.acme.example>',
        'From: Jane via Sales <sales@acme.example>',
        'Reply-To: jane@customer.example',
      ],
      'jane@customer.example',
    ],
  ];
  for (const [name, lines, expected] of cases) {
    test(name, () => assert.equal(author(read(...lines))?.address ?? null, expected));
  }
});
