import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { startListener } from '../../src/mailbox/listener.ts';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { fetchItems, fetchRow } from '../support/script-fetch.ts';
import { entityOf } from '../support/script-mail.ts';
import type { Message } from '../support/script-mailbox.ts';
import { tokensOf, wordOf } from '../support/script-tokens.ts';
import type { Token } from '../support/script-tokens.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, decisionsOf, depsFor } from './listening.ts';
import type { Scene } from './listening.ts';

/* S14: an inbox of two million messages, whose server makes up what it is asked for, and refuses to tell of many. */

const total = 2_000_000;

/** Of so many messages nobody needs to hear at once. */
const rowsMax = 1_000;

type Vast = {
  port: number;
  deliver(raw: string): void;
  /** What was asked, and asked for more than is good. */
  excesses: string[];
  /** Bytes that the server has said. */
  said(): number;
  stop(): Promise<void>;
};

type Inbox = { tellsUidNext: boolean; last: number; delivered: Map<number, Message> };

async function startVast(tellsUidNext: boolean): Promise<Vast> {
  const inbox: Inbox = { tellsUidNext, last: total, delivered: new Map() };
  const excesses: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.write('* OK ready\r\n');
    let idleTag: string | null = null;
    const lines = createInterface({ input: socket });
    // The client goes when it is done; readline tells of the socket's errors as its own, too.
    for (const each of [socket, lines]) each.on('error', () => socket.destroy());
    lines.on('line', (line) => {
      const [tag, ...words] = tokensOf(line);
      if (line === 'DONE') socket.write(`${idleTag} OK done\r\n`);
      else if (words[0] === 'IDLE') socket.write('+ idling\r\n');
      else {
        const answer = answerTo(inbox, words);
        if (answer === null) excesses.push(line);
        socket.write(answer === null ? `${wordOf(tag)} NO too many\r\n` : Buffer.concat(answer.map(bytesOf)));
        if (answer !== null) socket.write(`${wordOf(tag)} OK done\r\n`);
      }
      idleTag = words[0] === 'IDLE' ? wordOf(tag) : null;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    deliver(raw) {
      inbox.last += 1;
      inbox.delivered.set(inbox.last, messageOf(inbox.last, new Date(), raw));
      for (const socket of sockets) socket.write(`* ${inbox.last} EXISTS\r\n`);
    },
    excesses,
    said: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Part of an answer: a line without its end, or a literal within one. */
type Part = string | Buffer;

function bytesOf(part: Part): Buffer {
  return typeof part === 'string'
    ? Buffer.from(part)
    : Buffer.concat([Buffer.from(`{${part.length}}\r\n`), part]);
}

/** Null: more is asked for than is good. */
function answerTo(inbox: Inbox, words: readonly Token[]): Part[] | null {
  const name = words[0] === 'UID' ? `UID ${wordOf(words[1])}` : wordOf(words[0]);
  switch (name) {
    case 'CAPABILITY':
      return ['* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE SPECIAL-USE UIDPLUS\r\n'];
    case 'LIST':
      return [`* LIST (\\HasNoChildren) "/" ${words[2] === '' ? '""' : 'INBOX'}\r\n`];
    case 'EXAMINE':
      return [
        `* ${inbox.last} EXISTS\r\n* OK [UIDVALIDITY 7] this folder\r\n`,
        inbox.tellsUidNext ? `* OK [UIDNEXT ${inbox.last + 1}] next\r\n` : '',
      ];
    case 'UID SEARCH': {
      // What is there already was received long ago.
      const [key, set] = [wordOf(words[2]), wordOf(words[3])];
      const found = key === 'SINCE' ? [...inbox.delivered.keys()] : key === 'UID' ? uidsOf(inbox, set) : null;
      return found === null ? null : [`* SEARCH ${found.join(' ')}\r\n`];
    }
    case 'UID FETCH': {
      const items = fetchItems(words[3]);
      const uids = uidsOf(inbox, wordOf(words[2]));
      return uids === null ? null : uids.flatMap((uid) => row(inbox, uid, items));
    }
    case 'FETCH':
    case 'SEARCH':
      return null;
    default:
      return [];
  }
}

function row(inbox: Inbox, uid: number, items: string[]): Part[] {
  const old = `From: <no-${uid}@old.example>\r\nMessage-ID: <old-${uid}@old.example>\r\n\r\nOld.\r\n`;
  const message = inbox.delivered.get(uid) ?? messageOf(uid, new Date('2026-01-02T09:00:00Z'), old);
  return [...(fetchRow(message, uid, items) ?? []), '\r\n'];
}

function messageOf(uid: number, date: Date, text: string): Message {
  const raw = Buffer.from(text);
  const gmail = { msgid: String(uid), thrid: String(uid), labels: [] };
  return {
    uid,
    date,
    raw,
    entity: entityOf(raw),
    ...gmail,
    flags: new Set(),
    modseq: 1,
    late: 0,
    readable: 'all',
  };
}

/** Those of a set; null: too many. */
function uidsOf({ last }: Inbox, set: string): number[] | null {
  const uids: number[] = [];
  for (const range of set.split(',')) {
    const [one = 0, other = one] = range.split(':').map((end) => (end === '*' ? last : Number(end)));
    const [from, to] = [Math.min(one, other), Math.min(last, Math.max(one, other))];
    if (to - from >= rowsMax) return null;
    for (let uid = from; uid <= to; uid += 1) uids.push(uid);
  }
  return uids;
}

const letter = (id: string) =>
  `From: <ann@customer.example>\r\nTo: <user@company.example>\r\nSubject: ${id}\r\nMessage-ID: <${id}@customer.example>\r\n\r\nText.\r\n`;

let database: TestDatabase;
let scene: Scene;
before(async () => {
  database = await testDatabase('pglite');
  scene = await createScene(database.db);
});
after(() => database.drop());

describe('S14: an inbox of two million messages', () => {
  for (const [name, tellsUidNext] of [
    ['the server tells UIDNEXT', true],
    ['the server does not', false],
  ] as const) {
    test(`what is new is stored within seconds, and nobody asks for what was there before: ${name}`, async () => {
      const vast = await startVast(tellsUidNext);
      const { mailboxId } = await scene.person();
      const imap = { host: '127.0.0.1', port: vast.port, security: 'none' as const };
      const deps = depsFor({ world: scene.world, clock: createManualClock(Date.now()), imap });
      const stored = (...uids: number[]) =>
        waitFor(
          `stored: ${uids.join()}`,
          async () =>
            (await decisionsOf(database.db, mailboxId)).join() ===
            uids.map((uid) => `inbox ${uid} stored from_contact`).join(),
          { deadlineMs: 5_000 },
        );
      let listener = startListener(deps, mailboxId);
      try {
        await waitFor('the first look', async () => (await begunAt(mailboxId)) === String(total));
        vast.deliver(letter(`first-${name.length}`));
        await stored(total + 1);
        await listener.stop();
        vast.deliver(letter(`second-${name.length}`));
        listener = startListener(deps, mailboxId);
        await stored(total + 1, total + 2);
        assert.deepEqual(vast.excesses, []);
        assert.ok(vast.said() < 20_000, `${vast.said()} bytes were asked for`);
      } finally {
        await listener.stop();
        await vast.stop();
      }
    });
  }
});

/** Up to which UID the inbox counts as judged. */
async function begunAt(mailboxId: string): Promise<string | undefined> {
  const found = await rows<{ at: string }>(
    database.db,
    'select cursor_uid::text as at from folders where mailbox_id = :mailboxId',
    { mailboxId },
  );
  return found[0]?.at;
}
