import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createWorld } from '../filing/world.ts';
import type { TestMailbox, World } from '../filing/world.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

describe('U2, U3: PATCH …/messages/{id}', () => {
  let t: ApiUnderTest;
  let world: World;
  let mailbox: TestMailbox;
  let path: string;
  const woken: string[] = [];

  before(async () => {
    t = await startApi({ wakeWanted: (id) => void woken.push(id) });
    world = await createWorld(t.db);
    await world.addSubAccount('acme');
    await world.addUser('anna', 'anna@crm.example', ['acme']);
    await world.addContact('acme', 'carla', ['carla@customer.example']);
    mailbox = await world.connect('anna@mail.example', [['acme', 'anna']]);
    await mailbox.see('inbox', { from: 'carla@customer.example' });
    const [message] = await world.messages('acme');
    path = `/v1/sub-accounts/acme/messages/${message?.id}`;
  });
  after(() => t.close());

  test('read changes at once and is told once; where it lies does not change before it is moved', async () => {
    const asked = await t.call('PATCH', path, { json: { read: true, mailbox_state: 'archived' } });
    assert.deepEqual([asked.status, asked.body['read'], asked.body['mailbox_state']], [200, true, 'present']);
    assert.deepEqual(woken, [mailbox.id]);
    await t.call('PATCH', path, { json: { read: true } });
    const types = await world.eventTypes();
    assert.equal(types.filter((type) => type === 'message.updated').length, 1);
    const shown = await t.call('GET', path);
    assert.equal(shown.body['read'], true);
  });

  test('nothing asked for is nothing done; what is unknown is refused', async () => {
    const before = woken.length;
    assert.equal((await t.call('PATCH', path, { json: {} })).status, 200);
    assert.equal(woken.length, before);
    for (const json of [
      { mailbox_state: 'present' },
      { mailbox_state: 'gone' },
      { read: 'yes' },
      { starred: true },
    ]) {
      const answer = await t.call('PATCH', path, { json });
      assert.deepEqual([answer.status, answer.body['code']], [422, 'invalid_request']);
    }
  });

  test('unread for what the user wrote, and a message that is in no mailbox: 409', async () => {
    await mailbox.see('sent', { from: 'anna@mail.example', to: 'carla@customer.example' });
    const sent = (await world.messages('acme')).find(({ direction }) => direction === 'outbound');
    const answer = await t.call('PATCH', `/v1/sub-accounts/acme/messages/${sent?.id}`, {
      json: { read: false },
    });
    assert.deepEqual([answer.status, answer.body['code']], [409, 'sent_is_read']);
  });
});
