import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { rows, run } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { tryToSend } from './accepting.ts';
import { createWorld } from './world.ts';
import type { Letter, TestMailbox, World } from './world.ts';

const alias = 'ann@crm.example';
const carla = 'carla@customer.example';

describe('D4: an alias that the user has shown to be theirs', () => {
  let database: TestDatabase;
  let world: World;
  let mailbox: TestMailbox;

  before(async () => {
    database = await testDatabase('postgres');
    world = await createWorld(database.db);
    await world.addSubAccount('north');
    await world.addUser('ann', alias, ['north']);
    await world.addContact('north', 'c1', [carla]);
    mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
  });
  after(() => database.drop());

  const send = (more: Partial<SendRequest>) => tryToSend(world, { contactId: 'c1', ...more });
  const sentAs = async () => {
    const found = await rows<{ canonical: string }>(database.db, 'select canonical from sent_as');
    return found.map(({ canonical }) => canonical);
  };

  const private_: Partial<Letter> = { to: 'aunt@family.example', subject: 'Sunday' };
  const table: [what: string, role: 'sent' | 'inbox' | 'other', letter: Partial<Letter>][] = [
    ['a mail in Sent from the mailbox’s own address', 'sent', { from: 'ann@mail.example', ...private_ }],
    ['its own address with a +tag', 'sent', { from: 'ann+crm@mail.example', ...private_ }],
    ['somebody else’s address in Sent', 'sent', { from: 'boss@crm.example', ...private_ }],
    ['a mail that was received from the alias', 'inbox', { from: alias, to: 'ann@mail.example' }],
    ['a mail with that sender in another folder', 'other', { from: alias, ...private_ }],
  ];
  for (const [what, role, letter] of table) {
    test(`${what} shows nothing`, async () => {
      await mailbox.see(role, { from: alias, ...letter });
      assert.deepEqual(await sentAs(), []);
      const refused = await send({ from: alias });
      assert.ok('refused' in refused);
      assert.equal(refused.refused.code, 'from_not_allowed');
    });
  }

  test('a private mail from it in Sent does, and the mail itself stays private', async () => {
    assert.deepEqual(await mailbox.see('sent', { from: alias, ...private_ }), ['north:no_match']);
    await mailbox.see('sent', { from: alias, ...private_, subject: 'Monday' });
    assert.deepEqual(await sentAs(), [alias]);
    const result = await send({ from: 'Ann@CRM.example' });
    assert.ok('answer' in result, JSON.stringify(result));
    assert.equal(result.answer.message.from.address, 'Ann@crm.example');
    assert.deepEqual(result.answer.route, {
      through: 'mailbox',
      from: 'Ann@CRM.example',
      row: 'individual_gmail',
      because: "individual, Gmail connected (imap, as C3 says): the user's mailbox",
    });
    const [{ sender } = { sender: '' }] = await rows<{ sender: string }>(
      database.db,
      `select envelope ->> 'from' as sender from sends`,
    );
    assert.equal(sender, 'ann@mail.example', 'what cannot be delivered comes back to the mailbox');
  });

  test('only for as long as the CRM says that it is the user’s', async () => {
    await run(database.db, `delete from user_addresses where canonical = :alias`, { alias });
    const refused = await send({ from: alias });
    await run(
      database.db,
      `insert into user_addresses (user_id, kind, canonical) values ('ann', 'login', :alias)`,
      { alias },
    );
    assert.ok('refused' in refused);
    assert.equal(refused.refused.code, 'from_not_allowed');
  });
});
