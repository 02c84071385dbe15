import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findAnswers, forgetAnswers, lockCalls, rememberAnswers } from '../../src/store/idempotency.ts';
import type { Db } from '../../src/store/database.ts';
import type { KeyedCall } from '../../src/store/idempotency.ts';
import { effectiveSettings, putSubAccount } from '../../src/store/sub-accounts.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const call: KeyedCall = { subAccountId: 's1', key: 'k1', requestHash: Buffer.alloc(32, 1) };
const answer = { status: 202, body: { id: 'msg_1', list: [1, 'é'] } };

for (const kind of databaseKinds)
  describe(`D3: answers by Idempotency-Key on ${kind}`, () => {
    let database: TestDatabase;
    before(async () => {
      database = await testDatabase(kind);
      const rest = {
        name: '',
        settings: effectiveSettings({}),
        provider: null,
        providerPasswordSealed: null,
      };
      for (const id of ['s1', 's2']) await putSubAccount(database.db, { id, ...rest });
    });
    after(() => database.drop());

    const find = async (of: KeyedCall) => (await findAnswers(database.db, [of]))[0];
    const remember = (db: Db, of: KeyedCall) => rememberAnswers(db, [{ call: of, answer }]);

    test('a repeat finds the first answer, another body is told apart, another sub-account is new', async () => {
      assert.equal(await find(call), null);
      await remember(database.db, call);
      assert.deepEqual(await find(call), answer);
      assert.equal(await find({ ...call, requestHash: Buffer.alloc(32, 2) }), 'other_request');
      assert.equal(await find({ ...call, subAccountId: 's2' }), null);
      assert.equal(await find({ ...call, key: 'k2' }), null);
    });

    test('of calls at the same time one does the work, the others get its answer', async () => {
      const same = { ...call, key: 'k3' };
      let done = 0;
      const once = () =>
        database.db.transaction(async (tx) => {
          await lockCalls(tx, [same]);
          const [found] = await findAnswers(tx, [same]);
          if (found != null) return found;
          done += 1;
          await remember(tx, same);
          return answer;
        });
      assert.deepEqual(await Promise.all([once(), once(), once()]), [answer, answer, answer]);
      assert.equal(done, 1);
    });

    test('the answers of several calls come in their order, and calls with the same keys in another order wait for each other', async () => {
      const [one, two] = [
        { ...call, key: 'k5' },
        { ...call, key: 'k6' },
      ];
      await rememberAnswers(database.db, [{ call: two, answer: { status: 202, body: 'two' } }]);
      const other = { ...two, requestHash: Buffer.alloc(32, 3) };
      assert.deepEqual(await findAnswers(database.db, [one, two, other, call]), [
        null,
        { status: 202, body: 'two' },
        'other_request',
        answer,
      ]);
      const both = (calls: KeyedCall[]) => database.db.transaction((tx) => lockCalls(tx, calls));
      await Promise.all([both([one, two]), both([two, one]), both([one, two]), both([two, one])]);
    });

    test('work that failed is not remembered', async () => {
      const failing = { ...call, key: 'k4' };
      const failed = database.db.transaction(async (tx) => {
        await remember(tx, failing);
        throw new Error('the rest failed');
      });
      await assert.rejects(failed, /the rest failed/);
      assert.equal(await find(failing), null);
    });

    test('old answers are forgotten', async () => {
      await remember(database.db, { ...call, key: 'old' });
      await database.db.raw(
        `update idempotency_keys set created_at = now() - interval '25 hours' where key = 'old'`,
      );
      assert.equal(await forgetAnswers(database.db, 24), 1);
      assert.equal(await find({ ...call, key: 'old' }), null);
      assert.deepEqual(await find(call), answer);
    });
  });
