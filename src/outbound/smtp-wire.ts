import { isIP } from 'node:net';
import type { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionAuth, SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import { smtpTrace } from '../lib/trace.ts';
import type { ServerAddress } from '../provider/providers.ts';

/** How long a server may take, ms. */
export type Patience = {
  connectMs: number;
  greetingMs: number;
  /** Between two signs of life. */
  silenceMs: number;
  /** For each step, whatever signs of life there are. */
  stepMs: number;
};

/**
 * A connection to a submission server, step by step, as nodemailer makes it. Each step rejects with nodemailer's error
 * (see `WireProblem`), or with Stopped; a step of which the server said nothing closes it.
 */
export type Wire = {
  /** TCP, greeting, EHLO, STARTTLS. */
  connect(signal: AbortSignal): Promise<void>;
  login(auth: SMTPConnectionAuth, signal: AbortSignal): Promise<void>;
  send(
    envelope: { from: string; to: readonly string[]; size: number },
    content: Readable,
    signal: AbortSignal,
  ): Promise<SMTPConnectionSendInfo>;
  /** The recipients that the server has refused of the message that it is being sent. */
  refused(): NonNullable<WireProblem['rejectedErrors']>;
  /** RSET: the transaction that was begun is forgotten. */
  reset(signal: AbortSignal): Promise<void>;
  isOpen(): boolean;
  /** QUIT, and closes. */
  quit(): void;
  /** Closes without a word. */
  close(): void;
};

/** What is read of nodemailer's errors. */
export type WireProblem = {
  code?: string;
  message?: string;
  response?: string;
  responseCode?: number;
  rejectedErrors?: { recipient?: string | undefined; response?: string | undefined }[] | undefined;
};

/** Our own side cut the connection off. */
export class Stopped extends Error {}

/** One step: `done` with what went wrong, or with what came of it. */
type Step<Result> = (done: (error: unknown, result?: Result) => void) => void;

/** Makes a wire that is not connected yet. `address`: where to connect in place of looking the host up. */
export function createWire(
  to: { server: ServerAddress; address?: string; trace?: (text: string) => void },
  patience: Patience,
): Wire {
  const connection = new SMTPConnection({
    ...serverOptions(to.server, to.address),
    ...(to.trace === undefined ? {} : smtpTrace('plain', to.trace)),
    connectionTimeout: patience.connectMs,
    greetingTimeout: patience.greetingMs,
    socketTimeout: patience.silenceMs,
  });
  const { take, isOpen, close, leave } = stepsOf(connection, patience.stepMs);
  // nodemailer (10.6) keeps in the envelope that it was given what the server said of its recipients.
  let current: object = {};
  return {
    isOpen,
    refused: () => (current as WireProblem).rejectedErrors ?? [],
    close,
    quit: leave,
    async connect(signal) {
      await take<undefined>((done) => connection.connect((error) => done(error)), signal);
    },
    async login(auth, signal) {
      await take<undefined>((done) => connection.login(auth, (error) => done(error)), signal);
    },
    async reset(signal) {
      await take<undefined>((done) => connection.reset((error) => done(error)), signal);
    },
    async send({ from, to, size }, content, signal) {
      const envelope = { from, to: [...to], size };
      current = envelope;
      const info = await take<SMTPConnectionSendInfo>(
        (done) => connection.send(envelope, content, done),
        signal,
      );
      if (info === undefined) throw new Error('a message was taken without an answer');
      return info;
    },
  };
}

/** Takes a connection from one step to the next. */
function stepsOf(connection: SMTPConnection, stepMs: number) {
  let isOpen = true;
  let onLost: (error: unknown) => void = () => undefined;
  const close = () => {
    isOpen = false;
    connection.close();
  };
  // In this order: closing is an end as well, and says less.
  const lost = (error: unknown) => {
    onLost(error);
    close();
  };
  // The listeners stay: an error of a socket that is being closed would else end the process.
  connection.on('error', lost);
  connection.once('end', () => lost({ code: 'ECONNECTION' }));

  const take = <Result>(step: Step<Result>, signal: AbortSignal): Promise<Result | undefined> =>
    new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(deadline);
        signal.removeEventListener('abort', onAbort);
        onLost = () => undefined;
        end();
      };
      const fail = (error: unknown) => {
        settle(() => reject(error));
        if (!isAnswered(error)) close();
      };
      const onAbort = () => fail(new Stopped());
      const deadline = setTimeout(() => fail({ code: 'ETIMEDOUT' }), stepMs);
      onLost = fail;
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) return onAbort();
      step((error, result) => {
        if (error == null) settle(() => resolve(result));
        else fail(error);
      });
    });

  return {
    take,
    close,
    isOpen: () => isOpen,
    leave() {
      if (!isOpen) return;
      isOpen = false;
      connection.quit();
    },
  };
}

/** Whether the server answered; an empty answer is none. */
export function isAnswered(error: unknown): boolean {
  const { response } = error as WireProblem;
  return typeof response === 'string' && response !== '';
}

function serverOptions(
  server: ServerAddress,
  address: string | undefined,
): NonNullable<ConstructorParameters<typeof SMTPConnection>[0]> {
  return {
    host: address ?? server.host,
    ...(address === undefined || isIP(server.host) > 0 ? {} : { servername: server.host }),
    port: server.port,
    secure: server.security === 'tls',
    // RFC 8314 §3: a password or a token never goes out in clear where TLS was agreed on.
    requireTLS: server.security === 'starttls',
    ignoreTLS: server.security === 'none',
    // What a mail program behind a NAT says; the machine's name is nobody's business.
    name: '[127.0.0.1]',
  };
}
