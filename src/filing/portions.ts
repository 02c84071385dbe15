import type { Sighting } from './sighting.ts';

/** Bodies are fetched and filed in portions, so that memory stays bounded and progress is kept. */
const portionMessagesMax = 100;
const portionBytesMax = 16 * 1024 * 1024;

/** What is filed in one transaction: all that a folder has between the cursor and `upToUid`. */
export type Portion = { cursorUid: number; sightings: readonly Sighting[]; upToUid: number };

/** As many sightings as fit into each portion with the bodies that they want; at least one. Pure. */
export function portionsOf(batch: Portion, wanted: ReadonlySet<number>): Portion[] {
  const portions: Portion[] = [];
  let rest = batch.sightings;
  let { cursorUid } = batch;
  while (rest.length > 0) {
    let messages = 0;
    let bytes = 0;
    const end = rest.findIndex((sighting, position) => {
      if (!wanted.has(sighting.place.uid)) return false;
      messages += 1;
      bytes += sighting.size;
      return position > 0 && (messages > portionMessagesMax || bytes > portionBytesMax);
    });
    const sightings = end === -1 ? rest : rest.slice(0, end);
    rest = rest.slice(sightings.length);
    const upToUid = rest.length === 0 ? batch.upToUid : (sightings.at(-1)?.place.uid ?? cursorUid);
    portions.push({ cursorUid, sightings, upToUid });
    cursorUid = upToUid;
  }
  return portions;
}
