import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { idFrom } from '../src/lib/id.ts';
import { rows, run } from '../src/store/database.ts';
import { createWorld } from './filing/world.ts';
import { twoway } from './support/cli.ts';
import { testDatabase } from './support/database.ts';
import type { TestDatabase } from './support/database.ts';

describe('T4: twoway replay', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('postgres');
    const world = await createWorld(database.db);
    await world.addSubAccount('north');
    await world.addUser('ann', 'ann@crm.example', ['north']);
    await world.addContact('north', 'carla', ['carla@customer.example']);
    const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
    await mailbox.see('inbox', { from: 'carla@customer.example' }, { from: 'stan@stranger.example' });
  });
  after(() => database.drop());

  const replay = (...words: string[]) =>
    twoway(['replay', ...words], {
      TWOWAY_DATABASE_URL: database.url ?? '',
      TWOWAY_SECRET_KEYS: Buffer.alloc(32, 7).toString('base64'),
    });

  test('nothing would change: 0, and nothing does', async () => {
    const decisions = () => rows(database.db, 'select * from decisions order by id');
    const before = await decisions();
    const { code, stdout, stderr } = await replay('2026-01-01');
    assert.deepEqual([code, stdout, stderr], [0, '2 decisions: 2 would be the same, 0 would change.\n', '']);
    assert.deepEqual(await decisions(), before);
  });

  test('what would change is told, for all since a time and for one message: 1', async () => {
    await run(
      database.db,
      `update decisions set facts = jsonb_set(facts, '{neverLog}', 'true') where reason = 'from_contact'`,
    );
    const [message] = await rows<{ id: string }>(database.db, 'select id from messages');
    const all = await replay('2026-01-01T00:00:00Z');
    assert.equal(all.code, 1);
    assert.match(
      all.stdout,
      /^dec_\S+ of \S+ in north \(msg_\S+\): was stored from_contact, would be skipped never_log: somebody on it /,
    );
    assert.match(all.stdout, /\n2 decisions: 1 would be the same, 1 would change\.\n$/);
    const one = await replay(message?.id ?? '');
    assert.match(one.stdout, /\n1 decision: 0 would be the same, 1 would change\.\n$/);
    await run(
      database.db,
      `update decisions set facts = jsonb_set(facts, '{neverLog}', 'false') where reason = 'from_contact'`,
    );
  });

  test('only what was decided since then; and words that are neither a time nor a message: 2', async () => {
    const later = idFrom('dec', Date.now() + 1_000);
    assert.ok(
      later > ((await rows<{ id: string }>(database.db, 'select max(id) as id from decisions'))[0]?.id ?? ''),
    );
    const { code, stdout } = await replay(new Date(Date.now() + 1_000).toISOString());
    assert.deepEqual([code, stdout], [0, '0 decisions: 0 would be the same, 0 would change.\n']);
    const wrong = await replay('yesterday');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /replay wants the id of a message \(msg_…\) or a time/);
  });
});
