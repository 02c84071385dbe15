import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { wish } from '../../src/filing/wishes.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Wish } from '../../src/store/wanted.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { connect, createScene, disconnect, openStage, toldOf } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const folders = `folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Archive \\Archive uidvalidity 9
folder: Sent \\Sent uidvalidity 8
folder: Trash \\Trash uidvalidity 3
`;
const plain = `capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS MOVE\n${folders}`;
const gmail = `capabilities: IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE NAMESPACE X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE
folder: INBOX uidvalidity 1 uidnext 41 exists 3
folder: "[Gmail]/All Mail" \\All uidvalidity 11 uidnext 501 exists 10
folder: "[Gmail]/Trash" \\Trash uidvalidity 2
`;
const letter = (id: string) =>
  Buffer.from(
    `From: <ann@customer.example>\r\nTo: <user@company.example>\r\nSubject: About ${id}\r\nDate: Tue, 17 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${id}@customer.example>\r\n\r\nText.\r\n`,
  );
/** What changes anything. */
const writes = [
  '* SELECT *',
  '* UID STORE *',
  '* UID MOVE *',
  '* UID COPY *',
  '* EXPUNGE*',
  '* UID EXPUNGE *',
  '* STORE *',
];

for (const kind of databaseKinds)
  describe(`U2, U3: what the CRM asks for, on ${kind}`, () => {
    let database: TestDatabase;
    let scene: Scene;
    const stages: Stage[] = [];

    before(async () => {
      database = await testDatabase(kind);
      scene = await createScene(database.db);
    });
    after(() => database.drop());
    afterEach(async () => {
      for (const stage of stages.splice(0)) await stage.end();
    });

    async function playLive(script: string, options: StageOptions = {}): Promise<Stage> {
      const stage = await openStage(scene, script, options);
      stages.push(stage);
      await stage.told('live');
      return stage;
    }
    const heard = async ({ sub }: Stage) =>
      (
        await rows<{ line: string }>(
          database.db,
          `select concat_ws(' ', case when (data ->> 'read')::boolean then 'read' else 'unread' end, data ->> 'mailbox_state') as line
             from events where sub_account_id = :sub and type like 'message.%' order by ord`,
          { sub },
        )
      ).map((row) => row.line);
    const hears = (stage: Stage, ...expected: string[]) =>
      waitFor(`heard: ${expected.join(', ')}`, async () => {
        const lines = await heard(stage);
        return lines.join('|') === expected.join('|') ? true : Promise.reject(new Error(lines.join(', ')));
      });
    const ask = async ({ sub: subAccountId, listener }: Stage, wanted: Partial<Wish>) => {
      const [message] = await scene.world.messages(subAccountId);
      const of = { subAccountId, messageId: message?.id as MessageId };
      const result = await wish(scene.world.filing, of, { read: null, state: null, ...wanted });
      listener.wakeWanted();
      return result;
    };
    const waiting = async ({ mailboxId }: Stage) =>
      (
        await rows<{ n: number }>(
          database.db,
          'select count(*)::int as n from wanted_changes where mailbox_id = :mailboxId',
          { mailboxId },
        )
      )[0]?.n;
    const done = (stage: Stage) => waitFor('nothing waits', async () => (await waiting(stage)) === 0);

    test('only what was asked for is written, on a connection that is open for no longer', async () => {
      const stage = await playLive(plain);
      const { peer } = stage;
      peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      for (const pattern of writes) assert.deepEqual(peer.sent(pattern), [], 'reading changes nothing');
      await ask(stage, { read: true });
      await ask(stage, { read: false });
      await ask(stage, { read: true, state: 'archived' });
      await done(stage);
      await hears(stage, 'unread present', 'read present', 'unread present', 'read present', 'read archived');
      for (const line of peer.sent('* UID STORE *'))
        assert.match(line, / UID STORE 11 [+-]FLAGS.SILENT \(\\Seen\)$/);
      assert.deepEqual(
        peer.sent('* UID MOVE *').map((line) => line.replace(/^\S+ /, '')),
        ['UID MOVE 11 Archive'],
      );
      assert.deepEqual([...peer.sent('* UID COPY *'), ...peer.sent('*EXPUNGE*')], []);
    });

    test('another sub-account that is connected to the mailbox hears what was done there, too', async () => {
      const person = await scene.person();
      const second = { sub: `${person.sub}-b`, user: `${person.user}-b` };
      await scene.world.addSubAccount(second.sub);
      await scene.world.addUser(second.user, 'colleague@company.example', [second.sub]);
      await scene.world.addContact(second.sub, 'c', ['ann@customer.example']);
      await connect(database.db, { ...person, ...second, provider: 'imap' });
      const stage = await openStage(scene, plain, { person });
      stages.push(stage);
      const other = { ...stage, ...second };
      await waitFor(
        'both to be live',
        async () => (await toldOf(database.db, person.mailboxId)).length === 2,
      );
      stage.peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      await hears(other, 'unread present');
      await ask(stage, { read: true });
      await hears(other, 'unread present', 'read present');
      await ask(stage, { state: 'archived' });
      await hears(other, 'unread present', 'read present', 'read archived');
      await done(stage);
      // A look finds no more than that.
      for (let times = 0; times < 4; times += 1) await stage.pass(60_000);
      assert.equal((await heard(other)).length, 3);
      await disconnect(database.db, person.mailboxId);
    });

    test('the same again changes nothing, and nothing is sent for it', async () => {
      const stage = await playLive(plain);
      stage.peer.deliver('INBOX', letter('a'), 'flags (\\Seen)');
      await hears(stage, 'read present');
      assert.deepEqual(await ask(stage, { read: true }), { mailboxes: [] });
      await done(stage);
      assert.deepEqual(stage.peer.sent('* SELECT *'), []);
      assert.deepEqual(await heard(stage), ['read present']);
    });

    test('what cannot be is refused: not in a mailbox, no folder for it, unread for what was sent, disconnected', async () => {
      const stage = await playLive(plain.replace(/folder: Archive.*\n/, ''));
      const { peer, sub } = stage;
      const nobody = { subAccountId: sub, messageId: 'msg_none' } as const;
      assert.equal(await wish(scene.world.filing, nobody, { read: true, state: null }), null);
      peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      const [message] = await scene.world.messages(sub);
      const foreign = { subAccountId: 'another', messageId: message?.id as MessageId };
      assert.equal(await wish(scene.world.filing, foreign, { read: true, state: null }), null);
      assert.deepEqual(await ask(stage, { state: 'archived' }), { refused: 'no_such_folder' });
      await stage.listener.stop();
      await disconnect(database.db, stage.mailboxId);
      assert.deepEqual(await ask(stage, { read: true }), { refused: 'mailbox_disconnected' });
      await run(
        database.db,
        `update sightings set gone_at = now(), state = 'gone' where mailbox_id = :mailboxId`,
        stage,
      );
      await run(database.db, `update messages set mailbox_state = 'gone' where sub_account_id = :sub`, stage);
      assert.deepEqual(await ask(stage, { read: true }), { refused: 'not_in_mailbox' });
      await run(
        database.db,
        `update messages set direction = 'outbound', is_read = true where sub_account_id = :sub`,
        stage,
      );
      assert.deepEqual(await ask(stage, { read: false }), { refused: 'sent_is_read' });
    });

    test('a mailbox that refuses: tried again, then given up, and what was told as read is unread again', async () => {
      const stage = await playLive(`${plain}on UID STORE *:\n  S: $tag NO not yours\n`);
      const { peer, log } = stage;
      peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      await ask(stage, { read: true });
      for (let tries = 1; tries <= 5; tries += 1) {
        await waitFor(`try ${tries}`, () => peer.sent('* UID STORE *').length === tries);
        if (tries < 5) {
          await waitFor('the pause', async () => {
            const free = await run(
              database.db,
              `update wanted_changes set due_at = now() where mailbox_id = :mailboxId and lease_owner is null and attempts = :tries`,
              { ...stage, tries },
            );
            return free === 1;
          });
          stage.listener.wakeWanted();
        }
      }
      await hears(stage, 'unread present', 'read present', 'unread present');
      await done(stage);
      assert.ok(log.lines.some(({ message }) => message.includes('given up')));
      await stage.told('live');
    });

    test('a crash after the move: nothing is moved twice, and the state is what the mailbox says', async () => {
      const stage = await playLive(plain);
      const { peer } = stage;
      peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      // As if this node had been killed: the move is made, the wish still there.
      peer.change('expunge INBOX 11');
      peer.deliver('Trash', letter('a'));
      await ask(stage, { state: 'trashed' });
      await stage.passUntil('it is told', async () => (await heard(stage)).length === 2, 20_000);
      await waitFor('its next try', async () => {
        await run(
          database.db,
          'update wanted_changes set due_at = now() where mailbox_id = :mailboxId',
          stage,
        );
        stage.listener.wakeWanted();
        return (await waiting(stage)) === 0;
      });
      assert.deepEqual(await heard(stage), ['unread present', 'unread trashed']);
      assert.deepEqual(peer.sent('* UID MOVE *'), []);
    });

    test('whoever disconnects wants nothing any more', async () => {
      const stage = await playLive(plain);
      stage.peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      await stage.listener.stop();
      await ask(stage, { read: true });
      assert.equal(await waiting(stage), 1);
      await disconnect(database.db, stage.mailboxId);
      assert.equal(await waiting(stage), 0);
    });

    test('Gmail: archive is to leave the inbox, trash is a move out of All Mail', async () => {
      const stage = await playLive(gmail, { provider: 'gmail' });
      const { peer } = stage;
      peer.deliver(
        '[Gmail]/All Mail',
        letter('a'),
        'and INBOX msgid 1848902113355901111 thrid 1848902113355901111 labels (\\Inbox)',
      );
      await hears(stage, 'unread present');
      await ask(stage, { state: 'archived' });
      await done(stage);
      await hears(stage, 'unread present', 'unread archived');
      await ask(stage, { state: 'trashed' });
      await done(stage);
      await hears(stage, 'unread present', 'unread archived', 'unread trashed');
      assert.deepEqual(
        peer.sent('* UID MOVE *').map((line) => line.replace(/^\S+ /, '').replaceAll('"', '')),
        ['UID MOVE 41 [Gmail]/All Mail', 'UID MOVE 501 [Gmail]/Trash'],
      );
      assert.deepEqual(peer.sent('* UID STORE *'), []);
      // What the listener sees of it is no news.
      for (let times = 0; times < 4; times += 1) await stage.pass(60_000);
      assert.equal((await heard(stage)).length, 3);
    });

    test('a server without MOVE: a copy and its own end; one that was interrupted is not copied again', async () => {
      const script = `${plain.replace(' MOVE', '')}on UID COPY *:\n  S: $tag OK done\non UID EXPUNGE *:\n  S: $tag OK done\n`;
      const stage = await playLive(script);
      const { peer } = stage;
      peer.deliver('INBOX', letter('a'));
      await hears(stage, 'unread present');
      await ask(stage, { state: 'trashed' });
      await done(stage);
      assert.deepEqual(
        peer
          .sent('* UID *')
          .filter((line) => /COPY|STORE|EXPUNGE/.test(line))
          .map((line) => line.replace(/^\S+ /, '')),
        ['UID COPY 11 Trash', 'UID STORE 11 +FLAGS.SILENT (\\Deleted)', 'UID EXPUNGE 11'],
      );
      const other = await playLive(script);
      other.peer.deliver('INBOX', letter('b'));
      await hears(other, 'unread present');
      other.peer.deliver('Trash', letter('b'));
      await ask(other, { state: 'trashed' });
      await done(other);
      assert.deepEqual(other.peer.sent('* UID COPY *'), []);
      assert.equal(other.peer.sent('* UID EXPUNGE 11').length, 1);
      assert.deepEqual(other.peer.sent('* EXPUNGE'), []);
    });
  });
