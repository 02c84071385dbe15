import { Readable } from 'node:stream';
import type { BlobStore } from './blobs.ts';

/** What is larger is read from the store: its reading is what takes long then, not its opening. */
const contentBytesMax = 256 * 1024;

/**
 * The same store for those who read what they have just put, once: a message that is accepted is mostly sent by the
 * same process a moment later, and of a short one the system takes longer to open and to close its file than for all
 * the rest. What was put last stays in memory, up to `bytesMax`, until it is asked for; whatever is not there any more
 * is read from the store, which has all of it before `put` resolves.
 */
export function keepRecent(blobs: BlobStore, bytesMax: number): BlobStore {
  /** The oldest first. */
  const recent = new Map<string, Buffer>();
  let bytes = 0;
  const take = (name: string): Buffer | undefined => {
    const content = recent.get(name);
    recent.delete(name);
    bytes -= content?.length ?? 0;
    return content;
  };
  const keep = (name: string, content: Buffer): void => {
    take(name);
    recent.set(name, content);
    bytes += content.length;
    for (const oldest of recent.keys()) {
      if (bytes <= bytesMax) break;
      take(oldest);
    }
  };
  return {
    size: (sha256) => blobs.size(sha256),
    async put(contents, given) {
      const names = await blobs.put(contents, given);
      for (const [n, name] of names.entries()) {
        const content = contents[n];
        if (content !== undefined && content.length <= contentBytesMax) keep(name, content);
      }
      return names;
    },
    get(sha256, range) {
      const content = take(sha256);
      if (content === undefined) return blobs.get(sha256, range);
      const asked = range === undefined ? content : content.subarray(range.start, range.end + 1);
      return Readable.from(asked.length === 0 ? [] : [asked], { objectMode: false });
    },
  };
}
