import { Failure } from '../../src/lib/failure.ts';
import type { Listed, Observed, Standing } from '../../src/mailbox/plan.ts';
import type { Seen } from '../../src/mailbox/seen.ts';
import type { Login, Session, SessionOptions } from '../../src/mailbox/session.ts';
import type { Time } from './time.ts';

/** A mail as it was written. Its number stands in its text, so that it is known again wherever it turns up. */
export type Mail = {
  n: number;
  from: string;
  to: string[];
  cc: string[];
  /** As it travels; null: it has none. */
  messageId: string | null;
  /** The id that whoever wrote it gave it, where a provider gave it another. */
  writtenId: string | null;
  inReplyTo: string | null;
  references: string[];
  subject: string;
  kind: 'person' | 'auto_reply' | 'list' | 'report';
  raw: Buffer;
};

/** A mail in a folder. */
export type Copy = {
  mail: Mail;
  uid: number;
  internalDate: number;
  /** Flags and labels, lower-case. */
  marks: Set<string>;
  /** It came by SMTP, so that it has the headers of that; else a program put it there. */
  delivered: boolean;
  gmail: { messageId: string; threadId: string } | null;
};

type Folder = {
  path: string;
  attributes: string[];
  specialUse: string | undefined;
  uidValidity: number;
  uidNext: number;
  copies: Copy[];
  hidden: boolean;
};

/** A mailbox at the provider. */
export type Box = {
  name: string;
  address: string;
  allMail: boolean;
  folders: Map<string, Folder>;
  /** Everything that ever was somewhere: `path validity uid`. */
  ever: Map<string, Copy>;
  /** Where a body was asked for that was gone by then, in the same words. */
  missed: Set<string>;
  token: { issued: number; expired: boolean; revoked: boolean };
  lines: Set<Line>;
};

/** A connection to a box. */
type Line = {
  path: string | null;
  /** Messages that came into the open folder since it was last read. */
  announced: number;
  /** Of which folders besides it this line is to be told. */
  noticed: ReadonlySet<string>;
  /** Those of them into which something came since. */
  news: Set<string>;
  options: SessionOptions;
  closed: boolean;
};

/** Says that a call is made, and lets happen what is to happen then. */
export type OnCall = () => Promise<void>;

const specials: Readonly<Record<string, string>> = {
  Sent: '\\Sent',
  Archive: '\\Archive',
  Junk: '\\Junk',
  Trash: '\\Trash',
  Drafts: '\\Drafts',
  'All Mail': '\\All',
};

/** Where mail is seen by us. */
export const watchedFolders = ['INBOX', 'Sent', 'Archive', 'Projects'] as const;

export function openBox(box: { name: string; address: string; allMail: boolean }): Box {
  const paths = [...watchedFolders, 'Junk', 'Trash', 'Drafts', ...(box.allMail ? ['All Mail'] : [])];
  return {
    ...box,
    ever: new Map(),
    missed: new Set(),
    token: { issued: 1, expired: false, revoked: false },
    lines: new Set(),
    folders: new Map(
      paths.map((path, n) => [
        path,
        {
          path,
          attributes: path === 'All Mail' ? ['\\All'] : [],
          specialUse: specials[path],
          uidValidity: 100 + n,
          uidNext: 1,
          copies: [],
          hidden: false,
        },
      ]),
    ),
  };
}

/**
 * Puts a mail into a folder. Gmail has one copy of each in All Mail, which is all that we look at there;
 * its folders are labels on that.
 */
export function put(
  box: Box,
  time: Time,
  what: { mail: Mail; path: string; delivered: boolean; marks?: Iterable<string>; internalDate?: number },
): void {
  const { mail, path, delivered, marks = [] } = what;
  const discarded = path === 'Trash' || path === 'Junk';
  const all = box.allMail && !discarded ? folderOf(box, 'All Mail') : null;
  const labels = [...marks, ...(all === null ? [] : labelOf(path))];
  const there = all?.copies.find((copy) => copy.mail === mail);
  if (there !== undefined) {
    for (const label of labels) there.marks.add(label);
    return;
  }
  const folder = all ?? folderOf(box, path);
  const copy: Copy = {
    mail,
    uid: folder.uidNext,
    internalDate: what.internalDate ?? Math.floor(time.now() / 1000) * 1000,
    marks: new Set(labels),
    delivered,
    gmail: box.allMail ? gmailIdsOf(box, mail) : null,
  };
  folder.uidNext += 1;
  folder.copies.push(copy);
  box.ever.set(`${folder.path} ${folder.uidValidity} ${copy.uid}`, copy);
  for (const line of box.lines) {
    if (line.path === folder.path) line.announced += 1;
    else if (line.noticed.has(folder.path)) line.news.add(folder.path);
  }
}

const labelOf = (path: string) => (path === 'INBOX' ? ['\\inbox'] : path === 'Sent' ? ['\\sent'] : []);

