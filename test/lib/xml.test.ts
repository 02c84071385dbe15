import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parseXml } from '../../src/lib/xml.ts';

describe('small XML documents', () => {
  test('elements, attributes, text, comments, CDATA, entities', () => {
    const root = parseXml(
      `\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<!-- <b> -->\n<a x="1 &amp; 2" y='&#x41;'>one <b/>two<c>&lt;&#66;&apos;</c><![CDATA[<d>&amp;]]></a>\n`,
    );
    assert.equal(root?.name, 'a');
    assert.deepEqual(
      [...(root?.attributes ?? [])],
      [
        ['x', '1 & 2'],
        ['y', 'A'],
      ],
    );
    assert.equal(root?.text, 'one two<d>&amp;');
    assert.deepEqual(
      root?.children.map(({ name, text }) => [name, text]),
      [
        ['b', ''],
        ['c', "<B'"],
      ],
    );
  });

  test('an entity that XML does not have stays as it is written, whatever it is called', () => {
    const text = '&constructor; &toString; &__proto__; &nbsp; &lt;';
    assert.equal(parseXml(`<a>${text}</a>`)?.text, text.replace('&lt;', '<'));
  });

  for (const [name, source] of [
    ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ['a document type that names a file', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'],
    ['another processing instruction', '<?xml version="1.0"?><?x y?><a/>'],
    ['an element that does not end', '<a><b></a>'],
    ['an end without a beginning', '<a/></b>'],
    ['two roots', '<a/><b/>'],
    ['text around the root', 'x<a/>'],
    ['nothing', ''],
    ['no XML', '{"a": 1}'],
    ['an attribute without quotes', '<a b=c/>'],
    ['a "<" in an attribute', '<a b="<"/>'],
    ['a comment that does not end', '<a/><!-- '],
    ['too deep', '<a>'.repeat(30) + '</a>'.repeat(30)],
    ['too many elements', `<a>${'<b/>'.repeat(3_000)}</a>`],
    ['too large', `<a>${'x'.repeat(70_000)}</a>`],
  ] as const) {
    test(`${name} is none`, () => assert.equal(parseXml(source), null));
  }

  test('an entity that is not XML’s own stays as it is written', () => {
    assert.equal(parseXml('<a>&file;&#0;&#xD800;&#x110000;</a>')?.text, '&file;&#0;&#xD800;&#x110000;');
  });

  test('whatever is served, it ends soon, and without an error', () => {
    const parts = fc.constantFrom(
      '<',
      '>',
      '</',
      '/>',
      'a',
      ' b="',
      '"',
      "'",
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '&',
      ';',
      ' ',
      '=',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 200 }), (some) => {
        parseXml(some.join(''));
      }),
    );
    for (const hard of [
      '<a ' + 'b="c" '.repeat(5_000),
      `<a ${'b '.repeat(20_000)}`,
      '<!--'.repeat(10_000),
      '<a b="'.repeat(9_000),
    ]) {
      const began = performance.now();
      assert.equal(parseXml(hard), null);
      assert.ok(performance.now() - began < 500, hard.slice(0, 10));
    }
  });
});
