import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fuzzImap } from '../fuzz/imap.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createScene } from './listening.ts';
import type { Scene } from './listening.ts';

/** As many as a busy machine plays in a quarter of a minute, of those that are wanted. */
const seeds = { wanted: 60, least: 6 };
const playMsMax = 12_000;
const grownBytesMax = 300 * 1024 * 1024;

let database: TestDatabase;
let scene: Scene;

before(async () => {
  database = await testDatabase('pglite');
  scene = await createScene(database.db);
});
after(() => database.drop());

test('S12, T3: answers of a server that are spoiled on the way crash nothing, and every message is judged in the end, once', async () => {
  const before = process.memoryUsage().rss;
  const endAt = performance.now() + playMsMax;
  for (let seed = 1; seed <= seeds.wanted && (seed <= seeds.least || performance.now() < endAt); seed += 1) {
    const wrong = await fuzzImap(scene, seed);
    assert.deepEqual(wrong, [], `again by: npm run fuzz -- imap --seed ${seed}\n${wrong.join('')}`);
  }
  assert.ok(process.memoryUsage().rss - before < grownBytesMax, 'memory is bounded');
});
