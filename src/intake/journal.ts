import { crc32 } from 'node:zlib';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { SpoolFile, SpoolFiles } from './spool-files.ts';

/*
 * Records appended to files that are called segments. What is asked for while the disk is busy goes into
 * one write and one fdatasync: fifty sessions cost hardly more than one.
 *
 * A record: "TWS1", the lengths of its two parts and the CRC-32 of all that (4 bytes each, big-endian), then
 * the parts, JSON and raw bytes. So the end of a segment that a crash tore is known for what it is.
 */

/** Where a record's bytes lie. Made by a journal, and meaningless to another. */
export type Place = { segment: Segment; start: number; length: number };

/** A file of records. */
type Segment = {
  name: string;
  /** Bytes of whole, durable records. */
  size: number;
  /** Records that are still needed. */
  needed: number;
};

export type Journal = {
  /** Resolves when the record is durable. Rejects when it could not be written: then it will not be found again. */
  append(meta: unknown, bytes: Buffer): Promise<Place>;
  /** The raw bytes of a record. */
  read(place: Place): Promise<Buffer>;
  /** The record is needed no more; with the last one its segment goes. */
  release(place: Place): void;
  /** After the last append. */
  close(): Promise<void>;
};

/** A record that was found at the start. */
export type FoundRecord = { meta: unknown; place: Place };

/** A segment is closed when it is longer; bytes. */
const segmentBytesMax = 32 * 1024 * 1024;
/** One of which nothing is needed is given up when it is longer: a new one costs one more fsync. */
const idleSegmentBytesMax = 8 * 1024 * 1024;
/** What goes into one write; bytes. */
const groupBytesMax = 8 * 1024 * 1024;

const magic = Buffer.from('TWS1');
const headBytes = 16;
const segmentName = /^(\d{12})\.journal$/;

/** Opens the journal in a folder, with the records that an earlier one left there, in order. */
export async function openJournal(
  files: SpoolFiles,
  log: Log,
): Promise<{ journal: Journal; found: FoundRecord[] }> {
  const names = (await files.names()).filter((name) => segmentName.test(name)).sort();
  const found: FoundRecord[] = [];
  for (const name of names) {
    const { segment, records, tornBytes } = await readSegment(files, name);
    if (tornBytes > 0)
      log.warn({ segment: name, tornBytes }, 'the spool ends in a record that was never whole');
    found.push(...records);
    if (records.length === 0) await files.remove(segment.name);
  }
  const last = segmentName.exec(names.at(-1) ?? '')?.[1] ?? '0';
  return { journal: createJournal(files, log, Number(last) + 1), found };
}

type Wish = {
  pieces: [head: Buffer, json: Buffer, bytes: Buffer];
  /** Of all pieces. */
  length: number;
  resolve(place: Place): void;
  reject(error: unknown): void;
};

function createJournal(files: SpoolFiles, log: Log, firstNumber: number): Journal {
  const segments = createSegments(files, log, firstNumber);
  let wishes: Wish[] = [];
  let writing: Promise<void> | null = null;

  const writeGroup = async (group: readonly Wish[]) => {
    try {
      const { segment, file } = await segments.forNextGroup();
      await file.write(
        group.flatMap(({ pieces }) => pieces),
        segment.size,
      );
      await file.sync();
      for (const wish of group) {
        const { length } = wish.pieces[2];
        segment.size += wish.length;
        segment.needed += 1;
        wish.resolve({ segment, start: segment.size - length, length });
      }
    } catch (error) {
      await segments.abandon();
      for (const wish of group) wish.reject(error);
    }
  };

  const writeAll = async () => {
    while (wishes.length > 0) {
      let bytes = 0;
      const after = wishes.findIndex((wish) => (bytes += wish.length) > groupBytesMax);
      await writeGroup(wishes.splice(0, after < 0 ? wishes.length : Math.max(after, 1)));
    }
    writing = null;
  };

  return {
    append: (meta, bytes) =>
      new Promise((resolve, reject) => {
        const pieces = encodeRecord(meta, bytes);
        const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
        wishes.push({ pieces, length, resolve, reject });
        writing ??= writeAll();
      }),
    read: ({ segment, start, length }) => files.read(segment.name, { start, length }),
    release: ({ segment }) => segments.release(segment),
    async close() {
      await writing;
      await segments.close();
    },
  };
}

