import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parseMailDate } from '../../src/message/mail-date.ts';

const cases: [header: string, expected: string | null][] = [
  ['Mon, 3 Jun 2024 10:00:00 +0200', '2024-06-03T08:00:00Z'],
  ['Mon, 3 Jun 2024 10:00:00 +0200 (CEST)', '2024-06-03T08:00:00Z'],
  ['3 Jun 2024 10:00 -0530', '2024-06-03T15:30:00Z'],
  ['Mon,  3 Jun 2024 10:00:00 GMT', '2024-06-03T10:00:00Z'],
  ['Mon, 3 Jun 2024 10:00:00 EST', '2024-06-03T15:00:00Z'],
  ['Mon, 3 Jun 2024 10:00:00 Z', '2024-06-03T10:00:00Z'],
  ['Mon, 3 Jun 2024 10:00:00 XYZ', '2024-06-03T10:00:00Z'],
  ['Mon, 3 Jun 2024 10:00:00', '2024-06-03T10:00:00Z'],
  ['Mon, 3 Jun 24 10:00:00 +0000', '2024-06-03T10:00:00Z'],
  ['Fri, 3 Jun 94 10:00:00 +0000', '1994-06-03T10:00:00Z'],
  ['Monday, 03-June-2024 10:00:00 +0000', '2024-06-03T10:00:00Z'],
  ['Mon Jun  3 10:00:00 2024', '2024-06-03T10:00:00Z'],
  ['Mon Jun  3 10:00:00 PST 2024', '2024-06-03T18:00:00Z'],
  ['2024-06-03T10:00:00+02:00', '2024-06-03T08:00:00Z'],
  ['2024-06-03 10:00:00.123456', '2024-06-03T10:00:00Z'],
  ['Wed, 31 Dec 1969 23:59:59 +0000', null],
  ['Thu, 1 Jan 1970 00:00:00 +0000', null],
  ['Mon, 3 Jun 2124 10:00:00 +0000', null],
  ['Mon, 32 Jun 2024 10:00:00 +0000', null],
  ['Mon, 3 Foo 2024 10:00:00 +0000', null],
  ['Mon, 3 Jun 2024 25:00:00 +0000', null],
  ['3 juin 2024 10:00', null],
  ['yesterday 1', null],
  ['Mon, 3 Jun 2024', null],
  ['', null],
];

describe('Date headers (RFC 5322 §3.3, §4.3)', () => {
  for (const [header, expected] of cases) {
    test(JSON.stringify(header), () => {
      assert.equal(parseMailDate(header), expected === null ? null : Date.parse(expected));
    });
  }

  test('reads every date that JavaScript writes in this form', () => {
    const dates = fc.date({
      min: new Date('1980-01-01T00:00:00Z'),
      max: new Date('2099-12-31T00:00:00Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(
        dates,
        (date) => parseMailDate(date.toUTCString()) === Math.floor(date.getTime() / 1000) * 1000,
      ),
    );
  });

  test('gives a number in range or null for anything', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const date = parseMailDate(text);
        assert.ok(date === null || (date >= Date.UTC(1980, 0) && date < Date.UTC(2100, 0)));
      }),
    );
  });
});
