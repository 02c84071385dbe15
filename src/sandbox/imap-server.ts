import { createServer, type Socket } from 'node:net';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { changeCommands } from './imap-changes.ts';
import { createImapInput, ImapSyntaxError, type Command, type Token } from './imap-input.ts';
import { readCommands } from './imap-reading.ts';
import { ImapRefusal, type Handler, type Session } from './imap-session.ts';
import type { Mailbox, Store } from './store.ts';

const capabilities =
  'IMAP4rev1 SASL-IR AUTH=XOAUTH2 LITERAL+ ID IDLE NAMESPACE SPECIAL-USE CHILDREN UIDPLUS MOVE UNSELECT ENABLE CONDSTORE';

/**
 * An IMAP4rev1 server for the sandbox's mailboxes, as much of one as imapflow speaks with. Not listening yet.
 * `authorise` gives the mailbox that an access token opens for a login name.
 */
export function createImapServer(options: {
  store: Store;
  authorise: (login: string, accessToken: string) => Mailbox | undefined;
  log: Log;
}) {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A reset after the session has ended would otherwise be nobody's, and end the process.
    socket.on('error', (error) => options.log.debug({ reason: error.message }, 'sandbox IMAP socket failed'));
    serve(socket, options).catch((error: unknown) => {
      options.log.debug({ reason: messageOf(error) }, 'sandbox IMAP session ended');
      socket.destroy();
    });
  });
  return {
    server,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) {
        socket.write('* BYE the sandbox stops\r\n');
        socket.destroySoon();
      }
      await closed;
    },
  };
}

type Options = Parameters<typeof createImapServer>[0];

async function serve(socket: Socket, options: Options): Promise<void> {
  const session: Session = {
    store: options.store,
    input: createImapInput(socket),
    write: (line) => void socket.write(`${line}\r\n`, 'latin1'),
    send: async (bytes) => {
      if (socket.write(bytes) || socket.destroyed) return;
      await new Promise<void>((resolve) => {
        const go = () => {
          socket.off('drain', go).off('close', go);
          resolve();
        };
        socket.on('drain', go).on('close', go);
      });
    },
    mailbox: undefined,
    view: undefined,
    condstore: false,
  };
  session.write(`* OK [CAPABILITY ${capabilities}] sandbox ready`);
  try {
    await serveCommands(session, options);
  } finally {
    session.view?.close();
    socket.end();
  }
}

async function serveCommands(session: Session, options: Options): Promise<void> {
  for (;;) {
    try {
      const command = await session.input.command();
      if (command === undefined) return;
      const answer = await answerOf(session, command, options);
      // Sequence numbers may not shift under a client that uses them (RFC 3501 §7.4.1).
      session.view?.announce({ expunges: !['FETCH', 'STORE', 'SEARCH'].includes(command.name) });
      session.write(`${command.tag} ${answer}`);
      if (command.name === 'LOGOUT') return;
    } catch (error) {
      if (!(error instanceof ImapSyntaxError)) throw error;
      session.write(`* BAD ${error.message}`);
      session.write('* BYE not IMAP');
      return;
    }
  }
}

async function answerOf(session: Session, command: Command, options: Options): Promise<string> {
  const { name, args } = command;
  try {
    const anywhere = own(anyStateCommands, name);
    if (anywhere) return await anywhere(session, args, name);
    if (name === 'AUTHENTICATE') return await authenticate(session, args, options);
    const authenticated = own(readCommands.authenticated, name) ?? own(changeCommands.authenticated, name);
    const selected = own(readCommands.selected, name) ?? own(changeCommands.selected, name);
    if (!authenticated && !selected) return `BAD ${name} is not known here`;
    if (!session.mailbox) return 'BAD log in first';
    if (authenticated) return await authenticated(session, args, name);
    if (!session.view) return 'BAD no folder is selected';
    return (await selected?.(session, session.view, args, name)) ?? 'BAD';
  } catch (error) {
    if (error instanceof ImapRefusal) return error.message;
    if (error instanceof ImapSyntaxError) return `BAD ${error.message}`;
    throw error;
  }
}

function own<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

const anyStateCommands: Record<string, Handler> = {
  CAPABILITY(session) {
    session.write(`* CAPABILITY ${capabilities}`);
    return 'OK done';
  },
  NOOP: () => 'OK done',
  ID(session) {
    session.write('* ID ("name" "Twoway sandbox")');
    return 'OK done';
  },
  LOGOUT(session) {
    session.write('* BYE until next time');
    return 'OK done';
  },
};

async function authenticate(session: Session, args: Token[], options: Options): Promise<string> {
  if (session.mailbox) return 'BAD already logged in';
  if (String(args[0]).toUpperCase() !== 'XOAUTH2') return 'NO only XOAUTH2';
  if (args[1] === undefined) session.write('+ ');
  const response = args[1] === undefined ? await session.input.line() : String(args[1]);
  const [user, auth] = Buffer.from(response ?? '', 'base64')
    .toString()
    .split('\u0001');
  const login = /^user=(.*)$/.exec(user ?? '')?.[1] ?? '';
  const token = /^auth=Bearer (.*)$/i.exec(auth ?? '')?.[1] ?? '';
  session.mailbox = options.authorise(login, token);
  if (session.mailbox) return `OK [CAPABILITY ${capabilities}] welcome`;
  // Google's way: the reason in a challenge, which the client answers with an empty line.
  const reason = { status: '400', schemes: 'Bearer', scope: 'https://mail.google.com/' };
  session.write(`+ ${Buffer.from(JSON.stringify(reason)).toString('base64')}`);
  await session.input.line();
  return 'NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)';
}
