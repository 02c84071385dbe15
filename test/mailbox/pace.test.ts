import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createPace, nextWidth } from '../../src/mailbox/pace.ts';
import type { Pace, Turn } from '../../src/mailbox/pace.ts';
import { createManualClock } from '../support/manual-clock.ts';

describe('how many looks are made at once', () => {
  const cases: [string, { looks: number; narrowedAt: number }, { lateMs: number; now: number }, number][] = [
    ['a timer in time: one more', { looks: 100, narrowedAt: 0 }, { lateMs: 1, now: 1 }, 101],
    ['in time, as many as there may be', { looks: 500, narrowedAt: 0 }, { lateMs: 0, now: 1 }, 500],
    ['as late as it may be', { looks: 100, narrowedAt: 0 }, { lateMs: 50, now: 9_000 }, 101],
    ['later: half as many', { looks: 500, narrowedAt: -Infinity }, { lateMs: 51, now: 0 }, 250],
    ['how much later is all the same', { looks: 250, narrowedAt: 0 }, { lateMs: 90_000, now: 500 }, 125],
    ['of the same delay as the last one', { looks: 250, narrowedAt: 0 }, { lateMs: 51, now: 499 }, 250],
    ['never so few that nothing is looked at', { looks: 41, narrowedAt: 0 }, { lateMs: 51, now: 500 }, 40],
  ];
  for (const [name, width, look, looks] of cases) {
    test(name, () => assert.equal(nextWidth(width, look).looks, looks));
  }
});

describe('the turns of looks', () => {
  /** So many looks that are due, each as late; which of them were told that their turn has come. */
  function ask(pace: Pace, count: number, lateMs: number | null): { turns: Turn[]; told: number[] } {
    const told: number[] = [];
    const turns = Array.from({ length: count }, (_, n) => pace(lateMs, () => told.push(n)));
    return { turns, told };
  }
  const come = (turns: readonly Turn[]) => turns.filter(({ hasCome }) => hasCome).length;

  /** A node that has been late for so long that it makes as few as there are. */
  async function starved(): Promise<{ clock: ReturnType<typeof createManualClock>; pace: Pace }> {
    const clock = createManualClock();
    const pace = createPace(clock);
    for (let cut = 0; cut < 8; cut += 1) {
      pace(60, () => undefined).end();
      await clock.advance(500);
    }
    return { clock, pace };
  }

  test('where the node has time, every look begins when it is due', () => {
    const { turns, told } = ask(createPace(createManualClock()), 500, 0);
    assert.equal(come(turns), 500);
    assert.deepEqual(told, [], 'nobody is woken who did not wait');
  });

  test('where it has none, forty begin, and the others in the order in which they were due', async () => {
    const { clock, pace } = await starved();
    const { turns, told } = ask(pace, 45, null);
    assert.equal(come(turns), 40);
    turns[7]?.end();
    turns[3]?.end();
    await clock.advance(0);
    assert.deepEqual(told, [40, 41]);
  });

  test('one that waits for its server keeps the others waiting for a second', async () => {
    const { clock, pace } = await starved();
    const { told } = ask(pace, 90, null);
    await clock.advance(999);
    assert.deepEqual(told, []);
    await clock.advance(1);
    assert.equal(told.length, 40);
    await clock.advance(1_000);
    assert.equal(told.length, 50);
  });

  test('one that is not wanted any more takes nobody’s place, and ends once', async () => {
    const { clock, pace } = await starved();
    const { turns, told } = ask(pace, 43, null);
    turns[40]?.end();
    turns[0]?.end();
    turns[0]?.end();
    await clock.advance(0);
    assert.deepEqual(told, [41]);
    assert.equal(turns[40]?.hasCome, false);
  });

  test('nothing is left when all have ended', async () => {
    const { clock, pace } = await starved();
    const { turns } = ask(pace, 60, null);
    for (let round = 0; round < 2; round += 1) {
      for (const turn of turns) turn.end();
      await clock.advance(0);
    }
    assert.equal(clock.sleeping(), 0);
  });
});
