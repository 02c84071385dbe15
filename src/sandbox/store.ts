import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import { canonicalAddress } from './address.ts';

export const folderNames = ['INBOX', 'Sent', 'Drafts', 'Archive', 'Spam', 'Trash'] as const;
export type FolderName = (typeof folderNames)[number];

export type Message = {
  readonly uid: number;
  /** The whole message; every line ends in CRLF. */
  readonly raw: Buffer;
  readonly receivedAtMs: number;
  /** IMAP flags as written, for example `\Seen`. */
  flags: readonly string[];
  /** The folder's change counter when this message last changed (RFC 7162 §3.1.1). */
  modseq: number;
};

export type Folder = {
  readonly name: FolderName;
  /** The mailbox it is in. */
  readonly address: string;
  readonly uidValidity: number;
  uidNext: number;
  modseq: number;
  /** In the order of their UIDs. */
  messages: Message[];
  /** Called after each change, in the same tick. */
  readonly watchers: Set<() => void>;
};

export type Mailbox = { readonly address: string; readonly folders: Readonly<Record<FolderName, Folder>> };

/** All mail of the sandbox, and what its tokens need to outlive a restart. */
export type Store = {
  /** Signs tokens; made at the first start and kept beside the mail. */
  readonly secret: Buffer;
  mailboxes(): Mailbox[];
  find(address: string): Mailbox | undefined;
  /** The mailbox of an address, made on first use. */
  open(address: string): Mailbox;
  /** Line ends become CRLF, as every mail server does it. */
  append(folder: Folder, raw: Buffer, more?: { flags?: readonly string[]; receivedAtMs?: number }): Message;
  setFlags(folder: Folder, message: Message, flags: readonly string[]): void;
  expunge(folder: Folder, messages: readonly Message[]): void;
  revoke(grant: string): void;
  isRevoked(grant: string): boolean;
  close(): void;
};

/** One change, and one line of the journal. The state is the journal, played from its first line. */
type Entry =
  | { op: 'secret'; secret: string }
  | { op: 'mailbox'; address: string; uidValidity: number }
  | {
      op: 'message';
      address: string;
      folder: FolderName;
      receivedAtMs: number;
      flags: readonly string[];
      raw: string;
    }
  | { op: 'flags'; address: string; folder: FolderName; uid: number; flags: readonly string[] }
  | { op: 'expunge'; address: string; folder: FolderName; uids: number[] }
  | { op: 'revoke'; grant: string };

/**
 * Opens the store in `directory`, or in memory alone without one. Nothing is ever compacted: UIDs, mod-sequences
 * and UIDVALIDITY come out of the replay the same, and a toy's journal stays small.
 */
export function openStore(options: { directory?: string | undefined; clock: Clock }): Store {
  const state = {
    secret: Buffer.alloc(0),
    mailboxes: new Map<string, Mailbox>(),
    revoked: new Set<string>(),
  };
  const journal = options.directory === undefined ? undefined : openJournal(options.directory);
  journal?.entries.forEach((entry) => apply(state, entry));
  const record = (entry: Entry) => {
    journal?.write(entry);
    apply(state, entry);
  };
  const find = (address: string) => state.mailboxes.get(canonicalAddress(address));
  if (state.secret.length === 0) record({ op: 'secret', secret: randomBytes(32).toString('base64') });
  return {
    secret: state.secret,
    mailboxes: () => [...state.mailboxes.values()],
    find,
    open(address) {
      const uidValidity = Math.max(1, Math.floor(options.clock.now() / 1000));
      if (!find(address)) record({ op: 'mailbox', address: canonicalAddress(address), uidValidity });
      return found(find(address), address);
    },
    append(folder, raw, more = {}) {
      record({
        op: 'message',
        address: folder.address,
        folder: folder.name,
        receivedAtMs: more.receivedAtMs ?? options.clock.now(),
        flags: more.flags ?? [],
        raw: withCrlf(raw.toString('latin1')),
      });
      return found(folder.messages.at(-1), folder.name);
    },
    setFlags({ address, name }, { uid, flags: before }, after) {
      const flags = [...new Set(after)];
      if (flags.length === before.length && flags.every((flag) => before.includes(flag))) return;
      record({ op: 'flags', address, folder: name, uid, flags });
    },
    expunge({ address, name }, messages) {
      if (messages.length === 0) return;
      record({ op: 'expunge', address, folder: name, uids: messages.map((message) => message.uid) });
    },
    revoke: (grant) => record({ op: 'revoke', grant }),
    isRevoked: (grant) => state.revoked.has(grant),
    close: () => journal?.close(),
  };
}

function openJournal(directory: string) {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'sandbox.ndjson');
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  // A process that was killed while it wrote leaves half a line at the end: nobody was told of that change.
  const whole = bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
  if (whole.length < bytes.length) truncateSync(file, whole.length);
  const lines = whole.toString().split('\n').slice(0, -1);
  const descriptor = openSync(file, 'a', 0o600);
  return {
    entries: lines.map((line) => JSON.parse(line) as Entry),
    write: (entry: Entry) => writeAll(descriptor, Buffer.from(`${JSON.stringify(entry)}\n`)),
    close: () => closeSync(descriptor),
  };
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written);
}

function apply(
  state: { secret: Buffer; mailboxes: Map<string, Mailbox>; revoked: Set<string> },
  entry: Entry,
): void {
  switch (entry.op) {
    case 'secret':
      state.secret = Buffer.from(entry.secret, 'base64');
      return;
    case 'revoke':
      state.revoked.add(entry.grant);
      return;
    case 'mailbox':
      state.mailboxes.set(entry.address, newMailbox(entry.address, entry.uidValidity));
      return;
    case 'message':
    case 'flags':
    case 'expunge':
      applyToFolder(found(state.mailboxes.get(entry.address), entry.address).folders[entry.folder], entry);
  }
}

function applyToFolder(folder: Folder, entry: Extract<Entry, { folder: FolderName }>): void {
  const modseq = ++folder.modseq;
  switch (entry.op) {
    case 'message': {
      const { receivedAtMs, flags } = entry;
      const raw = Buffer.from(entry.raw, 'latin1');
      folder.messages.push({ uid: folder.uidNext++, raw, receivedAtMs, flags, modseq });
      break;
    }
    case 'flags': {
      const message = folder.messages.find(({ uid }) => uid === entry.uid);
      if (message) Object.assign(message, { flags: entry.flags, modseq });
      break;
    }
    case 'expunge': {
      const gone = new Set(entry.uids);
      folder.messages = folder.messages.filter(({ uid }) => !gone.has(uid));
      break;
    }
  }
  for (const watcher of folder.watchers) watcher();
}

function newMailbox(address: string, uidValidity: number): Mailbox {
  const folders = folderNames.map((name): [FolderName, Folder] => [
    name,
    { name, address, uidValidity, uidNext: 1, modseq: 1, messages: [], watchers: new Set() },
  ]);
  return { address, folders: Object.fromEntries(folders) as Record<FolderName, Folder> };
}

function withCrlf(text: string): string {
  // Asked first, since most mail has nothing to replace and 20 MB of it would take half a second.
  return /(?<!\r)\n/.test(text) ? text.replace(/\r?\n/g, '\r\n') : text;
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`the sandbox has no ${name}`);
  return value;
}
