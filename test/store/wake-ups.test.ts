import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Client } from 'pg';
import { systemClock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createWakeUps } from '../../src/store/wake-ups.ts';
import type { WakeUps } from '../../src/store/wake-ups.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { keptLog } from '../webhook/support.ts';
import { waitFor } from '../support/wait.ts';

type Node = { wakeUps: WakeUps; heard: string[]; missed(): number; log: ReturnType<typeof keptLog> };

describe('nodes wake each other by LISTEN and NOTIFY', () => {
  let database: TestDatabase;
  /** Hears what is told without being a node. */
  let spy: Client;
  let payloads: string[] = [];
  let nodes: WakeUps[] = [];

  before(async () => {
    database = await testDatabase('postgres');
  });
  after(() => database.drop());
  beforeEach(async () => {
    payloads = [];
    spy = new Client({ connectionString: database.url ?? '' });
    await spy.connect();
    spy.on('notification', ({ payload }) => payloads.push(payload ?? ''));
    await spy.query('listen twoway_wake_ups');
  });
  afterEach(async () => {
    for (const node of nodes) await node.stop();
    nodes = [];
    await spy.end();
  });

  function makeNode(db = database.db, beatMs = 60_000): Node {
    const heard: string[] = [];
    let missed = 0;
    const log = keptLog();
    const wakeUps = createWakeUps({
      db,
      url: database.url ?? '',
      clock: systemClock,
      log,
      heard: (part, mailboxId) => heard.push(mailboxId === null ? part : `${part} ${mailboxId}`),
      missed: () => (missed += 1),
      limits: { beatMs, retry: { firstMs: 100, mostMs: 100 } },
    });
    wakeUps.start();
    nodes.push(wakeUps);
    return { wakeUps, heard, missed: () => missed, log };
  }
  /** Whoever listened first is alone until it has heard the other’s greeting. */
  const hears = (other: Node, one: Node) =>
    waitFor('what is told then', () => {
      one.wakeUps.tell('filer');
      return other.heard.includes('filer');
    });
  async function listeners(): Promise<number[]> {
    const { rows } = await spy.query<{ pid: number }>(
      `select pid from pg_stat_activity
        where datname = current_database() and application_name = 'twoway_wake_ups'`,
    );
    return rows.map(({ pid }) => pid);
  }
  async function startNode(db = database.db): Promise<Node> {
    const node = makeNode(db);
    await waitFor('it to listen', () => node.missed() === 1);
    return node;
  }

  test('what one tells all others hear, and itself does not', async () => {
    const [a, b, c] = [await startNode(), await startNode(), await startNode()];
    a.wakeUps.tell('sender');
    a.wakeUps.tell('mailbox', 'mbx_1');
    a.wakeUps.tell('mailbox');
    for (const node of [b, c]) {
      await waitFor('all of it', () => node.heard.length === 3, { everyMs: 5 });
      assert.deepEqual(node.heard, ['sender', 'mailbox mbx_1', 'mailbox']);
    }
    assert.deepEqual(a.heard, []);
  });

  test('a flood is few statements, each of which PostgreSQL takes', async () => {
    const [a, b] = [await startNode(), await startNode()];
    await waitFor('the greetings', () => payloads.length === 2);
    for (let n = 0; n < 100_000; n += 1) {
      a.wakeUps.tell('sender');
      a.wakeUps.tell(
        'wanted',
        `mbx_0199aaaa-bbbb-7ccc-8ddd-${String(n % 400).padStart(12, '0')}` as MailboxId,
      );
    }
    await waitFor('all of it', () => b.heard.length === 401);
    assert.equal(new Set(b.heard).size, 401);
    const told = payloads.slice(2);
    assert.ok(told.length <= 6, `${told.length} statements`);
    assert.ok(told.every((payload) => Buffer.byteLength(payload) < 8_000));
  });

  test('a node that is alone tells nobody, and tells the next one that comes', async () => {
    const a = await startNode();
    await waitFor('its greeting', () => payloads.length === 1);
    // The count of those who listen follows the greeting; from then on nothing more is said.
    await waitFor('silence', async () => {
      const before = payloads.length;
      a.wakeUps.tell('publisher');
      await spy.query('select pg_sleep(0.2)');
      return payloads.length === before;
    });
    const b = await startNode();
    await waitFor('the newcomer to be told', () => {
      a.wakeUps.tell('publisher');
      return b.heard.includes('publisher');
    });
  });

  test('a connection that is cut is made again, everything is woken once, and it hears again', async () => {
    const [a, b] = [await startNode(), await startNode()];
    // PostgreSQL may be late with the end of the connections of earlier tests.
    await waitFor('these two to be all who listen', async () => (await listeners()).length === 2);
    await spy.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [await listeners()]);
    await waitFor('both to listen again', () => a.missed() === 2 && b.missed() === 2);
    await hears(b, a);
    assert.ok(b.log.messages.some((message) => message.includes('it polls')));
  });

  test('nobody listens where PostgreSQL may only read, but for whoever may write', async () => {
    const a = await startNode();
    const name = new URL(database.url ?? '').pathname.slice(1);
    await spy.query(`alter database "${name}" set default_transaction_read_only = on`);
    const b = makeNode();
    try {
      await waitFor('it to see', () => b.log.messages.some((message) => message.includes('it polls')));
      assert.equal(b.missed(), 0);
    } finally {
      await spy.query(`alter database "${name}" reset default_transaction_read_only`);
    }
    await waitFor('it to listen', () => b.missed() === 1);
    await hears(b, a);
  });

  test('what cannot be told is lost, and nobody hears of an error', async () => {
    const own = await openDatabase({ kind: 'postgres', url: database.url ?? '', connectionsMax: 1 });
    const [a, b] = [await startNode(own.db), await startNode()];
    await own.close();
    a.wakeUps.tell('sender');
    await waitFor('the trouble', () =>
      a.log.messages.some((message) => message.includes('find by themselves')),
    );
    assert.deepEqual(b.heard, []);
  });
});
