import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { readRoughText } from '../../src/message/mime-text.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const rough = (...lines: string[]): { plain: string; html: string | null } =>
  readRoughText(Buffer.from(lines.join('\r\n'), 'latin1'));

const cases: [name: string, lines: string[], plain: string, html: string | null][] = [
  ['a plain message', ['Subject: a', '', 'Hello', 'you'], 'Hello\nyou', null],
  [
    'quoted-printable',
    ['Content-Transfer-Encoding: Quoted-Printable', '', 'Gr=C3=BC=C3=9F=', 'e =zz'],
    'Grüße =zz',
    null,
  ],
  [
    'base64',
    ['Content-Transfer-Encoding: base64', 'Content-Type: text/html; charset="utf-8"', '', 'PHA+', 'w7w8L3A+'],
    '',
    '<p>ü</p>',
  ],
  ['a wrong charset', ['Content-Type: text/plain; charset=utf-8', '', 'Gr\xfc\xdfe'], 'Grüße', null],
  ['a folded header', ['Content-Type: text/plain;', '\tcharset=koi8-r', '', '\xf0'], 'П', null],
  [
    'alternatives inside mixed',
    [
      'Content-Type: multipart/mixed; boundary="b 1"',
      '',
      'preamble',
      '--b 1',
      'Content-Type: multipart/alternative; boundary=c',
      '',
      '--c',
      '',
      'text',
      '--c',
      'Content-Type: text/html',
      '',
      '<p>html</p>',
      '--c--',
      '--b 1',
      'Content-Disposition: attachment',
      '',
      'file',
      '--b 1',
      '',
      'more',
      '--b 1--',
      'epilogue',
    ],
    'text\nmore',
    '<p>html</p>',
  ],
  ['a missing end', ['Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'text'], 'text', null],
  ['a missing boundary', ['Content-Type: multipart/mixed', '', 'text'], 'text', null],
  ['a boundary that never comes', ['Content-Type: multipart/mixed; boundary=b', '', 'text'], '', null],
  ['an attached message', ['Content-Type: message/rfc822', '', 'Subject: a', '', 'b'], '', null],
  ['no header', ['', 'text'], 'text', null],
  ['NUL', ['', 'a\0b'], 'ab', null],
  ['nothing', [], '', null],
];

describe('text without the parser', () => {
  for (const [name, lines, plain, html] of cases) {
    test(`reads ${name}`, () => assert.deepEqual(rough(...lines), { plain, html }));
  }

  test('finds the text in front of 20,000 parts, and under 20 levels', () => {
    const many = rough(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'first',
      ...Array(20_000).fill('--b\r\nContent-Type: image/png\r\n\r\nx'),
    );
    assert.equal(many.plain, 'first');
    const levels = Array.from(
      { length: 15 },
      (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}`,
    );
    assert.equal(rough(...levels, '', 'deep').plain, 'deep');
  });

  test('never throws', () => {
    const piece = fc.constantFrom(
      'Content-Type: multipart/mixed; boundary=b\r\n',
      '--b',
      '\r\n',
      '\n\n',
      'Content-Transfer-Encoding: base64\r\n',
      '=',
      'a',
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string())),
        (pieces) => typeof rough(pieces.join('')).plain === 'string',
      ),
    );
  });

  test('takes linear time', () => {
    const head = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n';
    const units = [
      '--b\r\n',
      `--b\r\n${head}`,
      '--b',
      '\r\n',
      'a',
      'a:',
      '--b\r\nContent-Type: text/html\r\n\r\n<p>',
      '=\r\n',
      '\n',
    ];
    for (const unit of units) {
      assertInProportion(JSON.stringify(unit), 8_000_000, (length) =>
        readRoughText(Buffer.from(head + unit.repeat(length / unit.length))),
      );
    }
  });
});
