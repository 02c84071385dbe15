import { isUtf8 } from 'node:buffer';

/** A line of a stream, by its number from 1; without a text when it cannot be read. */
export type Line =
  | { number: number; text: string; problem?: never }
  | { number: number; problem: 'line_too_long' | 'invalid_utf8'; text?: never };

const newline = 0x0a;

/**
 * The lines of a stream of bytes, as many at a time as a chunk completes. A line longer than
 * `lineBytesMax` is never held: its bytes are dropped as they come. Line ends may be LF or CRLF; the
 * last line needs none; empty lines count and are not handed out.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<Line[]> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let number = 1;
  const finish = (): Line | null => {
    const line = heldBytes > lineBytesMax ? tooLong(number) : textLine(number, Buffer.concat(held));
    held = [];
    heldBytes = 0;
    number += 1;
    return line;
  };
  const hold = (bytes: Buffer) => {
    heldBytes += bytes.length;
    if (heldBytes <= lineBytesMax) held.push(bytes);
    else held = [];
  };
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      hold(bytes.subarray(start, end));
      const line = finish();
      if (line !== null) lines.push(line);
      start = end + 1;
    }
    if (start < bytes.length) hold(bytes.subarray(start));
    if (lines.length > 0) yield lines;
  }
  const last = finish();
  if (last !== null) yield [last];
}

function tooLong(number: number): Line {
  return { number, problem: 'line_too_long' };
}

function textLine(number: number, bytes: Buffer): Line | null {
  if (!isUtf8(bytes)) return { number, problem: 'invalid_utf8' };
  // toString keeps a byte order mark, which some programs put before the first line.
  const text = bytes
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trim();
  return text === '' ? null : { number, text };
}
