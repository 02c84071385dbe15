import { existsSync, renameSync } from 'node:fs';
import { check } from './check.ts';
import type { CheckReport } from './check.ts';
import type { Config } from './config.ts';
import { embeddedDirectory, existingSecretKeys, movedDirectory, openData, openExistingData } from './data.ts';
import { keyName } from './lib/secret-box.ts';
import { readInstallation } from './store/blob-owner.ts';
import type { Db, PostgresLimits } from './store/database.ts';
import { lockDirectory } from './store/directory-lock.ts';
import { listSealKeys, moveRows } from './store/move.ts';

/** A foreign key that is put back looks at all rows of two tables. */
const limits: PostgresLimits = { connectMs: 10_000, statementMs: 6 * 3_600_000, silenceMs: 5_000 };

/**
 * `twoway move-to-postgres`: copies the embedded database of TWOWAY_DATA_DIR into the empty one of
 * TWOWAY_DATABASE_URL, puts the embedded one aside, and checks what came of it. The settings are those that the gateway
 * is to have afterwards. Throws, in words for a person, where nothing was moved.
 */
export async function moveToPostgres(config: Config): Promise<CheckReport> {
  if (config.DATABASE_URL === null) {
    throw new Error(
      'set TWOWAY_DATABASE_URL to an empty database of PostgreSQL, and leave TWOWAY_DATA_DIR as it is',
    );
  }
  const aside = movedDirectory(config);
  if (existsSync(aside)) throw new Error(`there is a database that was moved before: remove ${aside} first`);
  const said = await copy(config);
  await putAside(config, aside);
  // The mail itself stays where it is: what is in the database must be there, too.
  const { text, isSound } = await check(config, { blobs: true });
  const next = isSound
    ? 'Start the gateway with these settings, and keep the folder until it has run for a while.'
    : 'Some of it is broken, as it was before: every row arrived as it was read.';
  return { text: `${said}\nThe embedded database is in ${aside} now.\n\n${text}\n${next}\n`, isSound };
}

/** Answers what was done. */
async function copy(config: Config): Promise<string> {
  const embedded = await openExistingData({ ...config, DATABASE_URL: null });
  try {
    await assertKeys(config, embedded.db);
    // Makes the tables, where there are none yet.
    await (await openData(config)).close();
    const server = await openExistingData(config, limits);
    try {
      // One transaction has made it the same installation: it was ended between that and the step behind it.
      if ((await readInstallation(embedded.db)) === (await readInstallation(server.db))) {
        return 'This database was moved before. What a gateway wrote into the embedded one since then was not.';
      }
      const moved = await moveRows(embedded.db, server.db);
      // Nothing was ever planned on it yet.
      await server.db.raw('analyze').options({ query_timeout: limits.statementMs });
      return `${moved.rows} rows of ${moved.tables} tables were moved, and compared with what was read.`;
    } finally {
      await server.close();
    }
  } finally {
    await embedded.close();
  }
}

/** Both databases would own the same folder of mail: a gateway that was started on the old one would remove what is new. */
async function putAside(config: Config, aside: string): Promise<void> {
  const lock = await lockDirectory(config.DATA_DIR);
  try {
    renameSync(embeddedDirectory(config), aside);
  } finally {
    lock.release();
  }
}

/** What was sealed, and what is known by keyed hashes, must be so again under the settings that the gateway will have. */
async function assertKeys(config: Config, db: Db): Promise<void> {
  const ring = config.SECRET_KEYS.map((key) => Buffer.from(key, 'base64'));
  const [generated] = existingSecretKeys({ ...config, SECRET_KEYS: [] }) ?? [];
  if (generated !== undefined && ring.at(-1)?.equals(generated) !== true) {
    throw new Error(
      `the last key of TWOWAY_SECRET_KEYS must be the one in the file secret.key of ${config.DATA_DIR}`,
    );
  }
  const known = new Set(ring.map(keyName));
  const missing = (await listSealKeys(db)).filter((name) => !known.has(name));
  if (missing.length === 0) return;
  throw new Error(
    `TWOWAY_SECRET_KEYS lacks a key that credentials are sealed with (${missing.join(', ')}): ` +
      'set it as the gateway had it on the embedded database',
  );
}
