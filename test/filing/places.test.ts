import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { notePlaces, noteVanished } from '../../src/filing/places.ts';
import { placeStateOf } from '../../src/filing/sighting.ts';
import type { FolderRole } from '../../src/filing/sighting.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { findVanished, readTrackedPlaces } from '../../src/store/places.ts';
import type { PlaceNews } from '../../src/store/places.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createWorld } from './world.ts';
import type { Letter, TestMailbox, World } from './world.ts';

describe('U3: what a place says of a message', () => {
  const cases: [role: FolderRole, labels: string[], state: string][] = [
    ['inbox', [], 'present'],
    ['sent', ['\\seen'], 'present'],
    ['other', [], 'present'],
    ['archive', [], 'archived'],
    ['trash', [], 'trashed'],
    ['spam', [], 'trashed'],
    ['all', ['\\inbox', '\\important'], 'present'],
    ['all', ['\\sent'], 'present'],
    ['all', ['\\important', 'customers'], 'archived'],
    ['all', [], 'archived'],
    ['all', ['\\trash', '\\inbox'], 'trashed'],
  ];
  for (const [role, labels, state] of cases) {
    test(`${role} ${labels.join(' ')}: ${state}`, () => {
      assert.equal(placeStateOf(role, new Set(labels)), state);
    });
  }
});

