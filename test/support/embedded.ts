import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { embeddedDirectory } from '../../src/data.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/database.ts';
import { makePartitions } from '../../src/store/partitions.ts';
import { runCommand } from './processes.ts';
import { announcedServers } from './shared-servers.ts';

/** An embedded database, migrated and empty, and how it is given back when it is closed. */
export type Embedded = { database: Database; remove(): Promise<void> };

/** Those that a test has given back, empty again: to make one takes a second of processor, to empty one a tenth. */
const idle: PGlite[] = [];
/** The schema of each; what a test has done to it is not undone. */
const schemas = new WeakMap<PGlite, string>();

/** In memory: one that another test has left, or a new one. */
export async function openEmbedded(): Promise<Embedded> {
  const pglite = idle.pop() ?? (await makeEmbedded());
  const database = await openDatabase({ kind: 'pglite', directory: null, pglite: lent(pglite) });
  return {
    database,
    remove: async () => {
      if (await isEmptied(pglite)) idle.push(pglite);
      else await pglite.close();
    },
  };
}

/** An open one would keep the process alive. */
export async function closeEmbedded(): Promise<void> {
  for (const pglite of idle.splice(0)) await pglite.close();
}

async function makeEmbedded(): Promise<PGlite> {
  const pglite = await PGlite.create({ loadDataDir: await (migratedFiles ??= findMigratedFiles()) });
  schemas.set(pglite, await schemaOf(pglite));
  return pglite;
}

/** The same one, but it stays open when it is closed. */
function lent(pglite: PGlite): PGlite {
  return new Proxy(pglite, {
    get: (target, name) => {
      if (name === 'close') return () => Promise.resolve();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Written by the migrations, and by nobody else; the lock is made anew at each opening. */
const kept = ['knex_migrations', 'knex_migrations_lock', 'installation'];

/** Makes it as it was before the test; false where that cannot be done. */
async function isEmptied(pglite: PGlite): Promise<boolean> {
  await pglite.exec('discard all');
  if ((await schemaOf(pglite)) !== schemas.get(pglite)) return false;
  await pglite.exec(`
    do $$
    declare
      name text;
      filled boolean;
      names text[] := '{}';
    begin
      for name in
        select oid::regclass::text from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> all ('{${kept.join(',')}}')
      loop
        execute format('select exists (select from only %s)', name) into filled;
        if filled then names := names || name; end if;
      end loop;
      if names <> '{}' then
        execute 'truncate ' || array_to_string(names, ', ') || ' cascade';
      end if;
      for name in
        select format('%I', sequencename) from pg_sequences
         where schemaname = 'public' and last_value is not null and sequencename not like 'knex_migrations%'
      loop
        execute format('alter sequence %s restart', name);
      end loop;
    end $$`);
  return true;
}

/** Where PostgreSQL keeps what is defined, and by which number ours is told from its own. */
const definitions: readonly (readonly [catalogue: string, number: string])[] = [
  ...['pg_attrdef', 'pg_proc', 'pg_trigger', 'pg_constraint', 'pg_type', 'pg_namespace'].map(
    (name) => [name, 'oid'] as const,
  ),
  ['pg_attribute', 'attrelid'],
  // What else a table's row tells changes by itself: where it is stored, and how much of it there is.
  ['(select oid, relname from pg_class)', 'oid'],
];

/** One text for all that is defined and kept: names would not tell that something was dropped and made again. */
async function schemaOf(pglite: PGlite): Promise<string> {
  const defined = definitions.map(([catalogue, number]) => `${catalogue} as c where ${number} >= 16384`);
  const contents = ['knex_migrations as c', 'installation as c'];
  const parts = [...defined, ...contents].map(
    (from) => `select md5(string_agg(c::text, ' ' order by c::text)) as digest from ${from}`,
  );
  const { rows } = await pglite.query(parts.join(' union all '));
  return JSON.stringify(rows);
}

/**
 * Lays a migrated and empty one into a data directory that has none. Whoever starts there is spared the making of it,
 * which takes longer than all else of a start; test/gateway.test.ts has it made.
 */
export async function layEmbeddedDatabase(dataDir: string): Promise<void> {
  const files = await (migratedFiles ??= findMigratedFiles());
  const directory = embeddedDirectory({ DATA_DIR: dataDir });
  await mkdir(directory, { recursive: true });
  const archive = `${directory}.tar`;
  await writeFile(archive, files.stream());
  await runCommand('tar', ['-xf', archive, '-C', directory]);
  await rm(archive);
}

let migratedFiles: Promise<Blob> | undefined;

/** The files of a migrated embedded database: making one takes seconds, so a run's processes share them. */
async function findMigratedFiles(): Promise<Blob> {
  const directory = announcedServers()?.directory;
  if (directory === undefined) return makeMigratedFiles();
  const path = join(directory, 'pglite.tar');
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) {
    const files = await makeMigratedFiles();
    // Renamed when complete: another process may do the same at the same time, or read it already.
    const partial = `${path}.${process.pid}`;
    await writeFile(partial, files.stream());
    await rename(partial, path);
  }
  // In memory: a blob of the file itself breaks when another process puts its own copy there.
  return new Blob([await readFile(path)]);
}

async function makeMigratedFiles(): Promise<Blob> {
  const pglite = await PGlite.create('memory://');
  const database = await openDatabase({ kind: 'pglite', directory: null, pglite });
  await makePartitions(database.db, Date.now());
  // Or each copy would begin by doing all of it again.
  await pglite.exec('checkpoint');
  const files = await pglite.dumpDataDir('none');
  await database.close();
  return files;
}
