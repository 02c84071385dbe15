import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { openDatabase } from './store/database.ts';
import type { Database } from './store/database.ts';
import { lockDirectory } from './store/directory-lock.ts';

/** Where the embedded database is. */
function embeddedDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return join(config.DATA_DIR, 'database');
}

/** Where the blobs are. */
export function blobsDirectory(config: Pick<Config, 'DATA_DIR'>): string {
  return join(config.DATA_DIR, 'blobs');
}

/** Opens the configured database, behind a lock where it is embedded: one process alone may use it. */
export async function openData(
  config: Pick<Config, 'DATA_DIR' | 'DATABASE_URL' | 'DATABASE_CONNECTIONS'>,
): Promise<Database> {
  mkdirSync(config.DATA_DIR, { recursive: true });
  if (config.DATABASE_URL !== null) {
    const { DATABASE_URL: url, DATABASE_CONNECTIONS: connectionsMax } = config;
    return openDatabase({ kind: 'postgres', url, connectionsMax });
  }
  const unlock = lockDirectory(config.DATA_DIR);
  try {
    const database = await openDatabase({ kind: 'pglite', directory: embeddedDirectory(config) });
    const close = async () => {
      try {
        await database.close();
      } finally {
        unlock();
      }
    };
    return { ...database, close };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** As `openData`, for commands that look: an empty database would tell them nothing. Throws where there is none. */
export async function openExistingData(config: Parameters<typeof openData>[0]): Promise<Database> {
  if (config.DATABASE_URL === null && !existsSync(embeddedDirectory(config))) {
    throw new Error(
      `there is no database in ${config.DATA_DIR}: set TWOWAY_DATA_DIR or TWOWAY_DATABASE_URL as the gateway has them`,
    );
  }
  return openData(config);
}
