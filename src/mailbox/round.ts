import { Failure } from '../lib/failure.ts';
import type { FolderId } from '../lib/id.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import { waitsMs } from './change-plan.ts';
import { followChanges } from './changes.ts';
import { commandRefused } from './imap-errors.ts';
import type { ListenerDeps, Listening } from './listener.ts';
import { fewMessages, lookInto } from './looking.ts';
import type { Look, Looked, Occasion } from './looking.ts';
import { planFolder, startUnopened } from './plan.ts';
import type { Listed, Standing, Start, Watch } from './plan.ts';
import type { Session } from './session.ts';
import { inTurn, type Gate } from './turn.ts';
import { bareMs, beginFolders } from './watched.ts';
import type { Watched } from './watched.ts';

/** A connection and the folder that it has open. */
export type Line = {
  path: string;
  session: Session;
  /** It ends each IDLE at once; it is asked again after the next look. */
  rests: boolean;
  /** Given up on purpose: its folder cannot be opened, and is swept instead. Its end is no end of the session. */
  dropped: boolean;
};

/** One session with the provider, over all its connections. */
export type Round = {
  deps: ListenerDeps;
  mailbox: Mailbox;
  listening: Listening;
  look: Look & { gate: Gate };
  /** What the folders ask for; a line that the provider did not allow is swept instead. */
  watch: Watch;
  /** Every folder that is listed, by path. */
  folders: Map<string, Watched>;
  /** Folders that no line has open and of whose new mail the first line's server tells at once (RFC 5465). */
  noticed: Set<string>;
  /** The first one also looks into the swept folders. */
  lines: [Line, ...Line[]];
  /** Folders to look into once more: they announced messages that they did not show. `at` is of the monotonic clock. */
  again: Map<string, { at: number; left: number }>;
  /** What the CRM has heard of this session. */
  told: 'nothing' | 'catching_up' | 'live';
  /** When the CRM is to hear that the mailbox is live, by the monotonic clock; null: it has. */
  liveAt: number | null;
  /** Paths of the folders that the look which is under way has read to their end. */
  read: Set<string>;
  /** Paths of swept folders whose changes were followed just now. */
  followed: Set<string>;
  /** Until when folders in which nothing is stored count as such, by the monotonic clock. */
  bareUntil: number;
  /** Why a connection of it is gone; null while all are there. */
  closed(): Failure | null;
};

/** How often an announced message is asked for before the next safety-net look. */
const againMax = 3;

/** How long a line may read before the others have their turn. */
const turnMs = 2_000;

/** How long the first line may be away from home, or at home ask of others and not hear of its own folder. */
const awayMs = 1_000;

/** So many empty folders are begun in one statement, and no more are left unbegun when the connection breaks. */
const begunAtOnce = 500;

/**
 * Looks where something was announced, each folder's line listening again as soon as it has been
 * read. Serial: what is announced meanwhile is looked at when this comes round again.
 */
export async function lookWhereWoken(round: Round, lines: readonly Line[] = round.lines): Promise<void> {
  const { bell } = round.listening;
  const now = round.deps.clock.monotonic();
  for (const [path, { at }] of round.again) {
    if (at <= now && !bell.notes().has(path)) bell.ring(path, 1);
  }
  const notes = [...bell.notes()];
  for (const [path, announced] of notes) {
    const line = lines.find((each) => each.path === path);
    if (line === undefined) continue;
    const folder = round.folders.get(path);
    if (folder !== undefined) folder.announcedAt = bell.rungAt(path);
    bell.clear(path);
    await lookAlong(round, line, announced > 0 ? { announced } : 'to_be_sure', lines);
  }
  for (const line of lines) {
    if (changesWaitMs(round, line) === 0) await followAlong(round, line);
  }
}

/** When the notices of changes are to be followed, by the monotonic clock. */
export function changesDueAt(round: Round): number[] {
  const now = round.deps.clock.monotonic();
  return round.lines.flatMap((line) => {
    const waits = changesWaitMs(round, line);
    return waits === null ? [] : [now + waits];
  });
}

/** In how many ms the changes of a line's folder that the server told of are to be followed; null: it told of none. */
function changesWaitMs({ deps, listening, folders }: Round, { path, session }: Line): number | null {
  if (!listening.bell.changes().has(path)) return null;
  const last = folders.get(path)?.changesLookedAt;
  if (last?.session !== session) return 0;
  const agoMs = deps.clock.monotonic() - last.at;
  return waitsMs({ ability: last.ability, agoMs }, deps.limits.changePace);
}

/** Follows what a line's server told of the messages in its folder, and listens again. */
async function followAlong(round: Round, line: Line): Promise<void> {
  const folder = round.folders.get(line.path);
  const told = round.listening.bell.takeChanged(line.path);
  if (folder === undefined || told === null) return;
  await followChanges(round.look, line.session, folder, told);
  line.session.idle();
}

/** The safety net's first part, and the cheapest question there is: every open folder is asked for newer UIDs. */
export async function lookAtHome(round: Round): Promise<void> {
  round.read.clear();
  for (const line of round.lines.toReversed()) await lookAlong(round, line, 'to_be_sure');
}

