import { parentPort } from 'node:worker_threads';
import type { MessageHeader } from './header.ts';
import { parseBody, type ParsedBody } from './mime.ts';

/** What parse.ts sends: a message of its own copy. */
export type WorkerTask = { raw: Uint8Array<ArrayBuffer>; header: MessageHeader };
/** What comes back; the attachments' contents are moved, not copied, and are plain Uint8Arrays. */
export type WorkerResult = ParsedBody;

parentPort?.on('message', (task: WorkerTask) => {
  const raw = Buffer.from(task.raw.buffer, task.raw.byteOffset, task.raw.byteLength);
  // A rejection is a bug: unhandled, it ends the worker, and parse.ts answers with what it can read itself.
  void parseBody(raw, task.header).then((body) => parentPort?.postMessage(...movable(body)));
});

function movable(body: ParsedBody): [WorkerResult, ArrayBuffer[]] {
  const moved: ArrayBuffer[] = [];
  const attachments = body.attachments.map((file) => {
    // Small buffers share one pool of memory, which can not be moved.
    const { buffer, byteLength } = file.content;
    const alone = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
    const own = alone ? new Uint8Array(buffer) : new Uint8Array(file.content);
    moved.push(own.buffer);
    return { ...file, content: own as Buffer };
  });
  return [{ ...body, attachments }, moved];
}
