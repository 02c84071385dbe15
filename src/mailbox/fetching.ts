import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { StructurePart } from '../message/attachment-limits.ts';
import type { Batch } from '../filing/file.ts';
import type { Sighting } from '../filing/sighting.ts';
import { commandRefused } from './imap-errors.ts';
import type { Seen, Unread } from './seen.ts';
import type { Session } from './session.ts';

/*
 * How to get headers and bodies from a server that lists what it cannot show, and refuses a whole
 * batch for the sake of one message.
 */

/** Headers of a batch; where the server refuses all for the sake of one, of those that it does show. */
export async function headersOf(session: Session, uids: readonly number[]): Promise<Seen[]> {
  const parts = await partwise(session, uids, (set) => session.headers(uidSet(set)));
  return parts.flat();
}

/**
 * Asks for messages together, and where the server refuses, for each half by itself; one that is
 * refused alone is left out. A session in which everything is refused rejects instead.
 */
async function partwise<T>(
  session: Session,
  uids: readonly number[],
  ask: (uids: readonly number[]) => Promise<T>,
): Promise<T[]> {
  if (uids.length === 0) return [];
  const answer = await unlessRefused(ask(uids));
  if (answer !== null) return [answer];
  await session.uids(uidSet(uids));
  if (uids.length === 1) return [];
  const [front, back] = halves(uids);
  return [...(await partwise(session, front, ask)), ...(await partwise(session, back, ask))];
}

/** What is listed and was not shown: asked for once more, then taken as unreadable. What is gone is left out. */
export async function missedOnes(
  session: Session,
  { listed, shown }: { listed: readonly number[]; shown: readonly number[] },
): Promise<(Seen | Unread)[]> {
  const has = new Set(shown);
  const missing = listed.filter((uid) => !has.has(uid));
  if (missing.length === 0) return [];
  const again = await headersOf(session, missing);
  for (const seen of again) has.add(seen.uid);
  const still = missing.filter((uid) => !has.has(uid));
  if (still.length === 0) return again;
  const known = new Map(
    ((await unlessRefused(session.marks(uidSet(still)))) ?? []).map((seen) => [seen.uid, seen]),
  );
  const there = new Set(await session.uids(uidSet(still)));
  const unread = still
    .filter((uid) => there.has(uid))
    .map((uid): Unread => ({ ...known.get(uid), uid, unreadable: true }));
  return [...again, ...unread];
}

/** More than any provider delivers; a literal beyond that would end the connection, again and again. */
const bodyBytesMax = 180 * 1024 * 1024;

/** Bodies by UID; one that is missing is asked for once more, and then missing from the answer. */
async function bodiesOf(
  session: Session,
  sightings: readonly Sighting[],
  uids: readonly number[],
): Promise<Map<number, Buffer>> {
  const sizes = new Map(sightings.map((sighting) => [sighting.place.uid, sighting.size]));
  const wanted = uids.filter((uid) => (sizes.get(uid) ?? 0) <= bodyBytesMax);
  const ask = async (some: readonly number[]) => {
    const parts = await partwise(session, some, (set) => session.bodies(set));
    return parts.flatMap((part) => [...part]);
  };
  const given = new Map(await ask(wanted));
  // Exchange leaves one out now and then that it gives when it is asked again (providers.md B.4).
  const missing = wanted.filter((uid) => !given.has(uid));
  return missing.length === 0 ? given : new Map([...given, ...(await ask(missing))]);
}

/** How filing gets at more of what was seen in the open folder. `onBodies` is told when bodies are there. */
export function fetchersOf(
  session: Session,
  sightings: readonly Sighting[],
  onBodies: (bodies: ReadonlyMap<number, Buffer>) => void,
): Pick<Batch, 'fetchBodies' | 'fetchStructures'> {
  return {
    fetchBodies: async (uids) => {
      const bodies = await bodiesOf(session, sightings, uids);
      onBodies(bodies);
      return bodies;
    },
    fetchStructures: (uids) => structuresOf(session, uids),
  };
}

/** What messages consist of, by UID; one that the server cannot show so is left out. */
export async function structuresOf(
  session: Session,
  uids: readonly number[],
): Promise<Map<number, StructurePart[]>> {
  const parts = await partwise(session, uids, (set) => session.structures(set));
  return new Map(parts.flatMap((part) => [...part]));
}

/**
 * What the cheapest of commands brings. A router that forgot the connection lets nothing through, not even
 * its end: after `withinMs` we close it ourselves, and the answer rejects.
 */
export async function answered<T>(
  answer: Promise<T>,
  session: Session,
  { clock, withinMs }: { clock: Clock; withinMs: number },
): Promise<T> {
  const done = new AbortController();
  void clock.sleep(withinMs, done.signal).then(() => {
    if (!done.signal.aborted) session.close();
  });
  try {
    return await answer;
  } finally {
    done.abort();
  }
}

/** Null where the server answered with NO or BAD: a matter of what was asked for, not of the connection. */
export async function unlessRefused<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Failure && error.code === commandRefused) return null;
    throw error;
  }
}

export function halves<T>(list: readonly T[]): [T[], T[]] {
  const middle = Math.ceil(list.length / 2);
  return [list.slice(0, middle), list.slice(middle)];
}

/** `1,2,3,7` as `1:3,7`, so that a command line stays short. */
export function uidSet(uids: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const uid of uids) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === uid - 1) last[1] = uid;
    else ranges.push([uid, uid]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}:${to}`)).join(',');
}
