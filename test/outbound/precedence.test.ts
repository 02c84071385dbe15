import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { createPrecedence } from '../../src/outbound/precedence.ts';
import type { Sender } from '../../src/outbound/sender.ts';
import type { Accepted, Submission } from '../../src/outbound/smtp.ts';
import { rows, run } from '../../src/store/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';

test('a campaign makes room from a letter on, for a second after the last one', async () => {
  const clock = createManualClock();
  const precedence = createPrecedence(clock);
  assert.equal(precedence.roomMs(), 0);
  precedence.noteLetters();
  assert.equal(precedence.roomMs(), 1_000);
  await clock.advance(600);
  assert.equal(precedence.roomMs(), 400);
  precedence.noteLetters();
  await clock.advance(999);
  assert.equal(precedence.roomMs(), 1);
  await clock.advance(1);
  assert.equal(precedence.roomMs(), 0);
});

const server = { host: '127.0.0.1', port: 9, security: 'none' } as const;

/** Servers in this process: mail to readers is held back until it is let go, one after the other; letters go through. */
function createServers() {
  const gates: (() => void)[] = [];
  const servers = {
    /** Nothing is held back any more. */
    isFree: false,
    /** Recipients of what was taken, in order. */
    taken: [] as string[],
    /** Mail to readers that is on its way. */
    open: () => gates.length,
    letGo: (count: number) => gates.splice(0, count).forEach((open) => open()),
    async submit({ envelope, beforeEnd }: Submission): Promise<Accepted> {
      const [to = ''] = envelope.to;
      if (to.startsWith('reader') && !servers.isFree)
        await new Promise<void>((resolve) => gates.push(resolve));
      assert.ok(await beforeEnd([]));
      servers.taken.push(to);
      return { reply: '250 2.0.0 OK', serverMessageId: null, refused: [] };
    },
  };
  return servers;
}

describe('a letter beside a campaign', () => {
  let office: Office;
  let servers: ReturnType<typeof createServers>;
  let sender: Sender;
  let read = 0;

  before(async () => {
    office = await openOffice();
    await office.addContact('carla', 'carla@customer.example');
    await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp: server });
    await office.setProvider(server);
    await run(
      office.db,
      `with u as (insert into users (id, name, email) values ('bert', 'Bert', 'bert@acme.example')),
         a as (insert into user_addresses (user_id, kind, canonical) values ('bert', 'login', 'bert@acme.example'))
       insert into memberships (sub_account_id, user_id) values ('acme', 'bert')`,
    );
  });
  after(() => office.close());
  beforeEach(async () => {
    await run(office.db, 'delete from messages');
    servers = createServers();
  });
  afterEach(async () => {
    await waitFor('the campaign to be over', async () => {
      servers.letGo(Infinity);
      return (await rows(office.db, 'select from sends where ready')).length === 0;
    });
    await sender.stop();
  });

  async function campaign(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      read += 1;
      const address = `reader-${read}@customer.example`;
      await office.addContact(address, address);
      await office.accept({ kind: 'bulk', userId: 'bert', contactId: address, subject: 'News', text: 'x' });
    }
    sender = office.sender({ open: sessionsOf(servers.submit) });
    await waitFor('all sessions of the campaign', () => servers.open() === 5);
  }
  const write = (userId: string) => office.accept({ userId, contactId: 'carla', text: 'x' });

  test('it waits for nothing of it, and from then on the campaign goes on with one session, for a while', async () => {
    await campaign(20);
    await office.waitForState((await write('anna')).send.id, 'sent');
    assert.deepEqual(servers.taken, ['carla@customer.example']);
    assert.equal(servers.open(), 5, 'what had begun goes on');
    servers.letGo(5);
    await waitFor('the next one', () => servers.open() > 0);
    for (let n = 0; n < 3; n += 1) {
      // Everybody who would take one has long had the time for it.
      await office.waitForState((await write('anna')).send.id, 'sent');
      assert.equal(servers.open(), 1);
      servers.letGo(1);
      await waitFor('it never stops', () => servers.open() > 0);
    }
    await waitFor('all sessions again', () => servers.open() === 5);
  });

  test('meanwhile the campaign goes at a walk, with twenty a second', async () => {
    await campaign(60);
    await office.waitForState((await write('anna')).send.id, 'sent');
    servers.isFree = true;
    servers.letGo(5);
    const [startedAt, before] = [performance.now(), servers.taken.length];
    for (let n = 0; n < 4; n += 1) await office.waitForState((await write('anna')).send.id, 'sent');
    const sent = servers.taken.slice(before).filter((to) => to.startsWith('reader')).length;
    assert.ok(sent <= 6 + (performance.now() - startedAt) / 50, `${sent} of the campaign were sent`);
  });

  test('in the same lane it is the next one, however much of the campaign is in hand', async () => {
    await campaign(60);
    const { send } = await write('bert');
    assert.equal(send.route.through, 'provider');
    await waitFor('it is claimed', async () => {
      const [row] = await rows<{ lease: string | null }>(
        office.db,
        'select lease_owner as lease from sends where id = :id',
        { id: send.id },
      );
      return row?.lease != null;
    });
    servers.letGo(1);
    await office.waitForState(send.id, 'sent');
    assert.deepEqual(servers.taken.slice(1), ['carla@customer.example']);
  });
});
