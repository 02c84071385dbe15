import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { decodeWords, maskWords } from '../../src/message/encoded-words.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const cases: [name: string, written: string, expected: string][] = [
  ['plain text', 'Hello = ? there', 'Hello = ? there'],
  ['Q', '=?UTF-8?Q?Gr=C3=BC=C3=9Fe_an_alle?=', 'Grüße an alle'],
  ['B', '=?utf-8?B?R3LDvMOfZQ==?=', 'Grüße'],
  ['B without padding', '=?utf-8?B?R3LDvMOfZQ?=', 'Grüße'],
  ['lower-case encodings', '=?utf-8?q?a?= =?utf-8?b?Yg==?=', 'ab'],
  ['words between text', 'Re: =?utf-8?q?=C3=BC?= x', 'Re: ü x'],
  ['the blank between words dropped (RFC 2047 §6.2)', '=?utf-8?q?a?= \t=?utf-8?q?b?=', 'ab'],
  ['a character split over two words', '=?utf-8?B?w7zD?= =?utf-8?B?vA==?=', 'üü'],
  ['a character split over two encodings', '=?utf-8?Q?=C3?= =?utf-8?B?vA==?=', 'ü'],
  ['neighbours of two charsets', '=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=', 'üü'],
  ['no blank between words', '=?utf-8?q?a?==?utf-8?q?b?=', 'ab'],
  ['an unknown charset', '=?x-none?q?Gr=FC=DFe?=', 'Grüße'],
  ['a lie about the charset', '=?utf-8?q?Gr=FC=DFe?=', 'Grüße'],
  ['a language', '=?us-ascii*en?q?Hi?=', 'Hi'],
  ['blanks and question marks inside', '=?utf-8?Q?Really? yes?=', 'Really? yes'],
  ['an unfinished word', '=?utf-8?Q?abc', '=?utf-8?Q?abc'],
  ['no encoding', '=?utf-8?abc?=', '=?utf-8?abc?='],
  ['a stray equals sign in Q', '=?utf-8?Q?a=zz=4?=', 'a=zz=4'],
  ['raw 8-bit inside Q', '=?utf-8?Q?ü😀?=', 'ü😀'],
  ['Japanese', '=?ISO-2022-JP?B?GyRCJDMkcxsoQg==?=', 'こん'],
  ['an empty word', 'a =?utf-8?q??= b', 'a  b'],
];

describe('encoded words', () => {
  for (const [name, written, expected] of cases) {
    test(`decodes ${name}`, () => assert.equal(decodeWords(written), expected));
  }

  for (const [name, written, expected] of cases) {
    test(`masks ${name}`, () => {
      const masked = maskWords(written);
      assert.equal(decodeWords(masked), expected);
      assert.doesNotMatch(masked.replaceAll(/=\?[^?]+\?b\?[^?]*\?=/g, ''), /\?q\?.*\?=/i);
    });
  }

  test('what is encoded comes back, however it is split', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.integer({ min: 1, max: 40 }),
        (text, size) => {
          const bytes = Buffer.from(text);
          const words: string[] = [];
          for (let at = 0; at < bytes.length; at += size) {
            words.push(`=?utf-8?B?${bytes.toString('base64', at, at + size)}?=`);
          }
          assert.equal(decodeWords(words.join('\r\n ')), text);
        },
      ),
    );
  });

  test('takes linear time', () => {
    for (const unit of ['=?', '=?a?q?', '=?utf-8?q?a?= ', '?=', '=?utf-8?q?=41', '=?a b?q?c?=']) {
      assertInProportion(unit, 400_000, (length) => decodeWords(unit.repeat(length / unit.length)));
    }
  });
});
