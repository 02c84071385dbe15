import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { consentByLink } from '../support/gateway.ts';
import { deliver, submit } from '../support/mail.ts';
import type { Letter } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

/** One user's mailbox in two sub-accounts, and what each of the two is told of it. */
describe('the rules, one by one, on the real servers', () => {
  let story: Story;
  const globex = '/v1/sub-accounts/globex';

  before(async () => {
    const figures = { gmail: { attachments_bytes_max: 30_000 } };
    const environment = { TWOWAY_PROVIDERS: JSON.stringify(figures) };
    story = await openStory({ name: 'rules', database: 'postgres', environment });
    await story.connect('gmail');
  });
  after(() => story.end());

  type Decision = { id: string; outcome: string; reason: string };
  /** What was decided of a mail for a sub-account, once it was. */
  const decided = (sub: string, messageId: string) =>
    waitFor(
      `the decision of ${sub} about ${messageId}`,
      async () => {
        const asked = `${sub}/decisions?internet_message_id=${encodeURIComponent(messageId)}`;
        const { data } = await story.gateway.must<{ data: Decision[] }>('GET', asked);
        return data.length === 0
          ? null
          : data.map(({ outcome, reason }) => `${outcome} ${reason}`).join(', ');
      },
      { deadlineMs: 60_000 },
    );
  const received = async (letter: Omit<Letter, 'to'>) =>
    (await deliver(story.servers, { ...letter, to: story.ann, text: 'x' })).messageId;
  const written = async (letter: Omit<Letter, 'from'>) =>
    (await submit(story.servers, story.ann, { ...letter, from: story.ann, text: 'x' })).messageId;
  const sub = '/v1/sub-accounts/acme';
  const contact = async (of: string, id: string) => {
    const address = `${id}@customer-${story.ann.split('@')[1] ?? ''}`;
    await story.gateway.must('PUT', `${of}/contacts/${id}`, { name: id, emails: [address] });
    return address;
  };

  test('S6 to_contact: what the user writes to a contact by hand is there; the setting turns it off from then on', async () => {
    const dora = await contact(sub, 'dora');
    assert.equal(await decided(sub, await written({ to: dora, subject: 'By hand' })), 'stored to_contact');
    await story.gateway.must('PUT', sub, { name: 'Acme', settings: { sync_sent_to_contacts: false } });
    assert.equal(
      await decided(sub, await written({ to: dora, subject: 'By hand, off' })),
      'skipped no_match',
    );
    await story.gateway.must('PUT', sub, { name: 'Acme' });
    assert.equal(await decided(sub, await written({ to: dora, subject: 'On again' })), 'stored to_contact');
  });

  test('S11 automatic: lists and auto-replies open no thread, and in a live one an auto-reply is there, marked', async () => {
    const dora = await contact(sub, 'dora');
    const away = { 'Auto-Submitted': 'auto-replied' };
    const list = { 'List-Id': '<news.customer.example>' };
    assert.equal(
      await decided(sub, await received({ from: dora, subject: 'Away', headers: away })),
      'skipped automatic',
    );
    assert.equal(
      await decided(sub, await received({ from: dora, subject: 'News', headers: list })),
      'skipped automatic',
    );
    const question = await written({ to: dora, subject: 'Are you there?' });
    await decided(sub, question);
    const reply = await received({
      from: dora,
      subject: 'Re: Are you there?',
      inReplyTo: question,
      headers: away,
    });
    assert.equal(await decided(sub, reply), 'stored thread_member');
    const { data } = await story.gateway.must<{ data: { id: string }[] }>(
      'GET',
      `${sub}/conversations?contact_id=dora`,
    );
    const messages = await story.gateway.must<{ data: { subject: string; automatic: string | null }[] }>(
      'GET',
      `${sub}/conversations/${data[0]?.id}/messages`,
    );
    assert.equal(messages.data.find(({ subject }) => subject.startsWith('Re:'))?.automatic, 'auto_reply');
  });

  test('S15 never_log: whatever else applies', async () => {
    const emil = await contact(sub, 'emil');
    assert.equal(
      await decided(sub, await received({ from: emil, subject: 'Before' })),
      'stored from_contact',
    );
    await story.gateway.must('PUT', `${sub}/never-log`, { entries: [emil] });
    assert.equal(await decided(sub, await received({ from: emil, subject: 'After' })), 'skipped never_log');
    await story.gateway.must('PUT', `${sub}/never-log`, { entries: [] });
  });

  test('L1, L4 attachment_too_large: a line in the conversation, until the rest is asked for by hand', async () => {
    const { gateway } = story;
    const fred = await contact(sub, 'fred');
    const { id, limits } = await gateway.must<{ id: string; limits: Record<string, unknown> }>(
      'GET',
      `${sub}/users/ann/connection`,
    );
    assert.equal(limits['attachments_bytes_max'], 30_000, 'the operator’s figure');
    const file = {
      filename: 'plan.pdf',
      content: Buffer.alloc(30_000, '%PDF-1.7 '),
      contentType: 'application/pdf',
    };
    const send = (bytes: number) =>
      deliver(story.servers, {
        from: fred,
        to: story.ann,
        subject: `${bytes}`,
        text: 'Here it is.',
        attachments: [file, { ...file, content: Buffer.alloc(bytes, 'x') }],
      });
    type Shown = {
      subject: string;
      text: string;
      omitted: { reason: string; decision_id: string } | null;
      attachments: { size: number }[];
    };
    const shown = async (subject: string) => {
      const [conversation] = (
        await gateway.must<{ data: { id: string }[] }>('GET', `${sub}/conversations?contact_id=fred`)
      ).data;
      const messages = `${sub}/conversations/${conversation?.id}/messages`;
      const { data } = await gateway.must<{ data: Shown[] }>('GET', messages);
      return data.find((message) => message.subject === subject);
    };
    assert.equal(await decided(sub, (await send(0)).messageId), 'stored from_contact');
    assert.equal(await decided(sub, (await send(20_000)).messageId), 'skipped attachment_too_large');
    const line = await shown('20000');
    assert.deepEqual(
      [line?.text, line?.attachments, line?.omitted?.reason],
      ['', [], 'attachment_too_large'],
    );
    await gateway.must('POST', `${sub}/decisions/${line?.omitted?.decision_id}/store`);
    const whole = await waitFor('the rest of it', async () => {
      const message = await shown('20000');
      return message?.omitted === null ? message : null;
    });
    assert.deepEqual(
      [whole.text.trim(), whole.attachments.map(({ size }) => size)],
      ['Here it is.', [30_000, 20_000]],
    );
    const write = () =>
      gateway.call('POST', `${sub}/messages`, {
        kind: 'individual',
        user_id: 'ann',
        contact_id: 'fred',
        text: 'x',
        attachments: [{ name: 'a.bin', content: Buffer.alloc(30_001).toString('base64') }],
      });
    assert.equal((await write()).status, 422);
    // What is said of one mailbox goes before it.
    await gateway.must('PUT', `/v1/connections/${id}/limits`, { attachments_bytes_max: 30_001 });
    assert.equal((await write()).status, 202);
    await gateway.must('PUT', `/v1/connections/${id}/limits`, {});
  });

  test('S10 feature_off: of an Outlook mailbox only what the CRM began', async () => {
    const { gateway, servers, ann } = story;
    const owen = `owen@${ann.split('@')[1] ?? ''}`;
    await gateway.must('PUT', '/v1/sub-accounts/hooli', {
      name: 'Hooli',
      settings: { outlook_two_way_sync: false },
    });
    const hooli = '/v1/sub-accounts/hooli';
    await gateway.must('PUT', '/v1/users/owen', { name: 'Owen', email: owen });
    await gateway.must('PUT', `${hooli}/users/owen`);
    const fred = await contact(hooli, 'fred');
    await servers.identity.setPerson(owen, {});
    const link = await gateway.must<{ url: string }>('POST', `${hooli}/users/owen/connection-links`, {
      provider: 'outlook',
    });
    const { status, page } = await consentByLink(link.url, owen);
    assert.ok(status < 400, page);
    await waitFor('Owen to be live', async () => {
      const { body } = await gateway.call('GET', `${hooli}/users/owen/connection`);
      return body['state'] === 'live';
    });
    const { messageId } = await deliver(servers, {
      from: fred,
      to: owen,
      subject: 'Out of the blue',
      text: 'x',
    });
    assert.equal(await decided(hooli, messageId), 'skipped feature_off');
    const sent = await gateway.must<{ message: { internet_message_id: string } }>(
      'POST',
      `${hooli}/messages`,
      {
        kind: 'individual',
        user_id: 'owen',
        contact_id: 'fred',
        subject: 'From the CRM',
        text: 'x',
      },
    );
    const asked = `<${sent.message.internet_message_id}>`;
    const answer = await deliver(servers, {
      from: fred,
      to: owen,
      subject: 'Re: From the CRM',
      text: 'x',
      inReplyTo: asked,
    });
    assert.equal(await decided(hooli, answer.messageId), 'stored thread_member');
  });

  test('C4, S8, S9, S4: one mailbox in two sub-accounts: both get a contact’s mail until one of them answers', async () => {
    const { gateway, ann, carla, receiver } = story;
    await gateway.must('PUT', globex, { name: 'Globex' });
    await gateway.must('PUT', `${globex}/users/ann`);
    await gateway.must('PUT', `${globex}/contacts/carla-too`, { name: 'Carla', emails: [carla] });
    const link = await gateway.must<{ url: string }>('POST', `${globex}/users/ann/connection-links`, {
      provider: 'gmail',
    });
    const { status, page } = await consentByLink(link.url, ann);
    assert.ok(status < 400, page);
    await waitFor('both to be live', async () => {
      const { data } = await gateway.must<{ data: { state: string; email: string }[] }>(
        'GET',
        '/v1/connections?state=live',
      );
      return data.filter(({ email }) => email === ann).length === 2;
    });

    const first = await received({ from: carla, subject: 'For whom?' });
    assert.equal(await decided(sub, first), 'stored from_contact');
    assert.equal(await decided(globex, first), 'stored from_contact');

    await gateway.must('PUT', `${globex}/contacts/greta`, {
      name: 'Greta',
      emails: [`greta@${carla.split('@')[1] ?? ''}`],
      assigned_user_id: 'ann',
    });
    const greta = await contact(sub, 'greta');
    const assigned = await received({ from: greta, subject: 'Assigned there' });
    assert.equal(await decided(globex, assigned), 'stored from_contact');
    assert.equal(await decided(sub, assigned), 'skipped not_assigned');

    const question = await gateway.must<{ data: { id: string; subject: string }[] }>(
      'GET',
      `${sub}/conversations/${(await gateway.must<{ data: { id: string }[] }>('GET', `${sub}/conversations?contact_id=carla`)).data[0]?.id}/messages`,
    );
    await gateway.must('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      reply_to_message_id: question.data.find(({ subject }) => subject === 'For whom?')?.id,
      text: 'For us.',
    });
    const unlinked = await receiver.waitForEvent(
      'the other’s thread to be unlinked',
      (event) => event.type === 'thread.unlinked' && event.sub_account_id === 'globex',
    );
    assert.equal(unlinked.data['reason'], 'claimed_elsewhere');

    const answer = await received({ from: carla, subject: 'Re: For whom?', inReplyTo: first });
    assert.equal(await decided(sub, answer), 'stored thread_member');
    assert.equal(await decided(globex, answer), 'skipped thread_unlinked');
    const another = await received({ from: carla, subject: 'Something else' });
    assert.equal(await decided(sub, another), 'stored from_contact');
    assert.equal(await decided(globex, another), 'skipped claimed_elsewhere');
  });

  test('C6: another mailbox takes the place of the connected one; the old one’s threads sync there no more', async () => {
    const { gateway, servers, ann, carla, receiver } = story;
    const newAnn = `new-${ann}`;
    await servers.identity.setPerson(newAnn, {});
    const link = await gateway.must<{ url: string }>('POST', `${sub}/users/ann/connection-links`, {
      provider: 'gmail',
      replace: true,
    });
    const { status, page } = await consentByLink(link.url, newAnn);
    assert.ok(status < 400, page);
    await receiver.waitForEvent('the end of the old one', (event) => event.type === 'connection.superseded');
    await waitFor('the new one to be live', async () => {
      const { body } = await gateway.call('GET', `${sub}/users/ann/connection`);
      return body['state'] === 'live' && body['email'] === newAnn;
    });
    // Globex is connected to the old mailbox still, so that it is looked at; Acme gets nothing of it.
    const old = await received({ from: carla, subject: 'To the old address' });
    assert.equal(await decided(globex, old), 'stored from_contact', 'the claim ended with the connection');
    const { data } = await gateway.must<{ data: Decision[] }>(
      'GET',
      `${sub}/decisions?internet_message_id=${encodeURIComponent(old)}`,
    );
    assert.deepEqual(data, []);
    const fresh = await deliver(servers, {
      from: carla,
      to: newAnn,
      subject: 'To the new address',
      text: 'x',
    });
    assert.equal(await decided(sub, fresh.messageId), 'stored from_contact');
  });
});
