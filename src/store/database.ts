import type { PGlite } from '@electric-sql/pglite';
import type { Knex } from 'knex';
import { migrations } from '../../migrations/index.ts';
import type { Migration } from '../../migrations/index.ts';
import { statements } from '../lib/meters.ts';
import { openPglite, openPostgres, postgresLimits } from './opening.ts';
import type { Database, PostgresLimits } from './opening.ts';

export type { Database, PostgresLimits } from './opening.ts';

/** A connection or an open transaction: what every function in store/ takes first. */
export type Db = Knex;

export type DatabaseOptions =
  | { kind: 'postgres'; url: string; connectionsMax: number; limits?: PostgresLimits }
  /** `directory` null keeps everything in memory; `pglite` hands over an instance that is open already. */
  | { kind: 'pglite'; directory: string | null; pglite?: PGlite };

/** An erasure may go through millions of rows, and a migration through all of them. */
const longStatementMs = 6 * 3_600_000;

/** The key of PostgreSQL's advisory lock for migrations: "twoway" in ASCII. */
const migrationLock = 0x74776f776179;

/** Opens the database and brings its schema up to date. Throws when it is newer than this program. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (options.kind === 'postgres') {
    const { limits = postgresLimits } = options;
    const migrating = openPostgres({
      ...options,
      connectionsMax: 2,
      limits: { ...limits, statementMs: longStatementMs },
    });
    try {
      // Nodes that start together migrate one after the other; a lock of the session ends with the node.
      await migrating.db.transaction(async (tx) => {
        await run(tx, 'select pg_advisory_xact_lock(:migrationLock)', { migrationLock });
        await migrate(migrating.db);
      });
    } finally {
      await migrating.close();
    }
    return openPostgres({ ...options, limits });
  }
  const opened = await openPglite(options);
  try {
    await migrate(opened.db);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return opened;
}

/** Opens the database as it is, for whoever only looks. Throws when its schema is not the one of this program. */
export async function openDatabaseAsItIs(options: DatabaseOptions): Promise<Database> {
  const opened =
    options.kind === 'postgres'
      ? openPostgres({ ...options, limits: options.limits ?? postgresLimits })
      : await openPglite(options);
  try {
    const done = await listMigrations(opened.db);
    const missing = migrations.map(({ name }) => name).filter((name) => !done.includes(name));
    if (missing.length > 0) {
      const lacks = `the database is older than this version of Twoway (it lacks ${missing.join(', ')})`;
      throw new Error(`${lacks}: the gateway brings it up to date when it starts`);
    }
    return opened;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** For whoever has the database to itself. */
async function migrate(db: Db): Promise<void> {
  await listMigrations(db);
  // Knex's own lock is a row that a process which was killed leaves locked for ever.
  if (await db.schema.hasTable('knex_migrations_lock')) {
    await db.migrate.forceFreeMigrationsLock({ migrationSource });
  }
  await db.migrate.latest({ migrationSource });
}

/** The names of those that were done. Throws when one of them is not known here. */
async function listMigrations(db: Db): Promise<string[]> {
  if (!(await db.schema.hasTable('knex_migrations'))) return [];
  const known = new Set(migrations.map((migration) => migration.name));
  const done = (await db<{ name: string }>('knex_migrations').select('name')).map((row) => row.name);
  const foreign = done.filter((name) => !known.has(name));
  if (foreign.length > 0) {
    throw new Error(`the database was used by a newer version of Twoway (it has ${foreign.join(', ')})`);
  }
  return done;
}

const migrationSource: Knex.MigrationSource<Migration> = {
  getMigrations: () => Promise.resolve([...migrations]),
  getMigrationName: (migration) => migration.name,
  getMigration: (migration) => Promise.resolve({ up: migration.up, down: () => Promise.resolve() }),
};

/** Rows of a statement, typed by the caller. */
export async function rows<Row>(db: Db, sql: string, bindings: Bindings = {}): Promise<Row[]> {
  const result = await prepared<{ rows: Row[] }>(db, sql, bindings);
  return result.rows;
}

/** Named values of a statement. Arrays go in as PostgreSQL arrays; objects must be turned to JSON first. */
export type Bindings = Record<string, unknown>;

/** Runs a statement for its effect and says how many rows it touched. */
export async function run(db: Db, sql: string, bindings: Bindings = {}): Promise<number> {
  const result = await prepared<{ rowCount: number | null }>(db, sql, bindings);
  return result.rowCount ?? 0;
}

/**
 * A statement that each connection parses and plans once: planning took longer than the work itself of the
 * statements that run for each message (PostgreSQL 15, 2026-11).
 */
function prepared<Result>(db: Db, sql: string, bindings: Bindings): Promise<Result> {
  statements.add([]);
  const raw = db.raw<Result>(sql, bindings as Knex.ValueDict).options({ name: nameOf(sql) });
  // Begun here, not when it is awaited: statements go out in the order of the calls.
  return raw.then((result) => result as Result);
}

/**
 * Statements of one transaction that need nothing of each other's answers, in one round trip. The server does them in the
 * order in which they were asked for, and each sees what those before it did: a lock can stand before what is read under it.
 * When one fails, all do, and its error is thrown: the others only say what follows of it.
 */
export async function inOneGo<Asked extends readonly Promise<unknown>[] | []>(
  asked: Asked,
): Promise<{ -readonly [At in keyof Asked]: Awaited<Asked[At]> }> {
  const all = await Promise.allSettled(asked);
  const errors = all.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []));
  if (errors.length > 0) throw errors.find((error) => !followingCodes.has(codeOf(error))) ?? errors[0];
  return all.map((each) => (each.status === 'fulfilled' ? each.value : undefined)) as {
    -readonly [At in keyof Asked]: Awaited<Asked[At]>;
  };
}

