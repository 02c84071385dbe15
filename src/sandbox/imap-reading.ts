import { fetchResponse, parseFetchQuery } from './imap-fetch.ts';
import { ImapSyntaxError, type Token } from './imap-input.ts';
import { hasFlag, search } from './imap-search.ts';
import { folderOf, messagesIn, modifier, type Commands, type Session } from './imap-session.ts';
import { createView, type View } from './imap-view.ts';
import { folderNames, type Folder, type FolderName } from './store.ts';

/** RFC 6154 attributes. */
const specialUse: Partial<Record<FolderName, string>> = {
  Sent: '\\Sent',
  Drafts: '\\Drafts',
  Archive: '\\Archive',
  Spam: '\\Junk',
  Trash: '\\Trash',
};

/** The commands that change nothing. */
export const readCommands: Commands = {
  authenticated: {
    NAMESPACE(session) {
      session.write('* NAMESPACE (("" "/")) NIL NIL');
      return 'OK done';
    },
    ENABLE(session, args) {
      const condstore = args.some((arg) => String(arg).toUpperCase() === 'CONDSTORE');
      if (condstore) session.condstore = true;
      session.write(condstore ? '* ENABLED CONDSTORE' : '* ENABLED');
      return 'OK done';
    },
    LIST: list,
    LSUB: list,
    STATUS(session, [name, items]) {
      const folder = folderOf(session, name, 'NONEXISTENT');
      const wanted = Array.isArray(items) ? items : [];
      const values = wanted.map((item) => `${String(item).toUpperCase()} ${statusOf(folder, item)}`);
      session.write(`* STATUS ${folder.name} (${values.join(' ')})`);
      return 'OK done';
    },
    SELECT: select,
    EXAMINE: select,
    async IDLE(session) {
      session.write('+ idling');
      const stop = session.view?.follow();
      const line = await session.input.line();
      stop?.();
      return line === undefined || line.toUpperCase() === 'DONE' ? 'OK done' : 'BAD expected DONE';
    },
  },
  selected: {
    CHECK: () => 'OK done',
    UNSELECT(session, view) {
      view.close();
      session.view = undefined;
      return 'OK done';
    },
    FETCH: fetch,
    'UID FETCH': fetch,
    SEARCH: searchView,
    'UID SEARCH': searchView,
  },
};

function list(session: Session, [reference, pattern]: Token[], name: string): string {
  if (typeof reference !== 'string' || typeof pattern !== 'string')
    throw new ImapSyntaxError('a reference and a pattern');
  if (pattern === '') {
    session.write(`* ${name} (\\Noselect) "/" ""`);
    return 'OK done';
  }
  const literal = (reference + pattern).replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  const matches = new RegExp(`^${literal.replace(/[*%]+/g, '.*')}$`, 'i');
  for (const folder of folderNames.filter((folder) => matches.test(folder))) {
    const attributes = ['\\HasNoChildren', specialUse[folder]].filter(Boolean).join(' ');
    session.write(`* ${name} (${attributes}) "/" ${folder}`);
  }
  return 'OK done';
}

function statusOf(folder: Folder, item: Token): number {
  switch (String(item).toUpperCase()) {
    case 'MESSAGES':
      return folder.messages.length;
    case 'RECENT':
      return 0;
    case 'UIDNEXT':
      return folder.uidNext;
    case 'UIDVALIDITY':
      return folder.uidValidity;
    case 'UNSEEN':
      return folder.messages.filter((message) => !hasFlag(message, '\\Seen')).length;
    case 'HIGHESTMODSEQ':
      return folder.modseq;
    default:
      throw new ImapSyntaxError('unknown STATUS item');
  }
}

function select(session: Session, [name, parameters]: Token[], command: string): string {
  // The folder that was selected before is closed even when this fails (RFC 3501 §6.3.1).
  session.view?.close();
  session.view = undefined;
  const folder = folderOf(session, name, 'NONEXISTENT');
  if (Array.isArray(parameters) && parameters.includes('CONDSTORE')) session.condstore = true;
  const readOnly = command === 'EXAMINE';
  const flags = '\\Answered \\Flagged \\Deleted \\Seen \\Draft';
  session.view = createView(folder, { readOnly, write: session.write, condstore: () => session.condstore });
  session.write(`* FLAGS (${flags})`);
  session.write(`* ${folder.messages.length} EXISTS`);
  session.write('* 0 RECENT');
  session.write(`* OK [PERMANENTFLAGS (${readOnly ? '' : `${flags} \\*`})] flags that are kept`);
  session.write(`* OK [UIDVALIDITY ${folder.uidValidity}] UIDs are valid`);
  session.write(`* OK [UIDNEXT ${folder.uidNext}] next UID`);
  session.write(`* OK [HIGHESTMODSEQ ${folder.modseq}] highest`);
  return `OK [${readOnly ? 'READ-ONLY' : 'READ-WRITE'}] selected`;
}

async function fetch(session: Session, view: View, args: Token[], name: string): Promise<string> {
  const byUid = name === 'UID FETCH';
  const [set, items = [], modifiers] = args;
  const query = parseFetchQuery(items);
  const since = modifier(modifiers, 'CHANGEDSINCE');
  if (byUid && !query.items.includes('UID')) query.items.unshift('UID');
  if (since !== undefined && !query.items.includes('MODSEQ')) query.items.push('MODSEQ');
  if (query.items.includes('MODSEQ')) session.condstore = true;
  for (const { message, number } of messagesIn(view, set, byUid)) {
    if (since !== undefined && message.modseq <= since) continue;
    if (query.marksSeen && !view.readOnly && !hasFlag(message, '\\Seen')) {
      session.store.setFlags(view.folder, message, [...message.flags, '\\Seen']);
    }
    const line = [Buffer.from(`* ${number} FETCH `), fetchResponse(message, query), Buffer.from('\r\n')];
    await session.send(Buffer.concat(line));
  }
  return 'OK done';
}

function searchView(session: Session, view: View, keys: Token[], name: string): string {
  const found = search(view.messages, keys);
  const numbers = found.map(({ message, number }) => (name === 'UID SEARCH' ? message.uid : number));
  const byModseq = keys.some((key) => typeof key === 'string' && key.toUpperCase() === 'MODSEQ');
  // A search by mod-sequence ends with the highest one found (RFC 7162 §3.1.5).
  const highest = Math.max(0, ...found.map(({ message }) => message.modseq));
  session.write(
    ['* SEARCH', ...numbers, ...(byModseq && highest > 0 ? [`(MODSEQ ${highest})`] : [])].join(' '),
  );
  return 'OK done';
}
