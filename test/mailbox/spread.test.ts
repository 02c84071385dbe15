import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSpread } from '../../src/mailbox/spread.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { seededRandom } from '../webhook/support.ts';

test('a session that ends alone begins anew at once, and so does the first of several', async () => {
  const clock = createManualClock(0);
  const spread = createSpread(clock, () => 1);
  assert.equal(spread(), 0);
  await clock.advance(1_001);
  assert.equal(spread(), 0);
  assert.equal(spread(), 20);
});

test('a thousand that end in the same second come back spread, and within half a minute', () => {
  const spread = createSpread(createManualClock(0), seededRandom(3));
  const pauses = Array.from({ length: 1_000 }, () => spread());
  assert.ok(Math.max(...pauses) <= 20_000);
  const inSecond = (second: number) => pauses.filter((ms) => Math.floor(ms / 1_000) === second).length;
  const most = Math.max(...Array.from({ length: 20 }, (_, second) => inSecond(second)));
  assert.ok(most < 250, `${most} in one second`);
  assert.ok(inSecond(15) > 0, 'not all at the beginning');
});

test('ten thousand wait no longer: none may be a minute late', () => {
  const spread = createSpread(createManualClock(0), () => 1);
  const pauses = Array.from({ length: 10_000 }, () => spread());
  assert.equal(Math.max(...pauses), 20_000);
});
