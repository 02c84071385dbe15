import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';

describe('the clock of the machine', () => {
  test('sleeps, and wakes at once when it is told to', async () => {
    await systemClock.sleep(1);
    await systemClock.sleep(60_000, AbortSignal.abort());
    const waking = new AbortController();
    const asleep = systemClock.sleep(60_000, waking.signal);
    waking.abort();
    await asleep;
  });

  for (const ms of [2 ** 31, Infinity]) {
    test(`does not wake at once from a sleep of ${ms} ms, which is too long for a timer`, async () => {
      const ending = new AbortController();
      const asleep = systemClock.sleep(ms, ending.signal).then(() => 'awake');
      // Later than the 1 ms of a timer that took it wrongly.
      assert.equal(await Promise.race([asleep, systemClock.sleep(5).then(() => 'asleep')]), 'asleep');
      ending.abort();
      await asleep;
    });
  }

  test('measures intervals by what is never set back', (t) => {
    const before = systemClock.monotonic();
    t.mock.timers.enable({ apis: ['Date'], now: 0 });
    assert.equal(systemClock.now(), 0);
    assert.ok(systemClock.monotonic() >= before);
  });
});
