import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { sendFromCrm } from './accepting.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

for (const kind of databaseKinds)
  describe(`copies of what the CRM sent, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      // Sends are put into their states by hand, untold.
      database = await testDatabase(kind, {
        breaks: ['send_is_told', 'send_is_ready_or_over', 'place_is_given_back'],
      });
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@crm.example', ['north']);
      await world.addContact('north', 'c1', ['carla@customer.example']);
      await world.addContact('north', 'c2', ['cyril@customer.example']);
    });
    after(() => database.drop());

    /** What the CRM sends through Ann's mailbox, accepted by the provider: its id, and the bytes of its copy. */
    async function sent(subject: string, bcc: string[] = []) {
      const { message: accepted } = await sendFromCrm(world, {
        contactId: 'c1',
        bcc: bcc.map((address) => ({ name: '', address })),
        subject,
      });
      const { id, internet_message_id: messageId } = accepted;
      await run(
        database.db,
        `with s as (update sends set state = 'sent', ready = false where message_id = :id returning id)
         insert into send_attempts (send_id, n, started_at) select id, 1, now() from s`,
        { id },
      );
      const [message] = await rows<{ raw_sha256: string }>(
        database.db,
        'select raw_sha256 from messages where id = :id',
        { id },
      );
      const raw = world.blobs.all.get(message?.raw_sha256 ?? '');
      assert.ok(raw);
      return { messageId: messageId ?? '', raw };
    }

    const savesCopies = async (id: string) =>
      (
        await rows<{ saves: boolean | null }>(
          database.db,
          'select saves_sent_copy as saves from mailboxes where id = :id',
          { id },
        )
      )[0]?.saves;

    test('U1, D5: a copy to oneself in the inbox says nothing about Sent; one in Sent does', async () => {
      const mailbox = await world.connect('ann1@mail.example', [['north', 'ann']]);
      const toMyself = await sent('To myself', ['ann1@mail.example']);
      assert.deepEqual(await mailbox.see('inbox', toMyself.raw), ['north:sent_copy']);
      assert.equal(await savesCopies(mailbox.id), null);
      const another = await sent('Another');
      assert.deepEqual(await mailbox.see('sent', another.raw), ['north:sent_copy']);
      assert.equal(await savesCopies(mailbox.id), true);
    });

    test('S4, C7: a copy that is seen again after the thread was unlinked does not make it live', async () => {
      const mailbox = await world.connect('ann2@mail.example', [['north', 'ann']]);
      const { messageId, raw } = await sent('Over');
      assert.deepEqual(await mailbox.see('sent', raw), ['north:sent_copy']);
      await run(
        database.db,
        `update thread_links set state = 'unlinked', reason = 'disconnected' where mailbox_id = :id`,
        { id: mailbox.id },
      );
      assert.deepEqual(await mailbox.see('archive', raw), ['north:sent_copy']);
      const stranger = {
        from: 'stan@private.example',
        to: 'ann2@mail.example',
        subject: 'Re: Over',
        inReplyTo: messageId,
      };
      assert.deepEqual(await mailbox.see('inbox', stranger), ['north:thread_unlinked']);
    });

    /** The bytes of a copy whose Message-ID the provider has replaced. */
    const renamed = (raw: Buffer, id: string) =>
      Buffer.from(raw.toString('latin1').replace(/^Message-ID: .*$/im, `Message-ID: <${id}>`), 'latin1');
    /** What became of the send after its try. */
    const becomes = (messageId: string, state: string) =>
      run(
        database.db,
        `update sends set state = :state, ready = true where internet_message_id = :messageId`,
        { messageId, state },
      );
    const countOf = async (subject: string) =>
      (await world.messages('north')).filter((message) => message.subject === subject).length;

    for (const state of ['sending', 'uncertain', 'queued', 'held', 'failed']) {
      test(`U1, D5: the late copy of a send that is ${state} by now, with another Message-ID, is its copy`, async () => {
        const mailbox = await world.connect(`ann-${state}@mail.example`, [['north', 'ann']]);
        const { messageId, raw } = await sent(`Late, ${state}`);
        await becomes(messageId, state);
        const copy = renamed(raw, `late-${state}@outlook.example`);
        assert.deepEqual(await mailbox.see('sent', copy), ['north:sent_copy']);
        assert.equal(await countOf(`Late, ${state}`), 1);
      });
    }

    test('D5, S12: the copy of a try for one who was put off, with an id that nobody was told of, is no second message', async () => {
      const mailbox = await world.connect('ann10@mail.example', [['north', 'ann']]);
      const { messageId, raw } = await sent('Put off');
      const isOf = (id: string) => renamed(raw, id);
      await run(
        database.db,
        `update sends set refused = '[{"address": "carla@customer.example", "state": "refused", "reply": "450 busy"}]'
          where internet_message_id = :messageId`,
        { messageId },
      );
      assert.deepEqual(await mailbox.see('sent', isOf('first@outlook.example')), ['north:sent_copy']);
      assert.deepEqual(await mailbox.see('sent', isOf('second@outlook.example')), ['north:sent_copy']);
      assert.equal(await countOf('Put off'), 1);
    });

    test('U1: what was never tried has no copy: the same words by hand are a message of their own', async () => {
      const mailbox = await world.connect('ann7@mail.example', [['north', 'ann']]);
      const { messageId, raw } = await sent('By hand');
      await becomes(messageId, 'queued');
      await run(database.db, 'delete from send_attempts');
      assert.deepEqual(await mailbox.see('sent', renamed(raw, 'by-hand@mail.example')), ['north:to_contact']);
      assert.equal(await countOf('By hand'), 2);
    });

    test('U1, D5: a send whose tries are past and dropped still has its late copy', async () => {
      const mailbox = await world.connect('ann-past@mail.example', [['north', 'ann']]);
      const { raw } = await sent('Long ago');
      await run(database.db, 'delete from send_attempts');
      assert.deepEqual(await mailbox.see('sent', renamed(raw, 'long-ago@outlook.example')), [
        'north:sent_copy',
      ]);
      assert.equal(await countOf('Long ago'), 1);
    });

    for (const [how, batches] of [
      ['in one batch', [2]],
      ['one after the other', [1, 1]],
    ] as const) {
      test(`U1: two sends alike in the same second are confirmed each by a copy of its own, ${how}`, async () => {
        const mailbox = await world.connect(`ann5-${batches.length}@mail.example`, [['north', 'ann']]);
        const subject = `Twins ${batches.length}`;
        const first = await sent(subject);
        const second = await sent(subject);
        const date = /^Date: .*$/m.exec(first.raw.toString('latin1'))?.[0] ?? '';
        const alike = Buffer.from(second.raw.toString('latin1').replace(/^Date: .*$/m, date), 'latin1');
        // They may have been accepted in two seconds.
        await run(
          database.db,
          `with first as (select fingerprint from sends where internet_message_id = :first),
                key as (update message_keys set fingerprint = (select fingerprint from first) where key = :second)
           update sends set fingerprint = (select fingerprint from first) where internet_message_id = :second`,
          { first: first.messageId, second: second.messageId },
        );
        await becomes(first.messageId, 'uncertain');
        await becomes(second.messageId, 'uncertain');
        const copies = [
          renamed(first.raw, `one${batches.length}@o.example`),
          renamed(alike, `two${batches.length}@o.example`),
        ];
        for (const size of batches) await mailbox.see('sent', ...copies.splice(0, size));
        const confirmed = await rows<{ id: string }>(
          database.db,
          `select s.id from sends s where s.internet_message_id = any(:ids) and s.state = 'sent' and s.copy_seen_at is not null`,
          { ids: [first.messageId, second.messageId] },
        );
        assert.equal(confirmed.length, 2);
        assert.equal(await countOf(subject), 2);
      });
    }

    test('T1: the decision about a mail of the CRM is found by each of its recipients', async () => {
      await world.connect('ann8@mail.example', [['north', 'ann']]);
      await sent('Found', ['bcc@other.example']);
      const [decision] = await rows<{ hashes: number }>(
        database.db,
        `select cardinality(address_hashes) as hashes from decisions where reason = 'crm_send' order by id desc limit 1`,
      );
      assert.equal(decision?.hashes, 2);
    });

    test('S12: a copy that comes back by a list or a filter, with the headers of its delivery, is still ours', async () => {
      const mailbox = await world.connect('ann5@mail.example', [['north', 'ann']]);
      for (const role of ['inbox', 'archive', 'other', 'sent'] as const) {
        const { raw } = await sent(`Comes back to ${role}`);
        const delivery =
          'Return-Path: <>\r\nReceived: from a.example by b.example; Fri, 20 Nov 2026 10:00:00 +0000\r\n';
        const delivered = Buffer.concat([Buffer.from(delivery), raw]);
        assert.deepEqual(await mailbox.see(role, delivered), ['north:sent_copy'], role);
      }
    });

    test('S12: a copy whose From, Date or Message-ID the provider rewrote is ours, and not where it was received', async () => {
      const mailbox = await world.connect('ann6@mail.example', [['north', 'ann']]);
      const rewritten = (raw: Buffer, changes: [RegExp, string][]) =>
        Buffer.from(
          changes.reduce((text, [from, to]) => text.replace(from, to), raw.toString('latin1')),
          'latin1',
        );
      const date: [RegExp, string] = [/^Date: .*$/m, 'Date: Fri, 20 Nov 2026 10:00:00 +0000'];
      const from: [RegExp, string] = [/^From: .*$/m, 'From: ann.alias@mail.example'];
      const id: [RegExp, string] = [
        /^Message-ID: (.*)$/im,
        'Message-ID: <new-id@outlook.example>\r\nX-Microsoft-Original-Message-ID: $1',
      ];
      const cases: [name: string, role: 'inbox' | 'sent', changes: [RegExp, string][], reason: string][] = [
        ['Date', 'sent', [date], 'sent_copy'],
        ['From', 'sent', [from], 'sent_copy'],
        ['Message-ID, told', 'sent', [id, date], 'sent_copy'],
        [
          'Message-ID, not told',
          'sent',
          [[/^Message-ID: .*$/im, 'Message-ID: <other@outlook.example>']],
          'sent_copy',
        ],
        ['forged in the inbox', 'inbox', [date], 'counterpart_is_user'],
      ];
      for (const [name, role, changes, reason] of cases) {
        const { raw } = await sent(`Rewritten: ${name}`);
        const copy = rewritten(raw, changes);
        assert.notDeepEqual(copy, raw, name);
        assert.deepEqual(await mailbox.see(role, copy), [`north:${reason}`], name);
      }
    });

    /** What a mail server says of a mail to Carla that it could not deliver. */
    const bounce = (messageId: string, from = 'mailer-daemon@mail.example') =>
      Buffer.from(
        [
          `From: ${from}`,
          'To: ann4@mail.example',
          'Subject: Undelivered',
          'Date: Fri, 20 Nov 2026 10:00:00 +0000',
          `Message-ID: <report-on-${messageId}>`,
          `In-Reply-To: <${messageId}>`,
          'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
          '',
          '--b',
          'Content-Type: message/delivery-status',
          '',
          'Reporting-MTA: dns; mail.example',
          '',
          'Final-Recipient: rfc822; carla@customer.example',
          'Action: failed',
          'Status: 5.1.1',
          '',
          '--b--',
          '',
        ].join('\r\n'),
      );

    test('D6: a report of the next portion, read while the facts of this one are looked up anew, counts', async () => {
      const mailbox = await world.connect('ann19@mail.example', [['north', 'ann']]);
      const { messageId } = await sent('Of the next portion');
      const { clock } = world.filing;
      let asks = 0;
      const onQuery = ({ sql }: { sql: string }) => (asks += Number(sql.includes('named as materialized')));
      world.meanwhile = () => {
        const asked = asks;
        world.filing.clock = { ...clock, monotonic: () => clock.monotonic() + 6_000 };
        world.meanwhile = () =>
          waitFor('the facts to be asked for', () => asks > asked, { everyMs: 0 }).then(() => undefined);
        return Promise.resolve();
      };
      database.db.on('query', onQuery);
      try {
        const letter = { from: 'carla@customer.example', to: 'ann19@mail.example' };
        const letters = Array.from({ length: 100 }, () => letter);
        const made = await mailbox.see('inbox', ...letters, bounce(messageId));
        assert.equal(made.at(-1), 'north:delivery_report');
      } finally {
        world.filing.clock = clock;
        database.db.removeListener('query', onQuery);
      }
    });

    test('D6, S11: a report makes the send bounced and is no message, whatever became of its thread', async () => {
      const mailbox = await world.connect('ann4@mail.example', [['north', 'ann']]);
      await run(
        database.db,
        `insert into never_log (sub_account_id, pattern, as_written) values ('north', '@hush.example', '@hush.example')`,
      );
      const cases: [name: string, link: string, reporter?: string][] = [
        ['live', 'live'],
        ['unlinked', 'unlinked'],
        ['of a server that is never logged', 'live', 'mailer-daemon@hush.example'],
        ['of a server whose postmaster is a colleague', 'live', 'ann+mailer-daemon@crm.example'],
      ];
      for (const [name, link, reporter] of cases) {
        const { messageId, raw } = await sent(`Bounces, ${name}`);
        await mailbox.see('sent', raw);
        await run(database.db, 'update thread_links set state = :link where mailbox_id = :id', {
          link,
          id: mailbox.id,
        });
        assert.deepEqual(
          await mailbox.see('inbox', bounce(messageId, reporter)),
          ['north:delivery_report'],
          name,
        );
        const [send] = await rows<{ state: string; state_reason: string }>(
          database.db,
          `select s.state, s.state_reason from sends s join messages m on m.id = s.message_id where m.subject = :subject`,
          { subject: `Bounces, ${name}` },
        );
        assert.deepEqual(send, { state: 'bounced', state_reason: 'carla@customer.example: 5.1.1' }, name);
      }
      assert.deepEqual(
        await mailbox.see('inbox', bounce('somebody-else@mail.example')),
        ['north:automatic'],
        'a report on a mail that is none of ours',
      );
    });

    test('D5, D6: a send that bounced is over, also when nobody knew yet that it had gone out', async () => {
      const mailbox = await world.connect('ann20@mail.example', [['north', 'ann']]);
      for (const state of ['sending', 'uncertain']) {
        const { messageId } = await sent(`Bounces while ${state}`);
        await becomes(messageId, state);
        await run(
          database.db,
          `update sends set lease_owner = 'node', lease_until = now() + interval '30 s',
                  uncertain_at = case when state = 'uncertain' then now() end
            where internet_message_id = :messageId`,
          { messageId },
        );
        assert.deepEqual(await mailbox.see('inbox', bounce(messageId)), ['north:delivery_report']);
        const [send] = await rows(
          database.db,
          `select state, ready, lease_owner, lease_until, uncertain_at from sends where internet_message_id = :messageId`,
          { messageId },
        );
        const nobody = { lease_owner: null, lease_until: null, uncertain_at: null };
        assert.deepEqual(send, { state: 'bounced', ready: false, ...nobody }, state);
      }
    });

    test('S12: a Message-ID that looks like a provider’s own is compared like any other', async () => {
      const mailbox = await world.connect('ann3@mail.example', [['north', 'ann']]);
      const letter = (from: string, subject: string) => ({
        id: 'gm:x@y.example',
        from,
        to: 'ann3@mail.example',
        subject,
      });
      assert.deepEqual(
        await mailbox.see(
          'inbox',
          letter('carla@customer.example', 'One'),
          letter('cyril@customer.example', 'Quite another'),
        ),
        ['north:from_contact', 'north:from_contact'],
        'both are stored: an equal id is no equal mail',
      );
    });
  });
