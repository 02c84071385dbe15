import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client } from 'pg';
import { deliver, openMailbox, submit } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

for (const database of ['postgres', 'pglite'] as const) {
  describe(`the main job on ${database}`, () => {
    let story: Story;

    before(async () => {
      story = await openStory({ name: 'job', database });
      await story.connect('gmail');
    });
    after(() => story.end());

    test('S1, S3, U1: the CRM sends, the customer answers, the user answers by hand with a stranger copied in', async () => {
      const { gateway, servers, ann, carla, sub } = story;
      const carlaClient = await openMailbox(servers, carla);
      const sent = await gateway.must<{
        message: { id: string };
        send: { id: string };
        route: { through: string; from: string };
      }>('POST', `${sub}/messages`, {
        kind: 'individual',
        user_id: 'ann',
        contact_id: 'carla',
        subject: 'The offer',
        text: 'Dear Carla,\n\nhere it is.\n\nAnn',
        html: '<p>Dear Carla,</p><p>here it is.</p>',
        attachments: [
          {
            name: 'offer.txt',
            type: 'text/plain',
            content: Buffer.from('All included: 100').toString('base64'),
          },
        ],
      });
      assert.deepEqual([sent.route.through, sent.route.from], ['mailbox', ann]);

      const received = await carlaClient.waitForMail('The offer');
      assert.equal(received.from, ann);
      const inSent = await story.annClient.waitForMail('The offer', 'Sent');
      assert.equal(inSent.messageId, received.messageId, 'one message, in both mailboxes');
      await story.receiver.waitForEvent(
        'send.sent',
        (event) => event.type === 'send.sent' && event.data.id === sent.send.id,
      );

      await submit(servers, carla, {
        from: carla,
        to: ann,
        subject: 'Re: The offer',
        text: `Thank you, I take it.\n\nOn Fri, Nov 20, 2026 at 9:00 AM Ann <${ann}> wrote:\n> here it is.\n`,
        inReplyTo: received.messageId,
        references: [received.messageId],
      });
      const [, answer] = await story.conversationOf(2);
      assert.equal(answer?.direction, 'inbound');
      assert.equal(answer?.reply_text.trim(), 'Thank you, I take it.');

      await submit(servers, ann, {
        from: ann,
        to: [carla, `stan@stranger-${ann.split('@')[1]}`],
        subject: 'Re: The offer',
        text: 'Stan will call you.',
        inReplyTo: `<${answer?.internet_message_id}>`,
        references: [received.messageId, `<${answer?.internet_message_id}>`],
      });
      const byHand = (await story.conversationOf(3))[2];
      assert.deepEqual([byHand?.direction, byHand?.via], ['outbound', ['mailbox']]);

      await deliver(servers, {
        from: `stan@stranger-${ann.split('@')[1]}`,
        to: ann,
        subject: 'Re: The offer',
        text: 'I am Stan.',
        inReplyTo: `<${byHand?.internet_message_id}>`,
        references: [received.messageId, `<${byHand?.internet_message_id}>`],
      });
      const all = await story.conversationOf(4);
      assert.equal(new Set(all.map((message) => message.thread_id)).size, 1, 'one thread');
      const contacts = await gateway.must<{ data: unknown[] }>('GET', `${sub}/contacts`);
      assert.equal(contacts.data.length, 1, 'no contact is made for who was copied in');
      assert.equal(
        (await story.annClient.list('Sent')).filter((mail) => mail.subject === 'The offer').length,
        1,
      );

      const [first] = all;
      assert.deepEqual(
        first?.attachments.map(({ name, size }) => [name, size]),
        [['offer.txt', 17]],
      );
      const content = await fetch(`${gateway.url}${sub}/messages/${first?.id}/attachments/1`, {
        headers: { authorization: `Bearer ${gateway.key}` },
      });
      assert.equal(await content.text(), 'All included: 100');
      await carlaClient.close();
    });

    test('D4: an answer from the CRM threads in every mail client', async () => {
      const { gateway, sub, servers, carla } = story;
      const all = await story.conversation();
      const parent = all[1];
      await gateway.must('POST', `${sub}/messages`, {
        kind: 'individual',
        user_id: 'ann',
        contact_id: 'carla',
        reply_to_message_id: parent?.id,
        text: 'With pleasure.',
      });
      const carlaClient = await openMailbox(servers, carla);
      const raw = await waitFor("the answer in Carla's inbox", async () => {
        for (const mail of await carlaClient.list('INBOX')) {
          const source = await carlaClient.source(mail.uid);
          if (source.includes('With pleasure.')) return source.replaceAll(/\r\n[ \t]+/g, ' ');
        }
        return null;
      });
      assert.match(raw, new RegExp(`^Subject: Re: The offer\r$`, 'm'));
      assert.match(raw, new RegExp(`^In-Reply-To: <${parent?.internet_message_id}>\r$`, 'm'));
      assert.match(
        raw,
        new RegExp(`^References: <${all[0]?.internet_message_id}> <${parent?.internet_message_id}>\r$`, 'm'),
      );
      await carlaClient.close();
      await story.conversationOf(5);
    });

    test('S2: a contact writes first; S7: a user who is also a contact stays out', async () => {
      const { gateway, servers, ann, carla, sub } = story;
      const domain = ann.split('@')[1] ?? '';
      await gateway.must('PUT', '/v1/users/bob', { name: 'Bob', email: `bob@${domain}` });
      await gateway.must('PUT', `${sub}/users/bob`);
      await gateway.must('PUT', `${sub}/contacts/bob`, { name: 'Bob', emails: [`bob@${domain}`] });
      await deliver(servers, { from: `bob@${domain}`, to: ann, subject: 'Salaries', text: 'confidential' });
      await deliver(servers, { from: carla, to: ann, subject: 'A question', text: 'What about May?' });
      const all = await story.conversationOf(6);
      assert.equal(all.at(-1)?.subject, 'A question');
      const decisions = await gateway.must<{ data: { reason: string }[] }>(
        'GET',
        `${sub}/decisions?address=bob@${domain}`,
      );
      assert.deepEqual(
        decisions.data.map(({ reason }) => reason),
        ['counterpart_is_user'],
      );
    });

    test('S5: a private mail leaves no trace of its subject or text anywhere', async () => {
      const { gateway, servers, ann, carla, sub } = story;
      await deliver(servers, {
        from: 'doctor@clinic.test',
        to: ann,
        subject: 'Findingsxyzzy',
        text: 'Diagnosisplugh',
      });
      await deliver(servers, { from: carla, to: ann, subject: 'After the private one', text: 'x' });
      await story.conversationOf(7);
      const decisions = await gateway.must<{ data: { outcome: string; reason: string }[] }>(
        'GET',
        `${sub}/decisions?address=doctor@clinic.test`,
      );
      assert.deepEqual(
        decisions.data.map(({ outcome, reason }) => [outcome, reason]),
        [['skipped', 'no_match']],
      );
      assert.doesNotMatch(JSON.stringify(story.receiver.events), /xyzzy|plugh/);
      assert.doesNotMatch(gateway.output(), /xyzzy|plugh|clinic/i, 'the log');
      if (gateway.databaseUrl !== null)
        assert.doesNotMatch(
          await everything(gateway.databaseUrl),
          /xyzzy|plugh|clinic\.test/i,
          'the database',
        );
      for (const file of await readdir(gateway.dataDir, { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue;
        const bytes = await readFile(join(file.parentPath, file.name));
        assert.ok(!bytes.includes('xyzzy') && !bytes.includes('plugh'), `${file.name} holds private mail`);
      }
    });

    test('S12: the same mail in two folders is one message, told once', async () => {
      const { carla, ann, servers } = story;
      await deliver(servers, { from: carla, to: ann, subject: 'Filed twice', text: 'x' });
      await story.conversationOf(8);
      const mail = await story.annClient.waitForMail('Filed twice');
      await story.annClient.copy(mail.uid, 'INBOX', 'Archive');
      await deliver(servers, { from: carla, to: ann, subject: 'Then another', text: 'x' });
      await story.conversationOf(9);
      const told = story.receiver.events.filter(
        (event) => event.type === 'message.created' && event.data['subject'] === 'Filed twice',
      );
      assert.equal(told.length, 1);
    });

    test('W2: events come signed, in order within the conversation, and can be read by number', async () => {
      const { receiver, gateway } = story;
      assert.equal(receiver.forged(), 0);
      const page = await gateway.must<{ data: { id: string; type: string }[] }>(
        'GET',
        '/v1/events?limit=200',
      );
      const created = (events: { type: string; id: string }[]) =>
        events.filter((event) => event.type === 'message.created').map((event) => event.id);
      // The last of them may still be on its way.
      await waitFor('all of them', () => created(receiver.events).length >= created(page.data).length);
      assert.deepEqual(created(receiver.events), created(page.data));
    });

    test('T1: explain tells the whole story of a message', async () => {
      const { gateway, sub } = story;
      const [first] = await story.conversation();
      const explained = await gateway.must<{ story: string[] }>(
        'GET',
        `${sub}/messages/${first?.id}/explain`,
      );
      const text = explained.story.join('\n');
      for (const expected of [
        /crm_send/,
        /sent_copy/,
        /folder Sent/,
        /goes through the mailbox/,
        /message\.created/,
        /delivered/,
      ]) {
        assert.match(text, expected);
      }
    });
  });
}

/** Every row of every table, as text. */
async function everything(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select format('%I', table_name) as name from information_schema.tables where table_schema = 'public'`,
    );
    const texts: string[] = [];
    for (const { name } of tables.rows) {
      const all = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      texts.push(...all.rows.map(({ row }) => row));
    }
    return texts.join('\n');
  } finally {
    await client.end();
  }
}
