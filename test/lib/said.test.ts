import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { piecesSaid, say } from '../../src/lib/said.ts';
import type { Saying } from '../../src/lib/said.ts';

const english = { came: '{who} came', late: '{first}, and late', nobody: 'nobody', '': 'empty' };

const cases: [what: string, saying: Saying, said: string][] = [
  ['a sentence without values', { say: 'nobody' }, 'nobody'],
  ['one with a value', { say: 'came', who: 'Carla' }, 'Carla came'],
  ['a value that is said itself', { say: 'came', who: { say: 'nobody' } }, 'nobody came'],
  ['a sentence in a sentence', { say: 'late', first: { say: 'came', who: 'Carla' } }, 'Carla came, and late'],
  ['a value that looks like a name of one', { say: 'came', who: '{who}' }, '{who} came'],
  ['a value that is a word', { say: 'came', who: 'nobody' }, 'nobody came'],
  ['a value that is missing', { say: 'came' }, ' came'],
  ['a word that has no sentence', { say: 'gone', who: 'Carla' }, 'gone'],
  ['what every object has', { say: 'constructor' }, 'constructor'],
];

describe('what is said in more than one language', () => {
  for (const [what, saying, said] of cases) test(what, () => assert.equal(say(english, saying), said));

  test('values are set apart, also within a sentence that is a value', () => {
    const german: Readonly<Record<string, string>> = { came: '{who} kam', late: 'Zu spät: {first}' };
    const saying = { say: 'late', first: { say: 'came', who: 'Carla' } };
    assert.deepEqual(
      piecesSaid((word) => german[word], saying),
      [
        { text: 'Zu spät: ', isValue: false },
        { text: 'Carla', isValue: true },
        { text: ' kam', isValue: false },
      ],
    );
  });
});
