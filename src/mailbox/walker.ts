import { fileBatch } from '../filing/file.ts';
import type { FilingDeps } from '../filing/file.ts';
import type { Again } from '../filing/again.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { Provider } from '../provider/providers.ts';
import type { SavedFolder } from '../store/folders.ts';
import { bodiesOf, headersOf, missedOnes, uidSet, unlessRefused } from './fetching.ts';
import { watchOf } from './plan.ts';
import { sightingsOf } from './seen.ts';
import type { Query } from './imap-fetch.ts';
import type { Session } from './session.ts';

/** A folder that is watched, and of which it is known what was judged. */
export type Walked = SavedFolder & { uidValidity: number };

/** Goes through folders on a connection of its own, and has what it finds judged again; no cursor moves for it. */
export type Walker = {
  /** Folders whose mail is judged at all (S14), Sent before the others. */
  readonly folders: readonly Walked[];
  /** Downloaded since this was asked for last. */
  takeBytes(): number;
  /** UIDs that the folder's cursor has passed; null where the folder cannot be read, or was numbered anew. */
  find(folder: Walked, query: Query): Promise<number[] | null>;
  /** When the provider received messages, by UID, in ms since the epoch. */
  dates(folder: Walked, uids: readonly number[]): Promise<Map<number, number>>;
  /** What the provider shows of messages, ascending by UID; what is gone is left out. */
  look(folder: Walked, uids: readonly number[]): Promise<Sighting[]>;
  /** Judges once more what was looked at in a folder. */
  judgeAgain(folder: Walked, sightings: readonly Sighting[], again: Again): Promise<void>;
};

/** How many messages are asked for at once. */
const batchMax = 500;

/** Makes a walker over the folders of a mailbox that the listener has looked into. */
export function createWalker(
  parts: { filing: FilingDeps; log: Log; session: Session; mailboxId: MailboxId; provider: Provider },
  saved: readonly SavedFolder[],
): Walker {
  const { filing, log, session, mailboxId } = parts;
  let open: string | null = null;
  let bytes = 0;
  const enter = async (folder: Walked): Promise<boolean> => {
    if (open === folder.id) return true;
    open = null;
    const observed = await unlessRefused(session.open(folder.path));
    if (observed?.uidValidity !== folder.uidValidity) return false;
    open = folder.id;
    return true;
  };
  return {
    folders: walkedOf(parts, saved),
    takeBytes: () => {
      const taken = bytes;
      bytes = 0;
      return taken;
    },
    async find(folder, query) {
      if (!(await enter(folder))) return null;
      const found = await session.find(query);
      return found.filter((uid) => uid <= folder.cursorUid);
    },
    async dates(folder, uids) {
      if (!(await enter(folder))) return new Map();
      const found = new Map<number, number>();
      for (const some of batchesOf(uids, 4 * batchMax)) {
        for (const seen of await session.marks(uidSet(some))) found.set(seen.uid, seen.internalDate);
      }
      return found;
    },
    async look(folder, uids) {
      if (uids.length === 0 || !(await enter(folder))) return [];
      const shown = await headersOf(session, uids);
      const missed = await missedOnes(session, { listed: uids, shown: shown.map(({ uid }) => uid) });
      for (const { header } of shown) bytes += header.length;
      const { id: folderId, role, uidValidity } = folder;
      const of = { mailboxId, place: { folderId, role, uidValidity }, now: filing.clock.now(), log };
      return sightingsOf(of, [...shown, ...missed]);
    },
    async judgeAgain(folder, sightings, again) {
      await fileBatch(filing, {
        mailboxId,
        folderId: folder.id,
        uidValidity: folder.uidValidity,
        cursorUid: 0,
        upToUid: sightings.at(-1)?.place.uid ?? 0,
        again,
        sightings,
        fetchBodies: async (uids) => {
          if (!(await enter(folder))) return new Map();
          const bodies = await bodiesOf(session, sightings, uids);
          for (const body of bodies.values()) bytes += body.length;
          return bodies;
        },
      });
    },
  };
}

/** In parts of at most `size`. */
export function batchesOf<T>(list: readonly T[], size: number = batchMax): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, n) =>
    list.slice(n * size, (n + 1) * size),
  );
}

function walkedOf(
  { session, provider }: { session: Session; provider: Provider },
  saved: readonly SavedFolder[],
): Walked[] {
  const present = saved.filter((folder) => !folder.missing);
  const watch = watchOf(present, {
    gmailExtensions: provider.strategy === 'all_mail' && session.gmail,
    connectionsMax: provider.imapConnectionsMax,
  });
  const watched = new Set([...watch.idle, ...watch.sweep]);
  return present
    .flatMap((folder) => {
      const { uidValidity } = folder;
      return uidValidity !== null && watched.has(folder.path) ? [{ ...folder, uidValidity }] : [];
    })
    .sort((one, other) => rank(one) - rank(other));
}

/** Sent opens the threads to which answers belong (S6, S3). */
function rank({ role }: SavedFolder): number {
  return role === 'sent' ? 0 : role === 'inbox' || role === 'all' ? 1 : 2;
}
