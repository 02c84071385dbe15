import { isIP } from 'node:net';
import { ImapFlow } from 'imapflow';
import type { FetchMessageObject, ImapFlowOptions } from 'imapflow';
import type { ServerAddress } from '../provider/providers.ts';
import { headerFieldNames } from '../message/header.ts';
import { imapFailure } from './imap-errors.ts';
import type { Listed, Observed } from './plan.ts';
import type { Seen } from './seen.ts';

/** How to log in to a mailbox. */
export type Login = { user: string; accessToken: string } | { user: string; password: string };

export type SessionOptions = {
  server: ServerAddress;
  /** Where to connect, in place of looking the host up; the certificate must be the host's all the same. */
  address?: string;
  login: Login;
  /** The open folder has more messages than before: go and look. */
  onArrival(): void;
  /** The connection is gone, for whatever reason. Called once. */
  onClose(): void;
};

/** One connection to a mailbox. Every call rejects with a Failure. Calls are made one after another. */
export type Session = {
  /** The server has Gmail's extensions (X-GM-EXT-1). */
  readonly gmail: boolean;
  /** Every folder that can be opened, or is listed at all. */
  list(): Promise<Listed[]>;
  /** Opens a folder read-only (EXAMINE), so that nothing we read is ever marked as seen (U2). */
  open(path: string): Promise<Observed>;
  /** STATUS of folders that are not open; one that the server refuses is missing from the answer. */
  status(paths: readonly string[]): Promise<Map<string, Observed>>;
  /** UIDs of the open folder from one UID on, ascending. */
  uidsFrom(fromUid: number): Promise<number[]>;
  /** UIDs of messages that the provider received on or after the day of `since` (ms epoch), ascending. */
  uidsSince(since: number): Promise<number[]>;
  /** Headers, structure and marks of a UID set, ascending by UID. */
  headers(uids: string): Promise<Seen[]>;
  /** Whole messages; one that is gone, or that the server cannot give, is missing from the answer. */
  bodies(uids: readonly number[]): Promise<Map<number, Buffer>>;
  /** Begins to listen; any other call ends it by itself. */
  idle(): void;
  close(): void;
};

/** Limits of one connection. A mail of 150 MB is the most that Exchange takes (providers.md B.6). */
const limits = {
  connectMs: 30_000,
  greetingMs: 20_000,
  /** Silence after which imapflow asks with NOOP; twice that, and the connection is dead. */
  silenceMs: 120_000,
  literalBytesMax: 200 * 1024 * 1024,
  responseBytesMax: 256 * 1024 * 1024,
  lineBytesMax: 8 * 1024 * 1024,
};

