import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createBatcher } from '../../src/lib/batcher.ts';

describe('createBatcher', () => {
  /** Doubles numbers; fails where one of them is negative, or, for all, 0. */
  function doubler(most = 10) {
    const batches: number[][] = [];
    const held = Promise.withResolvers<void>();
    const ask = createBatcher({
      most,
      isOfAll: (error) => /away/.test(String(error)),
      run: async (items: readonly number[]) => {
        batches.push([...items]);
        if (batches.length === 1) await held.promise;
        if (items.includes(0)) throw new Error('away');
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

  test('in a rest the next batch gathers; one that is alone, or a whole batch, waits for none', async () => {
    const batches: number[][] = [];
    const rests: (() => void)[] = [];
    const ask = createBatcher({
      most: 3,
      run: (items: readonly number[]) => {
        batches.push([...items]);
        return Promise.resolve(items);
      },
      rest: () => new Promise((resolve) => rests.push(resolve)),
    });
    await ask(1);
    const two = [ask(2)];
    await new Promise(setImmediate);
    two.push(ask(3));
    assert.deepEqual(batches, [[1]]);
    rests.shift()?.();
    await Promise.all(two);
    const more = [4, 5, 6, 7, 8, 9, 10].map(ask);
    await new Promise(setImmediate);
    rests.shift()?.();
    await Promise.all(more.slice(0, 6));
    assert.deepEqual(batches, [[1], [2, 3], [4, 5, 6], [7, 8, 9]].concat(batches.slice(4)));
    rests.shift()?.();
    await Promise.all(more);
    assert.deepEqual(batches.flat().slice(-1), [10]);
  });

  test('in a rest nothing goes by itself, however many batches may be under way at once', async () => {
    const batches: number[][] = [];
    const rests: (() => void)[] = [];
    const ask = createBatcher({
      most: 10,
      overtaking: { lateMs: 60_000, atOnce: 4 },
      run: (items: readonly number[]) => {
        batches.push([...items]);
        return Promise.resolve(items);
      },
      rest: () => new Promise((resolve) => rests.push(resolve)),
    });
    await ask(1);
    const gathered: Promise<number>[] = [];
    for (const item of [2, 3, 4]) {
      gathered.push(ask(item));
      await turns();
    }
    assert.deepEqual(batches, [[1]]);
    rests.shift()?.();
    assert.deepEqual(await Promise.all(gathered), [2, 3, 4]);
    assert.deepEqual(batches, [[1], [2, 3, 4]]);
    rests.shift()?.();
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

  test('an error that is of all is told to all at once: none is tried by itself', async () => {
    const { ask, batches, letGo } = doubler();
    letGo();
    const answers = await Promise.allSettled([ask(1), ask(0), ask(3)]);
    assert.deepEqual(
      answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : String(answer.reason))),
      ['Error: away', 'Error: away', 'Error: away'],
    );
    assert.deepEqual(batches, [[1, 0, 3]]);
    assert.equal(await ask(4), 8);
  });

  test('what comes later overtakes one that is held up, so many at once, and none that is in time', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const held = Promise.withResolvers<void>();
    const begun: string[] = [];
    const ask = createBatcher({
      most: 2,
      overtaking: { lateMs: 5, atOnce: 2 },
      run: async (items: readonly string[]) => {
        begun.push(items.join(' '));
        await held.promise;
        return items;
      },
    });
    const asked = ['first'].map(ask);
    await turns();
    asked.push(ask('second'), ask('third'));
    t.mock.timers.tick(4);
    await turns();
    assert.deepEqual(begun, ['first']);
    t.mock.timers.tick(1);
    await turns();
    assert.deepEqual(begun, ['first', 'second third']);
    asked.push(ask('fourth'));
    t.mock.timers.tick(100);
    await turns();
    assert.deepEqual(begun, ['first', 'second third']);
    held.resolve();
    assert.deepEqual(await Promise.all(asked), ['first', 'second', 'third', 'fourth']);
    assert.deepEqual(begun, ['first', 'second third', 'fourth']);
  });

  /** Whatever is to be done in a few turns of the event loop is done. */
  async function turns(): Promise<void> {
    for (let n = 0; n < 5; n += 1) await new Promise(setImmediate);
  }

  test('what comes while one is under way in time is not spread over several', async () => {
    const { ask, batches, letGo } = doubler();
    const first = ask(1);
    await new Promise(setImmediate);
    const later = [ask(2)];
    await new Promise(setImmediate);
    later.push(ask(3));
    letGo();
    await Promise.all([first, ...later]);
    assert.deepEqual(batches, [[1], [2, 3]]);
  });
});
