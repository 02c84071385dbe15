/** Too long for an entry of an index, also compressed. */
const long = Array.from({ length: 2_000 }, (_, n) => (Math.imul(n, 2_654_435_761) >>> 0).toString(36)).join(
  '',
);

/** What PostgreSQL refuses as a text, a number, a time, or an entry of an index. */
export const worstTexts: readonly string[] = [
  'a\0b',
  'b\udfff',
  long,
  '99999999999999999999',
  '0000-01-01T00:00:00Z',
];

/** Values that callers send and a program forgets: none of them may end as a failure of ours. */
export const nastyTexts: readonly string[] = [
  '',
  ' ',
  '\0',
  '\ud800',
  'x'.repeat(3_000),
  '-1',
  '1e309',
  '9223372036854775808',
  'NaN',
  '%00',
  '%',
  "'; drop table users; --",
  '../../etc/passwd',
  '{"a":1}',
  '[]',
  '\u202e\u0007\n\r',
  '😀'.repeat(60),
  '275760-09-13T00:00:00Z',
  '-271821-04-20T00:00:00Z',
  '9999-12-31T23:59:60Z',
  'ann@\0.example',
  'msg_',
];

/** What may stand in JSON where something else is meant. */
export const nastyValues: readonly unknown[] = [
  ...nastyTexts,
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER + 2,
  [],
  {},
  [null],
  [[['a']]],
  ['a\0', '\ud800'],
  { '\0': '\0' },
  { __proto__: null, constructor: 1, toString: 'x' },
  Array.from({ length: 3_000 }, (_, n) => n),
  nested(2_000),
];

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let n = 0; n < depth; n += 1) value = n % 2 === 0 ? [value] : { a: value };
  return value;
}
