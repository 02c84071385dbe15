import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLoopDelay } from '../../src/lib/loop-delay.ts';
import type { Log, LogFields } from '../../src/lib/log.ts';
import { waitFor } from '../support/wait.ts';

test('a loop that is kept from going round is told, with for how long', async () => {
  const warned: LogFields[] = [];
  const quiet = () => undefined;
  const log: Log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (fields) => warned.push(fields),
    child: () => log,
  };
  const stop = watchLoopDelay(log, 400);
  await waitFor('the watch to begin', () => new Promise((resolve) => setImmediate(() => resolve(true))));
  const begun = process.threadCpuUsage().user;
  while (process.threadCpuUsage().user - begun < 500_000);
  const [told] = await waitFor('the warning', () => (warned.length > 0 ? warned : null));
  assert.ok(Number(told?.['longestMs']) >= 450);
  stop();
});
