import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../lib/failure.ts';

/** What a spool's folder has, seen from outside of the process that uses it. */
export type SpoolSeen = {
  directory: string;
  /** Why nothing can be written there; null where it can. */
  unwritable: string | null;
  /** Of all files. While a gateway runs, some of it may be in the database already. */
  bytes: number;
  /** Spools of other host names that nobody uses, with mail in them. */
  left: { directory: string; bytes: number }[];
};

/** Looks at the spool in `directory`, and at those beside it. Changes nothing. Rejects where it must not read. */
export async function lookAtSpool(directory: string): Promise<SpoolSeen> {
  const parent = dirname(directory);
  const others = (await namesIn(parent)).filter((name) => name !== basename(directory));
  const left = [];
  for (const name of others) {
    const other = join(parent, name);
    const bytes = await bytesIn(join(other, 'messages'));
    // The lock goes when a gateway stops in good order; what has one may be that of another machine.
    if (bytes > 0 && !(await namesIn(other)).includes('lock')) left.push({ directory: other, bytes });
  }
  return {
    directory,
    unwritable: await whyUnwritable(directory),
    bytes: await bytesIn(join(directory, 'messages')),
    left,
  };
}

/** The folder itself, or the nearest one above it that is there: what it does not have yet will be made. */
export async function nearestFolder(path: string): Promise<string> {
  try {
    await stat(path);
    return path;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return nearestFolder(dirname(path));
  }
}

/** Why nothing can be written in a folder, or where it would be made; null where it can. Changes nothing. */
export async function whyUnwritable(directory: string): Promise<string | null> {
  try {
    await access(await nearestFolder(directory), constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await namesIn(directory)) {
    try {
      bytes += (await stat(join(directory, name))).size;
    } catch (error) {
      // A running gateway removes them as it goes.
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
  return bytes;
}

/** None where there is no such folder. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return [];
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
