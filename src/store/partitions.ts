import type { Clock } from '../lib/clock.ts';
import { idFrom } from '../lib/id.ts';
import type { IdPrefix } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * What there is ever more of lies in partitions, one for each month in UTC, which are dropped whole when they are past:
 * that costs nothing, however much is in them, and leaves nothing to be cleaned up. An id begins with the time at which
 * it was made (lib/id.ts), so that a month is a range of ids and the primary keys stay what they are. A month for which
 * there is no partition, as where the clock of a node was wrong, is in the default one, out of which rows are deleted.
 */

/** A table with partitions by month. `parent` is what they are partitions of, `key` the id that says when a row is of. */
const tables = {
  /** Of mail that was left out. Decisions about what is stored, failed or held lie beside them and stay. */
  decisions: {
    parent: 'decisions_left_out',
    key: 'id',
    prefix: 'dec',
    isHeldUp: () => 'false',
    isRowHeldUp: 'false',
    belongings: () => 'false',
  },
  /** They go by when their send was made, and not before that is over. */
  send_attempts: {
    parent: 'send_attempts',
    key: 'send_id',
    prefix: 'snd',
    isHeldUp: () => `exists (select from sends where ready and id < :before)`,
    isRowHeldUp: `exists (select from sends s where s.id = r.send_id and s.ready)`,
    belongings: () => 'false',
  },
  /** With their deliveries, and not before the last of those is made, or was given up (W2). */
  events: {
    parent: 'events',
    key: 'id',
    prefix: 'evt',
    isHeldUp: (name) => `exists (select from ${name} where sequence is null) or exists (
      select from deliveries d where d.ready and exists (select from ${name} e where e.id = d.event_id))`,
    isRowHeldUp: `(r.sequence is null or exists (select from deliveries d where d.event_id = r.id and d.ready))`,
    belongings: (row) => `exists (select from deliveries d where d.event_id = ${row}.id)`,
  },
} as const satisfies Record<
  string,
  {
    parent: string;
    key: string;
    prefix: IdPrefix;
    /** SQL: something in a partition, or of before its end (:before, an id), is still to be done. */
    isHeldUp(name: string): string;
    /** SQL: a row (r) of the default partition is still needed for what is to be done. */
    isRowHeldUp: string;
    /** SQL: something is there that is to go before a row. */
    belongings(row: string): string;
  }
>;

/** A table of which what is past can be dropped. */
export type PartitionedTable = keyof typeof tables;

/** Whoever asks or writes meanwhile waits behind the lock that is waited for: rather the next round. */
const lockMsMax = 2_000;

/** So many rows are deleted in one statement. */
const deletedAtOnce = 5_000;

/**
 * Makes the partitions of the month that `now` (ms since the epoch) is in and of the next one, where they are missing.
 * Answers those that could not be made, since what belongs there is in the default partition already.
 */
export async function makePartitions(db: Db, now: number): Promise<string[]> {
  const months = [monthOf(now, 0), monthOf(now, 1)];
  const wanted = Object.values(tables).flatMap((table) =>
    months.map((month) => ({
      ...table,
      name: `${table.parent}_${month.name}`,
      ...rangeOf(table.prefix, month),
    })),
  );
  const there = await listExisting(
    db,
    wanted.map(({ name }) => name),
  );
  const missing = wanted.filter(({ name }) => !there.has(name));
  const taken: string[] = [];
  // Each by itself: whoever writes into two of the tables, in another order than this one, would wait and be waited for.
  for (const each of missing) if (!(await makePartition(db, each))) taken.push(each.name);
  return taken;
}

/** How long a start waits for whoever holds the tables: longer than a statement of ours may take. */
const patienceMs = 90_000;
const retryMs = 500;

/**
 * As makePartitions, for a start: nothing may be written before there is the month that it belongs to, so a lock that is
 * not to be had at once is asked for again, between which others go on. Throws, in words for a person, after 90 s.
 */
export async function makePartitionsPatiently(db: Db, clock: Clock, mostMs = patienceMs): Promise<void> {
  const until = clock.monotonic() + mostMs;
  for (;;) {
    try {
      await makePartitions(db, clock.now());
      return;
    } catch (error) {
      if (!lockWasTaken(error)) throw error;
      if (clock.monotonic() >= until) {
        throw new Error(
          'this month has no tables yet, and another session of PostgreSQL holds those that they belong to: ' +
            'find it in pg_stat_activity, end it, and start again',
          { cause: error },
        );
      }
      await clock.sleep(retryMs);
    }
  }
}

/** Whether a lock was not to be had in time (PostgreSQL, appendix A: 55P03). */
function lockWasTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03';
}

/** False: what belongs there is in the default partition already. */
function makePartition(
  db: Db,
  { name, parent, key, from, to }: { name: string; parent: string; key: string; from: string; to: string },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await lockPartitions(tx);
    if ((await listExisting(tx, [name])).has(name)) return true;
    const found = await rows(
      tx,
      `select from ${parent}_default where ${key} >= :from and ${key} < :to limit 1`,
      { from, to },
    );
    if (found.length > 0) return false;
    await tx.raw(`create table ${name} partition of ${parent} for values from ('${from}') to ('${to}')`);
    return true;
  });
}

/**
 * Drops the partitions of a table that end before a time (ms since the epoch), unless something in them is still to be
 * done, and deletes rows as old from its default partition, each unless it is. `clear` removes what belongs to a
 * partition, or to such rows, just before; it is given SQL to select from, and answers whether all of that is gone: what
 * was set going again meanwhile would be left behind. Answers the names of those that were dropped.
 */
