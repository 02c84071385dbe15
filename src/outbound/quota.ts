import type { MailboxId, SendId } from '../lib/id.ts';
import type { MailboxLimits } from '../provider/providers.ts';
import type { Db } from '../store/database.ts';
import {
  countPlacesTaken,
  lockQuotas,
  readPlacesTaken,
  writeFreePlaces,
  writePlaceTaken,
  writePlacesTaken,
} from '../store/quota.ts';
import type { LockedQuota, QuotaStanding } from '../store/quota.ts';
import { countedAt, dayMs, firstFree } from './places.ts';

type Counted = {
  mailboxId: MailboxId;
  sendId: SendId;
  limits: MailboxLimits;
};

/** An individual message that is to go at `sendAt`, ms since the epoch; null: at once. */
export type WantsPlace = Counted & { sendAt: number | null; defer: boolean };

/**
 * Takes places in the counts of mailboxes, which `lockCountsOf` has locked, for messages that are to go at `sendAt` (null: at
 * once), in the transaction that stores them (L3). Answers the time of each place, and whether that is later than was asked
 * for; where it is, it is taken only if `defer`.
 */
export async function takePlaces(
  tx: Db,
  quotas: ReadonlyMap<MailboxId, LockedQuota>,
  asked: readonly WantsPlace[],
): Promise<Map<SendId, { at: number; isLater: boolean }>> {
  const wanted = asked.map(({ sendAt, ...each }) => {
    const quota = quotaOf(quotas, each);
    return { ...each, quota, at: Math.max(quota.now, sendAt ?? 0) };
  });
  const placed = await writeFreePlaces(
    tx,
    wanted.flatMap(({ quota, sendId, mailboxId, limits, at }) =>
      (quota.closedUntil ?? 0) > at
        ? []
        : [{ sendId, mailboxId, at, most: limits.individualMessagesPerDayMax }],
    ),
  );
  const places = new Map<SendId, { at: number; isLater: boolean }>();
  for (const each of wanted) {
    const { sendId, quota } = each;
    // Near the limit they are placed one after the other.
    const at = placed.has(sendId)
      ? each.at
      : await findFree(tx, each, Math.max(each.at, quota.closedUntil ?? 0));
    const isLater = at > each.at;
    if (!placed.has(sendId) && (!isLater || each.defer)) await put(tx, each, quota, at);
    places.set(sendId, { at, isLater });
  }
  return places;
}

/**
 * Moves the places of messages to now, when they go. What went in the last 24 hours is what counts then. Answers in how
 * many ms one may go instead, where that is too much, and moves it there.
 */
export async function takePlacesNow(tx: Db, going: readonly Counted[]): Promise<Map<SendId, number>> {
  const later = new Map<SendId, number>();
  if (going.length === 0) return later;
  const quotas = await lockCountsOf(tx, going);
  const gone = await countPlacesTaken(tx, {
    from: [...quotas].map(([mailboxId, { now }]) => ({ mailboxId, at: now - dayMs })),
    besides: going.map(({ sendId }) => sendId),
  });
  const atOnce: { mailboxId: MailboxId; sendId: SendId; at: number }[] = [];
  for (const [mailboxId, all] of Map.groupBy(going, (counted) => counted.mailboxId)) {
    const quota = quotaOf(quotas, { mailboxId });
    if (allFit(all, quota, gone.get(mailboxId) ?? 0)) {
      atOnce.push(...all.map(({ sendId }) => ({ mailboxId, sendId, at: quota.now })));
      continue;
    }
    for (const counted of all) {
      const waitMs = await placeNow(tx, counted, quota);
      if (waitMs > 0) later.set(counted.sendId, waitMs);
    }
  }
  await writePlacesTaken(tx, atOnce);
  return later;
}

/** Locks the counts in which messages take places, until the transaction ends. */
export function lockCountsOf(
  tx: Db,
  counted: readonly Pick<Counted, 'mailboxId'>[],
): Promise<Map<MailboxId, LockedQuota>> {
  return lockQuotas(
    tx,
    counted.map(({ mailboxId }) => mailboxId),
  );
}

function quotaOf(
  quotas: ReadonlyMap<MailboxId, LockedQuota>,
  { mailboxId }: Pick<Counted, 'mailboxId'>,
): LockedQuota {
  const quota = quotas.get(mailboxId);
  if (quota === undefined) throw new Error(`the count of ${mailboxId} is gone`);
  return quota;
}

/** Whether all of a mailbox may go now, beside what has `gone`. */
function allFit(all: readonly Counted[], { now, closedUntil }: LockedQuota, gone: number): boolean {
  const max = all[0]?.limits.individualMessagesPerDayMax ?? null;
  return (closedUntil ?? 0) <= now && (max === null || gone + all.length <= max);
}

async function placeNow(tx: Db, counted: Counted, quota: LockedQuota): Promise<number> {
  const { mailboxId, sendId } = counted;
  const { now, closedUntil } = quota;
  const gone = await countPlacesTaken(tx, { from: [{ mailboxId, at: now - dayMs }], besides: [sendId] });
  const at = allFit([counted], quota, gone.get(mailboxId) ?? 0)
    ? now
    : await findFree(tx, counted, Math.max(now, closedUntil ?? 0));
  await put(tx, counted, quota, at);
  return at - now;
}

async function findFree(tx: Db, { mailboxId, sendId, limits }: Counted, from: number): Promise<number> {
  const limit = limits.individualMessagesPerDayMax;
  if (limit === null) return from;
  // Day by day: thousands may be deferred, one day's after the other.
  for (let start = from; ; start += dayMs) {
    const span = { from: start - dayMs, to: start + 2 * dayMs };
    const places = await readPlacesTaken(tx, { mailboxId, besides: sendId, ...span });
    const free = firstFree(places, { from: start, to: start + dayMs, limit });
    if (free !== null) return free;
  }
}

async function put(tx: Db, { mailboxId, sendId }: Counted, { now }: LockedQuota, at: number): Promise<void> {
  await writePlaceTaken(tx, { mailboxId, sendId, at, now });
}

/** The meter of a mailbox (L3). */
export type Meter = {
  /** What went in the last 24 hours, or is about to. */
  used: number;
  /** How many may go now, beside what waits for its time within a day; null: as many as they want. */
  left: number | null;
  /** Places are kept for what waits for its time, so that fewer are left than the others. */
  keepsSome: boolean;
  /** The provider itself takes no more for now, whatever is left of the limit. */
  isClosed: boolean;
  /** ms since the epoch; null: it works. */
  worksAgainAt: number | null;
};

/** What is left of the day's individual messages. Pure. */
export function meterOf({ now, closedUntil, places }: QuotaStanding, limits: MailboxLimits): Meter {
  const { used, most } = countedAt(places, now);
  const limit = limits.individualMessagesPerDayMax;
  const closed = closedUntil !== null && closedUntil > now ? closedUntil : null;
  const isClosed = closed !== null;
  if (limit === null)
    return { used, left: isClosed ? 0 : null, keepsSome: false, isClosed, worksAgainAt: closed };
  const left = isClosed ? 0 : Math.max(0, limit - most);
  const counted = { used, left, keepsSome: !isClosed && left < limit - used, isClosed };
  if (left > 0) return { ...counted, worksAgainAt: null };
  const from = Math.max(now, closed ?? 0);
  // Later than that other places count, which are not read for a meter.
  return { ...counted, worksAgainAt: firstFree(places, { from, to: from + dayMs, limit }) ?? from + dayMs };
}
