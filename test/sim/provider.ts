import { Failure } from '../../src/lib/failure.ts';
import type { SessionOptions } from '../../src/mailbox/session.ts';
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

export type Folder = {
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
export type Line = {
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

export function mark({ marks }: Copy, read: boolean): void {
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

export const connectionClosed = () =>
  new Failure('temporary', 'connection_closed', 'the mailbox cannot be reached or did not answer');

export function closeLine(box: Box, line: Line): void {
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

/** A new consent's token where the last one has run out. */
export function tokenOf(box: Box, isRefused: boolean): string {
  const { token } = box;
  if (token.revoked) throw new Failure('denied', 'token_revoked', 'the consent was withdrawn');
  if (isRefused) Object.assign(token, { issued: token.issued + 1, expired: false });
  return `token-${token.issued}`;
}
