import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import { checkTombstones } from '../../src/filing/tombstones.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { findUnreferencedBlobs } from '../../src/store/blob-references.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { endConnection, findActiveConnection } from '../../src/store/lifecycle.ts';
import { createWorld } from '../filing/world.ts';
import type { Letter, TestMailbox, World } from '../filing/world.ts';
import { blankRequest } from '../outbound/support.ts';
import { assertSound, databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

/** Words that stand in every part of a letter that holds anything, and nowhere else. */
const secret = 'zanzibar';

/** Tables in which a word stands, whatever the column. */
async function traces(db: Db, word: string): Promise<string[]> {
  const tables = await rows<{ name: string }>(
    db,
    `select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const [row] = await rows<{ count: number }>(
      db,
      `select count(*)::int as count from "${name}" t where t::text ilike '%' || :word || '%'`,
      { word },
    );
    if ((row?.count ?? 0) > 0) found.push(name);
  }
  return found;
}

for (const kind of databaseKinds)
  describe(`erasing, on ${kind}`, () => {
    let t: ApiUnderTest;
    let world: World;
    let db: Db;
    let mailbox: TestMailbox;
    let bens: TestMailbox;
    let people = 0;

    before(async () => {
      t = await startApi({ kind });
      db = t.db;
      world = await createWorld(db);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      await world.addUser('ben', 'ben@crm.example', ['north']);
      mailbox = await world.connect('ann@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      bens = await world.connect('ben@mail.example', [['north', 'ben']]);
    });
    after(async () => {
      const { count, examples } = await checkTombstones(db, world.filing.secretBox);
      assert.deepEqual([count, examples], [0, []]);
      await t.close();
    });

    /** A contact of its own for each test. */
    async function newContact(sub = 'north'): Promise<{ id: string; address: string }> {
      people += 1;
      const contact = { id: `c${people}`, address: `carla${people}@customer.example` };
      await world.addContact(sub, contact.id, [contact.address]);
      return contact;
    }

    const messageOf = async (sub: string, subject: string) => {
      const found = (await world.messages(sub)).find((message) => message.subject === subject);
      assert.ok(found !== undefined, `${subject} is stored in ${sub}`);
      return found;
    };
    const subjects = async (sub: string) => (await world.messages(sub)).map((message) => message.subject);
    const conversationOf = async (contactId: string) => {
      const { body } = await t.call('GET', `/v1/sub-accounts/north/conversations?contact_id=${contactId}`);
      return (body['data'] as { id: string; last_message_at: string }[])[0];
    };
    const erase = (id: string) => t.call('DELETE', `/v1/sub-accounts/north/messages/${id}`);
    const lastEvents = async (count: number) =>
      (
        await rows<{ type: string; data: Record<string, unknown> }>(
          db,
          'select type, data from events order by ord desc limit :count',
          { count },
        )
      ).toReversed();

    /** What the CRM sends as Ann; with its mail program's own deps. */
    async function send(request: Partial<SendRequest>, key: string | null = null): Promise<SendAnswer> {
      const deps = { ...world.filing, trackingUrl: null, wakeSender: () => undefined };
      const full = { ...blankRequest, subAccountId: 'north', userId: 'ann', ...request };
      const result = await createAccept(deps)(full, key);
      if ('refused' in result) throw new Error(result.refused.detail);
      return result.answer;
    }

    /** The send as the sender leaves it when the provider has taken it. */
    async function isSent(answer: SendAnswer): Promise<void> {
      await run(
        db,
        `insert into send_attempts (send_id, n, started_at, ended_at, outcome, reply)
         values (:id, 1, now(), now(), 'accepted', 'ok')`,
        { id: answer.send.id },
      );
      await run(db, `update sends set state = 'sent', ready = false where id = :id`, { id: answer.send.id });
      await run(
        db,
        `insert into events (id, type, sub_account_id, order_keys, data)
         values (:event, 'send.sent', 'north', '{}', jsonb_build_object('id', :id::text, 'state', 'sent', 'reason', :reason::text, 'attempts', '[]'::jsonb))`,
        { event: `evt_${answer.send.id}`, id: answer.send.id, reason: `ok for ${secret}` },
      );
    }

    test('C7: an erased message leaves nothing of itself, and its story says when it was erased', async () => {
      const { id: contact, address } = await newContact();
      const key = `a-${secret}@customer.example`;
      await mailbox.see(
        'inbox',
        Buffer.from(
          [
            `From: ${secret} <${address}>`,
            `To: ann@mail.example, ${secret}@elsewhere.example`,
            `Subject: About ${secret}`,
            'Date: Fri, 20 Nov 2026 09:00:00 +0000',
            `Message-ID: <${key}>`,
            `References: <before-${secret}@customer.example>`,
            'Content-Type: multipart/mixed; boundary=b',
            '',
            '--b',
            'Content-Type: text/plain',
            '',
            `The ${secret} text.`,
            '--b',
            `Content-Type: application/pdf; name=${secret}.pdf`,
            'Content-Disposition: attachment',
            '',
            'PDF',
            '--b--',
            '',
          ].join('\r\n'),
        ),
      );
      const message = await messageOf('north', `About ${secret}`);
      const conversation = await conversationOf(contact);
      assert.ok((await traces(db, secret)).length > 6);
      const blobs = [...world.blobs.all.keys()];
      const unused = await findUnreferencedBlobs(db, blobs);

      assert.equal((await erase(message.id)).status, 204);

      assert.deepEqual(await traces(db, secret), []);
      assert.equal((await findUnreferencedBlobs(db, blobs)).length, unused.length + 2);
      const path = `/v1/sub-accounts/north/messages/${message.id}`;
      for (const part of ['', '/raw', '/attachments/1']) {
        assert.equal((await t.call('GET', `${path}${part}`)).status, 404, part);
      }
      assert.equal((await erase(message.id)).status, 404);
      assert.equal(await conversationOf(contact), undefined);
      const told = await lastEvents(3);
      assert.deepEqual(
        told.map(({ type }) => type),
        ['message.updated', 'thread.unlinked', 'conversation.updated'],
      );
      assert.equal(told[0]?.data['id'], message.id);
      assert.deepEqual(told[0]?.data['conversation_ids'], [conversation?.id]);
      assert.match(String(told[0]?.data['erased_at']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.deepEqual(
        [told[1]?.data['id'], told[1]?.data['state'], told[1]?.data['reason']],
        [message.thread_id, 'unlinked', 'erased'],
      );
      assert.deepEqual([told[2]?.data['id'], told[2]?.data['last_message_at']], [conversation?.id, null]);

      const { status, body } = await t.call('GET', `${path}/explain`);
      assert.equal(status, 200);
      const story = (body['story'] as string[]).join('\n');
      assert.match(story, new RegExp(`^${message.id} was erased at ${String(told[0]?.data['erased_at'])}`));
      assert.match(story, /stored for inbox.*: from_contact/);
      assert.match(story, /told as message\.created/);
      const search = `/v1/sub-accounts/north/decisions?internet_message_id=${key}`;
      const [decision] = (await t.call('GET', search)).body['data'] as Record<string, unknown>[];
      assert.deepEqual(
        [decision?.['message_id'], decision?.['erased_at']],
        [message.id, told[0]?.data['erased_at']],
      );
    });

    test('C7: it does not come back, by whatever way, and another sub-account keeps its own', async () => {
      const { id, address } = await newContact();
      await world.addContact('south', id, [address]);
      const letter: Letter = {
        id: `again-${id}@x.example`,
        from: address,
        subject: `Again ${id}`,
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
        text: 'Again.',
      };
      await mailbox.see('inbox', letter);
      await erase((await messageOf('north', `Again ${id}`)).id);

      const again = ['north:erased', 'south:duplicate'];
      assert.deepEqual((await mailbox.see('archive', letter)).toSorted(), again, 'another folder');
      const inbox = mailbox.folder('inbox');
      Object.assign(inbox, { uidValidity: inbox.uidValidity + 1, cursorUid: 0 });
      await run(db, 'update folders set uid_validity = :uidValidity, cursor_uid = 0 where id = :id', inbox);
      assert.deepEqual((await mailbox.see('inbox', letter)).toSorted(), again, 'another UIDVALIDITY');
      assert.deepEqual(await bens.see('inbox', letter), ['north:erased'], 'another mailbox');
      await run(db, `update connections set started_at = started_at - interval '1 year'`);
      const backfilled = { ...letter, internalDate: Date.UTC(2026, 5, 1) };
      assert.deepEqual((await mailbox.see('other', backfilled)).toSorted(), again, 'a longer past');
      assert.ok(!(await subjects('north')).includes(`Again ${id}`));
      assert.ok((await subjects('south')).includes(`Again ${id}`));

      const other: Letter = { ...letter, subject: `Another one with that id ${id}` };
      assert.deepEqual((await mailbox.see('inbox', other)).toSorted(), [
        'north:from_contact',
        'south:from_contact',
      ]);
    });

    test('C7: Gmail’s own id is enough to know it again', async () => {
      const { id, address } = await newContact();
      const gmail = { messageId: `17${people}`, threadId: `99${people}` };
      await mailbox.see('all', { from: address, subject: `By Gmail ${id}`, gmail });
      await erase((await messageOf('north', `By Gmail ${id}`)).id);
      const changed: Letter = { from: address, subject: `By Gmail, rewritten ${id}`, gmail };
      assert.ok((await mailbox.see('all', changed)).includes('north:erased'));
    });

    test('C7: an answer in an erased thread opens a new one (S2), in a new conversation', async () => {
      const { id, address } = await newContact();
      await mailbox.see('inbox', { id: `q-${id}@x.example`, from: address, subject: `Question ${id}` });
      const message = await messageOf('north', `Question ${id}`);
      const before = await conversationOf(id);
      assert.equal(
        (await t.call('DELETE', `/v1/sub-accounts/north/conversations/${before?.id}`)).status,
        204,
      );
      assert.deepEqual(
        await mailbox.see('inbox', {
          from: address,
          subject: `Re: Question ${id}`,
          inReplyTo: `q-${id}@x.example`,
        }),
        ['north:from_contact', 'south:no_match'],
      );
      const answer = await messageOf('north', `Re: Question ${id}`);
      assert.notEqual(answer.thread_id, message.thread_id);
      assert.notEqual((await conversationOf(id))?.id, before?.id);
    });

    test('S3: what is left of a thread goes on, by its own ids and people alone', async () => {
      const { id, address } = await newContact();
      const [first, second] = [`first-${id}@x.example`, `second-${id}@x.example`];
      await mailbox.see(
        'inbox',
        {
          id: first,
          from: address,
          cc: `gone-${id}@x.example`,
          subject: `Chain ${id}`,
          date: 'Fri, 20 Nov 2026 09:00:00 +0000',
        },
        {
          id: second,
          from: address,
          subject: `Re: Chain ${id}`,
          inReplyTo: first,
          date: 'Fri, 20 Nov 2026 10:00:00 +0000',
        },
        {
          id: `third-${id}@x.example`,
          from: address,
          subject: `Re: Chain ${id}`,
          inReplyTo: second,
          references: `<cited-${id}@x.example> <${second}>`,
          date: 'Fri, 20 Nov 2026 11:00:00 +0000',
        },
      );
      const all = (await world.messages('north')).filter((message) =>
        message.subject.endsWith(`Chain ${id}`),
      );
      const { thread_id: thread = '' } = all[0] ?? {};
      await erase(all[2]?.id ?? '');
      assert.equal((await conversationOf(id))?.last_message_at, '2026-11-20T10:00:00.000Z');
      assert.deepEqual(await traces(db, `third-${id}`), []);
      assert.deepEqual(await traces(db, `cited-${id}`), []);
      await erase(all[0]?.id ?? '');
      assert.deepEqual(await traces(db, `gone-${id}`), []);
      const [kept] = await rows<{ subject: string; keys: string[]; people: string[] }>(
        db,
        `select subject, array(select kind || ' ' || key from thread_keys where thread_id = :thread order by 1) as keys,
                array(select canonical from thread_participants where thread_id = :thread order by 1) as people
           from threads where id = :thread`,
        { thread },
      );
      assert.deepEqual(kept, {
        subject: `Re: Chain ${id}`,
        keys: [`message ${second}`, `referenced ${first}`],
        people: ['ann@mail.example', address],
      });
      assert.deepEqual(
        (await lastEvents(2)).map(({ type }) => type),
        ['message.updated', 'conversation.updated'],
      );
      await mailbox.see('inbox', {
        from: 'stranger@x.example',
        cc: address,
        subject: `Re: Chain ${id}`,
        inReplyTo: second,
      });
      const joined = (await world.messages('north')).filter((message) => message.thread_id === thread);
      assert.equal(joined.length, 2);
    });

    test('a conversation goes whole, from those of others on its threads too; theirs keep the rest', async () => {
      const [one, other] = [await newContact(), await newContact()];
      await mailbox.see(
        'inbox',
        { from: one.address, subject: `Alone ${one.id}` },
        { from: one.address, cc: other.address, subject: `Together ${one.id}` },
        { from: other.address, subject: `Other alone ${one.id}` },
      );
      const erased = await conversationOf(one.id);
      const kept = await conversationOf(other.id);
      assert.equal(
        (await t.call('DELETE', `/v1/sub-accounts/north/conversations/${erased?.id}`)).status,
        204,
      );
      assert.equal((await t.call('GET', `/v1/sub-accounts/north/conversations/${erased?.id}`)).status, 404);
      assert.equal(
        (await t.call('DELETE', `/v1/sub-accounts/north/conversations/${erased?.id}`)).status,
        404,
      );
      const { body } = await t.call('GET', `/v1/sub-accounts/north/conversations/${kept?.id}/messages`);
      assert.deepEqual(
        (body['data'] as { subject: string }[]).map(({ subject }) => subject),
        [`Other alone ${one.id}`],
      );
      assert.equal((await t.call('GET', `/v1/sub-accounts/north/contacts/${one.id}`)).status, 200);
    });

    test('a contact that is deleted takes its messages with it for good, and none of another contact', async () => {
      const [one, other] = [await newContact(), await newContact()];
      const letter: Letter = {
        id: `del-${one.id}@x.example`,
        from: one.address,
        subject: `Deleted ${one.id}`,
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
      };
      await mailbox.see('inbox', letter, {
        from: one.address,
        cc: other.address,
        subject: `Shared ${one.id}`,
      });
      assert.equal((await t.call('DELETE', `/v1/sub-accounts/north/contacts/${one.id}`)).status, 204);
      await world.addContact('north', one.id, [one.address]);
      assert.ok((await mailbox.see('archive', letter)).includes('north:erased'));
      assert.ok((await subjects('north')).includes(`Shared ${one.id}`));
    });

    test('D6: what is queued is cancelled and erased; its repeat sends nothing, and shows nothing', async () => {
      const { id } = await newContact();
      const request = { contactId: id, subject: `Offer ${secret}`, text: `Dear ${secret}` };
      const { message, send: queued } = await send(request, `key-${id}`);
      assert.equal((await erase(message.id)).status, 204);
      assert.deepEqual(await traces(db, secret), []);
      const types = (await lastEvents(5)).map(({ type, data }) => `${type} ${String(data['id'])}`);
      assert.ok(types.includes(`send.cancelled ${queued.id}`), types.join('\n'));
      const again = await send(request, `key-${id}`);
      assert.deepEqual([again.message.id, again.message.subject, again.send.id], [message.id, '', queued.id]);
      assert.equal((await t.call('GET', `/v1/sub-accounts/north/sends/${queued.id}`)).status, 404);
    });

    for (const [state, how] of [
      ['sending', `state = 'sending', lease_owner = 'node', lease_until = now()`],
      ['uncertain', `state = 'uncertain', uncertain_at = now()`],
    ] as const)
      test(`D5: what is ${state} is not erased until that is over`, async () => {
        const { id } = await newContact();
        await mailbox.see('inbox', { from: `carla${people}@customer.example`, subject: `Before ${id}` });
        const { message, send: sending } = await send({
          contactId: id,
          subject: `On its way ${id}`,
          text: '-',
        });
        await run(db, `insert into send_attempts (send_id, n, started_at) values (:id, 1, now())`, {
          id: sending.id,
        });
        await run(db, `update sends set ${how} where id = :id`, { id: sending.id });
        const conversation = `/v1/sub-accounts/north/conversations/${message.conversation_ids[0]}`;
        for (const path of [`/v1/sub-accounts/north/messages/${message.id}`, conversation]) {
          const { status, body } = await t.call('DELETE', path);
          assert.deepEqual(
            [status, body['code'], body['state'], body['send_id']],
            [409, 'being_sent', state, sending.id],
          );
        }
        assert.ok((await subjects('north')).includes(`On its way ${id}`));
        await run(db, `delete from send_attempts where send_id = :id`, { id: sending.id });
        await run(
          db,
          `update sends set state = 'queued', lease_owner = null, lease_until = null, uncertain_at = null where id = :id`,
          { id: sending.id },
        );
        assert.equal((await t.call('DELETE', conversation)).status, 204);
      });

    for (const [what, copy] of [
      ['as it was sent', (letter: Letter): Letter => letter],
      ['with another Message-ID', (letter: Letter): Letter => ({ ...letter, id: `rewritten-${letter.id}` })],
      [
        'with another Date',
        (letter: Letter): Letter => ({ ...letter, date: 'Fri, 20 Nov 2026 09:09:09 +0000' }),
      ],
    ] as const)
      test(`C7, U1: the mailbox’s own copy of an erased send does not bring it back, ${what}`, async () => {
        const { id, address } = await newContact();
        const answer = await send({ contactId: id, subject: `Sent ${id}`, text: `Sent to ${secret}` });
        await isSent(answer);
        const { message } = answer;
        assert.equal((await erase(message.id)).status, 204);
        assert.deepEqual(await traces(db, secret), []);
        const letter: Letter = {
          id: message.internet_message_id,
          from: 'ann@mail.example',
          to: address,
          subject: `Sent ${id}`,
          date: new Date(message.date).toUTCString(),
        };
        assert.ok((await mailbox.see('sent', copy(letter))).includes('north:erased'));
        assert.ok(!(await subjects('north')).includes(`Sent ${id}`));
      });

    test('what the CRM sends again, in the same words, is another message', async () => {
      const { id, address } = await newContact();
      const first = await send({ contactId: id, subject: `Twice ${id}`, text: 'The same.' });
      await isSent(first);
      await erase(first.message.id);
      const second = await send({ contactId: id, subject: `Twice ${id}`, text: 'The same.' });
      await isSent(second);
      const copy = {
        id: second.message.internet_message_id,
        from: 'ann@mail.example',
        to: address,
        subject: `Twice ${id}`,
        date: new Date(first.message.date).toUTCString(),
      };
      assert.ok((await mailbox.see('sent', copy)).includes('north:sent_copy'));
    });

    test('what another mailbox brought and somebody erased while a body came is not stored', async () => {
      const { id, address } = await newContact();
      const letter: Letter = {
        id: `race-${id}@x.example`,
        from: address,
        to: 'ann@mail.example, ben@mail.example',
        subject: `Race ${id}`,
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
      };
      world.meanwhile = async () => {
        await mailbox.see('inbox', letter);
        await erase((await messageOf('north', `Race ${id}`)).id);
      };
      assert.deepEqual((await bens.see('inbox', letter)).toSorted(), [
        'north:erased',
        'north:from_contact',
        'south:no_match',
      ]);
      assert.ok(!(await subjects('north')).includes(`Race ${id}`));
    });

    test('C7: what a mailbox brought is erased once nobody is connected to it, and nothing else', async () => {
      const { id, address } = await newContact();
      const leaving = await world.connect('lea@mail.example', [['north', 'ben']]);
      const active = await findActiveConnection(db, { subAccountId: 'north', userId: 'ben' });
      assert.ok(active !== null);
      const shared: Letter = {
        id: `both-${id}@x.example`,
        from: address,
        subject: `Both ${id}`,
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
      };
      const letters = Array.from({ length: 120 }, (_, n): Letter => ({
        from: address,
        subject: `Brought ${n} ${id}`,
      }));
      await leaving.see('inbox', ...letters, shared);
      await mailbox.see('inbox', shared);
      const { message } = await send({ userId: 'ben', contactId: id, subject: `Ben sent ${id}`, text: '-' });
      await leaving.see('sent', {
        id: message.internet_message_id,
        from: 'lea@mail.example',
        to: address,
        subject: `Ben sent ${id}`,
        date: new Date(message.date).toUTCString(),
      });
      const path = `/v1/connections/${active.id}/erase`;
      const refused = await t.call('POST', path);
      assert.deepEqual([refused.status, refused.body['code']], [409, 'still_connected']);
      await db.transaction((tx) => endConnection(tx, active.id, 'disconnected'));
      const { status, body } = await t.call('POST', path);
      assert.deepEqual([status, body], [200, { erased: 120 }]);
      const left = (await subjects('north')).filter((subject) => subject.endsWith(` ${id}`));
      assert.deepEqual(left.toSorted(), [`Ben sent ${id}`, `Both ${id}`]);
      assert.deepEqual((await t.call('POST', path)).body, { erased: 0 });
      await world.connect('ben2@mail.example', [['north', 'ben']]);
    });

    test('a message that is stored in spite of its tombstone is found by a check', async () => {
      const { id, address } = await newContact();
      const letter: Letter = {
        id: `check-${id}@x.example`,
        from: address,
        subject: `Checked ${id}`,
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
      };
      await mailbox.see('inbox', letter);
      const { id: first } = await messageOf('north', `Checked ${id}`);
      await erase(first);
      await run(db, `update tombstones set sub_account_id = 'south' where message_id = :first`, { first });
      await mailbox.see('archive', letter);
      await run(db, `update tombstones set sub_account_id = 'north' where message_id = :first`, { first });
      const { id: second } = await messageOf('north', `Checked ${id}`);
      const { count, examples } = await checkTombstones(db, world.filing.secretBox);
      assert.deepEqual([count, examples], [1, [{ message: second }]]);
      await erase(second);
    });

    test('an erasure that breaks off leaves sound data, and goes on when it is asked for again', async () => {
      const { id, address } = await newContact();
      const letters = Array.from({ length: 130 }, (_, n): Letter => ({
        from: address,
        subject: `Broken ${n} ${id}`,
      }));
      await mailbox.see('inbox', ...letters);
      const conversation = await conversationOf(id);
      await run(
        db,
        `create function refuse() returns trigger language plpgsql as
           $$ begin if old.subject like 'Broken 129 %' then raise exception 'for a test'; end if; return old; end $$`,
      );
      await run(db, 'create trigger refuse before delete on messages for each row execute function refuse()');
      const path = `/v1/sub-accounts/north/conversations/${conversation?.id}`;
      const left = async () =>
        (await subjects('north')).filter((subject) => subject.endsWith(` ${id}`)).length;
      try {
        assert.equal((await t.call('DELETE', path)).status, 500);
        assert.equal(await left(), 30);
        await assertSound(db);
        assert.equal((await t.call('GET', path)).status, 200);
      } finally {
        await run(db, 'drop trigger refuse on messages');
        await run(db, 'drop function refuse');
      }
      assert.equal((await t.call('DELETE', path)).status, 204);
      assert.equal(await left(), 0);
      assert.equal((await t.call('GET', path)).status, 404);
    });

    test('mail that comes, and answers that go out, while their threads are erased: each is whole, or erased', async () => {
      const { id, address } = await newContact();
      const chain = (n: number, m: number): Letter => ({
        id: `chain-${n}-${m}-${id}@x.example`,
        from: address,
        subject: `Chain ${n} ${m} ${id}`,
        ...(m === 0 ? {} : { inReplyTo: `chain-${n}-${m - 1}-${id}@x.example` }),
      });
      const threads = [0, 1, 2, 3];
      await mailbox.see('inbox', ...threads.map((n) => chain(n, 0)));
      const coming = (async () => {
        for (let m = 1; m <= 6; m += 1) await mailbox.see('inbox', ...threads.map((n) => chain(n, m)));
      })();
      const other = (async () => {
        for (let m = 1; m <= 6; m += 1)
          await bens.see('inbox', ...threads.toReversed().map((n) => chain(n, m)));
      })();
      const erasing = (async () => {
        for (let round = 0; round < 8; round += 1) {
          const mine = (await world.messages('north')).filter(({ subject }) => subject.endsWith(` ${id}`));
          const statuses = await Promise.all([
            ...mine.slice(0, 3).map((message) => erase(message.id)),
            conversationOf(id).then((found) =>
              found === undefined
                ? { status: 404 }
                : t.call('DELETE', `/v1/sub-accounts/north/conversations/${found.id}`),
            ),
          ]);
          for (const { status } of statuses) assert.ok([204, 404].includes(status), String(status));
        }
      })();
      const answering = (async () => {
        for (let round = 0; round < 8; round += 1) {
          const [parent] = (await world.messages('north')).filter(({ subject }) =>
            subject.endsWith(` ${id}`),
          );
          if (parent === undefined) continue;
          await send({ replyToMessageId: parent.id, text: '-' }).catch((error: unknown) => {
            assert.match(String(error), /no such message to answer/);
          });
        }
      })();
      await Promise.all([coming, other, erasing, answering]);
      await assertSound(db);
    });

    test('a delivery that is still to be made shows nothing of it either', async () => {
      const { id, address } = await newContact();
      await mailbox.see('inbox', { from: address, subject: `Pending ${id}` });
      const message = await messageOf('north', `Pending ${id}`);
      const order = () =>
        rows<{ ord: string; id: string; type: string }>(db, 'select ord, id, type from events order by ord');
      const before = await order();
      await erase(message.id);
      assert.deepEqual((await order()).slice(0, before.length), before);
      const [created] = await rows<{ data: Record<string, unknown> }>(
        db,
        `select data from events where object_id = :id and type = 'message.created'`,
        { id: message.id },
      );
      assert.equal(created?.data['subject'], '');
      assert.deepEqual(created?.data['from'], { name: '', address: '' });
      assert.equal(typeof created?.data['erased_at'], 'string');
    });
  });
