import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { catalogues, findText } from '../../../src/console/texts/texts.ts';
import { loggedRules } from '../../../src/filing/logged-rules.ts';
import { reasonCodes, rules } from '../../../src/filing/rules.ts';
import { remedyNames } from '../../../src/provider/connection-states.ts';

const prefixed = (prefix: string) =>
  Object.keys(catalogues.en)
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length))
    .sort();

describe('a person is told in words of their language', () => {
  test('C5: what to do about each state and cause; no text is for none', () => {
    assert.deepEqual(prefixed('mine.remedy.'), [...remedyNames].sort());
  });

  test('T1: each reason; no text is for none', () => {
    assert.deepEqual(prefixed('mine.reason.'), Object.keys(reasonCodes).sort());
  });

  test('T1: each rule that may be asked without an answer, as a question', () => {
    // Limits are looked at last, of what is to be stored.
    const asked = new Set([...rules, ...loggedRules].map(({ id }) => id).concat('L1'));
    assert.deepEqual(prefixed('mine.step.'), [...asked].sort());
    for (const id of asked) assert.match(textOf(`mine.step.${id}`), /\?$/);
  });

  test('none of them holds a word for machines', () => {
    for (const catalogue of Object.values(catalogues))
      for (const [key, text] of Object.entries(catalogue))
        if (key.startsWith('mine.')) assert.doesNotMatch(text.replaceAll(/\{\w+\}/g, ''), /[a-z]_[a-z]/, key);
  });
});

function textOf(key: string): string {
  return (findText(key) ?? []).map(({ text }) => text).join('');
}
