import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MailboxId } from '../../src/lib/id.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows } from '../../src/store/database.ts';
import { readLeaving } from '../../src/store/leaving.ts';
import { openConnection } from '../../src/store/lifecycle.ts';
import { sendFromCrm } from '../filing/accepting.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds)
  describe(`C6: what ends when another mailbox takes the place of one, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addSubAccount('south');
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      await world.addUser('bob', 'bob@crm.example', ['north']);
      for (const sub of ['north', 'south']) {
        await world.addContact(sub, 'carla', ['carla@customer.example']);
        await world.addContact(sub, 'cyril', ['cyril@customer.example']);
      }
    });
    after(() => database.drop());

    const leaving = (subAccountId = 'north') => readLeaving(database.db, { subAccountId, userId: 'ann' });

    test('conversations with a thread that is live there, and messages that wait to be sent; of no other sub-account', async () => {
      assert.equal(await leaving(), null, 'nothing is connected');
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      assert.deepEqual(await leaving(), { address: 'ann@mail.example', conversations: 0, sends: 0 });
      await mailbox.see(
        'inbox',
        { from: 'carla@customer.example' },
        { from: 'carla@customer.example' },
        { from: 'cyril@customer.example' },
        { from: 'mum@home.example' },
      );
      await sendFromCrm(world, { contactId: 'carla', subject: 'It waits' });
      assert.deepEqual(await leaving(), { address: 'ann@mail.example', conversations: 2, sends: 1 });
      assert.equal(await leaving('south'), null);
    });

    test('where a colleague is connected to it, too, its threads go on', async () => {
      const [of] = await rows<{ mailboxId: MailboxId; provider: ProviderName }>(
        database.db,
        `select mailbox_id as "mailboxId", provider from connections where user_id = 'ann'`,
      );
      assert.ok(of);
      await openConnection(database.db, { ...of, subAccountId: 'north', userId: 'bob', waiting: null });
      assert.deepEqual(await leaving(), { address: 'ann@mail.example', conversations: 0, sends: 1 });
    });
  });
