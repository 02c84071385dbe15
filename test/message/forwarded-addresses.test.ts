import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readAuthor, readPeople } from '../../src/message/forwarded-addresses.ts';

const shown = (people: readonly { name: string; address: string }[]): string =>
  people.map(({ name, address }) => `${name}|${address}`).join(' ');

describe('the people above a forwarded message', () => {
  const cases: [written: string, expected: string][] = [
    ['Anna Berg <anna@x.example>', 'Anna Berg|anna@x.example'],
    ['anna@x.example', '|anna@x.example'],
    ['<anna@x.example>', '|anna@x.example'],
    ['anna@x.example <anna@x.example>', '|anna@x.example'],
    ['*Anna Berg* <anna@x.example>', 'Anna Berg|anna@x.example'],
    ['"Berg, Anna" <anna@x.example>', 'Berg, Anna|anna@x.example'],
    ['Berg, Anna <anna@x.example>', 'Berg, Anna|anna@x.example'],
    ["'Anna Berg' <anna@x.example>", 'Anna Berg|anna@x.example'],
    ['« Anna Berg » <anna@x.example>', 'Anna Berg|anna@x.example'],
    ['Anna Berg [mailto:anna@x.example]', 'Anna Berg|anna@x.example'],
    ['Anna Berg <mailto:anna@x.example>', 'Anna Berg|anna@x.example'],
    ['Anna Berg [anna@x.example]', 'Anna Berg|anna@x.example'],
    ['Anna Berg <anna@x.example<mailto:anna@x.example>>', 'Anna Berg|anna@x.example'],
    ['Anna Berg <anna@x.example <mailto:anna@x.example> >', 'Anna Berg|anna@x.example'],
    ['anna@x.example<mailto:anna@x.example>', '|anna@x.example'],
    ['\u200bAnna\u00a0Berg <\u200banna@x.example>', 'Anna Berg|anna@x.example'],
    ['A <a@x.example>; B <b@x.example>', 'A|a@x.example B|b@x.example'],
    ['A, B <b@x.example>, c@x.example', 'A, B|b@x.example |c@x.example'],
    ['a@x.example, b@x.example, C <c@x.example>', '|a@x.example |b@x.example C|c@x.example'],
    ['a@x.example A <a@x.example>', 'a@x.example A|a@x.example'],
    ['A <a@x.example>, A again <A@X.example>', 'A|a@x.example'],
    ['Anna Berg', ''],
    ['Anna <not an address>, undisclosed-recipients:;', ''],
    ['Anna <anna@localhost>', ''],
    ['', ''],
  ];
  for (const [written, expected] of cases) {
    test(written, () => assert.equal(shown(readPeople(written)), expected));
  }

  const authors: [written: string, expected: string | null][] = [
    ['Anna Berg <anna@x.example>', 'anna@x.example'],
    ['Anna Berg', null],
    ['A <a@x.example>, B <b@x.example>', null],
    ['"boss@y.example" <a@x.example>', null],
    ['list@y.example on behalf of Anna Berg <anna@x.example>', 'anna@x.example'],
    ['list@y.example [mailto:list@y.example] On Behalf Of Anna Berg', null],
    ['list@y.example im Auftrag von Anna Berg <anna@x.example>', 'anna@x.example'],
    ['list@y.example <list@y.example> de la part de Anna Berg', null],
    ['list@y.example En nombre de Anna Berg', null],
    ['list@y.example Per conto di Anna Berg', null],
    ['list@y.example Em nome de Anna Berg', null],
    ['list@y.example namens Anna Berg', null],
    ['Anna Berg via Sales <sales@y.example>', null],
    ["'Anna Berg' via Sales <sales@y.example>", null],
  ];
  for (const [written, expected] of authors) {
    test(`the author: ${written}`, () => assert.equal(readAuthor(written)?.address ?? null, expected));
  }
});
