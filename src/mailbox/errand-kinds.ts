import type { Again } from '../filing/again.ts';
import type { FilingDeps } from '../filing/file.ts';
import { createForesight } from '../filing/foresight.ts';
import { hashOfMessageKey } from '../filing/hashes.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { Clock } from '../lib/clock.ts';
import type { ErrandId } from '../lib/id.ts';
import type { Provider } from '../provider/providers.ts';
import { findContactAddresses } from '../store/contacts.ts';
import { countDecided, findUndecided } from '../store/decisions.ts';
import type { Outcomes } from '../store/decisions.ts';
import { countDownload, readDownloads, saveErrand } from '../store/errands.ts';
import type { Errand, ErrandKind, Progress } from '../store/errands.ts';
import { keptSince } from '../store/partitions.ts';
import { chunkMax, daysOf, fetchingAhead, nextLength, partsBySize, walkByDate, windowMs } from './walk.ts';
import type { Chunk, Span } from './walk.ts';
import { batchesOf } from './walker.ts';
import type { Walked, Walker } from './walker.ts';

/** How a turn of an errand ended. */
export type Done =
  | { done: 'finished' }
  /** It goes on in `pauseMs`. `reason`: what it waits for; null: only for its turn. */
  | { done: 'not_yet'; pauseMs: number; reason: string | null }
  /** It was cancelled, or another node does it. */
  | { done: 'lost' };

export type Carrying = {
  filing: FilingDeps;
  clock: Clock;
  owner: string;
  leaseMs: number;
  provider: Provider;
  /** Its turn is over, or the process ends. */
  isOver(): boolean;
};

type ErrandOf<Kind extends ErrandKind> = Extract<Errand, { kind: Kind }>;

/** What an errand waits for when the day's download is used up. */
const byteBudget = 'byte_budget';

const finished: Done = { done: 'finished' };

/** Does an errand, or as much of it as its turn allows. Rejects with a Failure of the provider's. */
export async function carryOut(carrying: Carrying, errand: Errand, walker: Walker): Promise<Done> {
  try {
    return await ofItsKind(carrying, errand, walker);
  } finally {
    // Few messages by their ids keep no progress, and what fails has not kept all of it.
    const { filing, clock } = carrying;
    const { mailboxId } = errand;
    await countDownload(filing.db, { mailboxId, day: dayOf(clock.now()), bytes: walker.takeBytes() });
  }
}

async function ofItsKind(carrying: Carrying, errand: Errand, walker: Walker): Promise<Done> {
  switch (errand.kind) {
    case 'judge_again':
      return judgeAgain(errand, walker);
    case 'thread_head':
      return fetchHead(errand, walker);
    case 'backfill':
      return backfill(carrying, errand, walker);
    case 'resume':
      return walkOn(carrying, errand, walker, {
        to: carrying.clock.now(),
        people: null,
        take: (run) => walker.judgeAgain(run.folder, run.sightings, againOf(errand, null)),
      });
    case 'audit':
      return audit(carrying, errand, walker);
  }
}

function againOf({ connectionId, id, kind }: Errand, since: number | null, byHand = false): Again {
  return { connectionId, errandId: id, since, byHand, answered: kind === 'thread_head' };
}

/** T3, and what the CRM asks for by hand. What is gone from its place keeps the decision that it has. */
async function judgeAgain(errand: ErrandOf<'judge_again'>, walker: Walker): Promise<Done> {
  const { folderId, uidValidity, uids, byHand } = errand.request;
  const folder = walker.folders.find(({ id }) => id === folderId);
  if (folder?.uidValidity !== uidValidity) return finished;
  const sightings = await walker.look(folder, uids);
  // Asked for by hand, mail from before the connection counts too.
  await walker.judgeAgain(folder, sightings, againOf(errand, byHand ? 0 : null, byHand));
  return finished;
}

/** S13: what a message answers is judged as a member of its thread, however old it is. */
async function fetchHead(errand: ErrandOf<'thread_head'>, walker: Walker): Promise<Done> {
  const { messageIds } = errand.request;
  const wanted = new Set(messageIds);
  const heads: Chunk['runs'] = [];
  for (const folder of walker.folders) {
    if (wanted.size === 0) break;
    const uids = await walker.find(folder, { messageIds: [...wanted] });
    for (const sighting of await walker.look(folder, uids)) {
      // A server finds it in any case of its letters.
      if (wanted.delete(sighting.header.messageId ?? '')) heads.push({ folder, sightings: [sighting] });
    }
  }
  // The nearest first: who is on it belongs to the thread, and by that what it answers in its turn.
  const rank = ({ sightings }: (typeof heads)[number]) =>
    messageIds.indexOf(sightings[0]?.header.messageId ?? '');
  for (const { folder, sightings } of heads.sort((one, other) => rank(one) - rank(other))) {
    await walker.judgeAgain(folder, sightings, againOf(errand, null));
  }
  return finished;
}

