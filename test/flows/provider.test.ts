import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openMailbox, passwordOf, submit } from '../support/mail.ts';
import { databaseKinds } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story, StoryMessage } from './story.ts';

type Sent = { message: StoryMessage; send: { id: string }; route: { through: string; from: string } };

for (const database of databaseKinds)
  describe(`D1, D2: bulk and workflow mail, on ${database}`, () => {
    let story: Story;
    let relay: Record<string, unknown>;

    before(async () => {
      story = await openStory({ name: 'bulk', database });
      const { host, noCopyPort } = story.servers.smtp;
      const username = `relay@${story.ann.split('@')[1] ?? ''}`;
      relay = {
        kind: 'smtp',
        host,
        port: noCopyPort,
        security: 'starttls',
        username,
        password: passwordOf(username),
        from: `news@${story.ann.split('@')[1] ?? ''}`,
      };
    });
    after(() => story.end());

    const put = (provider: Record<string, unknown>) =>
      story.gateway.call('PUT', story.sub, { name: 'Acme', provider });
    const post = async (kind: string, more: Record<string, unknown> = {}): Promise<Sent> =>
      story.gateway.must<Sent>('POST', `${story.sub}/messages`, {
        kind,
        user_id: 'ann',
        contact_id: 'carla',
        subject: `${kind} ${JSON.stringify(more['from'] ?? '')}`,
        text: 'Dear Carla',
        ...more,
      });
    const sent = (id: string) =>
      waitFor(`${id} to be sent`, async () => {
        const { body } = await story.gateway.call('GET', `${story.sub}/sends/${id}`);
        if (body['state'] !== 'sent') throw new Error(JSON.stringify(body));
        return body;
      });

    const refused: [what: string, change: Record<string, unknown>, code: string][] = [
      ['a wrong password', { password: 'wrong' }, 'smtp_login_refused'],
      ['a port at which nobody listens', { port: 9 }, 'smtp_unreachable'],
      ['TLS where there is none yet', { security: 'tls' }, 'tls_failed'],
      ['a host in a private network', { host: '10.1.2.3' }, 'private_address'],
    ];
    for (const [what, change, code] of refused) {
      test(`${what}: not stored`, async () => {
        const answer = await put({ ...relay, ...change });
        assert.deepEqual([answer.status, answer.body['code']], [422, code]);
        assert.equal((await story.gateway.call('GET', story.sub)).body['provider'], null);
      });
    }

    test('individual mail of a user with nothing connected goes through it, and no longer when there is a mailbox', async () => {
      assert.equal((await put(relay)).status, 200);
      const first = await post('individual');
      assert.deepEqual([first.route.through, first.route.from], ['provider', relay['from']]);
      await sent(first.send.id);
      const carla = await openMailbox(story.servers, story.carla);
      const mail = await carla.waitForMail(first.message.subject);
      assert.match(await carla.source(mail.uid), new RegExp(`^From: Ann <${String(relay['from'])}>`, 'm'));
      await carla.close();
      await story.connect('gmail');
      const second = await post('individual');
      assert.deepEqual([second.route.through, second.route.from], ['mailbox', story.ann]);
      await sent(second.send.id);
    });

    test('bulk and workflow: through it, in the conversation, not in Sent, and not in sync; Carla’s answer syncs by S2', async () => {
      const bulk = await post('bulk', { from: story.ann });
      const workflow = await post('workflow');
      assert.deepEqual([bulk.route.through, bulk.route.from], ['provider', story.ann]);
      assert.deepEqual([workflow.route.through, workflow.route.from], ['provider', relay['from']]);
      await Promise.all([sent(bulk.send.id), sent(workflow.send.id)]);
      const messages = await story.conversation();
      assert.deepEqual(
        messages.slice(-2).map(({ via }) => via),
        [['crm'], ['crm']],
      );
      const before = messages.length;
      await submit(story.servers, story.carla, {
        from: story.carla,
        to: story.ann,
        subject: `Re: ${bulk.message.subject}`,
        text: 'Tell me more',
        inReplyTo: `<${bulk.message.internet_message_id ?? ''}>`,
      });
      const answered = (await story.conversationOf(before + 1)).at(-1);
      assert.equal(answered?.direction, 'inbound');
      assert.equal(answered?.thread_id, bulk.message.thread_id, 'it answers that mail');
      const { body } = await story.gateway.call('GET', `${story.sub}/messages/${answered?.id ?? ''}/explain`);
      assert.match(JSON.stringify(body), /from_contact/);
      // The listener has seen everything up to the answer; nothing of the campaign stands in Sent.
      const subjects = (await story.annClient.list('Sent')).map(({ subject }) => subject);
      assert.ok(!subjects.includes(bulk.message.subject) && !subjects.includes(workflow.message.subject));
    });

    test('D6: its bounce comes to the address that it is from, which Ann has connected, and shows in the send', async () => {
      const gone = 'nobody@bounces.test';
      const bulk = await post('bulk', { from: story.ann, cc: [gone], subject: 'Bounces' });
      assert.equal(bulk.route.through, 'provider');
      const bounced = await waitFor('the bounce', async () => {
        const { body } = await story.gateway.call('GET', `${story.sub}/sends/${bulk.send.id}`);
        if (body['state'] !== 'bounced') throw new Error(JSON.stringify(body));
        return body;
      });
      assert.match(String(bounced['reason']), /^nobody@bounces\.test: .*No such user here/);
      assert.equal(bounced['copy_seen'], false);
    });
  });
