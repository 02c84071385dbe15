import type { SendId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/**
 * Claiming work. A table of work has the columns ready, attempts, due_at, lease_owner,
 * lease_until and seq; a row waits while `ready`, may be tried from `due_at` on, and belongs to
 * `lease_owner` until `lease_until`. Nodes share the work through SKIP LOCKED; what a crashed node
 * held is taken over when its lease is over. All times are the database's, so that nodes need not
 * agree on theirs.
 *
 * Order. Of two ready rows that share an order key, the one with the lower seq goes first, and the
 * other is not claimed before it is finished, also while it is leased or postponed.
 * - `sends` are checked when they are claimed, since whoever inserts one knows nothing of the others. One that was
 *   taken, and waits for recipients who were put off, holds up nothing behind it: that may be for days. What goes through
 *   another lane waits only for what is on its way, and not for what that lane's mailbox or provider puts off or holds.
 * - `deliveries` have one writer and may pile up by the hundred thousand behind an endpoint that is
 *   down, where a check of each candidate would go through the whole pile. There only the first of
 *   each key has a due_at that can come; the others have 'infinity', until the one before them is
 *   finished (see deliveries.ts).
 * - `revocations`, `wanted_changes`, `sent_copies` and `intake_spool` have none to keep.
 * - `errands` go one at a time in a mailbox, in whatever order: it allows few connections. A second one that
 *   is claimed in the same instant only costs one more.
 */
export const claimable = {
  // Of each by itself (offset 0): as a join it was now and then planned as a reading of all that waits.
  sends: `not exists (select 1 from sends p where p.ready and p.state not in ('sent', 'bounced') and p.seq < w.seq and p.order_keys && w.order_keys and (p.lane = w.lane or p.lease_until >= now()) offset 0)`,
  deliveries: 'true',
  revocations: 'true',
  errands: `not exists (select 1 from errands p where p.mailbox_id = w.mailbox_id and p.id <> w.id and p.lease_until > now())`,
  wanted_changes: 'true',
  sent_copies: 'true',
  intake_spool: 'true',
} as const;

type WorkTable = keyof typeof claimable;
type FilterColumn = 'webhook_id' | 'mailbox_id';

/**
 * The claim itself, as a part of a `with`: leases up to :limit due rows to :owner for :leaseMs; of a filter the column
 * must have :value. What it has claimed is in `claimed`.
 */
export const claiming = (table: WorkTable, filter?: FilterColumn) =>
  leasing(table, free(table, filter === undefined ? 'true' : `w.${filter} = :value`, ':limit'));

/**
 * Rows that are free to be claimed, locked. Not only does the statement's snapshot see a row as free: SKIP LOCKED
 * leaves out what another claim is about to take, and a row that was taken in between is checked again on its new
 * version.
 */
const free = (table: WorkTable, only: string, limit: string) => `
  select w.id from ${table} w
   where w.ready and w.due_at <= now() and (w.lease_until is null or w.lease_until < now())
     and ${only} and ${claimable[table]}
   order by w.due_at, w.seq limit ${limit} for update of w skip locked`;

const leasing = (table: WorkTable, select: string) => `
  free as (${select}),
  claimed as (
    update ${table} w
    set lease_owner = :owner, lease_until = now() + :leaseMs * interval '1 ms', attempts = w.attempts + 1
    from free where w.id = free.id
    returning w.*)`;

/**
 * Leases up to `limit` due rows to `owner` for `leaseMs` and counts an attempt on each; ids, the
 * longest due first. `owner` names one process: who finishes or postpones must be who claimed.
 */
export async function claimWork(
  db: Db,
  options: {
    table: WorkTable;
    owner: string;
    leaseMs: number;
    limit: number;
    filter?: { column: FilterColumn; value: string };
  },
): Promise<string[]> {
  const claimed = await rows<{ id: string }>(
    db,
    `with ${claiming(options.table, options.filter?.column)} select id from claimed order by due_at, seq`,
    {
      owner: options.owner,
      leaseMs: options.leaseMs,
      limit: options.limit,
      value: options.filter?.value ?? null,
    },
  );
  return claimed.map((row) => row.id);
}

/**
 * The same of several lanes of sends, letters or the rest: up to so many of each, and up to `limit` of all of them, the
 * first lanes first. Answers which are of which lane.
 */
export async function claimLanes(
  db: Db,
  options: {
    owner: string;
    leaseMs: number;
    individual: boolean;
    lanes: readonly { lane: string; limit: number }[];
    limit: number;
  },
): Promise<{ id: SendId; lane: string }[]> {
  const { owner, leaseMs, individual, lanes, limit } = options;
  const each = `select f.id from unnest(:lanes::text[], :limits::integer[]) as l (lane, most)
    cross join lateral (${free('sends', 'w.individual = :individual and w.lane = l.lane', 'l.most')}) f limit :limit`;
  return rows<{ id: SendId; lane: string }>(
    db,
    `with ${leasing('sends', each)} select id, lane from claimed order by due_at, seq`,
    {
      owner,
      leaseMs,
      individual,
      limit,
      lanes: lanes.map(({ lane }) => lane),
      limits: lanes.map(({ limit }) => limit),
    },
  );
}

/**
 * Ends the work on a row for good; call it in the transaction of its effects. False when the lease
 * was lost: another node has taken over, and the effects must not be committed.
 */
export async function finishWork(
  db: Db,
  work: { table: WorkTable; id: string; owner: string },
): Promise<boolean> {
  const touched = await run(
    db,
    `update ${work.table} set ready = false, lease_owner = null, lease_until = null
     where id = :id and lease_owner = :owner and ready`,
    { id: work.id, owner: work.owner },
  );
  return touched > 0;
}

/** Gives a row back, to be tried again from `dueAt` on. False when the lease was lost. */
export async function postponeWork(
  db: Db,
  work: { table: WorkTable; id: string; owner: string; dueAt: Date },
): Promise<boolean> {
  const touched = await run(
    db,
    `update ${work.table} set due_at = :dueAt, lease_owner = null, lease_until = null
     where id = :id and lease_owner = :owner and ready`,
    { id: work.id, owner: work.owner, dueAt: work.dueAt },
  );
  return touched > 0;
}