/** C8, S16. */
async function backfill(carrying: Carrying, errand: ErrandOf<'backfill'>, walker: Walker): Promise<Done> {
  const { request, subAccountId, connectionId, mailboxId } = errand;
  const { db } = carrying.filing;
  const { contactId, since, dryRun } = request;
  const people = contactId === null ? null : await findContactAddresses(db, { subAccountId, contactId });
  if (people?.length === 0) return finished;
  const again = againOf(errand, since);
  const foresight = dryRun ? createForesight(carrying.filing, { mailboxId, again }) : null;
  return walkOn(carrying, errand, walker, {
    to: request.until,
    people,
    // What it foresees rests on what it foresaw before, which is in memory only.
    inOneGo: dryRun,
    take: ({ folder, sightings }) => walker.judgeAgain(folder, sightings, again),
    ...(foresight === null
      ? {}
      : {
          foresee: ({ folder, sightings }) => foresight(sightings, (uids) => walker.structures(folder, uids)),
        }),
    count: (places) => countDecided(db, { connectionId, places }),
  });
}

/** What is done with what a walk shows. */
type Course = {
  to: number;
  people: readonly string[] | null;
  inOneGo?: boolean;
  take(run: Chunk['runs'][number]): Promise<void>;
  /** In place of taking it: says what would come of it. */
  foresee?(run: Chunk['runs'][number]): Promise<Outcomes>;
  /** What holds of what was taken. */
  count?(places: readonly Sighting['place'][]): Promise<Outcomes>;
};

type Walking = ErrandOf<'backfill'> | ErrandOf<'resume'>;

async function walkOn(carrying: Carrying, errand: Walking, walker: Walker, course: Course): Promise<Done> {
  // After a day's download it goes on, or a large mailbox would be begun anew each day; what it foresaw is forgotten then.
  const isAnew = course.inOneGo === true && errand.waitedFor !== byteBudget;
  let progress: Progress = isAnew ? {} : errand.progress;
  let done: Done = finished;
  const from = progress.position ?? errand.request.since;
  await walkByDate(walker, { from, to: course.to, people: course.people }, async ({ runs, upTo }) => {
    const outcomes: Outcomes = [];
    for (const run of runs) {
      if (course.foresee !== undefined) outcomes.push(...(await course.foresee(run)));
      else await course.take(run);
    }
    const places = runs.flatMap((run) => run.sightings.map(({ place }) => place));
    if (course.foresee === undefined && course.count !== undefined && places.length > 0) {
      outcomes.push(...(await course.count(places)));
    }
    progress = added(progress, outcomes, { position: upTo });
    const saved = await save(carrying, errand, walker, progress);
    progress = saved.progress;
    done = saved.isKept ? await pauseFor(carrying, errand, course.inOneGo === true) : { done: 'lost' };
    return done.done === 'finished';
  });
  return done;
}

/** Adds outcomes to what was counted; mail that is stored already as something else counts as left out. Pure. */
function added(progress: Progress, outcomes: Outcomes, { position }: { position: number }): Progress {
  const next = { ...progress, position, skipped: { ...progress.skipped } };
  for (const { outcome, reason, messages } of outcomes) {
    next.seen = (next.seen ?? 0) + messages;
    if (outcome === 'failed') next.failed = (next.failed ?? 0) + messages;
    else if (outcome === 'stored' && reason !== 'duplicate' && reason !== 'sent_copy') {
      next.stored = (next.stored ?? 0) + messages;
    } else next.skipped[reason] = (next.skipped[reason] ?? 0) + messages;
  }
  return next;
}

