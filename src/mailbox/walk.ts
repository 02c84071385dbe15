import { canonicalAddress } from '../message/addresses.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { Query } from './imap-fetch.ts';
import type { Walked, Walker } from './walker.ts';

/** Part of a walk: what was received up to a time, in the order in which that was, folder by folder. */
export type Chunk = {
  runs: { folder: Walked; sightings: Sighting[] }[];
  /** Everything received before has been shown; ms since the epoch. */
  upTo: number;
};

/** What is listed at once, in ms of the mailbox's time. */
const windowMs = 30 * 24 * 3_600_000;

/** SEARCH knows days only, in the server's own zone (RFC 9051 §6.4.4). */
const marginMs = 36 * 3_600_000;

/** So many messages are shown at once. */
const chunkMax = 200;

/**
 * Shows what the provider received in a span of time, all watched folders together, the oldest first: threads
 * grow as they did. `onChunk` answers whether to go on. What a folder's cursor has not passed is the listener's.
 */
export async function walkByDate(
  walker: Walker,
  span: { from: number; to: number; people: readonly string[] | null },
  onChunk: (chunk: Chunk) => Promise<boolean>,
): Promise<void> {
  const search = span.people === null ? {} : { people: span.people };
  // What one contact wrote is little, however long ago it was.
  let length = span.people === null ? windowMs : span.to - span.from;
  for (let { from } = span, to = from; from < span.to; from = to) {
    to = Math.min(from + length, span.to);
    const entries = await listWindow(walker, { from, to, search: { ...search, ...daysOf(from, to) } });
    // Years without mail cost few questions.
    length = entries.length < chunkMax ? length * 2 : windowMs;
    for (let at = 0; at < entries.length;) {
      const some = entries.slice(at, chunkEnd(entries, at));
      at += some.length;
      const upTo = at < entries.length ? (some.at(-1)?.date ?? to) + 1 : to;
      if (!(await onChunk({ runs: of(await show(walker, some), span.people), upTo }))) return;
    }
    if (entries.length === 0 && !(await onChunk({ runs: [], upTo: to }))) return;
  }
}

/** A span of time in windows. */
export function windowsOf(span: { from: number; to: number }): { from: number; to: number }[] {
  const windows = [];
  for (let { from } = span; from < span.to; from += windowMs) {
    windows.push({ from, to: Math.min(from + windowMs, span.to) });
  }
  return windows;
}

/** The days to search for what was received in a window, and before and after. */
export function daysOf(from: number, to: number): Pick<Query, 'since' | 'before'> {
  return { since: Math.max(0, from - marginMs), before: to + marginMs };
}

/** Behind what was received in the same second as the last one, so that a walk can go on from a time. */
function chunkEnd(entries: readonly Entry[], start: number): number {
  let end = start + chunkMax;
  while (end < entries.length && entries[end]?.date === entries[end - 1]?.date) end += 1;
  return end;
}

/** Those that name one of the people: a server finds joann@… for ann@…, too. */
function of(runs: Chunk['runs'], people: readonly string[] | null): Chunk['runs'] {
  if (people === null) return runs;
  const wanted = new Set(people.map(canonicalAddress));
  const names = ({ people: { author, recipients } }: Sighting) =>
    [...(author === null ? [] : [author]), ...recipients].some(({ address }) =>
      wanted.has(canonicalAddress(address)),
    );
  return runs.flatMap((run) => {
    const sightings = run.sightings.filter(names);
    return sightings.length === 0 ? [] : [{ ...run, sightings }];
  });
}

type Entry = { folder: Walked; uid: number; date: number };

async function listWindow(
  walker: Walker,
  { from, to, search }: { from: number; to: number; search: Query },
): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const folder of walker.folders) {
    const uids = await walker.find(folder, search);
    for (const [uid, date] of await walker.dates(folder, uids)) {
      if (date >= from && date < to) entries.push({ folder, uid, date });
    }
  }
  // A sort keeps the order of what is alike: Sent comes first.
  return entries.sort((one, other) => one.date - other.date);
}

/** Entries with their headers: one round trip a folder, and then in their order. */
async function show(walker: Walker, entries: readonly Entry[]): Promise<Chunk['runs']> {
  const shown = new Map<Walked, Map<number, Sighting>>();
  for (const folder of new Set(entries.map((entry) => entry.folder))) {
    const uids = entries.filter((entry) => entry.folder === folder).map((entry) => entry.uid);
    const sightings = await walker.look(
      folder,
      uids.sort((a, b) => a - b),
    );
    shown.set(folder, new Map(sightings.map((sighting) => [sighting.place.uid, sighting])));
  }
  const runs: Chunk['runs'] = [];
  for (const { folder, uid } of entries) {
    const sighting = shown.get(folder)?.get(uid);
    if (sighting === undefined) continue;
    const last = runs.at(-1);
    // Filing wants ascending UIDs; a message that was moved here has a late one.
    const goesOn = last?.folder === folder && (last.sightings.at(-1)?.place.uid ?? 0) < uid;
    if (goesOn) last.sightings.push(sighting);
    else runs.push({ folder, sightings: [sighting] });
  }
  return runs;
}
