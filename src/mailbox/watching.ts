import { Failure } from '../lib/failure.ts';
import { saveFolders } from '../store/folders.ts';
import { setMailboxState } from '../store/connections.ts';
import { saveProgress } from '../store/mailboxes.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import type { Bell } from './bell.ts';
import type { ListenerDeps } from './listener.ts';
import { lookInto } from './looking.ts';
import type { Look, Looked, Watched } from './looking.ts';
import { planFolder, roleOf, watchOf } from './plan.ts';
import type { Watch } from './plan.ts';
import { openSession } from './session.ts';
import type { Login, Session } from './session.ts';

type Round = {
  deps: ListenerDeps;
  mailbox: Mailbox;
  look: Look;
  watch: Watch;
  folders: Map<string, Watched>;
  /** By the path that each has open; the first one also looks into the swept folders. */
  sessions: Map<string, Session>;
  bell: Bell;
  stop: AbortSignal;
  closed(): boolean;
};

/**
 * What happens between login and the end of a session: list the folders, catch up, then listen and
 * look until a connection closes or the listener is stopped. Resolves at either; rejects when
 * something fails.
 */
export async function watchMailbox(
  deps: ListenerDeps,
  mailbox: Mailbox,
  login: Login,
  signals: { stop: AbortSignal; bell: Bell },
): Promise<void> {
  const { bell, stop } = signals;
  const opened: Session[] = [];
  let closed = false;
  const connect = async (path: { open: string }) => {
    const server = mailbox.servers?.imap ?? deps.providerOf(mailbox).imap;
    if (server === null) throw new Failure('operator', 'no_imap_server', 'no IMAP server is configured');
    const session = await openSession({
      server,
      login,
      onArrival: () => {
        bell.woken.add(path.open);
        bell.wake();
      },
      onClose: () => {
        closed = true;
        bell.wake();
      },
    });
    opened.push(session);
    return session;
  };
  try {
    const path = { open: '' };
    const first = await connect(path);
    const { watch, folders } = await readFolders(deps, mailbox, first);
    path.open = watch.idle[0] ?? '';
    const sessions = new Map([[path.open, first]]);
    for (const more of watch.idle.slice(1)) sessions.set(more, await connect({ open: more }));
    await listen({
      deps,
      mailbox,
      look: lookOf(deps, mailbox),
      watch,
      folders,
      sessions,
      bell,
      stop,
      closed: () => closed,
    });
  } finally {
    for (const session of opened) session.close();
  }
}

function lookOf(deps: ListenerDeps, mailbox: Mailbox): Look {
  return {
    mailboxId: mailbox.id,
    syncSince: mailbox.syncSince ?? deps.clock.now(),
    filing: deps.filing,
    onBacklog: async (backlog) => {
      const { db, wakePublisher } = deps.filing;
      await saveProgress(db, mailbox.id, { caughtUpTo: null, sentLookedAt: null, backlog });
      const told = await setMailboxState(db, mailbox.id, {
        state: 'catching_up',
        reason: null,
        nextTryAt: null,
      });
      if (told) wakePublisher();
    },
  };
}

async function readFolders(
  deps: ListenerDeps,
  mailbox: Mailbox,
  session: Session,
): Promise<{ watch: Watch; folders: Map<string, Watched> }> {
  const listed = (await session.list()).filter((folder) => !folder.closed);
  const saved = await saveFolders(
    deps.filing.db,
    mailbox.id,
    listed.map((folder) => ({ path: folder.path, role: roleOf(folder) })),
  );
  const present = saved.filter((folder) => !folder.missing);
  const provider = deps.providerOf(mailbox);
  const watch = watchOf(present, {
    gmailExtensions: provider.strategy === 'all_mail' && session.gmail,
    connectionsMax: provider.imapConnectionsMax,
  });
  if (watch.idle.length === 0) throw new Failure('temporary', 'no_inbox', 'the provider lists no inbox');
  return { watch, folders: new Map(present.map((folder) => [folder.path, folder])) };
}

