import { createHash } from 'node:crypto';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** What was moved. */
export type Moved = { tables: number; rows: number };

/** A table and its columns, but for those that PostgreSQL works out itself; names are quoted where they must be. */
type Table = { name: string; columns: string[]; types: string[] };

/** How many rows there are, and the sum of a part of each row's hash: both, whatever their order. */
type Contents = { rows: number; sum: bigint };

/** So much is in the air at once; a row may be larger, and goes by itself then. */
const batchBytes = 4 * 1024 * 1024;
const batchRowsMax = 2_000;

/**
 * Copies all there is from one database into another of the same schema, which must be empty, and compares what arrived
 * with what was read, row by row. All of it or nothing: the other one sees one transaction. Nothing else may write to
 * `from` meanwhile, and nothing can use `to`. Throws in words for whoever moves.
 */
export function moveRows(from: Db, to: Db): Promise<Moved> {
  return from.transaction(async (source) => {
    await run(source, `set local timezone = 'UTC'`);
    const tables = await listTables(source);
    return to.transaction(async (target) => {
      // The text of a time names its zone. A whole table is read through here, which the gateway never does.
      await target.raw(`set local timezone = 'UTC'; set local enable_seqscan = on`);
      await claimEmpty(target, tables);
      const foreignKeys = await dropForeignKeys(target);
      await makePartitions(source, target);
      let moved = 0;
      for (const table of tables) moved += await moveTable(source, target, table);
      await target.raw(foreignKeys.map(({ add }) => add).join(';\n'));
      await moveSequences(source, target);
      return { tables: tables.length, rows: moved };
    });
  });
}

/** The names of all keys that something stored is sealed with (see lib/secret-box.ts). */
export async function listSealKeys(db: Db): Promise<string[]> {
  const sealed = (await listTables(db)).flatMap(({ name, columns }) =>
    columns.filter((column) => column.endsWith('_sealed')).map((column) => ({ name, column })),
  );
  const all = sealed.map(
    ({ name, column }) =>
      `select split_part(${column}, '.', 2) as key from ${name} where ${column} is not null`,
  );
  return (await rows<{ key: string }>(db, all.join('\nunion '))).map(({ key }) => key);
}

/** Every table of ours, but for what the migrations keep of themselves. A partition is a part of its table. */
function listTables(db: Db): Promise<Table[]> {
  return rows<Table>(
    db,
    `select quote_ident(c.relname) as name,
            array_agg(quote_ident(a.attname) order by a.attname) as columns,
            array_agg(format_type(a.atttypid, a.atttypmod) order by a.attname) as types
       from pg_class c
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and c.relname not like 'knex%'
      group by c.oid, c.relname order by c.relname`,
  );
}

/** Keeps everybody else out until the end of the transaction, and makes sure that nothing is overwritten. */
async function claimEmpty(target: Db, tables: readonly Table[]): Promise<void> {
  const there = await listTables(target);
  if (JSON.stringify(there) !== JSON.stringify(tables)) {
    throw new Error('the tables of the two databases differ: nothing was moved');
  }
  await run(target, `lock table ${tables.map(({ name }) => name).join(', ')} in access exclusive mode`);
  // The one row that the schema itself comes with.
  await run(target, 'delete from installation');
  const asked = tables.map(({ name }) => `select '${name}' as name where exists (select from ${name})`);
  const full = await rows<{ name: string }>(target, asked.join('\nunion all '));
  if (full.length === 0) return;
  const names = full.map(({ name }) => name).join(', ');
  throw new Error(
    `the database of TWOWAY_DATABASE_URL is not empty (it has ${names}): nothing was moved. ` +
      'A gateway that was started on it has made a key there at least: make a new database, and move before that',
  );
}

type Partition = { name: string; make: string };

/** Those that the gateway has made by itself, as time went by: what is in a default one could not be dropped with its month. */
async function makePartitions(source: Db, target: Db): Promise<void> {
  const there = new Set((await listPartitions(target)).map(({ name }) => name));
  const missing = (await listPartitions(source)).filter(({ name }) => !there.has(name));
  if (missing.length > 0) await target.raw(missing.map(({ make }) => make).join(';\n'));
}

