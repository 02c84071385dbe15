import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { eraseMessages } from '../../src/filing/erase.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { putContacts } from '../../src/store/contacts.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { addSpooled } from '../../src/store/spool.ts';
import { createLoggingWorld } from './logging-world.ts';
import type { LoggingWorld, ToLog } from './logging-world.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

const ann = 'Ann <ann@mail.example>';

for (const kind of databaseKinds)
  describe(`B: mail to a logging address, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let logging: LoggingWorld;
    const log = (...mails: ToLog[]) => logging.log(...mails);

    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());

    beforeEach(async () => {
      await run(database.db, 'truncate sub_accounts, users, mailboxes cascade');
      world = await createWorld(database.db);
      logging = createLoggingWorld(world);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@mail.example', ['north', 'south'], ['ann@alias.example']);
      await world.addUser('bob', 'bob@mail.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example'], 'bob');
      await run(
        database.db,
        `insert into never_log (user_id, pattern, as_written) values ('ann', '@bank.example', '@bank.example')`,
      );
    });

    const contactsOf = async (sub: string) =>
      (
        await rows<{ line: string }>(
          database.db,
          `select a.canonical || ' "' || c.name || '" ' || coalesce(c.assigned_user_id, '-') || ' ' || c.created_by as line
             from contacts c join contact_addresses a on a.sub_account_id = c.sub_account_id and a.contact_id = c.id
            where c.sub_account_id = :sub order by 1`,
          { sub },
        )
      ).map(({ line }) => line);
    const shownTo = async (subject: string) =>
      (
        await rows<{ canonical: string }>(
          database.db,
          `select distinct a.canonical from messages m
             join conversation_threads t on t.thread_id = m.thread_id
             join conversations v on v.id = t.conversation_id
             join contact_addresses a on a.sub_account_id = v.sub_account_id and a.contact_id = v.contact_id
            where m.subject = :subject order by 1`,
          { subject },
        )
      ).map(({ canonical }) => canonical);
    const carla = 'carla@customer.example "c1" bob crm';

    test('B2: each outside recipient becomes a contact of the user, and the message is in its conversation', async () => {
      const made = await log({
        from: ann,
        to: 'Dave Doe <Dave@other.example>, carla@customer.example, bob@mail.example',
        cc: 'eve@other.example, no-reply@shop.example, teller@bank.example, log-1@log.crm.example, ann@alias.example',
        subject: 'An offer',
        tag: 'deal-7',
      });
      assert.deepEqual(made, ['stored logged']);
      assert.deepEqual(await contactsOf('north'), [
        carla,
        'dave@other.example "Dave Doe" ann logging_address',
        'eve@other.example "eve@other.example" ann logging_address',
      ]);
      assert.deepEqual(await shownTo('An offer'), [
        'carla@customer.example',
        'dave@other.example',
        'eve@other.example',
      ]);
      const [message] = await rows<Record<string, unknown>>(
        database.db,
        `select direction, via, logging_tags, user_id, is_read, recipients_cc::text as cc from messages`,
      );
      assert.deepEqual(
        [
          message?.['direction'],
          message?.['via'],
          message?.['logging_tags'],
          message?.['user_id'],
          message?.['is_read'],
        ],
        ['outbound', ['logging_address'], ['deal-7'], 'ann', true],
      );
      assert.ok(!String(message?.['cc']).includes('log.crm.example'), 'B6: no logging address is shown');
      assert.deepEqual(await contactsOf('south'), [], 'W3: another sub-account learns nothing');
      const events = await rows<{ type: string; order_keys: string[] }>(
        database.db,
        'select type, order_keys from events order by ord',
      );
      assert.deepEqual(events.map(({ type }) => type).slice(0, 3), [
        'contact.created',
        'contact.created',
        'conversation.created',
      ]);
      assert.equal(events[0]?.order_keys.length, 2, 'told before its conversation');
    });

    const table: [name: string, mail: ToLog, made: string, more?: { contacts?: string[] }][] = [
      [
        'B4: from an alias of the user',
        { from: 'ann@alias.example', to: 'x@other.example' },
        'stored logged',
      ],
      [
        'B4: from an address with a tag',
        { from: 'ann+crm@mail.example', to: 'x@other.example' },
        'stored logged',
      ],
      [
        'B4: from a stranger who answers to all',
        { from: 'x@other.example', to: 'ann@mail.example' },
        'skipped not_the_user',
      ],
      ['B4: from a colleague', { from: 'bob@mail.example', to: 'x@other.example' }, 'skipped not_the_user'],
      ['B4: from nobody', { from: 'undisclosed', to: 'x@other.example' }, 'skipped not_the_user'],
      ['B4: not proven', { from: ann, to: 'x@other.example', proof: 'unproven' }, 'held unproven'],
      [
        'B4: against the policy, found out too late',
        { from: ann, to: 'x@other.example', proof: 'failed' },
        'held unproven',
      ],
      ['B4: DNS never answered', { from: ann, to: 'x@other.example', proof: 'pending' }, 'held unproven'],
      [
        'B6: an auto-reply',
        { from: ann, to: 'x@other.example', headers: { 'Auto-Submitted': 'auto-replied' } },
        'skipped automatic',
      ],
      [
        'B6: a bounce, whoever is on it',
        { from: 'mailer-daemon@other.example', to: 'ann@mail.example', sender: '' },
        'skipped automatic',
      ],
      ['B6: no return path', { from: ann, to: 'x@other.example', sender: '' }, 'skipped automatic'],
      [
        'B6: no return path, not even as bulk mail, of which nothing was proven at the door',
        { from: ann, to: 'x@other.example', sender: '', proof: 'unproven', headers: { Precedence: 'bulk' } },
        'skipped automatic',
      ],
      [
        'B6: from a logging address',
        { from: 'log-1@log.crm.example', to: 'x@other.example' },
        'skipped mail_loop',
      ],
      [
        'B6: sent by a logging address',
        { from: ann, to: 'x@other.example', sender: 'log-1@log.crm.example' },
        'skipped mail_loop',
      ],
      ['S7: to colleagues alone', { from: ann, to: 'bob@mail.example' }, 'skipped counterpart_is_user'],
      [
        'S7: to the logging address alone, and no forward',
        { from: ann, to: 'log-1@log.crm.example' },
        'skipped counterpart_is_user',
      ],
      ['B2: to robots alone', { from: ann, to: 'noreply@shop.example' }, 'skipped counterpart_is_user'],
      ['S15: to the never-logged alone', { from: ann, to: 'a@bank.example' }, 'skipped never_log'],
      ['B2: to 20 people', { from: ann, to: many(20) }, 'stored logged'],
      ['B2: to 21 people', { from: ann, to: many(21) }, 'held too_many_recipients'],
      [
        'B2: a bulk mail of the user',
        { from: ann, to: 'x@other.example', headers: { Precedence: 'bulk' } },
        'stored logged',
      ],
    ];
    for (const [name, mail, made] of table) {
      test(name, async () => {
        assert.deepEqual(await log(mail), [made]);
        const stores = made.startsWith('stored');
        assert.equal((await world.messages('north')).length, stores ? 1 : 0);
        if (!stores) assert.deepEqual(await contactsOf('north'), [carla], 'nothing is made');
      });
    }

    test('S12: the Sent copy comes later: one message, with both in via, and no second event of its making', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const mail = { id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now(), subject: 'One' };
      await log(mail);
      assert.deepEqual(await mailbox.see('sent', { ...mail, headers: { Bcc: 'log-1@log.crm.example' } }), [
        'north:thread_member',
      ]);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['logging_address', 'mailbox'], []]);
    });

    test('S12, B3: the Sent copy and the answer were there first, when nobody was a contact: both are judged again', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const mail = { id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now(), subject: 'One' };
      assert.deepEqual(await mailbox.see('sent', mail), ['north:no_match']);
      const answer = { from: 'x@other.example', to: 'ann@mail.example', inReplyTo: 'm1@mail.example' };
      assert.deepEqual(await mailbox.see('inbox', answer, { from: 'y@other.example' }), [
        'north:no_match',
        'north:no_match',
      ]);
      assert.deepEqual(await log(mail), ['stored logged']);
      assert.equal(logging.woken(), 1);
      const errands = await rows<{ role: string; uids: number[] }>(
        database.db,
        `select f.role, e.request -> 'uids' as uids from errands e join folders f on f.id = e.request ->> 'folderId'
          where e.kind = 'judge_again' order by f.role`,
      );
      assert.deepEqual(errands, [
        { role: 'inbox', uids: [1] },
        { role: 'sent', uids: [1] },
      ]);
      assert.deepEqual(await mailbox.seeAgain('sent', [1], { sub: 'north' }), ['north:thread_member']);
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north' }), ['north:thread_member']);
      const messages = await world.messages('north');
      assert.deepEqual(
        messages.map(({ via, direction }) => [via, direction]),
        [
          [['logging_address', 'mailbox'], 'outbound'],
          [['mailbox'], 'inbound'],
        ],
      );
      assert.equal(new Set(messages.map(({ thread_id }) => thread_id)).size, 1);
    });

    test('S5: what somebody wrote before is not judged again when a mail to them is logged, whatever its own date says', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const theirs = { from: 'x@other.example', to: 'ann@mail.example' };
      await mailbox.see('inbox', { ...theirs, subject: 'Weeks ago' });
      await run(database.db, `update decisions set decided_at = now() - interval '20 days'`);
      await mailbox.see('inbox', { ...theirs, subject: 'Answers one that was days on its way' });
      await log({ from: ann, to: 'x@other.example', date: 'Mon, 01 Jan 2001 00:00:00 +0000' });
      assert.deepEqual(
        await rows(database.db, `select request -> 'uids' as uids from errands where kind = 'judge_again'`),
        [{ uids: [2] }],
      );
    });

    test('S12: stored from the mailbox first, the logged copy joins it and makes its contacts', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const mail = {
        id: 'm1@mail.example',
        from: ann,
        to: 'carla@customer.example, x@other.example',
        date: now(),
        subject: 'Both',
      };
      assert.deepEqual(await mailbox.see('sent', mail), ['north:to_contact']);
      assert.deepEqual(await shownTo('Both'), ['carla@customer.example']);
      assert.deepEqual(await log({ ...mail, tag: 't' }), ['stored logged']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['mailbox', 'logging_address'], []]);
      assert.deepEqual(await shownTo('Both'), ['carla@customer.example', 'x@other.example']);
    });

    test('B5, S12: handed over twice, or sent twice, it is one message', async () => {
      const mail = { id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now(), subject: 'One' };
      const [accepted] = await logging.accept(mail);
      assert.ok(accepted !== undefined);
      await addSpooled(database.db, [accepted]);
      assert.deepEqual(await logging.fileAll(), ['stored logged']);
      await addSpooled(database.db, [accepted]);
      assert.deepEqual(await logging.fileAll(), [], 'known again after it was filed');
      assert.deepEqual(await log(mail), ['stored logged'], 'the sender had no answer, and sent it again');
      assert.equal((await world.messages('north')).length, 1);
      assert.equal((await contactsOf('north')).length, 2);
    });

    test('B1: named twice with two tags, both are kept, each once', async () => {
      const mail = { id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now(), subject: 'One' };
      const both: ToLog = {
        ...mail,
        of: [
          ['north', 'ann'],
          ['north', 'ann'],
        ],
        tags: ['one', 'two'],
      };
      assert.deepEqual(await log(both), ['stored logged']);
      await log({ ...both, tags: ['two', 'three'] });
      const [message, ...others] = await rows<{ tags: string[] }>(
        database.db,
        'select logging_tags as tags from messages',
      );
      assert.deepEqual([message?.tags.toSorted(), others], [['one', 'three', 'two'], []]);
    });

    test('B2: several mails of one batch to one new person make one contact', async () => {
      const made = await log(
        { from: ann, to: 'New <x@other.example>', subject: 'one' },
        { from: ann, to: 'x@other.example', cc: 'X@OTHER.example', subject: 'two' },
      );
      assert.deepEqual(made, ['stored logged', 'stored logged']);
      assert.deepEqual(await contactsOf('north'), [carla, 'x@other.example "New" ann logging_address']);
    });

    /** The database, in which something happens between the facts about the first mails and the writing. */
    const withMeanwhile = (happens: () => Promise<unknown>): typeof database.db => {
      let isFirst = true;
      return new Proxy(database.db, {
        get(db, name, receiver) {
          const of: unknown = Reflect.get(db, name, receiver);
          if (name !== 'transaction' || !isFirst) return of;
          isFirst = false;
          return async (work: Parameters<typeof db.transaction>[0]) => {
            await happens();
            return db.transaction(work);
          };
        },
      });
    };

    test('B2: two users log mail to one new person at the same moment: one contact', async () => {
      await logging.accept({ from: ann, to: 'x@other.example' });
      const mine = createLoggingWorld(world);
      const db = withMeanwhile(() =>
        mine.log({ from: 'bob@mail.example', to: 'x@other.example', of: [['north', 'bob']] }),
      );
      assert.deepEqual(await logging.fileAll({ db }), ['stored logged', 'stored logged']);
      assert.equal((await contactsOf('north')).length, 2);
    });

    test('B3: the Sent copy is judged while the mail is logged: on what is true when that is written', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const mail = { id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now(), subject: 'One' };
      world.filing.db = withMeanwhile(() =>
        createLoggingWorld({ ...world, filing: { ...world.filing, db: database.db } }).log(mail),
      );
      assert.deepEqual(await mailbox.see('sent', mail), ['north:logged', 'north:thread_member']);
      const [message, ...others] = await world.messages('north');
      assert.deepEqual([message?.via, others], [['logging_address', 'mailbox'], []]);
    });

    test('C7: what is erased while its second copy is filed is not said to be stored', async () => {
      const mail = {
        id: 'm1@mail.example',
        from: ann,
        to: 'carla@customer.example',
        date: now(),
        subject: 'One',
      };
      await log(mail);
      const [message] = await world.messages('north');
      await logging.accept(mail);
      const db = withMeanwhile(() =>
        eraseMessages(world.filing, 'north', [(message?.id ?? '') as MessageId]),
      );
      assert.deepEqual(await logging.fileAll({ db }), ['skipped erased']);
    });

    test('W1: the CRM gives a contact of a logged mail an id of its own by its address, with its conversation', async () => {
      await log({ from: ann, to: 'x@other.example', subject: 'Hello' });
      await database.db.transaction((tx) =>
        putContacts(tx, 'north', [
          { id: 'crm-9', name: 'Xenia', emails: ['x@other.example'], assignedUserId: null },
        ]),
      );
      assert.deepEqual(await contactsOf('north'), [carla, 'x@other.example "Xenia" - logging_address']);
      assert.deepEqual(await shownTo('Hello'), ['x@other.example']);
    });

    test('S3: a logged answer joins the thread that it belongs to, and makes an unlinked one live again', async () => {
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      await mailbox.see('inbox', {
        id: 'q@customer.example',
        from: 'carla@customer.example',
        to: 'ann@mail.example',
      });
      await run(database.db, `update thread_links set state = 'unlinked', reason = 'disconnected'`);
      const answer = {
        id: 'a@mail.example',
        from: ann,
        to: 'carla@customer.example',
        inReplyTo: 'q@customer.example',
      };
      assert.deepEqual(await log(answer), ['stored logged']);
      const messages = await world.messages('north');
      assert.deepEqual([messages.length, new Set(messages.map(({ thread_id }) => thread_id)).size], [2, 1]);
      const [link] = await rows(database.db, 'select state from thread_links');
      assert.deepEqual(link, { state: 'live' });
    });

    test('B1: a user without a mailbox logs mail all the same; connected later, an answer syncs by S2', async () => {
      assert.deepEqual(await log({ id: 'm1@mail.example', from: ann, to: 'x@other.example', date: now() }), [
        'stored logged',
      ]);
      const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
      const answer = { from: 'x@other.example', to: 'ann@mail.example', inReplyTo: 'm1@mail.example' };
      assert.deepEqual(await mailbox.see('inbox', answer), ['north:from_contact']);
      const messages = await world.messages('north');
      assert.equal(new Set(messages.map(({ thread_id }) => thread_id)).size, 1);
    });

    test('S10: with outlook_two_way_sync off it makes no contact, and is logged for those who are', async () => {
      await world.connect('ann@mail.example', [['north', 'ann']]);
      await run(database.db, `update mailboxes set provider = 'outlook'`);
      await run(database.db, `update connections set provider = 'outlook'`);
      await run(database.db, `update sub_accounts set settings = '{"outlook_two_way_sync": false}'`);
      assert.deepEqual(
        await log(
          { from: ann, to: 'x@other.example' },
          { from: ann, to: 'x@other.example, carla@customer.example', subject: 'Known' },
        ),
        ['skipped feature_off', 'stored logged'],
      );
      assert.deepEqual(await contactsOf('north'), [carla]);
      assert.deepEqual(await shownTo('Known'), ['carla@customer.example']);
    });

    test('S9: an answer written in the mail program claims its contact with the logging address of one sub-account', async () => {
      await run(database.db, `update contacts set assigned_user_id = null`);
      await world.addContact('south', 's1', ['carla@customer.example']);
      const mailbox = await world.connect('ann@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      const question = { id: 'q@customer.example', from: 'carla@customer.example', to: 'ann@mail.example' };
      assert.deepEqual(await mailbox.see('inbox', question), ['north:from_contact', 'south:from_contact']);
      const answer = { from: ann, to: 'carla@customer.example', inReplyTo: 'q@customer.example' };
      const both = {
        ...answer,
        id: 'a0@mail.example',
        of: [
          ['north', 'ann'],
          ['south', 'ann'],
        ] satisfies [string, string][],
      };
      assert.deepEqual((await log(both)).sort(), ['stored logged', 'stored logged']);
      const claims = () => rows(database.db, 'select sub_account_id as sub from claims');
      assert.deepEqual(await claims(), [], 'both were named');
      assert.deepEqual(await log({ ...answer, id: 'a1@mail.example', of: [['south', 'ann']] }), [
        'stored logged',
      ]);
      assert.deepEqual(await claims(), [{ sub: 'south' }]);
      assert.deepEqual(
        await mailbox.see('inbox', { from: 'carla@customer.example', to: 'ann@mail.example' }),
        ['north:claimed_elsewhere', 'south:from_contact'],
      );
    });

    test('S9: what is logged of a contact that another sub-account has claimed is here, and no more than that', async () => {
      await run(database.db, `update contacts set assigned_user_id = null`);
      await world.addContact('south', 's1', ['carla@customer.example']);
      const mailbox = await world.connect('ann@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      await mailbox.see('inbox', {
        id: 'q@customer.example',
        from: 'carla@customer.example',
        to: 'ann@mail.example',
      });
      const answer = { from: ann, to: 'carla@customer.example', inReplyTo: 'q@customer.example' };
      await log({ ...answer, id: 'a1@mail.example', of: [['south', 'ann']] });
      assert.deepEqual(await log({ ...answer, id: 'a2@mail.example', to: 'carla@customer.example' }), [
        'stored logged',
      ]);
      const next = { from: 'carla@customer.example', to: 'ann@mail.example', inReplyTo: 'a2@mail.example' };
      assert.deepEqual(await mailbox.see('inbox', next), ['north:thread_unlinked', 'south:from_contact']);
      // Whoever else is on it has been claimed by nobody.
      await log({ ...answer, id: 'a3@mail.example', to: 'carla@customer.example, x@other.example' });
      const theirs = { from: 'x@other.example', to: 'ann@mail.example', inReplyTo: 'a3@mail.example' };
      assert.ok((await mailbox.see('inbox', theirs)).includes('north:thread_member'));
    });

    const withFile = (name: string, type: string, content: Buffer): ToLog => ({
      from: '',
      raw: Buffer.from(
        [
          'From: ann@mail.example',
          'To: x@other.example',
          'Subject: With a file',
          'Date: Fri, 20 Nov 2026 09:00:00 +0000',
          `Message-ID: <${name}@mail.example>`,
          'Content-Type: multipart/mixed; boundary=b',
          '',
          '--b',
          'Content-Type: text/plain',
          '',
          'Here.',
          '--b',
          `Content-Type: ${type}; name="${name}"`,
          `Content-Disposition: attachment; filename="${name}"`,
          'Content-Transfer-Encoding: base64',
          '',
          content.toString('base64').replaceAll(/.{76}/g, '$&\r\n'),
          '--b--',
          '',
        ].join('\r\n'),
      ),
    });
    const files = () =>
      rows<{ name: string; omitted: string | null; kept: boolean }>(
        database.db,
        'select name, omitted, sha256 is not null as kept from attachments order by name',
      );

    describe("B7, L1, L2: the limits of the user's provider", () => {
      const large = Buffer.concat([Buffer.from('%PDF-1.7'), Buffer.alloc(3 * 1_048_576, 7)]);
      const mails = () => [
        withFile('large.pdf', 'application/pdf', large),
        withFile('tool.exe', 'application/octet-stream', Buffer.from('MZ')),
        withFile('small.pdf', 'application/pdf', Buffer.from('%PDF-1.7')),
      ];
      const connectOutlook = async () => {
        await world.connect('ann@mail.example', [['north', 'ann']]);
        await run(database.db, `update mailboxes set provider = 'outlook'`);
        await run(database.db, `update connections set provider = 'outlook'`);
      };

      test('too large: it waits for review, and is logged whole when released; a type that is not allowed has no content', async () => {
        await connectOutlook();
        assert.deepEqual(await log(...mails()), [
          'held attachment_too_large',
          'stored logged',
          'stored logged',
        ]);
        const others = [
          { name: 'small.pdf', omitted: null, kept: true },
          { name: 'tool.exe', omitted: 'attachment_type', kept: false },
        ];
        assert.deepEqual(await files(), others);
        const released = `update intake_spool set state = 'waiting', ready = true, released_at = now(), read = null where state = 'held'`;
        await run(database.db, released);
        assert.deepEqual(await logging.fileAll(), ['stored logged']);
        assert.deepEqual(await files(), [{ name: 'large.pdf', omitted: null, kept: true }, ...others]);
      });

      test('or it is logged without the attachment, if the sub-account wants that', async () => {
        await connectOutlook();
        await run(
          database.db,
          `update sub_accounts set settings = '{"inbound_attachments": "omit_attachment"}'`,
        );
        const [mail] = mails();
        assert.ok(mail !== undefined);
        assert.deepEqual(await log(mail), ['stored logged']);
        assert.deepEqual(await files(), [
          { name: 'large.pdf', omitted: 'attachment_too_large', kept: false },
        ]);
      });

      test('Gmail takes it; and nothing limits who has no mailbox', async () => {
        assert.deepEqual(await log(...mails()), ['stored logged', 'stored logged', 'stored logged']);
        assert.ok((await files()).every(({ kept }) => kept));
      });
    });

    test('C7: what was erased is not brought back by its logged copy', async () => {
      const mail = {
        id: 'm1@mail.example',
        from: ann,
        to: 'carla@customer.example',
        date: now(),
        subject: 'One',
      };
      await log(mail);
      const [message] = await world.messages('north');
      await eraseMessages(world.filing, 'north', [(message?.id ?? '') as MessageId]);
      assert.equal((await world.messages('north')).length, 0);
      assert.deepEqual(await log(mail), ['skipped erased']);
    });

    test('B1: the membership ended meanwhile: it is dropped with a decision', async () => {
      await logging.accept({ from: ann, to: 'x@other.example' });
      await run(database.db, `delete from memberships where user_id = 'ann'`);
      assert.deepEqual(await logging.fileAll(), ['skipped address_gone']);
    });
  });

function many(count: number): string {
  return Array.from({ length: count }, (_, n) => `p${n}@other.example`).join(', ');
}

function now(): string {
  return new Date().toUTCString();
}