async function save(
  { filing, clock, owner, leaseMs }: Carrying,
  { id, mailboxId }: Errand,
  walker: Walker,
  progress: Progress,
): Promise<{ progress: Progress; isKept: boolean }> {
  const bytes = walker.takeBytes();
  const bad = walker.leftOut() ? { leftOut: true } : {};
  const counted = { ...progress, ...bad, bytes: (progress.bytes ?? 0) + bytes };
  const day = dayOf(clock.now());
  const isKept = await saveErrand(filing.db, {
    id,
    mailboxId,
    owner,
    leaseMs,
    progress: counted,
    day,
    bytes,
  });
  return { progress: counted, isKept };
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Whether to go on at once: not when the turn is over, or the day's download used up (C8). */
async function pauseFor(carrying: Carrying, { mailboxId }: Errand, inOneGo: boolean): Promise<Done> {
  const { clock, filing, provider } = carrying;
  const most = provider.errandBytesPerDayMax;
  const day = dayOf(clock.now());
  if (most !== null && (await readDownloads(filing.db, { mailboxId, day })) >= most) {
    const tomorrow = new Date(`${day}T00:00:00Z`).getTime() + 24 * 3_600_000;
    return { done: 'not_yet', pauseMs: tomorrow - clock.now(), reason: byteBudget };
  }
  return carrying.isOver() && !inOneGo ? { done: 'not_yet', pauseMs: 0, reason: null } : finished;
}

/** Of so many messages at most are the headers that an audit compares without a place to go on from, but for a busy week. */
const auditWindow = { messagesMax: 20_000, msMin: 7 * 24 * 3_600_000 };

/** T2: every message of the window is looked for among the decisions, by its place and else by its id. */
async function audit(carrying: Carrying, errand: ErrandOf<'audit'>, walker: Walker): Promise<Done> {
  let { progress } = errand;
  const to = carrying.clock.now();
  let length = windowMs;
  // What was left out before is not known any more, and would look as if it had been missed.
  const known = (await keptSince(carrying.filing.db, 'decisions')) ?? 0;
  for (let from = progress.position ?? Math.max(errand.request.since, errand.startedAt, known); from < to;) {
    const window = { from, to: Math.min(from + length, to) };
    const listed: Listed[] = [];
    for (const folder of walker.folders) {
      listed.push({ folder, uids: await walker.find(folder, daysOf(window.from, window.to)) });
    }
    const messages = listed.reduce((sum, { uids }) => sum + uids.length, 0);
    const half = (window.to - window.from) / 2;
    if (messages > auditWindow.messagesMax && half >= auditWindow.msMin) {
      length = half;
      continue;
    }
    const audited = await auditListed(carrying, errand, walker, { window, listed, progress });
    if ('done' in audited) return audited;
    const saved = await save(carrying, errand, walker, { ...audited, position: window.to });
    progress = saved.progress;
    const done = saved.isKept ? await pauseFor(carrying, errand, false) : ({ done: 'lost' } as const);
    if (done.done !== 'finished') return done;
    from = window.to;
    length = nextLength(length, messages);
  }
  return finished;
}

type Listed = { folder: Walked; uids: readonly number[] };

/**
 * Compares one window. What was counted counts when that is through: where the day's download ends before, the
 * window is compared anew, and what was healed is there by then.
 */
async function auditListed(
  carrying: Carrying,
  errand: ErrandOf<'audit'>,
  walker: Walker,
  { window, listed, progress }: { window: Span; listed: readonly Listed[]; progress: Progress },
): Promise<Progress | Done> {
  let next = progress;
  let done: Done = finished;
  /** Its lease lasts on, and its bytes are counted. */
  const mayGoOn = async () => {
    const saved = await save(carrying, errand, walker, { ...progress, bytes: next.bytes ?? 0 });
    next = { ...next, bytes: saved.progress.bytes ?? 0 };
    done = saved.isKept ? await pauseFor(carrying, errand, true) : { done: 'lost' };
    return done.done === 'finished';
  };
  for (const { folder, uids } of listed) {
    const goesOn = await fetchingAhead(
      batchesOf(uids),
      (some) => walker.look(folder, some),
      async (looked) => {
        const mine = looked.filter(({ internalDate: at }) => at >= window.from && at < window.to);
        const batch = { folder, sightings: mine, mayGoOn };
        const counted = mine.length === 0 ? null : await auditBatch(carrying, errand, walker, batch);
        if (counted !== null) next = addedAudit(next, counted);
        return counted?.isWhole === false ? false : mayGoOn();
      },
    );
    if (!goesOn) return done;
  }
  return next;
}

type AuditCounts = { seen: number; missing: number; healed: number };

/** Where `mayGoOn` says no, a batch is left before it is whole. */
async function auditBatch(
  { filing }: Carrying,
  errand: ErrandOf<'audit'>,
  walker: Walker,
  batch: { folder: Walked; sightings: Sighting[]; mayGoOn(): Promise<boolean> },
): Promise<AuditCounts & { isWhole: boolean }> {
  const { folder, sightings } = batch;
  const { connectionId, request } = errand;
  const undecided = async (some: readonly Sighting[], besides: ErrandId | null) => {
    const asked = some.map(({ place, messageKeys: [key] }) => ({
      uid: place.uid,
      idHash: hashOfMessageKey(filing.secretBox, key ?? ''),
    }));
    const { id: folderId, uidValidity } = folder;
    const uids = await findUndecided(filing.db, { connectionId, folderId, uidValidity, asked, besides });
    return some.filter(({ place }) => uids.has(place.uid));
  };
  // What it has judged itself, before it was interrupted, was missing all the same.
  const missing = await undecided(sightings, errand.id);
  const counts = { seen: sightings.length, missing: missing.length };
  if (!request.heal || missing.length === 0) return { ...counts, healed: 0, isWhole: true };
  for (const [n, some] of partsBySize(missing, chunkMax.bytes).entries()) {
    if (n > 0 && !(await batch.mayGoOn())) return { ...counts, healed: 0, isWhole: false };
    await walker.judgeAgain(folder, some, againOf(errand, null));
  }
  return { ...counts, healed: missing.length - (await undecided(missing, null)).length, isWhole: true };
}

function addedAudit(progress: Progress, { seen, missing, healed }: AuditCounts): Progress {
  return {
    ...progress,
    seen: (progress.seen ?? 0) + seen,
    decided: (progress.decided ?? 0) + seen - missing,
    missing: (progress.missing ?? 0) + missing,
    healed: (progress.healed ?? 0) + healed,
  };
}
