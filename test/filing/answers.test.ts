import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { explain } from '../../src/filing/history.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { readMessages } from '../../src/store/public-message.ts';
import { readSends } from '../../src/store/public-send.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { sendFromCrm } from './accepting.ts';
import { createWorld } from './world.ts';
import type { Letter, TestMailbox, World } from './world.ts';

const carla = 'carla@customer.example';
const absence = { 'Auto-Submitted': 'auto-replied' };

for (const kind of databaseKinds)
  describe(`answers, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let mailbox: TestMailbox;
    let mails = 0;

    before(async () => {
      database = await testDatabase(kind, { breaks: ['send_is_told', 'send_is_ready_or_over'] });
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@crm.example', ['north']);
      await world.addContact('north', 'c1', [carla]);
      await world.addContact('north', 'c2', ['cyril@customer.example']);
      mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
    });
    after(() => database.drop());

    /** What the CRM sent to Carla, or in answer to what is stored. */
    async function sent(replyToMessageId: MessageId | null = null) {
      mails += 1;
      const { message, send } = await sendFromCrm(
        world,
        replyToMessageId === null ? { contactId: 'c1', subject: `Offer ${mails}` } : { replyToMessageId },
      );
      await run(
        database.db,
        `with s as (update sends set state = 'sent', ready = false where id = :id returning id)
         insert into send_attempts (send_id, n, started_at) select id, 1, now() from s`,
        { id: send.id },
      );
      return {
        ...send,
        internetId: message.internet_message_id ?? '',
        messageId: message.id,
        answers: message.answers,
      };
    }

    const answer = (to: string, of: Partial<Letter> = {}): Letter => ({
      from: carla,
      to: 'ann@mail.example',
      subject: 'Re: Offer',
      inReplyTo: to,
      ...of,
    });

    async function messageBy(subject: string) {
      const found = (await world.messages('north')).find((message) => message.subject === subject);
      const [message] = await readMessages(database.db, 'north', [found?.id as MessageId]);
      assert.ok(message, subject);
      return message;
    }

    async function answered(send: Awaited<ReturnType<typeof sent>>) {
      const [shown] = await readSends(database.db, 'north', [send.id]);
      const [message] = await readMessages(database.db, 'north', [send.messageId]);
      assert.deepEqual(
        [message?.send?.answered, message?.send?.auto_replied],
        [shown?.answered, shown?.auto_replied],
        'the message shows the same',
      );
      return {
        by: shown?.answered?.message_id,
        at: shown?.answered?.at,
        auto: shown?.auto_replied?.message_id,
      };
    }

    const changes = async (id: string) =>
      (
        await rows<{ type: string }>(
          database.db,
          `select type from events where data ->> 'id' = :id and type = 'message.updated'`,
          { id },
        )
      ).length;

    test('D7: an answer tells what it answers; the send, when and by which message it was; once', async () => {
      const send = await sent();
      assert.deepEqual(await answered(send), { by: undefined, at: undefined, auto: undefined });
      const before = await changes(send.messageId);
      const at = Date.UTC(2026, 10, 27, 12) + 86_400_000 * 365;
      await mailbox.see('inbox', answer(send.internetId, { subject: 'Re: one', internalDate: at }));
      const one = await messageBy('Re: one');
      assert.equal(one.answers, send.messageId);
      assert.deepEqual(await answered(send), { by: one.id, at: new Date(at).toISOString(), auto: undefined });
      assert.equal(await changes(send.messageId), before + 1);
      await mailbox.see('inbox', answer(send.internetId, { subject: 'Re: two', internalDate: at + 1_000 }));
      assert.equal((await messageBy('Re: two')).answers, send.messageId);
      assert.equal((await answered(send)).by, one.id);
      assert.equal(await changes(send.messageId), before + 1, 'the second answer is no news of the send');
      const [created] = await rows<{ answers: string }>(
        database.db,
        `select data ->> 'answers' as answers from events where type = 'message.created' and data ->> 'id' = :id`,
        { id: one.id },
      );
      assert.equal(created?.answers, send.messageId);
      const stories = await Promise.all(
        [one.id, send.messageId].map((id) => explain(database.db, 'north', id)),
      );
      const told = stories.map((each) => each?.story.join('\n') ?? '');
      assert.match(told[0] ?? '', new RegExp(`^It answers ${send.messageId}\\.$`, 'm'));
      assert.match(told[1] ?? '', new RegExp(` answered for the first time: ${one.id}\\.$`, 'm'));
    });

    test('S11, D7: an automatic answer is told apart, and is no person’s', async () => {
      const send = await sent();
      await mailbox.see(
        'inbox',
        answer(send.internetId, { subject: 'Out of office: one', headers: absence }),
      );
      const auto = await messageBy('Out of office: one');
      assert.deepEqual([auto.automatic, auto.answers], ['auto_reply', send.messageId]);
      assert.deepEqual(await answered(send), { by: undefined, at: undefined, auto: auto.id });
      await mailbox.see('inbox', answer(send.internetId, { subject: 'Re: back' }));
      const { by, auto: still } = await answered(send);
      assert.deepEqual([by, still], [(await messageBy('Re: back')).id, auto.id]);
    });

    test('D7: In-Reply-To before References, and of these the newest that is stored', async () => {
      const first = await sent();
      await mailbox.see(
        'inbox',
        answer(first.internetId, { id: 'c1@customer.example', subject: 'Re: first' }),
      );
      const second = await sent((await messageBy('Re: first')).id);
      assert.equal(second.answers, (await messageBy('Re: first')).id, 'what the CRM sends has it too');
      const references = `<${first.internetId}> <c1@customer.example> <${second.internetId}> <lost@customer.example>`;
      await mailbox.see('inbox', {
        from: carla,
        to: 'ann@mail.example',
        subject: 'Re: by references',
        references,
      });
      assert.equal((await messageBy('Re: by references')).answers, second.messageId);
      await mailbox.see('inbox', answer(first.internetId, { subject: 'Re: by both', references }));
      assert.equal((await messageBy('Re: by both')).answers, first.messageId);
    });

    test('D7: an answer that comes before what it answers is linked when that comes', async () => {
      const send = await sent();
      const lost = answer(send.internetId, { id: 'lost2@customer.example', subject: 'Re: in between' });
      const references = `<${send.internetId}>`;
      const late = answer('lost2@customer.example', { subject: 'Re: early', references });
      await mailbox.see('inbox', late);
      const early = await messageBy('Re: early');
      assert.equal(early.answers, send.messageId);
      assert.equal((await answered(send)).by, early.id);
      await mailbox.see('inbox', lost);
      const between = await messageBy('Re: in between');
      assert.equal((await messageBy('Re: early')).answers, between.id);
      assert.equal(between.answers, send.messageId);
      assert.equal((await answered(send)).by, between.id);
      assert.equal(await changes(early.id), 1);
    });

    test('S12, D7: an answer that cites the provider’s Message-ID before it is known is linked when it is', async () => {
      const send = await sent();
      const [stored] = await rows<{ raw: string }>(
        database.db,
        'select raw_sha256 as raw from sends where id = :id',
        send,
      );
      const raw = world.blobs.all.get(stored?.raw ?? '')?.toString('latin1') ?? '';
      const references = `<${send.internetId}>`;
      await mailbox.see(
        'inbox',
        answer('renamed@outlook.example', { subject: 'Re: renamed', references, id: 'r1@customer.example' }),
      );
      await mailbox.see(
        'inbox',
        answer('r1@customer.example', {
          subject: 'Re: further',
          references: '<renamed@outlook.example> <r1@customer.example>',
        }),
      );
      const copy = raw.replace(/^Message-ID: .*$/im, 'Message-ID: <renamed@outlook.example>');
      assert.deepEqual(await mailbox.see('sent', Buffer.from(copy, 'latin1')), ['north:sent_copy']);
      const [one, two] = [await messageBy('Re: renamed'), await messageBy('Re: further')];
      assert.deepEqual([one.answers, two.answers], [send.messageId, one.id]);
      assert.equal((await answered(send)).by, one.id);
    });

    test('S3: whoever cites a mail of another thread, or their own, answers nothing', async () => {
      const send = await sent();
      const cyril = 'cyril@customer.example';
      await mailbox.see(
        'inbox',
        answer(send.internetId, {
          from: cyril,
          to: 'x@else.example',
          subject: 'Fwd: cites',
          id: 'f1@customer.example',
        }),
      );
      assert.equal((await messageBy('Fwd: cites')).answers, null);
      await mailbox.see(
        'inbox',
        answer('self@customer.example', { id: 'self@customer.example', subject: 'Cites itself' }),
      );
      assert.equal((await messageBy('Cites itself')).answers, null);
      assert.equal((await answered(send)).by, undefined);
    });

    test('D7: the user’s own second mail is no answer; an id that no index holds as it is links all the same', async () => {
      const send = await sent();
      await mailbox.see(
        'sent',
        answer(send.internetId, { from: 'ann@mail.example', to: carla, subject: 'Re: again' }),
      );
      assert.equal((await messageBy('Re: again')).answers, send.messageId);
      assert.equal((await answered(send)).by, undefined);
      const long = `${'long'.repeat(80)}@customer.example`;
      await mailbox.see('inbox', answer(send.internetId, { id: long, subject: 'Re: long' }));
      await mailbox.see('inbox', answer(long, { subject: 'Re: to the long one' }));
      assert.equal((await messageBy('Re: to the long one')).answers, (await messageBy('Re: long')).id);
    });

    test('C7: where the answer goes, the send is unanswered', async () => {
      const send = await sent();
      await mailbox.see('inbox', answer(send.internetId, { subject: 'Re: goes' }));
      await run(database.db, 'delete from messages where id = :id', await messageBy('Re: goes'));
      assert.equal((await answered(send)).by, undefined);
    });
  });
