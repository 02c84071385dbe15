import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { decodeEntities, findAttribute, isNestedDeeper, scanHtml } from '../../src/message/html-tokens.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

/** Tags as `<name key=value>` and `</name>`, text in quotes. */
function tokens(html: string): string[] {
  const found: string[] = [];
  scanHtml(html, {
    text: (text) => found.push(JSON.stringify(text)),
    open: (name, attributes) =>
      found.push(['<', name, ...[...attributes()].map((each) => ` ${each.join('=')}`), '>'].join('')),
    close: (name) => found.push(`</${name}>`),
  });
  return found;
}

const cases: [name: string, html: string, expected: string[]][] = [
  ['tags and text', '<p>a<B>b</B></p>', ['<p>', '"a"', '<b>', '"b"', '</b>', '</p>']],
  ['attributes', `<a HREF="x>y" class='b' id=c d>t`, ['<a href=x>y class=b id=c d=>', '"t"']],
  ['entities in text and attributes', '<a title="&quot;&amp;">&lt;&nbsp;', ['<a title="&>', '"<\u00a0"']],
  [
    'parameters that look like references, in attributes',
    '<a href="?a=1&copy=2&amp;reg=3&lt;">&copy=',
    ['<a href=?a=1&copy=2&reg=3<>', '"©="'],
  ],
  ['less-than signs that start no tag', 'a < b <3 <', ['"a "', '"<"', '" b "', '"<"', '"3 "', '"<"']],
  ['comments and declarations', '<!doctype html><!-- <p> --><?xml a?>b<![endif]>', ['"b"']],
  ['scripts and styles', '<style>p > a {}</style>a<SCRIPT>"<p>"</SCRIPT >b', ['"a"', '"b"']],
  ['a stray quote', '<p ">a</p>', ['<p>', '"a"', '</p>']],
  ['an unfinished tag', 'a<p class="b', ['"a"', '"<p class=\\"b"']],
  ['an unfinished comment', 'a<!-- b', ['"a"']],
  ['an unfinished script', 'a<script>b', ['"a"']],
  ['self-closing', '<br/><o:p/>', ['<br>', '<o:p>']],
];

describe('HTML tokens', () => {
  for (const [name, html, expected] of cases) {
    test(`reads ${name}`, () => assert.deepEqual(tokens(html), expected));
  }

  test('says where in the source each is written', () => {
    const html = '<p title="a > b">x &amp; <br/>y</P ><!-- -->z<';
    const found: string[] = [];
    scanHtml(html, {
      text: (_, start, end) => found.push(html.slice(start, end)),
      open: (_, _attributes, start, end) => found.push(html.slice(start, end)),
      close: (_, start) => found.push(html.slice(start, start + 2)),
    });
    assert.deepEqual(found, ['<p title="a > b">', 'x &amp; ', '<br/>', 'y', '</', 'z', '<']);
  });

  test('says where the value of an attribute is written', () => {
    const found = (tag: string) => {
      const at = findAttribute(`<p>${tag}`, { element: 'a', start: 3, end: 3 + tag.length }, 'href');
      return at === undefined ? undefined : [at.written, `<p>${tag}`.slice(at.start, at.end)];
    };
    for (const tag of [
      '<a href="x&amp;y">',
      "<A title='href=n' HREF = 'x&amp;y' href=n>",
      '<a/href=x&amp;y>',
      `<a title="${'t'.repeat(5000)}" href=x&amp;y class=c>`,
    ])
      assert.deepEqual(found(tag), ['x&amp;y', 'x&amp;y'], tag);
    assert.deepEqual(found('<a name="href=x">'), undefined);
    assert.deepEqual(found('<a href>'), ['', '']);
  });

  test('decodes entities', () => {
    const text =
      '&eacute;&Uuml;&szlig;&ntilde;&ccedil;&#233;&#xE9;&euro;&unknown;&#0;&#xD800;&#x110000;&amp;lt;&';
    assert.equal(decodeEntities(text), 'éÜßñçéé€&unknown;\ufffd\ufffd\ufffd&lt;&');
  });

  test('measures depth as browsers nest', () => {
    assert.ok(!isNestedDeeper('<b>'.repeat(10), 10));
    assert.ok(isNestedDeeper('<b>'.repeat(11), 10));
    assert.ok(!isNestedDeeper('<b></b>'.repeat(1000), 10));
    assert.ok(!isNestedDeeper('<p>a<li><br>'.repeat(3), 10));
    assert.ok(!isNestedDeeper('<td>'.repeat(1000), 10));
    assert.ok(!isNestedDeeper('<!-- <b> -->'.repeat(1000), 10));
  });

  test('loses no text, whatever the markup is', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/[<&]/.test(text)),
        (text) => {
          assert.equal(
            tokens(`<p>${text}</p>`).join(''),
            text === '' ? '<p></p>' : `<p>${JSON.stringify(text)}</p>`,
          );
        },
      ),
    );
  });

  test('takes linear time', () => {
    const units = [
      '<',
      '<a ',
      '<a b="',
      "<a b='",
      '<!--',
      '</a>',
      '<a>',
      '&',
      '<style>',
      '<style></style>',
      '<a "',
      '<a b= "c',
      '="',
      '<x y=">" ',
    ];
    for (const unit of units) {
      assertInProportion(unit, 2_000_000, (length) => isNestedDeeper(unit.repeat(length / unit.length), 100));
    }
  });
});
