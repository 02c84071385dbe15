import { SMTPServer } from 'smtp-server';

/** The SMTP server for mail to logging addresses, listening. */
export type IntakeServer = { port: number; stop(): Promise<void> };

/** Limits of one session. */
const limits = {
  clientsMax: 500,
  messageBytesMax: 50 * 1024 * 1024,
  /** RFC 5321 §4.5.3.2 wants at least 5 minutes. */
  silenceMs: 300_000,
  stopMs: 5_000,
};

/** An answer to an SMTP command with both of its codes; the library's own defaults would turn a fault into a bounce. */
class Refusal extends Error {
  readonly responseCode: number;

  constructor(responseCode: number, text: string) {
    super(text);
    this.responseCode = responseCode;
  }
}

/**
 * Starts to listen. No user has a logging address yet, so every recipient is refused for good, which
 * the sender's own provider reports at once; a 4xx would make it try for days (B4, providers.md A.8).
 */
export function startIntake(options: { host: string; port: number }): Promise<IntakeServer> {
  const server = new SMTPServer({
    name: 'twoway',
    banner: 'Twoway logging addresses',
    // Without a certificate of our own there is no STARTTLS: the library's is a public test one.
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    maxClients: limits.clientsMax,
    size: limits.messageBytesMax,
    socketTimeout: limits.silenceMs,
    closeTimeout: limits.stopMs,
    onRcptTo: (_address, _session, callback) =>
      callback(new Refusal(550, '5.1.1 There is no such logging address')),
  });
  return new Promise((resolve, reject) => {
    // Stays: the server passes the errors of its sessions on, and a client that is cut off in the middle
    // would end the process. Once it listens, rejecting means nothing any more.
    server.on('error', reject);
    server.listen(options.port, options.host, () => {
      const address = server.server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : options.port,
        stop: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}
