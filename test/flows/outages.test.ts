import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deliver, submit } from '../support/mail.ts';
import { consentByLink } from '../support/gateway.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

describe('outages are caught up, and told once', () => {
  let story: Story;

  before(async () => {
    story = await openStory({ name: 'outage', database: 'postgres' });
    await story.connect('gmail');
  });
  after(() => story.end());

  const statesTold = () =>
    story.receiver.events
      .filter((event) => event.type === 'connection.state_changed')
      .map((event) => String(event.data['state']));

  test('C5, C7: consent is revoked, mail goes on arriving, consent is given again: everything missed is there', async () => {
    const { servers, gateway, ann, carla, sub, receiver } = story;
    await deliver(servers, { from: carla, to: ann, subject: 'Before', text: 'x' });
    await story.conversationOf(1);
    await servers.identity.revoke(ann);
    // Dovecot lets a session live that was open before (real-servers.md): the provider ends it.
    await story.kick();
    await story.waitForState('reauth_required');
    for (const subject of ['Missed 1', 'Missed 2', 'Missed 3'])
      await deliver(servers, { from: carla, to: ann, subject, text: 'x' });
    await submit(servers, ann, { from: ann, to: carla, subject: 'Missed 4', text: 'by hand' });
    const held = await gateway.must<{ send: { id: string; state: string } }>('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'Held',
      text: 'waits for consent',
    });
    assert.equal(held.send.state, 'held', 'no silent way round the mailbox');

    const link = await gateway.must<{ url: string }>('POST', `${sub}/users/ann/connection-links`, {
      provider: 'gmail',
    });
    assert.ok((await consentByLink(link.url, ann)).status < 400);
    await story.waitForState('live');
    const subjects = (await story.conversationOf(6)).map((message) => message.subject).sort();
    assert.deepEqual(subjects, ['Before', 'Held', 'Missed 1', 'Missed 2', 'Missed 3', 'Missed 4']);
    await receiver.waitForEvent(
      'the held message',
      (event) => event.type === 'send.sent' && event.data.id === held.send.id,
    );
    const recovered = await receiver.waitForEvent(
      'the recovery',
      (event) => event.type === 'connection.recovered',
    );
    assert.equal(recovered.data['recovered_messages'], 4);
    assert.deepEqual(
      statesTold().filter((state, position, all) => state === all[position - 1]),
      [],
      'the same state is never announced twice in a row',
    );
  });

  test('S12: after a UIDVALIDITY change nothing is announced twice, and new mail goes on', async () => {
    const { servers, ann, carla, receiver } = story;
    const createdOf = () => receiver.events.filter((event) => event.type === 'message.created').length;
    const createdBefore = createdOf();
    await servers.doveadm('mailbox', 'update', '-u', ann, '--uid-validity', '77777', 'INBOX');
    await story.kick();
    await deliver(servers, { from: carla, to: ann, subject: 'After the renumbering', text: 'x' });
    await story.conversationOf(7, 90_000);
    await receiver.waitForEvent(
      'the one new message',
      (event) => event.type === 'message.created' && event.data['subject'] === 'After the renumbering',
    );
    assert.equal(createdOf(), createdBefore + 1);
  });

  test('C7: disconnected, nothing later syncs; connected again, the sync starts from then', async () => {
    const { servers, gateway, ann, carla, sub, receiver } = story;
    await gateway.must('DELETE', `${sub}/users/ann/connection`);
    await receiver.waitForEvent('the end', (event) => event.type === 'connection.disconnected');
    await deliver(servers, { from: carla, to: ann, subject: 'Into the gap', text: 'x' });
    await story.annClient.waitForMail('Into the gap');
    const arrivedAt = Date.now();
    await waitFor('the mail to be older than what clocks may differ', () => Date.now() - arrivedAt > 6_500);
    await story.connect('gmail');
    await deliver(servers, { from: carla, to: ann, subject: 'Connected again', text: 'x' });
    const all = await waitFor(
      'the first mail after connecting again',
      async () => {
        const messages = await story.conversation();
        return messages.some((message) => message.subject === 'Connected again') ? messages : null;
      },
      { deadlineMs: 60_000 },
    );
    assert.equal(
      all.some((message) => message.subject === 'Into the gap'),
      false,
    );
    assert.equal(all.length, 8, 'what was stored stays');
    const recovered = receiver.events.filter((event) => event.type === 'connection.recovered');
    assert.equal(recovered.length, 1, 'who was disconnected has nothing to recover');
  });
});
