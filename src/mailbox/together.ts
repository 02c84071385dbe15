import { setTimeout as wait } from 'node:timers/promises';
import { createBatcher } from '../lib/batcher.ts';
import type { FolderId, MailboxId } from '../lib/id.ts';
import { isOfAll } from '../store/away.ts';
import { logLogins } from '../store/connection-log.ts';
import { setMailboxStates } from '../store/connections.ts';
import type { NextState, StateChange } from '../store/connections.ts';
import type { Db, WhenLocked } from '../store/database.ts';
import { readFoldersOf, saveFoldersOf, startFolders } from '../store/folders.ts';
import type { FolderStart, Listing, SavedFolder } from '../store/folders.ts';
import { findMailboxWork } from '../store/mailbox-work.ts';
import type { MailboxWork } from '../store/mailbox-work.ts';
import { readMailboxes, saveProgress } from '../store/mailboxes.ts';
import type { Mailbox, Progress } from '../store/mailboxes.ts';
import { findFoldersWithPlaces, readTrackedPlaces } from '../store/places.ts';
import type { Numbered, TrackedPlace } from '../store/places.ts';
import { comparedMax } from './change-plan.ts';

/**
 * What every listener asks of the database at each session and each look, joined with what the others of its process
 * ask at the same time. A thousand sessions that begin together took 19 statements each, and more of the processor for
 * them than for all that they said to their servers (2026-11). No step of a new message is among these.
 */
export type Together = {
  readMailbox(id: MailboxId): Promise<Mailbox | null>;
  /** Notes a login; answers the line, for its end. */
  logLogin(id: MailboxId): Promise<string>;
  /** Brings the remembered folders in line with a listing, and answers all of them. */
  saveFolders(id: MailboxId, listed: Listing['listed']): Promise<SavedFolder[]>;
  /** Where folders are read from; answers those that were begun, as startFolders does. */
  startFolders(starts: readonly FolderStart[]): Promise<ReadonlySet<FolderId>>;
  /** The places of stored messages that a folder is compared with. */
  readTrackedPlaces(folder: Numbered): Promise<readonly TrackedPlace[]>;
  /** Folders of one mailbox in which stored messages lie, among those of others. */
  findFoldersWithPlaces(id: MailboxId): Promise<ReadonlySet<FolderId>>;
  findWork(id: MailboxId): Promise<MailboxWork>;
  /** Notes how far a mailbox has been judged; answers whether it is to be traced. */
  saveProgress(progress: Progress): Promise<boolean>;
  setState(mailboxId: MailboxId, next: NextState): Promise<StateChange>;
};

/** In one statement. */
const most = 200;

/** Of folders that are compared, and of mailboxes whose folders are saved or begun: each may have thousands of places, or folders. */
const fewer = 20;

/** One that is slow holds up none of the others. */
const overtaking = { lateMs: 50, atOnce: 4 };

/** How long a crowd gathers, in ms. Mail that comes in the midst of a look, one in some two hundred, waits for it too. */
const crowdMs = 100;

const nothing: MailboxWork = { writes: false, vanished: false };

/** Joins what is asked at the same time, `atOnce` items in a statement. */
type Join = <Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  atOnce?: number,
) => (item: Item) => Promise<Result>;

/** The same, of mailboxes: one that is locked waits by itself. Null: there is none. */
type JoinFree = <Item, Result>(
  runAll: (items: readonly Item[], locked: WhenLocked) => Promise<readonly (Result | null)[]>,
  atOnce?: number,
) => (item: Item) => Promise<Result | null>;

