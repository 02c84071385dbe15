import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openData } from '../../src/data.ts';
import { rows, run } from '../../src/store/database.ts';
import { deliver, passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

type Data = Awaited<ReturnType<typeof openData>>;
type Send = { state: string; copy_seen: boolean; sent_copy: { state: string; reason: string | null } | null };

describe('U1: a host that saves no copy of what is sent', () => {
  let story: Story;
  let data: Data;

  before(async () => {
    story = await openStory({ name: 'nocopy', database: 'postgres' });
    const { dovecot, smtp } = story.servers;
    const { gateway, sub, ann, carla } = story;
    await gateway.must('PUT', `${sub}/users/ann/connection`, {
      provider: 'imap',
      email: ann,
      imap: { host: dovecot.imap.full.host, port: dovecot.imap.full.tlsPort, security: 'tls' },
      smtp: { host: smtp.host, port: smtp.noCopyPort, security: 'starttls' },
      auth: { kind: 'password', username: ann, password: passwordOf(ann) },
    });
    await story.waitForState('live');
    const { dataDir, databaseUrl } = gateway;
    data = await openData({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl, DATABASE_CONNECTIONS: 2 });
    await deliver(story.servers, { from: carla, to: ann, subject: 'A question', text: 'x' });
    await story.conversationOf(1);
  });
  after(async () => {
    await data.close();
    await story.end();
  });

  const send = async (subject: string) => {
    const { gateway, sub } = story;
    const answer = await gateway.must<{ message: { id: string }; send: { id: string } }>(
      'POST',
      `${sub}/messages`,
      {
        kind: 'individual',
        user_id: 'ann',
        contact_id: 'carla',
        bcc: ['boss@company.test'],
        subject,
        text: 'x',
      },
    );
    const url = `${sub}/sends/${answer.send.id}`;
    const shown = () => gateway.must<Send>('GET', url);
    await waitFor('it to be sent', async () => (await shown()).state === 'sent');
    assert.deepEqual((await shown()).sent_copy, { state: 'awaited', reason: null });
    return { messageId: answer.message.id, sendId: answer.send.id, shown };
  };
  const restart = async () => {
    await story.gateway.kill();
    await story.gateway.start();
    await story.waitForState('live');
  };
  let read = false;
  /** The ten minutes are over, whoever had the copy in hand is gone, and the mailbox is written to. */
  const due = async (id: string) => {
    await run(
      data.db,
      `update sent_copies set due_at = now(), lease_until = case when lease_owner is not null then now() end where id = :id`,
      { id },
    );
    const question = (await story.conversation()).find(({ direction }) => direction === 'inbound');
    read = !read;
    await story.gateway.must('PATCH', `${story.sub}/messages/${question?.id}`, { read });
  };
  const inSent = async (subject: string) =>
    (await story.annClient.list('Sent')).filter((mail) => mail.subject === subject);
  const isThereOnce = async (subject: string, shown: () => Promise<Send>) => {
    await waitFor('the copy to be told', async () => {
      const { sent_copy, copy_seen } = await shown();
      if (sent_copy?.state !== 'appended' || !copy_seen) throw new Error(JSON.stringify(sent_copy));
      return true;
    });
    const [copy, ...more] = await inSent(subject);
    assert.deepEqual(more, [], 'it is there once');
    assert.ok(copy);
    assert.ok(copy.flags.has('\\Seen'), 'it is marked as read');
    return copy;
  };

  test('it is put there by the gateway, once, as read, with whom it went to', async () => {
    const { sendId, shown } = await send('An offer');
    // A start looks at Sent.
    await restart();
    assert.deepEqual(await inSent('An offer'), []);
    await due(sendId);
    const copy = await isThereOnce('An offer', shown);
    assert.match(await story.annClient.source(copy.uid, 'Sent'), /^Bcc: <boss@company\.test>\r?\n/);
    const messages = await story.conversationOf(2);
    assert.deepEqual(
      messages.map(({ via }) => via),
      [['mailbox'], ['crm', 'mailbox']],
    );
  });

  test('killed between APPEND and its answer, it is there once', async () => {
    const { messageId, sendId, shown } = await send('Another offer');
    await restart();
    await data.db.transaction(async (tx) => {
      // What the answer says cannot be written down.
      await run(tx, 'select from messages where id = :messageId for update', { messageId });
      await due(sendId);
      await waitFor('the copy', async () => (await inSent('Another offer')).length > 0);
      await story.gateway.kill();
    });
    const awaited = await rows(data.db, 'select from sent_copies where id = :sendId and ready', { sendId });
    assert.equal(awaited.length, 1, 'nobody knows of it');
    await story.gateway.start();
    await story.waitForState('live');
    await due(sendId);
    await isThereOnce('Another offer', shown);
  });
});
