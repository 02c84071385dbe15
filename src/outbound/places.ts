/** Pure: when a place is free among those of the day (L3). Times are ms since the epoch, lists of them ascending. */

/** What a rolling day is. */
export const dayMs = 24 * 60 * 60_000;

/**
 * The first time from `from` to `to` at which one message more goes, so that no 24 hours have more than `limit`; null:
 * none. `places` are those from a day before on, up to a day after.
 */
export function firstFree(
  places: readonly number[],
  { from, to, limit }: { from: number; to: number; limit: number },
): number | null {
  // Room comes only where a place falls out of its day.
  const ends = places.map((place) => place + dayMs).filter((end) => end > from && end <= to);
  return [from, ...ends].find((at) => fits(places, at, limit)) ?? null;
}

/** Whether one more at `at` leaves each 24 hours within the limit, also those with later places in them. */
function fits(places: readonly number[], at: number, limit: number): boolean {
  const later = places.findIndex((place) => place > at);
  const position = later === -1 ? places.length : later;
  const taken = places.toSpliced(position, 0, at);
  for (let first = Math.max(0, position - limit); first <= position; first += 1) {
    const [start, end] = [taken[first], taken[first + limit]];
    if (start !== undefined && end !== undefined && end - start < dayMs) return false;
  }
  return true;
}

/** How many messages count at `now`, and the most that any 24 hours around it have, later ones included. */
export function countedAt(places: readonly number[], now: number): { used: number; most: number } {
  const within = (start: number) => places.filter((place) => place >= start && place < start + dayMs).length;
  const past = places.filter((place) => place > now - dayMs && place <= now);
  return { used: past.length, most: Math.max(...[...past, now].map(within)) };
}
