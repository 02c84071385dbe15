import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createBatcher } from '../../src/lib/batcher.ts';

describe('createBatcher', () => {
  /** Doubles numbers; fails where one of them is negative. */
  function doubler(most = 10) {
    const batches: number[][] = [];
    const held = Promise.withResolvers<void>();
    const ask = createBatcher({
      most,
      run: async (items: readonly number[]) => {
        batches.push([...items]);
        if (batches.length === 1) await held.promise;
        if (items.some((item) => item < 0)) throw new Error(`negative: ${items.join()}`);
        return items.map((item) => 2 * item);
      },
    });
    return { ask, batches, letGo: () => held.resolve() };
  }

  test('one that is alone waits for nobody', async () => {
    const { ask, batches, letGo } = doubler();
    letGo();
    assert.equal(await ask(1), 2);
    assert.deepEqual(batches, [[1]]);
  });

  test('what is asked for at once, or while a batch is under way, goes together, no more than so many', async () => {
    const { ask, batches, letGo } = doubler(3);
    const first = [ask(1), ask(2)];
    await new Promise(setImmediate);
    const later = [3, 4, 5, 6].map(ask);
    letGo();
    assert.deepEqual(await Promise.all([...first, ...later]), [2, 4, 6, 8, 10, 12]);
    assert.deepEqual(batches, [[1, 2], [3, 4, 5], [6]]);
  });

  test('one that fails is in nobody’s way, and the next ones are answered', async () => {
    const { ask, batches, letGo } = doubler();
    letGo();
    const answers = await Promise.allSettled([ask(1), ask(-1), ask(3)]);
    assert.deepEqual(
      answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : String(answer.reason))),
      [2, 'Error: negative: -1', 6],
    );
    assert.deepEqual(batches, [[1, -1, 3], [1], [-1], [3]]);
    assert.equal(await ask(4), 8);
  });
});
