import type { ImapFlow, ListResponse, MailboxObject, SearchObject, StatusObject } from 'imapflow';
import type { StructurePart } from '../message/attachment-limits.ts';
import { Failure } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import {
  abilityOf,
  fetchBodies,
  fetchChanges,
  fetchHeaders,
  fetchMarks,
  fetchMessageIds,
  fetchStructures,
  modseqOf,
  searchOf,
} from './imap-fetch.ts';
import type { Query } from './imap-fetch.ts';
import { askForNotices } from './imap-notify.ts';
import { sessionLimits, watchAnswer } from './answer-limits.ts';
import type { SessionLimits } from './answer-limits.ts';
import { appendSeen, canMove, moveMessages, removeMessages, storeSeen } from './imap-write.ts';
import { createClient, letGo } from './imap-client.ts';
import type { SharedTls } from './shared-tls.ts';
import { answerTooLong, commandRefused, imapFailure } from './imap-errors.ts';
import type { Ability } from './change-plan.ts';
import type { Listed, Observed, Standing } from './plan.ts';
import type { Seen } from './seen.ts';

/** How to log in to a mailbox. */
export type Login = { user: string; accessToken: string } | { user: string; password: string };

export type SessionOptions = {
  server: ServerAddress;
  /** Where to connect, in place of looking the host up; the certificate must be the host's all the same. */
  address?: string;
  /** What it has of other connections; missing: nothing. */
  tls?: SharedTls;
  login: Login;
  /** Takes what is said, line by line, without credentials and content; missing: nobody listens. */
  trace?(text: string): void;
  /** Aborted: the connection is closed, whatever it is at. */
  stop?: AbortSignal;
  limits?: SessionLimits;
  /**
   * The open folder has so many messages more than before; 0: the server has stopped listening by
   * itself, so that only a look can tell.
   */
  onArrival(announced: number): void;
  /** There is something new in a folder that is not open: see `notify`. */
  onNotice?(path: string): void;
  /** Something about messages of the open folder is another than it was: flags, or messages are gone. */
  onChange?(what: Change): void;
  /** The connection is gone, and what the server said about that. Called once, after a login that succeeded. */
  onClose(why: Failure): void;
};

export type Change = 'flags' | 'gone';

/** Flags and labels of messages that lie in the open folder, and messages that the server says are gone. */
export type Changes = { there: { uid: number; marks: ReadonlySet<string> }[]; gone: number[] };

/** What the server says of a folder when it is opened; `isChanged`: something happened in it while another was open. */
export type Opened = Observed & { isChanged: boolean };

/** One connection to a mailbox. Every call rejects with a Failure. Calls are made one after another. */
export type Session = {
  /** The server has Gmail's extensions (X-GM-EXT-1). */
  readonly gmail: boolean;
  /** `list` tells where every folder stands too, in the same round trip (RFC 5819 LIST-STATUS). */
  readonly listsStatus: boolean;
  list(): Promise<Listed[]>;
  /** Opens a folder read-only (EXAMINE), so that nothing we read is ever marked as seen (U2). */
  open(path: string): Promise<Opened>;
  /** STATUS of a folder that is not open; null where the server refuses. */
  status(path: string): Promise<Standing | null>;
  /** UIDs that exist in the open folder, of a set (`7:*`, `3,5:9`), ascending. */
  uids(set: string): Promise<number[]>;
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
  /** What messages consist of, from their structure alone; one of which the server does not say it is missing from the answer. */
  structures(uids: readonly number[]): Promise<Map<number, StructurePart[]>>;
  /** How the server tells of changes in the open folder. */
  ability(): Ability;
  /** Up to which mod-sequence the open folder's changes are known to us at least (RFC 7162); null: it has none. */
  modseq(): string | null;
  /** Lets the server say what has happened: until then it may go on showing messages that are gone (RFC 9051 §7.5.1). */
  noop(): Promise<void>;
  /** Flags and labels of a UID set; with `since` only of what has changed since that mod-sequence, and what is gone since. */
  changes(uids: string, since: string | null): Promise<Changes>;
  /** Those of some Message-IDs (bare) that messages of the open folder have. */
  messageIds(wanted: readonly string[]): Promise<Set<string>>;
  /** Opens a folder to change what lies in it (SELECT). Nobody reads mail through such a connection. */
  openToWrite(path: string): Promise<Observed>;
  /** UIDs in the open folder of Gmail's message with this id (X-GM-MSGID). */
  uidsOfGmail(id: string): Promise<number[]>;
  storeSeen(uids: string, seen: boolean): Promise<void>;
  moveMessages(uids: string, to: string): Promise<void>;
  removeMessages(uids: string): Promise<void>;
  /** Puts a message into a folder, as read, with the date at which it was sent (ms since the epoch). */
  appendSeen(path: string, raw: Buffer, date: number): Promise<void>;
  /** Whether a move is one step, or a copy that may be left without its end. */
  readonly moves: 'at_once' | 'by_copy' | 'no';
  /** Has the server tell of new mail in folders that are not open, where it can; answers of which ones it will. */
  notify(paths: readonly string[]): Promise<string[]>;
  /** Listens, unless it does already; any other call ends it by itself. */
  idle(): void;
  close(): void;
};