/** Connects and logs in. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const client = new ImapFlow(clientOptions(options));
  let closed = false;
  // Without a listener an error of the socket would end the process; what matters follows as `close`.
  client.on('error', () => undefined);
  client.on('close', () => {
    if (closed) return;
    closed = true;
    options.onClose();
  });
  client.on('exists', ({ count, prevCount }: { count: number; prevCount: number }) => {
    if (count > prevCount) options.onArrival();
  });
  try {
    await client.connect();
  } catch (error) {
    closed = true;
    client.close();
    throw imapFailure(error);
  }
  return wrap(client, () => closed);
}

function clientOptions(options: SessionOptions): ImapFlowOptions {
  const { server, login, address } = options;
  return {
    host: address ?? server.host,
    ...(address === undefined || isIP(server.host) > 0 ? {} : { servername: server.host }),
    port: server.port,
    secure: server.security === 'tls',
    doSTARTTLS: server.security === 'starttls' ? true : server.security === 'none' ? false : undefined,
    auth:
      'accessToken' in login
        ? { user: login.user, accessToken: login.accessToken }
        : { user: login.user, pass: login.password },
    // Google asks clients to name themselves (providers.md A.5).
    clientInfo: { name: 'Twoway' },
    logger: false,
    // The loop says when to listen; the library's own delay of 15 s would be a deaf window.
    disableAutoIdle: true,
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.silenceMs,
    maxLiteralSize: limits.literalBytesMax,
    maxResponseSize: limits.responseBytesMax,
    maxLineLength: limits.lineBytesMax,
  };
}

function wrap(client: ImapFlow, isClosed: () => boolean): Session {
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw imapFailure(error);
    }
  };
  const search = (query: { uid: string } | { since: Date }) =>
    call(async () => {
      const found = await client.search(query, { uid: true });
      // `false` is a refusal, not an empty answer (providers.md C.1).
      if (found === false || found === undefined) throw new Error('SEARCH was refused');
      return [...(found as number[])].sort((a, b) => a - b);
    });
  return {
    gmail: client.capabilities.has('X-GM-EXT-1'),
    list: () =>
      call(async () =>
        (await client.list()).map((folder) => ({
          path: folder.path,
          specialUse: folder.specialUse,
          closed: ['\\Noselect', '\\NonExistent'].some((flag) => folder.flags.has(flag)),
        })),
      ),
    open: (path) =>
      call(async () => {
        const opened = await client.mailboxOpen(path, { readOnly: true });
        return { uidValidity: Number(opened.uidValidity), uidNext: opened.uidNext || null };
      }),
    status: (paths) =>
      call(async () => {
        const found = new Map<string, Observed>();
        for (const path of paths) {
          const status = await client
            .status(path, { uidNext: true, uidValidity: true })
            .catch((error: unknown) => {
              if (isClosed()) throw error;
              return false as const;
            });
          if (status === false) continue;
          found.set(path, { uidValidity: Number(status.uidValidity), uidNext: status.uidNext ?? null });
        }
        return found;
      }),
    uidsFrom: async (fromUid) => {
      const found = await search({ uid: `${fromUid}:*` });
      // `n:*` names the last message even when its UID is below n (RFC 9051 §6.4.9).
      return found.filter((uid) => uid >= fromUid);
    },
    uidsSince: (since) => search({ since: new Date(since) }),
    headers: (uids) => call(() => fetchHeaders(client, uids)),
    bodies: (uids) => call(() => fetchBodies(client, uids)),
    idle: () => {
      // Resolves when another command ends it, and resolves false when the server ends the session:
      // `close` tells that.
      client.idle().catch(() => client.close());
    },
    close: () => client.close(),
  };
}

async function fetchHeaders(client: ImapFlow, uids: string): Promise<Seen[]> {
  const gmail = client.capabilities.has('X-GM-EXT-1');
  const found = await client.fetchAll(
    uids,
    {
      uid: true,
      flags: true,
      internalDate: true,
      size: true,
      bodyStructure: true,
      headers: [...headerFieldNames],
      ...(gmail ? { threadId: true, labels: true } : {}),
    },
    { uid: true },
  );
  return found.map((message) => seen(message, gmail)).sort((a, b) => a.uid - b.uid);
}

function seen(message: FetchMessageObject, gmail: boolean): Seen {
  const marks = [...(message.flags ?? []), ...(message.labels ?? [])].map((mark) => mark.toLowerCase());
  return {
    uid: message.uid,
    header: message.headers ?? Buffer.alloc(0),
    structure: message.bodyStructure,
    internalDate: new Date(message.internalDate ?? Number.NaN).getTime(),
    size: message.size ?? 0,
    marks: new Set(marks),
    gmail:
      gmail && message.emailId !== undefined
        ? { messageId: message.emailId, threadId: message.threadId ?? message.emailId }
        : null,
  };
}

async function fetchBodies(client: ImapFlow, uids: readonly number[]): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  if (uids.length === 0) return found;
  for await (const message of client.fetch(uids.join(','), { uid: true, source: true }, { uid: true })) {
    // Exchange answers OK without data for an item that it cannot convert (providers.md B.4).
    if (message.source !== undefined && message.source.length > 0) found.set(message.uid, message.source);
  }
  return found;
}
