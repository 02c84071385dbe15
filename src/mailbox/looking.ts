import { fileBatch } from '../filing/file.ts';
import type { FilingDeps } from '../filing/file.ts';
import type { MailboxId } from '../lib/id.ts';
import { startFolder } from '../store/folders.ts';
import type { SavedFolder } from '../store/folders.ts';
import { planFolder } from './plan.ts';
import type { Observed } from './plan.ts';
import { sightingOf } from './seen.ts';
import type { Session } from './session.ts';

/** A folder that the listener keeps in mind; `cursorUid` follows what filing commits. */
export type Watched = SavedFolder;

/** How many messages are judged at once; their headers are in memory together. */
const batchMessagesMax = 500;

/** Messages of 12 hours before the sync began are looked at too: SEARCH SINCE knows days only, in the server's own zone. */
const startMarginMs = 36 * 3_600_000;

export type Look = {
  mailboxId: MailboxId;
  /** Since when mail counts, ms since the epoch. */
  syncSince: number;
  filing: FilingDeps;
  /** Told before each batch how many messages are still to be judged in this folder. */
  onBacklog(messages: number): Promise<void>;
};

/** What a look into a folder came to. `stop` is a state of the server that cannot be believed. */
export type Looked = { judged: number; stored: number; stopped: string | null };

/**
 * Judges everything that is new in the folder which is open in `session`, to its end. `observed` is
 * what EXAMINE or STATUS said of it.
 */
export async function lookInto(
  look: Look,
  session: Session,
  folder: Watched,
  observed: Observed,
): Promise<Looked> {
  const step = planFolder(folder, observed);
  switch (step.step) {
    case 'nothing':
      return { judged: 0, stored: 0, stopped: null };
    case 'stop':
      return { judged: 0, stored: 0, stopped: step.because };
    case 'find_start': {
      const [first] = await session.uidsSince(look.syncSince - startMarginMs);
      const cursorUid = first === undefined ? (observed.uidNext ?? 1) - 1 : first - 1;
      await startFolder(look.filing.db, folder.id, { uidValidity: observed.uidValidity, cursorUid });
      Object.assign(folder, { uidValidity: observed.uidValidity, cursorUid });
      return lookInto(look, session, folder, observed);
    }
    case 'read':
      return readAll(look, session, folder, observed);
  }
}

async function readAll(look: Look, session: Session, folder: Watched, observed: Observed): Promise<Looked> {
  // A wake comes without a UIDNEXT: there are a few new messages, and one round trip brings them.
  const gap = observed.uidNext === null ? 1 : observed.uidNext - 1 - folder.cursorUid;
  if (gap <= batchMessagesMax) return readBatch(look, session, folder, `${folder.cursorUid + 1}:*`);
  const total: Looked = { judged: 0, stored: 0, stopped: null };
  const uids = await session.uidsFrom(folder.cursorUid + 1);
  for (let at = 0; at < uids.length; at += batchMessagesMax) {
    await look.onBacklog(uids.length - at);
    const done = await readBatch(look, session, folder, uidSet(uids.slice(at, at + batchMessagesMax)));
    total.judged += done.judged;
    total.stored += done.stored;
  }
  return total;
}

/**
 * The cursor goes to the last message that FETCH showed, and never to UIDNEXT: what lies between may
 * be there and not yet fetchable (Exchange, providers.md B.4), and is asked for again at the next look.
 */
async function readBatch(look: Look, session: Session, folder: Watched, uids: string): Promise<Looked> {
  const { uidValidity } = folder;
  if (uidValidity === null) throw new Error(`${folder.id} has no UIDVALIDITY yet`);
  const place = { folderId: folder.id, role: folder.role, uidValidity };
  const now = look.filing.clock.now();
  const sightings = (await session.headers(uids))
    // `n:*` names the last message even when its UID is below n (RFC 9051 §6.4.9).
    .filter((seen) => seen.uid > folder.cursorUid)
    .map((seen) => sightingOf(look.mailboxId, place, seen, now));
  const upToUid = sightings.at(-1)?.place.uid;
  if (upToUid === undefined) return { judged: 0, stored: 0, stopped: null };
  const result = await fileBatch(look.filing, {
    mailboxId: look.mailboxId,
    folderId: folder.id,
    uidValidity,
    cursorUid: folder.cursorUid,
    upToUid,
    sightings,
    fetchBodies: (wanted) => session.bodies(wanted),
  });
  folder.cursorUid = upToUid;
  return { ...result, stopped: null };
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
