/**
 * Lets some pieces of work in at a time for each key; the others wait and go in the order in which they
 * came, and who waits at one key holds up nobody at another. Rejects with the signal's reason when that
 * is aborted before the work has begun.
 */
export type KeyedGate = <T>(key: string, work: () => Promise<T>, stop?: AbortSignal) => Promise<T>;

/** Makes a gate for `atOnceMax` pieces of work a key. A key is known for as long as somebody is at it. */
export function createKeyedGate(atOnceMax: number): KeyedGate {
  const keys = new Map<string, { inside: number; waiting: (() => void)[] }>();
  return async (key, work, stop) => {
    const at = keys.get(key) ?? { inside: 0, waiting: [] };
    keys.set(key, at);
    if (at.inside < atOnceMax) at.inside += 1;
    else await turn(at.waiting, stop);
    try {
      return await work();
    } finally {
      // The place goes to whoever is next, without being free in between.
      const next = at.waiting.shift();
      if (next === undefined) at.inside -= 1;
      else next();
      if (at.inside === 0) keys.delete(key);
    }
  };
}

async function turn(waiting: (() => void)[], stop: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const leave = () => {
    waiting.splice(waiting.indexOf(resolve), 1);
    reject(stop?.reason as Error);
  };
  if (stop?.aborted === true) throw stop.reason as Error;
  waiting.push(resolve);
  stop?.addEventListener('abort', leave, { once: true });
  try {
    await promise;
  } finally {
    stop?.removeEventListener('abort', leave);
  }
}
