import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLoopDelay } from '../../src/lib/loop-delay.ts';
import type { Log, LogFields } from '../../src/lib/log.ts';
import { waitFor } from '../support/wait.ts';

test('a loop that is kept from going round is told, and one that goes round is not', async () => {
  const warned: LogFields[] = [];
  const quiet = () => undefined;
  const log: Log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (fields) => warned.push(fields),
    child: () => log,
  };
  const stop = watchLoopDelay(log, 1_500);
  const end = performance.now() + 2_000;
  await waitFor('a quiet second', () => performance.now() > end - 800);
  assert.deepEqual(warned, []);
  const blockedUntil = performance.now() + 1_800;
  while (performance.now() < blockedUntil);
  const [told] = await waitFor('the warning', () => (warned.length > 0 ? warned : null));
  assert.ok(Number(told?.['longestMs']) >= 1_500);
  stop();
});