/** Gmail counts a mail to the thread of what it cites, where that is in the box too. */
function gmailIdsOf(box: Box, mail: Mail): { messageId: string; threadId: string } {
  const cited = [mail.inReplyTo, ...mail.references];
  const parent = [...box.ever.values()].find(
    (copy) => copy.mail === mail || (copy.mail.messageId !== null && cited.includes(copy.mail.messageId)),
  );
  const messageId = String(1_000 + mail.n);
  return { messageId, threadId: parent?.gmail?.threadId ?? messageId };
}

export function folderOf(box: Box, path: string): Folder {
  const folder = box.folders.get(path);
  if (folder === undefined) throw new Error(`${box.name} has no folder ${path}`);
  return folder;
}

/** The copy that stands so many places before the newest of a folder. */
export function copyAt(box: Box, path: string, at: number): Copy | undefined {
  return folderOf(box, path).copies.at(-1 - at);
}

function pickCopy(box: Box, path: string, at: number): { folder: Folder; copy: Copy } | null {
  const copy = copyAt(box, path, at);
  return copy === undefined ? null : { folder: folderOf(box, path), copy };
}

export function remove(box: Box, path: string, at: number): boolean {
  const found = pickCopy(box, path, at);
  if (found === null) return false;
  found.folder.copies = found.folder.copies.filter((copy) => copy !== found.copy);
  return true;
}

/** What was received never becomes something that was sent, and the other way round. */
export function move(box: Box, time: Time, of: { folder: string; at: number; to: string }): boolean {
  const found = pickCopy(box, of.folder, of.at);
  if (found === null || of.folder === of.to) return false;
  const { copy, folder } = found;
  if (copy.delivered ? of.to === 'Sent' : of.to === 'INBOX') return false;
  const marks = [...copy.marks].filter((mark) => mark !== '\\inbox');
  folder.copies = folder.copies.filter((other) => other !== copy);
  put(box, time, { ...copy, path: of.to, marks });
  return true;
}

/** Marks a copy as read or unread; answers its mail, null where there is none. */
export function flag(box: Box, of: { folder: string; at: number; read: boolean }): Mail | null {
  const copy = copyAt(box, of.folder, of.at);
  if (copy === undefined) return null;
  mark(copy, of.read);
  return copy.mail;
}

function mark({ marks }: Copy, read: boolean): void {
  if (read) marks.add('\\seen');
  else marks.delete('\\seen');
}

/** All UIDs are new, as after the folder was restored. */
export function renumber(box: Box, path: string): void {
  const folder = folderOf(box, path);
  folder.uidValidity += 1000;
  folder.uidNext = 1;
  for (const copy of folder.copies) {
    const again = Object.assign(copy, { uid: folder.uidNext });
    folder.uidNext += 1;
    box.ever.set(`${path} ${folder.uidValidity} ${copy.uid}`, { ...again });
  }
  // Nobody goes on with what it believes of a folder that is another one now.
  for (const line of box.lines) if (line.path === path) closeLine(box, line);
}

/** Ends every connection to a box. */
export function hangUp(box: Box): void {
  for (const line of box.lines) closeLine(box, line);
}

const connectionClosed = () =>
  new Failure('temporary', 'connection_closed', 'the mailbox cannot be reached or did not answer');

function closeLine(box: Box, line: Line): void {
  if (line.closed) return;
  line.closed = true;
  box.lines.delete(line);
  line.options.onClose(connectionClosed());
}

/** Tells whoever listens of what came since. */
export function announce(box: Box, isMine: (options: SessionOptions) => boolean): void {
  for (const line of box.lines) {
    if (!isMine(line.options)) continue;
    if (line.announced > 0) line.options.onArrival(line.announced);
    for (const path of line.news) line.options.onNotice?.(path);
    line.news.clear();
  }
}

/** Connects to a box, as session.ts does to a server. */
export async function connectTo(box: Box, options: SessionOptions, onCall: OnCall): Promise<Session> {
  await onCall();
  if (!takes(box, options.login)) {
    throw new Failure('denied', 'login_refused', 'the provider refused the login');
  }
  const line: Line = {
    path: null,
    announced: 0,
    noticed: new Set(),
    news: new Set(),
    options,
    closed: false,
  };
  box.lines.add(line);
  options.stop?.addEventListener('abort', () => closeLine(box, line), { once: true });
  return sessionOf(box, line, onCall);
}

function takes(box: Box, login: Login): boolean {
  const { issued, expired, revoked } = box.token;
  return !revoked && !expired && 'accessToken' in login && login.accessToken === `token-${issued}`;
}

/** Servers with NOTIFY and without: of half of the people, by their name. */
function hasNotify({ name, allMail }: Box): boolean {
  return !allMail && name.charCodeAt(0) % 2 === 0;
}

