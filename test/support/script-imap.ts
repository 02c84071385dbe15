import { fetchItems, fetchRow, inSet, searchMatcher, visible } from './script-fetch.ts';
import {
  changeMailbox,
  moveMessage,
  setFlags,
  type Change,
  type Folder,
  type Message,
} from './script-mailbox.ts';
import { secretOf, type ClientLine, type Session } from './script-session.ts';
import { quoted, tokensOf, wordOf, wordsOf, type Token } from './script-tokens.ts';

/** The peer's own IMAP server on one connection. */
export type ImapAnswers = {
  /** Answers a command. False: it does not know that one. */
  answer(line: ClientLine): Promise<boolean>;
  /** Told of what the script answers itself, so that an IDLE is known of. */
  note(text: string): void;
  /** Nothing is announced until the next IDLE. */
  silence(): void;
  stop(): void;
};

type State = {
  loggedIn: boolean;
  selected: Folder | undefined;
  readOnly: boolean;
  condstore: boolean;
  idleTag: string | undefined;
  silent: boolean;
  /** What happened in the selected folder and was not announced yet. */
  unannounced: string[];
};

type Answer = (tag: string, args: Token[]) => void | Promise<void>;

/** Ends the command of a tag. */
type Done = (tag: string, text: string) => void;

/** Starts the answers of one connection. */
export function imapAnswers(session: Session): ImapAnswers {
  const state: State = {
    loggedIn: false,
    selected: undefined,
    readOnly: false,
    condstore: false,
    idleTag: undefined,
    silent: false,
    unannounced: [],
  };
  const watch = (change: Change) => {
    if (change.folder !== state.selected) return;
    state.unannounced.push(changeText(change));
    if (state.idleTag !== undefined && !state.silent) announce(session, state);
  };
  session.mailbox.watchers.add(watch);
  const commands = { ...sessionCommands(session, state), ...mailCommands(session, state) };
  return {
    async answer(line) {
      if (line.text === 'DONE' && state.idleTag !== undefined) {
        const tag = state.idleTag;
        state.idleTag = undefined;
        state.silent = false;
        complete(session, state, tag, 'OK IDLE terminated');
        return true;
      }
      const [tag, first, ...rest] = tokensOf(line.text, line.literals);
      if (typeof tag !== 'string' || typeof first !== 'string') return false;
      const twoWords = first.toUpperCase() === 'UID';
      const name = (twoWords ? `UID ${wordOf(rest[0])}` : first).toUpperCase();
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      await command?.(tag, twoWords ? rest.slice(1) : rest);
      return command !== undefined;
    },
    note(text) {
      const idle = /^(\S+) IDLE$/i.exec(text);
      if (idle !== null) state.silent = false;
      if (idle !== null || text === 'DONE') state.idleTag = idle?.[1];
    },
    silence: () => (state.silent = true),
    stop: () => session.mailbox.watchers.delete(watch),
  };
}

/** What tells an open connection of a change, as far as it can be said without the folder's next state. */
function changeText(change: Change): string {
  if (change.kind === 'exists') return `* ${change.folder.messages.length} EXISTS`;
  if (change.kind === 'expunge') return `* ${change.sequence} EXPUNGE`;
  const { folder, message } = change;
  return `* ${folder.messages.indexOf(message) + 1} FETCH (UID ${message.uid} FLAGS (${[...message.flags].join(' ')}))`;
}

function announce(session: Session, state: State): void {
  session.send(...state.unannounced.splice(0));
}

/** Ends a command; what happened meanwhile is told before (RFC 3501 §7). */
function complete(session: Session, state: State, tag: string, text: string): void {
  announce(session, state);
  session.send(`${tag} ${text}`);
}

function sessionCommands(session: Session, state: State): Record<string, Answer> {
  const done: Done = (tag, text) => complete(session, state, tag, text);
  const capabilities = () => {
    const { capabilities: first, capabilitiesAfterLogin: later } = session.script;
    const offered = state.loggedIn ? (later ?? first) : first;
    return session.offersStartTls() ? offered : offered.replace(/ STARTTLS\b/, '');
  };
  const enter = async (tag: string, secret: string) => {
    if (session.mayEnter(secret)) {
      state.loggedIn = true;
      done(tag, 'OK logged in');
    } else if (!(await session.playRefusal())) done(tag, 'NO [AUTHENTICATIONFAILED] Invalid credentials');
  };
  return {
    CAPABILITY: (tag) => {
      session.send(`* CAPABILITY ${capabilities()}`);
      done(tag, 'OK done');
    },
    NOOP: (tag) => done(tag, 'OK done'),
    CHECK: (tag) => done(tag, 'OK done'),
    ID: (tag) => {
      session.send('* ID ("name" "scripted peer")');
      done(tag, 'OK done');
    },
    NAMESPACE: (tag) => {
      session.send('* NAMESPACE (("" "/")) NIL NIL');
      done(tag, 'OK done');
    },
    // Compression would change nothing that a transcript is about, and would hide the bytes.
    COMPRESS: (tag) => done(tag, 'NO not here'),
    ENABLE: (tag, args) => {
      const offered = capabilities().split(' ');
      const enabled = args.map(wordOf).filter((one) => offered.includes(one));
      state.condstore ||= enabled.includes('CONDSTORE');
      session.send(`* ENABLED ${enabled.join(' ')}`);
      done(tag, 'OK done');
    },
    STARTTLS: (tag) => {
      done(tag, 'OK begin');
      session.startTls();
    },
    LOGIN: (tag, args) => enter(tag, wordOf(args[1])),
    AUTHENTICATE: async (tag, args) => {
      let response = args[1];
      if (response === undefined) {
        session.send('+ ');
        response = (await session.nextLine()).text;
      }
      await enter(tag, secretOf(wordOf(response)));
    },
    IDLE: (tag) => {
      state.idleTag = tag;
      state.silent = false;
      session.send('+ idling');
      announce(session, state);
    },
    LOGOUT: (tag) => {
      session.send('* BYE see you');
      done(tag, 'OK done');
      session.close();
    },
  };
}

