import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ThreadId } from '../../src/lib/id.ts';
import { deleteContact } from '../../src/store/contacts.ts';
import { rows, run } from '../../src/store/database.ts';
import { endConnection, findActiveConnection, openConnection } from '../../src/store/lifecycle.ts';
import { readThreads } from '../../src/store/public-conversation.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds)
  describe(`the one door, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@crm.example', ['north', 'south'], ['ann.b@crm.example']);
      await world.addUser('bob', 'bob@crm.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example', 'carla@home.example']);
      await world.addContact('north', 'c2', ['cyril@customer.example']);
      await world.addContact('north', 'bob-as-contact', ['bob@crm.example']);
      await world.addContact('south', 's1', ['carla@customer.example']);
    });

    after(() => database.drop());

    test('S2, S5: a contact opens a thread, a stranger leaves a decision and nothing else', async () => {
      const mailbox = await world.connect('ann1@mail.example', [['north', 'ann']]);
      world.fetched.length = 0;
      const made = await mailbox.see(
        'inbox',
        { from: 'Carla <Carla@Customer.example>', subject: 'Offer?' },
        {
          from: 'Doctor <doctor@clinic.example>',
          subject: 'Your private findings',
          text: 'Secret diagnosis',
        },
      );
      assert.deepEqual(made, ['north:from_contact', 'north:no_match']);
      assert.deepEqual(world.fetched, [1], 'the body of the private mail is never asked for');
      const dump = JSON.stringify(
        await rows(
          database.db,
          `select d.*, encode(d.id_hash, 'hex') from decisions d where outcome = 'skipped'`,
        ),
      );
      assert.ok(
        !dump.includes('private findings') && !dump.includes('clinic'),
        'a skipped mail leaves no content',
      );
    });

    test('S3: the user answers in Gmail, a stranger is copied in, the stranger answers: one thread, no new contact', async () => {
      const mailbox = await world.connect('ann2@mail.example', [['north', 'ann']]);
      const contacts = await countOf('contacts');
      const first = {
        id: 'a1@x.example',
        from: 'carla@customer.example',
        to: 'ann2@mail.example',
        subject: 'Plan',
      };
      const answer = {
        id: 'a2@mail.example',
        from: 'ann2@mail.example',
        to: 'carla@customer.example',
        cc: 'stan@stranger.example',
        subject: 'Re: Plan',
        references: '<a1@x.example>',
      };
      const stranger = {
        id: 'a3@stranger.example',
        from: 'stan@stranger.example',
        to: 'ann2@mail.example',
        subject: 'Re: Plan',
        references: '<a1@x.example> <a2@mail.example>',
      };
      assert.deepEqual(await mailbox.see('inbox', first), ['north:from_contact']);
      assert.deepEqual(await mailbox.see('sent', answer), ['north:thread_member']);
      assert.deepEqual(await mailbox.see('inbox', stranger), ['north:thread_member']);
      const threads = new Set((await messagesOf('Plan')).map((message) => message.thread_id));
      assert.equal(threads.size, 1);
      assert.equal(await countOf('contacts'), contacts);
    });

    test('S3: what one batch opens, the same batch continues, also in the other order', async () => {
      const mailbox = await world.connect('ann3@mail.example', [['north', 'ann']]);
      const made = await mailbox.see(
        'inbox',
        { id: 'b1@x.example', from: 'carla@customer.example', to: 'ann3@mail.example', subject: 'Batch' },
        {
          from: 'stan@stranger.example',
          to: 'ann3@mail.example, carla@customer.example',
          subject: 'Re: Batch',
          inReplyTo: 'b1@x.example',
        },
        {
          id: 'b3@x.example',
          from: 'carla@customer.example',
          to: 'ann3@mail.example',
          subject: 'Re: Batch',
          references: '<b2@x.example>',
        },
        {
          id: 'b2@x.example',
          from: 'carla@customer.example',
          to: 'ann3@mail.example',
          subject: 'Re: Batch',
          references: '<b1@x.example>',
        },
      );
      assert.deepEqual(
        made,
        ['from_contact', 'thread_member', 'from_contact', 'thread_member'].map((reason) => `north:${reason}`),
      );
    });

    test('S3: in one batch an answer cites a message that comes after it', async () => {
      const mailbox = await world.connect('ann3b@mail.example', [['north', 'ann']]);
      const letter = { from: 'carla@customer.example', to: 'ann3b@mail.example', subject: 'Re: Order' };
      const made = await mailbox.see(
        'inbox',
        { ...letter, id: 'o1@x.example', subject: 'Order' },
        { ...letter, id: 'o3@x.example', references: '<o1@x.example> <o2@x.example>' },
        { ...letter, id: 'o2@x.example', references: '<o1@x.example>' },
      );
      assert.deepEqual(
        made,
        ['from_contact', 'thread_member', 'thread_member'].map((reason) => `north:${reason}`),
      );
      const keys = await rows<{ key: string; kind: string }>(
        database.db,
        `select key, kind from thread_keys where key like 'o_@x.example' order by key`,
      );
      assert.deepEqual(
        keys.map(({ key, kind }) => `${key} ${kind}`),
        ['o1@x.example message', 'o2@x.example message', 'o3@x.example message'],
      );
    });

    for (const code of ['40P01', '40001']) {
      test(`a transaction that PostgreSQL undid for another one (${code}) is done again`, async () => {
        const mailbox = await world.connect(`ann-${code}@mail.example`.toLowerCase(), [['north', 'ann']]);
        const { db } = world.filing;
        let undone = 0;
        const transaction = (work: (tx: typeof db) => Promise<unknown>) =>
          db.transaction(async (tx) => {
            const done = await work(tx);
            undone += 1;
            if (undone <= 3) throw Object.assign(new Error('undone'), { code, severity: 'ERROR' });
            return done;
          });
        world.filing.db = new Proxy(db, {
          get: (target, key, proxy) =>
            key === 'transaction' ? transaction : (Reflect.get(target, key, proxy) as unknown),
        });
        try {
          const letter = { from: 'stan@stranger.example', subject: 'Undone' };
          assert.deepEqual(await mailbox.see('inbox', letter), ['north:no_match']);
        } finally {
          world.filing.db = db;
        }
        assert.equal(undone, 4);
      });
    }

    test('S5: whoever connects while bodies are fetched has a decision for every message of the batch too', async () => {
      const mailbox = await world.connect('ann33@mail.example', [['north', 'ann']]);
      world.meanwhile = async () => {
        const south = { subAccountId: 'south', userId: 'ann', mailboxId: mailbox.id };
        const id = await openConnection(database.db, { ...south, provider: 'imap', waiting: null });
        await run(
          database.db,
          `update connections set started_at = now() - interval '1 minute' where id = :id`,
          { id },
        );
      };
      try {
        const made = await mailbox.see(
          'inbox',
          { from: 'stan@stranger.example', to: 'ann33@mail.example' },
          { from: 'carla@customer.example', to: 'ann33@mail.example', subject: 'Joined' },
          { from: 'sue@stranger.example', to: 'ann33@mail.example' },
        );
        assert.deepEqual(made, [
          'north:no_match',
          'south:no_match',
          'north:from_contact',
          'south:from_contact',
          'north:no_match',
          'south:no_match',
        ]);
      } finally {
        for (const subAccountId of ['north', 'south']) {
          const active = await findActiveConnection(database.db, { subAccountId, userId: 'ann' });
          if (active !== null) await endConnection(database.db, active.id, 'disconnected');
        }
      }
    });

    for (const fails of ['the message', 'its attachment']) {
      test(`T3: nothing is filed while ${fails} is not on disk, and everything once it is`, async () => {
        const address = fails === 'the message' ? 'ann36@mail.example' : 'ann37@mail.example';
        const mailbox = await world.connect(address, [['north', 'ann']]);
        const { blobs } = world.filing;
        const file = 'Content-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment\r\n\r\n1,2';
        const raw = Buffer.from(
          `From: carla@customer.example\r\nTo: ${address}\r\nSubject: Full disk of ${fails}\r\n` +
            `Message-ID: <${address}>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n` +
            `--b\r\nContent-Type: text/plain\r\n\r\nDear Ann\r\n--b\r\n${file}\r\n--b--\r\n`,
        );
        world.filing.blobs = {
          ...blobs,
          put: async (contents) => {
            if (contents.some((content) => content.equals(raw) === (fails === 'the message')))
              throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
            return blobs.put(contents);
          },
        };
        try {
          await assert.rejects(mailbox.see('inbox', raw), { code: 'ENOSPC' });
        } finally {
          world.filing.blobs = blobs;
        }
        assert.deepEqual(await messagesOf(`Full disk of ${fails}`), []);
        assert.deepEqual(await mailbox.see('inbox', raw), ['north:from_contact']);
        assert.equal((await messagesOf(`Full disk of ${fails}`)).length, 1);
      });
    }

    test('W2: a conversation is as new as its newest message, whatever comes after that one, or joins its thread', async () => {
      const mailbox = await world.connect('ann-dated@mail.example', [['north', 'ann']]);
      await world.addContact('north', 'dora', ['dora@customer.example']);
      await world.addContact('north', 'emil', ['emil@customer.example']);
      const letter = (from: string, day: number, references?: string) => ({
        id: `dated-${day}@customer.example`,
        from,
        to: 'ann-dated@mail.example',
        subject: 'Dated',
        date: new Date(Date.UTC(2026, 10, day)).toUTCString(),
        ...(references === undefined ? {} : { references }),
      });
      const newest = async (contact: string) =>
        (
          await rows<{ day: string }>(
            database.db,
            `select to_char(last_message_at at time zone 'UTC', 'YYYY-MM-DD') as day from conversations where contact_id = :contact`,
            { contact },
          )
        ).map(({ day }) => day);
      await mailbox.see('inbox', letter('dora@customer.example', 20));
      const cited = '<dated-20@customer.example>';
      await mailbox.see('inbox', letter('dora@customer.example', 10, cited));
      assert.deepEqual(await newest('dora'), ['2026-11-20'], 'it came late');
      await mailbox.see('inbox', letter('emil@customer.example', 5, cited));
      assert.deepEqual(await newest('emil'), ['2026-11-20'], 'the thread shows whole');
    });

    test('W2: a thread changes when it comes to live in one more mailbox, though no message of it does', async () => {
      const ofAnn = await world.connect('ann-both@mail.example', [['north', 'ann']]);
      const letter = {
        id: 'both@customer.example',
        from: 'carla@customer.example',
        to: 'ann-both@mail.example, bob-both@mail.example',
        subject: 'To both',
        date: 'Fri, 20 Nov 2026 09:00:00 +0000',
        text: 'Same.',
      };
      await ofAnn.see('inbox', letter);
      const [message] = (await world.messages('north')).filter(({ subject }) => subject === 'To both');
      const long = new Date('2026-11-20T09:00:00Z');
      for (const table of ['messages', 'threads', 'thread_links'])
        await run(
          database.db,
          `update ${table} set ${table === 'thread_links' ? 'since' : 'updated_at'} = :long
            where ${table === 'threads' ? 'id' : 'thread_id'} = :thread`,
          { long, thread: message?.thread_id },
        );
      const changed = async () =>
        (await readThreads(database.db, 'north', [message?.thread_id as ThreadId]))[0]?.updated_at;
      assert.equal(await changed(), long.toISOString());
      const ofBob = await world.connect('bob-both@mail.example', [['north', 'bob']]);
      assert.deepEqual(await ofBob.see('inbox', letter), ['north:from_contact']);
      assert.notEqual(await changed(), long.toISOString());
    });

    test('S2: a contact that is gone when its body has come has no conversation; it is judged again', async () => {
      const mailbox = await world.connect('ann34@mail.example', [['north', 'ann']]);
      await world.addContact('north', 'gone', ['gone@customer.example']);
      world.meanwhile = async () => void (await run(database.db, `delete from contacts where id = 'gone'`));
      const letter = { from: 'gone@customer.example', to: 'ann34@mail.example', subject: 'Gone' };
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:no_match']);
      assert.deepEqual(await messagesOf('Gone'), []);
    });

    test('S2: a contact with a conversation, gone when the body of the next mail has come: judged again', async () => {
      const mailbox = await world.connect('ann35@mail.example', [['north', 'ann']]);
      await world.addContact('north', 'left', ['left@customer.example']);
      const letter = { from: 'left@customer.example', to: 'ann35@mail.example' };
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:from_contact']);
      world.meanwhile = async () =>
        void (await database.db.transaction((tx) => deleteContact(tx, 'north', 'left')));
      assert.deepEqual(await mailbox.see('inbox', { ...letter, subject: 'Left' }), ['north:no_match']);
      assert.deepEqual(await messagesOf('Left'), []);
    });

    for (const [passed, reason] of [
      [4_000, 'from_contact'],
      [6_000, 'never_log'],
    ] as const) {
      test(`T1: facts of ${passed} ms ago, while bodies came: ${reason}`, async () => {
        const mailbox = await world.connect(`ann${passed}@mail.example`, [['north', 'ann']]);
        const from = `c${passed}@customer.example`;
        await world.addContact('north', `c${passed}`, [from]);
        const { clock } = world.filing;
        world.meanwhile = async () => {
          world.filing.clock = { ...clock, monotonic: () => clock.monotonic() + passed };
          const values = { pattern: from };
          await run(
            database.db,
            `insert into never_log (sub_account_id, pattern, as_written) values ('north', :pattern, :pattern)`,
            values,
          );
        };
        try {
          const letter = { from, to: `ann${passed}@mail.example` };
          assert.deepEqual(await mailbox.see('inbox', letter), [`north:${reason}`]);
        } finally {
          world.filing.clock = clock;
        }
      });
    }

    test('S3: an answer belongs to the thread of the nearest message that it cites', async () => {
      const mailbox = await world.connect('ann22@mail.example', [['north', 'ann']]);
      const carla = { from: 'carla@customer.example', to: 'ann22@mail.example' };
      await mailbox.see(
        'inbox',
        { ...carla, id: 'near-a@x.example', subject: 'Near A' },
        { ...carla, id: 'near-b@x.example', subject: 'Near B' },
      );
      const [a, b] = (await messagesOf('Near A')).concat(await messagesOf('Near B'));
      const cases: [subject: string, cites: { inReplyTo?: string; references: string }, thread: unknown][] = [
        ['newest reference B', { references: '<near-a@x.example> <near-b@x.example>' }, b?.thread_id],
        ['newest reference A', { references: '<near-b@x.example> <near-a@x.example>' }, a?.thread_id],
        [
          'answers A',
          { inReplyTo: 'near-a@x.example', references: '<near-a@x.example> <near-b@x.example>' },
          a?.thread_id,
        ],
      ];
      for (const [subject, cites, thread] of cases) {
        await mailbox.see('inbox', { ...carla, subject, ...cites });
        assert.deepEqual(
          (await messagesOf(subject)).map((message) => message.thread_id),
          [thread],
          subject,
        );
      }
    });

    test('S3: an id that was only cited names the thread as well once its message has come', async () => {
      const mailbox = await world.connect('ann23@mail.example', [['north', 'ann']]);
      const letter = (n: number, from: string, inReplyTo?: string) => ({
        id: `raise-${n}@x.example`,
        from,
        to: 'ann23@mail.example',
        subject: 'Raise',
        ...(inReplyTo === undefined ? {} : { inReplyTo }),
      });
      const answer = letter(2, 'carla@customer.example', 'raise-1@x.example');
      const cited = letter(1, 'carla@customer.example');
      const stranger = (n: number) => letter(n, 'stan@stranger.example', 'raise-1@x.example');
      assert.deepEqual(await mailbox.see('inbox', answer, stranger(3)), [
        'north:from_contact',
        'north:no_match',
      ]);
      assert.deepEqual(await mailbox.see('inbox', cited, stranger(4)), [
        'north:thread_member',
        'north:thread_member',
      ]);
      assert.deepEqual(await mailbox.see('inbox', stranger(5)), ['north:thread_member']);
    });

    test('S3, S12: an id that Outlook replaced still names the message and its thread', async () => {
      const mailbox = await world.connect('ann24@mail.example', [['north', 'ann']]);
      const original = { 'X-Microsoft-Original-Message-ID': '<before@x.example>' };
      const carla = {
        from: 'carla@customer.example',
        to: 'ann24@mail.example',
        subject: 'Replaced',
        date: 'Fri, 20 Nov 2026 10:00:00 +0000',
      };
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          { ...carla, id: 'after@outlook.example', headers: original },
          { ...carla, id: 'before@x.example' },
          { ...carla, from: 'stan@stranger.example', subject: 'Re: Replaced', inReplyTo: 'before@x.example' },
        ),
        ['north:from_contact', 'north:duplicate', 'north:thread_member'],
      );
    });

    test("S12: Gmail's own id names a message of this mailbox, whatever else a copy says", async () => {
      const mailbox = await world.connect('ann25@mail.example', [['north', 'ann']]);
      const bob = await world.connect('bob25@mail.example', [['north', 'bob']]);
      const copy = (n: number) => ({
        from: 'carla@customer.example',
        id: `copy-${n}@x.example`,
        subject: `Copy ${n}`,
        gmail: { messageId: '77', threadId: `${n}` },
      });
      assert.deepEqual(await mailbox.see('all', copy(1), copy(2)), ['north:from_contact', 'north:duplicate']);
      assert.deepEqual(await bob.see('all', copy(3)), ['north:from_contact'], 'the same number elsewhere');
    });

    test('S3: Gmail threads and Thread-Index belong; a shared root alone, a subject alone, an empty id do not', async () => {
      const mailbox = await world.connect('ann4@mail.example', [['north', 'ann']]);
      const index = (tail: string) => Buffer.from(`01${'ab'.repeat(20)}cd${tail}`, 'hex').toString('base64');
      await mailbox.see(
        'inbox',
        {
          id: 'g1@x.example',
          from: 'carla@customer.example',
          subject: 'Gmail',
          references: '<common-root@crm.example>',
          gmail: { messageId: '11', threadId: '11' },
        },
        {
          id: 't1@x.example',
          from: 'cyril@customer.example',
          subject: 'Index',
          headers: { 'Thread-Index': index('') },
        },
      );
      const made = await mailbox.see(
        'inbox',
        {
          from: 'stan@stranger.example',
          to: 'ann4@mail.example',
          subject: 'Gmail',
          gmail: { messageId: '12', threadId: '11' },
        },
        {
          from: 'cyril@private.example',
          to: 'ann4@mail.example',
          cc: 'cyril@customer.example',
          subject: 'Re: Index',
          headers: { 'Thread-Index': index('0102030405') },
        },
        {
          from: 'other@stranger.example',
          to: 'ann4@mail.example',
          subject: 'Re: Index',
          headers: { 'Thread-Index': index('0102030406') },
        },
        {
          from: 'third@stranger.example',
          to: 'ann4@mail.example',
          subject: 'Gmail',
          references: '<common-root@crm.example>',
        },
        {
          from: 'fourth@stranger.example',
          to: 'ann4@mail.example',
          subject: 'Re: Gmail',
          headers: { 'In-Reply-To': '<>', References: ' ' },
        },
      );
      assert.deepEqual(
        made,
        ['thread_member', 'thread_member', 'no_match', 'no_match', 'no_match'].map(
          (reason) => `north:${reason}`,
        ),
      );
    });

    test('S3: a forward opens its own thread, and so does not drag private mail in', async () => {
      const mailbox = await world.connect('ann5@mail.example', [['north', 'ann']]);
      await mailbox.see('inbox', {
        id: 'f1@x.example',
        from: 'carla@customer.example',
        to: 'ann5@mail.example',
        subject: 'Deal',
      });
      assert.deepEqual(
        await mailbox.see(
          'sent',
          {
            id: 'f2@mail.example',
            from: 'ann5@mail.example',
            to: 'lawyer@law.example',
            subject: 'Fwd: Deal',
            references: '<f1@x.example>',
          },
          {
            from: 'ann5@mail.example',
            to: 'carla@customer.example',
            subject: 'Fwd: Deal',
            references: '<f1@x.example>',
          },
        ),
        ['north:no_match', 'north:to_contact'],
      );
      assert.deepEqual(
        await mailbox.see('inbox', {
          from: 'lawyer@law.example',
          to: 'ann5@mail.example',
          subject: 'Re: Fwd: Deal',
          references: '<f1@x.example> <f2@mail.example>',
        }),
        ['north:no_match'],
      );
    });

    test('S3: a thread that a forward opened goes on with its answers, and not with what is forwarded out of it', async () => {
      const mailbox = await world.connect('ann19@mail.example', [['north', 'ann']]);
      const [ann, lawyer] = ['ann19@mail.example', 'lawyer@law.example'];
      await mailbox.see('sent', {
        id: 'n1@x.example',
        from: ann,
        to: 'cyril@customer.example',
        subject: 'WG: Note',
      });
      const cases: [from: string, to: string, subject: string, reason: string][] = [
        ['stan@stranger.example', ann, 'AW: WG: Note', 'thread_member'],
        [ann, lawyer, 'Fwd: WG: Note', 'no_match'],
        [ann, lawyer, 'WG: Note', 'no_match'],
        [lawyer, ann, 'Re: Fwd: WG: Note', 'no_match'],
        [ann, 'cyril@customer.example', '[sales] Fwd: Re: WG: Note', 'to_contact'],
        [lawyer, ann, 'Note', 'thread_member'],
      ];
      for (const [from, to, subject, reason] of cases) {
        const letter = { from, to, subject, references: '<n1@x.example>' };
        assert.deepEqual(
          await mailbox.see(from === ann ? 'sent' : 'inbox', letter),
          [`north:${reason}`],
          subject,
        );
      }
    });

    test("S4: mail of an unlinked thread is skipped, also a contact's", async () => {
      const mailbox = await world.connect('ann6@mail.example', [['north', 'ann']]);
      await mailbox.see('inbox', {
        id: 'u1@x.example',
        from: 'carla@customer.example',
        to: 'ann6@mail.example',
        subject: 'Old',
      });
      await rows(
        database.db,
        `update thread_links set state = 'unlinked', reason = 'superseded' where mailbox_id = :id returning 1`,
        { id: mailbox.id },
      );
      assert.deepEqual(
        await mailbox.see('inbox', {
          from: 'carla@customer.example',
          to: 'ann6@mail.example',
          subject: 'Re: Old',
          inReplyTo: 'u1@x.example',
        }),
        ['north:thread_unlinked'],
      );
      assert.deepEqual(
        await mailbox.see('inbox', {
          from: 'carla@customer.example',
          to: 'ann6@mail.example',
          subject: 'New',
        }),
        ['north:from_contact'],
      );
    });

    test('S6: what the user writes to a contact opens a thread, unless the sub-account turned it off', async () => {
      const mailbox = await world.connect('ann7@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      await rows(
        database.db,
        `update sub_accounts set settings = '{"sync_sent_to_contacts": false}' where id = 'south' returning 1`,
      );
      assert.deepEqual(
        await mailbox.see('sent', { from: 'ann7@mail.example', to: 'carla@customer.example' }),
        ['north:to_contact', 'south:no_match'],
      );
    });

    test('S7: users on the other side are skipped in each sub-account by itself', async () => {
      const mailbox = await world.connect('ann8@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      await world.addContact('south', 'bob', ['bob@crm.example']);
      const cases: [
        string,
        Parameters<typeof mailbox.see>[0],
        Parameters<typeof mailbox.see>[1],
        string[],
      ][] = [
        [
          'a colleague who is a contact, too',
          'inbox',
          { from: 'bob@crm.example' },
          ['north:counterpart_is_user', 'south:from_contact'],
        ],
        [
          'a colleague by +tag',
          'inbox',
          { from: 'Bob+x@crm.example' },
          ['north:counterpart_is_user', 'south:no_match'],
        ],
        [
          'to colleagues only',
          'sent',
          { from: 'ann8@mail.example', to: 'bob@crm.example' },
          ['north:counterpart_is_user', 'south:no_match'],
        ],
        [
          'to a customer and a colleague',
          'sent',
          { from: 'ann8@mail.example', to: 'carla@customer.example, bob@crm.example' },
          ['north:to_contact', 'south:no_match'],
        ],
        [
          'to oneself, in Sent',
          'sent',
          { from: 'ann8@mail.example', to: 'ann8@mail.example, ann.b@crm.example' },
          ['north:counterpart_is_user', 'south:counterpart_is_user'],
        ],
        [
          'to oneself, in the inbox',
          'inbox',
          { from: 'ann@crm.example', to: 'ann8@mail.example' },
          ['north:counterpart_is_user', 'south:counterpart_is_user'],
        ],
        [
          'forged: from the owner, received',
          'inbox',
          { from: 'ann8@mail.example', to: 'carla@customer.example' },
          ['north:counterpart_is_user', 'south:counterpart_is_user'],
        ],
      ];
      for (const [name, role, letter, expected] of cases) {
        const made = await mailbox.see(role, letter);
        assert.equal(made[0], expected[0], name);
        if (name !== 'to colleagues only') assert.equal(made[1], expected[1], name);
      }
    });

    test('S7: even inside a live thread', async () => {
      const mailbox = await world.connect('ann9@mail.example', [['north', 'ann']]);
      await mailbox.see('inbox', {
        id: 'w1@x.example',
        from: 'carla@customer.example',
        to: 'ann9@mail.example',
        cc: 'bob@crm.example',
      });
      assert.deepEqual(
        await mailbox.see('inbox', {
          from: 'bob@crm.example',
          to: 'ann9@mail.example, carla@customer.example',
          inReplyTo: 'w1@x.example',
        }),
        ['north:counterpart_is_user'],
      );
    });

    test('S11: automatic, list and bulk mail open no thread; an auto-reply in a live one syncs, marked', async () => {
      const mailbox = await world.connect('ann10@mail.example', [['north', 'ann']]);
      const from = 'carla@customer.example';
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          { from, headers: { 'Auto-Submitted': 'auto-replied' } },
          { from, headers: { 'List-Id': '<news.example.com>' } },
          { from, headers: { Precedence: 'bulk' } },
          { id: 'auto1@x.example', from, subject: 'Question' },
          {
            from,
            subject: 'Out of office: Question',
            inReplyTo: 'auto1@x.example',
            headers: { 'Auto-Submitted': 'auto-replied' },
          },
        ),
        ['automatic', 'automatic', 'automatic', 'from_contact', 'thread_member'].map(
          (reason) => `north:${reason}`,
        ),
      );
      const [message] = await rows<{ automatic: string }>(
        database.db,
        `select automatic from messages where subject like 'Out of office%'`,
      );
      assert.equal(message?.automatic, 'auto_reply');
      const report = (type: string) => ({
        from: type === 'delivery-status' ? 'mailer-daemon@customer.example' : from,
        to: 'ann10@mail.example, carla@customer.example',
        inReplyTo: 'auto1@x.example',
        headers: { 'Content-Type': `multipart/report; report-type=${type}; boundary=b` },
      });
      assert.deepEqual(
        await mailbox.see('inbox', report('delivery-status'), report('disposition-notification')),
        ['north:automatic', 'north:automatic'],
        'a report is no message of the live thread that it cites',
      );
    });

    test('S12: the same message in two folders and again after a UIDVALIDITY change is one message, told once', async () => {
      const mailbox = await world.connect('ann11@mail.example', [['north', 'ann']]);
      const letter = {
        id: 'dup@x.example',
        from: 'carla@customer.example',
        to: 'ann11@mail.example',
        subject: 'Twice',
        date: 'Fri, 20 Nov 2026 10:00:00 +0000',
      };
      const eventsBefore = (await world.eventTypes()).length;
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:from_contact']);
      const told = (await world.eventTypes()).slice(eventsBefore);
      assert.ok(told.includes('message.created'));
      assert.deepEqual(await mailbox.see('archive', letter), ['north:duplicate']);
      assert.deepEqual(await mailbox.see('inbox', letter, letter), ['north:duplicate', 'north:duplicate']);
      assert.equal((await messagesOf('Twice')).length, 1);
      assert.equal(
        (await world.eventTypes()).length,
        eventsBefore + told.length,
        'nothing is announced twice',
      );
      const [sightings] = await rows<{ n: string }>(
        database.db,
        `select count(*) as n from sightings s join messages m on m.id = s.message_id where m.subject = 'Twice'`,
      );
      assert.equal(sightings?.n, '4');
    });

    test('S12: two messages that share an id are two; two without any id are two; one without an id seen twice is one', async () => {
      const mailbox = await world.connect('ann12@mail.example', [['north', 'ann']]);
      const from = 'carla@customer.example';
      const date = 'Fri, 20 Nov 2026 11:00:00 +0000';
      const none = { id: null, from, subject: 'No id', date, text: 'Scan 7.' };
      const undated = {
        id: null,
        from,
        subject: 'No date',
        date: '',
        text: 'Scan 8.',
        internalDate: Date.now(),
      };
      await mailbox.see(
        'inbox',
        { id: 'same@x.example', from, subject: 'Same id' },
        { id: 'same@x.example', from, subject: 'Same id' },
        none,
        { ...none, date: 'Fri, 20 Nov 2026 11:00:05 +0000' },
        none,
        { id: '', from, subject: 'Empty id' },
        { ...none, subject: 'Same second' },
        { ...none, subject: 'Same second', text: 'Another scan, of the same second.' },
        undated,
        { ...undated, internalDate: undated.internalDate + 1_000 },
        undated,
      );
      assert.equal((await messagesOf('Same id')).length, 2);
      assert.equal((await messagesOf('No id')).length, 2);
      assert.equal((await messagesOf('Empty id')).length, 1);
      assert.equal((await messagesOf('Same second')).length, 2);
      assert.equal((await messagesOf('No date')).length, 2);
    });

    test('S12: a message to two users is one in the sub-account, and both mailboxes go on with its thread', async () => {
      const ann = await world.connect('ann13@mail.example', [['north', 'ann']]);
      const bob = await world.connect('bob13@mail.example', [['north', 'bob']]);
      const letter = {
        id: 'both@x.example',
        from: 'carla@customer.example',
        to: 'ann13@mail.example, bob13@mail.example',
        subject: 'Both',
        date: 'Fri, 20 Nov 2026 12:00:00 +0000',
      };
      assert.deepEqual(await ann.see('inbox', letter), ['north:from_contact']);
      assert.deepEqual(await bob.see('inbox', letter), ['north:from_contact']);
      assert.equal((await messagesOf('Both')).length, 1);
      const next = {
        from: 'stan@stranger.example',
        to: 'bob13@mail.example',
        cc: 'carla@customer.example',
        subject: 'Re: Both',
        inReplyTo: 'both@x.example',
      };
      assert.deepEqual(await bob.see('inbox', next), ['north:thread_member']);
    });

    test('S12: two mailboxes that bring the same messages in the same instant end with one of each, told once', async () => {
      const ann = await world.connect('ann18@mail.example', [['north', 'ann']]);
      const bob = await world.connect('bob18@mail.example', [['north', 'bob']]);
      for (let round = 0; round < 10; round += 1) {
        const letter = {
          id: `race-${round}@x.example`,
          from: 'cyril@customer.example',
          to: 'ann18@mail.example, bob18@mail.example',
          subject: `Race ${round}`,
          date: 'Fri, 20 Nov 2026 13:00:00 +0000',
        };
        await Promise.all([ann.see('inbox', letter), bob.see('inbox', letter)]);
      }
      const [counts] = await rows<Record<string, string>>(
        database.db,
        `select (select count(*) from messages where subject like 'Race %') as messages,
              (select count(*) from events where type = 'message.created' and data ->> 'subject' like 'Race %') as told,
              (select count(*) from sightings s join messages m on m.id = s.message_id where m.subject like 'Race %') as sightings,
              (select count(*) from thread_links l join threads t on t.id = l.thread_id where t.subject like 'Race %') as links`,
      );
      assert.deepEqual(counts, { messages: '10', told: '10', sightings: '20', links: '20' });
    });

    test('S14: drafts, Spam and Trash are never read', async () => {
      const mailbox = await world.connect('ann14@mail.example', [['north', 'ann']]);
      const from = 'carla@customer.example';
      world.fetched.length = 0;
      assert.deepEqual(await mailbox.see('spam', { from }), ['north:spam_or_trash']);
      assert.deepEqual(await mailbox.see('trash', { from }), ['north:spam_or_trash']);
      assert.deepEqual(await mailbox.see('drafts', { from: 'ann14@mail.example', to: from }), [
        'north:draft',
      ]);
      assert.deepEqual(
        await mailbox.see('all', { from, gmail: { messageId: '1', threadId: '1', labels: ['\\draft'] } }),
        ['north:draft'],
      );
      for (const label of ['\\spam', '\\junk', '\\trash']) {
        const gmail = { messageId: label, threadId: label, labels: [label] };
        assert.deepEqual(await mailbox.see('all', { from, gmail }), ['north:spam_or_trash'], label);
      }
      assert.deepEqual(world.fetched, []);
    });

    test('S15: a never-log address or domain is skipped whatever else applies', async () => {
      const mailbox = await world.connect('ann15@mail.example', [['north', 'ann']]);
      await world.addContact('north', 'secret', ['x@secret.example']);
      await rows(
        database.db,
        `insert into never_log (sub_account_id, pattern, as_written) values ('north', '@secret.example', '@secret.example') returning 1`,
      );
      assert.deepEqual(await mailbox.see('inbox', { from: 'x@secret.example' }), ['north:never_log']);
    });

    test("S15: a user's own list counts in each of their sub-accounts, and for nobody else", async () => {
      await world.addUser('nell', 'nell@crm.example', ['north', 'south']);
      const nell = await world.connect('nell20@mail.example', [
        ['north', 'nell'],
        ['south', 'nell'],
      ]);
      const ann = await world.connect('ann20@mail.example', [['north', 'ann']]);
      await rows(
        database.db,
        `insert into never_log (user_id, pattern, as_written) values ('nell', 'carla@customer.example', 'carla@customer.example') returning 1`,
      );
      const from = 'carla@customer.example';
      assert.deepEqual(await nell.see('inbox', { from }), ['north:never_log', 'south:never_log']);
      assert.deepEqual(await ann.see('inbox', { from }), ['north:from_contact']);
    });

    test('C5: a connection that is paused gets nothing, the others of the mailbox go on', async () => {
      const mailbox = await world.connect('ann21@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      await rows(
        database.db,
        `update connections set state = 'paused' where mailbox_id = :id and sub_account_id = 'north' returning 1`,
        { id: mailbox.id },
      );
      assert.deepEqual(await mailbox.see('inbox', { from: 'carla@customer.example' }), [
        'south:from_contact',
      ]);
    });

    test('C8: mail from before the connection is not logged, mail of today is', async () => {
      const startedAt = Date.now();
      const mailbox = await world.connect('ann16@mail.example', [['north', 'ann']], startedAt);
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          { from: 'carla@customer.example', internalDate: startedAt - 3_600_000 },
          { from: 'carla@customer.example', internalDate: startedAt - 1_000 },
        ),
        ['north:before_connection', 'north:from_contact'],
      );
    });

    test('T3: a message that the provider cannot give is kept as failed, and those behind it are filed', async () => {
      const mailbox = await world.connect('ann17@mail.example', [['north', 'ann']]);
      const from = 'carla@customer.example';
      mailbox.unreadable.add(2);
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          { from, subject: 'Fine' },
          { from, subject: 'Poison' },
          { from, subject: 'Fine too' },
        ),
        ['north:from_contact', 'north:unreadable', 'north:from_contact'],
      );
      assert.equal((await messagesOf('Poison')).length, 0);
    });

    async function countOf(table: string): Promise<number> {
      const [row] = await rows<{ n: string }>(database.db, `select count(*) as n from ${table}`);
      return Number(row?.n);
    }

    async function messagesOf(subject: string): Promise<{ thread_id: string }[]> {
      return (await world.messages('north')).filter((message) => message.subject.endsWith(subject));
    }
  });