function sessionOf(box: Box, line: Line, onCall: OnCall): Session {
  const call = async <T>(work: () => T): Promise<T> => {
    try {
      await onCall();
    } catch (error) {
      if (error instanceof Failure) closeLine(box, line);
      throw error;
    }
    if (line.closed) throw connectionClosed();
    return work();
  };
  const open = () => {
    const folder = line.path === null ? undefined : box.folders.get(line.path);
    if (folder === undefined || folder.hidden) throw refused();
    return folder;
  };
  const ofSet = (set: string) => {
    const { copies } = open();
    const last = copies.at(-1)?.uid ?? 0;
    return copies.filter(({ uid }) => isIn(set, uid, last));
  };
  return {
    gmail: box.allMail,
    listsStatus: true,
    structures: () => call(() => new Map()),
    notify: (paths) =>
      call(() => {
        line.noticed = new Set(hasNotify(box) ? paths : []);
        return [...line.noticed];
      }),
    list: () => call(() => [...box.folders.values()].filter(({ hidden }) => !hidden).map(listed)),
    open: (path) =>
      call(() => {
        line.path = path;
        line.announced = 0;
        return { ...observed(open()), isChanged: false };
      }),
    status: (path) =>
      call(() => {
        const folder = box.folders.get(path);
        return folder === undefined || folder.hidden ? null : standing(folder);
      }),
    uids: (set) => call(() => ofSet(set).map(({ uid }) => uid)),
    find: ({ since = 0, before = Number.POSITIVE_INFINITY, messageIds, people }) =>
      call(() =>
        open()
          .copies.filter(({ internalDate }) => internalDate >= since - dayMs && internalDate < before + dayMs)
          .filter(
            ({ mail }) => messageIds === undefined || messageIds.some((id) => mail.raw.includes(`<${id}>`)),
          )
          .filter(
            ({ mail }) =>
              people === undefined ||
              [mail.from, ...mail.to, ...mail.cc].some((address) => people.includes(address)),
          )
          .map(({ uid }) => uid),
      ),
    headers: (set, onWhole) =>
      call(() => {
        const found = ofSet(set);
        if (found.at(-1) === open().copies.at(-1)) {
          line.announced = 0;
          onWhole?.();
        }
        return found.map((copy) => seen(copy, true));
      }),
    marks: (set) => call(() => ofSet(set).map((copy) => seen(copy, false))),
    bodies: (uids) => call(() => new Map(ofSet(uids.join(',')).map((copy) => [copy.uid, rawOf(copy)]))),
    // As Exchange: what has changed is found by asking about each message.
    ability: () => 'plain',
    modseq: () => null,
    noop: () => call(() => undefined),
    changes: (set) =>
      call(() => ({ there: ofSet(set).map((copy) => ({ uid: copy.uid, marks: copy.marks })), gone: [] })),
    messageIds: (wanted) =>
      call(
        () =>
          new Set(open().copies.flatMap(({ mail }) => wanted.filter((id) => mail.raw.includes(`<${id}>`)))),
      ),
    openToWrite: (path) =>
      call(() => {
        line.path = path;
        return observed(open());
      }),
    storeSeen: (set, read) =>
      call(() => {
        for (const copy of ofSet(set)) mark(copy, read);
      }),
    // Nobody asks for another change in a history.
    uidsOfGmail: () => Promise.reject(refused()),
    moveMessages: () => Promise.reject(refused()),
    removeMessages: () => Promise.reject(refused()),
    appendSeen: () => Promise.reject(refused()),
    moves: 'no',
    idle: () => undefined,
    close: () => closeLine(box, line),
  };
}

const dayMs = 86_400_000;

const refused = () => new Failure('temporary', 'command_refused', 'the provider refused the command');

/** A UID set, in which `*` is the last message there is. */
function isIn(set: string, uid: number, last: number): boolean {
  return set.split(',').some((range) => {
    const [from = 0, to = from] = range.split(':').map((end) => (end === '*' ? last : Number(end)));
    return Math.min(from, to) <= uid && uid <= Math.max(from, to);
  });
}

function listed(folder: Folder): Listed {
  const { path, attributes, specialUse } = folder;
  return { path, attributes: new Set(attributes), specialUse, observed: standing(folder) };
}

function standing(folder: Folder): Standing {
  const { copies, uidNext } = folder;
  const unseen = copies.filter(({ marks }) => !marks.has('\\seen')).length;
  return { ...observed(folder), signature: `${uidNext} ${copies.length} ${unseen}` };
}

function observed({ uidValidity, uidNext }: Folder): Observed {
  return { uidValidity, uidNext };
}

function rawOf({ mail, delivered }: Copy): Buffer {
  const trace = 'Received: from a.example by b.example; Mon, 7 Jan 2030 09:00:00 +0000\r\n';
  return delivered ? Buffer.concat([Buffer.from(trace), mail.raw]) : mail.raw;
}

function seen(copy: Copy, withHeader: boolean): Seen {
  const raw = rawOf(copy);
  const header = withHeader ? raw.subarray(0, raw.indexOf('\r\n\r\n') + 4) : Buffer.alloc(0);
  const { uid, internalDate, marks, gmail } = copy;
  return { uid, header, internalDate, size: raw.length, marks: new Set(marks), gmail };
}

/** A new consent's token where the last one has run out. */
export function tokenOf(box: Box, isRefused: boolean): string {
  const { token } = box;
  if (token.revoked) throw new Failure('denied', 'token_revoked', 'the consent was withdrawn');
  if (isRefused) Object.assign(token, { issued: token.issued + 1, expired: false });
  return `token-${token.issued}`;
}
