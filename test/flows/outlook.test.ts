import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openMailbox, submit } from '../support/mail.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

describe('Outlook', () => {
  let story: Story;

  before(async () => {
    story = await openStory({ name: 'outlook', database: 'postgres' });
    await story.servers.identity.setPerson(story.ann, {});
    await story.connect('outlook');
  });
  after(() => story.end());

  test('S12, U1: the provider rewrites the Message-ID; the Sent copy is no second message, and answers to it are members', async () => {
    const { gateway, servers, ann, carla, sub, receiver } = story;
    const sent = await gateway.must<{
      message: { id: string; internet_message_id: string };
      send: { id: string };
    }>('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'Rewritten',
      text: 'x',
    });
    const carlaClient = await openMailbox(servers, carla);
    const received = await carlaClient.waitForMail('Rewritten');
    assert.notEqual(
      received.messageId,
      `<${sent.message.internet_message_id}>`,
      "the tests' provider rewrites ids",
    );
    await receiver.waitForEvent('the Sent copy', (event) => {
      const via = event.data['via'];
      return (
        event.type === 'message.updated' &&
        event.data.id === sent.message.id &&
        Array.isArray(via) &&
        via.includes('mailbox')
      );
    });
    const [only] = await story.conversationOf(1);
    assert.deepEqual(only?.via, ['crm', 'mailbox']);
    assert.equal(
      `<${only?.internet_message_id}>`,
      received.messageId,
      'it is known by the id that the customer sees',
    );

    await submit(servers, carla, {
      from: carla,
      to: ann,
      subject: 'Re: Rewritten',
      text: 'Yes.',
      inReplyTo: received.messageId,
      references: [received.messageId],
    });
    const [first, second] = await story.conversationOf(2);
    assert.equal(second?.thread_id, first?.thread_id);
    const decisions = await gateway.must<{ data: { reason: string }[] }>(
      'GET',
      `${sub}/decisions?address=${carla}`,
    );
    assert.ok(decisions.data.some(({ reason }) => reason === 'thread_member'));
    await carlaClient.close();
  });
});