/**
 * Opens each line's folder and catches up there, and then in the swept ones. Sent goes before the inbox:
 * what the person wrote meanwhile opens the threads to which answers belong (S6, S3). It is not opened for that where
 * the listing shows that nothing new lies in it.
 */
export async function catchUp(round: Round, listed: readonly Listed[]): Promise<void> {
  round.read.clear();
  const told = toldBy(listed);
  const watched = [...round.watch.idle, ...round.watch.sweep];
  await beginEmpty(round, emptyAmong(round, watched, told));
  const [first, ...others] = round.lines;
  for (const line of others) await goHomeOrDrop(round, line);
  for (const path of watched) {
    const folder = round.folders.get(path);
    if (folder?.role !== 'sent' || round.read.has(path)) continue;
    const observed = told.get(path) ?? null;
    if (observed !== null && planFolder(folder, observed).step === 'nothing') continue;
    await visit(round, folder, { look: round.look, until: Number.POSITIVE_INFINITY });
  }
  await goHome(round, first);
  await sweep(round, listed);
}

/** A further line whose folder by itself cannot be opened or read is dropped, so that it takes no other along. */
async function goHomeOrDrop(round: Round, line: Line): Promise<void> {
  try {
    await goHome(round, line);
  } catch (error) {
    if (!isOfTheFolder(error)) throw error;
    round.deps.log.warn({ code: error.code }, 'a folder cannot be listened to; it is swept instead');
    line.dropped = true;
    round.lines = [round.lines[0], ...round.lines.slice(1).filter((each) => each !== line)];
    line.session.close();
  }
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
  const told = toldBy(listed);
  const paths = swept(round);
  let stored: ReadonlySet<FolderId> | null = null;
  const { clock } = round.deps;
  let away = false;
  let until = clock.monotonic() + awayMs;
  const asksAgain = clock.monotonic() >= round.bareUntil;
  if (asksAgain) round.bareUntil = clock.monotonic() + bareMs;
  const empty: Empty[] = [];
  for (const path of paths) {
    if (clock.monotonic() >= until) {
      // Not every server tells at the end of STATUS what has come to the folder that is open.
      await (away ? comeHome(round) : first.session.noop());
      away = false;
      until = clock.monotonic() + awayMs;
    }
    // Between two commands the server tells of new mail in the open folder too: that goes first.
    if (!away) await lookWhereWoken(round);
    const folder = round.folders.get(path);
    if (folder === undefined) continue;
    const observed = told.get(path) ?? (await first.session.status(path));
    // A server that does not say where a folder stands may open it all the same.
    const step = observed === null ? null : planFolder(folder, observed);
    const start = step === null || observed === null ? null : startUnopened(step, observed);
    if (start !== null && observed !== null) {
      empty.push({ folder, signature: observed.signature, ...start });
      if (empty.length === begunAtOnce) await beginEmpty(round, empty.splice(0));
      continue;
    }
    if (step?.step === 'nothing') round.read.add(path);
    // In most looks nothing has changed anywhere, and nobody needs to know where messages are stored.
    const isSame =
      observed?.signature === folder.signature && !(asksAgain && folder.changesLookedAt === null);
    if (step?.step === 'nothing' && isSame) continue;
    stored ??= await round.deps.together.findFoldersWithPlaces(round.mailbox.id);
    if (step?.step === 'nothing' && !stored.has(folder.id)) {
      Object.assign(folder, { signature: observed?.signature ?? null, changesLookedAt: null });
      continue;
    }
    const isLong = step?.step === 'read' && (step.atMost ?? 0) > fewMessages;
    if (isLong) {
      if (away) await comeHome(round);
      away = false;
      await visitAtLength(round, folder);
      continue;
    }
    if (!away) until = clock.monotonic() + awayMs;
    away = (await visitShortly(round, folder)) === 'away';
    if (round.followed.delete(path)) folder.signature = observed?.signature ?? null;
  }
  await beginEmpty(round, empty);
  if (away) await goHome(round, first);
}

/** Where the folders stand, by path, as far as a listing tells. */
function toldBy(listed: readonly Listed[] | null): Map<string, Standing | null> {
  return new Map(listed?.map((folder) => [folder.path, folder.observed]));
}

/** A folder that is to be begun and holds nothing, so that nothing in it has changed. */
type Empty = { folder: Watched; signature: string } & Start;

/** Those of some folders that are to be begun and hold nothing, by what was told of them. */
function emptyAmong(
  { folders }: Round,
  paths: readonly string[],
  told: ReadonlyMap<string, Standing | null>,
): Empty[] {
  return paths.flatMap((path) => {
    const [folder, observed = null] = [folders.get(path), told.get(path)];
    if (folder === undefined || observed === null) return [];
    const start = startUnopened(planFolder(folder, observed), observed);
    return start === null ? [] : [{ folder, signature: observed.signature, ...start }];
  });
}

/** Begins folders that hold nothing, without opening them: of thousands of folders most do, and each would take two round trips. */
async function beginEmpty(round: Round, starts: readonly Empty[]): Promise<void> {
  for (let at = 0; at < starts.length; at += begunAtOnce)
    await beginFolders(round.deps.together, starts.slice(at, at + begunAtOnce));
  for (const { folder, signature } of starts) {
    folder.signature = signature;
    round.read.add(folder.path);
  }
}

