import { Failure } from '../lib/failure.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import type { ListenerDeps, Listening } from './listener.ts';
import type { Look } from './looking.ts';
import { lookWhereNoticed, noticedBy } from './notices.ts';
import type { Turn } from './pace.ts';
import { roleOf, watchOf } from './plan.ts';
import type { Listed, Watch } from './plan.ts';
import { catchUp, changesDueAt, lookAtHome, lookWhereWoken, seenBy, sweep } from './round.ts';
import type { Line, Round } from './round.ts';
import { placeOf, serverOf } from './server.ts';
import { openSession } from './session.ts';
import { settleVanished } from './vanished.ts';
import { createWantedWorker } from './wanted.ts';
import { bareMs, newlyWatched } from './watched.ts';
import type { Watched } from './watched.ts';
import type { Login, Session } from './session.ts';

/** Why a session with the provider ended: a connection that closed says what the server said. */
export type Ending = 'stopped' | 'folders_changed' | 'trace_begins' | Failure;

/** A server that ends IDLE by itself again so soon does not mean it; it would be asked without end. */
const restMs = 1_000;

/**
 * What happens between login and the end of a session: list the folders, catch up, then listen and
 * look until a connection closes or the listener is stopped. Resolves then; rejects when something
 * fails.
 */
export async function watchMailbox(
  deps: ListenerDeps,
  mailbox: Mailbox,
  login: Login,
  listening: Listening,
): Promise<Ending> {
  const lines: Line[] = [];
  const ended = new AbortController();
  const end = () => ended.abort();
  listening.stop.addEventListener('abort', end, { once: true });
  const writing = { isBusy: false, times: 0 };
  const wanted = createWantedWorker({
    filing: deps.filing,
    log: deps.log,
    mailboxId: mailbox.id,
    connect: () => connectApart(deps, mailbox, login, ended.signal),
    stop: ended.signal,
    isWanted: async () => (await deps.together.findWork(mailbox.id)).writes,
    writing,
    onWritten: () => {
      for (const { path } of lines) listening.bell.ringChanged(path, 'gone');
    },
  });
  let closed: Failure | null = null;
  const connect: Connect = async (path) => {
    const line = await connectLine(deps, mailbox, login, {
      path,
      listening,
      onClose: (why) => (closed ??= why),
    });
    lines.push(line);
    return line;
  };
  try {
    // What a session needs to begin, above all its listing, is gone from memory while it listens.
    const { round, lookedAt } = await begin(
      { deps, mailbox, listening, writing, closed: () => closed },
      connect,
    );
    return await listen(round, { beganAt: lookedAt, doWanted: () => wanted.poke() });
  } finally {
    end();
    listening.stop.removeEventListener('abort', end);
    for (const { session } of lines) session.close();
    await wanted.idle();
  }
}

type Connect = (path: string) => Promise<Line>;

async function connectApart(
  deps: ListenerDeps,
  mailbox: Mailbox,
  login: Login,
  stop: AbortSignal,
): Promise<Session> {
  const { host } = serverOf(deps, mailbox);
  return deps.gates.logins(host, () => openApart(deps, mailbox, login, stop), stop);
}

/** A connection that listens to nothing, for as long as there is something to do on it. Rejects with a Failure. */
export async function openApart(
  deps: Pick<ListenerDeps, 'providerOf' | 'resolveHost' | 'tls' | 'openSession'>,
  mailbox: Mailbox,
  login: Login,
  stop: AbortSignal,
): Promise<Session> {
  return (deps.openSession ?? openSession)({
    ...(await placeOf(deps, mailbox)),
    login,
    stop,
    // What is announced is the listener's.
    onArrival: () => undefined,
    onClose: () => undefined,
  });
}

