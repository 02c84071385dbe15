import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { systemClock } from './lib/clock.ts';
import { createDiskBlobs } from './store/blobs.ts';
import type { SweptBlobStore } from './store/blobs.ts';
import { openDatabase, openDatabaseAsItIs } from './store/database.ts';
import type { Database, PostgresLimits } from './store/database.ts';
import { lockDirectory } from './store/directory-lock.ts';
import { makePartitionsPatiently } from './store/partitions.ts';

/** Where the embedded database is. */
export function embeddedDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return join(config.DATA_DIR, 'database');
}

/** Where the embedded database is after it was moved to PostgreSQL. */
export function movedDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return `${embeddedDirectory(config)}.moved`;
}

/** Where blobs are that are in no bucket. */
export function blobsDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return join(config.DATA_DIR, 'blobs');
}

/** The blobs, in the configured bucket or else in a folder, and where that is for people. */
export async function openBlobs(
  config: Pick<
    Config,
    'DATA_DIR' | 'S3_BUCKET' | 'S3_ENDPOINT' | 'S3_REGION' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY'
  >,
): Promise<{ blobs: SweptBlobStore; where: string }> {
  const { S3_BUCKET: bucket, S3_ENDPOINT, S3_REGION: region } = config;
  if (bucket === null) {
    const directory = blobsDirectory(config);
    return { blobs: createDiskBlobs(directory), where: directory };
  }
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = config;
  const credentials =
    accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey };
  // Amazon's SDK takes its time and memory; who has a disk need not pay for it.
  const { createS3Blobs } = await import('./store/blobs-s3.ts');
  const endpoint = S3_ENDPOINT === '' ? null : S3_ENDPOINT;
  return { blobs: createS3Blobs({ bucket, endpoint, region, credentials }), where: `the bucket ${bucket}` };
}

/**
 * Where accepted mail is until the database has it. Of this machine alone: several nodes may share the folder of the
 * blobs, and a lock tells only whether a process of the same machine is alive.
 */
export function spoolDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return join(config.DATA_DIR, 'spool', hostname());
}

type Where = Pick<Config, 'DATA_DIR' | 'DATABASE_URL' | 'DATABASE_CONNECTIONS'>;

/** Opens the configured database and brings it up to date; the embedded one behind a lock: one process alone may use it. */
export async function openData(config: Where): Promise<Database> {
  mkdirSync(config.DATA_DIR, { recursive: true });
  const database = await open(config, openDatabase);
  try {
    // Before anything is written that belongs there.
    await makePartitionsPatiently(database.db, systemClock);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/**
 * As `openData`, for commands that look: nothing is made or changed. Throws where there is no database, since an
 * empty one would tell them nothing, and where it is of another version. `limits`: how long PostgreSQL is waited for.
 */
export async function openExistingData(config: Where, limits?: PostgresLimits): Promise<Database> {
  if (!hasData(config)) {
    throw new Error(
      `there is no database in ${config.DATA_DIR}: set TWOWAY_DATA_DIR or TWOWAY_DATABASE_URL as the gateway has them`,
    );
  }
  return open(config, openDatabaseAsItIs, limits);
}

/** Whether a gateway can have been started here before. */
export function hasData(config: Pick<Config, 'DATA_DIR' | 'DATABASE_URL'>): boolean {
  return config.DATABASE_URL !== null || existsSync(embeddedDirectory(config));
}

async function open(config: Where, how: typeof openDatabase, limits?: PostgresLimits): Promise<Database> {
  if (config.DATABASE_URL !== null) {
    const { DATABASE_URL: url, DATABASE_CONNECTIONS: connectionsMax } = config;
    return how({ kind: 'postgres', url, connectionsMax, ...(limits === undefined ? {} : { limits }) });
  }
  const directory = embeddedDirectory(config);
  if (!existsSync(directory) && existsSync(movedDirectory(config))) {
    throw new Error(
      `the database of ${config.DATA_DIR} was moved to PostgreSQL, and ${config.DATA_DIR} holds the mail of that one: set TWOWAY_DATABASE_URL`,
    );
  }
  const lock = await lockDirectory(config.DATA_DIR);
  try {
    const database = await how({ kind: 'pglite', directory });
    database.db.on('query', () => lock.check());
    const close = async () => {
      try {
        await database.close();
      } finally {
        lock.release();
      }
    };
    return { ...database, close };
  } catch (error) {
    lock.release();
    throw error;
  }
}

type Keys = Pick<Config, 'DATA_DIR' | 'SECRET_KEYS'>;

/** Where the key is that the first start generates. */
function secretKeyPath(config: Keys): string {
  return join(config.DATA_DIR, 'secret.key');
}

/** Generates the installation's key, where none is configured and none is there. */
export function makeSecretKey(config: Keys): void {
  const path = secretKeyPath(config);
  if (config.SECRET_KEYS.length > 0 || existsSync(path)) return;
  writeFileSync(path, randomBytes(32).toString('base64'), { mode: 0o600, flag: 'wx' });
}

/** The configured keys, or the one that was generated; null before the first start. */
export function existingSecretKeys(config: Keys): [Buffer, ...Buffer[]] | null {
  const [first, ...more] = config.SECRET_KEYS.map((key) => Buffer.from(key, 'base64'));
  if (first !== undefined) return [first, ...more];
  const path = secretKeyPath(config);
  return existsSync(path) ? [Buffer.from(readFileSync(path, 'utf8').trim(), 'base64')] : null;
}

/** As existingSecretKeys; throws where there is none. */
export function readSecretKeys(config: Keys): [Buffer, ...Buffer[]] {
  const keys = existingSecretKeys(config);
  if (keys === null) throw new Error(`there is no secret key in ${config.DATA_DIR}: set TWOWAY_SECRET_KEYS`);
  return keys;
}
