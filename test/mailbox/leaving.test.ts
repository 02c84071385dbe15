import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import type { Whose } from '../../src/store/lifecycle.ts';
import { deleteSubAccount } from '../../src/store/sub-accounts.ts';
import { deleteUser, leaveSubAccount } from '../../src/store/users.ts';
import { waitFor } from '../support/wait.ts';
import { grantOf, startConnecting, type ConnectingUnderTest } from './connecting.ts';

const ann = { subAccountId: 's1', userId: 'ann' };
const removals: { name: string; which: Whose; remove: (tx: Db) => Promise<boolean> }[] = [
  { name: 'a membership', which: ann, remove: (tx) => leaveSubAccount(tx, ann) },
  { name: 'a user', which: { userId: 'ann' }, remove: (tx) => deleteUser(tx, 'ann') },
  { name: 'a sub-account', which: { subAccountId: 's1' }, remove: (tx) => deleteSubAccount(tx, 's1') },
];

describe('C7 who leaves while a consent comes back', () => {
  let t: ConnectingUnderTest;
  before(async () => {
    t = await startConnecting({ kind: 'postgres' });
  });
  after(() => t.close());
  beforeEach(async () => {
    await run(t.db, 'truncate sub_accounts, users, mailboxes, events cascade');
    await t.member('s1', 'ann');
    await t.member('s2', 'ben');
  });

  const connect = (member: { subAccountId: string; userId: string }) => {
    const request = { ...member, replace: false, linkId: null, provider: 'gmail' } as const;
    return t.connecting.connectWithGrant({ ...request, grant: grantOf('team@company.example') });
  };
  /** The mailbox of a connection that has not been ended, and credentials that are still kept. */
  const left = () =>
    t.sql(`select c.user_id, m.credential_sealed is not null as kept from mailboxes m
             left join connections c on c.mailbox_id = m.id and c.ended_at is null`);
  const waiting = (count: number) =>
    waitFor(`${count} who wait for a lock`, async () => {
      const found = await rows(
        t.db,
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return found.length === count;
    });

  for (const { name, which, remove } of removals) {
    test(`${name}: a connect that is under way is ended with it, and its credential erased`, async () => {
      await connect({ subAccountId: 's2', userId: 'ben' });
      await t.connecting.disconnect({ userId: 'ben' });
      const { connected, removed } = await t.db.transaction(async (tx) => {
        await run(tx, 'select from mailboxes for update');
        const connected = connect(ann);
        await waiting(1);
        const removed = t.connecting.disconnectBefore(which, remove);
        await waiting(2);
        return { connected, removed };
      });
      assert.equal((await connected).outcome, 'connected');
      assert.equal(await removed, true);
      assert.deepEqual(await left(), [{ user_id: null, kept: false }]);
    });

    test(`${name}: a consent that comes later connects nobody`, async () => {
      const reached = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      const removed = t.connecting.disconnectBefore(which, async (tx) => {
        reached.resolve();
        await gate.promise;
        return remove(tx);
      });
      // It holds its locks from here on; a transaction that is merely open may not have them yet.
      await Promise.race([reached.promise, removed]);
      const connected = connect(ann);
      await waiting(1).finally(gate.resolve);
      assert.equal(await removed, true);
      assert.deepEqual(await connected, { outcome: 'not_a_member' });
      assert.deepEqual(await left(), []);
    });
  }
});