/** A partition of a partition comes behind what it is of. */
function listPartitions(db: Db): Promise<Partition[]> {
  return rows<Partition>(
    db,
    `select c.relname as name,
            format('create table %I partition of %s %s%s', c.relname, i.inhparent::regclass,
                   pg_get_expr(c.relpartbound, c.oid), ' partition by ' || pg_get_partkeydef(c.oid)) as make
       from pg_class c join pg_inherits i on i.inhrelid = c.oid
      where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and c.relispartition
      order by c.oid`,
  );
}

type ForeignKey = { drop: string; add: string };

/** A message may name one that comes after it. Foreign keys are put back when all is there, which looks at all rows. */
async function dropForeignKeys(target: Db): Promise<ForeignKey[]> {
  const found = await rows<ForeignKey>(
    target,
    `select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
            format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as add
       from pg_constraint
      where contype = 'f' and conparentid = 0 and connamespace = current_schema()::regnamespace
      order by conrelid::regclass::text, conname`,
  );
  await target.raw(found.map(({ drop }) => drop).join(';\n'));
  return found;
}

/** Every value goes as the text that PostgreSQL itself would write and read. */
const rowOf = ({ columns }: Table) =>
  `to_json(array[${columns.map((name) => `${name}::text`).join(', ')}])::text`;

/** Of a hash in hexadecimal, what fits into a bigint. */
const hashDigits = 15;

async function moveTable(source: Db, target: Db, table: Table): Promise<number> {
  const read: Contents = { rows: 0, sum: 0n };
  for await (const batch of readRows(source, table)) {
    for (const row of batch) {
      read.rows += 1;
      read.sum += BigInt(`0x${createHash('md5').update(row).digest('hex').slice(0, hashDigits)}`);
    }
    await writeRows(target, table, batch);
  }
  const arrived = await readContents(target, table);
  if (arrived.rows !== read.rows || arrived.sum !== read.sum) {
    throw new Error(
      `what arrived in ${table.name} is not what was read (${arrived.rows} of ${read.rows} rows): nothing was moved`,
    );
  }
  return read.rows;
}

/** All rows, as `rowOf` writes them, in batches. */
async function* readRows(source: Db, table: Table): AsyncGenerator<string[]> {
  await source.raw(`declare moved no scroll cursor for select ${rowOf(table)} as row from ${table.name}`);
  let next = 50;
  for (;;) {
    const { rows: found } = await source.raw<{ rows: { row: string }[] }>(`fetch ${next} from moved`);
    if (found.length === 0) break;
    yield found.map(({ row }) => row);
    // By how large these were.
    const bytes = found.reduce((sum, { row }) => sum + row.length, 0);
    next = Math.min(Math.max(1, Math.floor((batchBytes * found.length) / bytes)), batchRowsMax);
  }
  await source.raw('close moved');
}

async function writeRows(target: Db, table: Table, batch: readonly string[]): Promise<void> {
  const values = table.types.map((type, n) => `(row ->> ${n})::${type}`);
  await run(
    target,
    `insert into ${table.name} (${table.columns.join(', ')}) overriding system value
     select ${values.join(', ')} from json_array_elements(:batch::json) as row`,
    { batch: `[${batch.join(',')}]` },
  );
}

async function readContents(target: Db, table: Table): Promise<Contents> {
  const [contents] = await rows<{ rows: string; sum: string }>(
    target,
    `select count(*) as rows,
            coalesce(sum(('x' || left(md5(${rowOf(table)}), ${hashDigits}))::bit(${hashDigits * 4})::bigint), 0)::text as sum
       from ${table.name}`,
  );
  return { rows: Number(contents?.rows), sum: BigInt(contents?.sum ?? 0) };
}

/** So that what is numbered next has no number that is taken. */
async function moveSequences(source: Db, target: Db): Promise<void> {
  const sequences = await rows<{ name: string; last: string }>(
    source,
    `select quote_ident(sequencename) as name, last_value as last from pg_sequences
      where schemaname = current_schema() and sequencename not like 'knex%' and last_value is not null`,
  );
  await run(
    target,
    'select setval(name::regclass, last) from unnest(:names::text[], :lasts::bigint[]) as sequence (name, last)',
    { names: sequences.map(({ name }) => name), lasts: sequences.map(({ last }) => last) },
  );
}
