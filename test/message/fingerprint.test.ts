import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { headerFingerprint } from '../../src/message/fingerprint.ts';
import { readHeader } from '../../src/message/header.ts';

type Fields = Partial<
  Record<'From' | 'To' | 'Cc' | 'Bcc' | 'Subject' | 'Date' | 'Message-ID' | 'References' | 'X-A', string>
>;

const base: Fields = {
  From: 'Jane Doe <jane@gmail.com>',
  To: 'Bob <bob@acme.example>, carol@acme.example',
  Cc: 'dave@acme.example',
  Subject: 'Offer for you',
  Date: 'Mon, 3 Jun 2024 10:00:00 +0200',
};

function fingerprintOf(fields: Fields, receivedAt = 0): string {
  const lines = Object.entries({ ...base, ...fields }).filter(([, value]) => value !== '');
  return headerFingerprint(
    readHeader(Buffer.from(lines.map(([name, value]) => `${name}: ${value}\r\n`).join(''))),
    receivedAt,
  );
}

const same: [name: string, fields: Fields][] = [
  ['another spelling of the author', { From: 'j.a.n.e@googlemail.com (Jane)' }],
  [
    'recipients in another order, moved and repeated',
    { To: 'dave@acme.example, CAROL@acme.example', Cc: 'bob@acme.example, bob@acme.example' },
  ],
  ['Bcc', { Bcc: 'eve@acme.example' }],
  ['another zone of the same date', { Date: '3 Jun 2024 08:00:00 GMT' }],
  ['the subject encoded and folded', { Subject: '=?utf-8?q?Offer_for?=\r\n\t you' }],
  ['another Message-ID', { 'Message-ID': '<rewritten@outlook.example>' }],
  ['shortened References', { References: '<a@x.example>' }],
  ['headers added on the way', { 'X-A': 'b' }],
];

const different: [name: string, fields: Fields][] = [
  ['author', { From: 'jane+tag@gmail.com' }],
  ['second', { Date: 'Mon, 3 Jun 2024 10:00:01 +0200' }],
  ['subject', { Subject: 'Offer for you!' }],
  ["subject's case", { Subject: 'offer for you' }],
  ['recipient', { Cc: '' }],
  ['no date', { Date: '' }],
];

describe('S12: the fingerprint', () => {
  test('is 32 hex characters', () => assert.match(fingerprintOf({}), /^[0-9a-f]{32}$/));

  for (const [name, fields] of same) {
    test(`is the same with ${name}`, () => assert.equal(fingerprintOf(fields), fingerprintOf({})));
  }
  for (const [name, fields] of different) {
    test(`differs with another ${name}`, () => assert.notEqual(fingerprintOf(fields), fingerprintOf({})));
  }

  test('tells messages without a readable date apart by what stands there', () => {
    assert.notEqual(fingerprintOf({ Date: 'one' }), fingerprintOf({ Date: 'two' }));
    assert.equal(fingerprintOf({ Date: 'one  day' }), fingerprintOf({ Date: 'one\tday' }));
  });

  test('tells messages without any date apart by when they were received, and nothing else by that', () => {
    assert.notEqual(fingerprintOf({ Date: '' }, 1_000), fingerprintOf({ Date: '' }, 2_000));
    assert.equal(fingerprintOf({ Date: '' }, 1_000), fingerprintOf({ Date: '' }, 1_999));
    assert.equal(fingerprintOf({ Date: '' }, Number.NaN), fingerprintOf({ Date: '' }, Number.NaN));
    assert.equal(fingerprintOf({}, 1_000), fingerprintOf({}, 2_000));
    assert.equal(fingerprintOf({ Date: 'one' }, 1_000), fingerprintOf({ Date: 'one' }, 2_000));
  });

  test('of an empty header exists', () => {
    assert.match(headerFingerprint(readHeader(Buffer.alloc(0)), 0), /^[0-9a-f]{32}$/);
  });
});
