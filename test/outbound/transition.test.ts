import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { changeSends } from '../../src/outbound/transition.ts';
import { inTransaction, rows, run } from '../../src/store/database.ts';
import { readThreads } from '../../src/store/public-conversation.ts';
import { readMessages } from '../../src/store/public-message.ts';
import { lockSends } from '../../src/store/sends.ts';
import type { SendChange } from '../../src/store/sends.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

let office: Office;
before(async () => {
  // Nobody makes a try of what is told to be on its way.
  office = await openOffice('postgres', { breaks: ['sending_is_leased', 'send_was_tried'] });
  await office.addContact('carla', 'carla@customer.example');
  const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
  await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'imap', smtp });
});
after(() => office.close());

const write = () => office.accept({ userId: 'anna', contactId: 'carla', text: 'x' });
const change = ({ send }: SendAnswer, to: SendChange) =>
  inTransaction(office.db, async (tx) => {
    const locked = await lockSends(tx, [send.id]);
    await changeSends(
      tx,
      locked.map((each) => ({ send: each, change: to })),
    );
  });

test('D6: a message and its thread change with what is told of its send, and not with the rest', async () => {
  const answer = await write();
  const { message } = answer;
  const long = '2026-01-02T03:04:05.000Z';
  for (const [table, column, of] of [
    ['sends', 'changed_at', 'message_id = :message'],
    ['messages', 'updated_at', 'id = :message'],
    ['threads', 'updated_at', 'id = :thread'],
    ['thread_links', 'since', 'thread_id = :thread'],
  ])
    await run(office.db, `update ${table} set ${column} = :long where ${of}`, {
      long,
      message: message.id,
      thread: message.thread_id,
    });
  const changed = async () => [
    (await readMessages(office.db, 'acme', [message.id]))[0]?.updated_at,
    (await readThreads(office.db, 'acme', [message.thread_id]))[0]?.updated_at,
  ];
  await change(answer, { state: 'queued', reason: null, next: 1_000 });
  assert.deepEqual(await changed(), [long, long], 'it is only tried later');
  await change(answer, { state: 'queued', reason: 'daily_limit', next: 1_000 });
  const [ofMessage, ofThread] = await changed();
  assert.notEqual(ofMessage, long);
  assert.equal(ofThread, ofMessage);
});

test('D6: what is told of a message with its send waits for whoever is changing the message, and has that in it', async () => {
  const answer = await write();
  const { message } = answer;
  let changing: Promise<void> | undefined;
  await office.db.transaction(async (other) => {
    await run(other, 'update messages set is_read = not is_read where id = :id', { id: message.id });
    changing = change(answer, { state: 'sending', reason: null, next: 'in_hand' });
    await waitFor('the message to be waited for', () => isWaitedFor(), { deadlineMs: 5_000 });
  });
  await changing;
  const told = await rows<{ read: boolean }>(
    office.db,
    `select (data ->> 'read')::boolean as read from events where type = 'message.updated' and data ->> 'id' = :id`,
    { id: message.id },
  );
  assert.deepEqual(told, [{ read: !message.read }]);
});

async function isWaitedFor(): Promise<boolean> {
  const waiting = await rows(
    office.db,
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return waiting.length > 0;
}
