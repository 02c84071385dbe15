import type { Log } from './log.ts';
import { loopDelay } from './meters.ts';

/** How often the loop should come round at least, and how often the longest stay away is told. */
const tickMs = 20;
const tellMs = 1_000;

/**
 * Warns when something of ours kept the event loop busy for longer than `limitMs` in one go: while it
 * does, no mailbox is listened to and no call is answered. Counts this thread's own processor time, so
 * that a busy machine is not taken for a fault of ours. How late the ticks come, for whatever cause, is a figure
 * (`loopDelay`). Answers how to stop.
 */
export function watchLoopDelay(log: Log, limitMs: number): () => void {
  let usedBefore = threadMs();
  let longestMs = 0;
  let dueAt = performance.now() + tickMs;
  const tick = setInterval(() => {
    const used = threadMs();
    longestMs = Math.max(longestMs, used - usedBefore);
    usedBefore = used;
    const now = performance.now();
    loopDelay.observe([], (now - dueAt) / 1_000);
    dueAt = now + tickMs;
  }, tickMs);
  const tell = setInterval(() => {
    if (longestMs > limitMs) log.warn({ longestMs: Math.round(longestMs) }, 'the event loop was blocked');
    longestMs = 0;
  }, tellMs);
  tick.unref();
  tell.unref();
  return () => {
    clearInterval(tick);
    clearInterval(tell);
  };
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
