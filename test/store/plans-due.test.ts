import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { WebhookId } from '../../src/lib/id.ts';
import { idFrom } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { claimDeliveries } from '../../src/store/delivery-claims.ts';
import { publishBatch, recordEvents } from '../../src/store/events.ts';
import { redateConversations } from '../../src/store/erasing.ts';
import { makePartitions } from '../../src/store/partitions.ts';
import { findSendLanes } from '../../src/store/send-lanes.ts';
import type { LaneMark } from '../../src/store/send-lanes.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { openWatched, watch } from './plans/watch.ts';
import type { Told, Watched } from './plans/watch.ts';

describe('what is due costs by what is due, and not by what there is', () => {
  let url: string;
  let watched: Watched;
  let db: Db;
  before(async () => {
    url = await createPostgresDatabase('migrated');
    watched = await openWatched(url);
    db = watched.database.db;
  });
  after(async () => {
    await watched.database.close();
    await dropPostgresDatabase(url);
  });
  /** Rows without what they belong to. */
  const insert = (...statements: string[]) =>
    db.transaction(async (tx) => {
      await run(tx, 'set local session_replication_role = replica');
      for (const statement of statements) await run(tx, statement);
    });
  const mostRows = async (ask: () => Promise<unknown>) =>
    Math.max(...(await watch(watched, ask)).map(({ work }) => work.rows));

  test('W2: an event that is delivered is looked for in the month of which it is', async () => {
    for (let back = 1; back <= 6; back += 1) await makePartitions(db, Date.now() - back * 31 * 86_400_000);
    await insert(
      `insert into webhooks (id, url, types, secret_sealed) values ('whk_1', 'https://crm.example/', '{}', 'x')`,
    );
    const events = Array.from({ length: 5 }, (_, n) => ({
      type: 'message.created' as const,
      sub_account_id: null,
      order_keys: [`cnv_${n}`],
      data: {},
    }));
    await recordEvents(db, events);
    await publishBatch(db);
    watched.told();
    const claim = { webhookId: 'whk_1' as WebhookId, owner: 'me', leaseMs: 60_000, limit: 10 };
    assert.equal((await claimDeliveries(db, claim)).length, 5);
    assert.equal(sum(watched.told().map(({ plan }) => looks(plan, /^events_/))), 5);
  });

  test('W2: an event is compared with webhooks of its own sub-account alone', async () => {
    await insert(
      `insert into sub_accounts (id, name) select 's' || n, '' from generate_series(1, 200) n`,
      `insert into webhooks (id, sub_account_id, url, types, secret_sealed)
       select 'whk_s' || n, 's' || n, 'https://crm.example/', '{}', 'x' from generate_series(1, 200) n`,
      `insert into events (id, type, sub_account_id, order_keys, data)
       select '${idFrom('evt', Date.now())}' || n, 'message.created', 's' || 1 + n / 3, '{}', '{}' from generate_series(0, 499) n`,
      'analyze webhooks, events',
    );
    const most = await mostRows(async () => {
      const done = await publishBatch(db);
      assert.ok(done !== 'busy' && done.published === 500);
    });
    // Each is told to its own and to the one for all.
    assert.ok(most <= 2 * 500, `${most}`);
    const told = await rows(db, `select from deliveries where webhook_id like 'whk_s%'`);
    assert.equal(told.length, 500);
  });

  test('C7: a conversation is dated by the newest of each thread, however many are in it', async () => {
    await insert(
      `insert into conversations (id, sub_account_id, contact_id, last_message_at) values ('cnv_1', 's1', 'c1', now())`,
      `insert into conversation_threads (conversation_id, thread_id) select 'cnv_1', 'thr_' || n from generate_series(1, 5) n`,
      `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to, recipients_cc, recipients_bcc, subject, date, received_at)
       select 'msg_' || n, 's1', 'thr_' || 1 + n % 5, 'inbound', '{mailbox}', '{}', '[]', '[]', '[]', '', at, at
         from generate_series(1, 5000) n, lateral (select now() + (n - 4990) * interval '1 hour' as at) t`,
      'analyze messages, conversation_threads',
    );
    const dated: (string | null)[] = [];
    const most = await mostRows(async () => {
      const [found] = await redateConversations(db, ['cnv_1'], '9999-01-01');
      dated.push(found?.date ?? null);
    });
    const [newest] = await rows<{ date: string }>(
      db,
      'select max(least(date, created_at))::text as date from messages',
    );
    assert.deepEqual(dated, [newest?.date]);
    assert.ok(most <= 50, `${most}`);
  });

  test('D5: of a lane in which much is due, what is in front; all lanes are found in some looks', async () => {
    await insert(
      `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, individual, route, state, envelope,
         internet_message_id, raw_sha256, raw_size, order_keys, due_at)
       select 'snd_' || n, 's1', 'm' || n, 'u1', case when n <= 5000 then 'mbx_0' else 'mbx_' || n % 30 end, n <= 5000 or n % 2 = 0,
              '{}', 'queued', '{}', 'x', 'x', 1, array['k' || n], now() - interval '1 hour' + n * interval '1 ms'
         from generate_series(1, 5060) n`,
      'analyze sends',
    );
    const found = new Set<string>();
    const look = async (after: LaneMark | null) => {
      let mark: LaneMark | null = null;
      const most = await mostRows(async () => {
        const { lanes, walkedTo } = await findSendLanes(db, { owner: 'me', limit: 10, after });
        for (const { lane, individual } of lanes) found.add(`${lane} ${individual}`);
        mark = walkedTo;
      });
      assert.ok(most <= 10 * 50, `${most}`);
      return mark;
    };
    let after = await look(null);
    assert.ok(found.has('mbx_20 true'), 'the letter that has just come due');
    for (let looks = 1; looks < 4 && after !== null; looks += 1) after = await look(after);
    assert.ok(found.has('mbx_0 true'));
    assert.equal(found.size, 30);
  });
});

/** How often a plan looked something up in relations of a name. */
function looks(plan: Told['plan'], name: RegExp): number {
  const own = name.test(plan['Relation Name'] ?? '') ? plan['Actual Loops'] : 0;
  return own + sum((plan.Plans ?? []).map((each) => looks(each, name)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
