import { entityOf, type Entity } from './script-mail.ts';
import { wordOf, wordsOf, type Token } from './script-tokens.ts';

/** The server's mailbox that a transcript describes: what the peer's own answers are made from. */
export type Mailbox = {
  folders: Map<string, Folder>;
  /** Called with each change, after it was made. */
  watchers: Set<(change: Change) => void>;
};

export type Folder = {
  /** As it goes over the wire (modified UTF-7 where the product uses that). */
  path: string;
  attributes: string[];
  uidValidity: number;
  uidNext: number;
  /** `untold`: what opens the folder is not told UIDNEXT. */
  tellsUidNext: boolean;
  highestModseq: number;
  messages: Message[];
};

export type Message = {
  uid: number;
  flags: Set<string>;
  date: Date;
  raw: Buffer;
  entity: Entity;
  modseq: number;
  /** X-GM-MSGID, X-GM-THRID: 64-bit decimal, so text. */
  msgid: string;
  thrid: string;
  labels: string[];
  /** In how many more FETCH and SEARCH commands it is left out although EXISTS counts it (`late`). */
  late: number;
  /** `bodyless`: what asks for its text gets no row. `unreadable`: nor does what asks for its header or structure. */
  readable: 'all' | 'headers' | 'nothing';
};

export type Change =
  | { kind: 'exists'; folder: Folder }
  | { kind: 'flags'; folder: Folder; message: Message }
  | { kind: 'expunge'; folder: Folder; sequence: number };

/** An empty mailbox. */
export function createMailbox(): Mailbox {
  return { folders: new Map(), watchers: new Set() };
}

/** Makes the change that a script line names; false where the verb is none of the mailbox's. */
export function changeMailbox(mailbox: Mailbox, verb: string, args: Token[], content?: Buffer): boolean {
  const path = () => wordOf(args[0]);
  switch (verb) {
    case 'folder':
      addFolder(mailbox, args);
      return true;
    case 'vanish':
      folderOf(mailbox, path());
      mailbox.folders.delete(path());
      return true;
    case 'deliver':
      deliver(mailbox, args, content);
      return true;
    case 'flags':
      setFlags(mailbox, folderOf(mailbox, path()), Number(args[1]), wordsOf(args[2]));
      return true;
    case 'labels':
      setLabels(mailbox, folderOf(mailbox, path()), Number(args[1]), wordsOf(args[2]));
      return true;
    case 'expunge':
      expunge(mailbox, folderOf(mailbox, path()), Number(args[1]));
      return true;
    case 'uidvalidity':
      renumber(folderOf(mailbox, path()), Number(args[1]));
      return true;
    default:
      return false;
  }
}

/** Sets a message's flags and announces them. */
export function setFlags(mailbox: Mailbox, folder: Folder, uid: number, flags: Iterable<string>): void {
  const message = messageOf(folder, uid);
  message.flags = new Set(flags);
  message.modseq = ++folder.highestModseq;
  announce(mailbox, { kind: 'flags', folder, message });
}

/**
 * Moves a message as Gmail does (RFC 6851, and labels): what leaves the inbox for All Mail loses a label there,
 * and what goes to Trash leaves every folder.
 */
export function moveMessage(mailbox: Mailbox, folder: Folder, uid: number, to: Folder): void {
  const message = messageOf(folder, uid);
  const copies = (each: Folder) => each.messages.filter(({ raw }) => raw.equals(message.raw));
  expunge(mailbox, folder, uid);
  if (to.attributes.includes('\\All')) {
    for (const copy of copies(to)) {
      setLabels(
        mailbox,
        to,
        copy.uid,
        copy.labels.filter((label) => label !== '\\Inbox'),
      );
    }
    return;
  }
  if (folder.attributes.includes('\\All')) {
    for (const each of mailbox.folders.values()) {
      for (const copy of copies(each)) expunge(mailbox, each, copy.uid);
    }
  }
  const moved = { ...message, uid: to.uidNext, modseq: ++to.highestModseq };
  to.uidNext += 1;
  to.messages.push(moved);
  announce(mailbox, { kind: 'exists', folder: to });
}

/** Sets a message's Gmail labels, and announces that something about it has changed. */
function setLabels(mailbox: Mailbox, folder: Folder, uid: number, labels: string[]): void {
  const message = messageOf(folder, uid);
  message.labels = labels;
  setFlags(mailbox, folder, uid, message.flags);
}

/** The folder, which the script must have described. */
function folderOf(mailbox: Mailbox, path: string): Folder {
  const folder = mailbox.folders.get(path);
  if (folder === undefined) throw new Error(`the script describes no folder ${path}`);
  return folder;
}