/**
 * Reads a folder that is not a line's own to its end; comes home for that where there turns out to be much in it.
 * Answers where the first line is when this ends.
 */
export async function visitShortly(round: Round, folder: Watched): Promise<'home' | 'away'> {
  const until = round.deps.clock.monotonic() + awayMs;
  if (!(await visit(round, folder, { look: { ...round.look, gate: null }, until }))) return 'away';
  await comeHome(round);
  await visitAtLength(round, folder);
  return 'home';
}

/** The first line waits for its turn at home, reads a part of a long folder, comes home, and so on to its end. */
async function visitAtLength(round: Round, folder: Watched): Promise<void> {
  const { bell } = round.listening;
  // The turn is taken here already.
  const look = { ...round.look, gate: <T>(work: () => Promise<T>) => work() };
  const part = () => visit(round, folder, { look, until: round.deps.clock.monotonic() + awayMs });
  const listen = async (gate: Gate) => {
    await lookWhereWoken({ ...round, look: { ...round.look, gate } });
    round.lines[0].session.idle();
    await bell.wait(awayMs);
    const why = round.closed();
    if (why !== null) throw why;
  };
  for (let more = true; more;) {
    more = await inTurn(round.look.gate, { step: listen, wake: () => bell.wake() }, part);
    await comeHome(round);
  }
  // What else was rung for meanwhile is for the loop.
  bell.wake();
}

/**
 * Reads a folder that is not a line's own with the first line; one that by itself cannot be read is left
 * out. Answers whether there is more: its time was over, or there are many where only few were to be read.
 */
async function visit(
  round: Round,
  folder: Watched,
  { look, until }: { look: Look; until: number },
): Promise<boolean> {
  const { session } = round.lines[0];
  round.followed.delete(folder.path);
  try {
    const opened = await session.open(folder.path);
    const looked = await lookInto(look, session, folder, { occasion: { opened }, until });
    if (!looked.more && (await followChanges(look, session, folder, 'gone'))) round.followed.add(folder.path);
    return noteRead(round, folder, looked).more;
  } catch (error) {
    if (!isOfTheFolder(error)) throw error;
    round.deps.log.warn({ folder: folder.id, code: error.code }, 'a folder is left out: it cannot be read');
    return false;
  }
}

export function isOfTheFolder(error: unknown): error is Failure {
  return error instanceof Failure && ofTheFolder.has(error.code);
}

/** Failures that concern one folder and let the others go on. */
const ofTheFolder: ReadonlySet<string> = new Set([
  commandRefused,
  'uid_validity_missing',
  'uids_went_backwards',
]);

/** The first line's own folder again, and whatever came in the others meanwhile. */
export async function comeHome(round: Round): Promise<void> {
  await goHome(round, round.lines[0]);
  await lookWhereWoken(round);
}

/** Opens a line's own folder, whose news it has missed meanwhile. */
async function goHome(round: Round, line: Line): Promise<void> {
  round.listening.bell.clear(line.path);
  const opened = await line.session.open(line.path);
  if (opened.isChanged) round.listening.bell.ringChanged(line.path, 'gone');
  await lookAlong(round, line, { opened });
}

/** Reads a line's folder to its end, in turns with the other ones of `lines`. */
async function lookAlong(
  round: Round,
  line: Line,
  occasion: Occasion,
  lines: readonly Line[] = round.lines,
): Promise<void> {
  const folder = round.folders.get(line.path);
  if (folder === undefined) throw new Error('a folder is watched that was not listed');
  if (occasion === 'to_be_sure') round.listening.bell.clear(line.path);
  const others = lines.filter((each) => each !== line);
  const turn = (why: Occasion) => {
    const until = round.deps.clock.monotonic() + turnMs;
    return lookInto(round.look, line.session, folder, { occasion: why, until });
  };
  let looked = await turn(occasion);
  while (looked.more) {
    await lookWhereWoken(round, others);
    looked = await turn('to_be_sure');
  }
  const { late } = noteRead(round, folder, looked);
  line.rests = false;
  // New mail comes first; what it pushes aside is followed when it is time.
  if (changesWaitMs(round, line) === 0) await followAlong(round, line);
  else if (typeof occasion === 'string' || 'opened' in occasion) {
    await followChanges(round.look, line.session, folder, null);
  }
  // The first line has more to ask after a look of the safety net, and listens when that is done.
  if (occasion !== 'to_be_sure' || line !== round.lines[0]) line.session.idle();
  const left = round.again.get(line.path)?.left ?? againMax;
  round.again.delete(line.path);
  if (late && left > 0) {
    const at = round.deps.clock.monotonic() + round.deps.limits.announcedMs;
    round.again.set(line.path, { at, left: left - 1 });
  }
}

function noteRead(round: Round, folder: Watched, looked: Looked): Looked {
  if (looked.late || looked.more) round.read.delete(folder.path);
  else round.read.add(folder.path);
  return looked;
}
