import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKeyedGate, createRampedGate } from '../../src/mailbox/gate.ts';

test('no more than allowed are inside, and the others go in the order in which they came', async () => {
  const gate = createKeyedGate(2);
  const entered: number[] = [];
  const leave: (() => void)[] = [];
  let inside = 0;
  let insideMost = 0;
  const all = [0, 1, 2, 3, 4].map((n) =>
    gate('host.example', async () => {
      entered.push(n);
      inside += 1;
      insideMost = Math.max(insideMost, inside);
      await new Promise<void>((resolve) => (leave[n] = resolve));
      inside -= 1;
      return n * 10;
    }),
  );
  for (const n of [0, 1, 2, 3, 4]) {
    while (leave[n] === undefined) await new Promise((resolve) => setImmediate(resolve));
    leave[n]();
  }
  assert.deepEqual(await Promise.all(all), [0, 10, 20, 30, 40]);
  assert.deepEqual(entered, [0, 1, 2, 3, 4]);
  assert.equal(insideMost, 2);
});

test('who fails inside gives the place back', async () => {
  const gate = createKeyedGate(1);
  await assert.rejects(
    gate('host.example', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await gate('host.example', () => Promise.resolve('next')), 'next');
});

test('who waits at one key holds up nobody at another', async () => {
  const gate = createKeyedGate(1);
  let leave = () => {};
  const first = gate('slow.example', () => new Promise<void>((resolve) => (leave = resolve)));
  let entered = false;
  const second = gate('slow.example', () => Promise.resolve((entered = true)));
  assert.equal(await gate('quick.example', () => Promise.resolve('there')), 'there');
  assert.equal(entered, false);
  leave();
  await first;
  assert.equal(await second, true);
});

test('who is stopped in the moment of its turn takes nobody along', async () => {
  const gate = createKeyedGate(1);
  const stop = new AbortController();
  let leave = () => {};
  const first = gate('host.example', () => new Promise<void>((resolve) => (leave = resolve)));
  const second = gate('host.example', () => Promise.resolve('second'), stop.signal);
  let third: string | null = null;
  void gate('host.example', () => Promise.resolve('third')).then((came) => (third = came));
  leave();
  // Here the place is given to the second one, which has not heard of that yet.
  await Promise.resolve();
  stop.abort();
  await first;
  assert.equal(await second, 'second');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(third, 'third');
});

test('who is stopped while waiting goes away, and takes nobody’s place', async () => {
  const gate = createKeyedGate(1);
  const stop = new AbortController();
  let leave = () => {};
  const first = gate('host.example', () => new Promise<void>((resolve) => (leave = resolve)));
  let worked = false;
  const work = () => Promise.resolve((worked = true));
  const stopped = gate('host.example', work, stop.signal);
  const third = gate('host.example', () => Promise.resolve('third'));
  stop.abort(new Error('stopped'));
  await assert.rejects(stopped, /stopped/);
  await assert.rejects(gate('host.example', work, stop.signal), /stopped/);
  leave();
  await first;
  assert.equal(await third, 'third');
  assert.equal(worked, false);
  assert.equal(await gate('host.example', () => Promise.resolve('next')), 'next');
});

test('a ramp lets few in at first, more for each that succeeds, and few again where work fails', async () => {
  const gate = createRampedGate({ first: 2, most: 5 });
  const ends: { succeed(): void; fail(error: Error): void }[] = [];
  let inside = 0;
  const work = async () => {
    inside += 1;
    try {
      await new Promise<void>((succeed, fail) => ends.push({ succeed, fail }));
    } finally {
      inside -= 1;
    }
  };
  const turns = () => new Promise((resolve) => setImmediate(resolve));
  const stop = new AbortController();
  const all = Array.from({ length: 40 }, () =>
    gate('host.example', work, stop.signal).catch(() => undefined),
  );
  const end = async (how: (one: (typeof ends)[number]) => void) => {
    const one = ends.shift();
    assert.ok(one);
    how(one);
    await turns();
    return inside;
  };
  await turns();
  assert.equal(inside, 2);
  const widths: number[] = [];
  for (let n = 0; n < 5; n += 1) widths.push(await end((one) => one.succeed()));
  assert.deepEqual(widths, [3, 4, 5, 5, 5]);
  widths.length = 0;
  for (let n = 0; n < 5; n += 1) widths.push(await end((one) => one.fail(new Error('too many'))));
  assert.deepEqual(widths, [4, 3, 2, 2, 2], 'half of five, and never fewer than at first');
  assert.equal(await end((one) => one.succeed()), 3);
  stop.abort(new Error('stopped'));
  for (const one of ends) one.succeed();
  await Promise.all(all);
});
