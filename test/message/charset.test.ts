import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { cleanBody, cleanLine, cut, decodeBytes } from '../../src/message/charset.ts';

const cases: [name: string, charset: string | null, bytes: string, expected: string][] = [
  ['ASCII without a charset', null, 'Hello', 'Hello'],
  ['UTF-8 without a charset', null, 'Gr\xc3\xbc\xc3\x9fe', 'Grüße'],
  ['windows-1252 without a charset', null, 'Gr\xfc\xdfe \x80', 'Grüße €'],
  ['UTF-8', 'UTF-8', '\xf0\x9f\x98\x80', '😀'],
  ['UTF-8 that says it is us-ascii', 'us-ascii', 'Gr\xc3\xbc\xc3\x9fe', 'Grüße'],
  ['UTF-8 that says it is iso-8859-1', 'ISO-8859-1', 'Gr\xc3\xbc\xc3\x9fe', 'Grüße'],
  ['windows-1252 that says it is UTF-8', 'utf-8', 'Gr\xfc\xdfe', 'Grüße'],
  ['windows-1252 that says it is iso-8859-1', 'iso-8859-1', '\x93Hi\x94', '“Hi”'],
  ['UTF-8 cut in the middle of a character', 'utf-8', '\xc3\xbc\xc3\xbc\xc3', 'üü\ufffd'],
  ['an unknown charset', 'x-unknown', 'Gr\xfc\xdfe', 'Grüße'],
  ['a charset with a language', 'iso-8859-15*de', '\xa4', '€'],
  ['a charset in quotes', '"koi8-r"', '\xf0\xf2', 'ПР'],
  ['Japanese, 7 bit', 'ISO-2022-JP', '\x1b$B$3$s\x1b(B!', 'こん!'],
  ['Japanese by Microsoft', 'cp932', '\x82\xb1\x82\xf1', 'こん'],
  ['Chinese', 'GB18030', '\xc4\xe3\xba\xc3', '你好'],
  ['Korean by Microsoft', 'cp949', '\xc7\xd1', '한'],
  ['UTF-16', 'utf-16le', 'a\x00\xfc\x00', 'aü'],
  ['UTF-7 is not decoded', 'utf-7', '+ADw-script+AD4-', '+ADw-script+AD4-'],
];

describe('charsets', () => {
  for (const [name, charset, bytes, expected] of cases) {
    test(`decodes ${name}`, () => assert.equal(decodeBytes(Buffer.from(bytes, 'latin1'), charset), expected));
  }

  test('any bytes in any charset give some text', () => {
    const labels = fc.oneof(
      fc.string(),
      fc.constantFrom('utf-8', 'shift_jis', 'iso-2022-jp', 'utf-16', 'big5', ''),
    );
    fc.assert(
      fc.property(fc.uint8Array(), labels, (bytes, label) => typeof decodeBytes(bytes, label) === 'string'),
    );
  });

  test('lines lose control characters and long blanks', () => {
    assert.equal(cleanLine('a\u0000b\r\n\tc  d\u0085 ', 100), 'a b c d');
    assert.equal(cleanLine('abc', 2), 'ab');
    assert.equal(cleanLine('a b', 100), 'a b');
    assert.equal(cleanLine('a\ud800', 100), 'a\ufffd');
  });

  test('bodies lose NUL alone, and are not cut inside a character', () => {
    assert.equal(cleanBody('a\u0000\tb\n', 100), 'a\tb\n');
    assert.equal(cleanBody('\udc00a', 100), '\ufffda');
    assert.equal(cut('a😀', 2), 'a');
    assert.equal(cut('a😀', 3), 'a😀');
  });
});
