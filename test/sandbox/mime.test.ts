import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeWords, headerOf, parseMime, textOf, type Part } from '../../src/sandbox/mime.ts';

function parse(...lines: string[]): { raw: Buffer; part: Part } {
  const raw = Buffer.from(lines.join('\r\n'));
  return { raw, part: parseMime(raw) };
}

function shape(part: Part): string {
  const inside = part.children.map(shape).join(' ');
  return `${part.type}/${part.subtype}${inside ? `(${inside})` : ''}`;
}

describe('parseMime', () => {
  const broken: [name: string, lines: string[], expected: string][] = [
    ['no headers', ['', 'text'], 'text/plain'],
    ['nothing at all', [''], 'text/plain'],
    ['headers alone', ['Subject: x'], 'text/plain'],
    [
      'a multipart without a boundary',
      ['Content-Type: multipart/mixed', '', 'x'],
      'application/octet-stream',
    ],
    [
      'a multipart without parts',
      ['Content-Type: multipart/mixed; boundary=b', '', 'x'],
      'application/octet-stream',
    ],
    [
      'a multipart that is cut off',
      ['Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'one', '--b', '', 'two'],
      'multipart/mixed(text/plain text/plain)',
    ],
    [
      'boundaries of which one begins with the other',
      [
        'Content-Type: multipart/mixed; boundary=b',
        '',
        '--b',
        'Content-Type: multipart/related; boundary=b-1',
        '',
        '--b-1',
        '',
        'inner',
        '--b-1--',
        '--b ',
        'Content-Type: image/png',
        '',
        '--b--',
        'epilogue',
      ],
      'multipart/mixed(multipart/related(text/plain) image/png)',
    ],
    ['a type without a slash', ['Content-Type: text', '', 'x'], 'application/octet-stream'],
  ];
  for (const [name, lines, expected] of broken) {
    test(name, () => assert.equal(shape(parse(...lines).part), expected));
  }

  test('a thousand nested multiparts end at the depth that is allowed', () => {
    const lines = Array.from({ length: 1000 }, (_, depth) => [
      `Content-Type: multipart/mixed; boundary=b${depth}`,
      '',
      `--b${depth}`,
    ]).flat();
    let part: Part | undefined = parse(...lines).part;
    let depth = 0;
    for (; part?.children[0]; part = part.children[0]) depth += 1;
    assert.equal(depth, 40);
    assert.equal(part?.type, 'application');
  });

  test('folded headers are one value, and keep their bytes', () => {
    const { part } = parse('Subject: one', '\ttwo', 'X-A : b', '', '');
    assert.equal(headerOf(part, 'subject'), 'one\ttwo');
    assert.equal(headerOf(part, 'x-a'), 'b');
    assert.equal(part.headers[0]?.raw, 'Subject: one\r\n\ttwo\r\n');
  });
});

describe('textOf', () => {
  test('undoes quoted-printable and its charset', () => {
    const { raw, part } = parse(
      'Content-Type: text/plain; charset="iso-8859-1"',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Gr=FC=DFe, so=  ',
      ' long',
    );
    assert.equal(textOf(raw, part), 'Grüße, so long');
  });
  test('undoes base64, prefers plain text, and takes no attachment', () => {
    const { raw, part } = parse(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain',
      'Content-Disposition: attachment',
      '',
      'attached',
      '--b',
      'Content-Type: text/html',
      '',
      '<p>html</p>',
      '--b',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: BASE64',
      '',
      Buffer.from('grün').toString('base64'),
      '--b--',
    );
    assert.equal(textOf(raw, part), 'grün');
  });
  test('shows the words of HTML where there is nothing else, and reads an unknown charset', () => {
    const { raw, part } = parse('Content-Type: text/html; charset=x-unknown', '', '<p>Hello <b>you</b></p>');
    assert.equal(textOf(raw, part), 'Hello you');
  });
});

test('decodeWords joins words that are next to each other, and reads raw UTF-8', () => {
  assert.equal(decodeWords('=?utf-8?B?R3LDvA==?= =?utf-8?q?=C3=9Fe_an?= all'), 'Grüße an all');
  assert.equal(decodeWords(Buffer.from('Grüße').toString('latin1')), 'Grüße');
});
