/**
 * Lets some pieces of work in at a time for each key; the others wait and go in the order in which they
 * came, and who waits at one key holds up nobody at another. Rejects with the signal's reason when that
 * is aborted before the work has begun.
 */
export type KeyedGate = <T>(key: string, work: () => Promise<T>, stop?: AbortSignal) => Promise<T>;

/** Makes a gate for `atOnceMax` pieces of work a key. A key is known for as long as somebody is at it. */
export function createKeyedGate(atOnceMax: number): KeyedGate {
  return createGate({ first: atOnceMax, most: atOnceMax });
}

/**
 * A gate that lets `first` pieces of work in at a key, and one more for each that succeeded, up to `most`. What fails
 * halves that, down to `first` again: a host that is overwhelmed is asked less at once, and one that is not is at its
 * full width within as many answers.
 */
export function createRampedGate(width: { first: number; most: number }): KeyedGate {
  return createGate(width);
}

type AtKey = { inside: number; width: number; waiting: (() => void)[] };

function createGate({ first, most }: { first: number; most: number }): KeyedGate {
  const keys = new Map<string, AtKey>();
  return async (key, work, stop) => {
    const at = keys.get(key) ?? { inside: 0, width: first, waiting: [] };
    keys.set(key, at);
    if (at.inside < at.width) at.inside += 1;
    else await turn(at.waiting, stop);
    try {
      const done = await work();
      at.width = Math.min(most, at.width + 1);
      return done;
    } catch (error) {
      if (stop?.aborted !== true) at.width = Math.max(first, Math.floor(at.width / 2));
      throw error;
    } finally {
      at.inside -= 1;
      // A place goes to whoever is next, without being free in between.
      while (at.inside < at.width && at.waiting.length > 0) {
        at.inside += 1;
        at.waiting.shift()?.();
      }
      if (at.inside === 0) keys.delete(key);
    }
  };
}

async function turn(waiting: (() => void)[], stop: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const leave = () => {
    const at = waiting.indexOf(resolve);
    // Its turn has come in this moment: it goes on, and nobody behind it loses theirs.
    if (at === -1) return;
    waiting.splice(at, 1);
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
