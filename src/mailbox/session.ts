import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { ImapFlow } from 'imapflow';
import type {
  FetchMessageObject,
  FetchQueryObject,
  ImapFlowOptions,
  ListResponse,
  SearchObject,
} from 'imapflow';
import { Failure } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import { commandRefused, imapFailure } from './imap-errors.ts';
import type { Listed, Observed } from './plan.ts';
import type { Seen } from './seen.ts';

/** How to log in to a mailbox. */
export type Login = { user: string; accessToken: string } | { user: string; password: string };

export type SessionOptions = {
  server: ServerAddress;
  /** Where to connect, in place of looking the host up; the certificate must be the host's all the same. */
  address?: string;
  /** What trusts which certificates; one of its own costs each connection 31 KB. */
  secureContext?: SecureContext;
  login: Login;
  /** Aborted: the connection is closed, whatever it is at. */
  stop?: AbortSignal;
  /**
   * The open folder has so many messages more than before; 0: the server has stopped listening by
   * itself, so that only a look can tell.
   */
  onArrival(announced: number): void;
  /** The connection is gone, and what the server said about that. Called once, after a login that succeeded. */
  onClose(why: Failure): void;
};

/** One connection to a mailbox. Every call rejects with a Failure. Calls are made one after another. */
export type Session = {
  /** The server has Gmail's extensions (X-GM-EXT-1). */
  readonly gmail: boolean;
  /** `list` tells where every folder stands too, in the same round trip (RFC 5819 LIST-STATUS). */
  readonly listsStatus: boolean;
  list(): Promise<Listed[]>;
  /** Opens a folder read-only (EXAMINE), so that nothing we read is ever marked as seen (U2). */
  open(path: string): Promise<Observed>;
  /** STATUS of a folder that is not open; null where the server refuses. */
  status(path: string): Promise<Observed | null>;
  /** UIDs that exist in the open folder, of a set (`7:*`, `3,5:9`), ascending. */
  uids(set: string): Promise<number[]>;
  /** UIDs of messages that the provider received on or after the day of `since` (ms epoch), ascending. */
  uidsSince(since: number): Promise<number[]>;
  /**
   * UIDs of the open folder, ascending, of messages that the provider received in a span of days (ms epoch),
   * that name one of `people` as author or recipient, or that have one of the Message-IDs in their header.
   * The server compares loosely: days in a zone of its own, and parts of addresses and ids.
   */
  find(query: Query): Promise<number[]>;
  /**
   * Headers, structure and marks of a UID set, ascending by UID; a message that the server cannot show
   * so is left out. `onWhole` is called, before anything else can be announced, when the last message
   * of the folder is among them.
   */
  headers(uids: string, onWhole?: () => void): Promise<Seen[]>;
  /** What is known without reading a message: UID, marks, date, size; its header is empty. */
  marks(uids: string): Promise<Seen[]>;
  /** Whole messages; one that is gone, or that the server cannot give, is missing from the answer. */
  bodies(uids: readonly number[]): Promise<Map<number, Buffer>>;
  /** Listens, unless it does already; any other call ends it by itself. */
  idle(): void;
  close(): void;
};

