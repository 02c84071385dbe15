import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deliver, openMailbox, passwordOf, submit } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

describe('C3: any other mail host, with a password', () => {
  let story: Story;
  let servers: Record<string, unknown>;

  before(async () => {
    story = await openStory({ name: 'generic', database: 'postgres' });
    const { dovecot, smtp } = story.servers;
    servers = {
      imap: { host: dovecot.imap.full.host, port: dovecot.imap.full.tlsPort, security: 'tls' },
      smtp: { host: smtp.host, port: smtp.submissionPort, security: 'starttls' },
    };
  });
  after(() => story.end());

  const connect = (password: string) =>
    story.gateway.call('PUT', `${story.sub}/users/ann/connection`, {
      provider: 'imap',
      email: story.ann,
      ...servers,
      auth: { kind: 'password', username: story.ann, password },
    });

  test('a wrong password is refused by name, and nothing is left behind', async () => {
    const { status, body } = await connect('wrong');
    assert.equal(status, 422, JSON.stringify(body));
    assert.match(String(body['code']), /login_refused/);
    assert.equal((await story.gateway.call('GET', `${story.sub}/users/ann/connection`)).status, 404);
  });

  test('the right one connects at once: mail goes out, comes in, and is sealed at rest', async () => {
    const { gateway, sub, ann, carla } = story;
    const { status, body } = await connect(passwordOf(ann));
    assert.equal(status, 201, JSON.stringify(body));
    await story.waitForState('live');
    await gateway.must('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'From a generic host',
      text: 'x',
    });
    const carlaClient = await openMailbox(story.servers, carla);
    const received = await carlaClient.waitForMail('From a generic host');
    await submit(story.servers, carla, {
      from: carla,
      to: ann,
      subject: 'Re: From a generic host',
      text: 'y',
      inReplyTo: received.messageId,
    });
    await deliver(story.servers, { from: 'shop@stranger.test', to: ann, subject: 'Sale', text: 'z' });
    await story.conversationOf(2);
    assert.ok(!gateway.output().includes(passwordOf(ann)), 'the password is in no log');
    await carlaClient.close();
  });

  test('U2, U3: read in the CRM is read in the mailbox, an archived one is in Archive, and back the other way', async () => {
    const { gateway, sub, annClient } = story;
    const answer = (await story.conversationOf(2)).find(({ direction }) => direction === 'inbound');
    const url = `${sub}/messages/${answer?.id}`;
    const shown = async () => {
      const { read, mailbox_state } = await gateway.must<{ read: boolean; mailbox_state: string }>(
        'GET',
        url,
      );
      return `${read ? 'read' : 'unread'} ${mailbox_state}`;
    };
    const becomes = (what: string) => waitFor(what, async () => (await shown()) === what);
    const subject = 'Re: From a generic host';
    assert.equal(await shown(), 'unread present');
    await gateway.must('PATCH', url, { read: true });
    await waitFor('the flag', async () => (await annClient.waitForMail(subject)).flags.has('\\Seen'));
    await annClient.removeFlags((await annClient.waitForMail(subject)).uid, ['\\Seen']);
    await becomes('unread present');
    await gateway.must('PATCH', url, { mailbox_state: 'archived' });
    await annClient.waitForMail(subject, 'Archive');
    await becomes('unread archived');
    await annClient.move((await annClient.waitForMail(subject, 'Archive')).uid, 'Archive', 'INBOX');
    await waitFor('a look', async () => (await shown()) === 'unread present', { deadlineMs: 60_000 });
  });
});
