import { openDatabase } from '../../src/store/database.ts';
import { countDecisions } from '../../src/store/decision-counts.ts';
import { startApi } from '../api/support.ts';
import { pileUp } from '../store/plans/backlog.ts';
import { generate } from '../store/plans/data.ts';
import type { Counts } from '../store/plans/data.ts';
import { askList, findHeavy, listQuestions } from '../store/plans/lists.ts';
import type { ListQuestion, PageWork } from '../store/plans/lists.ts';
import { pageQuestions } from '../store/plans/pages.ts';
import { buffersMax, isTooMuch, openWatched, rowsMax, watch } from '../store/plans/watch.ts';
import type { UpTo, Work } from '../store/plans/watch.ts';
import { workQuestions } from '../store/plans/work.ts';
import { startPages } from '../console/pages.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import type { Bench } from './bench.ts';
import { share } from './figures.ts';
import type { Row } from './table.ts';

/** What one database of a large installation holds. */
const counts: Counts = { subAccounts: 501, users: 10_000, contacts: 1_000_000, messages: 10_000_000 };

const askedTimes = 20;

/**
 * Where there is very much of everything: how long each list of the API takes, and what the worst statement of each list,
 * of each page and of each worker reads.
 */
export async function measurePlans(bench: Bench): Promise<Row[]> {
  const url = await createPostgresDatabase('migrated');
  try {
    const filling = await openDatabase({ kind: 'postgres', url, connectionsMax: 4 });
    await generate(filling.db, url, { counts, now: Date.now() });
    const questions = listQuestions(await findHeavy(filling.db));
    await filling.close();
    const found: Row[] = [];
    const { times, key } = await timed(url, questions);
    const worst = await read(url, questions, key);
    for (const [n, { path }] of questions.entries()) {
      const ms = times[n] ?? [];
      const { work } = worst[n] ?? {};
      found.push({
        what: `ms of ${path} (p50, max); its worst statement`,
        raw: 'none',
        ours: `${share(ms, 0.5).toFixed(1)}, ${Math.max(...ms).toFixed(1)}; ${work?.rows} rows, ${work?.buffers} blocks`,
        ratio: '',
        aim: aimOf(questions[n]?.upTo),
        sample: `${askedTimes}, ${counts.messages} messages, ${counts.contacts} contacts`,
        load: bench.load(),
      });
    }
    for (const { what, worst: most, upTo } of await readRest(url))
      found.push({
        what: `worst statement of ${what}`,
        raw: 'none',
        ours: `${most?.rows} rows, ${most?.buffers} blocks`,
        ratio: '',
        aim: aimOf(upTo),
        sample: `1, ${counts.messages} messages, ${counts.contacts} contacts`,
        load: bench.load(),
      });
    return found;
  } finally {
    await dropPostgresDatabase(url);
  }
}

function aimOf(upTo: UpTo | undefined): string {
  return upTo === undefined
    ? `${rowsMax} rows, ${buffersMax} blocks`
    : `${upTo.most(counts.messages)} rows: ${upTo.because}`;
}

/** ms of each question, the first page, on connections that nobody watches; and the key of the API, which is made once. */
async function timed(
  url: string,
  questions: readonly ListQuestion[],
): Promise<{ times: number[][]; key: string }> {
  const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 4 });
  const t = await startApi({ db: database.db });
  const times: number[][] = [];
  for (const { path } of questions) {
    const ms: number[] = [];
    // The first few make plans, and have read what the disk holds.
    for (let n = -6; n < askedTimes; n += 1) {
      const startedAt = performance.now();
      const { status } = await t.call('GET', path);
      if (status !== 200) throw new Error(`${path}: ${status}`);
      if (n >= 0) ms.push(performance.now() - startedAt);
    }
    times.push(ms);
  }
  await t.close();
  await database.close();
  return { times, key: t.adminKey };
}

/** The statement of each question, on three pages, that reads most blocks. What reads too much fails the bench. */
async function read(
  url: string,
  questions: readonly ListQuestion[],
  key: string,
): Promise<(PageWork | undefined)[]> {
  const watched = await openWatched(url);
  const t = await startApi({ db: watched.database.db });
  const found: (PageWork | undefined)[] = [];
  for (const { path, upTo } of questions) {
    const pages = await askList({ call: (method, page) => t.call(method, page, { key }) }, watched, path);
    tellTooMuch(pages, upTo);
    found.push(worstOf(pages));
  }
  await t.close();
  await watched.database.close();
  return found;
}

type Rest = { what: string; worst: Work | undefined; upTo: UpTo | undefined };

/** The administrators' pages, and then, on top of piles of work, what filing, the listeners and the workers ask. */
async function readRest(url: string): Promise<Rest[]> {
  const aside = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
  await countDecisions(aside.db);
  const watched = await openWatched(url);
  const { db } = watched.database;
  const pages = await startPages({ db });
  const browser = await pages.administrator();
  const found: Rest[] = [];
  const note = async (what: string, upTo: UpTo | undefined, ask: () => Promise<unknown>) => {
    const statements = (await watch(watched, ask)).map((statement) => ({ what, ...statement }));
    tellTooMuch(statements, upTo);
    found.push({ what, worst: worstOf(statements)?.work, upTo });
  };
  for (const { path, upTo } of await pageQuestions(aside.db, await findHeavy(aside.db)))
    await note(path, upTo, async () => {
      const { status } = await browser.get(path);
      if (status !== 200) throw new Error(`${path}: ${status}`);
    });
  await pileUp(url);
  for (const { what, upTo, ask } of await workQuestions(aside.db)) await note(what, upTo, () => ask(db));
  await pages.close();
  await watched.database.close();
  await aside.close();
  return found;
}

function worstOf<Statement extends { work: Work }>(statements: readonly Statement[]): Statement | undefined {
  return statements.toSorted((a, b) => b.work.buffers - a.work.buffers)[0];
}

function tellTooMuch(statements: readonly { work: Work }[], upTo: UpTo | undefined): void {
  const tooMuch = statements.filter(({ work }) => isTooMuch(work, upTo, counts.messages));
  if (tooMuch.length > 0) process.exitCode = 1;
  for (const statement of tooMuch) console.error('too much:', statement);
}