/** Connects and logs in. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { stop, limits = sessionLimits } = options;
  /** Why we closed it, where the library would only say that it is closed. */
  let closedFor: Failure | null = null;
  const closeFor = (why: Failure) => {
    closedFor ??= why;
    client.close();
  };
  let unparsed = 0;
  const client = createClient(options, limits, {
    onThrottle: (hintMs) => {
      if (closedFor !== null) return;
      closedFor = imapFailure({ code: 'ETHROTTLE', throttleReset: hintMs });
      // It begins to wait when it has written its log; closing ends that.
      setImmediate(() => client.close());
    },
    onUnparsed: () => void (unparsed += 1),
  });
  const close = () => client.close();
  const watch = (msMax: number) =>
    watchAnswer(
      { received: () => client.stats().received, bytesMax: limits.answerBytesMax, msMax },
      closeFor,
    );
  let open = false;
  // Without a listener an error of the socket would end the process; what matters follows as `close`.
  client.on('error', (error) => {
    const why = imapFailure(error);
    if (why.code === answerTooLong) closedFor ??= why;
  });
  client.on('close', () => {
    stop?.removeEventListener('abort', close);
    if (open) options.onClose(closedFor ?? imapFailure({ reason: client.byeReason ?? '' }));
    open = false;
  });
  client.on('exists', ({ count, prevCount }: { count: number; prevCount: number }) => {
    if (count > prevCount) options.onArrival(count - prevCount);
    if (count < prevCount) options.onChange?.('gone');
  });
  client.on('flags', () => options.onChange?.('flags'));
  // What was gone before is told only when we ask for it.
  client.on('expunge', ({ earlier }: { earlier?: boolean }) => {
    if (earlier !== true) options.onChange?.('gone');
  });
  stop?.addEventListener('abort', close, { once: true });
  if (stop?.aborted === true) close();
  const watched = watch(limits.loginMs);
  try {
    await client.connect();
    open = true;
    options.tls?.begun(options.server, socketOf(client));
  } catch (error) {
    client.close();
    options.tls?.failed(options.server, error);
    throw closedFor ?? imapFailure(error);
  } finally {
    watched();
  }
  return sessionOf(client, limits, {
    watch,
    unparsed: () => unparsed,
    failure: (error) => closedFor ?? imapFailure(error),
    onQuiet: () => options.onArrival(0),
    onNotice: (path) => options.onNotice?.(path),
    onFlags: () => options.onChange?.('flags'),
  });
}

/** Asks the server something, for as long as its answer may take. */
type Call = <T>(work: () => Promise<T>, msMax?: number) => Promise<T>;

type Told = {
  watch(msMax: number): () => void;
  unparsed(): number;
  failure(error: unknown): Failure;
  onQuiet(): void;
  onNotice: (path: string) => void;
  onFlags: () => void;
};

function sessionOf(client: ImapFlow, limits: SessionLimits, on: Told): Session {
  const { bodiesMs } = limits;
  let calls = 0;
  /** How folders stood when they were left: nobody tells of what happens in one that is not open. */
  const left = new Map<string, string>();
  const call: Call = async (work, msMax = limits.answerMs) => {
    calls += 1;
    const watched = on.watch(msMax);
    try {
      return await work();
    } catch (error) {
      throw on.failure(error);
    } finally {
      watched();
      calls -= 1;
    }
  };
  const search = (query: SearchObject) =>
    call(async () => {
      const before = on.unparsed();
      const found = await searched(client, query);
      // An answer of which a part is missing reads like one that says: there are no such messages.
      if (on.unparsed() > before) throw unreadable('SEARCH');
      return found;
    });
  const gmail = client.capabilities.has('X-GM-EXT-1');
  const listsStatus = client.capabilities.has('LIST-STATUS');
  return {
    gmail,
    listsStatus,
    list: () =>
      call(async () => {
        const folders = await client.list(listsStatus ? { statusQuery } : {});
        letGo(client);
        return usable(folders).map(listed);
      }),
    open: (path) =>
      call(async () => {
        if (client.mailbox !== false) left.set(client.mailbox.path, standingOf(client.mailbox));
        const opened = await client.mailboxOpen(path, { readOnly: true });
        const before = left.get(path);
        return { ...observed(opened), isChanged: before !== undefined && before !== standingOf(opened) };
      }),
    status: (path) =>
      call(async () => {
        try {
          const status = await client.status(path, statusQuery);
          return status === false ? null : standing(status);
        } catch (error) {
          // The library's own word for a folder that LIST does not show either.
          if ((error as { code?: string }).code === 'NotFound') return null;
          throw error;
        }
      }),
    uids: (set) => search({ uid: set }),
    find: (query) => search(searchOf(query)),
    ...writingOf(client, { call, search, bodiesMs }),
    ...readingOf(client, { call, search, bodiesMs, gmail, onFlags: on.onFlags }),
    notify: (paths) => call(() => askForNotices(client, paths, on.onNotice)),
    idle: idleOf(client, () => {
      // Neither a call of ours nor the end of the connection: the server, or the library's watchdog.
      if (calls === 0 && !client.isClosed) on.onQuiet();
    }),
    close: () => client.close(),
  };
}