async function connectLine(
  deps: ListenerDeps,
  mailbox: Mailbox,
  login: Login,
  of: { path: string; listening: Listening; onClose(why: Failure): void },
): Promise<Line> {
  const { bell, stop } = of.listening;
  const line = { path: of.path, rests: false, dropped: false };
  let quietAt = Number.NEGATIVE_INFINITY;
  const connect = async () =>
    (deps.openSession ?? openSession)({
      ...(await placeOf(deps, mailbox)),
      login,
      stop,
      ...(of.listening.traces === null ? {} : { trace: of.listening.traces.begin(mailbox.id, 'imap') }),
      onArrival: (announced) => {
        if (announced === 0) {
          line.rests = deps.clock.monotonic() - quietAt < restMs;
          quietAt = deps.clock.monotonic();
          if (line.rests) return;
        }
        bell.ring(line.path, announced);
      },
      onNotice: (path) => bell.ring(path, 0),
      onChange: (what) => bell.ringChanged(line.path, what),
      onClose: (why) => {
        if (line.dropped) return;
        of.onClose(why);
        bell.wake();
      },
    });
  const session = await deps.gates.logins(serverOf(deps, mailbox).host, connect, stop);
  return Object.assign(line, { session });
}

/** Lists the folders, opens the connections that they ask for, and catches up. */
async function begin(
  { writing, ...parts }: Pick<Round, 'deps' | 'mailbox' | 'listening' | 'closed'> & Pick<Look, 'writing'>,
  connect: Connect,
): Promise<{ round: Round; lookedAt: number }> {
  const { deps, mailbox, listening } = parts;
  const first = await connect('');
  await listening.onLogin();
  listening.doubts.sessionBegins();
  // Before the listing, which tells where the swept folders stand.
  const [lookedAt, beganAt] = [deps.clock.monotonic(), deps.clock.now()];
  const listed = await first.session.list();
  const { watch, folders } = await adopt(deps, mailbox, first.session, { listed, known: new Map() });
  if (watch.idle[0] === undefined) throw new Failure('temporary', 'no_inbox', 'the provider lists no inbox');
  first.path = watch.idle[0];
  const round: Round = {
    ...parts,
    look: lookOf(deps, mailbox, listening, {
      onBacklog: (messages) => tellBacklog(round, messages),
      isLive: () => round.told === 'live',
      writing,
    }),
    watch,
    folders,
    noticed: await noticedBy(first, watch),
    lines: [first],
    again: new Map(),
    read: new Set(),
    followed: new Set(),
    bareUntil: lookedAt + bareMs,
    told: 'nothing',
    liveAt: null,
  };
  for (const path of watch.idle.slice(1))
    if (!round.noticed.has(path)) await addLine(round, () => connect(path));
  await catchUp(round, listed);
  await settleVanished(round, lookedAt);
  await noteProgress(round, { lookedAt, backlog: 0 });
  if (listening.doubted) round.liveAt = deps.clock.monotonic() + deps.limits.provenMs;
  else await goLive(round, endsOutage(round, beganAt));
  listening.onLive();
  return { round, lookedAt };
}

function lookOf(
  deps: ListenerDeps,
  mailbox: Mailbox,
  { bell, gained, troubles, doubts, stop }: Listening,
  { onBacklog, isLive, writing }: Pick<Look, 'onBacklog' | 'writing'> & { isLive(): boolean },
): Round['look'] {
  return {
    mailboxId: mailbox.id,
    // What came before was judged in the folder where it was then, under the UID that it had then.
    since: Math.max(mailbox.syncSince ?? deps.clock.now(), mailbox.caughtUpTo ?? 0),
    filing: deps.filing,
    together: deps.together,
    log: deps.log,
    gate: (work) => deps.gates.batches(serverOf(deps, mailbox).host, work, stop),
    troubles,
    doubts,
    answerMs: deps.limits.answerMs,
    goneWaitMs: deps.limits.goneWaitMs,
    changePace: deps.limits.changePace,
    writing,
    onBacklog,
    onWhole: (folder) => bell.clear(folder.path),
    onStored: (subAccounts) => {
      if (isLive()) return;
      for (const sub of subAccounts) gained.set(sub, (gained.get(sub) ?? 0) + 1);
    },
  };
}

