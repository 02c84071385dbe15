import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findingEnglish } from '../src/lib/finding-words.ts';
import { say } from '../src/lib/said.ts';
import { judgeKeys } from '../src/secret-key-findings.ts';

for (const [name, ring, counts, levels, words] of [
  ['one key', ['aa'], [{ key: 'aa', sealed: 7 }], ['ok'], /secrets .* key aa: 7/],
  ['nothing sealed yet', ['aa'], [], ['ok'], /^secrets .*: 0$/],
  [
    'a new key, and what the old one sealed',
    ['bb', 'aa'],
    [
      { key: 'aa', sealed: 5 },
      { key: 'bb', sealed: 2 },
    ],
    ['warning'],
    /secrets still sealed with the older key aa: 5/,
  ],
  ['an old key that is done with', ['bb', 'aa'], [{ key: 'bb', sealed: 7 }], ['ok'], /aa seals nothing/],
  [
    'a key that was taken out too early',
    ['bb'],
    [
      { key: 'aa', sealed: 3 },
      { key: 'bb', sealed: 4 },
    ],
    ['problem'],
    /secrets .* aa, which is not configured: 3$/,
  ],
] as const) {
  test(`secret keys: ${name}`, () => {
    const findings = judgeKeys(ring, counts);
    assert.deepEqual(
      findings.map(({ level }) => level),
      levels,
    );
    const [first] = findings;
    assert.match(first === undefined ? '' : say(findingEnglish, first.found), words);
  });
}
