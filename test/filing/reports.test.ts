import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { becauseOf } from '../../src/filing/because.ts';
import { explain } from '../../src/filing/history.ts';
import type { SendId } from '../../src/lib/id.ts';
import type { Saying } from '../../src/lib/said.ts';
import { readHeader } from '../../src/message/header.ts';
import { rows, run } from '../../src/store/database.ts';
import { readMessages } from '../../src/store/public-message.ts';
import { readSends } from '../../src/store/public-send.ts';
import { addServerMessageIds } from '../../src/store/send-attempts.ts';
import {
  eximReport,
  exchangeReport,
  gmailReport,
  multipartReport,
  oldExchangeReport,
  postfixReport,
  qmailReport,
  readReceipt,
} from '../fixtures/message/delivery-reports.ts';
import type { About } from '../fixtures/message/delivery-reports.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { sendFromCrm } from './accepting.ts';
import { createWorld } from './world.ts';
import type { TestMailbox, World } from './world.ts';

const carla = 'carla@customer.example';
const cyril = 'cyril@customer.example';

for (const kind of databaseKinds)
  describe(`reports on what the CRM sent, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let mailbox: TestMailbox;
    let mails = 0;

    before(async () => {
      // Sends are put into their states by hand, untold.
      database = await testDatabase(kind, {
        breaks: ['send_is_told', 'send_is_ready_or_over', 'place_is_given_back'],
      });
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@crm.example', ['north']);
      await world.addContact('north', 'c1', [carla]);
      mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
    });
    after(() => database.drop());

    /** What the CRM sent to Carla and, in copy, to Cyril; its try is over, and it is in that state. */
    async function sent(state = 'sent', cc: readonly string[] = [cyril]) {
      mails += 1;
      const { message, send } = await sendFromCrm(world, {
        contactId: 'c1',
        cc: cc.map((address) => ({ name: '', address })),
        subject: `Offer ${mails}`,
      });
      await run(
        database.db,
        `with s as (update sends set state = :state, ready = :state <> 'sent',
                           uncertain_at = case when :state = 'uncertain' then now() end
                     where id = :id returning id)
         insert into send_attempts (send_id, n, started_at, outcome) select id, 1, now(), 'uncertain' from s`,
        { id: send.id, state },
      );
      const [stored] = await rows<{ raw_sha256: string }>(
        database.db,
        'select raw_sha256 from sends where id = :id',
        { id: send.id },
      );
      const raw = world.blobs.all.get(stored?.raw_sha256 ?? '') ?? Buffer.alloc(0);
      const header = readHeader(raw);
      const about: About = {
        id: message.internet_message_id ?? '',
        from: 'ann@mail.example',
        to: carla,
        date: header.dateText,
        subject: header.subject,
      };
      return { id: send.id, messageId: message.id, threadId: message.thread_id, raw, about };
    }

    async function shown(id: SendId) {
      const [send] = await readSends(database.db, 'north', [id]);
      assert.ok(send);
      const { state, reason, reports } = send;
      return { state, reason, reports: reports.map(({ at, ...report }) => (assert.ok(at), report)) };
    }

    const events = (id: string) =>
      rows<{ type: string }>(
        database.db,
        `select type from events where data ->> 'id' = :id or data ->> 'message_id' = :id order by ord`,
        { id },
      ).then((found) => found.map(({ type }) => type).filter((type) => !/created|queued/.test(type)));

    const failure = {
      address: carla,
      action: 'failed',
      class: 'hard',
      status: '5.1.1',
      words: '550 5.1.1 unknown user',
    };

    test('D6, D7: a bounce shows whom it did not reach, of which class and in whose words, and is told', async () => {
      const { id, messageId, about } = await sent();
      assert.deepEqual(await mailbox.see('inbox', postfixReport(about)), ['north:delivery_report']);
      const reason = `${carla}: 550 5.1.1 unknown user`;
      assert.deepEqual(await shown(id), { state: 'bounced', reason, reports: [failure] });
      assert.deepEqual(await events(messageId), ['message.updated', 'send.bounced']);
      const [message] = await readMessages(database.db, 'north', [messageId]);
      assert.deepEqual(
        message?.send?.reports.map(({ address, action }) => [address, action]),
        [[carla, 'failed']],
      );
    });

    test('D6: every system’s', async () => {
      for (const report of [gmailReport, exchangeReport, oldExchangeReport, qmailReport, eximReport]) {
        const { id, about } = await sent();
        assert.deepEqual(await mailbox.see('inbox', report(about)), ['north:delivery_report'], report.name);
        assert.equal((await shown(id)).state, 'bounced', report.name);
      }
    });

    test('D6: a delay is none, and shows; what follows it counts, or nothing does', async () => {
      const { id, messageId, about } = await sent();
      await mailbox.see('inbox', postfixReport(about, 'delayed'));
      const delay = {
        ...failure,
        action: 'delayed',
        class: null,
        status: '4.4.1',
        words: 'connect to mx: Connection timed out',
      };
      assert.deepEqual(await shown(id), { state: 'sent', reason: null, reports: [delay] });
      assert.deepEqual(await events(messageId), ['message.updated']);
      await mailbox.see('inbox', postfixReport(about, 'delayed'));
      assert.deepEqual(await events(messageId), ['message.updated'], 'once more says nothing new');
      await mailbox.see('inbox', postfixReport(about));
      const { state, reports } = await shown(id);
      assert.deepEqual([state, reports.map(({ action }) => action)], ['bounced', ['delayed', 'failed']]);
    });

    test('D5, D6: of two recipients, each has its own; a later report on the other one adds to the reason', async () => {
      const { id, messageId, about } = await sent();
      await mailbox.see('inbox', eximReport({ ...about, to: cyril }));
      const first = await shown(id);
      assert.equal(first.reports.length, 1);
      await mailbox.see('inbox', postfixReport(about));
      const both = await shown(id);
      assert.deepEqual(
        both.reports.map((report) => [report.address, report.class]),
        [
          [cyril, 'soft'],
          [carla, 'hard'],
        ],
      );
      assert.equal(both.reason, `${first.reason ?? ''}; ${carla}: 550 5.1.1 unknown user`);
      const twice = ['message.updated', 'send.bounced'];
      assert.deepEqual(await events(messageId), [...twice, ...twice]);
      await mailbox.see('inbox', postfixReport(about));
      assert.deepEqual(await events(messageId), [...twice, ...twice], 'told again, it is nothing new');
    });

    test('D6: one report on several recipients', async () => {
      const { id, about } = await sent();
      const group = (address: string, action: string) =>
        `Final-Recipient: rfc822; ${address}\r\nAction: ${action}\r\nStatus: ${action === 'failed' ? '5.1.1' : '2.0.0'}\r\n`;
      const lines = [
        'Reporting-MTA: dns; x',
        '',
        group(carla, 'failed'),
        group(cyril, 'delivered'),
        group('eve@else.example', 'failed'),
      ];
      const header = ['From: mailer-daemon@mail.example', `In-Reply-To: <${about.id}>`];
      await mailbox.see('inbox', multipartReport(header, [{ type: 'message/delivery-status', lines }]));
      const { state, reports } = await shown(id);
      assert.equal(state, 'bounced');
      assert.deepEqual(
        reports.map(({ address, action }) => [address, action]),
        [
          [carla, 'failed'],
          [cyril, 'delivered'],
        ],
      );
    });

    describe('D6: when it comes', () => {
      for (const state of ['sending', 'uncertain', 'queued', 'held']) {
        test(`before it is known that the mail went out: it was ${state}`, async () => {
          const { id, about } = await sent(state);
          await mailbox.see('inbox', postfixReport(about));
          assert.equal((await shown(id)).state, 'bounced');
        });
      }

      for (const state of ['queued', 'cancelled', 'failed']) {
        test(`of what the provider has certainly nothing of, it says nothing: ${state}`, async () => {
          const { id, about } = await sent(state);
          await run(database.db, `update send_attempts set outcome = 'temporary' where send_id = :id`, {
            id,
          });
          await run(database.db, `update sends set ready = state = 'queued' where id = :id`, { id });
          await mailbox.see('inbox', postfixReport(about));
          assert.deepEqual(await shown(id), { state, reason: null, reports: [] });
        });
      }

      const rewritten = 'rewritten@outlook.example';
      const renamed = (raw: Buffer) =>
        Buffer.from(
          raw.toString('latin1').replace(/^Message-ID: .*$/im, `Message-ID: <${rewritten}-${mails}>`),
          'latin1',
        );

      test('S12: before the Sent copy with the provider’s Message-ID, it is known by the header that it brings back', async () => {
        const { id, messageId, about, raw } = await sent();
        // As composed: with the people of the mail, which make its fingerprint.
        const lines = raw.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
        const report = postfixReport(about)
          .toString('latin1')
          .replace(
            /Content-Type: message\/rfc822[\s\S]*?Content-Type: text\/plain; charset=utf-8/,
            `Content-Type: message/rfc822\r\n\r\n${lines}`,
          );
        await mailbox.see(
          'inbox',
          Buffer.from(report.replaceAll(about.id, `${rewritten}-${mails}`), 'latin1'),
        );
        assert.equal((await shown(id)).state, 'bounced');
        assert.deepEqual(await mailbox.see('sent', renamed(raw)), ['north:sent_copy']);
        const [{ state, copy_seen: seen } = assert.fail()] = await readSends(database.db, 'north', [id]);
        assert.deepEqual([state, seen], ['bounced', true]);
        assert.deepEqual(await events(messageId), ['message.updated', 'send.bounced', 'message.updated']);
      });

      test('S12: after the provider’s answer, or in one batch with the Sent copy, by the provider’s Message-ID', async () => {
        const one = await sent();
        const serverId = 'server-1@outlook.example';
        await addServerMessageIds(database.db, [{ ...one, serverId, key: serverId, sentKey: one.about.id }]);
        await mailbox.see('inbox', qmailReport({ ...one.about, id: serverId }));
        assert.equal((await shown(one.id)).state, 'bounced');
        const two = await sent();
        const report = qmailReport({ ...two.about, id: `${rewritten}-${mails}` });
        assert.deepEqual(await mailbox.see('sent', renamed(two.raw)), ['north:sent_copy']);
        assert.deepEqual(await mailbox.see('inbox', report), ['north:delivery_report']);
        assert.equal((await shown(two.id)).state, 'bounced');
        const three = await sent();
        const last = qmailReport({ ...three.about, id: `${rewritten}-${mails}` });
        // Gmail's All Mail has both.
        const delivered = Buffer.concat([Buffer.from('Received: from a.example by b.example\r\n'), last]);
        const made = await mailbox.see('other', renamed(three.raw), delivered);
        assert.deepEqual(made, ['north:sent_copy', 'north:delivery_report']);
        assert.equal((await shown(three.id)).state, 'bounced');
      });
    });

    describe('D6: a forged report changes nothing', () => {
      const header = (raw: Buffer, line: string) => Buffer.concat([Buffer.from(`${line}\r\n`), raw]);
      const noPath = (raw: Buffer) => Buffer.from(raw.toString().replace('Return-Path: <>\r\n', ''));
      const gmail = (result: string) =>
        `Authentication-Results: mx.google.com; spf=none; ${result} header.from=customer.example`;
      const outlook = (result: string) =>
        `Authentication-Results: spf=none; dkim=none; ${result} header.from=customer.example`;
      const cases: [name: string, forge: (about: About) => Buffer, because: RegExp | null][] = [
        [
          'names somebody to whom it never went',
          (about) => postfixReport({ ...about, to: 'eve@else.example' }),
          /nobody to whom/,
        ],
        ['names the sender', (about) => postfixReport({ ...about, to: about.from }), /nobody to whom/],
        [
          'has a return path',
          (about) => header(noPath(postfixReport(about)), `Return-Path: <${cyril}>`),
          /return path/,
        ],
        [
          'DMARC: reject (Gmail)',
          (about) => header(postfixReport(about), gmail('dmarc=fail (p=REJECT sp=REJECT dis=NONE)')),
          /refused/,
        ],
        [
          'DMARC: quarantine (Gmail)',
          (about) => header(postfixReport(about), gmail('dmarc=fail (p=QUARANTINE dis=NONE)')),
          /refused/,
        ],
        [
          'DMARC: reject (Outlook)',
          (about) => header(postfixReport(about), outlook('dmarc=fail action=oreject')),
          /refused/,
        ],
        [
          'DMARC: reject, below which its writer says pass',
          (about) =>
            header(
              header(postfixReport(about), gmail('dmarc=pass (p=REJECT)')),
              gmail('dmarc=fail (p=REJECT sp=REJECT dis=NONE)'),
            ),
          /refused/,
        ],
        [
          'a person’s mail with the text of one',
          (about) =>
            Buffer.from(
              qmailReport(about)
                .toString()
                .replace('From: MAILER-DAEMON@', 'From: eve@')
                .replace('Return-Path: <>\r\n', ''),
            ),
          null,
        ],
        [
          'a receipt by somebody else',
          (about) => readReceipt({ ...about, to: 'eve@else.example' }),
          /nobody to whom/,
        ],
        [
          'a mail that is none of ours',
          (about) =>
            postfixReport({ ...about, id: 'other@mail.example', date: 'Thu, 19 Nov 2026 10:00:00 +0000' }),
          null,
        ],
      ];
      for (const [name, forge, because] of cases) {
        test(name, async () => {
          const { id, messageId, about } = await sent();
          const made = await mailbox.see('inbox', forge(about));
          assert.ok(
            !made.includes('north:delivery_report') && !made.includes('north:read_receipt'),
            made.join(),
          );
          assert.deepEqual(await shown(id), { state: 'sent', reason: null, reports: [] });
          assert.deepEqual(await events(messageId), []);
          if (because === null) return;
          const [decision] = await rows<{ why: Saying }>(
            database.db,
            `select reasons -> -1 -> 'because' as why from decisions order by id desc limit 1`,
          );
          assert.match(becauseOf(decision?.why ?? null), because);
        });
      }

      const genuine: [name: string, report: (about: About) => Buffer][] = [
        [
          'of a server whose domain asks for nothing',
          (about) => header(postfixReport(about), gmail('dmarc=fail (p=NONE sp=NONE dis=NONE)')),
        ],
        ['the same at Outlook', (about) => header(postfixReport(about), outlook('dmarc=fail action=none'))],
        [
          'with the null path as Postfix gives it to programs',
          (about) => header(noPath(postfixReport(about)), 'Return-Path: <MAILER-DAEMON>'),
        ],
        ['without any of it', (about) => noPath(postfixReport(about))],
      ];
      for (const [name, report] of genuine) {
        test(`and a genuine one counts: ${name}`, async () => {
          const { id, about } = await sent();
          assert.deepEqual(await mailbox.see('inbox', report(about)), ['north:delivery_report']);
          assert.equal((await shown(id)).state, 'bounced');
        });
      }

      test('it came to another mailbox than the one that sent it', async () => {
        const { id, about } = await sent();
        await world.addUser('ben', 'ben@crm.example', ['north']);
        const other = await world.connect('ben@mail.example', [['north', 'ben']]);
        assert.deepEqual(await other.see('inbox', postfixReport(about)), ['north:automatic']);
        assert.deepEqual(await shown(id), { state: 'sent', reason: null, reports: [] });
      });
    });

    describe('D1, D6: what went through the sub-account’s own provider', () => {
      const news = 'news@acme.example';
      const sales = 'Sales+offers@acme.example';
      let newsMailbox: TestMailbox;
      let elsewhere: TestMailbox;

      before(async () => {
        const smtp = { kind: 'smtp', host: 'relay.example', port: 587, security: 'tls', username: null };
        await run(database.db, `update sub_accounts set provider = :provider where id = 'north'`, {
          provider: JSON.stringify({ ...smtp, from: news }),
        });
        await run(
          database.db,
          `insert into user_addresses (user_id, kind, canonical) values ('ann', 'alias', 'sales@acme.example')`,
        );
        await world.addUser('nina', 'nina@crm.example', ['north']);
        newsMailbox = await world.connect(news, [['north', 'nina']]);
        await world.addSubAccount('south');
        await world.addUser('sue', 'sue@crm.example', ['south']);
        await world.addContact('south', 'c9', [carla]);
        elsewhere = await world.connect('sue@mail.example', [['south', 'sue']]);
      });

      /** A campaign’s mail to Carla that its provider took, from the address that the call names, or the provider’s own. */
      async function relayed(from: string | null) {
        const { message, send } = await sendFromCrm(world, {
          kind: 'bulk',
          contactId: 'c1',
          from,
          subject: 'News',
        });
        assert.equal(send.route.through, 'provider');
        await run(
          database.db,
          `with s as (update sends set state = 'sent', ready = false where id = :id returning id)
           insert into send_attempts (send_id, n, started_at, outcome) select id, 1, now(), 'accepted' from s`,
          { id: send.id },
        );
        const about: About = {
          id: message.internet_message_id ?? '',
          from: from ?? news,
          to: carla,
          date: 'Fri, 20 Nov 2026 10:00:00 +0000',
          subject: 'News',
        };
        return { id: send.id, about };
      }
      const untouched = { state: 'sent', reason: null, reports: [] };

      const owners: [name: string, from: string | null, of: () => TestMailbox][] = [
        ['the provider’s own From, which somebody has connected', null, () => newsMailbox],
        ['the connected address of the sender', 'Ann@mail.example', () => mailbox],
        ['an alias of the user whose mailbox it came to', sales, () => mailbox],
      ];
      for (const [name, from, of] of owners) {
        test(`a report in the mailbox to which it goes counts: ${name}`, async () => {
          const { id, about } = await relayed(from);
          assert.deepEqual(await of().see('inbox', postfixReport(about)), ['north:delivery_report']);
          const reason = `${carla}: 550 5.1.1 unknown user`;
          assert.deepEqual(await shown(id), { state: 'bounced', reason, reports: [failure] });
          const [send] = await readSends(database.db, 'north', [id]);
          assert.equal(send?.copy_seen, false);
        });
      }

      const others: [
        name: string,
        from: string | null,
        of: () => TestMailbox,
        forge: (about: About) => Buffer,
      ][] = [
        [
          'in the mailbox of somebody else of the sub-account',
          null,
          () => mailbox,
          (about) => postfixReport(about),
        ],
        ['in another sub-account', null, () => elsewhere, (about) => postfixReport(about)],
        [
          'on somebody to whom it never went',
          null,
          () => newsMailbox,
          (about) => postfixReport({ ...about, to: 'eve@else.example' }),
        ],
        [
          'with a return path',
          null,
          () => newsMailbox,
          (about) =>
            Buffer.from(
              postfixReport(about).toString().replace('Return-Path: <>', `Return-Path: <${cyril}>`),
            ),
        ],
        [
          'without its Message-ID',
          null,
          () => newsMailbox,
          (about) => postfixReport({ ...about, id: 'another@relay.example' }),
        ],
      ];
      for (const [name, from, of, forge] of others) {
        test(`a report ${name} changes nothing`, async () => {
          const { id, about } = await relayed(from);
          const made = await of().see('inbox', forge(about));
          assert.ok(!made.some((each) => each.endsWith('report')), made.join());
          assert.deepEqual(await shown(id), untouched);
        });
      }

      test('C7: nor is a report lost that comes after its mailbox was connected anew', async () => {
        const { id, about, threadId } = await sent();
        await run(
          database.db,
          `with l as (update thread_links set mailbox_id = :other where thread_id = :threadId)
           update sends set mailbox_id = :other where id = :id`,
          { other: newsMailbox.id, id, threadId },
        );
        assert.deepEqual(await mailbox.see('inbox', postfixReport(about)), ['north:delivery_report']);
        assert.equal((await shown(id)).state, 'bounced');
      });

      test('a copy of it that its sender sees is no copy in Sent: it confirms nothing', async () => {
        const { id } = await relayed('ann@mail.example');
        const [stored] = await rows<{ raw_sha256: string }>(
          database.db,
          'select raw_sha256 from sends where id = :id',
          { id },
        );
        const raw = world.blobs.all.get(stored?.raw_sha256 ?? '') ?? Buffer.alloc(0);
        await mailbox.see('sent', raw);
        const [send] = await readSends(database.db, 'north', [id]);
        assert.equal(send?.copy_seen, false);
      });
    });

    for (const [type, action] of [
      ['displayed', 'displayed'],
      ['deleted', 'deleted'],
    ] as const) {
      test(`S11, D6: a read receipt shows in the send, ${action}, and is no message and no answer`, async () => {
        const { id, messageId, raw, about } = await sent();
        await mailbox.see('sent', raw);
        assert.deepEqual(await mailbox.see('inbox', readReceipt(about, type)), ['north:read_receipt']);
        const read = { address: carla, action, class: null, status: null, words: null };
        assert.deepEqual(await shown(id), { state: 'sent', reason: null, reports: [read] });
        assert.deepEqual(await events(messageId), ['message.updated', 'message.updated']);
      });
    }

    test('T1: the story of the message tells it, and which report it was', async () => {
      const { about, messageId } = await sent();
      await mailbox.see('inbox', postfixReport(about));
      const { story } = (await explain(database.db, 'north', messageId)) ?? { story: [] };
      const told = story.join('\n');
      assert.match(
        told,
        /reported: failed for carla@customer\.example \(hard, 5\.1\.1\), "550 5\.1\.1 unknown user"\.$/m,
      );
      assert.match(told, /skipped for inbox, .*: delivery_report /m);
    });

    test('C7: what reports say goes with the message', async () => {
      const { id, about, messageId } = await sent();
      await mailbox.see('inbox', postfixReport(about));
      await run(database.db, 'delete from messages where id = :messageId', { messageId });
      const left = await rows(database.db, 'select from send_reports where send_id = :id', { id });
      assert.equal(left.length, 0);
    });
  });
