import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { ourReply } from './reply.ts';
import type { Answer } from './verify.ts';

type ConnectionOptions = ConstructorParameters<typeof SMTPConnection>[2];

/** What the library (3.21.6) has no options for. */
type DoorOptions = {
  commandsMax: number;
  /** Whether this peer's first line is a PROXY header that is believed. The library knows no networks. */
  isProxy(address: string): boolean;
  /** Called where such a peer began with anything else. */
  withoutHeader(address: string): void;
};

/** For now: it is the balancer that is set up wrong, and not the sender behind it who is wrong (RFC 3463 §3.4). */
const headerExpected = '421 4.3.5 A PROXY header is expected from this address\r\n';

/** The SMTP server, with every reply in our codes and the limits that the library does not have. */
export class Door extends SMTPServer {
  readonly own: DoorOptions;
  private readonly visits = new WeakMap<SMTPServerSession, Visit>();

  constructor(options: SMTPServerOptions, own: DoorOptions) {
    super(options);
    this.own = own;
  }

  /** The connection that a session belongs to. */
  visitOf(session: SMTPServerSession): Visit {
    const visit = this.visits.get(session);
    if (visit === undefined) throw new Error('a session without a connection');
    return visit;
  }

  *visitors(): Iterable<Visit> {
    for (const connection of this.connections) if (connection instanceof Visit) yield connection;
  }

  override connect(socket: Socket | TLSSocket, options?: ConnectionOptions): void {
    const visit = new Visit(this, socket, options);
    this.connections.add(visit);
    visit.on('error', (error: Error) => this._onError(error));
    this.visits.set(visit.session, visit);
    visit.init();
  }

  override _expectsProxyHeader(socket: Socket): boolean {
    return this.own.isProxy(socket.remoteAddress ?? '');
  }

  /** There is no session yet that could answer, and the library says `* BAD`, which is IMAP (3.21.6). */
  override _handleProxy(socket: Socket, callback: Parameters<SMTPServer['_handleProxy']>[1]): void {
    socket.end = (words?: unknown) => {
      Reflect.deleteProperty(socket, 'end');
      // Node ends it as well, without a word, when the peer has.
      if (typeof words !== 'string') return socket.end();
      this.own.withoutHeader(socket.remoteAddress ?? '');
      return socket.end(headerExpected);
    };
    super._handleProxy(socket, (error, options) => {
      Reflect.deleteProperty(socket, 'end');
      callback(error, options);
    });
  }
}

/** One connection, and what is counted of it. */
export class Visit extends SMTPConnection {
  /** Whose it is counted as, once it is; null before, and where it was refused. */
  client: string | null = null;
  /** By the monotonic clock, ms. */
  startedAt = 0;
  /** When its DATA began; null outside. */
  dataSince: number | null = null;
  /** Unknown recipients so far, and how many there may be. */
  failedRecipients = 0;
  failedRecipientsMax = 0;
  /** Since a message was last accepted. */
  commands = 0;
  private readonly door: Door;

  constructor(door: Door, socket: Socket | TLSSocket, options?: ConnectionOptions) {
    super(door, socket, options);
    this.door = door;
  }

  /** Whether it waits for its client, and nothing is in progress. */
  isIdle(): boolean {
    return !this._handlerPending && !this._dataStream;
  }

  say({ code, text }: Answer): void {
    this.send(code, text);
  }

  override send(code: number, data?: string | string[], context?: string | false): void {
    const ours = typeof data === 'string' ? ourReply(code, data) : null;
    if (ours === null) return super.send(code, data, context);
    super.send(ours.code, ours.text, false);
    // The parser of the connection is broken by what came, whatever the code.
    if (code === 421 && ours.code !== 421) this.close();
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    if (this._upgrading) return super._onCommand(command, callback);
    // CHUNKING is not offered, so what follows BDAT would be read as commands: nothing more is read.
    if (/^BDAT\b/i.test(command.toString('latin1', 0, 5))) {
      this.send(502, '5.5.1 BDAT is not offered here');
      return this.close();
    }
    this.commands += 1;
    if (this.commands > this.door.own.commandsMax) {
      return this.send(421, '4.7.0 Too many commands without a message');
    }
    super._onCommand(command, callback);
  }
}
