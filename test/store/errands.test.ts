import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { addErrands, endErrand, forgetErrands, scheduleAudits } from '../../src/store/errands.ts';
import { pauseConnection, resumeConnection } from '../../src/store/lifecycle.ts';
import { claimWork } from '../../src/store/work.ts';
import { createWorld } from '../filing/world.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('errands in the database', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('pglite', { breaks: ['connection_state_is_told'] });
  });
  after(() => database.drop());
  beforeEach(async () => {
    await run(database.db, 'truncate sub_accounts, users, mailboxes, events cascade');
    const world = await createWorld(database.db);
    await world.addSubAccount('s1');
    for (const user of ['ann', 'ben']) {
      await world.addUser(user, `${user}@crm.example`, ['s1']);
      await world.connect(`${user}@mail.example`, [['s1', user]], Date.now() - 48 * 3_600_000);
    }
    await run(database.db, `update connections set state = 'live'`);
  });

  const schedule = (limit = 10) =>
    scheduleAudits(database.db, { everyHours: 24, windowDays: 3, limit, now: 1_000_000_000 });

  test('T2: every live connection is audited once a day by itself', async () => {
    await run(database.db, `update connections set state = 'degraded' where user_id = 'ben'`);
    assert.equal(await schedule(), 1);
    assert.equal(await schedule(), 0, 'it has one');
    const [audit] = await rows<{ request: unknown }>(database.db, 'select request from errands');
    assert.deepEqual(audit?.request, {
      since: 1_000_000_000 - 3 * 24 * 3_600_000,
      heal: true,
      scheduled: true,
    });
    await run(database.db, `update errands set created_at = now() - interval '25 hours'`);
    await run(database.db, `update connections set state = 'live'`);
    assert.equal(await schedule(), 1, 'the last one of the other is not over yet');
    await run(database.db, `delete from errands`);
    assert.equal(await schedule(1), 1);
    assert.equal(await schedule(), 1, 'and the rest in the next round');
  });

  test('T2: one by itself is told only when something was missing', async () => {
    await schedule();
    const ids = (await rows<{ id: `aud_${string}` }>(database.db, 'select id from errands order by id')).map(
      (row) => row.id,
    );
    await run(database.db, `update errands set progress = '{"missing": 1}' where id = :id`, { id: ids[1] });
    for (const id of ids)
      assert.ok(await endErrand(database.db, { id, state: 'finished', reason: null, owner: null }));
    const told = await rows<{ id: string }>(
      database.db,
      `select object_id as id from events where type = 'audit.finished'`,
    );
    assert.deepEqual(
      told.map((row) => row.id),
      [ids[1]],
    );
    const [ended = 'aud_'] = ids;
    assert.equal(
      await endErrand(database.db, { id: ended, state: 'failed', reason: 'x', owner: null }),
      false,
    );
  });

  test('of one mailbox one goes at a time; another mailbox waits for nobody', async () => {
    const connections = await rows<{ id: `con_${string}`; mailbox: `mbx_${string}` }>(
      database.db,
      'select id, mailbox_id as mailbox from connections order by user_id',
    );
    for (const { id, mailbox } of [connections[0], connections[0], connections[1]].flatMap(
      (row) => row ?? [],
    )) {
      await addErrands(database.db, [
        {
          id: newId('err'),
          kind: 'resume',
          sub_account_id: 's1',
          connection_id: id,
          mailbox_id: mailbox,
          request: { since: 0 },
        },
      ]);
    }
    const all = (await rows<{ id: string }>(database.db, 'select id from errands order by seq')).map(
      (row) => row.id,
    );
    const claim = () => claimWork(database.db, { table: 'errands', owner: 'me', leaseMs: 60_000, limit: 1 });
    assert.deepEqual(await claim(), [all[0]]);
    assert.deepEqual(await claim(), [all[2]]);
    assert.deepEqual(await claim(), []);
    await run(database.db, `update errands set lease_until = now() - interval '1 second' where id = :id`, {
      id: all[0],
    });
    assert.deepEqual(await claim(), [all[0]], 'its process is gone');
  });

  test('C5: what an outage had held back when a connection was paused is judged after it, too', async () => {
    const [connection] = await rows<{ id: `con_${string}` }>(database.db, 'select id from connections');
    if (connection === undefined) throw new Error('no connection');
    const caughtUpTo = (time: string) => run(database.db, `update mailboxes set caught_up_to = ${time}`);
    await caughtUpTo(`now() - interval '3 days'`);
    await database.db.transaction((tx) => pauseConnection(tx, connection.id));
    // For the others.
    await caughtUpTo('now()');
    await database.db.transaction((tx) => resumeConnection(tx, connection.id));
    const [resume] = await rows<{ days: number }>(
      database.db,
      `select (extract(epoch from now()) - (request ->> 'since')::float8 / 1000) / 86400 as days from errands`,
    );
    assert.ok(resume !== undefined && resume.days > 3 && resume.days < 3.1, `${resume?.days} days`);
  });

  test('what ended long ago is forgotten', async () => {
    await schedule();
    await run(
      database.db,
      `update errands set ended_at = now() - interval '100 days', ready = false, state = 'finished' where id = (select min(id) from errands)`,
    );
    await run(
      database.db,
      `insert into downloads select id, current_date - n, 1 from mailboxes, generate_series(0, 5) n where address = 'ann@mail.example'`,
    );
    await forgetErrands(database.db, 90);
    assert.equal((await rows(database.db, 'select from errands')).length, 1);
    assert.equal((await rows(database.db, 'select from downloads')).length, 3);
  });
});
