import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

const carla = 'carla@customer.example';

describe('C7: a person disconnects, and erases', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages();
  });
  after(() => o.close());

  const subjects = async () => (await o.world.messages('north')).map(({ subject }) => subject);

  test('looking at the question ends nothing; erasing is none of a mailbox that is connected', async () => {
    const page = await own(o.ann, '/mailbox/disconnect');
    assert.equal(page.title, 'Disconnect ann@mail.example? · My mailbox');
    assert.match(page.text, /What stops .*What stays/);
    assert.equal((await o.connectionOf('ann')).ended_at, null);
    assert.equal((await own(o.ann, '/mailbox/erase')).status, 404);
  });

  test('who disconnects has the conversations kept, and nothing later is read', async () => {
    await o.mailbox.see('inbox', { from: carla, subject: 'Before' });
    await o.bens.see('inbox', { from: carla, to: 'ben@mail.example', subject: 'By Ben' });
    await own(o.ann, '/mailbox/disconnect');
    const done = await o.ann.submit({}, '/mailbox/disconnect');
    assert.deepEqual([done.status, done.location], [303, '/mailbox']);
    assert.equal((await o.connectionOf('ann')).state, 'disconnected');
    assert.deepEqual(await subjects(), ['Before', 'By Ben']);
    assert.equal((await o.connectionOf('ben')).ended_at, null, 'nobody else’s connection');
    const page = await own(o.ann, '/mailbox');
    assert.match(page.text, /Connect again/);
    assert.equal((await own(o.ann, '/mailbox/disconnect')).location, '/mailbox', 'it has ended already');
  });

  test('what the mailbox brought is erased when it is asked for once more, and nothing else', async () => {
    const page = await own(o.ann, '/mailbox/erase');
    assert.match(page.text, /Erase what ann@mail\.example brought\?/);
    assert.deepEqual(await subjects(), ['Before', 'By Ben'], 'asking erases nothing');
    const done = await o.ann.submit({}, '/mailbox/erase');
    assert.match(done.text, /What the mailbox brought is erased\. One message was erased/);
    assert.deepEqual(await subjects(), ['By Ben']);
  });

  test('a colleague who is connected to the same mailbox is in the way of erasing it', async () => {
    await o.world.addUser('cem', 'cem@crm.example', ['north']);
    await o.world.addUser('dan', 'dan@crm.example', ['north']);
    await o.world.connect('team@mail.example', [
      ['north', 'cem'],
      ['north', 'dan'],
    ]);
    const cem = await o.t.person({ subAccountId: 'north', userId: 'cem' });
    await own(cem, '/mailbox/disconnect');
    const done = await cem.submit({ erase: '1' }, '/mailbox/disconnect');
    assert.equal(done.location, '/mailbox/erase', 'asked once more there');
    await own(cem, '/mailbox/erase');
    const refused = await cem.submit({}, '/mailbox/erase');
    assert.equal(refused.status, 409);
    assert.match(refused.text, /A colleague is connected to this mailbox, too/);
  });
});
