import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { lockSenders } from '../../src/store/outgoing.ts';
import { connectMailbox } from '../outbound/support.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;

describe('S1: whoever sends is held while their message is filed', () => {
  let database: TestDatabase;
  let through: Awaited<ReturnType<typeof connectMailbox>>;
  before(async () => {
    database = await testDatabase('postgres', { breaks: ['connection_state_is_told'] });
    await run(database.db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
    const person = { provider: 'gmail', smtp } as const;
    through = await connectMailbox(database.db, { ...person, userId: 'anna', address: 'anna@mail.example' });
    await connectMailbox(database.db, { ...person, userId: 'bert', address: 'bert@mail.example' });
  });
  after(() => database.drop());

  /** Which of these somebody else could end at this moment. */
  const free = async (): Promise<string[]> => {
    const [mailboxes, members] = await Promise.all([
      rows<{ name: string }>(
        database.db,
        'select address as name from mailboxes order by 1 for update skip locked',
      ),
      rows<{ name: string }>(
        database.db,
        'select user_id as name from memberships order by 1 for update skip locked',
      ),
    ]);
    return [...mailboxes, ...members].map(({ name }) => name);
  };

  test('a mailbox that is sent through, or a member who sends without one, and nobody else', async () => {
    assert.deepEqual(await free(), ['anna@mail.example', 'bert@mail.example', 'anna', 'bert']);
    await database.db.transaction(async (tx) => {
      await lockSenders(tx, [
        { subAccountId: 'acme', userId: 'anna', through },
        { subAccountId: 'acme', userId: 'bert', through: null },
        { subAccountId: 'acme', userId: 'bert', through: null },
      ]);
      assert.deepEqual(await free(), ['bert@mail.example', 'anna']);
      // Others who send may hold them, too.
      await database.db.transaction((other) =>
        lockSenders(other, [{ subAccountId: 'acme', userId: 'bert', through }]),
      );
    });
    assert.equal((await free()).length, 4);
  });
});
