import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MailboxId, MessageId } from '../../src/lib/id.ts';
import type { ConnectRequest } from '../../src/mailbox/settle.ts';
import { readHeader } from '../../src/message/header.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import { rows, run } from '../../src/store/database.ts';
import { createWorld } from '../filing/world.ts';
import type { TestMailbox, World } from '../filing/world.ts';
import { blankRequest } from '../outbound/support.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { grantOf, revoking, startConnecting } from './connecting.ts';
import type { ConnectingUnderTest } from './connecting.ts';

const [company, home] = ['ann@company.example', 'ann@home.example'];
const carla = 'carla@customer.example';

/** Two sub-accounts in which Ann has the same mailbox, and a thread with Carla that the CRM answered in. */
for (const kind of databaseKinds)
  describe(`another mailbox, or none, in the middle of a thread, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let t: ConnectingUnderTest;
    let gmail: ReturnType<typeof revoking>;
    const boxes = new Map<string, TestMailbox>();
    const north: ConnectRequest = { subAccountId: 'north', userId: 'ann', replace: false, linkId: null };
    const south: ConnectRequest = { ...north, subAccountId: 'south' };

    before(async () => {
      database = await testDatabase(kind);
      gmail = revoking();
      t = await startConnecting({ db: database.db, more: [gmail] });
      world = await createWorld(database.db);
      await t.member('north', 'ann');
      await t.member('south', 'ann');
      for (const sub of ['north', 'south']) await world.addContact(sub, 'carla', [carla]);
    });
    after(async () => {
      await t.close();
      await database.drop();
    });

    const connect = async (request: ConnectRequest, email: string): Promise<TestMailbox> => {
      const result = await t.connecting.connectWithGrant({
        ...request,
        provider: 'gmail',
        grant: grantOf(email),
      });
      assert.equal(result.outcome, 'connected');
      const [mailbox] = await t.sql<{ id: MailboxId }>(`select id from mailboxes where address = '${email}'`);
      assert.ok(mailbox !== undefined);
      const box = boxes.get(email) ?? (await world.watch(mailbox.id));
      boxes.set(email, box);
      return box;
    };
    const reply = async (to: MessageId, text = 'An answer.'): Promise<SendAnswer> => {
      const deps = { ...world.filing, trackingUrl: null, wakeSender: () => undefined };
      const request = { ...blankRequest, subAccountId: 'north', userId: 'ann', replyToMessageId: to, text };
      const result = await createAccept(deps)(request, null);
      if ('refused' in result) throw new Error(result.refused.detail);
      return result.answer;
    };
    const messageOf = async (subject: string, sub = 'north') => {
      const found = (await world.messages(sub)).filter(
        (message) => message.direction === 'inbound' && message.subject === subject,
      );
      assert.equal(found.length, 1, subject);
      return found[0] as { id: MessageId; thread_id: string };
    };
    const links = (thread: string) =>
      rows<{ address: string; state: string; reason: string | null }>(
        database.db,
        `select m.address, l.state, l.reason from thread_links l join mailboxes m on m.id = l.mailbox_id
          where l.thread_id = :thread order by m.address`,
        { thread },
      );
    const states = () =>
      t.sql<{ line: string }>(
        `select c.sub_account_id || ' ' || m.address || ' ' || c.state as line
           from connections c join mailboxes m on m.id = c.mailbox_id order by c.id`,
      );
    /** A transaction that comes as far as telling of it, and no further. */
    const failing = async (type: string, work: () => Promise<unknown>) => {
      await run(
        database.db,
        `create function refuse() returns trigger language plpgsql as
           $$ begin if new.type = '${type}' then raise exception 'for a test'; end if; return new; end $$`,
      );
      await run(
        database.db,
        'create trigger refuse before insert on events for each row execute function refuse()',
      );
      try {
        await assert.rejects(work(), /for a test/);
      } finally {
        await run(database.db, 'drop trigger refuse on events');
        await run(database.db, 'drop function refuse');
      }
    };

    test('C6: a step that fails at its end has changed nothing: the old mailbox goes on', async () => {
      const old = await connect(north, company);
      await connect(south, company);
      await old.see('inbox', {
        id: 'first@customer.example',
        from: carla,
        subject: 'Question',
        references: '<zero@customer.example>',
      });
      const question = await messageOf('Question');
      await t.events();
      const before = await states();
      const changing = () =>
        t.connecting.connectWithGrant({ ...north, replace: true, provider: 'gmail', grant: grantOf(home) });
      await failing('connection.created', changing);
      assert.deepEqual(await states(), before);
      assert.deepEqual(await links(question.thread_id), [{ address: company, state: 'live', reason: null }]);
      assert.deepEqual(await t.events(), []);
      assert.deepEqual(await t.sql('select address from mailboxes'), [{ address: company }]);
      await old.see('inbox', {
        id: 'second@customer.example',
        from: carla,
        subject: 'Re: Question',
        inReplyTo: 'first@customer.example',
        references: '<zero@customer.example> <first@customer.example>',
      });
      assert.equal((await messageOf('Re: Question')).thread_id, question.thread_id);
    });

    test('C6: from then on the old mailbox is the other sub-account’s alone, and nothing stored is lost', async () => {
      const old = boxes.get(company);
      const stored = await world.messages('north');
      t.woken.length = 0;
      await connect({ ...north, replace: true }, home);
      assert.deepEqual(
        (await states()).map(({ line }) => line),
        [`north ${company} superseded`, `south ${company} connecting`, `north ${home} connecting`],
      );
      const [kept] = await t.sql(
        `select credential_sealed is not null as kept from mailboxes where address = '${company}'`,
      );
      assert.deepEqual(kept, { kept: true }, 'whose listener goes on');
      assert.deepEqual(
        gmail.revoked.filter((token) => token.includes(company)),
        [],
      );
      const { thread_id: thread } = await messageOf('Question');
      assert.deepEqual(await links(thread), [{ address: company, state: 'unlinked', reason: 'superseded' }]);
      const southern = await messageOf('Question', 'south');
      assert.deepEqual(await links(southern.thread_id), [{ address: company, state: 'live', reason: null }]);
      const later = await old?.see('inbox', {
        from: carla,
        subject: 'Re: Question, to the old one',
        inReplyTo: 'second@customer.example',
      });
      assert.deepEqual(later, ['south:thread_member']);
      assert.deepEqual(await world.messages('north'), stored);
    });

    test('C6, D4: an answer from the CRM goes out from the new mailbox, cites the whole thread, and makes it live there', async () => {
      const parent = await messageOf('Re: Question');
      const { message, send, route } = await reply(parent.id);
      assert.deepEqual(
        [route.through, route.from, message.from.address, message.to[0]?.address],
        ['mailbox', home, home, carla],
      );
      const [sent] = await t.sql<{ address: string; envelope: { from: string }; raw_sha256: string }>(
        `select m.address, s.envelope, s.raw_sha256 from sends s join mailboxes m on m.id = s.mailbox_id where s.id = '${send.id}'`,
      );
      assert.deepEqual([sent?.address, sent?.envelope.from], [home, home]);
      const header = readHeader(world.blobs.all.get(sent?.raw_sha256 ?? '') ?? Buffer.alloc(0));
      assert.deepEqual(header.inReplyTo, ['second@customer.example']);
      assert.deepEqual(header.references, [
        'zero@customer.example',
        'first@customer.example',
        'second@customer.example',
      ]);
      assert.match(header.messageId ?? '', /@home\.example$/);
      assert.equal(header.subject, 'Re: Question');
      assert.equal(message.thread_id, parent.thread_id);
      assert.deepEqual(await links(parent.thread_id), [
        { address: company, state: 'unlinked', reason: 'superseded' },
        { address: home, state: 'live', reason: null },
      ]);
      const answer = {
        from: carla,
        to: home,
        subject: 'Re: Question, to the new one',
        inReplyTo: header.messageId ?? '',
      };
      assert.deepEqual(await boxes.get(home)?.see('inbox', answer), ['north:thread_member']);
      const stranger = { ...answer, from: 'sue@elsewhere.example', cc: carla, subject: 'A stranger' };
      assert.deepEqual(await boxes.get(home)?.see('inbox', stranger), ['north:thread_member']);
      assert.equal((await messageOf('A stranger')).thread_id, parent.thread_id);
    });

    test('C7: a disconnect that fails at its end has changed nothing', async () => {
      const before = await states();
      const { thread_id: thread } = await messageOf('Question');
      const linked = await links(thread);
      await failing('connection.disconnected', () => t.connecting.disconnect({ subAccountId: 'north' }));
      assert.deepEqual([await states(), await links(thread)], [before, linked]);
      const [kept] = await t.sql(
        `select credential_sealed is not null as kept from mailboxes where address = '${home}'`,
      );
      assert.deepEqual(kept, { kept: true });
    });

    test('C7: connecting again starts from then, also where another sub-account kept the mailbox connected', async () => {
      const old = boxes.get(company);
      assert.ok(old !== undefined);
      await run(
        database.db,
        `update connections set started_at = now() - interval '1 hour' where sub_account_id = 'south'`,
      );
      await t.connecting.disconnect({ subAccountId: 'north' });
      const stored = await world.messages('north');
      assert.deepEqual(await old.see('inbox', { from: carla, subject: 'In between' }), [
        'south:from_contact',
      ]);
      const cursors = await t.sql('select path, uid_validity, cursor_uid from folders order by id');
      await t.events();
      await connect(north, company);
      assert.deepEqual(
        (await t.events()).map(({ type }) => type),
        ['connection.created'],
      );
      assert.deepEqual(
        await t.sql('select path, uid_validity, cursor_uid from folders order by id'),
        cursors,
      );
      // Found late: by a sweep, or because it was moved; what counts is when the provider got it.
      const late = { from: carla, subject: 'Found late', internalDate: Date.now() - 60_000 };
      assert.deepEqual((await old.see('other', late)).toSorted(), [
        'north:before_connection',
        'south:from_contact',
      ]);
      assert.deepEqual(await world.messages('north'), stored);
      const fresh = await old.see('inbox', { from: carla, subject: 'From then on' });
      assert.deepEqual(fresh.toSorted(), ['north:from_contact', 'south:from_contact']);
    });

    test('C7, S4: a thread from before stays unlinked, until the CRM answers in it', async () => {
      const old = boxes.get(company);
      const { thread_id: thread, id } = await messageOf('Re: Question');
      const answer = { from: carla, subject: 'Re: Question, again', inReplyTo: 'second@customer.example' };
      assert.deepEqual((await old?.see('inbox', answer))?.toSorted(), [
        'north:thread_unlinked',
        'south:thread_member',
      ]);
      const { route, message } = await reply(id);
      assert.equal(route.from, company);
      assert.deepEqual(await links(thread), [
        { address: company, state: 'live', reason: null },
        { address: home, state: 'unlinked', reason: 'disconnected' },
      ]);
      const next = {
        from: carla,
        subject: 'Re: Question, at last',
        inReplyTo: message.internet_message_id ?? '',
      };
      assert.ok((await old?.see('inbox', next))?.includes('north:thread_member'));
    });
  });
