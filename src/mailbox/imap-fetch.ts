import type {
  FetchMessageObject,
  FetchQueryObject,
  ImapFlow,
  MessageStructureObject,
  SearchObject,
} from 'imapflow';
import type { StructurePart } from '../message/attachment-limits.ts';
import { readHeader } from '../message/header.ts';
import type { Ability } from './change-plan.ts';
import { tooLong } from './imap-errors.ts';
import type { Seen } from './seen.ts';
import type { Changes } from './session.ts';

/* How a session asks imapflow for messages, and what it makes of the rows. */

/** See Session.headers. */
export async function fetchHeaders(
  client: ImapFlow,
  uids: string,
  { gmail, onWhole, onOthers }: { gmail: boolean; onWhole: (() => void) | undefined; onOthers(): void },
): Promise<Seen[]> {
  // No BODYSTRUCTURE: of a message that is stored and large it is asked for by itself (L1), and imapflow (2.10.2) takes a quarter of a second, in one go,
  // to read that of a mail with 20,000 parts.
  // And the header whole: every field that is asked for by name costs imapflow 5 µs for each message, so that
  // the two dozen that count take twice as long as all of them do.
  const query = { ...markQuery(gmail), headers: true };
  const found = await client.fetchAll(uids, query, { uid: true });
  // Servers slip in rows of other messages whose flags have changed (RFC 9051 §7.5.2).
  const rows = found.filter((row) => row.headers !== undefined);
  if (rows.length < found.length) onOthers();
  const last = Math.max(0, ...rows.map((row) => row.seq));
  if (client.mailbox !== false && last >= client.mailbox.exists) onWhole?.();
  return seenOf(rows, gmail);
}

/** See Session.marks. */
export async function fetchMarks(client: ImapFlow, uids: string, gmail: boolean): Promise<Seen[]> {
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

function marksOf(message: FetchMessageObject): Set<string> {
  return new Set([...(message.flags ?? []), ...(message.labels ?? [])].map((mark) => mark.toLowerCase()));
}

function seen(message: FetchMessageObject, gmail: boolean): Seen {
  return {
    uid: message.uid,
    header: message.headers ?? Buffer.alloc(0),
    internalDate: new Date(message.internalDate ?? Number.NaN).getTime(),
    size: message.size ?? 0,
    marks: marksOf(message),
    gmail:
      gmail && message.emailId !== undefined
        ? { messageId: message.emailId, threadId: message.threadId ?? message.emailId }
        : null,
  };
}

/** See Session.bodies. */
export async function fetchBodies(client: ImapFlow, uids: readonly number[]): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  if (uids.length === 0) return found;
  for await (const message of client.fetch(uids.join(','), { uid: true, source: true }, { uid: true })) {
    // Exchange answers OK without data for an item that it cannot convert (providers.md B.4).
    if (message.source !== undefined && message.source.length > 0) found.set(message.uid, message.source);
  }
  return found;
}

/** See Session.structures. */
export async function fetchStructures(
  client: ImapFlow,
  uids: readonly number[],
): Promise<Map<number, StructurePart[]>> {
  const found = await client.fetchAll(uids.join(','), { uid: true, bodyStructure: true }, { uid: true });
  return new Map(
    found.flatMap(({ uid, bodyStructure }) =>
      bodyStructure === undefined ? [] : [[uid, partsOf(bodyStructure)]],
    ),
  );
}

/** What a mail that is attached consists of is no part of the one that it is attached to. */
function partsOf(node: MessageStructureObject): StructurePart[] {
  if (node.type.startsWith('multipart/')) return (node.childNodes ?? []).flatMap(partsOf);
  const { type, encoding = '', size = 0, disposition, id } = node;
  return [{ type, encoding, size, disposition: disposition ?? null, hasId: id !== undefined && id !== '' }];
}

/** How the server tells of changes in the open folder. */
export function abilityOf(client: ImapFlow): Ability {
  if (modseqOf(client) === null) return 'plain';
  return client.enabled.has('QRESYNC') ? 'qresync' : 'condstore';
}

/** See Session.modseq. */
export function modseqOf(client: ImapFlow): string | null {
  const { mailbox } = client;
  if (mailbox === false || !client.enabled.has('CONDSTORE')) return null;
  return mailbox.highestModseq?.toString() ?? null;
}

/**
 * A server that has forgotten what it expunged names every UID that is not there (RFC 7162 §3.2.10): in a folder with
 * many messages behind it, millions.
 */
const goneMax = 4_000_000;

/** See Session.changes. */
export async function fetchChanges(
  client: ImapFlow,
  uids: string,
  { since, gmail, onOthers }: { since: string | null; gmail: boolean; onOthers(): void },
): Promise<Changes> {
  const there = new Map<number, Set<string>>();
  const gone: number[] = [];
  const note = ({ uid }: { uid?: number }) => {
    if (uid !== undefined && gone.length <= goneMax) gone.push(uid);
  };
  const query = { uid: true, flags: true, ...(gmail ? { labels: true } : {}) };
  client.on('expunge', note);
  try {
    const only = since === null ? {} : { changedSince: BigInt(since) };
    for await (const message of client.fetch(uids, query, { uid: true, ...only })) {
      const { uid, flags } = message as Partial<FetchMessageObject>;
      // A notice that slips in between need not name its UID (RFC 9051 §7.5.2). Of two rows the last one is true.
      if (uid === undefined || (gmail && message.labels === undefined)) onOthers();
      else if (flags !== undefined) there.set(uid, marksOf(message));
    }
  } finally {
    client.off('expunge', note);
  }
  if (gone.length > goneMax) throw tooLong();
  return { there: [...there].map(([uid, marks]) => ({ uid, marks })), gone };
}

/** What to search for; all of what is given must be true. Times are ms since the epoch, `before` not included. */
export type Query = {
  since?: number;
  before?: number;
  people?: readonly string[];
  messageIds?: readonly string[];
};

/** As imapflow wants it. Pure. */
export function searchOf({ since, before, people, messageIds }: Query): SearchObject {
  const either = [
    ...(people ?? []).flatMap((address) => [{ from: address }, { to: address }, { cc: address }]),
    // A server finds what contains the text: without its brackets, the id `example.com` is in half of all mail.
    ...(messageIds ?? []).map((id) => ({ header: { 'message-id': `<${id}>` } })),
  ];
  const [only] = either;
  return {
    ...(since === undefined ? {} : { since: new Date(since) }),
    ...(before === undefined ? {} : { before: new Date(before) }),
    ...(either.length > 1 ? { or: either } : only),
  };
}

/** Those of the wanted Message-IDs that messages have: SEARCH looks for parts of a header's value. */
export async function fetchMessageIds(
  client: ImapFlow,
  uids: readonly number[],
  wanted: ReadonlySet<string>,
): Promise<Set<string>> {
  const rows = await client.fetchAll(uids.join(','), { uid: true, headers: ['message-id'] }, { uid: true });
  const ids = rows.flatMap(({ headers }) =>
    headers === undefined ? [] : (readHeader(headers).messageId ?? []),
  );
  return new Set(ids.filter((id) => wanted.has(id)));
}
