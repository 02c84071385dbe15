import { Worker } from 'node:worker_threads';
import { type MessageHeader, readHeader } from './header.ts';
import { parseBody, type ParsedBody, roughBody } from './mime.ts';
import type { WorkerResult, WorkerTask } from './parse-worker.ts';

export type { ParsedAttachment } from './mime.ts';

/** A whole message, ready to be stored and shown. */
export type ParsedMessage = { header: MessageHeader } & ParsedBody;

/** Up to this size a message is parsed in this thread: a few milliseconds, less than the way to a worker costs. */
const inThreadBytesMax = 64 * 1024;
const workersMax = 2;
/** For one parse: the largest honest messages take a second or two. */
const parseMsMaxDefault = 20_000;
/** Of one worker's JavaScript heap: ten times what a message of 50 MB needs. */
const workerHeapMegabytesMax = 768;

/** A worker and what it is doing; `job` is null while it is idle. */
type Slot = { worker: Worker; job: Job | null };
type Job = { raw: Buffer; header: MessageHeader; msMax: number; done(body: ParsedBody): void };

const slots = new Set<Slot>();
const waiting: Job[] = [];

/**
 * Parses a raw message. Never rejects and never holds the event loop for long: what is larger than
 * 64 KiB goes to one of two worker threads, which are started when first needed and do not keep the
 * process alive. A parse that takes longer than `msMax` is ended. Where the parser fails, the header and
 * what text can be found are the answer, and `partial` says why. `raw` is left as it is.
 */
export async function parseMessage(raw: Buffer, msMax = parseMsMaxDefault): Promise<ParsedMessage> {
  const header = readHeader(raw);
  if (raw.length <= inThreadBytesMax) return { header, ...(await parseHere(raw, header, msMax)) };
  const body = await new Promise<ParsedBody>((done) => {
    waiting.push({ raw, header, msMax, done });
    startJobs();
  });
  return { header, ...body };
}

/** Ends the worker threads. Messages that wait are answered by their header and text, `partial: 'parse_stopped'`. */
export async function stopParsing(): Promise<void> {
  for (const job of waiting.splice(0)) job.done(roughBody(job.raw, 'parse_stopped'));
  await Promise.all([...slots].map((slot) => endSlot(slot, 'parse_stopped')));
}

/** In this thread a deadline ends no loop, but a parser that went silent would hold its mailbox for ever. */
async function parseHere(raw: Buffer, header: MessageHeader, msMax: number): Promise<ParsedBody> {
  let deadline: NodeJS.Timeout | undefined;
  const late = new Promise<ParsedBody>((resolve) => {
    deadline = setTimeout(() => resolve(roughBody(raw, 'parse_timeout')), msMax);
  });
  const body = await Promise.race([parseBody(raw, header), late]);
  clearTimeout(deadline);
  return body;
}

function startJobs(): void {
  while (waiting.length > 0) {
    const slot =
      [...slots].find((each) => each.job === null) ?? (slots.size < workersMax ? startWorker() : null);
    const job = slot === null ? undefined : waiting.shift();
    if (slot === null || job === undefined) return;
    runJob(slot, job);
  }
}

function startWorker(): Slot {
  const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
    // Nothing in it is JSX: Node strips the types itself.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: workerHeapMegabytesMax },
  });
  const slot: Slot = { worker, job: null };
  slots.add(slot);
  worker.unref();
  // Out of memory and bugs end up here; `exit` follows and answers the job.
  worker.on('error', () => void endSlot(slot, 'parse_failed'));
  worker.on('exit', () => void endSlot(slot, 'parse_failed'));
  return slot;
}

function runJob(slot: Slot, job: Job): void {
  slot.worker.ref();
  const deadline = setTimeout(() => void endSlot(slot, 'parse_timeout'), job.msMax);
  const finish = (body: ParsedBody): void => {
    clearTimeout(deadline);
    slot.worker.removeListener('message', onResult);
    slot.worker.unref();
    slot.job = null;
    job.done(body);
    startJobs();
  };
  const onResult = (result: WorkerResult): void =>
    finish({ ...result, attachments: result.attachments.map(asBuffer) });
  slot.job = { ...job, done: finish };
  slot.worker.on('message', onResult);
  const task: WorkerTask = { raw: new Uint8Array(job.raw), header: job.header };
  slot.worker.postMessage(task, [task.raw.buffer]);
}

function asBuffer(file: ParsedBody['attachments'][number]): ParsedBody['attachments'][number] {
  const { buffer, byteOffset, byteLength } = file.content;
  return { ...file, content: Buffer.from(buffer, byteOffset, byteLength) };
}

/** Takes the worker out of use, ends it, and answers what it was doing. */
async function endSlot(slot: Slot, partial: string): Promise<void> {
  slots.delete(slot);
  const job = slot.job;
  slot.job = null;
  if (job !== null) job.done(roughBody(job.raw, partial));
  await slot.worker.terminate();
}