/**
 * PostgreSQL, appendix A: 25P02 the transaction is aborted; 26000 there is no such statement, as where the same was told to
 * the server just before, and not taken there.
 */
const followingCodes: ReadonlySet<unknown> = new Set(['25P02', '26000']);

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null;
}

const names = new Map<string, string>();

/** Every text of a statement is written in this program, so there are some hundreds. */
function nameOf(sql: string): string {
  const name = names.get(sql) ?? `twoway_${names.size}`;
  names.set(sql, name);
  return name;
}

/**
 * Whether a transaction was undone for the sake of another one, so that the same again may well succeed
 * (PostgreSQL, appendix A: 40001 serialisation failure, 40P01 deadlock).
 */
export function wasOvertaken(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/** How often others may overtake one transaction before it must be an error of ours. */
const triesMax = 5;

/**
 * Runs `work` in a transaction, and all of it again where it was undone for the sake of another one, or for what else
 * `isOvertaken` says: so `work` does nothing but in its transaction. Which of two locks what the other waits for is
 * PostgreSQL's to find, wherever their orders differ, as those of filing and of the CRM's own calls do.
 */
export async function inTransaction<Result>(
  db: Db,
  work: (tx: Db) => Promise<Result>,
  isOvertaken: (error: unknown) => boolean = wasOvertaken,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await db.transaction(work);
    } catch (error) {
      if (tries === triesMax || !isOvertaken(error)) throw error;
    }
  }
}

/**
 * What becomes of a row that somebody else has locked: one that has several to change together leaves it out, so that
 * those that are free wait for nobody, and none that is locked already keeps others waiting.
 */
export type WhenLocked = 'waits' | 'left_out';

/** The end of a select that locks rows which are about to be changed. */
export const lockFor: Readonly<Record<WhenLocked, string>> = {
  waits: 'for no key update',
  left_out: 'for no key update skip locked',
};

/** Whether a row is gone that another one was to refer to (PostgreSQL, appendix A: 23503). */
export function refersToNothing(error: unknown): boolean {
  return codeOf(error) === '23503';
}

/**
 * Rows of a table by `ids`, in a `from`; the order is in `wanted.position`. Each is looked up by itself, which can only
 * go by its id: a join, or a condition on its sub-account beside a list of ids, was planned while there was nothing as a
 * reading of all that the sub-account has, and stayed so until the table was next analysed.
 */
export const rowsById = (table: string, ids = ':ids') => `
  unnest(${ids}::text[]) with ordinality as wanted (id, position)
  cross join lateral (select * from ${table} where id = wanted.id offset 0)`;

/** As `run`, for what may go through millions of rows. In a transaction, with which its limits end. */
export async function runLong(db: Db, sql: string, bindings: Bindings = {}): Promise<number> {
  return db.transaction(async (tx) => {
    await run(tx, `set local statement_timeout = ${longStatementMs}`);
    const statement = tx.raw<{ rowCount: number | null }>(sql, bindings as Knex.ValueDict);
    const result = await statement.options({ query_timeout: longStatementMs });
    return result.rowCount ?? 0;
  });
}

/** How the connections of this process are used, and how many wait for one. */
export function poolState(db: Db): { used: number; free: number; waiting: number } {
  const { pool } = db.client as { pool: Pool };
  return { used: pool.numUsed(), free: pool.numFree(), waiting: pool.numPendingAcquires() };
}

/** What is asked of knex's pool (tarn 3), which knex does not type. */
type Pool = { numUsed(): number; numFree(): number; numPendingAcquires(): number };

/** Resolves when the database answers at all. A connection that says nothing for `withinMs` is given up. */
export async function ping(db: Db, withinMs: number): Promise<void> {
  await db.raw('select 1').options({ query_timeout: withinMs });
}

/** Whether the schema is the one of this program: a newer one may have been started on the same database. */
export async function isOfThisVersion(db: Db): Promise<boolean> {
  const done = await rows<{ name: string }>(db, 'select name from knex_migrations');
  return (
    done.length === migrations.length && migrations.every(({ name }) => done.some((row) => row.name === name))
  );
}

/** JSON that PostgreSQL takes: it knows neither U+0000 nor half of a surrogate pair, and mail has both. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  // Whether there is any such sign at all is answered far quicker.
  if (!text.includes('\\u') || !/\\u(0000|d[89a-f])/.test(text)) return text;
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? part.replaceAll('\0', '').toWellFormed() : part,
  );
}

/** Gives the room of deleted rows back, and renews what the planner knows. */
export async function vacuum(db: Db): Promise<void> {
  await db.raw('vacuum (analyze)');
}
