import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { eraseMessages } from '../../src/filing/erase.ts';
import { ConnectionAway } from '../../src/filing/file.ts';
import type { ConnectionId, MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { endConnection, pauseConnection } from '../../src/store/lifecycle.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createWorld } from './world.ts';
import type { TestMailbox, World } from './world.ts';

const carla = 'carla@customer.example';
const year = 365 * 24 * 3_600_000;
const longAgo = () => Date.now() - year;

for (const kind of databaseKinds) {
  describe(`what was judged before is judged again, ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let ann: TestMailbox;
    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(database.db, 'truncate sub_accounts, users, mailboxes, events cascade');
      world = await createWorld(database.db);
      await world.addSubAccount('s1');
      await world.addUser('ann', 'ann@crm.example', ['s1']);
      await world.addContact('s1', 'carla', [carla]);
      ann = await world.connect('ann@mail.example', [['s1', 'ann']]);
    });
    const held = () =>
      rows<{ reason: string; attempts: number; replaced: boolean }>(
        database.db,
        `select reason, attempts, replaced_by is not null as replaced from decisions order by id`,
      );
    const cursor = async () =>
      (
        await rows<{ uid: string }>(database.db, `select cursor_uid as uid from folders where role = 'inbox'`)
      )[0]?.uid;

    test('C8: older mail is stored by the same rules, once; the cursor stays, and a repeat changes nothing', async () => {
      const old = { internalDate: longAgo() };
      await ann.see(
        'inbox',
        { ...old, from: carla, id: 'first@customer.example' },
        { ...old, from: 'shop@stranger.example' },
        { ...old, from: 'dan@stranger.example', cc: carla, inReplyTo: 'first@customer.example' },
      );
      assert.deepEqual(world.fetched, [], 'nothing of mail from before the connection was fetched');
      const since = longAgo() - 1_000;
      const made = await ann.seeAgain('inbox', [1, 2, 3], { sub: 's1', since });
      assert.deepEqual(made, ['s1:from_contact', 's1:no_match', 's1:thread_member']);
      assert.deepEqual(world.fetched, [1, 3]);
      assert.equal(await cursor(), '3');
      const events = await world.eventTypes();
      assert.deepEqual(await ann.seeAgain('inbox', [1, 2, 3], { sub: 's1', since }), []);
      assert.deepEqual(await world.eventTypes(), events);
      assert.equal((await world.messages('s1')).length, 2);
      assert.deepEqual(
        (await held()).map((row) => row.replaced),
        [true, true, true, false, false, false],
      );
    });

    test('C8: a dry run says the same from headers alone, and writes nothing', async () => {
      const old = { internalDate: longAgo() };
      await ann.see(
        'inbox',
        { ...old, from: carla, id: 'second@customer.example' },
        { ...old, from: 'shop@stranger.example' },
        { ...old, from: 'dan@stranger.example', cc: carla, inReplyTo: 'second@customer.example' },
        { ...old, from: carla, headers: { 'Auto-Submitted': 'auto-replied' } },
      );
      const before = await held();
      const outcomes = await ann.foresee('inbox', [1, 2, 3, 4], { sub: 's1', since: 0 });
      assert.deepEqual(
        outcomes.map(({ outcome, reason }) => `${outcome} ${reason}`),
        ['stored from_contact', 'skipped no_match', 'stored thread_member', 'skipped automatic'],
      );
      assert.deepEqual(world.fetched, []);
      assert.deepEqual(await held(), before);
      assert.deepEqual(await world.messages('s1'), []);
      assert.deepEqual(await world.eventTypes(), ['connection.created']);
    });

    test('C7, C8: a dry run foresees nothing of what was erased', async () => {
      const old = {
        from: carla,
        id: 'gone@customer.example',
        subject: 'Gone',
        date: 'Fri, 21 Nov 2025 09:00:00 +0000',
        internalDate: longAgo(),
      };
      await ann.see('inbox', old);
      await ann.seeAgain('inbox', [1], { sub: 's1', since: 0 });
      const ids = (await world.messages('s1')).map(({ id }) => id as MessageId);
      await eraseMessages(world.filing, 's1', ids);
      // The same in another folder.
      assert.deepEqual(await ann.see('archive', old), ['s1:erased']);
      await run(database.db, `delete from decisions where reason = 'erased'`);
      const outcomes = await ann.foresee('archive', [1], { sub: 's1', since: 0 });
      assert.deepEqual(
        outcomes.map(({ outcome, reason }) => `${outcome} ${reason}`),
        ['skipped erased'],
      );
    });

    test('T3: one that could not be read is tried again: it counts, and then gives way', async () => {
      ann.unreadable.add(1);
      assert.deepEqual(await ann.see('inbox', { from: carla }), ['s1:unreadable']);
      assert.deepEqual(await ann.seeAgain('inbox', [1], { sub: 's1' }), []);
      assert.deepEqual(await held(), [{ reason: 'unreadable', attempts: 2, replaced: false }]);
      ann.unreadable.clear();
      assert.deepEqual(await ann.seeAgain('inbox', [1], { sub: 's1' }), ['s1:from_contact']);
      assert.deepEqual(await held(), [
        { reason: 'unreadable', attempts: 2, replaced: true },
        { reason: 'from_contact', attempts: 0, replaced: false },
      ]);
    });

    const byHand: Record<
      string,
      [letter: Parameters<TestMailbox['see']>[1], was: string, becomes: string[]]
    > = {
      'from before the connection': [
        { from: carla, internalDate: longAgo() },
        'before_connection',
        ['s1:by_hand'],
      ],
      'a list mail of a contact': [
        { from: carla, headers: { 'List-Id': '<news.customer.example>' } },
        'automatic',
        ['s1:by_hand'],
      ],
      'a stranger, and no contact on it: it would show nowhere': [
        { from: 'shop@stranger.example' },
        'no_match',
        [],
      ],
      'among colleagues': [{ from: 'ben@crm.example', cc: carla }, 'counterpart_is_user', []],
      'never to be logged': [{ from: 'private@never.example', cc: carla }, 'never_log', []],
    };
    for (const [name, [letter, was, becomes]] of Object.entries(byHand)) {
      test(`by hand: ${name}`, async () => {
        await world.addUser('ben', 'ben@crm.example', ['s1']);
        await run(
          database.db,
          `insert into never_log (sub_account_id, pattern, as_written) values ('s1', '@never.example', '@never.example')`,
        );
        assert.deepEqual(await ann.see('inbox', letter), [`s1:${was}`]);
        assert.deepEqual(await ann.seeAgain('inbox', [1], { sub: 's1', since: 0, byHand: true }), becomes);
        assert.equal((await world.messages('s1')).length, becomes.length);
        const live = await rows(database.db, `select from thread_links where state = 'live'`);
        assert.equal(live.length, 0, 'by itself it makes no thread sync');
      });
    }

    test('by hand, in an unlinked thread: it joins it, and the thread stays unlinked', async () => {
      await ann.see('inbox', { from: carla, id: 'third@customer.example' });
      await run(database.db, `update thread_links set state = 'unlinked', reason = 'disconnected'`);
      const answer = { from: carla, inReplyTo: 'third@customer.example' };
      assert.deepEqual(await ann.see('inbox', answer), ['s1:thread_unlinked']);
      assert.deepEqual(await ann.seeAgain('inbox', [2], { sub: 's1', since: 0, byHand: true }), [
        's1:by_hand',
      ]);
      const threads = new Set((await world.messages('s1')).map((message) => message.thread_id));
      assert.equal(threads.size, 1);
      const [link] = await rows<{ state: string }>(database.db, 'select state from thread_links');
      assert.equal(link?.state, 'unlinked');
    });

    test('the others who are connected to the mailbox keep their decisions', async () => {
      await world.addSubAccount('s2');
      await world.addUser('eve', 'eve@crm.example', ['s2']);
      await world.addContact('s2', 'carla2', [carla]);
      const shared = await world.connect('team@mail.example', [
        ['s1', 'ann'],
        ['s2', 'eve'],
      ]);
      const letter = { from: carla, internalDate: longAgo() };
      assert.deepEqual(await shared.see('inbox', letter), ['s1:before_connection', 's2:before_connection']);
      assert.deepEqual(await shared.seeAgain('inbox', [1], { sub: 's2', since: 0 }), ['s2:from_contact']);
      assert.deepEqual(await world.messages('s1'), []);
    });

    const leaving = {
      'has ended': (tx: Db, id: ConnectionId) => endConnection(tx, id, 'disconnected'),
      'is paused': pauseConnection,
    };
    for (const [what, leave] of Object.entries(leaving)) {
      test(`a connection that ${what} gets nothing, and whoever asks does not take it for judged`, async () => {
        await ann.see('inbox', { from: carla, internalDate: longAgo() });
        const [connection] = await rows<{ id: ConnectionId }>(database.db, 'select id from connections');
        if (connection === undefined) throw new Error('no connection');
        world.meanwhile = () => database.db.transaction(async (tx) => void (await leave(tx, connection.id)));
        await assert.rejects(ann.seeAgain('inbox', [1], { sub: 's1', since: 0 }), ConnectionAway);
        assert.deepEqual(await world.messages('s1'), []);
        assert.deepEqual(await world.decisions(), ['s1:before_connection']);
      });
    }

    test('S13: what a message answers that opens a thread is asked for, and not what is stored', async () => {
      const heads = () =>
        rows<{ request: { messageIds: string[] } }>(
          database.db,
          `select request from errands where kind = 'thread_head' order by seq`,
        );
      await ann.see('inbox', {
        from: carla,
        inReplyTo: 'two@stranger.example',
        references: '<one@stranger.example> <two@stranger.example>',
      });
      assert.deepEqual(
        (await heads()).map((row) => row.request.messageIds),
        [['two@stranger.example', 'one@stranger.example']],
      );
      await ann.see(
        'inbox',
        { from: carla },
        { from: 'dan@stranger.example', cc: carla, references: '<one@stranger.example>' },
      );
      assert.equal((await heads()).length, 1, 'neither a new letter nor a member of a thread asks');
      await run(database.db, `update sub_accounts set settings = '{"fetch_thread_head": false}'`);
      await ann.see('inbox', { from: carla, inReplyTo: 'three@stranger.example' });
      assert.equal((await heads()).length, 1, 'the setting is off');
    });

    test('S13: it joins the thread, however old it is and whatever was said of it', async () => {
      await ann.see(
        'sent',
        {
          from: 'ann@mail.example',
          to: `agent@stranger.example, ${carla}`,
          id: 'four@mail.example',
          internalDate: longAgo(),
        },
        { from: 'ann@mail.example', to: carla, id: 'five@mail.example', internalDate: longAgo() },
      );
      await ann.see('inbox', {
        from: carla,
        inReplyTo: 'four@mail.example',
        references: '<five@mail.example> <four@mail.example>',
      });
      const made = await ann.seeAgain('sent', [1, 2], { sub: 's1', answered: true });
      assert.deepEqual(made, ['s1:thread_member', 's1:thread_member']);
      const threads = new Set((await world.messages('s1')).map((message) => message.thread_id));
      assert.equal(threads.size, 1);
    });

    test('S13: mail with nobody in common but the owner stays private, whoever cites it', async () => {
      // Ann has answered her doctor, and taken Carla into the exchange in place of the doctor.
      await ann.see(
        'sent',
        { from: 'ann@mail.example', to: 'doctor@clinic.example', id: 'seven@mail.example' },
        {
          from: 'ann@mail.example',
          to: carla,
          id: 'eight@mail.example',
          inReplyTo: 'seven@mail.example',
        },
      );
      assert.deepEqual(await ann.seeAgain('sent', [1], { sub: 's1', answered: true }), []);
      assert.equal((await world.messages('s1')).length, 1);
    });

    test('S13, C8: what is answered and does not belong to the thread stays where it is, as all from before the connection', async () => {
      const forward = {
        from: 'ann@mail.example',
        to: carla,
        id: 'six@mail.example',
        subject: 'Fwd: Private',
      };
      await ann.see('sent', { ...forward, internalDate: longAgo() });
      await ann.see('inbox', { from: carla, subject: 'Hello', inReplyTo: 'six@mail.example' });
      assert.deepEqual(await ann.seeAgain('sent', [1], { sub: 's1', answered: true }), []);
      assert.equal((await world.messages('s1')).length, 1);
    });
  });
}
