import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

type Line = Record<string, unknown> & { msg: string };

describe('one id through the logs', () => {
  let story: Story;
  const lines = (): Line[] =>
    story.gateway
      .output()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
  const send = (headers: Record<string, string>, subject: string) =>
    fetch(`${story.gateway.url}${story.sub}/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${story.gateway.key}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: JSON.stringify({
        kind: 'individual',
        user_id: 'ann',
        contact_id: 'carla',
        subject,
        text: 'Dear Carla.',
      }),
    });

  before(async () => {
    story = await openStory({ name: 'logs', database: 'postgres' });
    await story.connect('gmail');
  });
  after(() => story.end());

  test('the call, the send, its try, and the deliveries of its events have the id that the CRM gave', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const answer = await send({ traceparent: `00-${trace}-00f067aa0ba902b7-01` }, 'Confidential offer');
    assert.equal(answer.status, 202);
    assert.equal(answer.headers.get('x-request-id'), trace);
    const { send: sent } = (await answer.json()) as { send: { id: string } };
    const mine = () => lines().filter(({ request_id: id }) => id === trace);
    await waitFor('the delivery of send.sent', () =>
      mine().some(
        ({ msg, type, state }) => msg === 'tried to deliver' && type === 'send.sent' && state === 'delivered',
      ),
    );
    const [call] = mine().filter(({ msg }) => msg === 'call');
    assert.deepEqual([call?.['route'], call?.['status']], ['/v1/sub-accounts/:sid/messages', 202]);
    const [accepted] = mine().filter(({ msg }) => msg === 'a message was accepted');
    assert.equal(accepted?.['send_id'], sent.id);
    const [tried] = mine().filter(({ msg }) => msg === 'tried');
    assert.deepEqual([tried?.['send_id'], tried?.['attempt'], tried?.['outcome']], [sent.id, 1, 'accepted']);
    const told = mine().filter(({ msg }) => msg === 'tried to deliver');
    for (const { event_id: event, delivery_id: delivery, level } of told) {
      assert.match(String(event), /^evt_/);
      assert.match(String(delivery), /^dlv_/);
      assert.equal(level, 30, 'it is there at the usual level');
    }
    const types = told.map(({ type }) => type);
    for (const type of ['message.created', 'send.queued', 'send.sent']) assert.ok(types.includes(type), type);
    const [other] = lines().filter(
      ({ msg, type }) => msg === 'tried to deliver' && type === 'connection.created',
    );
    assert.equal(other, undefined, 'what no call asked for has no line');
    for (const word of ['Confidential', story.ann, story.carla])
      assert.ok(!JSON.stringify(mine()).includes(word), `${word} is in the log`);
  });

  test('X-Request-Id is taken where it may stand in a log; else the call gets an id of its own', async () => {
    const given = await send({ 'x-request-id': 'crm.job-17_b' }, 'One');
    assert.equal(given.headers.get('x-request-id'), 'crm.job-17_b');
    for (const headers of [
      { 'x-request-id': 'a b' },
      { 'x-request-id': 'x'.repeat(65) },
      { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` },
      { traceparent: 'nonsense' },
    ]) {
      const answer = await send(headers, 'Another');
      assert.match(answer.headers.get('x-request-id') ?? '', /^[\w-]{12}$/);
    }
  });

  test('what is logged of a mailbox names it and its session', () => {
    const [login] = lines().filter(({ msg }) => msg === 'logged in');
    assert.match(String(login?.['mailbox']), /^mbx_/);
    assert.match(String(login?.['session']), /^[\w-]{8}$/);
  });
});
