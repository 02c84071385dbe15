import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { saveFolders, startFolders } from '../../src/store/folders.ts';
import { saveMailbox } from '../../src/store/proven-mailboxes.ts';
import { createWorld } from '../filing/world.ts';
import type { TestMailbox, World } from '../filing/world.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds) {
  describe(`folders on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@crm.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example']);
    });
    after(() => database.drop());

    /** The user has proven her login again; its listener lists the folders, and begins where the server says. */
    const startAnew = async (mailbox: TestMailbox, address: string, isSameAccount: boolean) => {
      const target = { id: mailbox.id, state: 'live', isSameAccount, activeElsewhere: false } as const;
      const server = { host: 'mail.host.example', port: 993, security: 'tls' } as const;
      const proven = {
        provider: 'imap',
        address,
        login: address,
        identityKey: null,
        servers: { imap: server, smtp: { ...server, port: 465 } },
        credentialKind: 'password',
        scopes: [],
      } as const;
      await saveMailbox(database.db, { ...proven, scopes: [] }, { target, startsAnew: true });
      const listed = await saveFolders(database.db, mailbox.id, [{ path: 'inbox', role: 'inbox' }]);
      return listed.filter(({ missing }) => !missing);
    };

    test('C3, S12: a UID of the host to which a mailbox has moved is not taken for the same UID of the old one', async () => {
      const mailbox = await world.connect('moved@mail.example', [['north', 'ann']]);
      const place = mailbox.folder('inbox');
      const old = place.id;
      await mailbox.see('inbox', { from: 'carla@customer.example', subject: 'At the old host' });
      const [inbox, ...more] = await startAnew(mailbox, 'moved@mail.example', false);
      assert.deepEqual(more, [], 'folders of the old host are no folders any more');
      assert.deepEqual([inbox?.path, inbox?.uidValidity, inbox?.cursorUid], ['inbox', null, 0]);
      assert.notEqual(inbox?.id, old);
      Object.assign(place, { id: inbox?.id, cursorUid: 0 });
      assert.ok(inbox);
      await startFolders(database.db, [{ folder: inbox, uidValidity: place.uidValidity, cursorUid: 0 }]);
      await mailbox.see('inbox', { from: 'carla@customer.example', subject: 'At the new host' });
      const seen = await rows(
        database.db,
        `select m.subject, s.folder_id as folder, s.uid::int from sightings s join messages m on m.id = s.message_id
          where s.mailbox_id = :id order by m.id`,
        { id: mailbox.id },
      );
      assert.deepEqual(seen, [
        { subject: 'At the old host', folder: old, uid: 1 },
        { subject: 'At the new host', folder: place.id, uid: 1 },
      ]);
    });

    test('S12: who still reads at the old host files nothing more', async () => {
      const mailbox = await world.connect('late@mail.example', [['north', 'ann']]);
      await startAnew(mailbox, 'late@mail.example', false);
      await assert.rejects(mailbox.see('inbox', { from: 'carla@customer.example' }), /is not at UID/);
    });

    test('C3, D5: whether a host saves copies of what is sent is not known of the next one', async () => {
      const mailbox = await world.connect('copies@mail.example', [['north', 'ann']]);
      const saves = async () =>
        (await rows(database.db, 'select saves_sent_copy from mailboxes where id = :id', mailbox))[0];
      await run(database.db, 'update mailboxes set saves_sent_copy = true where id = :id', mailbox);
      await startAnew(mailbox, 'copies@mail.example', true);
      assert.deepEqual(await saves(), { saves_sent_copy: true });
      await startAnew(mailbox, 'copies@mail.example', false);
      assert.deepEqual(await saves(), { saves_sent_copy: null });
    });

    test('C7, S12: connected again at the same host, a mailbox keeps its folders', async () => {
      const mailbox = await world.connect('again@mail.example', [['north', 'ann']]);
      const [inbox] = await startAnew(mailbox, 'again@mail.example', true);
      assert.equal(inbox?.id, mailbox.folder('inbox').id);
      assert.deepEqual([inbox.uidValidity, inbox.cursorUid], [null, 0]);
    });

    test('T1: a folder is begun only from where it was believed to stand, so that nothing is judged twice', async () => {
      const { db } = database;
      const mailboxId = newId('mbx');
      await run(
        db,
        `insert into mailboxes (id, provider, address, canonical, login, state)
         values (:mailboxId, 'imap', 'ann@mail.example', 'ann@mail.example', 'ann', 'live')`,
        { mailboxId },
      );
      const listing = [
        { path: 'INBOX', role: 'inbox' as const },
        { path: 'Projects', role: 'other' as const },
      ];
      const [folder, other] = await saveFolders(db, mailboxId, listing);
      assert.ok(folder && other);
      const first = { folder, uidValidity: 7, cursorUid: 3 };
      assert.deepEqual([...(await startFolders(db, [first]))], [folder.id]);
      await run(db, 'update folders set cursor_uid = 9 where id = :id', folder);
      const late = await startFolders(db, [first, { folder: other, uidValidity: 8, cursorUid: 20 }]);
      assert.deepEqual([...late], [other.id], 'a late node begins what nobody has begun, and nothing else');
      const [now, second] = await saveFolders(db, mailboxId, listing);
      assert.deepEqual([now?.uidValidity, now?.cursorUid], [7, 9]);
      assert.deepEqual([second?.uidValidity, second?.cursorUid], [8, 20]);
      assert.ok(now);
      const anew = await startFolders(db, [{ folder: now, uidValidity: 8, cursorUid: 0 }]);
      assert.deepEqual([...anew], [folder.id], 'numbered anew');
    });
  });
}
