import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { eraseMessages } from '../../src/filing/erase.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createLoggingWorld } from './logging-world.ts';
import type { LoggingWorld, ToLog } from './logging-world.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

const logAddress = 'log-1@log.crm.example';

/** A forward as Gmail writes it. */
function forward(
  of: { from: string; to?: string; cc?: string; subject?: string; date?: string; text?: string },
  more: Partial<ToLog> = {},
): ToLog {
  const lines = [
    'For the file.',
    '',
    '---------- Forwarded message ---------',
    `From: ${of.from}`,
    `Date: ${of.date ?? 'Thu, Nov 19, 2026 at 3:04 PM'}`,
    `Subject: ${of.subject ?? 'A question'}`,
    `To: ${of.to ?? 'Ann <ann@mail.example>'}`,
    ...(of.cc === undefined ? [] : [`Cc: ${of.cc}`]),
    '',
    '',
    of.text ?? 'How much is it?',
    '',
  ];
  return {
    from: 'Ann <ann@mail.example>',
    to: logAddress,
    subject: `Fwd: ${of.subject ?? 'A question'}`,
    date: 'Fri, 20 Nov 2026 09:00:00 +0100',
    text: lines.join('\r\n'),
    ...more,
  };
}

/** A mail as an attachment. */
function attached(inner: string[], more: Partial<ToLog> = {}): ToLog {
  const raw = [
    'From: Ann <ann@mail.example>',
    `To: ${logAddress}`,
    'Subject: Fwd: A question',
    'Date: Fri, 20 Nov 2026 09:00:00 +0100',
    'Message-ID: <shell@mail.example>',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'For the file.',
    '--b',
    'Content-Type: message/rfc822',
    '',
    ...inner,
    '--b--',
    '',
  ];
  return { from: '', raw: Buffer.from(raw.join('\r\n')), ...more };
}

const question = [
  'From: Dave Doe <dave@other.example>',
  'To: Ann <ann@mail.example>, eve@other.example',
  'Subject: A question',
  'Date: Thu, 19 Nov 2026 15:04:00 +0100',
  'Message-ID: <q1@other.example>',
  '',
  'How much is it?',
];