/** Brings what is known of the folders in line with a listing; folders keep their place in memory. */
async function adopt(
  deps: ListenerDeps,
  mailbox: Mailbox,
  session: Session,
  { listed, known }: { listed: readonly Listed[]; known: ReadonlyMap<string, Watched> },
): Promise<{ watch: Watch; folders: Map<string, Watched> }> {
  const provider = deps.providerOf(mailbox);
  const folders = listed.flatMap((folder) => {
    const role = roleOf(folder);
    return role === null ? [] : [{ path: folder.path, role }];
  });
  const watch = watchOf(folders, {
    gmailExtensions: provider.strategy === 'all_mail' && session.gmail,
    connectionsMax: provider.imapConnectionsMax,
  });
  // A listing is evidence, no proof: one without an inbox changes nothing.
  if (watch.idle.length === 0) return { watch, folders: new Map(known) };
  const saved = await deps.together.saveFolders(mailbox.id, folders);
  const present = saved.filter((folder) => !folder.missing);
  return {
    watch,
    folders: new Map(
      present.map((folder) => [
        folder.path,
        Object.assign(known.get(folder.path) ?? newlyWatched(folder), { role: folder.role }),
      ]),
    ),
  };
}

/** A further connection; where the provider allows no more, its folder is swept, and the others go on. */
async function addLine(round: Round, connect: () => Promise<Line>): Promise<void> {
  try {
    round.lines.push(await connect());
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'too_many_connections') throw error;
    round.deps.log.warn({}, 'the provider allows no further connection; its folder is swept instead');
  }
}

/** Listens and looks, from a look on, until a connection closes or the listener is stopped. */
async function listen(
  round: Round,
  { beganAt, doWanted }: { beganAt: number; doWanted(): void },
): Promise<Ending> {
  const { deps, listening } = round;
  const { clock, limits } = deps;
  let lookedAt = beganAt;
  let listedAt = beganAt;
  /** Of the look that is due; null: none is. */
  let turn: Turn | null = null;
  doWanted();
  try {
    for (;;) {
      for (const line of round.lines) if (!line.rests) line.session.idle();
      const due = [...[...round.again.values()].map(({ at }) => at), ...changesDueAt(round)];
      if (round.liveAt !== null) due.push(round.liveAt);
      const waitsFrom = clock.monotonic();
      const lookAt = lookedAt + limits.lookEveryMs;
      // Whose turn has not come is woken when it has.
      due.push(turn === null ? lookAt : waitsFrom + limits.lookEveryMs);
      await listening.bell.wait(Math.max(0, Math.min(...due) - waitsFrom));
      if (listening.stop.aborted) return 'stopped';
      const why = round.closed();
      if (why !== null) return why;
      const now = clock.monotonic();
      if (round.liveAt !== null && now >= round.liveAt) await goLive(round, true);
      if (listening.bell.takeWanted()) doWanted();
      const wanted = listening.bell.takeAll();
      if (now >= lookAt) {
        const lateMs = waitsFrom <= lookAt ? now - lookAt : null;
        turn ??= deps.gates.looks(lateMs, () => listening.bell.wake());
      }
      if (!wanted && turn?.hasCome !== true) {
        await lookWhereWoken(round);
        await lookWhereNoticed(round);
        if (isThrough(round)) {
          await noteProgress(round, { lookedAt: null, backlog: 0 });
          await goLive(round, false);
        }
        continue;
      }
      lookedAt = now;
      doWanted();
      const lists = !seesAll(round) || now >= listedAt + limits.listEveryMs;
      if (lists) listedAt = now;
      const ending = await lookAround(round, { lists, now });
      turn?.end();
      turn = null;
      if (ending !== null) return ending;
    }
  } finally {
    turn?.end();
  }
}