function mailCommands(session: Session, state: State): Record<string, Answer> {
  const done: Done = (tag, text) => complete(session, state, tag, text);
  const open =
    (readOnly: boolean) =>
    (tag: string, args: Token[]): void => {
      state.selected = session.mailbox.folders.get(wordOf(args[0]));
      state.readOnly = readOnly;
      state.unannounced = [];
      if (state.selected === undefined) return done(tag, 'NO [NONEXISTENT] no such folder');
      session.send(...openingLines(state.selected, state, JSON.stringify(args).includes('CONDSTORE')));
      done(tag, readOnly ? 'OK [READ-ONLY] done' : 'OK [READ-WRITE] done');
    };
  const close = (tag: string) => {
    state.selected = undefined;
    done(tag, 'OK done');
  };
  const list = (name: 'LIST' | 'LSUB') => (tag: string, args: Token[]) => {
    session.send(...listLines(session, name, args));
    done(tag, 'OK done');
  };
  return {
    SELECT: open(false),
    EXAMINE: open(true),
    CLOSE: close,
    UNSELECT: close,
    LIST: list('LIST'),
    LSUB: list('LSUB'),
    STATUS: (tag, args): void => {
      const folder = session.mailbox.folders.get(wordOf(args[0]));
      if (folder === undefined) return done(tag, 'NO [NONEXISTENT] no such folder');
      session.send(statusLine(folder, wordsOf(args[1])));
      done(tag, 'OK done');
    },
    ...messageCommands(session, state, done),
  };
}

function messageCommands(session: Session, state: State, done: Done): Record<string, Answer> {
  const chosen = (set: Token | undefined, byUid: boolean) => (message: Message, sequence: number) =>
    byUid
      ? inSet(wordOf(set), message.uid, state.selected?.messages.at(-1)?.uid ?? 0)
      : inSet(wordOf(set), sequence, state.selected?.messages.length ?? 0);
  const fetch =
    (byUid: boolean) =>
    (tag: string, args: Token[]): void => {
      if (state.selected === undefined) return done(tag, 'BAD no folder is open');
      const items = fetchItems(args[1]);
      if (byUid && !items.includes('UID')) items.unshift('UID');
      const since = Array.isArray(args[2]) ? Number(args[2][1]) : 0;
      const asked = chosen(args[0], byUid);
      for (const [message, sequence] of visible(state.selected, asked)) {
        const row = message.modseq > since ? fetchRow(message, sequence, items) : undefined;
        if (row !== undefined) session.send(row);
      }
      done(tag, 'OK done');
    };
  const search =
    (byUid: boolean) =>
    (tag: string, args: Token[]): void => {
      if (state.selected === undefined) return done(tag, 'BAD no folder is open');
      session.send(searchLine(state.selected, tag, byUid, args));
      done(tag, 'OK done');
    };
  const store =
    (byUid: boolean) =>
    (tag: string, args: Token[]): void => {
      const folder = state.selected;
      if (folder === undefined || state.readOnly) return done(tag, 'NO the folder is not open for writing');
      const [, sign, silent] = /^([+-]?)FLAGS(\.SILENT)?$/i.exec(wordOf(args[1])) ?? [];
      if (sign === undefined) return done(tag, 'BAD only flags can be stored here');
      const given = wordsOf(args[2]);
      for (const [message] of visible(folder, chosen(args[0], byUid))) {
        const kept = [...message.flags].filter((flag) => !given.includes(flag));
        const flags = sign === '' ? given : sign === '+' ? [...kept, ...given] : kept;
        setFlags(session.mailbox, folder, message.uid, flags);
        if (silent !== undefined) state.unannounced.pop();
      }
      done(tag, 'OK done');
    };
  const move = (tag: string, args: Token[]): void => {
    const folder = state.selected;
    const to = session.mailbox.folders.get(wordOf(args[1]));
    if (folder === undefined || state.readOnly) return done(tag, 'NO the folder is not open for writing');
    if (to === undefined) return done(tag, 'NO [TRYCREATE] no such folder');
    for (const [message] of visible(folder, chosen(args[0], true))) {
      moveMessage(session.mailbox, folder, message.uid, to);
    }
    done(tag, 'OK done');
  };
  const append = (tag: string, args: Token[]): void => {
    const folder = session.mailbox.folders.get(wordOf(args[0]));
    if (folder === undefined) return done(tag, 'NO [TRYCREATE] no such folder');
    const uid = folder.uidNext;
    const flags = `flags (${wordsOf(args[1]).join(' ')}) date ${quoted(wordOf(args[2]))}`;
    changeMailbox(
      session.mailbox,
      'deliver',
      tokensOf(`${quoted(folder.path)} ${flags}`),
      Buffer.from(wordOf(args[3])),
    );
    done(tag, `OK [APPENDUID ${folder.uidValidity} ${uid}] done`);
  };
  return {
    APPEND: append,
    'UID MOVE': move,
    FETCH: fetch(false),
    'UID FETCH': fetch(true),
    SEARCH: search(false),
    'UID SEARCH': search(true),
    STORE: store(false),
    'UID STORE': store(true),
  };
}