for (const kind of databaseKinds)
  describe(`B2: mail that is forwarded to a logging address, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let logging: LoggingWorld;

    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(database.db, 'truncate sub_accounts, users, mailboxes cascade');
      world = await createWorld(database.db);
      logging = createLoggingWorld(world);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@mail.example', ['north']);
      await world.addUser('bob', 'bob@mail.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example']);
    });

    const logged = async () =>
      rows<{
        direction: string;
        sender: { address: string };
        subject: string;
        date: string;
        text: string;
        id: string | null;
        shown: string[] | null;
      }>(
        database.db,
        `select m.direction, m.sender, m.subject, to_char(m.date at time zone 'UTC', 'YYYY-MM-DD HH24:MI') as date,
                m.body_text as text, m.internet_message_id as id,
                (select array_agg(a.canonical order by a.canonical) from conversation_threads t join conversations v on v.id = t.conversation_id
                   join contact_addresses a on a.sub_account_id = v.sub_account_id and a.contact_id = v.contact_id
                  where t.thread_id = m.thread_id) as shown
           from messages m order by m.id`,
      );
    const contactCount = async () =>
      Number((await rows<{ n: string }>(database.db, 'select count(*) as n from contacts'))[0]?.n);

    test('inline: it is the mail of its author, with its own date, subject and text; who was copied in is made no contact', async () => {
      const made = await logging.log(
        forward({ from: 'Dave Doe <dave@other.example>', cc: 'eve@other.example, carla@customer.example' }),
      );
      assert.deepEqual(made, ['stored logged']);
      const [message, ...others] = await logged();
      assert.deepEqual(others, []);
      assert.deepEqual(
        [message?.direction, message?.sender.address, message?.subject, message?.date, message?.text.trim()],
        ['inbound', 'dave@other.example', 'A question', '2026-11-19 14:04', 'How much is it?'],
      );
      assert.deepEqual(message?.shown, ['carla@customer.example', 'dave@other.example']);
      assert.equal(await contactCount(), 2);
    });

    test('attached: as it is, by its own Message-ID', async () => {
      assert.deepEqual(await logging.log(attached(question)), ['stored logged']);
      const [message] = await logged();
      assert.deepEqual(
        [message?.direction, message?.id, message?.date, message?.shown],
        ['inbound', 'q1@other.example', '2026-11-19 14:04', ['dave@other.example']],
      );
      const [raw] = await rows<{ sha: string }>(database.db, 'select raw_sha256 as sha from messages');
      assert.equal(world.blobs.all.get(raw?.sha ?? '')?.toString(), question.join('\r\n'));
    });

    test('S12: forwarded twice, or handed over again, it is one message', async () => {
      const inline = forward({ from: 'dave@other.example' }, { id: 'f1@mail.example' });
      await logging.log(inline, inline);
      await logging.log(inline);
      await logging.log({ ...inline, id: 'f2@mail.example', date: 'Fri, 20 Nov 2026 10:00:00 +0100' });
      assert.equal((await logged()).length, 1);
      await logging.log(attached(question), attached(question));
      assert.equal((await logged()).length, 1, 'the same, as an attachment');
    });

    test('S12: the mailbox has it: skipped there before there was a contact, it is judged again and is the same', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      const raw = Buffer.from(question.join('\r\n'));
      assert.deepEqual(await mailbox.see('inbox', raw), ['north:no_match']);
      assert.deepEqual(await logging.log(attached(question)), ['stored logged']);
      assert.equal(logging.woken(), 1);
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north' }), ['north:thread_member']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['logging_address', 'mailbox'], []]);
    });

    test('U3: the copy in Sent of the forward itself is no place of what it forwards', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await world.addContact('north', 'c2', ['dave@other.example']);
      assert.deepEqual(await mailbox.see('inbox', Buffer.from(question.join('\r\n'))), [
        'north:from_contact',
      ]);
      const shell = attached(question);
      assert.deepEqual(await logging.log(shell), ['stored logged']);
      assert.ok(shell.raw !== undefined);
      assert.deepEqual(await mailbox.see('sent', shell.raw), ['north:counterpart_is_user']);
      const inline = forward({ from: 'dave@other.example' }, { id: 'shell-2@mail.example' });
      assert.deepEqual(await logging.log(inline), ['stored logged']);
      assert.deepEqual(await mailbox.see('sent', inline), ['north:counterpart_is_user']);
      assert.equal((await rows(database.db, 'select 1 from sightings')).length, 1);
    });

    test('S12: what the mailbox has brought already is not logged beside it, though inline has no Message-ID', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await mailbox.see('inbox', {
        from: 'Carla <carla@customer.example>',
        to: 'ann@mail.example',
        subject: 'A question',
        date: 'Thu, 19 Nov 2026 15:04:31 +0100',
      });
      assert.deepEqual(await logging.log(forward({ from: 'carla@customer.example' })), ['stored logged']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['mailbox', 'logging_address'], []]);
      await logging.log(forward({ from: 'carla@customer.example', date: 'Thu, Nov 19, 2026 at 3:05 PM' }));
      assert.equal((await logged()).length, 2, 'a minute later it is another one');
    });

    const original = {
      id: 'q1@other.example',
      from: 'Dave <dave@other.example>',
      to: 'ann@mail.example',
      subject: 'A question',
      date: 'Thu, 19 Nov 2026 15:04:31 +0100',
    };

    test('S12: what was forwarded inline is one message with what the mailbox brings later, and learns its Message-ID', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await mailbox.see('inbox', original);
      assert.deepEqual(await logging.log(forward({ from: 'dave@other.example' })), ['stored logged']);
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north' }), ['north:from_contact']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['logging_address', 'mailbox'], []]);
      assert.equal((await logged())[0]?.id, 'q1@other.example');
      await mailbox.see('archive', original);
      assert.equal((await logged()).length, 1);
      await mailbox.see('inbox', { ...original, id: 'q2@other.example' });
      assert.equal((await logged()).length, 2, 'another one of the same minute is not lost');
    });

    /** As Exchange has it: Date in UTC, and above what is forwarded the time of the writer's place without its zone. */
    const byOutlook = (more: Partial<ToLog> = {}, at = '3:04 PM'): ToLog =>
      forward(
        { from: 'dave@other.example', date: `Thursday, November 19, 2026 ${at}` },
        { date: 'Fri, 20 Nov 2026 08:00:00 +0000', inReplyTo: 'q1@other.example', ...more },
      );

    test('S12: by Outlook, of which nobody knows the zone, it is the same by what the forward cites: when the mailbox had it', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await world.addContact('north', 'c2', ['dave@other.example']);
      assert.deepEqual(await mailbox.see('inbox', original), ['north:from_contact']);
      assert.deepEqual(await logging.log(byOutlook()), ['stored logged']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['mailbox', 'logging_address'], []]);
      assert.deepEqual(
        await logging.log(byOutlook({ id: 'f7@mail.example', inReplyTo: 'q9@other.example' })),
        ['stored logged'],
      );
      assert.equal((await logged()).length, 2, 'what it does not cite it is not');
    });

    test('S12: what it cites is another one of the thread, where the date that it shows cannot be of that one in any zone, or the subject is another', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      const others = [
        { id: 'p1@other.example', date: 'Thu, 19 Nov 2026 15:19:31 +0000' },
        { id: 'p2@other.example', date: 'Wed, 18 Nov 2026 15:04:31 +0000' },
        { id: 'p3@other.example', date: 'Thu, 19 Nov 2026 14:04:31 +0000', subject: 'Re: A question' },
      ].map((each) => ({ ...original, ...each }));
      await world.addContact('north', 'c2', ['dave@other.example']);
      for (const [n, other] of others.entries()) {
        await run(database.db, 'truncate messages, message_keys cascade');
        await mailbox.see('inbox', other);
        await logging.log(byOutlook({ id: `f-${n}@mail.example`, inReplyTo: other.id }));
        assert.equal((await logged()).length, 2, `${other.id}, which was there before`);
      }
      for (const [n, other] of others.entries()) {
        await run(database.db, 'truncate messages, message_keys cascade');
        await logging.log(byOutlook({ id: `g-${n}@mail.example`, inReplyTo: other.id }));
        await mailbox.see('inbox', other);
        assert.equal((await logged()).length, 2, `${other.id}, which comes after`);
      }
    });

    test('S12: of several that are forwarded in one, nobody knows which it cites', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      const both = forward({
        from: 'dave@other.example',
        date: 'Thursday, November 19, 2026 3:04 PM',
        text: 'How much is it?\r\n\r\n---------- Forwarded message ---------\r\nFrom: dave@other.example\r\nSubject: A question\r\n\r\nWell?',
      });
      const cites = { date: 'Fri, 20 Nov 2026 08:00:00 +0000', inReplyTo: 'q1@other.example' };
      await logging.log({ ...both, ...cites });
      await mailbox.see('inbox', original);
      assert.equal((await logged()).length, 2);
      await logging.log({ ...both, ...cites, id: 'f8@mail.example' });
      assert.equal((await logged()).length, 2);
    });

    test('S12: and when the mailbox shows it later, which says when it was written', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      assert.deepEqual(await logging.log(byOutlook()), ['stored logged']);
      await mailbox.see('inbox', { ...original, subject: 'Something else' });
      assert.deepEqual(await mailbox.see('inbox', original), ['north:thread_member']);
      assert.equal((await logged()).length, 2, 'by the Message-ID alone nothing is the same');
      const found = await rows<{ id: string; date: string }>(
        database.db,
        `select internet_message_id as id, date::text as date from messages where subject = 'A question'`,
      );
      assert.equal(found.length, 1);
      assert.equal(found[0]?.id, 'q1@other.example');
      assert.equal(new Date(found[0]?.date ?? '').toISOString(), '2026-11-19T14:04:31.000Z');
    });

    /** When the one conversation's newest message was written. */
    const newestAt = async () => {
      const [conversation] = await rows<{ at: string }>(
        database.db,
        'select last_message_at::text as at from conversations',
      );
      return new Date(conversation?.at ?? '').toISOString();
    };

    test('S12: and so does its conversation', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await logging.log(byOutlook());
      await mailbox.see('inbox', original);
      assert.equal(await newestAt(), '2026-11-19T14:04:31.000Z');
      const told = await rows<{ type: string; at: string }>(
        database.db,
        `select type, data ->> 'last_message_at' as at from events where type like 'conversation.%' order by ord`,
      );
      assert.deepEqual(
        told.map(({ type, at }) => [type, new Date(at).toISOString()]),
        [
          ['conversation.created', '2026-11-19T15:04:00.000Z'],
          ['conversation.updated', '2026-11-19T14:04:31.000Z'],
        ],
      );
    });

    test('S12: also where it turns out to be newer than another one there, as in America', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await logging.log(byOutlook({}, '10:04 AM'));
      const other = {
        ...original,
        id: 'q0@other.example',
        subject: 'Another',
        date: '19 Nov 2026 12:00:00 +0000',
      };
      await mailbox.see('inbox', other);
      assert.equal(await newestAt(), '2026-11-19T12:00:00.000Z');
      await mailbox.see('inbox', { ...original, date: 'Thu, 19 Nov 2026 10:04:31 -0500' });
      assert.equal((await logged()).length, 2);
      assert.equal(await newestAt(), '2026-11-19T15:04:31.000Z');
    });

    test('C7: forwarded by Outlook and erased, it does not come back from the mailbox', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await logging.log(byOutlook());
      const [message] = await world.messages('north');
      await eraseMessages(world.filing, 'north', [(message?.id ?? '') as MessageId]);
      assert.deepEqual(await mailbox.see('inbox', original), ['north:erased']);
    });

    test('S5, S16: of the mail that the author wrote before, only what was forwarded is judged again', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await mailbox.see('inbox', { ...original, id: 'q0@other.example', subject: 'Private' }, original, {
        ...original,
        id: 'q2@other.example',
        subject: 'Private, too',
      });
      const asked = () =>
        rows(
          database.db,
          `select request -> 'uids' as uids from errands where kind = 'judge_again' order by id`,
        );
      await logging.log(attached(question));
      assert.deepEqual(await asked(), [{ uids: [2] }]);
      await logging.log(
        forward({ from: 'dave@other.example', subject: 'Private, too' }, { inReplyTo: 'q2@other.example' }),
      );
      assert.deepEqual(await asked(), [{ uids: [2] }, { uids: [3] }]);
    });

    test('C7: what was forwarded inline and erased does not come back from the mailbox', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']], 0);
      await logging.log(forward({ from: 'dave@other.example' }));
      const [message] = await world.messages('north');
      await eraseMessages(world.filing, 'north', [(message?.id ?? '') as MessageId]);
      assert.deepEqual(await mailbox.see('inbox', original), ['north:erased']);
    });

    const table: [name: string, mail: ToLog, made: string][] = [
      ['without an address of its author', forward({ from: 'Dave Doe' }), 'held forward_unclear'],
      ['without a block', { ...forward({ from: 'x' }), text: 'See it?' }, 'held forward_unclear'],
      [
        "the user's own mail",
        forward({ from: 'Ann <ann@mail.example>', to: 'dave@other.example' }),
        'held forward_unclear',
      ],
      ['of a colleague', forward({ from: 'bob@mail.example' }), 'skipped counterpart_is_user'],
      ['of a robot', forward({ from: 'no-reply@shop.example' }), 'skipped counterpart_is_user'],
      ['from a logging address', forward({ from: 'log-2@log.crm.example' }), 'skipped mail_loop'],
      ['not proven', forward({ from: 'dave@other.example' }, { proof: 'unproven' }), 'held unproven'],
      [
        'by somebody else',
        forward({ from: 'dave@other.example' }, { from: 'eve@other.example' }),
        'skipped not_the_user',
      ],
      ['a bounce with the mail attached', attached(question, { sender: '' }), 'skipped automatic'],
    ];
    for (const [name, mail, made] of table) {
      test(`${name}: ${made}`, async () => {
        assert.deepEqual(await logging.log(mail), [made]);
        assert.deepEqual(await logged(), []);
        assert.equal(await contactCount(), 1, 'nothing is made');
      });
    }

    test('forwarded to somebody outside with the logging address in Cc, it is a mail to them', async () => {
      const mail = forward({ from: 'dave@other.example' }, { to: 'carla@customer.example', cc: logAddress });
      assert.deepEqual(await logging.log(mail), ['stored logged']);
      const [message] = await logged();
      assert.deepEqual(
        [message?.direction, message?.subject, message?.shown],
        ['outbound', 'Fwd: A question', ['carla@customer.example']],
      );
      assert.equal(await contactCount(), 1);
    });

    test('S15: of an author who is never logged', async () => {
      await run(
        database.db,
        `insert into never_log (user_id, pattern, as_written) values ('ann', '@other.example', '@other.example')`,
      );
      assert.deepEqual(await logging.log(forward({ from: 'dave@other.example' })), ['skipped never_log']);
    });

    test('B3: what the user then answers, and what the author writes again, sync', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      await logging.log(attached(question));
      const answer = {
        id: 'a@mail.example',
        from: 'ann@mail.example',
        to: 'dave@other.example',
        inReplyTo: 'q1@other.example',
      };
      assert.deepEqual(await mailbox.see('sent', answer), ['north:thread_member']);
      assert.deepEqual(await mailbox.see('inbox', { from: 'dave@other.example', to: 'ann@mail.example' }), [
        'north:from_contact',
      ]);
      assert.equal(
        new Set((await world.messages('north')).slice(0, 2).map((each) => each.thread_id)).size,
        1,
      );
    });
  });
