import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BodyLine, htmlLines, textLines } from '../../src/message/body-lines.ts';

/** Each line, and what follows it in the source. */
const followed = (source: string, lines: readonly BodyLine[]): [string, string][] =>
  lines.map(({ text, end }) => [text, source.slice(end)]);

describe('the lines of a body know where they end', () => {
  test('in text: at their line break', () => {
    const text = 'a \r\n> b\n\rc';
    assert.deepEqual(followed(text, textLines(text)), [
      ['a', '\r\n> b\n\rc'],
      ['b', '\n\rc'],
      ['', '\rc'],
      ['c', ''],
    ]);
  });

  test('in HTML: at the tag that ends them', () => {
    const html = '<div>a &amp; <b>b</b><br>c</div><span>d</span>e';
    assert.deepEqual(
      followed(
        html,
        htmlLines(html, () => false),
      ),
      [
        ['a & b', '<br>c</div><span>d</span>e'],
        ['c', '</div><span>d</span>e'],
        ['de', ''],
      ],
    );
  });

  test('in preformatted text: at the line break, as far as it is written as one', () => {
    const html = '<pre>a &lt;\nb&#10;c</pre>d';
    assert.deepEqual(
      followed(
        html,
        htmlLines(html, () => false),
      ),
      [
        ['a <', '\nb&#10;c</pre>d'],
        ['b', '</pre>d'],
        ['c', '</pre>d'],
        ['d', ''],
      ],
    );
  });
});
