import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { createLoggingWorld } from '../filing/logging-world.ts';
import type { ToLog } from '../filing/logging-world.ts';
import { createWorld } from '../filing/world.ts';
import type { Letter, TestMailbox, World } from '../filing/world.ts';
import { blankRequest } from '../outbound/support.ts';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

for (const kind of databaseKinds)
  describe(`S15: never-log lists on ${kind}`, () => {
    let t: ApiUnderTest;
    before(async () => {
      t = await startApi({ kind });
      await t.call('PUT', '/v1/sub-accounts/s1', { json: {} });
      await t.call('PUT', '/v1/users/u1', { json: { email: 'ann@crm.example' } });
    });
    after(() => t.close());

    for (const path of ['/v1/sub-accounts/s1/never-log', '/v1/users/u1/never-log']) {
      test(`${path}: empty, put, put again, replaced`, async () => {
        const entries = async () => (await t.call('GET', path)).body['entries'];
        assert.deepEqual(await entries(), []);
        const json = { entries: ['M.E@googlemail.com', '@Bank.EXAMPLE', 'me@gmail.com', '@bank.example.'] };
        const put = await t.call('PUT', path, { json });
        assert.deepEqual(put.body, { entries: ['@Bank.EXAMPLE', 'M.E@googlemail.com'], stored: [] });
        assert.deepEqual((await t.call('PUT', path, { json })).body, put.body);
        const patterns = await t.db.select('pattern').from('never_log').orderBy('pattern');
        assert.deepEqual(patterns, [{ pattern: '@bank.example' }, { pattern: 'me@gmail.com' }]);
        await t.call('PUT', path, { json: { entries: ['x@y.example'] } });
        assert.deepEqual(await entries(), ['x@y.example']);
        await t.call('PUT', path, { json: { entries: [] } });
        assert.deepEqual(await entries(), []);
      });
    }

    test('the two lists are two', async () => {
      await t.call('PUT', '/v1/sub-accounts/s1/never-log', { json: { entries: ['a@y.example'] } });
      await t.call('PUT', '/v1/users/u1/never-log', { json: { entries: ['a@y.example', 'b@y.example'] } });
      assert.deepEqual((await t.call('GET', '/v1/sub-accounts/s1/never-log')).body['entries'], [
        'a@y.example',
      ]);
    });

    for (const entry of ['', '@', '@nodomain', 'nobody', 'a@b@', '@bank .example', '*.bank.example']) {
      test(`refused: ${JSON.stringify(entry)}`, async () => {
        const answer = await t.call('PUT', '/v1/users/u1/never-log', {
          json: { entries: ['@ok.example', entry] },
        });
        assert.deepEqual(
          [answer.status, (answer.body['errors'] as { path: string }[])[0]?.path],
          [422, 'entries.1'],
        );
      });
    }

    test('a user who is not there has none', async () => {
      assert.equal((await t.call('GET', '/v1/users/u9/never-log')).status, 404);
      const json = { entries: ['a@b.example'] };
      assert.equal((await t.call('POST', '/v1/users/u9/never-log/erase', { json })).status, 404);
      assert.equal((await t.call('PUT', '/v1/users/u9/never-log', { json: { entries: [] } })).status, 404);
    });

    describe('what is stored of those on it', () => {
      let world: World;
      let anns: TestMailbox;
      let bens: TestMailbox;
      const subjects = async () => (await world.messages('north')).map(({ subject }) => subject).toSorted();

      before(async () => {
        world = await createWorld(t.db);
        await world.addSubAccount('north');
        await world.addUser('ann', 'ann@crm2.example', ['north']);
        await world.addUser('ben', 'ben@crm2.example', ['north']);
        await world.addContact('north', 'carla', ['carla@customer.example']);
        await world.addContact('north', 'gil', ['gil@googlemail.com']);
        anns = await world.connect('ann@mail.example', [['north', 'ann']]);
        bens = await world.connect('ben@mail.example', [['north', 'ben']]);
        const both: Letter = {
          id: 'both@x.example',
          from: 'gil@gmail.com',
          subject: 'Gil to both',
          date: 'Fri, 20 Nov 2026 09:00:00 +0000',
        };
        await anns.see(
          'inbox',
          { from: 'carla@customer.example', subject: 'Carla' },
          { from: 'carla@customer.example', cc: 'Bob@BANK.example', subject: 'Carla and Bob' },
          { from: 'G.I.L@googlemail.com', subject: 'Gil' },
          both,
        );
        await bens.see('inbox', both, { from: 'gil@gmail.com', subject: 'Gil to Ben' });
        await sendTo(world, 'Carla, in secret', { cc: [], bcc: [{ name: '', address: 'bob@bank.example' }] });
      });

      test('S15: PUT says how much, and takes nothing away', async () => {
        const json = { entries: ['@bank.example', 'nobody@x.example', 'gil@gmail.com', '@googlemail.com'] };
        const put = await t.call('PUT', '/v1/sub-accounts/north/never-log', { json });
        assert.deepEqual(put.body['stored'], [
          { entry: '@bank.example', messages: 2 },
          { entry: '@googlemail.com', messages: 1 },
          { entry: 'gil@gmail.com', messages: 3 },
        ]);
        assert.equal((await subjects()).length, 6);
      });

      test('S15: an entry that is not on the list erases nothing', async () => {
        const json = { entries: ['@bank.example', 'carla@customer.example'] };
        const refused = await t.call('POST', '/v1/sub-accounts/north/never-log/erase', { json });
        assert.deepEqual(
          [refused.status, refused.body['errors']],
          [422, [{ in: 'body', path: 'entries.1', code: 'unknown_entry', detail: 'It is not on the list.' }]],
        );
        assert.equal((await subjects()).length, 6);
      });

      test('S15: of a user’s list goes what their mailbox alone brought', async () => {
        const json = { entries: ['gil@gmail.com'] };
        const put = await t.call('PUT', '/v1/users/ann/never-log', { json });
        assert.deepEqual(put.body['stored'], [{ entry: 'gil@gmail.com', messages: 1 }]);
        const erased = await t.call('POST', '/v1/users/ann/never-log/erase', { json });
        assert.deepEqual([erased.status, erased.body], [200, { erased: 1 }]);
        assert.deepEqual(await subjects(), [
          'Carla',
          'Carla and Bob',
          'Carla, in secret',
          'Gil to Ben',
          'Gil to both',
        ]);
      });

      test('S15: what was offered is erased, and nothing comes back when the list is emptied', async () => {
        const path = '/v1/sub-accounts/north/never-log';
        const { body } = await t.call('POST', `${path}/erase`, { json: { entries: ['@bank.example'] } });
        assert.deepEqual(body, { erased: 2 });
        assert.deepEqual(await subjects(), ['Carla', 'Gil to Ben', 'Gil to both']);
        const left = await t.call('PUT', path, { json: { entries: ['gil@gmail.com', '@bank.example'] } });
        assert.deepEqual(left.body['stored'], [{ entry: 'gil@gmail.com', messages: 2 }]);
        await t.call('POST', `${path}/erase`, { json: { entries: ['gil@gmail.com'] } });
        await t.call('PUT', path, { json: { entries: [] } });
        const again: Letter = {
          id: 'both@x.example',
          from: 'gil@gmail.com',
          subject: 'Gil to both',
          date: 'Fri, 20 Nov 2026 09:00:00 +0000',
        };
        assert.deepEqual(await bens.see('archive', again), ['north:erased']);
        assert.deepEqual(await subjects(), ['Carla']);
      });

      test('S15: of a user who has no mailbox, what they logged is offered and erased', async () => {
        await world.addUser('lou', 'lou@crm.example', ['north']);
        const logging = createLoggingWorld(world);
        const mail: ToLog = { from: 'lou@crm.example', sender: 'lou@crm.example', of: [['north', 'lou']] };
        assert.deepEqual(await logging.log({ ...mail, to: 'x@shop.example', subject: 'Logged' }), [
          'stored logged',
        ]);
        const json = { entries: ['@shop.example'] };
        const put = await t.call('PUT', '/v1/users/lou/never-log', { json });
        assert.deepEqual(put.body['stored'], [{ entry: '@shop.example', messages: 1 }]);
        const erased = await t.call('POST', '/v1/users/lou/never-log/erase', { json });
        assert.deepEqual(erased.body, { erased: 1 });
      });
    });
  });

async function sendTo(world: World, subject: string, more: Partial<SendRequest>): Promise<void> {
  const deps = { ...world.filing, trackingUrl: null, wakeSender: () => undefined };
  const request = {
    ...blankRequest,
    subAccountId: 'north',
    userId: 'ann',
    contactId: 'carla',
    subject,
    text: '-',
    ...more,
  };
  const result = await createAccept(deps)(request, null);
  if ('refused' in result) throw new Error(result.refused.detail);
}
