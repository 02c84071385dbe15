import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { systemClock } from '../../src/lib/clock.ts';
import { readHeader } from '../../src/message/header.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { databaseKinds } from '../support/database.ts';
import { acceptDepsOf, blankRequest, openOffice, secretBox } from './support.ts';
import type { Office } from './support.ts';
import { usualLimits } from '../support/limits.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;

/** What an office of Anna's answers to a request: the code of the refusal, or the recipients. */
async function outcome(office: Office, request: Partial<SendRequest>): Promise<string> {
  const result = await createAccept(acceptDepsOf(office))(
    { ...blankRequest, userId: 'anna', text: 'x', ...request },
    null,
  );
  if ('refused' in result) return result.refused.code;
  const { to, cc } = result.answer.message;
  return [...to, ...cc].map(({ address }) => address).join(' ');
}

const person = (address: string) => [{ name: '', address }];

describe('D0, D1: what is accepted, and for whom', () => {
  let office: Office;
  before(async () => {
    // Users and a message of another are written by hand.
    const breaks = ['user_has_login_address', 'message_has_bytes', 'thread_knows_its_people'];
    office = await openOffice('postgres', { breaks });
    await office.addContact('carla', 'Carla@Customer.example');
    await office.addContact('carla', 'carla@private.example');
    await office.addContact('mute', 'mute@customer.example');
    await run(office.db, `delete from contact_addresses where contact_id = 'mute'`);
    await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
    await run(
      office.db,
      `insert into users (id, name, email) values ('bert', '', 'bert@crm.example'), ('zoe', '', 'zoe@crm.example')`,
    );
    await run(office.db, `insert into memberships (sub_account_id, user_id) values ('acme', 'bert')`);
  });
  after(() => office.close());

  const table: [name: string, request: Partial<SendRequest>, expected: string][] = [
    ['a contact by its id: the main address', { contactId: 'carla' }, 'Carla@customer.example'],
    [
      'a contact by an address, in any spelling',
      { to: person('CARLA@private.EXAMPLE') },
      'CARLA@private.example',
    ],
    [
      'further recipients may be anyone',
      { to: [...person('carla@private.example'), ...person('x@a.example')], cc: person('y@a.example') },
      'carla@private.example x@a.example y@a.example',
    ],
    ['an address of nobody', { to: person('x@a.example') }, 'unknown_contact'],
    [
      'a contact in Cc alone is not whom it goes to',
      { to: person('x@a.example'), cc: person('carla@private.example') },
      'unknown_contact',
    ],
    ['a contact that is not there', { contactId: 'nobody' }, 'unknown_contact'],
    [
      'a contact and an address of somebody else',
      { contactId: 'carla', to: person('x@a.example') },
      'unknown_contact',
    ],
    [
      'a contact and another address of it',
      { contactId: 'carla', to: person('carla@private.example') },
      'carla@private.example',
    ],
    ['a contact without an address', { contactId: 'mute' }, 'no_recipients'],
    ['a user who is no member', { userId: 'zoe', contactId: 'carla' }, 'unknown_user'],
    ['a user without a mailbox', { userId: 'bert', contactId: 'carla' }, 'no_mailbox_connected'],
    ['an answer to nothing', { replyToMessageId: 'msg_none' }, 'unknown_message'],
    [
      'the connected address as from',
      { contactId: 'carla', from: 'Anna+x@mail.example' },
      'Carla@customer.example',
    ],
    ['another address as from', { contactId: 'carla', from: 'boss@mail.example' }, 'from_not_allowed'],
    ['bulk mail', { contactId: 'carla', kind: 'bulk' }, 'no_provider'],
    ['workflow mail', { contactId: 'carla', kind: 'workflow' }, 'no_provider'],
  ];
  for (const [name, request, expected] of table) {
    test(`${name}: ${expected}`, async () => {
      assert.equal(await outcome(office, request), expected);
    });
  }

  test('an answer goes to where the author wants answers, also when that is no contact', async () => {
    const parent = await office.accept({ userId: 'anna', contactId: 'carla', text: 'x' });
    const raw =
      'From: Carla <carla@private.example>\r\nReply-To: desk@customer.example\r\nTo: anna@mail.example\r\n\r\nHi';
    const [sha256] = await office.blobs.put([Buffer.from(raw)]);
    await run(
      office.db,
      `update messages set direction = 'inbound', raw_sha256 = :sha256, sender = '{"name":"","address":"carla@private.example"}'
        where id = :id`,
      { sha256, id: parent.message.id },
    );
    assert.equal(await outcome(office, { replyToMessageId: parent.message.id }), 'desk@customer.example');
    const other = { replyToMessageId: parent.message.id, to: person('boss@customer.example') };
    assert.equal(await outcome(office, other), 'boss@customer.example');
    const oneself = { replyToMessageId: parent.message.id, to: person('anna+crm@mail.example') };
    assert.equal(await outcome(office, oneself), 'no_recipients');
  });
});

