import type { SMTPServerAddress, SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { smtpAnswers } from '../lib/meters.ts';
import { clientOf } from '../lib/networks.ts';
import type { Envelope } from '../store/spool.ts';
import { acceptMessage } from './accept.ts';
import type { Recipients } from './accept.ts';
import type { Prover } from './authenticate.ts';
import { createClients } from './clients.ts';
import type { Visit } from './door.ts';
import type { IntakeLimits } from './limits.ts';
import { createRecipients, readRecipient } from './recipients.ts';
import type { KnownAddress, LookUp } from './recipients.ts';
import { Refusal } from './reply.ts';
import type { Spool } from './spool.ts';
import type { Answer } from './verify.ts';

/**
 * What is answered for every address that is not in force, be it unknown, expired or replaced (B4): for good, which
 * the sender's own provider reports at once; a 4xx would make it try for days (providers.md A.8). Also for
 * `postmaster`: RFC 5321 §4.5.1 wants it accepted, but nobody reads mail here, and to accept it and throw it away
 * would be a lie.
 */
const unknownAddress: Answer = {
  code: 550,
  text: '5.1.1 There is no such logging address; copy the current one from your CRM',
};
const guessing: Answer = { code: 421, text: '4.7.0 Too many unknown recipients' };
const cannotTell: Answer = {
  code: 451,
  text: '4.3.0 Logging addresses cannot be looked up at the moment, try again later',
};
const tooManySessions: Answer = { code: 421, text: '4.7.0 Too many sessions from your address' };
/** To whom is still there when the server stops. */
export const restarting: Answer = { code: 421, text: '4.3.2 Restarting, try again in a minute' };

type Parts = {
  domain: string | null;
  lookUp: LookUp;
  spool: Spool;
  prover: Prover;
  clock: Clock;
  log: Log;
};

/** How the library is told an outcome; `text` is that of the 250 to DATA. */
type Tell = (error?: Error | null, text?: string) => void;

/**
 * Hands the outcome of a handler to the library. What is no Refusal is a fault of ours, and temporary. Success is
 * never told at once: the library (smtp-server 3.21.6) forgets a message that was pipelined behind another and ended
 * before the call returned that went on with it.
 */
export function answer(work: () => void | Promise<void>, tell: Tell): void {
  const fail = (error: unknown) => tell(asRefusal(error));
  try {
    const working = work();
    if (working === undefined) queueMicrotask(() => tell(null));
    else working.then(() => tell(null), fail);
  } catch (error) {
    fail(error);
  }
}

function asRefusal(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal(cannotTell);
}

/** What happens in sessions: who comes, whom for, and with what. */
export function createVisits(parts: Parts, limits: IntakeLimits) {
  const { clock } = parts;
  const clients = createClients({
    clock,
    sessionsMax: limits.sessionsOfClientMax,
    guessesMax: limits.guessesMax,
    guessesMs: limits.guessesMs,
  });
  const recipients = createRecipientCheck(parts, limits);
  const messages = new Set<Promise<string>>();
  let isStopping = false;

  const receive = async (
    visit: Visit,
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
  ): Promise<string> => {
    visit.dataSince = clock.monotonic();
    try {
      const { envelope, ...whose } = recipients.envelopeOf(session);
      const accepting = { ...parts, messageBytesMax: limits.messageBytesMax };
      const text = await acceptMessage(accepting, stream, envelope, whose);
      visit.commands = 0;
      return text;
    } finally {
      visit.dataSince = null;
    }
  };

  return {
    /** Throws Refusal where there are too many. */
    enter(visit: Visit): void {
      const client = clientOf(visit.remoteAddress);
      if (!clients.enter(client)) throw new Refusal(tooManySessions);
      visit.client = client;
      visit.startedAt = clock.monotonic();
      visit.failedRecipientsMax = clients.isGuessing(client) ? 1 : limits.failedRecipientsMax;
    },
    leave(visit: Visit): void {
      if (visit.client !== null) clients.leave(visit.client);
    },
    /** Throws Refusal, or rejects with it, for all but a logging address in force. */
    recipient(visit: Visit, address: SMTPServerAddress): void | Promise<void> {
      const orRefuse = (isKnown: boolean) => {
        smtpAnswers.add(['rcpt', isKnown ? '250' : '550']);
        if (!isKnown) throw refusalOfUnknown(visit, clients);
      };
      const found = recipients.isKnown(address);
      return typeof found === 'boolean' ? orRefuse(found) : found.then(orRefuse);
    },
    message(visit: Visit, stream: SMTPServerDataStream, session: SMTPServerSession, tell: Tell): void {
      const message = receive(visit, stream, session);
      messages.add(message);
      const end = (refusal: Refusal | null, text?: string) => {
        messages.delete(message);
        smtpAnswers.add(['data', `${refusal?.responseCode ?? 250}`]);
        tell(refusal, text);
        if (refusal?.closes === true) visit.close();
        if (isStopping) visit.say(restarting);
      };
      message.then(
        (text) => end(null, text),
        (error: unknown) => end(asRefusal(error)),
      );
    },
    stop: () => void (isStopping = true),
    /** Resolves when no message is being taken in. */
    ended: () => Promise.allSettled(messages),
  };
}

/** Counts an unknown recipient. */
function refusalOfUnknown(visit: Visit, clients: ReturnType<typeof createClients>): Refusal {
  visit.failedRecipients += 1;
  if (visit.client !== null) clients.guessed(visit.client);
  return new Refusal(visit.failedRecipients > visit.failedRecipientsMax ? guessing : unknownAddress);
}

function createRecipientCheck(parts: Parts, limits: IntakeLimits) {
  const recipients = createRecipients({ ...parts, msMax: limits.lookUpMs });
  /** By the recipient as the library keeps it. */
  const accepted = new WeakMap<SMTPServerAddress, { known: KnownAddress; local: string; tag: string }>();
  const orCannotTell = async (finding: Promise<KnownAddress | null>): Promise<KnownAddress | null> => {
    try {
      return await finding;
    } catch (error) {
      parts.log.warn({ error: messageOf(error) }, 'logging addresses cannot be looked up');
      throw new Refusal(cannotTell);
    }
  };
  return {
    /** At once where nobody has to be asked. */
    isKnown(address: SMTPServerAddress): boolean | Promise<boolean> {
      const recipient = readRecipient(address.address, parts.domain);
      if (recipient === null) return false;
      const note = (known: KnownAddress | null): boolean => {
        if (known !== null) accepted.set(address, { known, ...recipient });
        return known !== null;
      };
      const found = recipients.find(recipient.local);
      return found instanceof Promise ? orCannotTell(found).then(note) : note(found);
    },
    /** What the session said of its message, and what is known of each recipient. */
    envelopeOf(session: SMTPServerSession): Recipients & { envelope: Envelope } {
      const { mailFrom, rcptTo } = session.envelope;
      const found = rcptTo.flatMap((recipient) => {
        const one = accepted.get(recipient);
        return one === undefined ? [] : [{ address: recipient.address, ...one }];
      });
      const envelope: Envelope = {
        from: mailFrom === false ? '' : mailFrom.address,
        to: found.map(({ address, known, tag }) => ({ address, loggingAddressId: known.id, tag })),
        helo: session.hostNameAppearsAs,
        clientAddress: session.remoteAddress,
        tls: session.secure,
      };
      return {
        envelope,
        known: found.map(({ known }) => known),
        again: async () => {
          const locals = found.map(({ local }) => local);
          const now = await Promise.all(locals.map((local) => orCannotTell(recipients.findAgain(local))));
          return now.filter((one) => one !== null);
        },
      };
    },
  };
}
