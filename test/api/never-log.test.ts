import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
        assert.deepEqual(put.body, { entries: ['@Bank.EXAMPLE', 'M.E@googlemail.com'] });
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
      assert.equal((await t.call('PUT', '/v1/users/u9/never-log', { json: { entries: [] } })).status, 404);
    });
  });
