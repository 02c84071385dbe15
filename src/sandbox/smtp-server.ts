import { buffer } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { contactOf } from './contacts.ts';
import { contactsAmong, messageIdOf, type Outgoing, type PostOffice } from './post-office.ts';
import type { Mailbox } from './store.ts';

const sizeBytesMax = 35 * 1024 * 1024;

type Options = {
  postOffice: PostOffice;
  authorise: (login: string, accessToken: string) => Mailbox | undefined;
  clock: Clock;
  log: Log;
  /** How long the copy in Sent is ahead of the answer where it comes first. */
  delayMs: number;
};

/** The submission server (RFC 6409) of the sandbox: XOAUTH2 on a plain loopback socket. Not listening yet. */
export function createSmtpServer(options: Options) {
  const stopping = new AbortController();
  const tries = new Map<string, number>();
  const smtp = new SMTPServer({
    name: 'smtp.sandbox.example',
    banner: 'sandbox',
    authMethods: ['XOAUTH2'],
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    size: sizeBytesMax,
    rejectOversized: true,
    onAuth({ username = '', accessToken = '' }, _session, callback) {
      const mailbox = options.authorise(username, accessToken);
      // Google's way: the reason in a challenge, then 535.
      const data = { status: '400', schemes: 'Bearer', scope: 'https://mail.google.com/' };
      callback(null, mailbox ? { user: mailbox } : { data });
    },
    onRcptTo({ address }, _session, callback) {
      callback(contactOf(address) === 'refuses' ? smtpError(550, '5.1.1 there is no such address') : null);
    },
    onData(stream, session, callback) {
      const close = () => closeConnection(smtp, session);
      const submission = { ...options, tries, signal: stopping.signal, callback, close };
      buffer(stream)
        .then(
          (raw) => submit(outgoingOf(session, raw), submission),
          (error: Error) => options.log.debug({ reason: error.message }, 'sandbox SMTP message cut off'),
        )
        .catch((error: unknown) => {
          options.log.error({ reason: messageOf(error) }, 'sandbox submission failed');
          // Perhaps it was answered already, so no second answer.
          close();
        });
    },
  });
  // A client that goes away in the middle is its own affair.
  smtp.on('error', (error) => options.log.debug({ reason: error.message }, 'sandbox SMTP session ended'));
  return {
    server: smtp.server,
    async stop() {
      stopping.abort();
      const closed = new Promise<void>((resolve) => smtp.close(resolve));
      for (const connection of smtp.connections) connection.close();
      await closed;
    },
  };
}

type Submission = Options & {
  /** How often each message has been tried, by Message-ID. */
  tries: Map<string, number>;
  signal: AbortSignal;
  callback: (error?: Error | null, answer?: string) => void;
  /** Closes the connection without an answer. */
  close: () => void;
};

async function submit(message: Outgoing, submission: Submission): Promise<void> {
  const { postOffice, callback, close } = submission;
  const contacts = contactsAmong(message.recipients);
  const id = messageIdOf(message.raw);
  const attempt = (submission.tries.get(id) ?? 0) + 1;
  submission.tries.set(id, attempt);
  if (contacts.has('tempfails') && attempt <= 2) return callback(smtpError(451, '4.3.0 not now, try again'));
  if (contacts.has('loses-after-data') && attempt === 1) return close();
  submission.tries.delete(id);
  const { outgoing, newId } = postOffice.accept(message);
  const answer = newId ? `2.0.0 OK ${newId} [Hostname=sandbox]` : '2.0.0 OK queued';
  if (contacts.has('drops-after-data')) {
    postOffice.fileSentCopy(outgoing);
    close();
  } else if (contacts.has('sent-copy-first')) {
    postOffice.fileSentCopy(outgoing);
    await submission.clock.sleep(submission.delayMs, submission.signal);
    callback(null, answer);
  } else {
    callback(null, answer);
    postOffice.fileSentCopy(outgoing);
  }
  postOffice.deliver(outgoing);
}

function outgoingOf(session: SMTPServerSession, raw: Buffer): Outgoing {
  // What onAuth gave; the library types it as anything.
  const mailbox = session.user as Mailbox;
  return { mailbox, raw, recipients: session.envelope.rcptTo.map(({ address }) => address) };
}

function closeConnection(smtp: SMTPServer, session: SMTPServerSession): void {
  for (const connection of smtp.connections) if (connection.session === session) connection.close();
}

function smtpError(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}
