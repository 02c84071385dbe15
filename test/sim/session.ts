import { Failure } from '../../src/lib/failure.ts';
import type { Listed, Observed, Standing } from '../../src/mailbox/plan.ts';
import type { Seen } from '../../src/mailbox/seen.ts';
import type { Login, Session, SessionOptions } from '../../src/mailbox/session.ts';
import { closeLine, connectionClosed, mark } from './provider.ts';
import type { Box, Copy, Folder, Line } from './provider.ts';

/** Says that a call is made, and lets happen what is to happen then. */
type OnCall = () => Promise<void>;

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
  const messages = copies.length;
  return { ...observed(folder), signature: `${uidNext} ${messages} ${unseen}`, messages };
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