function searchLine(folder: Folder, tag: string, byUid: boolean, args: Token[]): string {
  const keys = [...args];
  const isEsearch = keys[0] === 'RETURN';
  const wanted = isEsearch ? wordsOf(keys.splice(0, 2)[1]) : [];
  if (keys[0] === 'CHARSET') keys.splice(0, 2);
  const found = visible(folder, searchMatcher(folder, keys)).map(([message, sequence]) =>
    byUid ? message.uid : sequence,
  );
  if (!isEsearch) return ['* SEARCH', ...found].join(' ');
  const results = { COUNT: found.length, MIN: found[0], MAX: found.at(-1), ALL: found.join(',') };
  const shown = Object.entries(results).filter(
    ([name, value]) => wanted.includes(name) && value !== undefined,
  );
  const text = shown.filter(([, value]) => value !== '').map(([name, value]) => `${name} ${value}`);
  return [`* ESEARCH (TAG ${quoted(tag)})`, ...(byUid ? ['UID'] : []), ...text].join(' ');
}

function openingLines(folder: Folder, state: State, condstore: boolean): string[] {
  state.condstore ||= condstore;
  return [
    '* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)',
    `* ${folder.messages.length} EXISTS`,
    '* 0 RECENT',
    '* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)] flags',
    `* OK [UIDVALIDITY ${folder.uidValidity}] this folder`,
    ...(folder.tellsUidNext ? [`* OK [UIDNEXT ${folder.uidNext}] next`] : []),
    ...(state.condstore ? [`* OK [HIGHESTMODSEQ ${folder.highestModseq}] changes`] : []),
  ];
}

function listLines(session: Session, name: 'LIST' | 'LSUB', args: Token[]): string[] {
  const pattern = `${wordOf(args[0])}${wordOf(args[1])}`;
  if (pattern === '') return [`* ${name} (\\Noselect) "/" ""`];
  const source = pattern.replace(/[^\w\s]/g, (sign) =>
    sign === '*' ? '.*' : sign === '%' ? '[^/]*' : `\\${sign}`,
  );
  const expression = new RegExp(`^${source}$`);
  const returned = args[2] === 'RETURN' && Array.isArray(args[3]) ? args[3] : [];
  const status = returned[returned.indexOf('STATUS') + 1];
  const subscribed = returned.includes('SUBSCRIBED') ? ['\\Subscribed'] : [];
  return [...session.mailbox.folders.values()].flatMap((folder) => {
    if (!expression.test(folder.path)) return [];
    const attributes = ['\\HasNoChildren', ...folder.attributes, ...subscribed].join(' ');
    const line = `* ${name} (${attributes}) "/" ${quoted(folder.path)}`;
    return returned.includes('STATUS') ? [line, statusLine(folder, wordsOf(status))] : [line];
  });
}

function statusLine(folder: Folder, items: string[]): string {
  const values: Record<string, number> = {
    MESSAGES: folder.messages.length,
    RECENT: 0,
    UIDNEXT: folder.uidNext,
    UIDVALIDITY: folder.uidValidity,
    UNSEEN: folder.messages.filter((message) => !message.flags.has('\\Seen')).length,
    HIGHESTMODSEQ: folder.highestModseq,
  };
  const shown = items.map((item) => `${item} ${values[item] ?? 0}`);
  return `* STATUS ${quoted(folder.path)} (${shown.join(' ')})`;
}

/** The folder that a command opens, where it is one that does. */
export function openedFolder(text: string): string | undefined {
  if (!/^\S+ (SELECT|EXAMINE) /i.test(text)) return undefined;
  return wordOf(tokensOf(text)[2]);
}