/** What to search for; all of what is given must be true. Times are ms since the epoch, `before` not included. */
export type Query = {
  since?: number;
  before?: number;
  people?: readonly string[];
  messageIds?: readonly string[];
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

/** A throttle hint up to this is waited out inside the call; imapflow does that by itself, without a word. */
const patienceMs = 5_000;

/** Connects and logs in. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { stop } = options;
  const told: { throttle: Failure | null } = { throttle: null };
  const client = new ImapFlow({
    ...clientOptions(options),
    logger: throttleListener((hintMs) => {
      if (hintMs <= patienceMs || told.throttle !== null) return;
      told.throttle = imapFailure({ code: 'ETHROTTLE', throttleReset: hintMs });
      // It begins to wait when it has written its log; closing ends that.
      setImmediate(() => client.close());
    }),
  });
  const close = () => client.close();
  let open = false;
  // Without a listener an error of the socket would end the process; what matters follows as `close`.
  client.on('error', () => undefined);
  client.on('close', () => {
    stop?.removeEventListener('abort', close);
    if (open) options.onClose(told.throttle ?? imapFailure({ reason: client.byeReason ?? '' }));
    open = false;
  });
  client.on('exists', ({ count, prevCount }: { count: number; prevCount: number }) => {
    if (count > prevCount) options.onArrival(count - prevCount);
  });
  stop?.addEventListener('abort', close, { once: true });
  if (stop?.aborted === true) close();
  try {
    await client.connect();
    open = true;
  } catch (error) {
    client.close();
    throw told.throttle ?? imapFailure(error);
  }
  return sessionOf(client, {
    failure: (error) => told.throttle ?? imapFailure(error),
    onQuiet: () => options.onArrival(0),
  });
}

function clientOptions(options: SessionOptions): ImapFlowOptions {
  const { server, login, address, secureContext } = options;
  return {
    host: address ?? server.host,
    ...(address === undefined || isIP(server.host) > 0 ? {} : { servername: server.host }),
    port: server.port,
    secure: server.security === 'tls',
    ...(secureContext === undefined ? {} : { tls: { secureContext } }),
    doSTARTTLS: server.security === 'starttls' ? true : server.security === 'none' ? false : undefined,
    auth:
      'accessToken' in login
        ? { user: login.user, accessToken: login.accessToken }
        : { user: login.user, pass: login.password },
    // Google asks clients to name themselves (providers.md A.5). The empty ones would be the library's own.
    clientInfo: { name: 'Twoway', version: '', vendor: '', 'support-url': '' },
    // The loop says when to listen; the library's own delay of 15 s would be a deaf window.
    disableAutoIdle: true,
    // zlib holds some 300 KB for each connection, idle ones too, which is twice all the rest.
    disableCompression: true,
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.silenceMs,
    maxLiteralSize: limits.literalBytesMax,
    maxResponseSize: limits.responseBytesMax,
    maxLineLength: limits.lineBytesMax,
  };
}

/**
 * imapflow (2.10.2) waits out what Exchange suggests as a pause, up to five minutes and several times
 * over, inside the call that was throttled; its log alone tells of it.
 */
function throttleListener(onThrottle: (hintMs: number) => void): NonNullable<ImapFlowOptions['logger']> {
  const ignore = () => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    warn: (entry: { throttleDelay?: unknown }) => {
      if (typeof entry.throttleDelay === 'number') onThrottle(entry.throttleDelay);
    },
    error: ignore,
    fatal: ignore,
    // Entries that nobody reads are not even made.
    isLevelEnabled: (level: string) => level === 'warn',
  };
  return logger;
}

function sessionOf(client: ImapFlow, on: { failure(error: unknown): Failure; onQuiet(): void }): Session {
  let calls = 0;
  let listening = false;
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    calls += 1;
    try {
      return await work();
    } catch (error) {
      throw on.failure(error);
    } finally {
      calls -= 1;
    }
  };
  const search = (query: SearchObject) =>
    call(async () => {
      const found = await client.search(query, { uid: true });
      // `false` is a refusal, not an empty answer (providers.md C.1).
      if (!Array.isArray(found)) throw refusal('SEARCH');
      return found.sort((a, b) => a - b);
    });
  const gmail = client.capabilities.has('X-GM-EXT-1');
  const listsStatus = client.capabilities.has('LIST-STATUS');
  return {
    gmail,
    listsStatus,
    list: () => call(async () => (await client.list(listsStatus ? { statusQuery } : {})).map(listed)),
    open: (path) =>
      call(async () => {
        const opened = await client.mailboxOpen(path, { readOnly: true });
        return observed(opened);
      }),
    status: (path) =>
      call(async () => {
        try {
          const status = await client.status(path, statusQuery);
          return status === false ? null : observed(status);
        } catch (error) {
          // The library's own word for a folder that LIST does not show either.
          if ((error as { code?: string }).code === 'NotFound') return null;
          throw error;
        }
      }),
    uids: (set) => search({ uid: set }),
    uidsSince: (since) => search({ since: new Date(since) }),
    find: (query) => search(searchOf(query)),
    headers: (uids, onWhole) => call(() => fetchHeaders(client, uids, { gmail, onWhole })),
    marks: (uids) => call(() => fetchMarks(client, uids, gmail)),
    bodies: (uids) => call(() => fetchBodies(client, uids)),
    idle: () => {
      if (listening) return;
      listening = true;
      client.idle().then(
        () => {
          listening = false;
          // Neither a call of ours nor the end of the connection: the server, or the library's watchdog.
          if (calls === 0 && !client.isClosed) on.onQuiet();
        },
        () => client.close(),
      );
    },
    close: () => client.close(),
  };
}

