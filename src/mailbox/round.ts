import { Failure } from '../lib/failure.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import { commandRefused } from './imap-errors.ts';
import type { ListenerDeps, Listening } from './listener.ts';
import { lookInto } from './looking.ts';
import type { Look, Looked, Occasion, Watched } from './looking.ts';
import { planFolder } from './plan.ts';
import type { Listed, Watch } from './plan.ts';
import type { Session } from './session.ts';

/** A connection and the folder that it has open. */
export type Line = {
  path: string;
  session: Session;
  /** It ends each IDLE at once; it is asked again after the next look. */
  rests: boolean;
};

/** One session with the provider, over all its connections. */
export type Round = {
  deps: ListenerDeps;
  mailbox: Mailbox;
  listening: Listening;
  look: Look;
  /** What the folders ask for; a line that the provider did not allow is swept instead. */
  watch: Watch;
  /** Every folder that is listed, by path. */
  folders: Map<string, Watched>;
  /** The first one also looks into the swept folders. */
  lines: [Line, ...Line[]];
  /** Folders to look into once more: they announced messages that they did not show. Times are ms since the epoch. */
  again: Map<string, { at: number; left: number }>;
  /** What the CRM has heard of this session. */
  told: 'nothing' | 'catching_up' | 'live';
  /** When the CRM is to hear that the mailbox is live, ms since the epoch; null: it has. */
  liveAt: number | null;
  /** Paths of the folders that the look which is under way has read to their end. */
  read: Set<string>;
  /** Why a connection of it is gone; null while all are there. */
  closed(): Failure | null;
};

/** How often an announced message is asked for before the next safety-net look. */
const againMax = 3;

/** How long the first line's own folder may stay closed while swept folders are read. */
const awayMsMax = 2_000;

/**
 * Looks where something was announced, each folder's line listening again as soon as it has been
 * read. Serial: what is announced meanwhile is looked at when this comes round again.
 */
export async function lookWhereWoken(round: Round): Promise<void> {
  const { bell } = round.listening;
  const now = round.deps.clock.now();
  for (const [path, { at }] of round.again) {
    if (at <= now && !bell.notes().has(path)) bell.ring(path, 1);
  }
  const notes = [...bell.notes()];
  for (const [path, announced] of notes) {
    bell.clear(path);
    const line = round.lines.find((each) => each.path === path);
    if (line !== undefined) await lookAlong(round, line, announced > 0 ? { announced } : 'to_be_sure');
  }
}

/** The safety net's first part, and the cheapest question there is: every open folder is asked for newer UIDs. */
export async function lookAtHome(round: Round): Promise<void> {
  round.read.clear();
  for (const line of round.lines) await lookAlong(round, line, 'to_be_sure');
}

/** Opens each line's folder and catches up there, and then in the swept ones. */
export async function catchUp(round: Round, listed: readonly Listed[]): Promise<void> {
  round.read.clear();
  for (const line of round.lines) await goHome(round, line);
  await sweep(round, listed);
}

/** What the look that has just ended may say of all that the provider received before it began. */
export function seenBy({ watch, folders, read }: Round): {
  /** Every message has a decision. */
  all: boolean;
  /** So has everything in the folders that show the copies of what was sent; where none does, nothing is said. */
  sent: boolean;
} {
  const watched = [...watch.idle, ...watch.sweep];
  const showSent = watched.filter((path) => ['sent', 'all'].includes(folders.get(path)?.role ?? ''));
  return {
    all: watched.every((path) => read.has(path)),
    sent: showSent.length > 0 && showSent.every((path) => read.has(path)),
  };
}

/** Folders that are asked about at each safety-net look. */
function swept(round: Round): string[] {
  const open = new Set(round.lines.map((line) => line.path));
  return [...round.watch.idle, ...round.watch.sweep].filter((path) => !open.has(path));
}

/**
 * The safety net's second part: every other folder is asked for its UIDNEXT. `listed` are the folders,
 * with where they stand if the server tells it all at once.
 */
export async function sweep(round: Round, listed: readonly Listed[] | null): Promise<void> {
  const [first] = round.lines;
  const told = new Map(listed?.map((folder) => [folder.path, folder.observed]));
  let homeAt = round.deps.clock.now();
  let away = false;
  for (const path of swept(round)) {
    // Between two commands the server tells of new mail in the open folder too: that goes first.
    if (!away) await lookWhereWoken(round);
    const folder = round.folders.get(path);
    if (folder === undefined) continue;
    const observed = told.get(path) ?? (await first.session.status(path));
    // A server that does not say where a folder stands may open it all the same.
    if (observed !== null && planFolder(folder, observed).step === 'nothing') {
      round.read.add(path);
      continue;
    }
    away = true;
    await visit(round, first, folder);
    if (round.deps.clock.now() - homeAt < awayMsMax) continue;
    away = false;
    await goHome(round, first);
    homeAt = round.deps.clock.now();
  }
  if (away) await goHome(round, first);
}

/** Reads a folder that is not a line's own; one that by itself cannot be read is left out. */
async function visit(round: Round, line: Line, folder: Watched): Promise<void> {
  try {
    const opened = await line.session.open(folder.path);
    noteRead(round, folder, await lookInto(round.look, line.session, folder, { opened }));
  } catch (error) {
    if (!(error instanceof Failure) || !ofTheFolder.has(error.code)) throw error;
    round.deps.log.warn({ folder: folder.id, code: error.code }, 'a folder is left out: it cannot be read');
  }
}

/** Failures that concern one folder and let the others go on. */
const ofTheFolder: ReadonlySet<string> = new Set([
  commandRefused,
  'uid_validity_missing',
  'uids_went_backwards',
]);

/** Opens a line's own folder, whose news it has missed meanwhile. */
async function goHome(round: Round, line: Line): Promise<void> {
  round.listening.bell.clear(line.path);
  await lookAlong(round, line, { opened: await line.session.open(line.path) });
}

async function lookAlong(round: Round, line: Line, occasion: Occasion): Promise<void> {
  const folder = round.folders.get(line.path);
  if (folder === undefined) throw new Error('a folder is watched that was not listed');
  if (occasion === 'to_be_sure') round.listening.bell.clear(line.path);
  const { late } = noteRead(round, folder, await lookInto(round.look, line.session, folder, occasion));
  line.rests = false;
  // The first line has more to ask after a look of the safety net, and listens when that is done.
  if (occasion !== 'to_be_sure' || line !== round.lines[0]) line.session.idle();
  const left = round.again.get(line.path)?.left ?? againMax;
  round.again.delete(line.path);
  if (late && left > 0) {
    const at = round.deps.clock.now() + round.deps.limits.announcedMs;
    round.again.set(line.path, { at, left: left - 1 });
  }
}

function noteRead(round: Round, folder: Watched, looked: Looked): Looked {
  if (looked.late) round.read.delete(folder.path);
  else round.read.add(folder.path);
  return looked;
}
