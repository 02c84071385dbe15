import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { SendId } from '../../src/lib/id.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import { changeSends } from '../../src/outbound/transition.ts';
import { rows, run } from '../../src/store/database.ts';
import { readSends } from '../../src/store/public-send.ts';
import type { PublicSend } from '../../src/store/public-send.ts';
import { endAttempts, startAttempts } from '../../src/store/send-attempts.ts';
import { lockSends } from '../../src/store/sends.ts';
import { claimWork } from '../../src/store/work.ts';
import { blankRequest } from '../outbound/support.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, disconnect, openStage } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const sentFolder = 'folder: Sent \\Sent uidvalidity 8\n';
const plain = `capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS MOVE
folder: INBOX uidvalidity 7
${sentFolder}`;

for (const kind of databaseKinds)
  describe(`U1: the gateway puts a copy into Sent where the host saves none, on ${kind}`, () => {
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

    /** What the CRM sent through the mailbox, as its sender leaves it; its id, and the bytes that went out. */
    async function send(stage: Stage, bcc: string[] = []): Promise<{ id: SendId; raw: Buffer }> {
      const result = await createAccept({
        ...scene.world.filing,
        clock: systemClock,
        trackingUrl: null,
        wakeSender: () => undefined,
      })(
        {
          ...blankRequest,
          subAccountId: stage.sub,
          userId: stage.user,
          contactId: 'contact-0',
          bcc: bcc.map((address) => ({ name: 'Somebody', address })),
          subject: 'An offer',
          text: 'Text.',
        },
        null,
      );
      if ('refused' in result) throw new Error(JSON.stringify(result.refused));
      const { id } = result.answer.send;
      await claimWork(database.db, { table: 'sends', owner: 'sender', leaseMs: 60_000, limit: 1 });
      const change = (state: 'sending' | 'sent', next: 'in_hand' | 'over') =>
        database.db.transaction(async (tx) => {
          const [locked] = await lockSends(tx, [id]);
          assert.ok(locked);
          if (state === 'sending') await startAttempts(tx, [id]);
          else await endAttempts(tx, [{ id, n: 1, outcome: 'accepted', reply: null }]);
          await changeSends(tx, [{ send: locked, change: { state, reason: null, next } }]);
          return locked.rawSha256;
        });
      await change('sending', 'in_hand');
      const raw = scene.world.blobs.all.get(await change('sent', 'over'));
      assert.ok(raw);
      return { id, raw };
    }

    const shown = async ({ sub }: Stage, id: SendId): Promise<PublicSend> => {
      const [found] = await readSends(database.db, sub, [id]);
      assert.ok(found);
      return found;
    };
    /** Sent was looked at since, the wait is over, and nobody has it. */
    const due = async (stage: Stage, id: SendId, isLookedAt = true) => {
      const looked = async () =>
        (
          await rows(
            database.db,
            `select from sent_copies c join mailboxes b on b.id = c.mailbox_id
              where c.id = :id and b.sent_looked_at > greatest(c.created_at, c.begun_at)`,
            { id },
          )
        ).length > 0;
      if (isLookedAt) await stage.passUntil('a look', looked, 40_000);
      await run(
        database.db,
        `update sent_copies set due_at = now(), lease_until = case when lease_owner is not null then now() end where id = :id`,
        { id },
      );
    };
    const becomes = (stage: Stage, id: SendId, sentCopy: PublicSend['sent_copy']) =>
      stage.passUntil(
        `the copy to be ${sentCopy?.state}`,
        async () => JSON.stringify((await shown(stage, id)).sent_copy) === JSON.stringify(sentCopy),
        40_000,
      );
    const seen = (stage: Stage, id: SendId) =>
      waitFor('the copy to be seen', async () => (await shown(stage, id)).copy_seen);
    const saves = async ({ mailboxId }: Stage) =>
      (
        await rows<{ saves: boolean | null }>(
          database.db,
          'select saves_sent_copy as saves from mailboxes where id = :mailboxId',
          { mailboxId },
        )
      )[0]?.saves;
    const appends = ({ peer }: Stage) => peer.sent('* APPEND *');
    const waiting = async (id: SendId) =>
      (
        await rows<{ n: number }>(
          database.db,
          'select count(*)::int as n from sent_copies where id = :id and ready',
          { id },
        )
      )[0]?.n;
    const appended = { state: 'appended', reason: null } as const;
    const awaited = { state: 'awaited', reason: null } as const;

    test('once, when the wait is over: marked as read, with the date of the send, and it teaches nothing of the host', async () => {
      const stage = await playLive(plain);
      const { id, raw } = await send(stage, ['bob@other.example']);
      assert.deepEqual((await shown(stage, id)).sent_copy, awaited);
      await stage.pass(40_000);
      await stage.pass(40_000);
      assert.deepEqual(appends(stage), [], 'not before');
      await due(stage, id);
      await becomes(stage, id, appended);
      await seen(stage, id);
      const [line, ...more] = appends(stage);
      assert.deepEqual(more, []);
      assert.match(line ?? '', / APPEND Sent \(\\Seen\) "\d\d-\w{3}-\d{4} [\d:]{8} [+-]\d{4}" \{\d+\+?\}/);
      const transcript = stage.peer.transcript();
      assert.ok(transcript.includes('Bcc: <bob@other.example>'), 'whom only the author knows of');
      assert.ok(!raw.toString().includes('bob@other.example'));
      assert.equal(await saves(stage), null);
      const { state, copy_seen } = await shown(stage, id);
      assert.deepEqual({ state, copy_seen }, { state: 'sent', copy_seen: true });
      const [count] = await rows(
        database.db,
        `select count(*)::int as messages, bool_and('mailbox' = any(via)) as mailbox, bool_and(is_read) as read
           from messages where sub_account_id = :sub`,
        stage,
      );
      assert.deepEqual(count, { messages: 1, mailbox: true, read: true });
      const [next] = [await send(stage)];
      assert.deepEqual((await shown(stage, next.id)).sent_copy, awaited, 'the next one waits as long');
    });

    test('not where a copy of the host’s own shows up first, and never again at that host', async () => {
      const stage = await playLive(plain);
      const { id, raw } = await send(stage);
      stage.peer.deliver('Sent', raw);
      await seen(stage, id);
      assert.equal((await shown(stage, id)).sent_copy, null);
      await due(stage, id);
      await stage.passUntil('nothing waits', async () => (await waiting(id)) === 0, 40_000);
      assert.equal(await saves(stage), true);
      const next = await send(stage);
      assert.equal((await shown(stage, next.id)).sent_copy, null);
      assert.deepEqual(appends(stage), []);
    });

    test('nor where the host was seen to save copies while one was awaited', async () => {
      const stage = await playLive(plain);
      const first = await send(stage);
      const second = await send(stage);
      stage.peer.deliver('Sent', second.raw);
      await seen(stage, second.id);
      assert.equal(await saves(stage), true);
      await due(stage, first.id);
      await becomes(stage, first.id, { state: 'not_appended', reason: 'host_saves_copies' });
      assert.deepEqual(appends(stage), []);
    });

    test('a copy of a mail to oneself in the inbox is none in Sent', async () => {
      const stage = await playLive(plain);
      const { id, raw } = await send(stage, ['user@company.example']);
      stage.peer.deliver('INBOX', raw);
      await seen(stage, id);
      assert.deepEqual((await shown(stage, id)).sent_copy, awaited);
      await due(stage, id);
      await becomes(stage, id, appended);
      assert.equal(appends(stage).length, 1);
    });

    test('a server that finds what only contains the Message-ID has found nothing', async () => {
      // The server finds whatever contains the id; only the first one has it.
      const stage = await playLive(
        `${plain}on UID SEARCH * HEADER *:\n  S: * SEARCH 1 2\n  S: $tag OK done\n`,
      );
      const { id, raw } = await send(stage);
      await stage.pass(40_000);
      await stage.pass(40_000);
      const another = raw.toString('latin1').replace(/^Message-ID: <(.*)>/m, 'Message-ID: <x$1>');
      const like = Buffer.from(another.replace('An offer', 'Another offer'), 'latin1');
      stage.peer.deliver('Sent', like);
      await due(stage, id);
      await becomes(stage, id, appended);
      assert.equal(appends(stage).length, 1);
    });

    test('without a folder for it none is put anywhere, and the send says so', async () => {
      const stage = await playLive(plain.replace(sentFolder, ''));
      const { id } = await send(stage);
      await due(stage, id, false);
      await becomes(stage, id, { state: 'not_appended', reason: 'no_sent_folder' });
      assert.deepEqual(appends(stage), []);
      assert.equal((await shown(stage, id)).state, 'sent');
      const told = await rows<{ type: string }>(
        database.db,
        `select type from events where sub_account_id = :sub and (type like 'send.%' or type like 'message.%') order by ord`,
        stage,
      );
      assert.deepEqual(
        told.slice(-2).map(({ type }) => type),
        ['send.sent', 'message.updated'],
      );
    });

    test('a server that refuses it: asked five times, then given up with its words, and the send stays sent', async () => {
      const stage = await playLive(`${plain}on APPEND *:\n  S: $tag NO [OVERQUOTA] The mailbox is full\n`);
      const { id } = await send(stage);
      for (let tries = 1; tries <= 5; tries += 1) {
        await due(stage, id);
        await stage.passUntil(`try ${tries}`, () => appends(stage).length === tries, 40_000);
        if (tries === 5) break;
        await waitFor('the pause', async () => {
          const put = { id, tries };
          const ended = `select from sent_copies where id = :id and attempts = :tries and lease_owner is null`;
          return (await rows(database.db, ended, put)).length === 1;
        });
        assert.equal((await shown(stage, id)).sent_copy?.reason, 'refused: OVERQUOTA The mailbox is full');
      }
      await becomes(stage, id, { state: 'not_appended', reason: 'refused: OVERQUOTA The mailbox is full' });
      assert.equal((await shown(stage, id)).state, 'sent');
      assert.equal(await waiting(id), 0);
    });

    test('killed before APPEND went out: it goes out then, once', async () => {
      const stage = await playLive(plain);
      const { id } = await send(stage);
      await run(
        database.db,
        `update sent_copies set begun_at = now(), attempts = 1, lease_owner = 'dead', lease_until = now() where id = :id`,
        { id },
      );
      await due(stage, id);
      await becomes(stage, id, appended);
      await seen(stage, id);
      assert.equal(appends(stage).length, 1);
    });

    test('a connection that is lost under APPEND: not taken, and then it is; the second time it is found', async () => {
      const stage = await playLive(`${plain}on APPEND *, once:\n  S: (close)\n`);
      const { id } = await send(stage);
      await due(stage, id);
      await stage.passUntil('the first try', () => appends(stage).length === 1, 40_000);
      await waitFor('the pause', async () => (await shown(stage, id)).sent_copy?.reason !== null);
      await due(stage, id);
      await becomes(stage, id, appended);
      await seen(stage, id);
      assert.equal(appends(stage).length, 2);
    });

    test('killed between APPEND and its answer: what was taken is seen, and is there once', async () => {
      const stage = await playLive(`${plain}on APPEND *, once:\n  S: (close)\n`);
      const { id, raw } = await send(stage);
      await due(stage, id);
      await stage.passUntil('the try', () => appends(stage).length === 1, 40_000);
      await waitFor('the pause', async () => (await shown(stage, id)).sent_copy?.reason !== null);
      stage.peer.deliver('Sent', raw);
      await seen(stage, id);
      assert.equal(await saves(stage), null, 'whose it is nobody knows');
      await due(stage, id);
      await becomes(stage, id, appended);
      assert.equal(appends(stage).length, 1);
    });

    test('Gmail saves its own, and gets none', async () => {
      const stage = await playLive(plain, { provider: 'gmail' });
      const { id } = await send(stage);
      assert.equal((await shown(stage, id)).sent_copy, null);
      assert.equal(await waiting(id), 0);
    });

    test('whoever disconnects wants nothing written any more', async () => {
      const stage = await playLive(plain);
      const { id } = await send(stage);
      await stage.listener.stop();
      await disconnect(database.db, stage.mailboxId);
      assert.deepEqual((await shown(stage, id)).sent_copy, { state: 'not_appended', reason: 'disconnected' });
      assert.equal(await waiting(id), 0);
    });
  });
