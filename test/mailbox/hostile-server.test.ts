import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Failure } from '../../src/lib/failure.ts';
import { sessionLimits } from '../../src/mailbox/answer-limits.ts';
import type { SessionLimits } from '../../src/mailbox/answer-limits.ts';
import { openSession } from '../../src/mailbox/session.ts';
import type { Session } from '../../src/mailbox/session.ts';

/*
 * A server that means harm, or has lost its mind: it answers without end. What it may cost us are bounds of
 * memory and of time, and then a failure of that one connection (C5).
 */

const limits: SessionLimits = {
  ...sessionLimits,
  silenceMs: 500,
  loginMs: 700,
  answerMs: 700,
  bodiesMs: 700,
  answerBytesMax: 8 * 1024 * 1024,
  literalBytesMax: 6 * 1024 * 1024,
  responseBytesMax: 7 * 1024 * 1024,
  lineBytesMax: 1024 * 1024,
};

/** What memory may grow by at most while such an answer comes: what it may be long, some copies of it, and garbage. */
const grownBytesMax = 200 * 1024 * 1024;
const endMsMax = 8_000;
/** How long everything else may wait, of this thread's own time, which the server's part is in. */
const busyMsMax = 1_000;

/** Says something, and resolves with false when nobody listens any more. */
type Say = (text: string) => Promise<boolean>;

/** Again and again, for as long as somebody listens. */
const forEver =
  (text: (n: number) => string, everyMs = 0) =>
  async (say: Say): Promise<void> => {
    for (let n = 1; await say(text(n)); n += 1) if (everyMs > 0) await wait(everyMs);
  };

const times = (count: number, text: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => text(n + 1)).join('');

type Row = {
  name: string;
  /** At which command. */
  at: string;
  does(say: Say): Promise<unknown>;
  code: RegExp;
};

const tooLong = /^answer_too_long$/;
const tooSlow = /^answer_too_slow$/;
/** What comes so fast may be past either bound first. */
const either = /^answer_too_(long|slow)$/;

const table: Row[] = [
  {
    name: 'a line without end',
    at: 'LIST',
    does: forEver(() => 'x'.repeat(16_384)),
    code: tooLong,
  },
  {
    name: 'folders without end',
    at: 'LIST',
    does: forEver((n) => times(200, (m) => `* LIST () "/" "F${n}-${m}"\r\n`)),
    code: either,
  },
  {
    name: 'a folder every 20 ms',
    at: 'LIST',
    does: forEver((n) => `* LIST () "/" F${n}\r\n`, 20),
    code: tooSlow,
  },
  { name: 'a byte every 20 ms', at: 'LIST', does: forEver(() => 'x', 20), code: tooSlow },
  {
    name: 'small talk without end',
    at: 'EXAMINE',
    does: forEver(() => times(200, () => '* OK still here\r\n')),
    code: either,
  },
  {
    name: 'arrivals without end',
    at: 'EXAMINE',
    does: forEver((n) => times(200, (m) => `* ${n * 200 + m} EXISTS\r\n`)),
    code: either,
  },
  {
    name: 'lists of UIDs without end',
    at: 'UID SEARCH',
    does: forEver((n) => `* SEARCH ${times(500, (m) => `${n * 500 + m} `)}\r\n`),
    code: either,
  },
  {
    name: 'all UIDs that there could be, again and again',
    at: 'UID SEARCH',
    does: forEver(() => '* ESEARCH (TAG "x") UID ALL 1:4294967295\r\n', 20),
    code: tooSlow,
  },
  {
    name: 'a literal that is larger than any mail',
    at: 'UID FETCH',
    does: (say) => say('* 1 FETCH (UID 11 BODY[HEADER] {99999999999}\r\n'),
    code: tooLong,
  },
  {
    name: 'a literal whose size is no number',
    at: 'UID FETCH',
    does: (say) => say(`* 1 FETCH (UID 11 BODY[HEADER] {${'9'.repeat(5_000)}}\r\n`),
    code: tooLong,
  },
  {
    name: 'a literal that never comes to its end',
    at: 'UID FETCH',
    does: async (say) => {
      await say('* 1 FETCH (UID 11 BODY[HEADER] {5000000}\r\n');
      await forEver(() => 'y', 20)(say);
    },
    code: tooSlow,
  },
  {
    name: 'a literal that stops',
    at: 'UID FETCH',
    does: (say) => say('* 1 FETCH (UID 11 BODY[HEADER] {5000}\r\nyyy'),
    code: /^(connection_closed|answer_too_slow)$/,
  },
  {
    name: 'a response of ever more literals',
    at: 'UID FETCH',
    does: async (say) => {
      await say('* 1 FETCH (UID 11');
      await forEver((n) => ` BODY[${n}] {100000}\r\n${'z'.repeat(100_000)}`)(say);
    },
    code: tooLong,
  },
  {
    name: 'the same message again and again',
    at: 'UID FETCH',
    does: forEver(
      (n) => `* 1 FETCH (UID 11 FLAGS () RFC822.SIZE ${n} BODY[HEADER] {60000}\r\n${'h'.repeat(60_000)})\r\n`,
    ),
    code: either,
  },
  {
    name: 'messages that nobody asked for',
    at: 'UID FETCH',
    does: forEver((n) => times(200, (m) => `* ${n * 200 + m} FETCH (UID ${n * 200 + m} FLAGS ())\r\n`)),
    code: either,
  },
  {
    name: 'ever deeper brackets',
    at: 'UID FETCH',
    does: forEver(() => '('.repeat(16_384)),
    code: tooLong,
  },
  {
    name: 'everything gone, again and again',
    at: 'UID FETCH',
    does: forEver(() => '* VANISHED (EARLIER) 1:4294967295\r\n', 20),
    code: tooSlow,
  },
  {
    name: 'nothing',
    at: 'UID FETCH',
    does: () => Promise.resolve(),
    code: /^(connection_closed|answer_too_slow)$/,
  },
];

