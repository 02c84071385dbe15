import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { Proof } from '../store/spool.ts';
import { cachedDns, limitedDns } from './dns.ts';
import type { ResolveDns } from './dns.ts';
import type { RawMessage, Sender } from './evaluate.ts';
import { headBytesMax, noProof, readWriter } from './verify.ts';
import type { Writer } from './verify.ts';

/** Evaluates SPF, DKIM and DMARC (B4). Never rejects: what could not be found out in time is `pending`. */
export type Prover = {
  prove(message: RawMessage, writer: Writer, sender: Sender): Promise<Proof>;
  /** The same for a message at hand: what was pending when it came is asked again. */
  proveMessage(raw: Buffer, sender: Sender): Promise<Proof>;
};

/** Senders wait for minutes (RFC 5321 §4.5.3.2.6), but hold a session and a connection meanwhile. */
const deadlineMs = 5_000;
/** SPF alone may ask for 10 terms with 10 addresses each (RFC 7208 §4.6.4); honest mail stays below 30 in all. */
const questionsMax = 80;
const pieceBytes = 64 * 1024;

export function createProver(options: {
  resolve: ResolveDns;
  clock: Clock;
  log: Log;
  /** This server's, for macros of SPF. */
  hostName: string;
}): Prover {
  const { clock, log, hostName } = options;
  const dns = cachedDns(options.resolve, clock);
  const passes = createPasses(clock);

  const prove = async (message: RawMessage, writer: Writer, sender: Sender): Promise<Proof> => {
    if (writer.from === null) return noProof('unproven', '');
    const known = passes.of(writer, sender);
    if (known !== null) return known;
    const done = new AbortController();
    try {
      // Loaded with the first mail, and before its time begins: most gateways never get any.
      const { evaluate } = await import('./evaluate.ts');
      const late = clock.sleep(deadlineMs, done.signal).then(() => noProof('pending', writer.domain));
      const means = { resolve: limitedDns(dns, questionsMax), hostName, signal: done.signal };
      const proof = await Promise.race([evaluate(message, writer, sender, means), late]);
      passes.note(writer, sender, proof);
      return proof;
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the sender of a message could not be verified');
      return noProof('pending', writer.domain);
    } finally {
      done.abort(isOver);
    }
  };

  return {
    prove,
    proveMessage: (raw, sender) =>
      prove({ pieces: () => piecesOf(raw) }, readWriter(raw.subarray(0, headBytesMax)), sender),
  };
}

/** For how long, and of how many senders, a pass of SPF is remembered; DNS records are for longer. */
const passMs = 60_000;
const passesMax = 5_000;

/** Whoever logs mail logs more of it, by the same servers: that SPF passes for them need not be found out each time. */
function createPasses(clock: Clock) {
  const passes = new Map<string, { proof: Proof; until: number }>();
  const keyOf = ({ domain }: Writer, { from, helo, clientAddress }: Sender) =>
    JSON.stringify([domain, from, helo, clientAddress]);
  return {
    of(writer: Writer, sender: Sender): Proof | null {
      const found = passes.get(keyOf(writer, sender));
      return found !== undefined && found.until > clock.monotonic() ? found.proof : null;
    },
    note(writer: Writer, sender: Sender, proof: Proof): void {
      if (proof.by !== 'spf') return;
      const key = keyOf(writer, sender);
      passes.delete(key);
      passes.set(key, { proof, until: clock.monotonic() + passMs });
      const [oldest] = passes.keys();
      if (passes.size > passesMax && oldest !== undefined) passes.delete(oldest);
    },
  };
}

/** Made once: the reason that Node makes for each abort costs more than verifying SPF. */
const isOver = new Error('the time for this message is over');

async function* piecesOf(raw: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < raw.length; at += pieceBytes) {
    // Hashing a large message must not keep everything else waiting.
    if (at > 0) await nextTurn();
    yield raw.subarray(at, at + pieceBytes);
  }
}
