/** Lets some pieces of work in at a time; the others wait and go in the order in which they came. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

export function createGate(atOnceMax: number): Gate {
  const waiting: (() => void)[] = [];
  let free = atOnceMax;
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((enter) => waiting.push(enter));
    try {
      return await work();
    } finally {
      // The place goes to whoever is next, without being free in between.
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

/** A gate for each key, for as long as somebody is at it: who waits at one holds up nobody at another. */
export type KeyedGate = <T>(key: string, work: () => Promise<T>) => Promise<T>;

export function createKeyedGate(atOnceMax: number): KeyedGate {
  const gates = new Map<string, { gate: Gate; users: number }>();
  return async (key, work) => {
    const entry = gates.get(key) ?? { gate: createGate(atOnceMax), users: 0 };
    gates.set(key, entry);
    entry.users += 1;
    try {
      return await entry.gate(work);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) gates.delete(key);
    }
  };
}