async function searched(client: ImapFlow, query: SearchObject): Promise<number[]> {
  const found = await client.search(query, { uid: true });
  // `false` is a refusal, not an empty answer (providers.md C.1).
  if (!Array.isArray(found)) throw refusal('SEARCH');
  return found.sort((a, b) => a - b);
}

/** Listens, unless it does already; `onEnd` is told when that is over. */
function idleOf(client: ImapFlow, onEnd: () => void): () => void {
  let listening = false;
  return () => {
    if (listening) return;
    listening = true;
    client.idle().then(
      () => {
        listening = false;
        onEnd();
      },
      () => client.close(),
    );
  };
}

/** Those of a session's calls that change what lies in a folder. */
function writingOf(
  client: ImapFlow,
  {
    call,
    search,
    bodiesMs,
  }: { call: Call; search(query: SearchObject): Promise<number[]>; bodiesMs: number },
): Pick<
  Session,
  'openToWrite' | 'uidsOfGmail' | 'storeSeen' | 'moveMessages' | 'removeMessages' | 'appendSeen' | 'moves'
> {
  return {
    openToWrite: (path) => call(async () => observed(await client.mailboxOpen(path, { readOnly: false }))),
    uidsOfGmail: (id) => search({ emailId: id }),
    storeSeen: (uids, seen) => call(() => storeSeen(client, uids, seen)),
    moveMessages: (uids, to) => call(() => moveMessages(client, uids, to)),
    removeMessages: (uids) => call(() => removeMessages(client, uids)),
    appendSeen: (path, raw, date) => call(() => appendSeen(client, path, { raw, date }), bodiesMs),
    moves: canMove(client),
  };
}

/** Those of a session's calls that read messages of the open folder. */
function readingOf(
  client: ImapFlow,
  of: {
    call: Call;
    search(query: SearchObject): Promise<number[]>;
    bodiesMs: number;
    gmail: boolean;
    onFlags(): void;
  },
): Pick<
  Session,
  'headers' | 'marks' | 'bodies' | 'structures' | 'noop' | 'ability' | 'modseq' | 'changes' | 'messageIds'
> {
  const { call, search, bodiesMs, gmail, onFlags } = of;
  return {
    headers: (uids, onWhole) => call(() => fetchHeaders(client, uids, { gmail, onWhole, onOthers: onFlags })),
    marks: (uids) => call(() => fetchMarks(client, uids, gmail)),
    bodies: (uids) => call(() => fetchBodies(client, uids), bodiesMs),
    structures: (uids) => call(() => fetchStructures(client, uids)),
    noop: () => call(() => client.noop()),
    ability: () => abilityOf(client),
    modseq: () => modseqOf(client),
    changes: (uids, since) => call(() => fetchChanges(client, uids, { since, gmail, onOthers: onFlags })),
    messageIds: async (wanted) => {
      const found = await search(searchOf({ messageIds: wanted }));
      return found.length === 0 ? new Set() : call(() => fetchMessageIds(client, found, new Set(wanted)));
    },
  };
}

const statusQuery = { uidNext: true, uidValidity: true, messages: true, unseen: true, highestModseq: true };

function refusal(command: string): Failure {
  return new Failure('temporary', commandRefused, `the provider refused ${command}`);
}

function unreadable(command: string): Failure {
  return new Failure('temporary', 'unexpected_answer', `the provider’s answer to ${command} cannot be read`);
}

function standingOf({ exists, highestModseq }: MailboxObject): string {
  return [exists, highestModseq].join(' ');
}

/**
 * Some servers list a folder twice, as INBOX inside a namespace and outside of it; a name with a NUL is none (RFC 9051 §9),
 * and PostgreSQL takes no such text: one of either would keep all folders from being read.
 */
function usable(folders: readonly ListResponse[]): ListResponse[] {
  const byPath = new Map(folders.toReversed().map((folder) => [folder.path, folder]));
  return [...byPath.values()].filter(({ path }) => !path.includes('\0')).toReversed();
}

function listed(folder: ListResponse): Listed {
  const { path, flags, specialUse, status } = folder;
  const stands = status !== undefined && !('error' in status) ? standing(status) : null;
  return { path, attributes: flags, specialUse, observed: stands };
}

/** By what STATUS says of a folder its changes are noticed, without opening it. */
function standing(status: StatusObject): Standing {
  const { messages, unseen, highestModseq } = status;
  const signature = [messages, unseen, highestModseq].join(' ');
  return { ...observed(status), signature, messages: messages ?? null };
}

function observed(state: { uidValidity?: bigint | undefined; uidNext?: number | undefined }): Observed {
  return { uidValidity: Number(state.uidValidity ?? 0), uidNext: state.uidNext || null };
}

/** imapflow (2.10.2) lends its socket only to who takes it away. */
function socketOf(client: ImapFlow): unknown {
  return (client as unknown as { socket: unknown }).socket;
}
