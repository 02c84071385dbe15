import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzSmtp } from '../fuzz/smtp.ts';

const seeds = { wanted: 20, least: 4 };
const playMsMax = 6_000;
const grownBytesMax = 200 * 1024 * 1024;

test('B4, B5: whatever clients say, what got its 250 is there once, nothing else is, and the next one is served', async () => {
  const before = process.memoryUsage().rss;
  const endAt = performance.now() + playMsMax;
  for (let seed = 1; seed <= seeds.wanted && (seed <= seeds.least || performance.now() < endAt); seed += 1) {
    const wrong = await fuzzSmtp(seed);
    assert.deepEqual(wrong, [], `again by: npm run fuzz -- smtp --seed ${seed}`);
  }
  assert.ok(process.memoryUsage().rss - before < grownBytesMax, 'memory is bounded');
});
