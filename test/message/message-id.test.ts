import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { idKey, messageIdOf, newMessageId, parseMessageIds } from '../../src/message/message-id.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const lists: [name: string, header: string, expected: string[]][] = [
  ['one id', '<a@x.example>', ['a@x.example']],
  ['several', '<a@x.example> <b@x.example>', ['a@x.example', 'b@x.example']],
  ['none between', '<a@x.example><b@x.example>', ['a@x.example', 'b@x.example']],
  ['folded between ids', '<a@x.example>\r\n\t<b@x.example>', ['a@x.example', 'b@x.example']],
  ['folded inside an id', '<abc\r\n def@x.example>', ['abcdef@x.example']],
  ['case kept', '<AbC@X.Example>', ['AbC@X.Example']],
  ['commas and words between', 'your <a@x.example>, (was) <b@x.example>', ['a@x.example', 'b@x.example']],
  ['encoded', '=?utf-8?Q?=3Ca=40x=2Eexample=3E?=', ['a@x.example']],
  ['duplicates', '<a@x.example> <b@x.example> <a@x.example>', ['a@x.example', 'b@x.example']],
  ['empty ones', '<> < > <a@x.example>', ['a@x.example']],
  ['doubled brackets', '<<a@x.example>>', ['a@x.example']],
  ['an unclosed one', '<a@x.example <b@x.example>', ['a@x.example', 'b@x.example']],
  ['an unclosed last one', '<a@x.example> <b@x.example', ['a@x.example', 'b@x.example']],
  ['without brackets', 'a@x.example b@x.example', ['a@x.example', 'b@x.example']],
  ['words without brackets', 'Your message of 3 May to jane@x.example', []],
  ['a word without at sign', 'abc', []],
  ['brackets without at sign', '<abc>', ['abc']],
  ['nothing', '', []],
  ['blanks', ' \t ', []],
];

describe('message ids', () => {
  for (const [name, header, expected] of lists) {
    test(`reads ${name}`, () => assert.deepEqual(parseMessageIds(header), expected));
  }

  test('of many ids keeps the first and the 200 newest', () => {
    const ids = Array.from({ length: 500 }, (_, index) => `${index}@x.example`);
    assert.deepEqual(parseMessageIds(ids.map((id) => `<${id}>`).join(' ')), [
      '0@x.example',
      ...ids.slice(-200),
    ]);
  });

  test('the own id of a message: missing, empty, without brackets, too long', () => {
    const table: [string | undefined, string | null][] = [
      [undefined, null],
      ['', null],
      ['<>', null],
      ['< >', null],
      [' <a@x.example> ', 'a@x.example'],
      ['a@x.example', 'a@x.example'],
      ['12345', '12345'],
      ['<a b@x.example>', 'ab@x.example'],
      ['<a@x.example> <b@x.example>', 'a@x.example'],
      ['=?us-ascii?Q?=3Ca=40x=2Eexample=3E?=', 'a@x.example'],
      [`<${'a'.repeat(3000)}@x.example>`, null],
    ];
    for (const [header, expected] of table) assert.equal(messageIdOf(header), expected, header);
  });

  test('an id reads the same in Message-ID and in References, with brackets or not (F10)', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\w.+-]{1,30}@[\w.-]{1,30}$/), (id) => {
        assert.equal(messageIdOf(`<${id}>`), id);
        assert.equal(messageIdOf(id), id);
        assert.deepEqual(parseMessageIds(` <${id}>\r\n`), [id]);
        assert.deepEqual(parseMessageIds(id), [id]);
      }),
    );
  });

  test('keys are the id, or a hash where an index could not hold it', () => {
    assert.equal(idKey('a@x.example'), 'a@x.example');
    assert.match(idKey('ü@x.example'), /^sha256:[0-9a-f]{64}$/);
    assert.match(idKey('a'.repeat(201)), /^sha256:[0-9a-f]{64}$/);
    assert.notEqual(idKey(`${'a'.repeat(300)}1`), idKey(`${'a'.repeat(300)}2`));
    // Nobody can write an id that is another one's key.
    assert.notEqual(idKey(idKey('ü@x.example')), idKey('ü@x.example'));
  });

  test('D4: new ids are short, ASCII, on the domain, and never the same', () => {
    const made = new Set<string>();
    const domains = [
      'acme.example',
      'bücher.example',
      `${'long-label.'.repeat(20)}acme.example`,
      `${'x'.repeat(60)}.example`,
      '',
      '..',
    ];
    for (const domain of domains) {
      const id = newMessageId(domain);
      assert.ok(id.length < 70, id);
      assert.match(id, /^[a-z2-7]{26}@[a-z0-9][a-z0-9.-]*$/);
      made.add(id);
    }
    for (let i = 0; i < 1000; i++) made.add(newMessageId('acme.example'));
    assert.equal(made.size, domains.length + 1000);
    assert.ok(newMessageId('acme.example').endsWith('@acme.example'));
    assert.ok(newMessageId(domains[2] ?? '').endsWith('.acme.example'));
  });

  test('takes linear time', () => {
    for (const unit of ['<', '<a@b>', '>', ' ', 'a@b ', '<a ', '=?', '<\t']) {
      assertInProportion(unit, 262_144, (length) => {
        const header = unit.repeat(length / unit.length);
        return [parseMessageIds(header), messageIdOf(header)];
      });
    }
  });
});
