import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import { newId } from '../lib/id.ts';
import type { SpoolId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { lockDirectory } from '../store/directory-lock.ts';
import type { Envelope, Proof, Spooled } from '../store/spool.ts';
import { createHandOver } from './hand-over.ts';
import type { HandOver, Take } from './hand-over.ts';
import { openJournal } from './journal.ts';
import type { FoundRecord, Journal, Place } from './journal.ts';
import { openSpoolFiles } from './spool-files.ts';
import type { SpoolFile, SpoolFiles } from './spool-files.ts';
import { headBytesMax } from './verify.ts';

/** Mail between its 250 and the database: durable here (B5), and handed over as soon as it is taken. */
export type Spool = {
  /** A message whose bytes begin to come. */
  receive(): Arrival;
  /** Whether so much waits that no more is accepted. */
  isFull(): boolean;
  /** What waits to be taken. */
  waiting(): { messages: number; bytes: number };
  /** Resolves when nothing more is written; what was not taken stays for the next start. */
  stop(): Promise<void>;
};

/** One message that comes in. Ends with `commit` or `discard`. */
export type Arrival = {
  readonly id: SpoolId;
  /** Bytes so far. */
  size(): number;
  /**
   * The next piece, which is not changed afterwards. Null: it is in memory. Otherwise to be awaited before the next
   * one: this is what slows a sender down.
   */
  write(piece: Buffer): Promise<void> | null;
  /** What came first, `headBytesMax` at most. */
  head(): Buffer;
  /** All of it, in pieces. After the last `write`. */
  pieces(): AsyncIterable<Buffer>;
  /** Resolves when the message is durable. Throws SpoolFull, or what the disk said; then nothing is kept. */
  commit(facts: { envelope: Envelope; proof: Proof }): Promise<void>;
  discard(): Promise<void>;
};

/** More waits than the spool may hold: the database has been away for long. */
export class SpoolFull extends Error {}

export type SpoolLimits = {
  /** What may wait to be taken: a day of the database away, for most. */
  messagesMax: number;
  bytesMax: number;
  /** What of it is kept in memory; the rest is read back from the disk. */
  memoryBytesMax: number;
};

export const spoolLimits: SpoolLimits = {
  messagesMax: 200_000,
  bytesMax: 8 * 1024 ** 3,
  memoryBytesMax: 64 * 1024 * 1024,
};

/** A larger message goes to a file of its own while it comes. */
const inJournalBytesMax = headBytesMax;
const fileSuffix = '.eml';

/** What a record says: a message whose bytes are in the record, or in a file named after it. */
type RecordMeta = { spooled: Spooled; inFile: boolean };

type Parts = { files: SpoolFiles; journal: Journal; handOver: HandOver; clock: Clock; log: Log };

/**
 * Opens the spool in a folder that no other process may use, and hands over what an earlier run left there.
 * Throws where the folder is in use or cannot be read.
 */
export async function openSpool(options: {
  directory: string;
  take: Take;
  clock: Clock;
  log: Log;
  limits?: SpoolLimits;
  openFiles?: (directory: string) => Promise<SpoolFiles>;
}): Promise<Spool> {
  const { directory, clock, log, limits = spoolLimits, openFiles = openSpoolFiles } = options;
  const lock = await lockDirectory(directory);
  try {
    const files = await openFiles(join(directory, 'messages'));
    const { journal, found } = await openJournal(files, log);
    const handOver = createHandOver(options);
    const store = createStore({ files, journal, handOver, clock, log }, limits);
    await store.recover(found);
    handOver.start();
    return {
      receive: () => store.receive(),
      isFull: () => store.isFull(),
      waiting: () => store.waiting(),
      async stop() {
        try {
          await handOver.stop();
          await journal.close();
        } finally {
          lock.release();
        }
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** What is waiting, and how it got there. */
function createStore(parts: Parts, limits: SpoolLimits) {
  const { files, journal, handOver, log } = parts;
  let messages = 0;
  let bytes = 0;
  let bytesInMemory = 0;
  const isFull = () => messages >= limits.messagesMax || bytes >= limits.bytesMax;

  /** `raw` is null where it has to be read back. */
  const wait = (meta: RecordMeta, place: Place, raw: Buffer | null): void => {
    const { spooled, inFile } = meta;
    let inMemory = raw !== null && bytesInMemory + raw.length <= limits.memoryBytesMax ? raw : null;
    messages += 1;
    bytes += spooled.size;
    bytesInMemory += inMemory?.length ?? 0;
    handOver.add({
      spooled,
      async read() {
        if (inMemory !== null) return inMemory;
        const content = await (inFile ? files.read(nameOf(spooled.id)) : journal.read(place));
        if (hashOf(content) === spooled.sha256) return content;
        throw new Error('a message in the spool is not what it was when it was accepted');
      },
      async done() {
        messages -= 1;
        bytes -= spooled.size;
        bytesInMemory -= inMemory?.length ?? 0;
        inMemory = null;
        journal.release(place);
        if (inFile) await removeFile(parts, spooled.id);
      },
    });
  };

  return {
    isFull,
    waiting: () => ({ messages, bytes }),
    receive: () =>
      createArrival(parts, async (meta, raw) => {
        if (isFull()) throw new SpoolFull();
        const place = await journal.append(meta, meta.inFile ? Buffer.alloc(0) : raw);
        wait(meta, place, meta.inFile ? null : raw);
      }),
    /** Whole records that may not have been taken, and no file that none of them names. */
    async recover(found: readonly FoundRecord[]): Promise<void> {
      const present = new Set((await files.names()).filter((name) => name.endsWith(fileSuffix)));
      for (const { meta, place } of found) {
        const record = meta as RecordMeta;
        // The file goes when the message is taken; its record may stay longer.
        if (record.inFile && !present.delete(nameOf(record.spooled.id))) journal.release(place);
        else wait(record, place, null);
      }
      for (const name of present) await files.remove(name);
      if (found.length > 0) log.info({ messages, bytes }, 'accepted mail of an earlier run is handed over');
    },
  };
}

function createArrival(parts: Parts, append: (meta: RecordMeta, raw: Buffer) => Promise<void>): Arrival {
  const { files, clock } = parts;
  const id = newId('spl');
  const hash = createHash('sha256');
  const head = createHead();
  let size = 0;
  let file: SpoolFile | null = null;

  const add = (piece: Buffer): void => {
    head.add(piece);
    size += piece.length;
  };

  const toFile = async (piece: Buffer): Promise<void> => {
    if (file === null) {
      file = await files.create(nameOf(id));
      if (size > 0) await file.write([head.joined()], 0);
    }
    await file.write([piece], size);
    add(piece);
  };

  const discard = async (): Promise<void> => {
    if (file === null) return;
    const open = file;
    file = null;
    await open.close();
    await removeFile(parts, id);
  };

  return {
    id,
    size: () => size,
    write(piece) {
      hash.update(piece);
      if (file !== null || size + piece.length > inJournalBytesMax) return toFile(piece);
      add(piece);
      return null;
    },
    head: head.joined,
    async *pieces() {
      if (file === null) yield head.joined();
      else yield* files.pieces(nameOf(id));
    },
    async commit({ envelope, proof }) {
      const sha256 = hash.digest('hex');
      const spooled: Spooled = { id, receivedAt: clock.now(), envelope, proof, sha256, size };
      try {
        if (file !== null) {
          await file.sync();
          await files.syncFolder();
        }
        await append({ spooled, inFile: file !== null }, head.joined());
      } catch (error) {
        await discard();
        throw error;
      }
      // It is durable: what is said of the file now refuses it no more.
      await file?.close().catch((error: unknown) => {
        parts.log.warn({ spoolId: id, error: messageOf(error) }, 'a file of the spool could not be closed');
      });
    },
    discard,
  };
}

/** The first bytes of a message; of one without a file, all. */
function createHead() {
  let pieces: Buffer[] = [];
  let bytes = 0;
  return {
    add(piece: Buffer): void {
      if (bytes === inJournalBytesMax) return;
      pieces.push(piece.subarray(0, inJournalBytesMax - bytes));
      bytes = Math.min(bytes + piece.length, inJournalBytesMax);
    },
    joined(): Buffer {
      if (pieces.length !== 1) pieces = [Buffer.concat(pieces)];
      return pieces[0] ?? Buffer.alloc(0);
    },
  };
}

/** One that cannot be removed is found, and removed, at the next start. */
async function removeFile(parts: Parts, id: SpoolId): Promise<void> {
  try {
    await parts.files.remove(nameOf(id));
  } catch (error) {
    parts.log.warn({ spoolId: id, error: messageOf(error) }, 'a file of the spool could not be removed');
  }
}

function nameOf(id: SpoolId): string {
  return `${id}${fileSuffix}`;
}

function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
