import type { SMTPServerDataStream } from 'smtp-server';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { Envelope } from '../store/spool.ts';
import type { Prover } from './authenticate.ts';
import type { KnownAddress } from './recipients.ts';
import { Refusal } from './reply.ts';
import { SpoolFull } from './spool.ts';
import type { Arrival, Spool } from './spool.ts';
import { isRobot, noProof, readWriter, refusalOfProof, refusalOfWriter } from './verify.ts';
import type { Answer, Writer } from './verify.ts';

/** Whose logging addresses a message came to. */
export type Recipients = {
  /** As they were some seconds ago. */
  known: readonly KnownAddress[];
  /** As they are now. Throws Refusal when nobody can tell. */
  again(): Promise<KnownAddress[]>;
};

const tooLarge: Answer = { code: 552, text: '5.3.4 This message is larger than 50 MB' };
const noRoom: Answer = {
  code: 452,
  text: '4.3.1 No room to store this message at the moment, try again later',
};
const noStorage: Answer = { code: 451, text: '4.3.0 This message could not be stored, try again later' };

/** Refused before anything of it is sent, while there is no room. */
export function assertRoom(spool: Spool): void {
  if (spool.isFull()) throw new Refusal(noRoom);
}

/**
 * Takes one message in and decides whether it may be logged (B4, B5). Resolves, when it is durable, with the text of
 * the 250; throws Refusal for what is answered instead, and anything else where the client went away.
 */
export async function acceptMessage(
  parts: { spool: Spool; prover: Prover; log: Log; messageBytesMax: number },
  stream: SMTPServerDataStream,
  envelope: Envelope,
  recipients: Recipients,
): Promise<string> {
  const arrival = parts.spool.receive();
  try {
    await receive(parts.messageBytesMax, stream, arrival);
    const writer = readWriter(arrival.head());
    if (isRobot(writer, envelope.from)) {
      // Whatever it proves: it is dropped when it is filed, and answered by nothing.
      await arrival.commit({ envelope, proof: noProof('unproven', writer.domain) });
    } else {
      refuseIf(await refusalNow(writer, recipients));
      const proof = await parts.prover.prove(arrival, writer, envelope);
      refuseIf(refusalOfProof(proof));
      await arrival.commit({ envelope, proof });
    }
  } catch (error) {
    await arrival.discard();
    throw refusalOf(error, stream, parts.log);
  }
  return `2.0.0 Accepted as ${arrival.id}`;
}

/** An address that the user was given a moment ago counts: nobody is refused for good by what is only remembered. */
async function refusalNow(writer: Writer, recipients: Recipients): Promise<Answer | null> {
  const refusal = refusalOfWriter(writer, recipients.known);
  if (refusal === null || writer.from === null) return refusal;
  return refusalOfWriter(writer, await recipients.again());
}

function refuseIf(answer: Answer | null): void {
  if (answer !== null) throw new Refusal(answer);
}

/**
 * All of it is read, whatever becomes of it, since the client is answered only after its final dot. By events: to
 * iterate over the stream took longer than all else that is done with a small message.
 */
function receive(bytesMax: number, stream: SMTPServerDataStream, arrival: Arrival): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | null = null;
    let bytes = 0;
    /** Of what is on its way to a file. */
    let writing: Promise<void> = Promise.resolve();
    const fail = (error: unknown) => {
      failure ??= error instanceof Error ? error : new Error(String(error));
    };
    const end = (outcome: Error | null) => {
      // What the caller does next with the arrival must not meet a write that is under way.
      void writing.then(() => (outcome === null ? resolve() : reject(outcome)));
    };
    stream.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > bytesMax) fail(new Refusal(tooLarge));
      // One that knows SIZE and goes on all the same is not listened to for ever.
      if (bytes > 2 * bytesMax) {
        end(new Refusal(tooLarge, true));
        stream.destroy();
        return;
      }
      if (failure !== null) return;
      const written = arrival.write(piece);
      if (written === null) return;
      stream.pause();
      writing = written.catch(fail).then(() => void stream.resume());
    });
    stream.once('end', () => end(failure));
    stream.once('error', (error) => end(error));
    // It comes after `end` as well.
    stream.once('close', () => {
      if (!stream.readableEnded) end(failure ?? new Error('the client went away'));
    });
  });
}

function refusalOf(error: unknown, stream: SMTPServerDataStream, log: Log): unknown {
  if (error instanceof Refusal) return error;
  const isGone = stream.destroyed && !stream.readableEnded;
  if (isGone) return error;
  if (error instanceof SpoolFull) return new Refusal(noRoom);
  log.error({ error: messageOf(error) }, 'a message could not be stored');
  const { code } = error as NodeJS.ErrnoException;
  return new Refusal(code === 'ENOSPC' || code === 'EDQUOT' ? noRoom : noStorage);
}
