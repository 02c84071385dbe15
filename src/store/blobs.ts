import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  link,
  mkdir,
  open,
  opendir,
  readFile,
  readdir,
  rename,
  stat,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** Raw messages and attachments, each named by the SHA-256 of its bytes, stored once. */
export type BlobStore = {
  /**
   * Stores each content durably and answers their names, in order; whoever has these at hand saves that
   * they are made again. What is there already is not written again.
   */
  put(contents: readonly Buffer[], names?: readonly string[]): Promise<readonly string[]>;
  /** A stream of the bytes from `start` to `end` (both included), or of all. Errors with ENOENT where there is none. */
  get(sha256: string, range?: { start: number; end: number }): Readable;
  /** Size in bytes, or null where there is none. */
  size(sha256: string): Promise<number | null>;
};

/** SHA-256 of its bytes in hexadecimal. */
export function blobName(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A store from which what nothing refers to is removed. */
export type SweptBlobStore = BlobStore & {
  /**
   * Removes the blobs that nobody has put since `before` and that `findUnreferenced` names, and what
   * crashes left of writes that old. What is put at the same moment stays. Answers how many went.
   */
  sweep(options: {
    before: Date;
    /** Which of so many names nothing refers to. */
    findUnreferenced(names: readonly string[]): Promise<string[]>;
  }): Promise<number>;
  /** Marks a store that nobody has marked as this installation's; answers whose it is. */
  claim(installation: string): Promise<string>;
};

/** How many blobs of one call are written at once: libuv has four threads for files. */
const parallelWrites = 4;

/** Files on their way in and out. */
const partSuffix = '.part';
const removingSuffix = '.removing';

/** How many names are asked about at once. */
export const sweepBatch = 500;

/**
 * Blobs in a directory: `ab/cdef…`. A blob appears under its name only when it is whole and on disk
 * (written aside, fsync, rename, then fsync of the folder), so that a crash leaves none by halves.
 */
export function createDiskBlobs(directory: string): SweptBlobStore {
  const pathOf = (sha256: string) => {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('not the name of a blob');
    return join(directory, sha256.slice(0, 2), sha256.slice(2));
  };
  return {
    async put(contents, names = contents.map(blobName)) {
      const missing = new Map<string, Buffer>();
      await inParallel(names, async (name, position) => {
        const content = contents[position];
        if (content !== undefined && !(await isKept(pathOf(name), content.length)))
          missing.set(name, content);
      });
      await inParallel([...missing], ([name, content]) => writeWhole(pathOf(name), content));
      await inParallel([...new Set([...missing.keys()].map((name) => dirname(pathOf(name))))], syncFolder);
      return names;
    },
    get: (sha256, range) => createReadStream(pathOf(sha256), range),
    size: (sha256) => sizeOf(pathOf(sha256)),
    claim: (installation) => claimDirectory(directory, installation),
    async sweep({ before, findUnreferenced }) {
      let removed = 0;
      for await (const paths of findOld(directory, before)) {
        const byName = new Map(paths.map((path) => [basename(dirname(path)) + basename(path), path]));
        for (const name of await findUnreferenced([...byName.keys()])) {
          const path = byName.get(name);
          if (path !== undefined && (await removeOld(path, before))) removed += 1;
        }
      }
      return removed;
    },
  };
}

/** Whether a whole blob is there, which no sweep takes from now on: it counts as put again. */
async function isKept(path: string, size: number): Promise<boolean> {
  const now = new Date();
  // First, so that what is measured next is what a sweep would find renewed.
  const isThere = await utimes(path, now, now).then(() => true, unlessMissing);
  return isThere === true && (await sizeOf(path)) === size;
}

/** Paths of blobs that are older than `before`, some at a time. Clears up what crashes left on the way. */
async function* findOld(directory: string, before: Date): AsyncGenerator<string[]> {
  let found: string[] = [];
  for await (const path of filesBelow(directory)) {
    if (path.endsWith(removingSuffix)) await putBack(path);
    else if (await isOlder(path, before)) {
      if (path.endsWith(partSuffix)) await unlink(path).catch(unlessMissing);
      else if (/^[0-9a-f]{62}$/.test(basename(path))) found.push(path);
    }
    if (found.length === sweepBatch) yield found.splice(0);
  }
  yield found;
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  const folders = await readdir(directory).catch(unlessMissing);
  for (const folder of folders ?? []) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for await (const file of await opendir(join(directory, folder))) yield join(directory, folder, file.name);
  }
}

async function isOlder(path: string, before: Date): Promise<boolean> {
  const found = await stat(path).catch(unlessMissing);
  return found !== undefined && found.mtime < before;
}

/**
 * Removes a blob, unless it was put again since it was found old. It is taken aside before that is
 * looked at: a put that comes later finds none and writes its own.
 */
async function removeOld(path: string, before: Date): Promise<boolean> {
  const aside = `${path}.${randomBytes(6).toString('hex')}${removingSuffix}`;
  const isThere = await rename(path, aside).then(() => true, unlessMissing);
  if (isThere !== true) return false;
  if (!(await isOlder(aside, before))) {
    await rename(aside, path).catch(unlessMissing);
    return false;
  }
  await unlink(aside).catch(unlessMissing);
  return true;
}

/** A crash came in the middle of a removal. What was put since is the newer and stays. */
async function putBack(aside: string): Promise<void> {
  const path = join(dirname(aside), basename(aside).slice(0, 62));
  await link(aside, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') return unlessMissing(error);
  });
  await unlink(aside).catch(unlessMissing);
}

async function sizeOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(unlessMissing);
  return found?.size ?? null;
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

/** Of this process alone: to be random anew for each blob took a tenth of all that a small one costs this thread. */
const writer = randomBytes(6).toString('hex');
let writes = 0;

async function writeWhole(path: string, content: Buffer): Promise<void> {
  writes += 1;
  const aside = `${path}.${writer}-${writes}${partSuffix}`;
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

async function claimDirectory(directory: string, installation: string): Promise<string> {
  const mark = join(directory, 'installation');
  await mkdir(directory, { recursive: true });
  const part = `${mark}.${randomUUID()}`;
  await writeFile(part, `${installation}\n`, { flush: true });
  try {
    // A mark appears whole, or a node that starts at the same moment would read half of it.
    await link(part, mark);
  } catch (error) {
    // Marked before, by an earlier start or by another node that shares the folder.
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
  } finally {
    await unlink(part);
  }
  return (await readFile(mark, 'utf8')).trim();
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function inParallel<Item>(
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