for (const kind of databaseKinds)
  describe(`U2, U3: what places say of messages, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let mailbox: TestMailbox;
    let people = 0;
    let sub = '';
    const letter: Letter = {
      id: 'q1@customer.example',
      from: 'carla@customer.example',
      subject: 'A question',
      date: 'Fri, 20 Nov 2026 09:00:00 +0000',
      text: 'Is it still open?',
    };

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
    });
    after(() => database.drop());
    beforeEach(async () => {
      people += 1;
      sub = `sub-${people}`;
      await world.addSubAccount(sub);
      await world.addUser(`user-${people}`, `user-${people}@crm.example`, [sub]);
      await world.addContact(sub, 'c1', ['carla@customer.example']);
      mailbox = await world.connect(`user-${people}@mail.example`, [[sub, `user-${people}`]]);
    });

    const numbered = (role: FolderRole) => {
      const { id, uidValidity } = mailbox.folder(role);
      return { id, uidValidity };
    };
    const note = (role: FolderRole, news: Partial<PlaceNews>) =>
      notePlaces(world.filing, numbered(role), {
        there: [],
        gone: [],
        goneAt: Date.now(),
        goneDueAt: Date.now() + 1_000,
        modseq: null,
        ...news,
      });
    /** What the CRM was told of the one message, in order: `read state`. */
    const told = async () =>
      (
        await rows<{ type: string; read: boolean; state: string }>(
          database.db,
          `select type, (data ->> 'read')::boolean as read, data ->> 'mailbox_state' as state from events
            where sub_account_id = :sub and type like 'message.%' order by ord`,
          { sub },
        )
      ).map(
        ({ type, read, state }) =>
          `${type === 'message.created' ? 'new ' : ''}${read ? 'read' : 'unread'} ${state}`,
      );
    const vanished = (now = Date.now() + 5_000, lookBeganAt = now) =>
      findVanished(database.db, mailbox.id, { now, lookBeganAt, limit: 10 });
    const messageId = async () => (await world.messages(sub))[0]?.id as MessageId;

    test('a message is stored as it lies there', async () => {
      await mailbox.see('archive', { ...letter, seen: true });
      assert.deepEqual(await told(), ['new read archived']);
    });

    test('read and unread are each told once', async () => {
      await mailbox.see('inbox', letter);
      await note('inbox', { there: [{ uid: 1, is_read: true, state: 'present' }] });
      await note('inbox', { there: [{ uid: 1, is_read: true, state: 'present' }] });
      await note('inbox', { there: [{ uid: 1, is_read: false, state: 'present' }] });
      // Nothing that is stored lies there.
      await note('inbox', { there: [{ uid: 2, is_read: true, state: 'present' }], gone: [3] });
      assert.deepEqual(await told(), ['new unread present', 'read present', 'unread present']);
    });

    test('a move is not a delete, whichever half of it is seen first', async () => {
      await mailbox.see('inbox', letter);
      await note('inbox', { gone: [1] });
      assert.deepEqual(await told(), ['new unread present'], 'nothing is said before it is known');
      await mailbox.see('archive', { ...letter, seen: true });
      assert.deepEqual(await told(), ['new unread present', 'read archived']);
      await mailbox.see('other', { ...letter, seen: true });
      await note('archive', { gone: [1] });
      assert.deepEqual(await told(), ['new unread present', 'read archived', 'read present']);
      assert.deepEqual(
        (await vanished()).map(({ isElsewhere }) => isElsewhere),
        [true],
      );
      await noteVanished(world.filing, mailbox.id, [{ message_id: await messageId(), state: 'gone' }]);
      assert.equal((await told()).length, 3);
      assert.deepEqual(await vanished(), []);
    });

    test('what became of it is said when it is due, and after a whole look', async () => {
      await mailbox.see('inbox', letter);
      const goneAt = Date.now();
      await note('inbox', { gone: [1], goneAt, goneDueAt: goneAt + 30_000 });
      await note('inbox', { gone: [1], goneAt: goneAt + 20_000, goneDueAt: goneAt + 50_000 });
      assert.deepEqual(await vanished(goneAt + 29_000), [], 'it is not due');
      assert.deepEqual(await vanished(goneAt + 31_000, goneAt), [], 'no look began since');
      assert.deepEqual(await vanished(goneAt + 31_000), [
        { messageId: await messageId(), internetMessageId: 'q1@customer.example', isElsewhere: false },
      ]);
      await noteVanished(world.filing, mailbox.id, [{ message_id: await messageId(), state: 'trashed' }]);
      assert.deepEqual(await told(), ['new unread present', 'unread trashed']);
      await mailbox.see('inbox', letter);
      await note('inbox', { gone: [2] });
      await noteVanished(world.filing, mailbox.id, [{ message_id: await messageId(), state: 'gone' }]);
      assert.deepEqual((await told()).slice(2), ['unread present', 'unread gone'], 'the last answer counts');
    });

    test('what is shown again where it was is there again', async () => {
      await mailbox.see('inbox', letter);
      await note('inbox', { gone: [1] });
      const folders = [numbered('sent'), numbered('inbox')];
      const tracked = await readTrackedPlaces(database.db, folders, { most: 10, days: 1 });
      assert.deepEqual(
        [...tracked].map(([id, places]) => [id, ...places.map(({ uid, isGone }) => [uid, isGone])]),
        [[numbered('inbox').id, [1, true]]],
      );
      await noteVanished(world.filing, mailbox.id, [{ message_id: await messageId(), state: 'gone' }]);
      await note('inbox', { there: [{ uid: 1, is_read: false, state: 'present' }] });
      assert.deepEqual(await told(), ['new unread present', 'unread gone', 'unread present']);
    });

    test('two folders, or two mailboxes, have it: what is most there counts, and who read it', async () => {
      const colleague = `colleague-${people}`;
      await world.addUser(colleague, `${colleague}@crm.example`, [sub]);
      const other = await world.connect(`${colleague}@mail.example`, [[sub, colleague]]);
      await mailbox.see('inbox', letter);
      await other.see('archive', { ...letter, seen: true });
      await note('inbox', { gone: [1] });
      await noteVanished(world.filing, mailbox.id, [{ message_id: await messageId(), state: 'gone' }]);
      assert.deepEqual(await told(), ['new unread present', 'read present', 'read archived']);
    });

    test('what the user wrote counts as read', async () => {
      await mailbox.see('sent', {
        id: 'a1@x.example',
        from: `user-${people}@mail.example`,
        to: 'carla@customer.example',
      });
      await note('sent', { there: [{ uid: 1, is_read: false, state: 'present' }] });
      assert.deepEqual(await told(), ['new read present']);
    });

    test('a folder that is numbered anew says nothing of what was there before', async () => {
      await mailbox.see('inbox', letter);
      await run(database.db, 'update folders set uid_validity = 2, cursor_uid = 0 where id = :id', {
        id: mailbox.folder('inbox').id,
      });
      Object.assign(mailbox.folder('inbox'), { uidValidity: 2, cursorUid: 0 });
      await note('inbox', { gone: [1] });
      assert.deepEqual(await told(), ['new unread present']);
      await mailbox.see('archive', letter);
      assert.deepEqual(await told(), ['new unread present', 'unread archived']);
    });
  });
