import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { postfixReport, readReceipt } from '../fixtures/message/delivery-reports.ts';
import { deliver, passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

type Report = {
  address: string;
  action: string;
  class: string | null;
  status: string | null;
  words: string | null;
};
type Send = {
  id: string;
  state: string;
  reason: string | null;
  reports: Report[];
  answered: { message_id: string; at: string } | null;
  auto_replied: { message_id: string; at: string } | null;
};
type Message = { id: string; answers: string | null; automatic: string | null; internet_message_id: string };

describe('D6, D7, S11: what comes back to what the CRM sent, through a real Postfix and Dovecot', () => {
  let story: Story;

  before(async () => {
    story = await openStory({ name: 'back', database: 'postgres' });
    const { dovecot, smtp } = story.servers;
    const { gateway, sub, ann } = story;
    await gateway.must('PUT', `${sub}/users/ann/connection`, {
      provider: 'imap',
      email: ann,
      imap: { host: dovecot.imap.full.host, port: dovecot.imap.full.tlsPort, security: 'tls' },
      smtp: { host: smtp.host, port: smtp.impatientPort, security: 'starttls' },
      auth: { kind: 'password', username: ann, password: passwordOf(ann) },
    });
    await story.waitForState('live');
  });
  after(() => story.end());

  async function send(subject: string, to: { cc?: string[]; text?: string } = {}) {
    const { gateway, sub } = story;
    const answer = await gateway.must<{ message: Message; send: Send }>('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject,
      text: 'Hello',
      ...to,
    });
    const shown = () => gateway.must<Send>('GET', `${sub}/sends/${answer.send.id}`);
    await waitFor('it to be sent', async () => ['sent', 'bounced'].includes((await shown()).state));
    return { ...answer, shown };
  }

  test('each recipient that was not reached, or not yet, is told apart', async () => {
    const cc = ['nobody@bounces.test', 'x@full.test', 'x@small.test', 'x@stalls.test'];
    const { shown, send: sent } = await send('Offer', { cc, text: 'Hello. '.repeat(2_000) });
    await waitFor('every report', async () => (await shown()).reports.length === cc.length);
    const { state, reason, reports } = await shown();
    assert.equal(state, 'bounced');
    const byAddress = new Map(reports.map((report) => [report.address, report]));
    assert.deepEqual(
      cc.map((address) => {
        const { action, class: bounce, status } = byAddress.get(address) ?? {};
        return [address, action, bounce, status];
      }),
      [
        ['nobody@bounces.test', 'failed', 'hard', '5.1.1'],
        ['x@full.test', 'failed', 'soft', '5.2.2'],
        ['x@small.test', 'failed', 'soft', '5.3.4'],
        ['x@stalls.test', 'delayed', null, '4.4.1'],
      ],
    );
    assert.match(byAddress.get('x@full.test')?.words ?? '', /552 5\.2\.2 .*full/);
    assert.match(reason ?? '', /nobody@bounces\.test: .*No such user here/);
    assert.doesNotMatch(reason ?? '', /stalls/);
    await story.receiver.waitForEvent(
      'the bounce',
      ({ type, data }) => type === 'send.bounced' && (data as Send).id === sent.id,
    );
    const { ann } = story;
    assert.equal(
      (await story.conversation()).filter(({ from }) => from.address !== ann).length,
      0,
      'no report is a message',
    );
  });

  test('an absence notice, a read receipt and an answer are told apart', async () => {
    const { servers, ann, carla, gateway, sub } = story;
    const { shown, message } = await send('Question');
    const id = message.internet_message_id;
    const about = { id, from: ann, to: carla, date: 'Fri, 20 Nov 2026 10:00:00 +0000', subject: 'Question' };
    const envelope = { from: '', to: [ann] };
    const answer = { from: carla, to: ann, inReplyTo: `<${id}>`, references: [`<${id}>`] };
    const headers = { 'Auto-Submitted': 'auto-replied' };
    await deliver(servers, { ...answer, subject: 'Out of office', text: 'Away.', headers });
    await waitFor('the absence notice', async () => (await shown()).auto_replied !== null);
    assert.equal((await shown()).answered, null);
    await deliver(servers, { from: carla, to: ann, raw: readReceipt(about), envelope });
    await waitFor('the receipt', async () =>
      (await shown()).reports.some(({ action }) => action === 'displayed'),
    );
    await deliver(servers, { ...answer, subject: 'Re: Question', text: 'Yes.' });
    await waitFor('the answer', async () => (await shown()).answered !== null);
    const { state, answered, auto_replied } = await shown();
    assert.equal(state, 'sent');
    const read = (of: Send['answered']) => gateway.must<Message>('GET', `${sub}/messages/${of?.message_id}`);
    const [person, program] = [await read(answered), await read(auto_replied)];
    assert.deepEqual([person.answers, person.automatic], [message.id, null]);
    assert.deepEqual([program.answers, program.automatic], [message.id, 'auto_reply']);
    await story.receiver.waitForEvent('the answer, with what was sent', ({ type, data }) => {
      const { id: of, send: now } = data as { id: string; send: Send | null };
      return type === 'message.updated' && of === message.id && now?.answered?.message_id === person.id;
    });
  });

  test('a report of somebody who has a return path, or about somebody else, changes nothing', async () => {
    const { servers, ann, carla, gateway, sub } = story;
    const { shown, message } = await send('Forged');
    const about = {
      id: message.internet_message_id,
      from: ann,
      to: carla,
      date: 'Fri, 20 Nov 2026 10:00:00 +0000',
      subject: 'Forged',
    };
    const withPath = postfixReport(about).toString().replace('Return-Path: <>\r\n', '');
    const forged = withPath.replace('4B2C1@mail.example', 'forged-1@mail.example');
    await deliver(servers, { from: carla, to: ann, raw: forged, envelope: { from: carla, to: [ann] } });
    const elsewhere = postfixReport({ ...about, to: 'eve@else.example' })
      .toString()
      .replace('4B2C1@', 'forged-2@');
    await deliver(servers, { from: carla, to: ann, raw: elsewhere, envelope: { from: '', to: [ann] } });
    for (const id of ['20261120100500.forged-1@mail.example', '20261120100500.forged-2@mail.example']) {
      const decided = await waitFor('the decision', async () => {
        const found = await gateway.must<{ data: { reason: string; steps: { because: string }[] }[] }>(
          'GET',
          `${sub}/decisions?internet_message_id=${encodeURIComponent(id)}`,
        );
        return found.data[0];
      });
      assert.equal(decided.reason, 'automatic');
      assert.match(decided.steps.at(-1)?.because ?? '', /not believed/);
    }
    const { state, reports } = await shown();
    assert.deepEqual([state, reports], ['sent', []]);
  });
});
