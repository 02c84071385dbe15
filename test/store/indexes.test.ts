import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { factKeysOf } from '../../src/filing/gather.ts';
import { readContactAddresses } from '../../src/store/claims.ts';
import { listConnections } from '../../src/store/connections.ts';
import { listContacts, readPublicContacts } from '../../src/store/contacts.ts';
import { listDecisions } from '../../src/store/decisions.ts';
import { openDatabase, rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { readFactRows } from '../../src/store/filing-facts.ts';
import { touchConversations } from '../../src/store/filing-writes.ts';
import { readOutgoingFacts, readOutgoingGrounds } from '../../src/store/outgoing.ts';
import { readShown } from '../../src/store/shown.ts';
import { findAnswers } from '../../src/store/idempotency.ts';
import { listConversations, readConversations, readThreads } from '../../src/store/public-conversation.ts';
import { lockMessages, touchMessages } from '../../src/store/changed-messages.ts';
import { findPlaces, refreshMessages, writePlaces } from '../../src/store/places.ts';
import { readMessages } from '../../src/store/public-message.ts';
import { readSends } from '../../src/store/public-send.ts';
import { closeQuota, countPlacesTaken } from '../../src/store/quota.ts';
import { addServerMessageIds, endAttempts, noteHandovers } from '../../src/store/send-attempts.ts';
import { takeSendingLeases } from '../../src/store/sending-leases.ts';
import { findDueOfLane, findHeldToSettle, lockSends, writeSendChanges } from '../../src/store/sends.ts';
import { awaitSentCopies } from '../../src/store/sent-copies.ts';
import { claimLanes } from '../../src/store/work.ts';
import { openOffice } from '../outbound/support.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('indexes', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('postgres');
  });
  after(() => database.drop());

  test('each foreign key has one on its own side: without it each deleted row reads the whole table', async () => {
    const found = await rows<{ key: string }>(
      database.db,
      // The first columns of an index, in any order, must be those of the key. A partial index does not
      // serve, but where it leaves out null alone.
      `select c.conrelid::regclass || ' (' || (
                select string_agg(attname, ', ' order by attnum) from pg_attribute
                 where attrelid = c.conrelid and attnum = any(c.conkey)) || ')' as key
         from pg_constraint c
        -- No mailbox is ever deleted.
        where c.contype = 'f' and c.confrelid <> 'mailboxes'::regclass and not exists (
          select from pg_index i
           where i.indrelid = c.conrelid
             and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~ '^\\(\\w+ IS NOT NULL\\)$')
             and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
        order by 1`,
    );
    assert.deepEqual(
      found.map(({ key }) => key),
      // Read once for a webhook that is deleted. An index on it alone would lead a claim astray that should
      // take the first that is due (see the migration).
      ['deliveries (webhook_id)'],
    );
  });

  for (const [table, columns] of [
    // Ended ones, too: a member's last connection is shown.
    ['connections', 'sub_account_id, user_id'],
    // Asked at each beat of a node.
    ['mailboxes', 'node_id'],
    ['sends', 'raw_sha256'],
  ] as const) {
    test(`${table} are found by ${columns}`, async () => {
      const found = await rows<{ definition: string }>(
        database.db,
        'select indexdef as definition from pg_indexes where tablename = :table',
        { table },
      );
      const whole = new RegExp(`\\(${columns}\\)( WHERE \\(${columns} IS NOT NULL\\))?$`);
      assert.ok(
        found.some(({ definition }) => whole.test(definition)),
        JSON.stringify(found),
      );
    });
  }

  test('what is looked up by many keys goes by them, also with a plan made while nothing is stored', async () => {
    const { url } = database;
    assert.ok(url !== null);
    const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    try {
      const keys = factKeysOf('mbx_1', [], []);
      await readFactRows(db, keys);
      await readConversations(db, 's', ['cnv_1']);
      await readThreads(db, 's', ['thr_1']);
      await readMessages(db, 's', ['msg_1']);
      await readSends(db, 's', ['snd_1']);
      await readPublicContacts(db, 's', ['c1']);
      await readContactAddresses(db, 's', ['c1']);
      await listContacts(db, { subAccountId: 's', email: 'carla@customer.example', after: '', limit: 9 });
      const ask = { subAccountId: 's', userId: 'u', contactId: null, addresses: [], parentId: null };
      await readOutgoingFacts(db, [ask]);
      const going = { ...ask, through: null, contactIds: [], threadId: null, threadKeys: [] };
      await readOutgoingGrounds(db, [going]);
      await readShown(db, { conversations: ['cnv_1'], messages: ['msg_1'], sends: ['snd_1'] });
      await findAnswers(db, [{ subAccountId: 's', key: 'k', requestHash: Buffer.alloc(32) }]);
      await refreshMessages(db, ['msg_1']);
      const folder = { id: 'fld_1', uidValidity: 1 } as const;
      await findPlaces(db, folder, [1]);
      await writePlaces(db, folder, { there: [], gone: [1], goneAt: 0, goneDueAt: 0 });
      const touched = [{ id: 'cnv_1', date: '2026-11-20T09:00:00.000Z' }] as const;
      await touchConversations(db, touched, [{ conversation_id: 'cnv_1', thread_id: 'thr_1' }]);
      const plans = await plansOf(db);
      assert.ok(plans.length >= 16);
      for (const { statement, lines } of plans) {
        // It reads all that a sub-account has, and compares each row with each key.
        const comparing = lines
          .filter((line) => /^(Join Filter|Hash Cond|Merge Cond|Filter): .*\b(id|key|canonical)\b/.test(line))
          .filter((line) => line.includes('= ANY') || !line.includes('$'));
        assert.deepEqual(comparing, [], statement);
      }
    } finally {
      await close();
    }
  });

  test('T1: decisions are found by their Message-ID, address or connection, not by going through all in their order', async () => {
    const { url } = database;
    assert.ok(url !== null);
    const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    try {
      const all = { subAccountId: null, idHash: null, addressHash: null, connectionId: null };
      const page = { after: null, limit: 9 };
      for (const by of [{ idHash: '00' }, { addressHash: '00' }, { connectionId: 'con_1' }])
        await listDecisions(db, { ...all, ...by, outcome: null, since: null }, page);
      const plans = await plansOf(db);
      const used = plans.map(({ lines }) => lines.join(' '));
      assert.equal(used.length, 3);
      // In each of its partitions.
      for (const index of ['lasting_id_hash_idx', 'lasting_address_hashes_idx', 'lasting_connection_id_id'])
        assert.equal(used.filter((plan) => plan.includes(index)).length, 1, `${index}: ${used.join('\n')}`);
      for (const plan of used) assert.doesNotMatch(plan, /Seq Scan/);
    } finally {
      await close();
    }
  });

  test('messages are looked up by the keys of a batch, also with a plan made when there were known to be none', async (t) => {
    const own = await testDatabase('postgres');
    t.after(() => own.drop());
    assert.ok(own.url !== null);
    const { db, close } = await openDatabase({ kind: 'postgres', url: own.url, connectionsMax: 1 });
    try {
      await run(db, 'analyze');
      await readFactRows(db, factKeysOf('mbx_1', [], []));
      const lines = (await plansOf(db)).flatMap((plan) => plan.lines);
      // And not each message with each key.
      assert.ok(lines.some((line) => /^Index Cond: \(id = r_\d+\.message_id\)$/.test(line)));
    } finally {
      await close();
    }
  });

  test('a step of sends reads what it names, also with a plan made while nothing is stored', async () => {
    const { url } = database;
    assert.ok(url !== null);
    const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    try {
      const lanes = [{ lane: 'mbx_1', limit: 5 }];
      await claimLanes(db, { owner: 'me', leaseMs: 1, individual: true, lanes, limit: 200 });
      await noteHandovers(db, { owner: 'me', attempts: [{ id: 'snd_1', n: 1, refused: null }] });
      await endAttempts(db, [{ id: 'snd_1', n: 1, outcome: 'accepted', reply: null }]);
      const change = { state: 'sent', reason: null, next: 'over' } as const;
      await writeSendChanges(db, [{ id: 'snd_1', change }]);
      await lockMessages(db, ['msg_1']);
      await touchMessages(db, ['msg_1']);
      await countPlacesTaken(db, { from: [{ mailboxId: 'mbx_1', at: 0 }], besides: ['snd_1'] });
      const plans = await plansOf(db);
      assert.equal(plans.length, 8);
      for (const { statement, lines } of plans) {
        const whole = lines.filter(
          (line, n) =>
            / on (sends|send_attempts|messages|mailboxes|connections|daily_places)\b/.test(line) &&
            / Scan /.test(line) &&
            !/^(Index|Recheck) Cond: /.test(lines[n + 1] ?? ''),
        );
        assert.deepEqual(whole, [], statement);
      }
    } finally {
      await close();
    }
  });

  test('the connection of a send is looked up by its mailbox, also with a plan made while there were none', async () => {
    const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
    const office = await openOffice();
    try {
      await office.db.raw('analyze connections');
      await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'imap', smtp });
      const plans = await office.db.transaction(async (tx) => {
        await lockSends(tx, ['snd_1']);
        await awaitSentCopies(tx, ['snd_1']);
        return plansOf(tx);
      });
      const ofSends = plans.filter(({ statement }) => /insert into sent_copies|'leaseOwner'/.test(statement));
      assert.equal(ofSends.length, 2);
      for (const { lines } of ofSends) {
        const at = lines.findIndex((line) => / on connections\b/.test(line));
        assert.match(lines[at + 1] ?? '', /^Index Cond: \(mailbox_id = /);
      }
    } finally {
      await office.close();
    }
  });

  test('what sends look for goes by an index, also with a plan made while nothing is stored', async () => {
    const { url } = database;
    assert.ok(url !== null);
    const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    try {
      const [mailboxId, id] = ['mbx_1', 'snd_1'] as const;
      await findDueOfLane(db, { lane: mailboxId, limit: 5 });
      await findHeldToSettle(db, { blockedStates: [], heldMsMax: 1, limit: 5 });
      const named = { messageId: 'msg_1', threadId: 'thr_1', serverId: 'x', key: 'x', sentKey: 'y' } as const;
      await addServerMessageIds(db, [{ id, ...named }]);
      const undone = db.transaction(async (tx) => {
        await run(
          tx,
          `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state)
           values ('mbx_1', 'gmail', 'a@mail.example', 'a@mail.example', 'a', 'oauth', '', 'live')`,
        );
        await closeQuota(tx, { mailboxId, sendIds: [id], ms: 1 });
        await takeSendingLeases(tx, { owner: 'x', leaseMs: 1, mailboxIds: [mailboxId], most: 1 });
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      const plans = await plansOf(db);
      assert.equal(plans.length, 7);
      for (const { statement, lines } of plans) {
        const whole = lines.filter(
          (line, n) =>
            / on (sends|send_attempts|messages|message_keys|mailboxes|connections|daily_places)\b/.test(
              line,
            ) &&
            / Scan /.test(line) &&
            // What is held is looked at, all of it.
            !line.includes(' sends_held ') &&
            !/^(Index|Recheck) Cond: /.test(lines[n + 1] ?? ''),
        );
        assert.deepEqual(whole, [], statement);
      }
    } finally {
      await close();
    }
  });

  for (const [name, filter, expected] of [
    ['in a state', { state: 'live', subAccountId: null }, /connections_by_state.*Index Cond: \(state = /],
    [
      'of a sub-account',
      { state: null, subAccountId: 's' },
      /connections_by_sub_account.*Index Cond: \(sub_account_id = /,
    ],
  ] as const) {
    test(`connections are listed by an index: those ${name}`, async () => {
      const { url } = database;
      assert.ok(url !== null);
      const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
      try {
        await listConnections(db, filter, { after: null, limit: 51 });
        const plan = (await plansOf(db)).flatMap(({ lines }) => lines).join(' ');
        assert.match(plan, expected);
        assert.doesNotMatch(plan, /Sort|Filter: .*c\.(state|sub_account_id)/);
      } finally {
        await close();
      }
    });
  }

  const noFilter = { contactId: null, userId: null, updatedAfter: null };
  const first = { after: null, limit: 51 };
  const time = '2026-11-20T09:00:00.000Z';
  for (const [name, filter, page, expected] of [
    ['all', noFilter, first, /conversations_by_update.*Index Cond: \(sub_account_id = \S+\)$/],
    [
      'those after the last page',
      noFilter,
      { after: { updatedAt: time, id: 'cnv_1' }, limit: 51 },
      /conversations_by_update.*Index Cond: .*ROW\(updated_at, id\) < ROW/,
    ],
    [
      'those that changed',
      { ...noFilter, updatedAfter: time },
      first,
      /conversations_by_update.*Index Cond: .*updated_at > /,
    ],
    [
      'that of a contact',
      { ...noFilter, contactId: 'c1' },
      first,
      /Index Cond: \(\(sub_account_id = \S+\) AND \(contact_id = /,
    ],
    [
      'those of a user',
      { ...noFilter, userId: 'u1' },
      first,
      /messages_by_user.*Index Cond: \(\(sub_account_id = \S+\) AND \(user_id = /,
    ],
  ] as const) {
    test(`conversations are listed by an index: ${name}`, async () => {
      const { url } = database;
      assert.ok(url !== null);
      const { db, close } = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
      try {
        await listConversations(db, 's', filter, page);
        const plan = (await plansOf(db)).flatMap(({ lines }) => lines).join(' ');
        assert.match(plan, expected);
        // Nothing but what a contact or a user has may be sorted.
        if (filter.contactId === null && filter.userId === null) assert.doesNotMatch(plan, /Sort/);
        assert.doesNotMatch(plan, /Filter: .*(updated_at|user_id|contact_id)/);
      } finally {
        await close();
      }
    });
  }
});

/** The statements of a connection, with the lines of their plans. */
async function plansOf(db: Db): Promise<{ statement: string; lines: string[] }[]> {
  const prepared = await db.raw<{ rows: { name: string; statement: string; count: number }[] }>(
    `select name, statement, cardinality(parameter_types) as count from pg_prepared_statements
      where name like 'twoway%'`,
  );
  const plans = [];
  for (const { name, statement, count } of prepared.rows) {
    const values = count === 0 ? '' : `(${Array.from({ length: count }, () => 'null').join()})`;
    const plan = await db.raw<{ rows: { 'QUERY PLAN': string }[] }>(`explain execute ${name}${values}`);
    plans.push({ statement, lines: plan.rows.map((row) => row['QUERY PLAN'].trim()) });
  }
  return plans;
}