for (const kind of databaseKinds) {
  describe(`D3, on ${kind}: durable once it is answered`, () => {
    let office: Office;
    before(async () => {
      // A connection is ended by hand, so that nothing but what is sent can leave events.
      office = await openOffice(kind, {
        breaks: ['connection_has_ended_or_not', 'credential_is_in_use', 'live_thread_has_connection'],
      });
      for (const name of ['carla', 'carlo', 'cleo'])
        await office.addContact(name, `${name}@customer.example`);
      await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
    });
    after(() => office.close());

    const counts = async () => {
      const [found] = await rows<{ sends: number; messages: number; events: number }>(
        office.db,
        `select (select count(*)::int from sends) as sends, (select count(*)::int from messages) as messages,
                (select count(*)::int from events) as events`,
      );
      return found;
    };

    test('message, send, events and bytes are there; Bcc is in the envelope alone', async () => {
      const { message, send, route } = await office.accept({
        userId: 'anna',
        contactId: 'carla',
        bcc: person('hidden@a.example'),
        subject: 'Hi',
        text: 'Hello',
      });
      assert.deepEqual([message.via, message.direction, message.read], [['crm'], 'outbound', true]);
      const nothingBack = { refused: [], reports: [], answered: null, auto_replied: null };
      assert.deepEqual(message.send, { id: send.id, state: 'queued', reason: null, ...nothingBack });
      assert.deepEqual(route, send.route);
      assert.deepEqual(route, {
        through: 'mailbox',
        from: 'anna@mail.example',
        row: 'individual_gmail',
        because: "individual, Gmail connected: the user's mailbox",
      });
      const [stored] = await rows<{ raw_sha256: string; envelope: unknown; recipients_bcc: unknown }>(
        office.db,
        'select s.raw_sha256, s.envelope, m.recipients_bcc from sends s join messages m on m.id = s.message_id where s.id = :id',
        { id: send.id },
      );
      const raw = await buffer(office.blobs.get(stored?.raw_sha256 ?? ''));
      assert.equal(readHeader(raw).messageId, message.internet_message_id);
      assert.deepEqual(stored?.envelope, {
        from: 'anna@mail.example',
        to: ['carla@customer.example', 'hidden@a.example'],
      });
      assert.deepEqual(stored?.recipients_bcc, person('hidden@a.example'));
      assert.doesNotMatch(raw.toString(), /hidden/);
      assert.doesNotMatch(JSON.stringify(message), /hidden/);
      assert.deepEqual(await office.events(), [
        'conversation.created',
        'message.created queued',
        'send.queued queued',
      ]);
    });

    test('the same key again gets the first answer, and sends nothing; another body is an error', async () => {
      const request = {
        userId: 'anna',
        contactId: 'carla',
        text: 'Once',
        files: [{ name: 'a', type: null, content: Buffer.from('1') }],
      };
      const first = await office.accept(request, 'key-1');
      const before = await counts();
      assert.deepEqual(await office.accept(request, 'key-1'), first);
      assert.deepEqual(await counts(), before);
      const others: Partial<SendRequest>[] = [
        { text: 'Twice' },
        { cc: person('x@a.example') },
        { sendAt: 1 },
        { headers: { importance: 'high' } },
        { files: [{ name: 'a', type: null, content: Buffer.from('2') }] },
      ];
      for (const other of others) {
        await assert.rejects(
          office.accept({ ...request, ...other }, 'key-1'),
          /^Error: idempotency_key_reused/,
        );
      }
      assert.deepEqual(await counts(), before);
      assert.notEqual((await office.accept(request, 'key-2')).send.id, first.send.id);
    });

    test('ten calls at the same moment with one key are one message', async () => {
      const before = await counts();
      const answers = await Promise.all(
        Array.from({ length: 10 }, () =>
          office.accept({ userId: 'anna', contactId: 'carla', text: 'x' }, 'key-3'),
        ),
      );
      assert.equal(new Set(answers.map(({ send }) => send.id)).size, 1);
      assert.equal((await counts())?.sends, (before?.sends ?? 0) + 1);
    });

    test('a refusal is not remembered', async () => {
      const request = { userId: 'anna', contactId: 'late', text: 'x' };
      await assert.rejects(office.accept(request, 'key-4'), /unknown_contact/);
      await office.addContact('late', 'late@customer.example');
      await office.accept(request, 'key-4');
    });

    test('two first messages to a contact at the same moment share its conversation', async () => {
      const answers = await Promise.all(
        [1, 2, 3].map(() => office.accept({ userId: 'anna', contactId: 'cleo', text: 'x' })),
      );
      const conversations = new Set(answers.flatMap(({ message }) => message.conversation_ids));
      assert.equal(conversations.size, 1);
    });

    test('an answer that names another contact than it goes to shows in the conversation that contact has', async () => {
      await office.addContact('egon', 'egon@customer.example');
      const first = await office.accept({ userId: 'anna', contactId: 'egon', text: 'To Egon.' });
      const { message } = await office.accept({ userId: 'anna', contactId: 'carla', text: 'To Carla.' });
      const answer = { userId: 'anna', contactId: 'egon', replyToMessageId: message.id, text: 'Once more.' };
      const shown = (await office.accept(answer)).message.conversation_ids;
      for (const conversation of first.message.conversation_ids) assert.ok(shown.includes(conversation));
    });

    test('a connection that ends at that moment leaves nothing behind', async () => {
      const before = await counts();
      // Between what the plan was made of and the transaction that stores it.
      const db = new Proxy(office.db, {
        get: (target, name) =>
          name !== 'transaction'
            ? (Reflect.get(target, name) as unknown)
            : async (work: (tx: Db) => Promise<unknown>) => {
                await run(target, 'update connections set ended_at = now() where ended_at is null');
                return target.transaction(work);
              },
      });
      const deps = {
        db,
        blobs: office.blobs,
        secretBox,
        clock: systemClock,
        loggingDomain: null,
        limitsOf: usualLimits,
        trackingUrl: null,
        wakePublisher() {},
        wakeSender() {},
      };
      const request = { ...blankRequest, userId: 'anna', contactId: 'carla', text: 'x' };
      const result = await createAccept(deps)(request, 'key-5');
      assert.equal('refused' in result && result.refused.code, 'no_mailbox_connected');
      assert.deepEqual(await counts(), before);
    });
  });
}
