import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canonicalAddress, parseAddresses } from '../../src/sandbox/address.ts';

const headers: [name: string, header: string, expected: [name: string, address: string][]][] = [
  ['a bare address', 'eva@customer.example', [['', 'eva@customer.example']]],
  ['a name', ' Eva  Long <eva@customer.example> ', [['Eva Long', 'eva@customer.example']]],
  ['a comma in quotes', '"Long, \\"E\\"" <eva@customer.example>', [['Long, "E"', 'eva@customer.example']]],
  ['a comment', 'eva@customer.example (Eva, at work)', [['Eva, at work', 'eva@customer.example']]],
  [
    'a list with an empty place',
    'a@x.example,, B <b@x.example>',
    [
      ['', 'a@x.example'],
      ['B', 'b@x.example'],
    ],
  ],
  [
    'a group',
    'Team: a@x.example, b@x.example;, c@x.example',
    [
      ['', 'a@x.example'],
      ['', 'b@x.example'],
      ['', 'c@x.example'],
    ],
  ],
  ['nobody', 'undisclosed-recipients:;', []],
  ['an address as a name', 'a@evil.example <b@x.example>', [['a@evil.example', 'b@x.example']]],
  ['unclosed quotes', '"Eva <eva@customer.example>', [['"Eva', 'eva@customer.example']]],
  ['no address', 'Eva', []],
];

describe('parseAddresses', () => {
  for (const [name, header, expected] of headers) {
    test(name, () => {
      assert.deepEqual(
        parseAddresses(header).map((person) => [person.name, person.address]),
        expected,
      );
    });
  }
});

test('canonicalAddress drops the tag and the case, and takes anything', () => {
  assert.equal(canonicalAddress(' Ada+x+y@Sandbox.Example'), 'ada@sandbox.example');
  assert.equal(canonicalAddress('nothing'), 'nothing');
});