export async function dropPast(
  db: Db,
  table: PartitionedTable,
  before: number,
  clear: (from: string) => Promise<boolean> = () => Promise.resolve(true),
): Promise<string[]> {
  const { parent } = tables[table];
  const past = await rows<{ name: string }>(
    db,
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = :parent::regclass and c.relname ~ '_[0-9]{4}_[0-9]{2}$' order by 1`,
    { parent },
  );
  const dropped: string[] = [];
  for (const { name } of past) {
    const past = { name, end: endOf(name) };
    if (past.end > before || (await isHeldUp(db, table, past))) break;
    if (!(await clear(name)) || !(await dropPartition(db, table, past))) break;
    dropped.push(name);
  }
  const strays = straysOf(table, monthOf(before, 0).start);
  await clear(strays.from);
  await deleteStrays(db, table, strays);
  return dropped;
}

/** From when on all of a table is kept, ms since the epoch; null: nothing of it was ever dropped. */
export async function keptSince(db: Db, table: PartitionedTable): Promise<number | null> {
  const [kept] = await rows<{ since: Date }>(db, 'select since from kept_since where table_name = :table', {
    table,
  });
  return kept?.since.getTime() ?? null;
}

type Past = { name: string; end: number };

async function isHeldUp(db: Db, table: PartitionedTable, { name, end }: Past): Promise<boolean> {
  const { prefix, isHeldUp: sql } = tables[table];
  const found = await db.raw<{ rows: { up: boolean }[] }>(
    `select ${sql(name)} as up from (select :before::text) b`,
    { before: idFrom(prefix, end) },
  );
  return found.rows[0]?.up !== false;
}

/** False: something in it is still to be done, or another node has dropped it. */
async function dropPartition(db: Db, table: PartitionedTable, past: Past): Promise<boolean> {
  const { name, end } = past;
  return db.transaction(async (tx) => {
    await lockPartitions(tx);
    if (!(await listExisting(tx, [name])).has(name)) return false;
    // What would change in it meanwhile waits. As everybody does, first what it is a partition of: else a query that is
    // between the two and this one would wait for each other.
    await tx.raw(`lock table only ${tables[table].parent}, only ${name} in access exclusive mode`);
    if (await isHeldUp(tx, table, past)) return false;
    await tx.raw(noteKept(table, name), { table, since: new Date(end) });
    await tx.raw(`drop table ${name}`);
    return true;
  });
}

/** SQL that notes from when on there is all of a table, and the highest number of an event in `from`, which goes. */
function noteKept(table: PartitionedTable, from: string): string {
  const sequence = table === 'events' ? 'max(sequence)' : 'max(null::bigint)';
  return `insert into kept_since (table_name, since, sequence)
    select :table, :since::timestamptz, n.sequence from (select ${sequence} as sequence from ${from}) n
    on conflict (table_name) do update set since = greatest(kept_since.since, excluded.since),
           sequence = greatest(kept_since.sequence, excluded.sequence)`;
}

type Strays = { since: number; from: string };

/** What is past in a default partition, before `since` (ms since the epoch), and is not held up. */
function straysOf(table: PartitionedTable, since: number): Strays {
  const { parent, key, prefix, isRowHeldUp } = tables[table];
  const from = `(select *, ctid as place from ${parent}_default r
    where ${key} >= '${prefix}_' and ${key} < '${idFrom(prefix, since)}' and not ${isRowHeldUp}) strays`;
  return { since, from };
}

async function deleteStrays(db: Db, table: PartitionedTable, { since, from }: Strays): Promise<void> {
  const { parent, belongings } = tables[table];
  // What was set going again since the rest was cleared keeps its row.
  const bare = `select place from ${from} where not ${belongings('strays')}`;
  for (;;) {
    const [gone] = await rows<{ count: number }>(
      db,
      `with gone as (
         delete from ${parent}_default where ctid = any(array(${bare} limit :deletedAtOnce))
         returning *),
       noted as (${noteKept(table, '(select * from gone) g having count(*) > 0')})
       select count(*)::int as count from gone`,
      { table, since: new Date(since), deletedAtOnce },
    );
    if ((gone?.count ?? 0) < deletedAtOnce) return;
  }
}

/** One node at a time makes and drops them; the lock ends with the transaction. */
async function lockPartitions(tx: Db): Promise<void> {
  await run(tx, `set local lock_timeout = ${lockMsMax}`);
  await run(tx, `select pg_advisory_xact_lock(hashtext('twoway partitions'))`);
}

async function listExisting(db: Db, names: readonly string[]): Promise<Set<string>> {
  const found = await rows<{ name: string }>(
    db,
    'select name from unnest(:names::text[]) as n (name) where to_regclass(name) is not null',
    { names },
  );
  return new Set(found.map(({ name }) => name));
}

type Month = { name: string; start: number; end: number };

/** The month in UTC so many after the one that a time is in. */
function monthOf(ms: number, later: number): Month {
  const date = new Date(ms);
  const start = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later);
  const name = new Date(start).toISOString().slice(0, 7).replace('-', '_');
  return { name, start, end: Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later + 1) };
}

function rangeOf(prefix: IdPrefix, { start, end }: Month): { from: string; to: string } {
  return { from: idFrom(prefix, start), to: idFrom(prefix, end) };
}

/** When the month in the name of a partition is over. */
function endOf(partition: string): number {
  const [year, month] = partition.slice(-'2026_11'.length).split('_').map(Number);
  return Date.UTC(year ?? 0, month ?? 0);
}
