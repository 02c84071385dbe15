import { fileBatch } from '../filing/file.ts';
import type { Batch, FilingDeps } from '../filing/file.ts';
import type { Again } from '../filing/again.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { MailboxId } from '../lib/id.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { Provider } from '../provider/providers.ts';
import type { SavedFolder } from '../store/folders.ts';
import { fetchersOf, headersOf, missedOnes, structuresOf, uidSet, unlessRefused } from './fetching.ts';
import { commandRefused } from './imap-errors.ts';
import { watchOf } from './plan.ts';
import { sightingsOf } from './seen.ts';
import type { Query } from './imap-fetch.ts';
import type { Session } from './session.ts';

/** A folder that is watched, and of which it is known what was judged. */
export type Walked = SavedFolder & { uidValidity: number };

/** A message, when the provider received it (ms since the epoch), and its size in bytes. */
export type Outline = { uid: number; date: number; size: number };

/** Goes through folders on a connection of its own, and has what it finds judged again; no cursor moves for it. */
export type Walker = {
  /** Folders whose mail is judged at all (S14), Sent before the others. */
  readonly folders: readonly Walked[];
  /** Downloaded since this was asked for last, also ahead. */
  takeBytes(): number;
  /**
   * UIDs that the folder's cursor has passed. Rejects where the folder was numbered anew, which the listener must
   * see first, and where the server refuses it; unless such a one is to be left out.
   */
  find(folder: Walked, query: Query): Promise<number[]>;
  /** A folder was left out since it cannot be read. */
  leftOut(): boolean;
  /** What is known of messages without their headers. */
  outlines(folder: Walked, uids: readonly number[]): Promise<Outline[]>;
  /** What the provider shows of messages, ascending by UID; what is gone is left out. */
  look(folder: Walked, uids: readonly number[]): Promise<Sighting[]>;
  /** What messages of a folder consist of, by UID. */
  structures: (folder: Walked, uids: readonly number[]) => ReturnType<Batch['fetchStructures']>;
  /** Judges once more what was looked at in a folder. */
  judgeAgain(folder: Walked, sightings: readonly Sighting[], again: Again): Promise<void>;
};

const folderUnreadable = 'folder_unreadable';

function isOfTheFolder(error: unknown): error is Failure {
  return error instanceof Failure && (error.code === folderUnreadable || error.code === commandRefused);
}

/** How many messages are asked for at once. */
const batchMax = 500;

type Parts = {
  filing: FilingDeps;
  log: Log;
  session: Session;
  mailboxId: MailboxId;
  provider: Provider;
  /** A folder that cannot be read is left out: it was tried often enough. */
  leavesOut: boolean;
};

/** Does something in a folder; rejects as Walker says. */
type InFolder = <T>(folder: Walked, work: () => Promise<T>) => Promise<T>;

/**
 * Opens folders, each once for as long as it stays the one that is open. One thing after the other: what is fetched
 * ahead in one folder must not close another one under somebody's feet.
 */
function createInFolder(session: Session): InFolder {
  let open: string | null = null;
  let last: Promise<unknown> = Promise.resolve();
  const enter = async (folder: Walked) => {
    if (open === folder.id) return;
    open = null;
    const observed = await unlessRefused(session.open(folder.path));
    if (observed === null) throw new Failure('temporary', folderUnreadable, 'the provider refuses a folder');
    if (observed.uidValidity !== folder.uidValidity)
      throw new Failure('temporary', 'folder_renumbered', 'a folder is numbered anew');
    open = folder.id;
  };
  return (folder, work) => {
    const turn = last.then(() => enter(folder)).then(work);
    // Whoever asked hears of a failure; the next one begins all the same.
    last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  };
}

/** Makes a walker over the folders of a mailbox that the listener has looked into. */
export function createWalker(parts: Parts, saved: readonly SavedFolder[]): Walker {
  const { filing, log, session, mailboxId } = parts;
  const inFolder = createInFolder(session);
  let bytes = 0;
  let leftOut = false;
  return {
    folders: walkedOf(parts, saved),
    leftOut: () => leftOut,
    takeBytes: () => {
      const taken = bytes;
      bytes = 0;
      return taken;
    },
    async find(folder, query) {
      try {
        const found = await inFolder(folder, () => session.find(query));
        return found.filter((uid) => uid <= folder.cursorUid);
      } catch (error) {
        if (!parts.leavesOut || !isOfTheFolder(error)) throw error;
        log.warn({ folder: folder.id, code: error.code }, 'a folder is left out: it cannot be read');
        leftOut = true;
        return [];
      }
    },
    async outlines(folder, uids) {
      const found: Outline[] = [];
      for (const some of batchesOf(uids, 4 * batchMax)) {
        const shown = await inFolder(folder, () => session.marks(uidSet(some)));
        for (const { uid, internalDate: date, size } of shown) found.push({ uid, date, size });
      }
      return found;
    },
    async look(folder, uids) {
      if (uids.length === 0) return [];
      const [shown, missed] = await inFolder(folder, async () => {
        const headers = await headersOf(session, uids);
        const there = headers.map(({ uid }) => uid);
        return [headers, await missedOnes(session, { listed: uids, shown: there })] as const;
      });
      for (const { header } of shown) bytes += header.length;
      const { id: folderId, role, uidValidity } = folder;
      const of = { mailboxId, place: { folderId, role, uidValidity }, now: filing.clock.now(), log };
      return sightingsOf(of, [...shown, ...missed]);
    },
    structures: (folder, uids) => inFolder(folder, () => structuresOf(session, uids)),
    async judgeAgain(folder, sightings, again) {
      const fetchers = fetchersOf(session, sightings, (bodies) => {
        for (const body of bodies.values()) bytes += body.length;
      });
      await fileBatch(filing, {
        mailboxId,
        folderId: folder.id,
        uidValidity: folder.uidValidity,
        cursorUid: 0,
        upToUid: sightings.at(-1)?.place.uid ?? 0,
        again,
        sightings,
        fetchBodies: (uids) => inFolder(folder, () => fetchers.fetchBodies(uids)),
        fetchStructures: (uids) => inFolder(folder, () => structuresOf(session, uids)),
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
