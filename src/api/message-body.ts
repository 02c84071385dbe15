import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Busboy } from '@fastify/busboy';
import type { BusboyFileStream, BusboyHeaders, BusboyInstance } from '@fastify/busboy';
import type { Context } from 'hono';
import { ApiError, invalidField } from './errors.ts';
import { messageLimits, tooLarge } from './message-input.ts';
import type { FilePart } from './message-input.ts';
import { bodyChunks } from './route.ts';
import type { ApiEnv } from './route.ts';

/** JSON with all files in base64, and the longest texts. */
const jsonBytesMax = Math.ceil((messageLimits.filesBytesMax * 4) / 3) + 8 * 1_048_576;
/** The JSON part of a multipart body; what is too long for a field of it is told by its schema. */
const messagePartBytesMax = 16 * 1_048_576;

/** A body that was read: its JSON, and the files that came beside it. */
export type MessageBody = { message: unknown; files: FilePart[] };

/** Reads the body of a message to send: JSON, or multipart with the JSON in the part `message` and files beside it. */
export async function readMessageBody(c: Context<ApiEnv>): Promise<MessageBody> {
  const type = c.req.header('content-type') ?? '';
  if (/^application\/json\s*(?:;|$)/i.test(type)) {
    return { message: parseJson(await readAll(bodyChunks(c))), files: [] };
  }
  if (/^multipart\/form-data\s*;/i.test(type)) return readMultipart(Readable.from(bodyChunks(c)), type);
  throw new ApiError(
    'unsupported_media_type',
    'The content type must be application/json or multipart/form-data.',
  );
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > jsonBytesMax) {
      throw new ApiError('body_too_large', `The body is larger than ${jsonBytesMax} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError('malformed_json', 'The message is not JSON.');
  }
}

async function readMultipart(stream: Readable, type: string): Promise<MessageBody> {
  const parts: Parts = { message: null, files: [], bytes: 0 };
  const busboy = openBusboy(type);
  busboy.on('field', (name, value, _nameCut, valueCut) => {
    if (name !== 'message') return void busboy.destroy(unknownPart(name));
    if (valueCut) return void busboy.destroy(messagePartTooLarge());
    parts.message = value;
  });
  busboy.on('file', (name, content, filename, _encoding, mimeType) => {
    if (name === 'message') collectMessage(busboy, parts, content);
    else collectFile(busboy, parts, { part: name.slice(0, 100), content, filename, mimeType });
  });
  try {
    await pipeline(stream, busboy);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('malformed_multipart', 'The body ends too early, or its parts cannot be told apart.');
  }
  if (parts.message === null) {
    const detail = 'The JSON of the message is expected in the part named message.';
    throw invalidField({ in: 'body', path: 'message', code: 'required', detail });
  }
  return { message: parseJson(parts.message), files: parts.files };
}

type Parts = { message: string | null; files: FilePart[]; bytes: number };

function openBusboy(type: string): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': type } satisfies BusboyHeaders,
      limits: {
        fieldSize: messagePartBytesMax,
        fields: 10,
        headerPairs: 20,
      },
    });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new ApiError('malformed_multipart', 'The content type names no boundary.');
  }
}

/** The part `message` may come as a file, as `curl -F message=@message.json` sends it. */
function collectMessage(busboy: BusboyInstance, parts: Parts, content: BusboyFileStream): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  content.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > messagePartBytesMax) busboy.destroy(messagePartTooLarge());
    else chunks.push(chunk);
  });
  content.on('end', () => (parts.message = Buffer.concat(chunks).toString('utf8')));
}

function collectFile(
  busboy: BusboyInstance,
  parts: Parts,
  {
    part,
    content,
    filename,
    mimeType,
  }: { part: string; content: BusboyFileStream; filename: string | undefined; mimeType: string },
): void {
  const chunks: Buffer[] = [];
  const position = parts.files.push({ part, name: '', type: null, content: Buffer.alloc(0) }) - 1;
  const name = fileName(filename, position);
  if (position === messageLimits.filesMax) busboy.destroy(tooManyFiles());
  content.on('data', (chunk: Buffer) => {
    parts.bytes += chunk.length;
    if (parts.bytes > messageLimits.filesBytesMax)
      busboy.destroy(tooLarge({ path: part, name, bytes: parts.bytes }));
    else chunks.push(chunk);
  });
  content.on('end', () => {
    parts.files[position] = {
      part,
      name,
      type: /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(mimeType) ? mimeType : null,
      content: Buffer.concat(chunks),
    };
  });
}

function fileName(given: string | undefined, position: number): string {
  const name = (given ?? '').toWellFormed().replaceAll('\0', '').slice(0, 255);
  return name === '' ? `attachment-${position + 1}` : name;
}

function unknownPart(name: string): ApiError {
  const detail = 'Beside the part message there are only files.';
  return invalidField({ in: 'body', path: name.slice(0, 100), code: 'unknown_field', detail });
}

function messagePartTooLarge(): ApiError {
  return new ApiError('body_too_large', `The part message is larger than ${messagePartBytesMax} bytes.`);
}

function tooManyFiles(): ApiError {
  const detail = `There are more than ${messageLimits.filesMax} files.`;
  return invalidField({ in: 'body', path: 'attachments', code: 'too_long', detail });
}