function addFolder(mailbox: Mailbox, args: Token[]): void {
  const path = wordOf(args[0]);
  const words = args.slice(1).map(wordOf);
  const numberAfter = (name: string, otherwise: number) => {
    const at = words.indexOf(name);
    return at < 0 ? otherwise : Number(words[at + 1]);
  };
  const old = numberAfter('exists', 0);
  const folder: Folder = {
    path,
    attributes: words.filter((word) => word.startsWith('\\')),
    uidValidity: numberAfter('uidvalidity', 1),
    uidNext: numberAfter('uidnext', old + 1),
    tellsUidNext: !words.includes('untold'),
    highestModseq: 1,
    messages: [],
  };
  // `exists`: that many old messages that matter to nobody, with the UIDs just below UIDNEXT.
  for (let uid = folder.uidNext - old; uid < folder.uidNext; uid += 1) {
    if (uid < 1) throw new Error(`${path} cannot hold ${old} messages below uidnext ${folder.uidNext}`);
    folder.messages.push(newMessage(folder, uid, oldMail(path, uid), new Map([['date', OLD_DATE]])));
  }
  mailbox.folders.set(path, folder);
}

const OLD_DATE = '02-Nov-2026 09:00:00 +0000';

function oldMail(path: string, uid: number): Buffer {
  const id = `${path.replace(/\W/g, '')}.${uid}@old.example`;
  return Buffer.from(
    `From: Somebody <somebody@old.example>\r\nTo: user@company.example\r\nSubject: Old news ${uid}\r\n` +
      `Date: Mon, 2 Nov 2026 09:00:00 +0000\r\nMessage-ID: <${id}>\r\n\r\nNothing new.\r\n`,
  );
}

function deliver(mailbox: Mailbox, args: Token[], content?: Buffer): void {
  if (content === undefined) throw new Error('a message needs its text, in a block');
  const places: { folder: Folder; uid: number }[] = [];
  let at = 0;
  do {
    const folder = folderOf(mailbox, wordOf(args[at]));
    const numbered = args[at + 1] === 'uid';
    places.push({ folder, uid: numbered ? Number(args[at + 2]) : folder.uidNext });
    at += numbered ? 3 : 1;
  } while (args[at++] === 'and');
  const fields = fieldsFrom(args.slice(at - 1));
  for (const { folder, uid } of places) {
    const follower = folder.messages.findIndex((message) => message.uid >= uid);
    const message = newMessage(folder, uid, content, fields);
    if (folder.messages[follower]?.uid === uid) folder.messages[follower] = message;
    else folder.messages.splice(follower < 0 ? folder.messages.length : follower, 0, message);
    folder.uidNext = Math.max(folder.uidNext, uid + 1);
    announce(mailbox, { kind: 'exists', folder });
  }
}

const FLAG_FIELDS = ['bodyless', 'unreadable'];
const VALUE_FIELDS = ['flags', 'date', 'msgid', 'thrid', 'labels', 'late'];

function fieldsFrom(args: Token[]): Map<string, Token> {
  const fields = new Map<string, Token>();
  for (let at = 0; at < args.length; at += 1) {
    const name = wordOf(args[at]);
    if (FLAG_FIELDS.includes(name)) fields.set(name, name);
    else if (VALUE_FIELDS.includes(name)) fields.set(name, args[++at] ?? '');
    else
      throw new Error(`a message has no field "${name}" (${[...VALUE_FIELDS, ...FLAG_FIELDS].join(', ')})`);
  }
  return fields;
}

function newMessage(folder: Folder, uid: number, raw: Buffer, fields: Map<string, Token>): Message {
  const date = fields.get('date');
  const list = (name: string) => (fields.has(name) ? wordsOf(fields.get(name)) : []);
  return {
    uid,
    flags: new Set(list('flags')),
    date: date === undefined ? new Date() : new Date(wordOf(date)),
    raw,
    entity: entityOf(raw),
    modseq: ++folder.highestModseq,
    msgid: wordOf(fields.get('msgid') ?? String(1_800_000_000_000_000_000n + BigInt(uid))),
    thrid: wordOf(
      fields.get('thrid') ?? fields.get('msgid') ?? String(1_800_000_000_000_000_000n + BigInt(uid)),
    ),
    labels: list('labels'),
    late: Number(fields.get('late') ?? 0),
    readable: fields.has('unreadable') ? 'nothing' : fields.has('bodyless') ? 'headers' : 'all',
  };
}

function messageOf(folder: Folder, uid: number): Message {
  const message = folder.messages.find((one) => one.uid === uid);
  if (message === undefined) throw new Error(`${folder.path} holds no message with UID ${uid}`);
  return message;
}

function expunge(mailbox: Mailbox, folder: Folder, uid: number): void {
  const index = folder.messages.indexOf(messageOf(folder, uid));
  folder.messages.splice(index, 1);
  folder.highestModseq += 1;
  announce(mailbox, { kind: 'expunge', folder, sequence: index + 1 });
}

/** RFC 3501 §2.3.1.1: with a new UIDVALIDITY every UID means something else. */
function renumber(folder: Folder, uidValidity: number): void {
  folder.uidValidity = uidValidity;
  folder.messages.forEach((message, index) => (message.uid = index + 1));
  folder.uidNext = folder.messages.length + 1;
}

function announce(mailbox: Mailbox, change: Change): void {
  for (const watcher of mailbox.watchers) watcher(change);
}
