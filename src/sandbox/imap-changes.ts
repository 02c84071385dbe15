import { ImapSyntaxError, type Token } from './imap-input.ts';
import { hasFlag } from './imap-search.ts';
import { folderOf, ImapRefusal, messagesIn, modifier, type Commands, type Session } from './imap-session.ts';
import { flagsOf, type View } from './imap-view.ts';
import type { Folder, Message } from './store.ts';

/** The commands that change mail. */
export const changeCommands: Commands = {
  authenticated: { APPEND: append },
  selected: {
    STORE: store,
    'UID STORE': store,
    COPY: copy,
    'UID COPY': copy,
    MOVE: move,
    'UID MOVE': move,
    EXPUNGE: expunge,
    'UID EXPUNGE': expunge,
    CLOSE(session, view) {
      if (!view.readOnly) session.store.expunge(view.folder, view.messages.filter(isDeleted));
      view.close();
      session.view = undefined;
      return 'OK done';
    },
  },
};

function append(session: Session, args: Token[]): string {
  const folder = folderOf(session, args[0], 'TRYCREATE');
  const raw = args.at(-1);
  const between = args.slice(1, -1);
  const flags = between.find(Array.isArray) ?? [];
  const date = between.find((arg) => typeof arg === 'string');
  const receivedAtMs = date === undefined ? undefined : Date.parse(date.trim());
  if (args.length < 2 || typeof raw !== 'string') throw new ImapSyntaxError('APPEND wants a message');
  if (Number.isNaN(receivedAtMs)) throw new ImapSyntaxError('not a date');
  const message = session.store.append(folder, Buffer.from(raw, 'latin1'), {
    flags: flags.map(String),
    ...(receivedAtMs === undefined ? {} : { receivedAtMs }),
  });
  return `OK [APPENDUID ${folder.uidValidity} ${message.uid}] done`;
}

function store(session: Session, view: View, args: Token[], name: string): string {
  refuseReadOnly(view);
  const unchangedSince = modifier(args[1], 'UNCHANGEDSINCE');
  const [set, action, list] = unchangedSince === undefined ? args : [args[0], ...args.slice(2)];
  const parsed = /^([+-]?)FLAGS(\.SILENT)?$/i.exec(String(action));
  if (!parsed || list === undefined) throw new ImapSyntaxError('unknown STORE action');
  if (unchangedSince !== undefined) session.condstore = true;
  const flags = (Array.isArray(list) ? list : [list]).map(String);
  const byUid = name === 'UID STORE';
  view.announce({ expunges: false });
  const modified: number[] = [];
  for (const { message, number } of messagesIn(view, set, byUid)) {
    if (unchangedSince !== undefined && message.modseq > unchangedSince) {
      modified.push(byUid ? message.uid : number);
      continue;
    }
    session.store.setFlags(view.folder, message, changedFlags(message, parsed[1] ?? '', flags));
    // Even a silent STORE tells the new mod-sequence to who wants it (RFC 7162 §3.1.3).
    if (parsed[2] === undefined || session.condstore) {
      session.write(`* ${number} FETCH ${flagsOf(message, session.condstore)}`);
    }
  }
  view.caughtUp();
  return modified.length > 0 ? `OK [MODIFIED ${modified.join(',')}] some have changed since` : 'OK done';
}

function changedFlags(message: Message, sign: string, flags: string[]): string[] {
  const named = (flag: string) => flags.some((other) => other.toLowerCase() === flag.toLowerCase());
  if (sign === '') return flags;
  const others = message.flags.filter((flag) => !named(flag));
  return sign === '+' ? [...others, ...flags] : others;
}

function copy(session: Session, view: View, [set, destination]: Token[], name: string): string {
  const target = folderOf(session, destination, 'TRYCREATE');
  const code = copyAll(session, target, messagesIn(view, set, name === 'UID COPY'));
  return `OK ${code} done`;
}

function move(session: Session, view: View, [set, destination]: Token[], name: string): string {
  refuseReadOnly(view);
  const target = folderOf(session, destination, 'TRYCREATE');
  const moved = messagesIn(view, set, name === 'UID MOVE');
  const code = copyAll(session, target, moved);
  // The new UIDs come before the expunges (RFC 6851 §4.3).
  if (moved.length > 0) session.write(`* OK ${code} moved`);
  session.store.expunge(
    view.folder,
    moved.map(({ message }) => message),
  );
  return 'OK done';
}

/** Copies and gives the response code that pairs old UIDs with new ones (RFC 4315 §3), empty where nothing matched. */
function copyAll(session: Session, target: Folder, found: { message: Message }[]): string {
  const copies = found.map(({ message: { raw, flags, receivedAtMs } }) =>
    session.store.append(target, raw, { flags, receivedAtMs }),
  );
  if (copies.length === 0) return '';
  const from = found.map(({ message }) => message.uid).join(',');
  return `[COPYUID ${target.uidValidity} ${from} ${copies.map(({ uid }) => uid).join(',')}]`;
}

function expunge(session: Session, view: View, [set]: Token[], name: string): string {
  refuseReadOnly(view);
  const within =
    name === 'UID EXPUNGE' ? messagesIn(view, set, true).map(({ message }) => message) : view.messages;
  session.store.expunge(view.folder, within.filter(isDeleted));
  return 'OK done';
}

function isDeleted(message: Message): boolean {
  return hasFlag(message, '\\Deleted');
}

function refuseReadOnly(view: View): void {
  if (view.readOnly) throw new ImapRefusal('NO [READ-ONLY] opened with EXAMINE');
}