const answers: Readonly<Record<string, (tag: string) => string>> = {
  CAPABILITY: () =>
    '* CAPABILITY IMAP4rev1 NAMESPACE AUTH=PLAIN SASL-IR IDLE ESEARCH ENABLE CONDSTORE QRESYNC\r\n',
  LIST: () => '* LIST () "/" INBOX\r\n',
  EXAMINE: () =>
    '* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 12] ok\r\n* OK [HIGHESTMODSEQ 9] ok\r\n',
  'UID SEARCH': (tag) => `* ESEARCH (TAG "${tag}") UID ALL 11\r\n`,
};

/** A server that does as it should, but for one command. */
async function withServer(
  row: Pick<Row, 'at' | 'does'>,
  work: (port: number, closed: Promise<void>) => Promise<void>,
): Promise<void> {
  const closed = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('close', () => closed.resolve());
    serve(socket, row);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work((server.address() as AddressInfo).port, closed.promise);
  } finally {
    server.close();
  }
}

function serve(socket: Socket, { at, does }: Pick<Row, 'at' | 'does'>): void {
  const say: Say = async (text) => {
    if (socket.destroyed) return false;
    if (socket.write(text)) return true;
    return new Promise((resolve) => {
      const end = () => {
        socket.off('drain', end).off('close', end);
        resolve(!socket.destroyed);
      };
      socket.on('drain', end).on('close', end);
    });
  };
  if (at === 'greeting') void does(say);
  else socket.write('* OK ready\r\n');
  let unread = '';
  socket.on('data', (data) => {
    const lines = `${unread}${data.toString()}`.split('\r\n');
    unread = lines.pop() ?? '';
    for (const line of lines) {
      const [, tag = '', verb = ''] = /^(\S+) ((?:UID )?\S+)/.exec(line) ?? [];
      if (verb === at) void does(say);
      else socket.write(`${answers[verb]?.(tag) ?? ''}${tag} OK done\r\n`);
    }
  });
}

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  return work.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error as Failure,
  );
}

function heldBytes(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

async function everything(session: Session): Promise<void> {
  await session.list();
  await session.open('INBOX');
  await session.uids('1:*');
  await session.headers('11');
}

describe('C5: a server that answers without end costs one connection, and bounded time and memory', () => {
  const atLogin: Row[] = [
    {
      name: 'small talk in place of a login',
      at: 'AUTHENTICATE',
      does: forEver(() => '* OK one moment\r\n', 20),
      code: tooSlow,
    },
    {
      name: 'a greeting without end',
      at: 'greeting',
      does: forEver(() => 'x'.repeat(16_384)),
      code: tooLong,
    },
  ];
  for (const row of [...table, ...atLogin]) {
    test(`${row.at}: ${row.name}`, () =>
      withServer(row, async (port, closed) => {
        const before = heldBytes();
        let most = before;
        let busyMs = 0;
        let usedMs = threadMs();
        const looking = setInterval(() => {
          most = Math.max(most, heldBytes());
          busyMs = Math.max(busyMs, threadMs() - usedMs);
          usedMs = threadMs();
        }, 20);
        const startedAt = performance.now();
        const ends: Failure[] = [];
        const work = async () => {
          const session = await openSession({
            server: { host: '127.0.0.1', port, security: 'none' },
            login: { user: 'ann@company.example', password: 'secret' },
            limits,
            onArrival: () => undefined,
            onClose: (why) => void ends.push(why),
          });
          await everything(session);
        };
        const failure = await failureOf(work());
        clearInterval(looking);
        assert.equal(failure.name, 'Failure', String(failure.stack));
        assert.equal(failure.kind, 'temporary');
        assert.match(failure.code, row.code);
        await closed;
        assert.ok(performance.now() - startedAt < endMsMax, 'in time');
        assert.ok(busyMs < busyMsMax, `everything else waited for ${busyMs.toFixed(0)} ms`);
        assert.ok(most - before < grownBytesMax, `it took ${((most - before) / 1024 ** 2).toFixed(0)} MB`);
        assert.doesNotMatch(failure.message, /xxx|yyy|FETCH|moment/, 'what the server said stays out of it');
        if (atLogin.includes(row)) assert.deepEqual(ends, []);
        else assert.deepEqual([...new Set(ends.map(({ code }) => code))], [ends[0]?.code]);
      }));
  }
});