async function listen(round: Round): Promise<void> {
  const { deps, bell, stop, sessions, closed } = round;
  const startedAt = deps.clock.now();
  let lookedAt = startedAt;
  let listedAt = startedAt;
  await goLive(round, startedAt, await openAndCatchUp(round));
  while (!stop.aborted && !closed()) {
    for (const session of sessions.values()) session.idle();
    await bell.wait(Math.max(0, lookedAt + deps.limits.lookEveryMs - deps.clock.now()));
    if (stop.aborted || closed()) return;
    const now = deps.clock.now();
    // A new listing may need other connections: the simplest way to have them is to begin again.
    if (now - listedAt >= deps.limits.listEveryMs) {
      listedAt = now;
      if (await foldersChanged(round)) return;
    }
    if (bell.everything || now - lookedAt >= deps.limits.lookEveryMs) {
      bell.everything = false;
      bell.woken.clear();
      lookedAt = now;
      await lookEverywhere(round);
      await saveProgress(deps.filing.db, round.mailbox.id, {
        caughtUpTo: now,
        sentLookedAt: now,
        backlog: 0,
      });
    } else {
      await lookWhereWoken(round);
    }
  }
}

/** EXAMINE and catch up in each watched folder; answers how many messages were stored. */
async function openAndCatchUp(round: Round): Promise<number> {
  let stored = 0;
  for (const [path, session] of round.sessions) {
    stored += (await judged(round, path, session, await session.open(path))).stored;
  }
  return stored + (await sweep(round));
}

async function goLive(round: Round, startedAt: number, stored: number): Promise<void> {
  const { deps, mailbox } = round;
  const { db, wakePublisher } = deps.filing;
  await saveProgress(db, mailbox.id, { caughtUpTo: startedAt, sentLookedAt: startedAt, backlog: 0 });
  // An outage ends with the number of messages that it had held back (C7); a first connect does not.
  const recovered = mailbox.caughtUpTo !== null && mailbox.state !== 'live' ? { recovered: stored } : {};
  const told = await setMailboxState(db, mailbox.id, {
    state: 'live',
    reason: null,
    nextTryAt: null,
    ...recovered,
  });
  if (told) wakePublisher();
}

/** The safety net: open folders are asked for newer UIDs, the others for their UIDNEXT. */
async function lookEverywhere(round: Round): Promise<void> {
  for (const [path, session] of round.sessions) await judged(round, path, session, null);
  await sweep(round);
}

async function sweep(round: Round): Promise<number> {
  const [entry] = round.sessions;
  if (entry === undefined || round.watch.sweep.length === 0) return 0;
  const [ownPath, session] = entry;
  let stored = 0;
  let moved = false;
  for (const [path, observed] of await session.status(round.watch.sweep)) {
    const folder = round.folders.get(path);
    if (folder === undefined || planFolder(folder, observed).step === 'nothing') continue;
    moved = true;
    stored += (await judged(round, path, session, await session.open(path))).stored;
  }
  // While it was in other folders, its own may have got mail.
  if (moved) stored += (await judged(round, ownPath, session, await session.open(ownPath))).stored;
  return stored;
}

async function lookWhereWoken(round: Round): Promise<void> {
  for (const path of [...round.bell.woken]) {
    round.bell.woken.delete(path);
    const session = round.sessions.get(path);
    if (session === undefined) continue;
    for (let again = 0; again < 3; again += 1) {
      if ((await judged(round, path, session, null)).judged > 0) break;
      // Announced, and not fetchable yet (Exchange, providers.md B.4, 2026-11).
      await round.deps.clock.sleep(round.deps.limits.announcedMs, round.stop);
    }
  }
}

/** `observed` null: the folder is open already, and only newer UIDs are asked for. */
async function judged(
  round: Round,
  path: string,
  session: Session,
  observed: Awaited<ReturnType<Session['open']>> | null,
): Promise<Looked> {
  const folder = round.folders.get(path);
  if (folder === undefined) throw new Error('a folder is watched that was not listed');
  const looked = await lookInto(
    round.look,
    session,
    folder,
    observed ?? { uidValidity: folder.uidValidity ?? 0, uidNext: null },
  );
  if (looked.stopped !== null) {
    throw new Failure(
      'temporary',
      looked.stopped,
      'the provider contradicts what it said before; nothing is changed for it',
    );
  }
  return looked;
}

async function foldersChanged(round: Round): Promise<boolean> {
  const [session] = round.sessions.values();
  if (session === undefined) return false;
  const { watch } = await readFolders(round.deps, round.mailbox, session);
  return JSON.stringify(watch) !== JSON.stringify(round.watch);
}
