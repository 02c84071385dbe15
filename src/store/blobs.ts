import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** Raw messages and attachments, each named by the SHA-256 of its bytes, stored once. */
export type BlobStore = {
  /** Stores each content durably and answers their names, in order. What is there already is not written again. */
  put(contents: readonly Buffer[]): Promise<string[]>;
  /** A stream of the bytes from `start` to `end` (both included), or of all. Errors with ENOENT where there is none. */
  get(sha256: string, range?: { start: number; end: number }): Readable;
  /** Size in bytes, or null where there is none. */
  size(sha256: string): Promise<number | null>;
  remove(sha256: string): Promise<void>;
};

/** How many files of one call are written at once: libuv has four threads for files. */
const parallelWrites = 4;

/**
 * Blobs in a directory: `ab/cdef…`. A blob appears under its name only when it is whole and on disk
 * (written aside, fsync, rename, then fsync of the folder), so that a crash leaves none by halves.
 */
export function createDiskBlobs(directory: string): BlobStore {
  const pathOf = (sha256: string) => {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('not the name of a blob');
    return join(directory, sha256.slice(0, 2), sha256.slice(2));
  };
  return {
    async put(contents) {
      const names = contents.map((content) => createHash('sha256').update(content).digest('hex'));
      const missing = new Map<string, Buffer>();
      await inParallel(names, async (name, position) => {
        const content = contents[position];
        if (content !== undefined && (await sizeOf(pathOf(name))) !== content.length)
          missing.set(name, content);
      });
      await inParallel([...missing], ([name, content]) => writeWhole(pathOf(name), content));
      await inParallel([...new Set([...missing.keys()].map((name) => dirname(pathOf(name))))], syncFolder);
      return names;
    },
    get: (sha256, range) => createReadStream(pathOf(sha256), range),
    size: (sha256) => sizeOf(pathOf(sha256)),
    async remove(sha256) {
      await unlink(pathOf(sha256)).catch(unlessMissing);
    },
  };
}

async function sizeOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(unlessMissing);
  return found?.size ?? null;
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

async function writeWhole(path: string, content: Buffer): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}.part`;
  const file = await open(aside, 'wx').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    await syncFolder(dirname(dirname(path)));
    return open(aside, 'wx');
  });
  try {
    try {
      await file.writeFile(content);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    // A disk that is full must not stay full of what could not be stored.
    await unlink(aside).catch(unlessMissing);
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function inParallel<Item>(
  items: readonly Item[],
  work: (item: Item, position: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let position = next++; position < items.length; position = next++) {
      const item = items[position];
      if (item !== undefined) await work(item, position);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelWrites, items.length) }, worker));
}
