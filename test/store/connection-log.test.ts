import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ConnectionId } from '../../src/lib/id.ts';
import { logLogins, logSessionEnd, logStates, readLifeLine } from '../../src/store/connection-log.ts';
import { setMailboxState } from '../../src/store/connections.ts';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createWorld } from '../filing/world.ts';
import type { TestMailbox } from '../filing/world.ts';

for (const kind of databaseKinds) {
  describe(`the life line of a connection, on ${kind}`, () => {
    let database: TestDatabase;
    let box: TestMailbox;
    let first: ConnectionId;
    let second: ConnectionId;
    const lines = async (id: ConnectionId, before: string | null = null, limit = 1000) =>
      (await readLifeLine(database.db, id, { before, limit })).map((line) => {
        if (line.kind === 'state') return line.state;
        return line.kind === 'token' ? 'token' : `${line.times} ${line.reason}`;
      });

    before(async () => {
      database = await testDatabase(kind);
      const world = await createWorld(database.db);
      for (const sub of ['s1', 's2']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@mail.example', ['s1', 's2']);
      box = await world.connect('ann@mail.example', [
        ['s1', 'ann'],
        ['s2', 'ann'],
      ]);
      const found = await rows<{ id: ConnectionId }>(
        database.db,
        'select id from connections order by sub_account_id',
      );
      [first, second] = found.map(({ id }) => id) as [ConnectionId, ConnectionId];
    });
    after(() => database.drop());

    test('states are the connection’s own, sessions are those of its mailbox', async () => {
      const { db } = database;
      await setMailboxState(db, box.id, { state: 'degraded', reason: 'x', nextTryAt: null });
      await setMailboxState(db, box.id, { state: 'degraded', reason: 'y', nextTryAt: null });
      const line = (await logLogins(db, [box.id])).get(box.id) ?? null;
      await logSessionEnd(db, { mailboxId: box.id, line, reason: 'z' });
      await setMailboxState(db, box.id, { state: 'live', reason: null, nextTryAt: null });
      const expected = ['live', '1 z', 'degraded', 'live'];
      assert.deepEqual([await lines(first), await lines(second)], [expected, expected]);
    });

    test('what its mailbox did before it was connected, or after it ended, is no business of it', async () => {
      const { db } = database;
      await run(db, `update connections set created_at = now() + interval '1 hour' where id = :second`, {
        second,
      });
      assert.deepEqual(await lines(second), ['live', 'degraded', 'live']);
      await run(db, `update connections set created_at = now() - interval '1 hour' where id = :second`, {
        second,
      });
    });

    test('different causes are different lines, the same in a row is one', async () => {
      for (const reason of ['a', 'a', 'b', 'a'])
        await logSessionEnd(database.db, { mailboxId: box.id, line: null, reason });
      assert.deepEqual((await lines(first)).slice(0, 3), ['1 a', '1 b', '2 a']);
    });

    test('the newest 200 of each are kept, and read by pages', async () => {
      const { db } = database;
      for (let n = 0; n < 205; n += 1)
        await logSessionEnd(db, {
          mailboxId: box.id,
          line: (await logLogins(db, [box.id])).get(box.id) ?? null,
          reason: `r${n}`,
        });
      for (let n = 0; n < 205; n += 1) await logStates(db, [first]);
      const kept = await readLifeLine(db, first, { before: null, limit: 1000 });
      const counts = Map.groupBy(kept, (line) => line.kind);
      assert.deepEqual([counts.get('state')?.length, counts.get('session')?.length], [200, 200]);
      const sessions = kept.flatMap((line) => (line.kind === 'session' ? [line.reason] : []));
      assert.deepEqual([sessions[0], sessions.at(-1)], ['r204', 'r5']);
      const seen: string[] = [];
      for (let before: string | null = null; ;) {
        const page: { n: string }[] = await readLifeLine(db, first, { before, limit: 150 });
        if (page.length === 0) break;
        seen.push(...page.map(({ n }) => n));
        before = page.at(-1)?.n ?? null;
      }
      assert.deepEqual(
        seen,
        kept.map(({ n }) => n),
      );
    });
  });
}
