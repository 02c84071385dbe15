import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

for (const kind of databaseKinds)
  describe(`B6: logging addresses on mail of a mailbox, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@mail.example', ['north']);
      await world.addUser('bob', 'bob@crm.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example']);
      // Whoever imports an address book may import one of these.
      await world.addContact('north', 'c2', ['log-abc@log.crm.example']);
    });

    after(() => database.drop());

    test('one in Cc or in the Bcc of the Sent copy is no participant, no recipient and no contact', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const made = await mailbox.see('sent', {
        from: 'ann@mail.example',
        to: 'carla@customer.example',
        cc: 'log-abc@LOG.crm.example',
        headers: { Bcc: 'Log <log-abc+deal@log.crm.example>, dave@other.example' },
        subject: 'An offer',
      });
      assert.deepEqual(made, ['north:to_contact']);
      const participants = await rows<{ canonical: string }>(
        database.db,
        'select canonical from thread_participants order by 1',
      );
      assert.deepEqual(
        participants.map(({ canonical }) => canonical),
        ['ann@mail.example', 'carla@customer.example'],
      );
      const [message] = await rows<{ to: unknown[]; cc: unknown[]; shown: number }>(
        database.db,
        `select recipients_to as to, recipients_cc as cc,
                (select count(*)::int from conversation_threads t where t.thread_id = m.thread_id) as shown
           from messages m`,
      );
      assert.deepEqual(message, { to: [{ name: '', address: 'carla@customer.example' }], cc: [], shown: 1 });
    });

    test('S7: mail to colleagues and a logging address is mail to colleagues', async () => {
      const mailbox = await world.connect('ann2@mail.example', [['north', 'ann']]);
      assert.deepEqual(
        await mailbox.see('sent', {
          from: 'ann2@mail.example',
          to: 'bob@crm.example',
          cc: 'log-abc@log.crm.example',
        }),
        ['north:counterpart_is_user'],
      );
      assert.deepEqual(
        await mailbox.see('sent', { from: 'ann2@mail.example', to: 'log-abc@log.crm.example' }),
        ['north:counterpart_is_user'],
        'a forward to it, too',
      );
    });

    test('what a dry run foresees is the same', async () => {
      const mailbox = await world.connect('ann3@mail.example', [['north', 'ann']], Date.now() + 60_000);
      await mailbox.see('sent', { from: 'ann3@mail.example', to: 'log-abc@log.crm.example' });
      const [outcome] = await mailbox.foresee('sent', [1], { sub: 'north', since: 0 });
      assert.equal(outcome?.reason, 'counterpart_is_user');
    });
  });
