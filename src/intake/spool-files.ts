import { mkdir, open, readdir, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What the spool asks of a disk; tests put one with faults in its place. Paths are names inside the spool's folder. */
export type SpoolFiles = {
  names(): Promise<string[]>;
  /** A new, empty file; rejects where there is one. */
  create(name: string): Promise<SpoolFile>;
  /** `length` bytes from `start`, or all; fewer where the file ends before. */
  read(name: string, range?: { start: number; length: number }): Promise<Buffer>;
  /** The whole of it, in pieces. */
  pieces(name: string): AsyncIterable<Buffer>;
  remove(name: string): Promise<void>;
  /** Makes durable which files there are. */
  syncFolder(): Promise<void>;
};

/** A file that is being written. */
export type SpoolFile = {
  /** Writes all of the pieces, in order, from `position` on. */
  write(pieces: readonly Buffer[], position: number): Promise<void>;
  /** Makes durable what was written. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
};

/** Files of a directory, which is made. */
export async function openSpoolFiles(directory: string): Promise<SpoolFiles> {
  await mkdir(directory, { recursive: true });
  // A folder is there after a power cut only when the one that it is in says so.
  await syncFolder(dirname(directory));
  await syncFolder(dirname(dirname(directory)));
  const pathOf = (name: string) => join(directory, name);
  return {
    names: () => readdir(directory),
    create: async (name) => spoolFile(await open(pathOf(name), 'wx', 0o600)),
    read: (name, range) => read(pathOf(name), range),
    async *pieces(name) {
      const file = await open(pathOf(name), 'r');
      yield* file.createReadStream() as AsyncIterable<Buffer>;
    },
    remove: (name) => unlink(pathOf(name)),
    syncFolder: () => syncFolder(directory),
  };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function spoolFile(handle: FileHandle): SpoolFile {
  return {
    async write(pieces, position) {
      const wanted = pieces.reduce((sum, piece) => sum + piece.length, 0);
      const { bytesWritten } = await handle.writev([...pieces], position);
      if (bytesWritten === wanted) return;
      // A short write is no error of writev(2); what is left says why it was cut.
      const rest = Buffer.concat(pieces).subarray(bytesWritten);
      for (let at = 0; at < rest.length;) {
        const more = await handle.write(rest, at, rest.length - at, position + bytesWritten + at);
        at += more.bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    truncate: (length) => handle.truncate(length),
    close: () => handle.close(),
  };
}

async function read(path: string, range?: { start: number; length: number }): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    if (range === undefined) return await file.readFile();
    const bytes = Buffer.allocUnsafe(range.length);
    let filled = 0;
    while (filled < range.length) {
      const { bytesRead } = await file.read(bytes, filled, range.length - filled, range.start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}
