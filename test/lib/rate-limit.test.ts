import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRateLimit } from '../../src/lib/rate-limit.ts';
import { createManualClock } from '../support/manual-clock.ts';

test('a burst goes at once, then so many a second; nobody pays for another', async () => {
  const clock = createManualClock();
  const limit = createRateLimit({ perSecond: 2, burst: 3, clock });
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => limit.take('ann')),
    [0, 0, 0, 500, 500],
    'what is refused takes nothing',
  );
  assert.equal(limit.take('ben'), 0);
  await clock.advance(500);
  assert.deepEqual([limit.take('ann'), limit.take('ann')], [0, 500]);
  await clock.advance(3_600_000);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => limit.take('ann')),
    [0, 0, 0, 500],
    'nothing is saved up beyond the burst',
  );
});

test('of more than it remembers the one longest unused is forgotten', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1, clock: createManualClock() });
  limit.take('first');
  for (let n = 0; n < 9_999; n += 1) limit.take(`n${n}`);
  assert.ok(limit.take('first') > 0, 'remembered');
  for (let n = 0; n < 10_000; n += 1) limit.take(`m${n}`);
  assert.equal(limit.take('first'), 0, 'forgotten');
});