/** `isCrowd`: there are so many listeners that it pays to let their questions gather. */
export function createTogether(db: Db, isCrowd: () => boolean = () => false): Together {
  const rest = async (): Promise<void> => (isCrowd() ? wait(crowdMs) : undefined);
  const join: Join = (run, atOnce = most) => createBatcher({ most: atOnce, overtaking, rest, isOfAll, run });
  const byId = <Result>(ask: (ids: readonly MailboxId[]) => Promise<ReadonlyMap<MailboxId, Result>>) =>
    join(async (ids: readonly MailboxId[]) => {
      const found = await ask(ids);
      return ids.map((id) => found.get(id));
    });
  const readMailbox = byId((ids) => readMailboxes(db, ids));
  const logLogin = byId((ids) => logLogins(db, ids));
  const findWork = byId((ids) => findMailboxWork(db, ids));
  // A listener that waits here looks at no new mail: one whose mailbox is locked waits by itself, and holds no lock of
  // another mailbox, for which whoever files its mail would have to wait in turn.
  const joinFree: JoinFree = (runAll, atOnce = most) => {
    const ask = join((items: Parameters<typeof runAll>[0]) => runAll(items, 'left_out'), atOnce);
    return async (item) => {
      const result = await ask(item);
      if (result !== null) return result;
      const [waited = null] = await runAll([item], 'waits');
      return waited;
    };
  };
  const setState = joinFree((changes: readonly { mailboxId: MailboxId; next: NextState }[], locked) =>
    setMailboxStates(db, changes, locked),
  );
  const saveAll = joinFree(async (progress: readonly Progress[], locked) => {
    const traced = await saveProgress(db, progress, locked);
    return progress.map(({ mailboxId }) => traced.get(mailboxId) ?? null);
  });
  return {
    readMailbox: async (id) => (await readMailbox(id)) ?? null,
    logLogin: async (id) => {
      const line = await logLogin(id);
      if (line === undefined) throw new Error('a line that was written was not returned');
      return line;
    },
    ...foldersTogether(db, join, joinFree),
    findWork: async (id) => (await findWork(id)) ?? nothing,
    saveProgress: async (progress) => (await saveAll(progress)) ?? false,
    setState: async (mailboxId, next) => (await setState({ mailboxId, next })) ?? 'outdated',
  };
}

/** What is asked of folders. */
function foldersTogether(
  db: Db,
  join: Join,
  joinFree: JoinFree,
): Pick<Together, 'saveFolders' | 'startFolders' | 'readTrackedPlaces' | 'findFoldersWithPlaces'> {
  const readFolders = join(async (ids: readonly MailboxId[]) => {
    const found = await readFoldersOf(db, ids);
    return ids.map((id) => found.get(id) ?? []);
  });
  const saveListing = joinFree(async (listings: readonly Listing[], locked) => {
    const saved = await saveFoldersOf(db, listings, locked);
    return listings.map(({ mailboxId }) => saved.get(mailboxId) ?? null);
  }, fewer);
  const startFree = join(async (all: readonly (readonly FolderStart[])[]) => {
    const begun = await startFolders(db, all.flat(), 'left_out');
    return all.map(() => begun);
  }, fewer);
  return {
    saveFolders: async (id, listed) => {
      const known = await readFolders(id);
      return areListed(known, listed) ? known : ((await saveListing({ mailboxId: id, listed })) ?? []);
    },
    startFolders: async (starts) => {
      const begun = await startFree(starts);
      const left = starts.filter(({ folder }) => !begun.has(folder.id));
      return left.length === 0 ? begun : begun.union(await startFolders(db, left));
    },
    readTrackedPlaces: join(async (folders: readonly Numbered[]) => {
      const found = await readTrackedPlaces(db, folders, comparedMax);
      return folders.map(({ id }) => found.get(id) ?? []);
    }, fewer),
    findFoldersWithPlaces: join(async (ids: readonly MailboxId[]) => {
      const found = await findFoldersWithPlaces(db, ids);
      return ids.map(() => found);
    }),
  };
}

/** Whether what is remembered is what a listing shows, so that there is nothing to write. */
function areListed(
  known: readonly SavedFolder[],
  listed: readonly Pick<SavedFolder, 'path' | 'role'>[],
): boolean {
  const present = new Map(known.flatMap(({ path, role, missing }) => (missing ? [] : [[path, role]])));
  return present.size === listed.length && listed.every(({ path, role }) => present.get(path) === role);
}
