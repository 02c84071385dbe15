import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { checkInvariants } from '../../src/store/check/check.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { makePartitions } from '../../src/store/partitions.ts';
import { openEmbedded } from './embedded.ts';
import { useServers } from './shared-servers.ts';

/** A database of a test's own, migrated and empty. `drop` it in `after`, which fails when its data is unsound. */
export type TestDatabase = {
  db: Database['db'];
  kind: Database['kind'];
  /** For a gateway in another process; null for the embedded database, which is in this one's memory. */
  url: string | null;
  drop(): Promise<void>;
};

/** For tests that must hold on both: `for (const kind of databaseKinds) describe(kind, ...)`. */
export const databaseKinds = ['pglite', 'postgres'] as const;

/**
 * Makes a database in a tenth of a second (PostgreSQL) or about half a second (embedded, in memory).
 * `breaks` names the invariants (src/store/check/) that the test breaks on purpose, or by rows that it
 * writes by hand and leaves incomplete.
 */
export async function testDatabase(
  kind: Database['kind'],
  { breaks = [] }: { breaks?: readonly string[] } = {},
): Promise<TestDatabase> {
  const { url, database, remove } = kind === 'postgres' ? await testPostgres() : await testPglite();
  const drop = async (): Promise<void> => {
    try {
      await assertSound(database.db, breaks);
    } finally {
      await database.close();
      await remove();
    }
  };
  return { db: database.db, kind, url, drop };
}

/** Fails when something is not true of the data that must be at every commit, whatever a test did. */
export async function assertSound(db: Database['db'], breaks: readonly string[] = []): Promise<void> {
  const wrong = (await checkInvariants(db))
    .filter(({ name, count }) => count > 0 && !breaks.includes(name))
    .map(
      ({ name, holds, count, examples }) =>
        `${name}: ${holds} Broken by ${count}: ${JSON.stringify(examples)}`,
    );
  assert.equal(wrong.join('\n'), '', 'the data that the tests left behind breaks invariants');
}

/** The URL of a new PostgreSQL database, `migrated` already or wholly `empty`. */
export async function createPostgresDatabase(state: 'migrated' | 'empty'): Promise<string> {
  const { postgres } = await useServers();
  const template =
    state === 'migrated' ? await (migratedTemplate ??= makeTemplate(postgres.adminUrl)) : 'template0';
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asAdmin(postgres.adminUrl, async (admin) => {
    await admin.query(`create database ${name} template ${template}`);
  });
  return databaseUrl(postgres.adminUrl, name);
}

/** Removes it, also under the feet of whoever is still connected. */
export async function dropPostgresDatabase(url: string): Promise<void> {
  const { postgres } = await useServers();
  await asAdmin(postgres.adminUrl, async (admin) => {
    await admin.query(`drop database ${new URL(url).pathname.slice(1)} with (force)`);
  });
}

/** A database that is open, and how it is removed when it is closed. */
type Opened = { url: string | null; database: Database; remove(): Promise<void> };

async function testPostgres(): Promise<Opened> {
  const url = await createPostgresDatabase('migrated');
  const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 10 });
  return { url, database, remove: () => dropPostgresDatabase(url) };
}

let migratedTemplate: Promise<string> | undefined;

/** The run's first process makes the template; the others wait for it and find it. */
async function makeTemplate(adminUrl: string): Promise<string> {
  const name = 'migrated';
  await asAdmin(adminUrl, async (admin) => {
    // One session at a time past this line; the lock goes with the session.
    await admin.query('select pg_advisory_lock(1)');
    const found = await admin.query('select 1 from pg_database where datname = $1', [name]);
    if (found.rows.length > 0) return;
    await admin.query('create database migrating');
    const url = databaseUrl(adminUrl, 'migrating');
    const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    await makePartitions(database.db, Date.now());
    await database.close();
    await admin.query(`alter database migrating rename to ${name}`);
  });
  return name;
}

async function asAdmin(adminUrl: string, work: (admin: Client) => Promise<void>): Promise<void> {
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

function databaseUrl(adminUrl: string, name: string): string {
  return Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href;
}

async function testPglite(): Promise<Opened> {
  return { url: null, ...(await openEmbedded()) };
}