/** The safety net, with a new listing or without; answers why the session must end, if it must. */
async function lookAround(
  round: Round,
  { lists, now }: { lists: boolean; now: number },
): Promise<Ending | null> {
  await lookAtHome(round);
  const listed = lists ? await round.lines[0].session.list() : null;
  if (listed !== null && !(await follow(round, listed))) return 'folders_changed';
  await sweep(round, listed);
  await settleVanished(round, now);
  const isTraced = await noteProgress(round, { lookedAt: now, backlog: 0 });
  if (isThrough(round)) await goLive(round, false);
  return isTraced && round.listening.traces === null ? 'trace_begins' : null;
}

/** The CRM was told of a backlog, which has been read, and may hear that. */
function isThrough({ told, liveAt }: Round): boolean {
  return told === 'catching_up' && liveAt === null;
}

/** One folder shows all mail (Gmail), so that no new folder can have any that is not seen. */
function seesAll({ watch, folders }: Round): boolean {
  return folders.get(watch.idle[0] ?? '')?.role === 'all';
}

/** Takes a new listing in; false when it asks for other connections than there are. */
async function follow(round: Round, listed: readonly Listed[]): Promise<boolean> {
  const { deps, mailbox, folders } = round;
  const isKnown = (folder: Listed) => folders.get(folder.path)?.role === (roleOf(folder) ?? undefined);
  const mine = listed.filter((folder) => roleOf(folder) !== null);
  if (mine.length === folders.size && mine.every(isKnown)) return true;
  const found = await adopt(deps, mailbox, round.lines[0].session, { listed, known: folders });
  if (found.watch.idle.length === 0) {
    deps.log.warn({}, 'the provider listed no inbox; the listing is left aside');
    return true;
  }
  if (found.watch.idle.join('\n') !== round.watch.idle.join('\n')) return false;
  round.watch = found.watch;
  round.folders = found.folders;
  const before = round.noticed;
  if (before.size > 0) round.noticed = await noticedBy(round.lines[0], found.watch);
  // One that is noticed no more wants a connection of its own.
  return !found.watch.idle.some((path) => before.has(path) && !round.noticed.has(path));
}

/** Whether what was found by catching up had been held back: by an outage, or because nobody was listening (C7). */
function endsOutage({ mailbox, deps }: Round, now: number): boolean {
  const { caughtUpTo, state } = mailbox;
  return caughtUpTo !== null && (state !== 'live' || now - caughtUpTo > deps.limits.outageMs);
}

async function tellBacklog(round: Round, backlog: number): Promise<void> {
  round.told = 'catching_up';
  await noteProgress(round, { lookedAt: null, backlog });
  await tell(round, { state: 'catching_up' });
}

/** Everything that is there has been judged. */
async function goLive(round: Round, afterOutage: boolean): Promise<void> {
  round.told = 'live';
  round.liveAt = null;
  const { gained } = round.listening;
  await tell(round, { state: 'live', ...(afterOutage ? { recovered: gained } : {}) });
  gained.clear();
}

/** `lookedAt` is when the look began that has just ended, by the monotonic clock; null: it has not. */
async function noteProgress(
  round: Round,
  { lookedAt, backlog }: { lookedAt: number | null; backlog: number },
): Promise<boolean> {
  const { deps, mailbox } = round;
  const seen = lookedAt === null ? { all: false, sent: false } : seenBy(round);
  const msAgo = deps.clock.monotonic() - (lookedAt ?? 0);
  return deps.together.saveProgress({
    mailboxId: mailbox.id,
    caughtUpTo: seen.all ? Math.round(deps.clock.now() - msAgo) : null,
    sentLookedMsAgo: seen.sent ? msAgo : null,
    backlog,
  });
}

async function tell(
  { deps, mailbox }: Round,
  next: { state: 'live' | 'catching_up'; recovered?: ReadonlyMap<string, number> },
): Promise<void> {
  const change = await deps.together.setState(mailbox.id, { ...next, reason: null, nextTryAt: null });
  if (change === 'announced') deps.filing.wakePublisher();
}
