import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { deleteContact, findContact, listContacts, putContacts } from '../../src/store/contacts.ts';
import type { ContactInput, PutOutcome } from '../../src/store/contacts.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { touchConversations } from '../../src/store/filing-writes.ts';
import { putSubAccount, effectiveSettings } from '../../src/store/sub-accounts.ts';
import { deleteUser, joinSubAccount, putUser } from '../../src/store/users.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

const sid = 's1';

for (const kind of databaseKinds)
  describe(`contacts on ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;

    before(async () => {
      // Messages and conversations by hand, of which only what they belong to counts.
      database = await testDatabase(kind, {
        breaks: [
          'message_has_source',
          'message_has_key',
          'message_has_bytes',
          'conversation_is_dated',
          'message_is_told_once',
          'conversation_is_told_once',
        ],
      });
      db = database.db;
    });
    after(() => database.drop());

    beforeEach(async () => {
      await db.raw('truncate sub_accounts cascade');
      const rest = {
        name: '',
        settings: effectiveSettings({}),
        provider: null,
        providerPasswordSealed: null,
      };
      for (const id of [sid, 's2']) await putSubAccount(db, { id, ...rest });
    });

    const put = (...contacts: (Partial<ContactInput> & { id: string })[]): Promise<PutOutcome[] | null> =>
      db.transaction((tx) =>
        putContacts(
          tx,
          sid,
          contacts.map((contact) => ({ name: '', emails: [], assignedUserId: null, ...contact })),
        ),
      );

    test('no plan that was made for a small table reads all of it when it has grown', async () => {
      const [row] = await rows<{ mode: string; seqscan: string }>(
        db,
        `select current_setting('plan_cache_mode') as mode, current_setting('enable_seqscan') as seqscan`,
      );
      const kept = { mode: 'force_generic_plan', seqscan: 'off' };
      assert.deepEqual(row, kind === 'pglite' ? { mode: 'force_custom_plan', seqscan: 'on' } : kept);
    });

    /** A contact as mail to a logging address makes it (B2), with a conversation of one thread. */
    async function makeFromMail(n: number, ...emails: string[]): Promise<void> {
      const id = `cct_${n}`;
      await run(
        db,
        `insert into contacts (sub_account_id, id, name, created_by, awaits_crm_id)
       values (:sid, :id, 'from mail', 'logging_address', true)`,
        { sid, id },
      );
      await run(
        db,
        `insert into contact_addresses select :sid, :id, n - 1, address, address
       from unnest(:emails::text[]) with ordinality as e(address, n)`,
        { sid, id, emails },
      );
      await makeThread(n, id);
    }

    /** Thread thr_n with message msg_n, in the conversation of each of the contacts. */
    async function makeThread(n: number, ...contactIds: string[]): Promise<void> {
      await run(
        db,
        `insert into threads (id, sub_account_id, subject, opened_by) values (:id, :sid, '', 'logged')`,
        {
          id: `thr_${n}`,
          sid,
        },
      );
      await run(
        db,
        `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to,
         recipients_cc, recipients_bcc, subject, date, received_at)
       values (:id, :sid, :thread, 'inbound', '{mailbox}', '{}', '[]', '[]', '[]', '', now(), now())`,
        { id: `msg_${n}`, sid, thread: `thr_${n}` },
      );
      for (const contactId of contactIds) {
        await run(
          db,
          `insert into conversations (id, sub_account_id, contact_id, last_message_at)
         values (:id, :sid, :contactId, now() - make_interval(hours => :n)) on conflict do nothing`,
          { id: `cnv_${contactId}`, sid, contactId, n },
        );
        await run(
          db,
          `insert into conversation_threads select id, :thread from conversations
         where sub_account_id = :sid and contact_id = :contactId`,
          { sid, contactId, thread: `thr_${n}` },
        );
      }
    }

    const conversations = () =>
      db
        .raw<{ rows: object[] }>(
          `select v.id, v.contact_id as contact, array_agg(t.thread_id order by t.thread_id) as threads
         from conversations v join conversation_threads t on t.conversation_id = v.id group by v.id order by v.id`,
        )
        .then((result) => result.rows);
    const ids = async () =>
      (await listContacts(db, { subAccountId: sid, email: undefined, after: '', limit: 99 })).map(
        (row) => row.id,
      );

    test('outcomes are in the order of what was given', async () => {
      await put({ id: 'b', name: 'B' }, { id: 'z' });
      assert.deepEqual(
        await put({ id: 'z' }, { id: 'b', name: 'B2' }, { id: 'c', assignedUserId: 'u9' }, { id: 'a' }),
        ['unchanged', 'updated', 'unknown_user', 'created'],
      );
      assert.deepEqual(await put(), []);
    });

    test('there is no sub-account', async () => {
      assert.equal(await db.transaction((tx) => putContacts(tx, 's9', [])), null);
    });

    test("takes over what mail made: the CRM's id, its name and addresses, and the conversation stays", async () => {
      await makeFromMail(1, 'cleo@customer.example');
      const made = await findContact(db, sid, 'cct_1');
      const emails = ['other@customer.example', 'Cleo@Customer.example'];
      assert.deepEqual(await put({ id: 'crm-1', name: 'Cleo', emails }), ['updated']);
      const taken = await findContact(db, sid, 'crm-1');
      assert.deepEqual(
        [taken?.name, taken?.emails, taken?.createdBy, taken?.createdAt],
        ['Cleo', emails, 'logging_address', made?.createdAt],
      );
      assert.deepEqual(await ids(), ['crm-1']);
      assert.deepEqual(await conversations(), [{ id: 'cnv_cct_1', contact: 'crm-1', threads: ['thr_1'] }]);
      assert.deepEqual(await put({ id: 'crm-1', name: 'Cleo', emails }), ['unchanged']);
    });

    test('a second contact with that address is a contact of its own', async () => {
      await makeFromMail(1, 'cleo@customer.example');
      await put({ id: 'crm-1', emails: ['cleo@customer.example'] });
      assert.deepEqual(await put({ id: 'crm-2', emails: ['cleo@customer.example'] }), ['created']);
      assert.deepEqual(await ids(), ['crm-1', 'crm-2']);
    });

    test("a PUT at the gateway's own id keeps it, and ends the waiting for another", async () => {
      await makeFromMail(1, 'cleo@customer.example');
      const contact = { id: 'cct_1', name: 'from mail', emails: ['cleo@customer.example'] };
      assert.deepEqual(await put(contact), ['updated']);
      assert.deepEqual(await put(contact), ['unchanged']);
      await put({ id: 'crm-1', emails: ['cleo@customer.example'] });
      assert.deepEqual(await ids(), ['cct_1', 'crm-1']);
    });

    test('where the contact is there already, the two become one, with both conversations', async () => {
      await put({ id: 'crm-1', emails: ['old@customer.example'] });
      await makeThread(2, 'crm-1');
      await makeFromMail(1, 'new@customer.example');
      await put({ id: 'crm-1', emails: ['old@customer.example', 'new@customer.example'] });
      assert.deepEqual(await ids(), ['crm-1']);
      assert.deepEqual(await conversations(), [
        { id: 'cnv_crm-1', contact: 'crm-1', threads: ['thr_1', 'thr_2'] },
      ]);
      const [row] = (
        await db.raw<{ rows: { latest: boolean }[] }>(
          `select last_message_at > now() - interval '90 minutes' as latest from conversations`,
        )
      ).rows;
      assert.equal(row?.latest, true);
    });

    test('the one that is there may have no conversation yet', async () => {
      await put({ id: 'crm-1', emails: ['old@customer.example'] });
      await makeFromMail(1, 'new@customer.example');
      await put({ id: 'crm-1', emails: ['new@customer.example'] });
      assert.deepEqual(await conversations(), [{ id: 'cnv_cct_1', contact: 'crm-1', threads: ['thr_1'] }]);
    });

    test('one contact takes over several, in one batch with others', async () => {
      await makeFromMail(1, 'a@customer.example');
      await makeFromMail(2, 'b@customer.example', 'b2@customer.example');
      await makeFromMail(3, 'c@customer.example');
      const outcomes = await put(
        { id: 'x', emails: ['q@customer.example'] },
        { id: 'crm-1', emails: ['a@customer.example', 'b2@customer.example'] },
      );
      assert.deepEqual(outcomes, ['created', 'updated']);
      assert.deepEqual(await ids(), ['cct_3', 'crm-1', 'x']);
      assert.deepEqual(await conversations(), [
        { id: 'cnv_cct_1', contact: 'crm-1', threads: ['thr_1', 'thr_2'] },
        { id: 'cnv_cct_3', contact: 'cct_3', threads: ['thr_3'] },
      ]);
    });

    test("what another sub-account's mail made is not taken over", async () => {
      await makeFromMail(1, 'cleo@customer.example');
      await db.transaction((tx) =>
        putContacts(tx, 's2', [
          { id: 'crm-1', name: '', emails: ['cleo@customer.example'], assignedUserId: null },
        ]),
      );
      assert.deepEqual(await ids(), ['cct_1']);
    });

    test('deleting takes the conversation, and the threads that no other contact shows', async () => {
      await put({ id: 'a' }, { id: 'b' });
      await makeThread(1, 'a');
      await makeThread(2, 'a', 'b');
      assert.equal(await db.transaction((tx) => deleteContact(tx, sid, 'a')), true);
      assert.equal(await db.transaction((tx) => deleteContact(tx, sid, 'a')), false);
      assert.deepEqual(await conversations(), [{ id: 'cnv_b', contact: 'b', threads: ['thr_2'] }]);
      assert.deepEqual(await db('threads').pluck('id'), ['thr_2']);
      assert.deepEqual(await db('messages').pluck('id'), ['msg_2']);
    });

    // The embedded database has one session, so that nothing happens meanwhile.
    if (kind === 'pglite') return;

    /** Deletes a contact while `tx` is open; resolves when that is done, or waits for `tx`. */
    const beginDeletion = async (id: string) => {
      let isDone = false;
      const deleting = db
        .transaction((other) => deleteContact(other, sid, id))
        .finally(() => {
          isDone = true;
        });
      await waitFor('it to wait, or to be done', async () => {
        const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return isDone || (await rows(db, waiting)).length > 0;
      });
      return { deleting };
    };

    test('of two contacts that are deleted at the same time, the later takes the thread of both', async () => {
      await put({ id: 'a' }, { id: 'b' });
      await makeThread(1, 'a', 'b');
      const { deleting } = await db.transaction(async (tx) => {
        await deleteContact(tx, sid, 'a');
        return beginDeletion('b');
      });
      assert.equal(await deleting, true);
      assert.deepEqual(await conversations(), []);
      assert.deepEqual(await db('threads').pluck('id'), []);
      assert.deepEqual(await db('messages').pluck('id'), []);
    });

    test('a contact that is deleted while mail is filed in its thread takes that mail, too', async () => {
      await put({ id: 'a' });
      await makeThread(1, 'a');
      const { deleting } = await db.transaction(async (tx) => {
        await run(
          tx,
          `insert into messages select (m).* from (
          select jsonb_populate_record(m, '{"id": "msg_2"}') as m from messages m) copied`,
        );
        const begun = await beginDeletion('a');
        await touchConversations(tx, [{ id: 'cnv_a', date: '2026-11-01T00:00:00Z' }], []);
        return begun;
      });
      assert.equal(await deleting, true);
      assert.deepEqual(await db('messages').pluck('id'), []);
    });
  });

test('a contact that is assigned while its user is deleted ends with nobody, on postgres', async () => {
  const database = await testDatabase('postgres');
  const { db } = database;
  try {
    await run(db, `insert into sub_accounts (id, name) values ('s1', '')`);
    await db.transaction((tx) => putUser(tx, { id: 'u1', name: '', email: 'u1@crm.example', aliases: [] }));
    await joinSubAccount(db, { subAccountId: sid, userId: 'u1' });
    const contact = { id: 'c1', name: '', emails: [], assignedUserId: 'u1' };
    let deleting: Promise<boolean> | undefined;
    await db.transaction(async (tx) => {
      assert.deepEqual(await putContacts(tx, sid, [contact]), ['created']);
      deleting = db.transaction((other) => deleteUser(other, 'u1'));
      await waitFor('it waits', async () => {
        const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return (await rows(db, waiting)).length > 0;
      });
    });
    assert.equal(await deleting, true);
    assert.equal((await findContact(db, sid, 'c1'))?.assignedUserId, null);
  } finally {
    await database.drop();
  }
});
