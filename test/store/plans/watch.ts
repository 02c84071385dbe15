import { Client } from 'pg';
import { openDatabase } from '../../../src/store/database.ts';
import type { Database } from '../../../src/store/database.ts';

/** What PostgreSQL did for one statement, as auto_explain tells it. */
export type Told = { sql: string; plan: PlanNode };

type PlanNode = {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Rows Removed by Join Filter'?: number;
  'Shared Hit Blocks'?: number;
  'Shared Read Blocks'?: number;
  Plans?: PlanNode[];
};

/** A database of which every statement tells, by itself, how it was planned and what it read. */
export type Watched = {
  database: Database;
  /** What was told since the last call. */
  told(): Told[];
};

/**
 * Opens a database as the gateway does. PostgreSQL's own auto_explain tells of each statement as it is really run: by
 * the plan that its connection has made once and for all, with the values that it was given.
 */
export async function openWatched(url: string): Promise<Watched> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  const name = new URL(url).pathname.slice(1);
  for (const [setting, value] of Object.entries({
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  }))
    await admin.query(`alter database "${name}" set ${setting} = '${value}'`);
  await admin.end();
  const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 4 });
  let told: Told[] = [];
  const { pool } = database.db.client as { pool: Pool };
  pool.on('createSuccess', (_id, connection) => {
    connection.on('notice', ({ message = '' }) => {
      const at = message.indexOf('plan:\n');
      if (at < 0) return;
      const { 'Query Text': sql, Plan: plan } = JSON.parse(message.slice(at + 6)) as {
        'Query Text': string;
        Plan: PlanNode;
      };
      told.push({ sql, plan });
    });
  });
  return {
    database,
    told: () => {
      const all = told;
      told = [];
      return all;
    },
  };
}

/** What is asked of knex's pool (tarn 3), which knex does not type. */
type Pool = {
  on(
    event: 'createSuccess',
    listener: (
      id: number,
      connection: { on(event: 'notice', listener: (notice: { message?: string }) => void): void },
    ) => void,
  ): void;
};

/** What one statement read and put in order. */
export type Work = { rows: number; buffers: number; sorted: number; whole: string[] };

/** Nodes that take in all that is below them before they give anything. */
const gathering = /^(Sort|Incremental Sort|Hash)$/;

/**
 * The most rows that one node read, or compared, those that it threw away included; the blocks of all; the most rows that were
 * sorted or hashed; and the tables that were read from end to end and have more rows than `rowsMax`.
 */
function workOf(plan: PlanNode, rowsMax: number): Work {
  const work: Work = {
    rows: 0,
    buffers: (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0),
    sorted: 0,
    whole: [],
  };
  const visit = (node: PlanNode): void => {
    const { Plans: below = [] } = node;
    const thrown = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
    const read = (node['Actual Rows'] + thrown) * node['Actual Loops'];
    const compared = (node['Rows Removed by Join Filter'] ?? 0) * node['Actual Loops'];
    work.rows = Math.max(work.rows, compared, node['Node Type'].includes('Scan') ? read : 0);
    if (node['Node Type'] === 'Seq Scan' && read > rowsMax) work.whole.push(node['Relation Name'] ?? '');
    if (gathering.test(node['Node Type']))
      for (const { 'Actual Rows': rows, 'Actual Loops': loops } of below)
        work.sorted = Math.max(work.sorted, rows * loops);
    for (const each of below) visit(each);
  };
  visit(plan);
  return work;
}

/** What a page of fifty, or a batch of a hundred, may read at most of one table by one step: there is many times as much of each. */
export const rowsMax = 500;

/** What one statement may read at most, of all its tables: an index of ten million is five blocks deep. */
export const buffersMax = 30 * rowsMax;

/** A table that has more rows is not read from end to end. Of users, mailboxes and webhooks there are so many. */
const wholeMax = 10_000;

/** Where more may be read, sorted or hashed: so much where there are so many messages, and why. */
export type UpTo = { most(messages: number): number; because: string };

/** Whether a statement did more than it may, where there are so many messages. */
export function isTooMuch(
  { rows, sorted, whole, buffers }: Work,
  upTo: UpTo | undefined,
  messages: number,
): boolean {
  const most = upTo?.most(messages) ?? rowsMax;
  return rows > most || sorted > most || whole.length > 0 || (upTo === undefined && buffers > buffersMax);
}

/** What each statement of a question read. */
export async function watch(
  watched: Watched,
  ask: () => Promise<unknown>,
): Promise<{ work: Work; sql: string }[]> {
  watched.told();
  await ask();
  return watched.told().map(({ sql, plan }) => ({ work: workOf(plan, wholeMax), sql }));
}
