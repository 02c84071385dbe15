import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Log } from './log.ts';

/** How often the longest delay is looked at. */
const everyMs = 1_000;

/**
 * Warns when something kept the event loop for longer than `limitMs`: while it does, no mailbox is
 * listened to and no call is answered. Answers how to stop.
 */
export function watchLoopDelay(log: Log, limitMs: number): () => void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const timer = setInterval(() => {
    const longestMs = Math.round(delay.max / 1e6);
    delay.reset();
    if (longestMs > limitMs) log.warn({ longestMs }, 'the event loop was blocked');
  }, everyMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}
