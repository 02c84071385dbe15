import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { countedAt, dayMs, firstFree } from '../../src/outbound/places.ts';

const hourMs = dayMs / 24;

describe('L3: when one message more goes, with three in any 24 hours', () => {
  /** Hours, and the hour at which one more goes that is asked for at 0. */
  const table: [name: string, places: number[], expected: number | null][] = [
    ['none so far', [], 0],
    ['two, the third goes', [-2, -1], 0],
    ['three: when the first has left its day', [-23, -2, -1], 1],
    ['exactly a day ago counts no more', [-24, -2, -1], 0],
    ['a moment less does', [-23.999, -2, -1], 0.001],
    ['three at once', [-3, -3, -3], 21],
    ['places that are kept for later count: one now is one too many tomorrow', [5, 6, 7], null],
    ['if they are in one day with it', [24, 25, 26], 0],
    ['between what was and what will be', [-20, -10, 3], 4],
    ['nothing up to a day from now', [-1, 0, 0, 23, 23, 23, 23.5, 24], null],
  ];
  for (const [name, places, expected] of table) {
    test(`${name}: ${expected ?? 'later'}`, () => {
      const taken = places.map((hours) => hours * hourMs);
      const free = firstFree(taken, { from: 0, to: dayMs, limit: 3 });
      assert.equal(free === null ? null : free / hourMs, expected);
    });
  }

  test('500 and the next one', () => {
    const places = Array.from({ length: 500 }, (_, n) => n - hourMs);
    const at = (limit: number) => firstFree(places, { from: 0, to: dayMs, limit });
    assert.deepEqual([at(501), at(500)], [0, dayMs - hourMs]);
  });

  test('what is used, and what any 24 hours around now have at most', () => {
    const counted = (...places: number[]) =>
      countedAt(
        places.map((hours) => hours * hourMs),
        0,
      );
    assert.deepEqual(counted(), { used: 0, most: 0 });
    assert.deepEqual(counted(-24, -23, 0), { used: 2, most: 2 });
    assert.deepEqual(counted(-20, -10, 3, 4, 5), { used: 2, most: 4 });
    assert.deepEqual(counted(22, 23, 24), { used: 0, most: 2 });
  });
});
