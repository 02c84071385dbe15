import { type FetchMessageObject, ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import type { ImapEndpoint } from './dovecot.ts';
import type { UsedServers } from './shared-servers.ts';
import { waitFor } from './wait.ts';

/** The password of everyone at the tests' servers: "secret-" and the local part. */
export function passwordOf(address: string): string {
  return `secret-${address.slice(0, address.indexOf('@')).toLowerCase()}`;
}

/** A message to put on its way: either its raw bytes, or what to make it of. */
export type Letter = {
  from: string;
  to: string | string[];
  /** The whole message as it is, instead of the fields below. */
  raw?: string | Buffer;
  subject?: string;
  text?: string;
  html?: string;
  messageId?: string;
  inReplyTo?: string;
  references?: string[];
  cc?: string | string[];
  headers?: Record<string, string>;
  attachments?: { filename: string; content: string | Buffer; contentType?: string }[];
  /** Envelope addresses where they differ from From and the recipients; an empty `from` is the null sender. */
  envelope?: { from: string; to: string[] };
};

/** What the server said: its last reply, and the Message-ID that went out. */
export type Accepted = { response: string; messageId: string };

/** Mail that comes in from another mail system: by SMTP without a login. */
export async function deliver(servers: UsedServers, letter: Letter): Promise<Accepted> {
  const { host, mxPort } = servers.smtp;
  return send({ host, port: mxPort, secure: false, ignoreTLS: true, name: 'elsewhere.test' }, letter);
}

/** Mail that a person writes in a mail client of their own: submitted with their password, copied to Sent. */
export async function submit(servers: UsedServers, user: string, letter: Letter): Promise<Accepted> {
  const { host, submissionPort } = servers.smtp;
  const auth = { user, pass: passwordOf(user) };
  return send(
    { host, port: submissionPort, secure: false, requireTLS: true, auth, name: 'client.test' },
    letter,
  );
}

type Connection = {
  host: string;
  port: number;
  secure: boolean;
  ignoreTLS?: boolean;
  requireTLS?: boolean;
  auth?: { user: string; pass: string };
  name: string;
};

async function send(connection: Connection, letter: Letter): Promise<Accepted> {
  const transport = createTransport(connection);
  try {
    const envelope = letter.envelope ?? { from: letter.from, to: [letter.to].flat() };
    const message = letter.raw === undefined ? letter : { raw: letter.raw, envelope };
    const { response, messageId } = await transport.sendMail(message);
    return { response, messageId };
  } finally {
    transport.close();
  }
}

/** A message as it lies in a folder. Ids are in angle brackets, as written. */
type StoredMail = {
  uid: number;
  subject: string;
  from: string;
  to: string[];
  messageId: string;
  /** Without `\\Recent`, which says only who looked first. */
  flags: Set<string>;
};

/** A person's mailbox through another mail client of theirs. Folders are by path, `INBOX` unless given. */
export type MailboxClient = {
  list(folder?: string): Promise<StoredMail[]>;
  /** Waits until exactly one message with this subject is in the folder, and returns it. */
  waitForMail(subject: string, folder?: string): Promise<StoredMail>;
  /** The raw message. Reading does not mark it read. */
  source(uid: number, folder?: string): Promise<string>;
  /** Puts a raw message into a folder, received then (by default, now), and returns its UID. */
  append(raw: string | Buffer, folder: string, flags?: string[], received?: Date): Promise<number>;
  move(uid: number, from: string, to: string): Promise<void>;
  copy(uid: number, from: string, to: string): Promise<void>;
  addFlags(uid: number, flags: string[], folder?: string): Promise<void>;
  removeFlags(uid: number, flags: string[], folder?: string): Promise<void>;
  /** Removes it for good, without a way through Trash. */
  remove(uid: number, folder?: string): Promise<void>;
  /** Paths of all folders. */
  folders(): Promise<string[]>;
  createFolder(path: string): Promise<void>;
  renameFolder(path: string, to: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  close(): Promise<void>;
};

/** Logs a person in with their password. `close` it when done. */
export async function openMailbox(
  servers: UsedServers,
  user: string,
  options: { endpoint?: ImapEndpoint } = {},
): Promise<MailboxClient> {
  const { host, tlsPort } = options.endpoint ?? servers.dovecot.imap.full;
  const client = new ImapFlow({
    host,
    port: tlsPort,
    secure: true,
    auth: { user, pass: passwordOf(user) },
    logger: false,
  });
  // Without a listener a lost connection would end the process; the next command says what happened.
  client.on('error', () => undefined);
  await client.connect();
  return mailboxClient(client);
}

function mailboxClient(client: ImapFlow): MailboxClient {
  const inFolder = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
    const lock = await client.getMailboxLock(folder);
    try {
      // A folder that stays open shows what others changed only after a round trip.
      await client.noop();
      return await work();
    } finally {
      lock.release();
    }
  };
  const list = (folder = 'INBOX'): Promise<StoredMail[]> =>
    inFolder(folder, async () => {
      const query = { uid: true, envelope: true, flags: true };
      return (await client.fetchAll('1:*', query)).map(storedMail);
    });
  const byUid = { uid: true };
  return {
    list,
    waitForMail: (subject, folder = 'INBOX') =>
      waitFor(`one message "${subject}" in ${folder}`, async () => {
        const found = (await list(folder)).filter((mail) => mail.subject === subject);
        if (found.length > 1) throw new Error(`${found.length} messages "${subject}" in ${folder}`);
        return found[0];
      }),
    source: (uid, folder = 'INBOX') =>
      inFolder(folder, async () => {
        const message = must(await client.fetchOne(String(uid), { source: true }, byUid), 'FETCH');
        return must(message.source, 'FETCH of the source').toString('utf8');
      }),
    append: async (raw, folder, flags = [], received = new Date()) =>
      must(must(await client.append(folder, raw, flags, received), 'APPEND').uid, 'APPENDUID'),
    move: (uid, from, to) =>
      inFolder(from, async () => void must(await client.messageMove(String(uid), to, byUid), 'MOVE')),
    copy: (uid, from, to) =>
      inFolder(from, async () => void must(await client.messageCopy(String(uid), to, byUid), 'COPY')),
    addFlags: (uid, flags, folder = 'INBOX') =>
      inFolder(
        folder,
        async () => void must(await client.messageFlagsAdd(String(uid), flags, byUid), 'STORE'),
      ),
    removeFlags: (uid, flags, folder = 'INBOX') =>
      inFolder(
        folder,
        async () => void must(await client.messageFlagsRemove(String(uid), flags, byUid), 'STORE'),
      ),
    remove: (uid, folder = 'INBOX') =>
      inFolder(folder, async () => void must(await client.messageDelete(String(uid), byUid), 'EXPUNGE')),
    folders: async () => (await client.list()).map((folder) => folder.path),
    createFolder: async (path) => void (await client.mailboxCreate(path)),
    renameFolder: async (path, to) => void (await client.mailboxRename(path, to)),
    removeFolder: async (path) => void (await client.mailboxDelete(path)),
    close: () => client.logout(),
  };
}

/** imapflow answers some refused commands with `false` instead of an error. */
function must<T>(answer: T | false | undefined, command: string): T {
  if (answer === false || answer === undefined) throw new Error(`the IMAP server refused ${command}`);
  return answer;
}

function storedMail(message: FetchMessageObject): StoredMail {
  const { uid, envelope, flags } = message;
  return {
    uid,
    subject: envelope?.subject ?? '',
    from: envelope?.from?.[0]?.address ?? '',
    to: (envelope?.to ?? []).map((person) => person.address ?? ''),
    messageId: envelope?.messageId ?? '',
    flags: new Set([...(flags ?? [])].filter((flag) => flag !== '\\Recent')),
  };
}
