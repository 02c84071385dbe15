import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/**
 * Makes sure that a folder of blobs belongs to this database, and marks a new one as its own: what a
 * database does not refer to is swept, which in the folder of another one would be everything.
 *
 * @throws Error, in words for whoever starts the gateway, when the folder is another database's.
 */
export async function claimBlobs(db: Db, directory: string): Promise<void> {
  const [installation] = await rows<{ id: string }>(db, 'select id from installation');
  if (installation === undefined) throw new Error('the database has lost its table "installation"');
  const mark = join(directory, 'installation');
  await mkdir(directory, { recursive: true });
  const part = `${mark}.${randomUUID()}`;
  await writeFile(part, `${installation.id}\n`, { flush: true });
  try {
    // A mark appears whole, or a node that starts at the same moment would read half of it.
    await link(part, mark);
  } catch (error) {
    // Marked before, by an earlier start or by another node that shares the folder.
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
  } finally {
    await unlink(part);
  }
  if ((await readFile(mark, 'utf8')).trim() === installation.id) return;
  throw new Error(
    `${directory} holds the mail of another database than the one that is configured. ` +
      'Set TWOWAY_DATABASE_URL to that one, or TWOWAY_DATA_DIR to a folder of this one',
  );
}
