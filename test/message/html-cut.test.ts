import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { htmlLines } from '../../src/message/body-lines.ts';
import { cutHtml } from '../../src/message/html-cut.ts';
import { openElements, scanHtml } from '../../src/message/html-tokens.ts';
import { sanitiseHtml } from '../../src/message/html.ts';

/** Cuts below the line `cut here`. */
function cutBelow(html: string) {
  const line = htmlLines(html, () => false).find(({ text }) => text === 'cut here');
  if (line === undefined) assert.fail('no line to cut at');
  return cutHtml(html, line.end);
}

/** Whether each element is closed, in order. */
function isBalanced(html: string): boolean {
  const names: string[] = [];
  let ok = true;
  const elements = openElements(() => {});
  scanHtml(html, {
    text: () => {},
    open: (name) => elements.push(name) !== null && names.push(name),
    close: (name) => {
      elements.pop(name);
      ok &&= names.pop() === name;
    },
  });
  return ok && names.length === 0;
}

describe('cutting HTML', () => {
  const cases: [name: string, html: string, inside: string, after: string][] = [
    ['between elements', '<p>a</p><p>cut here</p><p>b</p>', '<p>b</p>', ''],
    ['at a line break', '<div><i>cut here<br />b</i>c</div>', '<div><i>b</i>c</div>', ''],
    [
      'with what is open around it',
      '<div title="x"><b>cut here</b><br /><b>b</b></div>',
      '<div title="x"><b>b</b></div>',
      '',
    ],
    ['below a table', '<table><tbody><tr><td>cut here</td></tr></tbody></table>b', 'b', ''],
    [
      'in a table',
      '<table><tbody><tr><td>cut here</td></tr><tr><td>b</td></tr></tbody></table>',
      '<table><tbody><tr><td>b</td></tr></tbody></table>',
      '',
    ],
    [
      'out of a quote',
      '<div>a<blockquote><p>cut here</p><p>b</p></blockquote><p>c</p></div>',
      '<p>b</p>',
      '</blockquote><p>c</p></div>',
    ],
    [
      'out of the inner quote',
      '<blockquote>a<blockquote>cut here<br />b</blockquote>c</blockquote>',
      'b',
      '</blockquote>c</blockquote>',
    ],
    [
      'with quotes in it',
      '<blockquote>cut here<br />b<blockquote>c</blockquote>d</blockquote>',
      'b<blockquote>c</blockquote>d',
      '</blockquote>',
    ],
    [
      'on into the next quote',
      '<blockquote>cut here<br /></blockquote><br /><blockquote><p>b</p></blockquote>c',
      '<p>b</p>',
      '</blockquote>c',
    ],
    [
      'on into the next part',
      '<div><blockquote>cut here<br />a</blockquote></div><br /><div><p></p><blockquote>b</blockquote></div>',
      'ab',
      '</blockquote></div>',
    ],
    [
      'not into a later quote',
      '<blockquote>cut here<br />b</blockquote>c<blockquote>d</blockquote>',
      'b',
      '</blockquote>c<blockquote>d</blockquote>',
    ],
    [
      "out of Gmail's container",
      '<div><div class="gmail_quote"><div>cut here<br /></div><br />b</div>c</div>',
      'b',
      '</div>c</div>',
    ],
    ['in preformatted text', '<pre>a\ncut here\nb &lt;</pre>', '<pre>\nb &lt;</pre>', ''],
    ['at the end', '<p>cut here</p>', '', ''],
    ['at the end without a tag', 'cut here', '', ''],
  ];
  for (const [name, html, inside, after] of cases) {
    test(name, () => assert.deepEqual(cutBelow(html), { inside, after }));
  }

  test('leaves well-formed HTML as it was', () => {
    const piece = fc.constantFrom(
      '<div>',
      '</div>',
      '<blockquote>',
      '</blockquote>',
      '<b>',
      '</b>',
      '<br>',
      '<p>',
      '<pre>',
      '</pre>',
      '<table><tr><td>',
      '</td></tr></table>',
      'a',
      '\n',
      '&#10;',
      '<div class="gmail_quote">',
    );
    fc.assert(
      fc.property(fc.array(piece), fc.nat(), (pieces, pick) => {
        const html = sanitiseHtml(pieces.join(''));
        const lines = htmlLines(html, () => false);
        const line = lines[pick % Math.max(lines.length, 1)];
        if (line === undefined) return;
        const { inside } = cutHtml(html, line.end);
        assert.ok(isBalanced(inside), `${html} at ${line.end}: ${inside}`);
        assert.equal(sanitiseHtml(inside), inside);
      }),
      { numRuns: 2000 },
    );
  });
});
