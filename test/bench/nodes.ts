import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench, BenchDatabase } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import { figureOf, ratios, share, shown } from './figures.ts';
import { liveMailboxes } from './gateway.ts';
import { contactMail, fillInbox } from './mail.ts';
import type { NodeOptions } from './nodes-node.ts';
import type { Row } from './table.ts';
import { addMailbox } from './tenant.ts';

/** Mailboxes, and contacts' messages in each of them at the start. */
const mailboxesMax = 99;
const lettersMax = 20;
const deadlineMs = 120_000;

type Run = { one: number; two: number; gaps: number[]; takeOverMs: number };

/** Two nodes on one database: how fast they catch up together, and how long nobody listens where one leaves or dies. */
export async function measureNodes(bench: Bench): Promise<Row[]> {
  const users = Array.from({ length: mailboxesMax }, (_, n) => `node-${n}@bench.test`);
  for (const user of users) await fillInbox(bench.servers, user, contactMail(lettersMax));
  const runs: Run[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    const one = await withNodes(bench, users, ['a'], (_database, _nodes, rate) => Promise.resolve(rate));
    const two = await withNodes(bench, users, ['a', 'b'], (_database, _nodes, rate) => Promise.resolve(rate));
    runs.push({ one, two, ...(await withNodes(bench, users, ['a', 'b', 'c'], comeAndGo)) });
  }
  const load = bench.load();
  const sample = `${runsMax} × ${mailboxesMax}`;
  const gap = (part: number) => shown(figureOf(runs.map(({ gaps }) => share(gaps, part))));
  const [ones, twos] = [runs.map(({ one }) => one), runs.map(({ two }) => two)];
  return [
    {
      what: 'small messages caught up a second by two nodes; raw: by one',
      raw: shown(figureOf(ones)),
      ours: shown(figureOf(twos)),
      ratio: ratios(twos, ones),
      aim: '',
      sample: `${sample} × ${lettersMax}`,
      load,
    },
    {
      what: 'ms from the end of a session to the next one, where a node stops',
      raw: '',
      ours: `p50 ${gap(0.5)}, most ${gap(1)}`,
      ratio: '',
      aim: '≤ 1,000',
      sample: `${runsMax} × ${mailboxesMax / 3}`,
      load,
    },
    {
      what: 's from the kill of a node to the last session by another, lease 30 s',
      raw: '',
      ours: shown(figureOf(runs.map(({ takeOverMs }) => takeOverMs / 1_000)), 1),
      ratio: '',
      aim: '≤ 32',
      sample: `${runsMax} × half of ${(mailboxesMax * 2) / 3}`,
      load,
    },
  ];
}

/** Starts nodes on a new database with all mailboxes; `work` gets how many messages a second they caught up. */
async function withNodes<T>(
  bench: Bench,
  users: readonly string[],
  names: readonly string[],
  work: (database: BenchDatabase, nodes: Child[], rate: number) => Promise<T>,
): Promise<T> {
  const database = await bench.newDatabase();
  const blobsDirectory = await bench.newDirectory();
  const nodes = names.map((id) => {
    const options: NodeOptions = { id, databaseUrl: database.url, blobsDirectory, imap: bench.imap };
    return startChild(new URL('./nodes-node.ts', import.meta.url), [JSON.stringify(options)]);
  });
  try {
    await waitFor('the nodes', async () => (await countNodes(database.db)) === names.length, { deadlineMs });
    const startedAt = performance.now();
    for (const user of users) await addMailbox(database.db, user);
    await run(database.db, `select pg_notify('twoway_wake_ups', E'bench\\nmailbox')`);
    const isDone = async () => (await liveMailboxes(database.db)) === users.length;
    await waitFor('all live', isDone, { deadlineMs, everyMs: 20 });
    const rate = (users.length * lettersMax * 1_000) / (performance.now() - startedAt);
    return await work(database, nodes, rate);
  } finally {
    for (const node of nodes) await node.stop();
    await database.drop();
  }
}

/** Of three nodes the third hands over its share, and then the second dies without a word. */
async function comeAndGo({ db }: BenchDatabase, nodes: Child[]): Promise<Pick<Run, 'gaps' | 'takeOverMs'>> {
  const [, second, third] = nodes;
  if (second === undefined || third === undefined) throw new Error('there are not three nodes');
  const gone = await countOf(db, 'c');
  const beforeStop = await lastLine(db);
  await third.ask('stop');
  const isHandedOver = async () => (await sessionsAfter(db, beforeStop)).length >= gone;
  await waitFor('the hand-over', isHandedOver, { deadlineMs });
  const gaps = (await sessionsAfter(db, beforeStop)).map(({ gap_ms }) => gap_ms);
  const dead = await countOf(db, 'b');
  const beforeKill = await lastLine(db);
  const killedAt = performance.now();
  // It ends where it is, as by a kill.
  await second.stop();
  const isTakenOver = async () => (await sessionsAfter(db, beforeKill)).length >= dead;
  await waitFor('the take-over', isTakenOver, { deadlineMs });
  return { gaps, takeOverMs: performance.now() - killedAt };
}

async function countOf(db: Db, node: string): Promise<number> {
  const [row] = await rows<{ n: number }>(
    db,
    'select count(*)::int as n from mailboxes where node_id = :node',
    { node },
  );
  return row?.n ?? 0;
}

async function countNodes(db: Db): Promise<number> {
  const [row] = await rows<{ n: number }>(db, `select count(*)::int as n from nodes`);
  return row?.n ?? 0;
}

async function lastLine(db: Db): Promise<string> {
  const [row] = await rows<{ n: string }>(db, 'select coalesce(max(n), 0) as n from connection_log');
  return row?.n ?? '0';
}

/** Sessions that began after a line, with the time since the one before of the same mailbox had ended. */
function sessionsAfter(db: Db, line: string): Promise<{ gap_ms: number }[]> {
  return rows(
    db,
    `select extract(epoch from l.logged_in_at - (
              select max(p.ended_at) from connection_log p
               where p.mailbox_id = l.mailbox_id and p.n < l.n and p.kind = 'session'))::float8 * 1000 as gap_ms
       from connection_log l where l.kind = 'session' and l.n > :line and l.logged_in_at is not null`,
    { line },
  );
}