function searchOf({ since, before, people, messageIds }: Query): SearchObject {
  const either = [
    ...(people ?? []).flatMap((address) => [{ from: address }, { to: address }, { cc: address }]),
    ...(messageIds ?? []).map((id) => ({ header: { 'message-id': id } })),
  ];
  const [only] = either;
  return {
    ...(since === undefined ? {} : { since: new Date(since) }),
    ...(before === undefined ? {} : { before: new Date(before) }),
    ...(either.length > 1 ? { or: either } : only),
  };
}

const statusQuery = { uidNext: true, uidValidity: true };

function refusal(command: string): Failure {
  return new Failure('temporary', commandRefused, `the provider refused ${command}`);
}

function listed(folder: ListResponse): Listed {
  const { path, flags, specialUse, status } = folder;
  const stands = status !== undefined && !('error' in status) ? observed(status) : null;
  return { path, attributes: flags, specialUse, observed: stands };
}

function observed(state: { uidValidity?: bigint | undefined; uidNext?: number | undefined }): Observed {
  return { uidValidity: Number(state.uidValidity ?? 0), uidNext: state.uidNext || null };
}

async function fetchHeaders(
  client: ImapFlow,
  uids: string,
  { gmail, onWhole }: { gmail: boolean; onWhole: (() => void) | undefined },
): Promise<Seen[]> {
  // No BODYSTRUCTURE: no rule in force needs it, and imapflow (2.10.2) takes a quarter of a second, in one go,
  // to read that of a mail with 20,000 parts.
  // And the header whole: every field that is asked for by name costs imapflow 5 µs for each message, so that
  // the two dozen that count take twice as long as all of them do.
  const query = { ...markQuery(gmail), headers: true };
  const found = await client.fetchAll(uids, query, { uid: true });
  // Servers slip in rows of other messages whose flags have changed (RFC 9051 §7.5.2).
  const rows = found.filter((row) => row.headers !== undefined);
  const last = Math.max(0, ...rows.map((row) => row.seq));
  if (client.mailbox !== false && last >= client.mailbox.exists) onWhole?.();
  return seenOf(rows, gmail);
}

async function fetchMarks(client: ImapFlow, uids: string, gmail: boolean): Promise<Seen[]> {
  const found = await client.fetchAll(uids, markQuery(gmail), { uid: true });
  return seenOf(
    found.filter((row) => row.size !== undefined),
    gmail,
  );
}

function markQuery(gmail: boolean): FetchQueryObject {
  const own = { uid: true, flags: true, internalDate: true, size: true };
  return gmail ? { ...own, threadId: true, labels: true } : own;
}

function seenOf(rows: readonly FetchMessageObject[], gmail: boolean): Seen[] {
  const byUid = new Map(rows.map((row) => [row.uid, seen(row, gmail)]));
  return [...byUid.values()].sort((a, b) => a.uid - b.uid);
}

function seen(message: FetchMessageObject, gmail: boolean): Seen {
  const marks = [...(message.flags ?? []), ...(message.labels ?? [])].map((mark) => mark.toLowerCase());
  return {
    uid: message.uid,
    header: message.headers ?? Buffer.alloc(0),
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
