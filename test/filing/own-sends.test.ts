import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { acceptMessage } from '../../src/outbound/accept.ts';
import { rows, run } from '../../src/store/database.ts';
import { blankRequest } from '../outbound/support.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

for (const kind of databaseKinds)
  describe(`copies of what the CRM sent, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@crm.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example']);
      await world.addContact('north', 'c2', ['cyril@customer.example']);
    });
    after(() => database.drop());

    /** What the CRM sends through Ann's mailbox, accepted by the provider: its id, and the bytes of its copy. */
    async function sent(subject: string, bcc: string[] = []) {
      const result = await acceptMessage(
        { ...world.filing, clock: systemClock, wakeSender: () => undefined },
        {
          ...blankRequest,
          subAccountId: 'north',
          userId: 'ann',
          contactId: 'c1',
          bcc: bcc.map((address) => ({ name: '', address })),
          subject,
          text: 'Text.',
        },
        null,
      );
      if ('refused' in result) throw new Error(JSON.stringify(result.refused));
      const { id, internet_message_id: messageId } = result.answer.message;
      await run(database.db, `update sends set state = 'sent', ready = false where message_id = :id`, { id });
      const [message] = await rows<{ raw_sha256: string }>(
        database.db,
        'select raw_sha256 from messages where id = :id',
        { id },
      );
      const raw = world.blobs.all.get(message?.raw_sha256 ?? '');
      assert.ok(raw);
      return { messageId: messageId ?? '', raw };
    }

    const savesCopies = async (id: string) =>
      (
        await rows<{ saves: boolean | null }>(
          database.db,
          'select saves_sent_copy as saves from mailboxes where id = :id',
          { id },
        )
      )[0]?.saves;

    test('U1, D5: a copy to oneself in the inbox says nothing about Sent; one in Sent does', async () => {
      const mailbox = await world.connect('ann1@mail.example', [['north', 'ann']]);
      const toMyself = await sent('To myself', ['ann1@mail.example']);
      assert.deepEqual(await mailbox.see('inbox', toMyself.raw), ['north:sent_copy']);
      assert.equal(await savesCopies(mailbox.id), null);
      const another = await sent('Another');
      assert.deepEqual(await mailbox.see('sent', another.raw), ['north:sent_copy']);
      assert.equal(await savesCopies(mailbox.id), true);
    });

    test('S4, C7: a copy that is seen again after the thread was unlinked does not make it live', async () => {
      const mailbox = await world.connect('ann2@mail.example', [['north', 'ann']]);
      const { messageId, raw } = await sent('Over');
      assert.deepEqual(await mailbox.see('sent', raw), ['north:sent_copy']);
      await run(
        database.db,
        `update thread_links set state = 'unlinked', reason = 'disconnected' where mailbox_id = :id`,
        { id: mailbox.id },
      );
      assert.deepEqual(await mailbox.see('archive', raw), ['north:sent_copy']);
      const stranger = {
        from: 'stan@private.example',
        to: 'ann2@mail.example',
        subject: 'Re: Over',
        inReplyTo: messageId,
      };
      assert.deepEqual(await mailbox.see('inbox', stranger), ['north:thread_unlinked']);
    });

    test('S12: a Message-ID that looks like a provider’s own is compared like any other', async () => {
      const mailbox = await world.connect('ann3@mail.example', [['north', 'ann']]);
      const letter = (from: string, subject: string) => ({
        id: 'gm:x@y.example',
        from,
        to: 'ann3@mail.example',
        subject,
      });
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          letter('carla@customer.example', 'One'),
          letter('cyril@customer.example', 'Quite another'),
        ),
        ['north:from_contact', 'north:thread_member'],
        'both are stored: an equal id is no equal mail',
      );
    });
  });
