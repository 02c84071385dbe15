import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pageOf, pageQuery } from '../../src/api/paging.ts';

const position = (row: string) => [row];
const show = (row: string) => row.toUpperCase();

describe('pages', () => {
  test('a full page with one row too many has a cursor, which reads as the last row shown', () => {
    const page = pageOf(['a', 'b', 'c'], 2, position, show);
    assert.deepEqual(page.data, ['A', 'B']);
    assert.deepEqual(pageQuery.parse({ cursor: page.next_cursor }), { cursor: ['b'], limit: 50 });
  });

  test('the last page has none', () => {
    assert.deepEqual(pageOf(['a', 'b'], 2, position, show), { data: ['A', 'B'], next_cursor: null });
    assert.deepEqual(pageOf([], 2, position, show), { data: [], next_cursor: null });
  });

  test('a cursor keeps every character', () => {
    const values = ['"\\/', 'ü€😀', ''];
    const cursor = pageOf([values, values], 1, (row) => row, String).next_cursor;
    assert.deepEqual(pageQuery.parse({ cursor }).cursor, values);
  });

  test('the first page needs no cursor', () =>
    assert.deepEqual(pageQuery.parse({}), { cursor: null, limit: 50 }));

  const bad = {
    'no base64url of JSON': 'abc!',
    'no list': Buffer.from('{"a":1}').toString('base64url'),
    'no texts': Buffer.from('[1]').toString('base64url'),
    'an empty list': Buffer.from('[]').toString('base64url'),
    'U+0000': Buffer.from('["\\u0000"]').toString('base64url'),
    empty: '',
    'too long': 'a'.repeat(2000),
  };
  for (const [name, cursor] of Object.entries(bad)) {
    test(`refuses a cursor: ${name}`, () => assert.equal(pageQuery.safeParse({ cursor }).success, false));
  }
  for (const limit of ['0', '201', '1.5', 'x', '-1']) {
    test(`refuses limit ${limit}`, () => assert.equal(pageQuery.safeParse({ limit }).success, false));
  }
  test('takes limits 1 and 200', () => {
    assert.equal(pageQuery.parse({ limit: '1' }).limit, 1);
    assert.equal(pageQuery.parse({ limit: '200' }).limit, 200);
  });
});
