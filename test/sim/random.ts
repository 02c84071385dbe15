/** Numbers that look random and are the same for the same seed (mulberry32, public domain). */
export type Random = {
  /** From 0 up to, and without, `end`. */
  below(end: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** By weight. */
  weighted<T>(list: readonly (readonly [weight: number, value: T])[]): T;
  /** In another order. */
  shuffled<T>(list: readonly T[]): T[];
};

export function createRandom(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  const random: Random = {
    below: (end) => Math.floor(next() * end),
    chance: (share) => next() < share,
    pick: (list) => {
      const found = list[random.below(list.length)];
      if (found === undefined) throw new Error('nothing to pick from');
      return found;
    },
    weighted: (list) => {
      let at = next() * list.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of list) {
        at -= weight;
        if (at < 0) return value;
      }
      throw new Error('nothing to choose from');
    },
    shuffled: (list) => {
      const rest = [...list];
      return list.map(() => rest.splice(random.below(rest.length), 1)[0] as (typeof list)[number]);
    },
  };
  return random;
}
