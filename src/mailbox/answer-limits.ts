import { Failure } from '../lib/failure.ts';
import { tooLong } from './imap-errors.ts';

/** Limits of one connection: whatever a server sends, and however slowly, costs no more than these. Milliseconds and bytes. */
export type SessionLimits = {
  connectMs: number;
  greetingMs: number;
  /** Silence after which imapflow asks with NOOP; twice that, and the connection is dead. */
  silenceMs: number;
  /** From the first packet to the end of the login, whatever the server has to say on the way. */
  loginMs: number;
  /** One answer. Silence alone would never end a server that sends a byte a minute. */
  answerMs: number;
  /** One answer with whole messages, or to one that is uploaded. */
  bodiesMs: number;
  /** One answer, all that the server slips in included: single responses are bounded below, their number is not. */
  answerBytesMax: number;
  literalBytesMax: number;
  responseBytesMax: number;
  lineBytesMax: number;
};

/** A mail of 150 MB is the most that Exchange takes (providers.md B.6); at 100 KB a second that is 25 minutes. */
export const sessionLimits: SessionLimits = {
  connectMs: 30_000,
  greetingMs: 20_000,
  silenceMs: 120_000,
  loginMs: 120_000,
  answerMs: 300_000,
  bodiesMs: 1_800_000,
  answerBytesMax: 256 * 1024 * 1024,
  literalBytesMax: 200 * 1024 * 1024,
  responseBytesMax: 256 * 1024 * 1024,
  lineBytesMax: 8 * 1024 * 1024,
};

/** So many in one go: some milliseconds of work. */
const tellAtOnce = 1_000;
const linesAtOnce = 100;

/**
 * For notices that imapflow (2.10.2) makes one by one of what the server said in one line: of
 * `VANISHED (EARLIER) 1:4294967295` sixteen million, for minutes, in which nothing else would come to its turn. Where the
 * connection is over meanwhile, whoever waits for the next turn waits for ever, and goes with the connection.
 */
export function inTurns<Notice>(
  tell: (notice: Notice) => void,
  isOver: () => boolean,
): (notice: Notice) => Promise<void> | void {
  let told = 0;
  return (notice) => {
    tell(notice);
    told += 1;
    if (told % tellAtOnce !== 0) return undefined;
    return new Promise((resolve) => {
      if (!isOver()) setImmediate(resolve);
    });
  };
}

/**
 * imapflow (2.10.2) reads on for as long as there is something to read, which of a fast server is 2 MB at a time: lines of
 * a few bytes kept everything else waiting for ten seconds. It waits for this, and with it the socket.
 */
export function readInTurns(client: object): void {
  const reading = client as { handleResponse(data: unknown): Promise<boolean> };
  const handle = reading.handleResponse.bind(client);
  let lines = 0;
  reading.handleResponse = async (data) => {
    lines += 1;
    if (lines % linesAtOnce === 0) await new Promise((resolve) => setImmediate(resolve));
    return handle(data);
  };
}

/** How often an answer that is coming is looked at. */
const lookMs = 250;

/**
 * Watches one answer until the returned function is called. `received` are the bytes of the connection so
 * far; `onBreach` is called once, when the answer has become longer or has taken longer than it may.
 */
export function watchAnswer(
  of: { received(): number; bytesMax: number; msMax: number },
  onBreach: (why: Failure) => void,
): () => void {
  const [startBytes, startedAt] = [of.received(), performance.now()];
  const timer = setInterval(() => {
    const why = breachOf(of, { bytes: of.received() - startBytes, ms: performance.now() - startedAt });
    if (why === null) return;
    clearInterval(timer);
    onBreach(why);
  }, lookMs);
  return () => clearInterval(timer);
}

function breachOf(
  most: { bytesMax: number; msMax: number },
  came: { bytes: number; ms: number },
): Failure | null {
  if (came.bytes > most.bytesMax) return tooLong();
  if (came.ms > most.msMax) {
    return new Failure('temporary', 'answer_too_slow', 'the provider took too long over its answer');
  }
  return null;
}