/** The segment that is appended to, and the removal of those that nobody needs. */
function createSegments(files: SpoolFiles, log: Log, firstNumber: number) {
  let nextNumber = firstNumber;
  let current: { segment: Segment; file: SpoolFile } | null = null;
  const removals = new Set<Promise<void>>();

  const remove = (segment: Segment) => {
    const removal = files
      .remove(segment.name)
      .catch((error: unknown) =>
        // It is found again at the next start, and handed over once more, which changes nothing.
        log.warn({ segment: segment.name, error: messageOf(error) }, 'a spool segment could not be removed'),
      )
      .finally(() => removals.delete(removal));
    removals.add(removal);
  };

  /** The current one stays as long as it is needed, and is appended to no more. */
  const end = async () => {
    if (current === null) return;
    const { segment, file } = current;
    current = null;
    if (segment.needed === 0) remove(segment);
    await file.close();
  };

  return {
    async forNextGroup(): Promise<{ segment: Segment; file: SpoolFile }> {
      const size = current?.segment.size ?? 0;
      const isDone = current?.segment.needed === 0 && size > idleSegmentBytesMax;
      if (size > segmentBytesMax || isDone) await end();
      if (current === null) {
        const name = `${String(nextNumber++).padStart(12, '0')}.journal`;
        const file = await files.create(name);
        current = { segment: { name, size: 0, needed: 0 }, file };
        await files.syncFolder();
      }
      return current;
    },
    /**
     * After a failed write or fsync nobody knows what is on the disk (the pages may be dropped and called
     * clean), so nothing is appended behind it: what was durable before is kept, the rest cut off.
     */
    async abandon() {
      if (current === null) return;
      const { segment, file } = current;
      for (const step of [() => file.truncate(segment.size), () => file.sync(), end]) {
        try {
          await step();
        } catch (error) {
          log.error(
            { segment: segment.name, error: messageOf(error) },
            'a spool segment could not be cut off',
          );
        }
      }
    },
    release(segment: Segment) {
      segment.needed -= 1;
      if (segment.needed === 0 && segment !== current?.segment) remove(segment);
    },
    async close() {
      await end();
      await Promise.all(removals);
    },
  };
}

function encodeRecord(meta: unknown, bytes: Buffer): Wish['pieces'] {
  const json = Buffer.from(JSON.stringify(meta));
  const head = Buffer.alloc(headBytes);
  magic.copy(head);
  head.writeUInt32BE(json.length, 4);
  head.writeUInt32BE(bytes.length, 8);
  head.writeUInt32BE(checksum(head, json, bytes), 12);
  return [head, json, bytes];
}

function checksum(head: Buffer, json: Buffer, bytes: Buffer): number {
  return crc32(bytes, crc32(json, crc32(head.subarray(0, 12))));
}

async function readSegment(
  files: SpoolFiles,
  name: string,
): Promise<{ segment: Segment; records: FoundRecord[]; tornBytes: number }> {
  const all = await files.read(name);
  const segment: Segment = { name, size: 0, needed: 0 };
  const records: FoundRecord[] = [];
  for (;;) {
    const head = all.subarray(segment.size, segment.size + headBytes);
    if (head.length < headBytes || !head.subarray(0, 4).equals(magic)) break;
    const jsonStart = segment.size + headBytes;
    const bytesStart = jsonStart + head.readUInt32BE(4);
    const end = bytesStart + head.readUInt32BE(8);
    if (end > all.length) break;
    const json = all.subarray(jsonStart, bytesStart);
    const bytes = all.subarray(bytesStart, end);
    if (checksum(head, json, bytes) !== head.readUInt32BE(12)) break;
    const place = { segment, start: bytesStart, length: bytes.length };
    records.push({ meta: JSON.parse(json.toString()) as unknown, place });
    segment.size = end;
    segment.needed += 1;
  }
  return { segment, records, tornBytes: all.length - segment.size };
}
