import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changePace, isDoubtful, planChanges, waitsMs } from '../../src/mailbox/change-plan.ts';
import type { ChangeStep, Followed } from '../../src/mailbox/change-plan.ts';

const saved = { savedModseq: '7', labels: false, told: null, doubted: false } as const;

const plans: { name: string; followed: Followed; step: ChangeStep }[] = [
  {
    name: 'QRESYNC, back after a while: the server knows all that happened meanwhile',
    followed: { ...saved, ability: 'qresync', agoMs: null },
    step: 'ask_changed',
  },
  {
    name: 'QRESYNC, never followed: everything stored is asked about once',
    followed: { ...saved, ability: 'qresync', agoMs: null, savedModseq: null },
    step: 'compare',
  },
  {
    name: 'QRESYNC, a message is gone',
    followed: { ...saved, ability: 'qresync', agoMs: 2_000, told: 'gone' },
    step: 'ask_changed',
  },
  {
    name: 'CONDSTORE, back after a while: nobody says what is gone',
    followed: { ...saved, ability: 'condstore', agoMs: null },
    step: 'ask_changed_and_missing',
  },
  {
    name: 'CONDSTORE, a flag changed',
    followed: { ...saved, ability: 'condstore', agoMs: 2_000, told: 'flags' },
    step: 'ask_changed',
  },
  {
    name: 'CONDSTORE, a message is gone, which need not raise the mod-sequence',
    followed: { ...saved, ability: 'condstore', agoMs: 2_000, told: 'gone' },
    step: 'ask_changed_and_missing',
  },
  {
    name: 'CONDSTORE, most was gone, which nobody tells a second time',
    followed: { ...saved, ability: 'condstore', agoMs: 120_000, doubted: true },
    step: 'ask_changed_and_missing',
  },
  {
    name: 'Gmail, a new connection: labels are compared, in case they have no mod-sequence',
    followed: { ...saved, ability: 'condstore', agoMs: null, labels: true },
    step: 'compare',
  },
  {
    name: 'Gmail, a label changed',
    followed: { ...saved, ability: 'condstore', agoMs: 2_000, labels: true, told: 'flags' },
    step: 'ask_changed',
  },
  {
    name: 'Exchange, a new connection',
    followed: { ...saved, ability: 'plain', agoMs: null, savedModseq: null },
    step: 'compare',
  },
  {
    name: 'Exchange, a notice',
    followed: { ...saved, ability: 'plain', agoMs: 10_000, savedModseq: null, told: 'flags' },
    step: 'compare',
  },
  {
    name: 'Exchange, a notice right after a look waits',
    followed: { ...saved, ability: 'plain', agoMs: 9_999, savedModseq: null, told: 'gone' },
    step: 'nothing',
  },
  {
    name: 'Exchange, no notice for long: it may keep silent',
    followed: { ...saved, ability: 'plain', agoMs: 300_000, savedModseq: null },
    step: 'compare',
  },
  {
    name: 'nothing was told and nothing is due',
    followed: { ...saved, ability: 'condstore', agoMs: 119_999 },
    step: 'nothing',
  },
  {
    name: 'no notice for a while',
    followed: { ...saved, ability: 'condstore', agoMs: 120_000 },
    step: 'ask_changed',
  },
];

describe('U2, U3: how changes are asked about', () => {
  for (const { name, followed, step } of plans) {
    test(name, () => assert.equal(planChanges(followed, changePace), step));
  }

  test('a notice waits until the look before is old enough', () => {
    assert.equal(waitsMs({ ability: 'plain', agoMs: 4_000 }, changePace), 6_000);
    assert.equal(waitsMs({ ability: 'qresync', agoMs: 4_000 }, changePace), 0);
  });
});

describe('U3: a folder that is suddenly empty is disbelieved', () => {
  for (const [known, gone, doubtful] of [
    [1, 1, false],
    [9, 9, false],
    [10, 10, true],
    [19, 10, true],
    [21, 10, false],
    [1_000, 500, true],
  ] as const) {
    test(`${gone} of ${known}: ${doubtful ? 'doubted' : 'believed'}`, () => {
      assert.equal(isDoubtful({ known, gone }), doubtful);
    });
  }
});
