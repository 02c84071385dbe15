import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { BlobStore } from './blobs.ts';

/** Bytes of a blob, as a download. */
export type Content = {
  sha256: string;
  /** As declared by whoever sent it. */
  type: string;
  name: string;
};

/** What a browser asks of it. */
export type Asked = { method: string; header(name: string): string | undefined };

/** An answer to send as it is, or why there is none; `size` is what there is, in bytes. */
export type Download =
  | {
      outcome: 'found';
      status: 200 | 206;
      headers: Record<string, string>;
      body: ReadableStream<Uint8Array> | null;
    }
  /** Whoever asks has it already. */
  | { outcome: 'unchanged'; headers: Record<string, string> }
  | { outcome: 'not_found' }
  | { outcome: 'unsatisfiable'; size: number };

/**
 * Streams a blob as a download, whole or in the one range that was asked for (RFC 9110 §14). What a
 * stranger sent is never shown by a browser as a page of ours: it is an attachment, its type is not
 * guessed, and were it opened all the same, it could neither run nor load anything.
 */
export async function openDownload(blobs: BlobStore, content: Content, asked: Asked): Promise<Download> {
  const size = await blobs.size(content.sha256);
  if (size === null) return { outcome: 'not_found' };
  const tag = `"${content.sha256}"`;
  const headers: Record<string, string> = {
    'Content-Type': safeType(content.type),
    'Content-Disposition': dispositionOf(content.name),
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Cache-Control': 'private',
    'Accept-Ranges': 'bytes',
    ETag: tag,
  };
  if (asked.header('if-none-match')?.includes(tag) === true) return { outcome: 'unchanged', headers };
  // A range of something that is not what the caller has the rest of would be of no use (RFC 9110 §13.1.5).
  const wanted = (asked.header('if-range') ?? tag) === tag ? asked.header('range') : undefined;
  const range = rangeOf(wanted, size);
  if (range === 'unsatisfiable') return { outcome: 'unsatisfiable', size };
  // A file is opened for those alone who read it.
  const isRead = asked.method !== 'HEAD' && size > 0;
  const body = isRead ? await begin(blobs, content.sha256, range ?? undefined) : null;
  if (body === 'gone') return { outcome: 'not_found' };
  if (range === null) {
    headers['Content-Length'] = String(size);
    return { outcome: 'found', status: 200, headers, body };
  }
  headers['Content-Length'] = String(range.end - range.start + 1);
  headers['Content-Range'] = `bytes ${range.start}-${range.end}/${size}`;
  return { outcome: 'found', status: 206, headers, body };
}

/** A blob from its first bytes on: what was removed since it was asked for its size is gone before anything is answered. */
async function begin(
  blobs: BlobStore,
  sha256: string,
  range: { start: number; end: number } | undefined,
): Promise<ReadableStream<Uint8Array> | 'gone'> {
  const stream = blobs.get(sha256, range);
  try {
    await once(stream, 'readable');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'gone';
    throw error;
  }
  return Readable.toWeb(stream) as ReadableStream<Uint8Array>;
}

/**
 * The one range of bytes that a Range header asks for, both ends included. Null: all of it, also for
 * several ranges and for what is no range, which a server may ignore (RFC 9110 §14.2).
 */
export function rangeOf(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return null;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return null;
  return start >= size ? 'unsatisfiable' : { start, end };
}

/** RFC 6266: a name in ASCII for old programs, and the real one (RFC 8187) for the others. */
export function dispositionOf(name: string): string {
  const clean =
    name
      .toWellFormed()
      .replaceAll(/[\p{Cc}\p{Cf}/\\]+/gu, '_')
      .slice(0, 200) || 'file';
  const ascii = clean.replaceAll(/[^\x20-\x7e]|["%]/g, '_');
  const encoded = encodeURIComponent(clean.toWellFormed()).replaceAll(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

function safeType(declared: string): string {
  return /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(declared)
    ? declared.toLowerCase()
    : 'application/octet-stream';
}
