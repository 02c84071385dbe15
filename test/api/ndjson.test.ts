import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readLines } from '../../src/api/ndjson.ts';
import type { Line } from '../../src/api/ndjson.ts';

async function linesOf(chunks: (string | Buffer)[], lineBytesMax = 10): Promise<Line[]> {
  async function* bytes() {
    for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
  }
  const lines: Line[] = [];
  for await (const some of readLines(bytes(), lineBytesMax)) lines.push(...some);
  return lines;
}

const euro = Buffer.from('€');

const cases: { name: string; chunks: (string | Buffer)[]; lines: Line[] }[] = [
  { name: 'nothing', chunks: [], lines: [] },
  { name: 'an empty chunk', chunks: [''], lines: [] },
  { name: 'one line', chunks: ['a\n'], lines: [{ number: 1, text: 'a' }] },
  { name: 'no end of the last line', chunks: ['a\nb'], lines: texts('a', 'b') },
  { name: 'CRLF', chunks: ['a\r\nb\r\n'], lines: texts('a', 'b') },
  { name: 'CRLF cut in two', chunks: ['a\r', '\nb'], lines: texts('a', 'b') },
  { name: 'a line in many chunks', chunks: ['a', 'b', 'c\nd'], lines: texts('abc', 'd') },
  { name: 'empty lines count', chunks: ['\n\n a \n\n'], lines: [{ number: 3, text: 'a' }] },
  { name: 'a byte order mark', chunks: ['\uFEFFa\n'], lines: texts('a') },
  { name: 'a character cut in two', chunks: [euro.subarray(0, 1), euro.subarray(1)], lines: texts('€') },
  {
    name: 'bytes that are no UTF-8 spoil their line alone',
    chunks: ['a\n', Buffer.from([0xff]), '\nb'],
    lines: [
      { number: 1, text: 'a' },
      { number: 2, problem: 'invalid_utf8' },
      { number: 3, text: 'b' },
    ],
  },
  { name: 'a line at the limit', chunks: ['0123456789\n'], lines: texts('0123456789') },
  {
    name: 'lines past the limit, whole and in chunks, spoil nothing after them',
    chunks: ['01234567890\n', '012345', '67890', '1234567890\nb\n01234567890'],
    lines: [
      { number: 1, problem: 'line_too_long' },
      { number: 2, problem: 'line_too_long' },
      { number: 3, text: 'b' },
      { number: 4, problem: 'line_too_long' },
    ],
  },
];

function texts(...lines: string[]): Line[] {
  return lines.map((text, index) => ({ number: index + 1, text }));
}

describe('readLines', () => {
  for (const { name, chunks, lines } of cases) {
    test(name, async () => assert.deepEqual(await linesOf(chunks), lines));
  }

  test('cut anywhere, the lines are the same', async () => {
    const whole = Buffer.from('{"a":"€"}\r\n\n{"b":1}\nlonger than it may be\n{"c":2}');
    const expected = await linesOf([whole]);
    for (let cut = 1; cut < whole.length; cut++) {
      assert.deepEqual(
        await linesOf([whole.subarray(0, cut), whole.subarray(cut)]),
        expected,
        `cut at ${cut}`,
      );
    }
  });

  test('a line without an end is not held in memory', async () => {
    let sent = 0;
    async function* endless() {
      const chunk = Buffer.alloc(1_048_576, 0x61);
      for (; sent < 200; sent++) yield await Promise.resolve(chunk);
    }
    const before = process.memoryUsage().arrayBuffers;
    for await (const lines of readLines(endless(), 65_536)) {
      assert.deepEqual(lines, [{ number: 1, problem: 'line_too_long' }]);
    }
    assert.equal(sent, 200);
    assert.ok(process.memoryUsage().arrayBuffers - before < 20_000_000);
  });
});
