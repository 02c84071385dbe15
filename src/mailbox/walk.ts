import { canonicalAddress } from '../message/addresses.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { Query } from './imap-fetch.ts';
import type { Outline, Walked, Walker } from './walker.ts';

/** Part of a walk: what was received up to a time, in the order in which that was, folder by folder. */
export type Chunk = {
  runs: { folder: Walked; sightings: Sighting[] }[];
  /** Everything received before has been shown; ms since the epoch. */
  upTo: number;
};

/** What is listed at once, in ms of the mailbox's time. */
export const windowMs = 30 * 24 * 3_600_000;

/** SEARCH knows days only, in the server's own zone (RFC 9051 §6.4.4). */
const marginMs = 36 * 3_600_000;

/** So many messages are shown at once, and of so many bytes: between two chunks the day's download is looked at (C8). */
export const chunkMax = { messages: 200, bytes: 50_000_000 };

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
    length = nextLength(length, entries.length);
    const goesOn = await fetchingAhead(
      chunksOf(entries, to),
      ({ some }) => show(walker, some),
      (runs, { upTo }) => onChunk({ runs: of(runs, span.people), upTo }),
    );
    if (!goesOn) return;
  }
}

/**
 * Goes through parts one after the other; while one is dealt with, what the next one needs is fetched. `take`
 * answers whether to go on; so does this.
 */
export async function fetchingAhead<Part, Shown>(
  parts: readonly Part[],
  fetch: (part: Part) => Promise<Shown>,
  take: (shown: Shown, part: Part) => Promise<boolean>,
): Promise<boolean> {
  const ask = (part: Part | undefined) => {
    const coming = part === undefined ? null : fetch(part);
    // Awaited in its turn, or at the end.
    coming?.catch(() => undefined);
    return coming;
  };
  let coming = ask(parts[0]);
  try {
    for (const [n, part] of parts.entries()) {
      const shown = await coming;
      coming = ask(parts[n + 1]);
      if (shown !== null && !(await take(shown, part))) return false;
    }
    return true;
  } finally {
    // Nobody else shall use the connection before it is done.
    await Promise.allSettled([coming]);
  }
}

/** Times in ms since the epoch; `to` is not part of it. */
export type Span = { from: number; to: number };

/** How long the next window is, after one with so many messages: years without mail cost few questions. */
export function nextLength(length: number, messages: number): number {
  return messages < chunkMax.messages ? length * 2 : windowMs;
}

/** In parts of at most so many bytes; what is larger is a part of its own. */
export function partsBySize<T extends { size: number }>(list: readonly T[], bytesMax: number): T[][] {
  const parts: T[][] = [];
  let bytes = 0;
  for (const one of list) {
    const last = parts.at(-1);
    bytes += one.size;
    if (last !== undefined && bytes <= bytesMax) last.push(one);
    else {
      parts.push([one]);
      bytes = one.size;
    }
  }
  return parts;
}

/** The days to search for what was received in a window, and before and after. */
export function daysOf(from: number, to: number): Pick<Query, 'since' | 'before'> {
  return { since: Math.max(0, from - marginMs), before: to + marginMs };
}

/** A window's entries in chunks, and up to when each goes: all of the window's time, also where there are none. */
function chunksOf(entries: readonly Entry[], to: number): { some: readonly Entry[]; upTo: number }[] {
  if (entries.length === 0) return [{ some: [], upTo: to }];
  const chunks = [];
  for (let at = 0; at < entries.length;) {
    const some = entries.slice(at, chunkEnd(entries, at));
    at += some.length;
    chunks.push({ some, upTo: at < entries.length ? (some.at(-1)?.date ?? to) + 1 : to });
  }
  return chunks;
}

/** Behind what was received in the same second as the last one, so that a walk can go on from a time. */
function chunkEnd(entries: readonly Entry[], start: number): number {
  let end = start;
  for (let bytes = 0; end < entries.length && end - start < chunkMax.messages; end += 1) {
    bytes += entries[end]?.size ?? 0;
    if (end > start && bytes > chunkMax.bytes) break;
  }
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

type Entry = Outline & { folder: Walked };

async function listWindow(
  walker: Walker,
  { from, to, search }: { from: number; to: number; search: Query },
): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const folder of walker.folders) {
    const uids = await walker.find(folder, search);
    for (const outline of await walker.outlines(folder, uids)) {
      if (outline.date >= from && outline.date < to) entries.push({ ...outline, folder });
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
