import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { findLinks, pixelTag, trackHtml } from '../../src/message/tracked-html.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const pixel = 'https://go.example/t/o/x';
const all = { link: (url: string) => `T(${url})`, pixel: null };

const links: [name: string, html: string, tracked: string][] = [
  ['a link', '<a href="https://a.example/b">b</a>', '<a href="T(https://a.example/b)">b</a>'],
  [
    'http, upper case, single quotes, none',
    `<A HREF='HTTP://A.example/x'>x</A><a class=c href=https://b.example/y id=d>y</a>`,
    `<A HREF='T(http://a.example/x)'>x</A><a class=c href=T(https://b.example/y) id=d>y</a>`,
  ],
  [
    'references, once decoded',
    '<a href="https://a.example/?a=1&amp;b=&#x32;&copy=3&amp;amp;lt">',
    '<a href="T(https://a.example/?a=1&b=2&copy=3&amp;lt)">',
  ],
  ['blanks around', '<a href=" https://a.example/\n">', '<a href="T(https://a.example/)">'],
  ['letters', '<a href="https://bücher.example/ä">', '<a href="T(https://xn--bcher-kva.example/%C3%A4)">'],
  ['a map', '<map><area href="https://a.example/"></map>', '<map><area href="T(https://a.example/)"></map>'],
  [
    'the first of two',
    '<a href="https://a.example/" href="https://b.example/">',
    '<a href="T(https://a.example/)" href="https://b.example/">',
  ],
];

const untouched: [name: string, html: string][] = [
  ['mailto', '<a href="mailto:a@b.example?body=https://a.example/">a</a>'],
  ['tel', '<a href="tel:+4930">a</a>'],
  ['an anchor', '<a href="#top">a</a><a name="top">'],
  ['a relative link', '<a href="page">a</a><a href="/page">b</a><a href="//a.example/">c</a>'],
  ['another scheme', '<a href="javascript:location=\'https://a.example/\'">a</a><a href="data:text/html,x">'],
  ['what is no address', '<a href="https://">a</a><a href="https://a b/">'],
  ['a reference of which we do not know the character', '<a href="https://a.example&sol;b">a</a>'],
  ['a text that looks like a link', 'https://a.example/ &lt;a href="https://a.example/"&gt;'],
  [
    'what is in comments, scripts and styles',
    '<!-- <a href="https://a.example/"> --><style>a[href="https://a.example/"]{}</style>',
  ],
  ['pictures and style sheets', '<link href="https://a.example/"><img src="https://a.example/i.png">'],
  ['another attribute', '<a title="href=https://a.example/" data-href="https://a.example/">a</a>'],
  ['a tag without an end', '<p>a <a href="https://a.example/'],
];

describe('D7: what changes in tracked HTML', () => {
  for (const [name, html, tracked] of links) {
    test(`the target of ${name}`, () => assert.equal(trackHtml(html, all), tracked));
  }
  for (const [name, html] of untouched) {
    test(`not ${name}`, () => assert.equal(trackHtml(html, all), html));
  }

  test('no link that is to be left alone', () => {
    const html = '<a href="https://a.example/">a</a><a href="https://b.example/">b</a>';
    const link = (url: string) => (url.includes('a.example') ? null : 'T');
    assert.equal(
      trackHtml(html, { link, pixel: null }),
      '<a href="https://a.example/">a</a><a href="T">b</a>',
    );
  });

  const places: [name: string, before: string, after: string][] = [
    ['before the end of the body', '<html><body><p>a</p>', '</BODY ></html>'],
    ['before the last one', '<body>a</body><p>b', '</body>\n'],
    ['before the end of the document', '<html><p>a', '</html>'],
    ['at the very end', '<p>a</p>\n', ''],
    ['not at one in a comment or a script', '<p>a<!-- </body> --><script>"</body>"</script>b', ''],
  ];
  for (const [name, before, after] of places) {
    test(`the picture stands ${name}`, () => {
      const tracked = trackHtml(before + after, { ...all, pixel });
      assert.equal(tracked, before + pixelTag(pixel) + after);
    });
  }

  test('whatever the HTML is: without our targets and our picture it is what it was', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ...'<a |href=|HREF = |"|\'|>|</a>|https://a.example/?x=1&amp;y=2|http://b.example|mailto:a@b.example|<!--|-->|</body>|</html>|<style>|</style>| |\n|&copy=|&sol;|<|/|=|é'.split(
          '|',
        ),
      ),
      fc.string({ maxLength: 5 }),
      fc.webUrl({ withQueryParameters: true }).map((url) => `<a href="${url.replaceAll('&', '&amp;')}">`),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const html = pieces.join('');
        let n = 0;
        const found = findLinks(html);
        const tracked = trackHtml(html, { link: () => `https://go.example/t/c/${n++}-`, pixel });
        assert.equal(n, found.length);
        const restored = tracked
          .replace(pixelTag(pixel), '')
          .replace(/https:\/\/go\.example\/t\/c\/(\d+)-/g, (_, at: string) => {
            const link = found[Number(at)];
            return link === undefined ? assert.fail() : html.slice(link.start, link.end);
          });
        assert.equal(restored, html);
      }),
      { numRuns: 500 },
    );
  });

  test('takes time in proportion to the length', () => {
    for (const part of [
      '<a href="https://a.example/">x</a>',
      '<a href=',
      '<a href="',
      '</body>',
      '&a',
      "<a '",
    ]) {
      assertInProportion(part, 500_000, (length) =>
        trackHtml(part.repeat(length / part.length), { ...all, pixel }),
      );
    }
  });
});
