import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { htmlCharsMax, htmlToPlainText, sanitiseHtml } from '../../src/message/html.ts';
import { isNestedDeeper, scanHtml } from '../../src/message/html-tokens.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const outgoing = 'target="_blank" rel="noopener noreferrer nofollow"';

const cases: [name: string, html: string, expected: string][] = [
  ['a script', '<script>alert(1)</script>x', 'x'],
  ['an event handler', '<img src="cid:x" onerror="alert(1)">', '<img src="cid:x" />'],
  ['a javascript: link', '<a href="javascript:alert(1)">x</a>', `<a ${outgoing}>x</a>`],
  ['a javascript: link in entities', '<a href="&#106;ava&Tab;script:alert(1)">x</a>', `<a ${outgoing}>x</a>`],
  ['a javascript: link over lines', '<a href=" java\nscript:alert(1)">x</a>', `<a ${outgoing}>x</a>`],
  ['a data: link', '<a href="data:text/html,x">x</a>', `<a ${outgoing}>x</a>`],
  ['a link without a scheme', '<a href="//evil.example">x</a>', `<a ${outgoing}>x</a>`],
  ['a link into the console', '<a href="/v1/connections">x</a>', `<a ${outgoing}>x</a>`],
  ['a link by name alone', '<a href="www.x.example">www.x.example</a>', `<a ${outgoing}>www.x.example</a>`],
  ['a link within the page', '<a href="#a">x</a>', `<a ${outgoing}>x</a>`],
  ['an empty link', '<a href="">x</a>', `<a ${outgoing}>x</a>`],
  ['a link of which a browser makes a relative one', '<a href="https:v1/keys">x</a>', `<a ${outgoing}>x</a>`],
  ['a link of which a browser makes a path', '<a href=" HTTPS:/v1/keys">x</a>', `<a ${outgoing}>x</a>`],
  ['an upper-case link', '<a href="HTTP://x.example">x</a>', `<a href="HTTP://x.example" ${outgoing}>x</a>`],
  ['a telephone number', '<a href="tel:+1555">x</a>', `<a href="tel:+1555" ${outgoing}>x</a>`],
  ['an image of the console', '<img src="/v1/logout" alt="A">', '<img alt="A" />'],
  ['an image without a scheme', '<img src="//x.example/a.png">', '<img />'],
  [
    'a link',
    '<a href="https://x.example/?a=1&amp;b" target="_top">x</a>',
    `<a href="https://x.example/?a=1&amp;b" ${outgoing}>x</a>`,
  ],
  ['a mail link', '<a href="mailto:a@x.example">x</a>', `<a href="mailto:a@x.example" ${outgoing}>x</a>`],
  [
    'a remote image',
    '<img src="https://x.example/a.png" width="1">',
    '<img src="https://x.example/a.png" width="1" />',
  ],
  ['an image of the message', '<img src="cid:a@x.example" alt="A">', '<img src="cid:a@x.example" alt="A" />'],
  ['an embedded PNG', '<img src="data:image/png;base64,AAAA">', '<img src="data:image/png;base64,AAAA" />'],
  ['an embedded SVG', '<img src="data:image/svg+xml;base64,AAAA">', '<img />'],
  ['an SVG', '<svg><script>x</script><a href="x">y</a></svg>z', 'z'],
  ['MathML', '<math><mi href="javascript:x">y</mi></math>z', 'z'],
  ['a style sheet', '<style>p{background:url(x)}</style><p>a</p>', '<p>a</p>'],
  [
    'a style with a url',
    '<p style="background:url(http://t.example);color:red">a</p>',
    '<p style="color:red">a</p>',
  ],
  ['a style with an escaped url', '<p style="background-color:u\\72l(x)">a</p>', '<p>a</p>'],
  ['a style with an expression', '<p style="color:expression(alert(1))">a</p>', '<p>a</p>'],
  [
    'colours',
    '<p style="color:rgb(1, 2, 3);margin:0 auto">a</p>',
    '<p style="color:rgb(1, 2, 3);margin:0 auto">a</p>',
  ],
  ['a style that covers the page', '<p style="position:fixed;top:0;z-index:9">a</p>', '<p>a</p>'],
  ['a form', '<form action="https://x.example"><input name="a"><button>b</button>text</form>', 'btext'],
  ['a frame', '<iframe src="https://x.example">a</iframe>b', 'b'],
  [
    'meta, base and link',
    '<meta http-equiv="refresh" content="0"><base href="https://x.example"><link rel="stylesheet" href="x">a',
    'a',
  ],
  [
    'a background attribute',
    '<table background="https://x.example/a.png"><tr><td>a</td></tr></table>',
    '<table><tr><td>a</td></tr></table>',
  ],
  ['an id', '<p id="x" name="y">a</p>', '<p>a</p>'],
  ['the body', '<body bgcolor="#ffffff" onload="x">a</body>', '<div bgcolor="#ffffff">a</div>'],
  [
    'marks of quotes',
    '<div class="gmail_quote other"><blockquote type="cite">a</blockquote></div>',
    '<div class="gmail_quote"><blockquote type="cite">a</blockquote></div>',
  ],
  ['noscript', '<noscript><p title="</noscript><img src=x onerror=alert(1)>">a</noscript>b', 'b'],
  ['conditional comments', '<!--[if mso]><p>a</p><![endif]-->b', 'b'],
  ['NUL', '<scr\0ipt>alert(1)</script>a\0b', 'ab'],
  ['text', 'a < b & c > d', 'a &lt; b &amp; c &gt; d'],
];

