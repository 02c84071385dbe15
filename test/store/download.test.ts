import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dispositionOf, rangeOf } from '../../src/store/download.ts';

describe('Range (RFC 9110 §14)', () => {
  const table: [header: string | undefined, size: number, expected: string][] = [
    [undefined, 10, 'all'],
    ['bytes=0-4', 10, '0-4'],
    ['bytes=5-', 10, '5-9'],
    ['bytes=-3', 10, '7-9'],
    ['bytes=-30', 10, '0-9'],
    ['bytes=8-100', 10, '8-9'],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-0', 0, 'unsatisfiable'],
    ['bytes=0-99999999999999999999', 10, '0-9'],
    ['bytes=4-2', 10, 'all'],
    ['bytes=0-1,3-4', 10, 'all'],
    ['bytes=-', 10, 'all'],
    ['pages=1-2', 10, 'all'],
    ['bytes=a-b', 10, 'all'],
  ];
  for (const [header, size, expected] of table) {
    test(`${header ?? 'none'} of ${size}: ${expected}`, () => {
      const range = rangeOf(header, size);
      const shown =
        range === null ? 'all' : range === 'unsatisfiable' ? range : `${range.start}-${range.end}`;
      assert.equal(shown, expected);
    });
  }
});

describe('Content-Disposition (RFC 6266)', () => {
  const table: [name: string, expected: string][] = [
    ['offer.pdf', `attachment; filename="offer.pdf"; filename*=UTF-8''offer.pdf`],
    ['Grüße.pdf', `attachment; filename="Gr__e.pdf"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf`],
    ['a"b\\c/d.txt', `attachment; filename="a_b_c_d.txt"; filename*=UTF-8''a%22b_c_d.txt`],
    ['a\r\nSet-Cookie: x', `attachment; filename="a_Set-Cookie: x"; filename*=UTF-8''a_Set-Cookie%3A%20x`],
    ["it's (1)*.txt", `attachment; filename="it's (1)*.txt"; filename*=UTF-8''it%27s%20%281%29%2A.txt`],
    ['50%.txt', `attachment; filename="50_.txt"; filename*=UTF-8''50%25.txt`],
    ['\u202egpj.exe', `attachment; filename="_gpj.exe"; filename*=UTF-8''_gpj.exe`],
    ['\ud800', `attachment; filename="_"; filename*=UTF-8''%EF%BF%BD`],
    ['', `attachment; filename="file"; filename*=UTF-8''file`],
  ];
  for (const [name, expected] of table) {
    test(JSON.stringify(name), () => {
      assert.equal(dispositionOf(name), expected);
    });
  }

  test('a name cut in the middle of a character is still one', () => {
    assert.doesNotThrow(() => dispositionOf(`${'x'.repeat(199)}😀`));
  });
});
