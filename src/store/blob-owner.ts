import type { SweptBlobStore } from './blobs.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/**
 * Makes sure that a store of blobs belongs to this database, and marks a new one as its own: what a
 * database does not refer to is swept, which in the store of another one would be everything.
 * `where` says to people which store it is.
 *
 * @throws Error, in words for whoever starts the gateway, when the store is another database's.
 */
export async function claimBlobs(
  db: Db,
  { blobs, where }: { blobs: Pick<SweptBlobStore, 'claim'>; where: string },
): Promise<void> {
  const installation = await readInstallation(db);
  if ((await blobs.claim(installation)) === installation) return;
  throw new Error(
    `${where} holds the mail of another database than the one that is configured. ` +
      'Set TWOWAY_DATABASE_URL to that one, or TWOWAY_DATA_DIR (with S3, TWOWAY_S3_BUCKET) to what is of this one',
  );
}

/** Which installation a database is of: a copy of it is the same one, wherever that is restored. */
export async function readInstallation(db: Db): Promise<string> {
  const [installation] = await rows<{ id: string }>(db, 'select id from installation');
  if (installation === undefined) throw new Error('the database has lost its table "installation"');
  return installation.id;
}