const deep = (count: number): string => `${'<b>'.repeat(count)}deep <i>text</i>`;

describe('sanitised HTML', () => {
  for (const [name, html, expected] of cases) {
    test(name, () => assert.equal(sanitiseHtml(html), expected));
  }

  test('holds only known tags and attributes, whatever goes in', () => {
    const piece = fc.constantFrom(
      '<script',
      '<img ',
      'src=',
      'onerror=',
      'javascript:',
      '"',
      "'",
      '>',
      '<',
      '/',
      'style=',
      'url(',
      '<svg',
      '<a href=',
      '<!--',
      '-->',
      '&#',
      'x',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 30 }), (pieces) => {
        scanHtml(sanitiseHtml(pieces.join('')), {
          text: () => {},
          close: () => {},
          open(name, attributes) {
            assert.doesNotMatch(name, /script|svg|style|iframe|form|meta|base|object/);
            for (const [key, value] of attributes()) {
              assert.doesNotMatch(key, /^on|^srcset$|^id$/);
              if (key === 'href' || key === 'src')
                assert.match(value, /^\s*(https?:\/\/|mailto:|tel:|cid:|data:image)/i);
              if (key === 'style') assert.doesNotMatch(value, /url\s*\(|\\/i);
            }
          },
        });
      }),
      { numRuns: 500 },
    );
  });

  test('of what is nested too deep is its text', () => {
    assert.equal(sanitiseHtml(deep(100_000)), '<pre>deep text</pre>');
    assert.ok(!isNestedDeeper(sanitiseHtml(deep(300)), 400));
    assert.match(sanitiseHtml(deep(300)), /^<b>.*deep <i>text<\/i>(<\/b>)+$/);
  });

  test('is never longer than is kept, and ends at a tag', () => {
    const clean = sanitiseHtml(`<p>${'"&"'.repeat(1000)}</p>`.repeat(htmlCharsMax / 3000));
    assert.ok(clean.length <= htmlCharsMax);
    assert.ok(clean.endsWith('>'));
    const text = sanitiseHtml('&'.repeat(htmlCharsMax));
    assert.ok(text.length <= htmlCharsMax && text.endsWith('&amp;'));
  });

  test('is made in linear time, and so is the text of it', () => {
    const row =
      '<tr><td style="padding:10px;font-family:Arial" align="left"><a href="https://x.example/?a&amp;b" style="color:#06c">A</a> b<br></td></tr>';
    const units = [
      row,
      '<p>',
      '<li>',
      '<td>',
      '<b></b>',
      '<font><p>',
      'a=1 ',
      '<',
      '&',
      '<a b="',
      '<!--',
      '<p style="color:red">',
      '<table><tr><td>',
      '<div>',
      '<img src="cid:a">',
    ];
    for (const unit of units) {
      assertInProportion(unit, 64_000, (length) => {
        const html = unit.repeat(length / unit.length);
        return [sanitiseHtml(html), htmlToPlainText(html)];
      });
    }
  });
});

describe('HTML as text', () => {
  const texts: [name: string, html: string, expected: string][] = [
    ['paragraphs', '<p>Hello <b>you</b>,</p><p>how are you?</p>', 'Hello you,\n\nhow are you?'],
    [
      'links',
      '<a href="https://x.example">here</a> <a href="https://y.example">https://y.example</a>',
      'here [https://x.example] https://y.example',
    ],
    ['images', 'a<img src="x" alt="logo">b', 'ab'],
    ['long lines', 'word '.repeat(50), 'word '.repeat(50).trim()],
    ['nothing', '', ''],
    ['nesting that html-to-text can not bear', deep(100_000), 'deep text'],
  ];
  for (const [name, html, expected] of texts) {
    test(`of ${name}`, () => assert.equal(htmlToPlainText(html), expected));
  }

  test('of more than the converter is given', () => {
    const text = htmlToPlainText('<p>one</p>'.repeat(100_000));
    assert.ok(text.startsWith('one\n\none\n'));
    assert.equal(text.split('one').length, 100_001);
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (html) => typeof htmlToPlainText(`<p ${html}`) === 'string'));
  });
});
