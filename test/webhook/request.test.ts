import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Agent } from 'undici';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import type { Answer } from '../../src/webhook/outcome.ts';
import { probeWebhook } from '../../src/webhook/probe.ts';
import { createWebhookAgent, postEvent } from '../../src/webhook/request.ts';
import { newSecret } from '../../src/webhook/sign.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';
import { loopbackGuard, secretBox } from './support.ts';

/** A server of raw answers: `respond` gets each request as text, and its number on its connection. */
async function startRaw(respond: (socket: Socket, text: string, nth: number) => void) {
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  const server = createServer((socket) => {
    connections += 1;
    let nth = 0;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (!text.endsWith('}')) return;
      requests += 1;
      respond(socket, text, (nth += 1));
      text = '';
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?x=1`,
    connections: () => connections,
    requests: () => requests,
    openSockets: () => [...sockets].filter((socket) => !socket.destroyed).length,
    stop: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const secrets = [`whsec_${Buffer.alloc(32).toString('base64')}`];
const never = new AbortController().signal;

describe('one try', () => {
  let agent: Agent;
  before(() => {
    agent = createWebhookAgent(loopbackGuard);
  });
  after(() => agent.close());

  const post = (
    url: string,
    more: { stop?: AbortSignal; clock?: typeof systemClock } = {},
  ): Promise<Answer> =>
    postEvent(
      { dispatcher: agent, clock: more.clock ?? systemClock },
      { url, id: 'evt_1', body: '{"a":1}', secrets },
      more.stop ?? never,
    );

  test('posts JSON with the three headers, and keeps its connection', async () => {
    const seen: string[] = [];
    const server = await startRaw((socket, text) => {
      seen.push(text);
      socket.write(ok);
    });
    assert.deepEqual(await post(server.url), { status: 200, retryAfterMs: null });
    for (let n = 0; n < 8; n += 1) await post(server.url);
    // A request that follows at once may still find the first one busy.
    assert.ok(server.connections() <= 2, `${server.connections()} connections`);
    const [request = ''] = seen;
    assert.match(request, /^POST \/hook\?x=1 HTTP\/1\.1\r\n/);
    assert.match(request, /\r\ncontent-type: application\/json\r\n/i);
    assert.match(request, /\r\nwebhook-id: evt_1\r\n/);
    assert.match(request, /\r\nwebhook-timestamp: \d+\r\n/);
    assert.match(request, /\r\nwebhook-signature: v1,\S+\r\n/);
    assert.match(request, /\r\n\r\n\{"a":1\}$/);
    await server.stop();
  });

  test('a redirect is the answer', async () => {
    const server = await startRaw((socket) =>
      socket.write('HTTP/1.1 307 Go\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n'),
    );
    assert.deepEqual(await post(server.url), { status: 307, retryAfterMs: null });
    await server.stop();
  });

  test('Retry-After in seconds and as a date', async () => {
    let value = '120';
    const server = await startRaw((socket) =>
      socket.write(`HTTP/1.1 503 Busy\r\nRetry-After: ${value}\r\nContent-Length: 0\r\n\r\n`),
    );
    assert.deepEqual(await post(server.url), { status: 503, retryAfterMs: 120_000 });
    value = new Date(Date.now() + 60_000).toUTCString();
    const dated = await post(server.url);
    const ms = dated.status === null ? 0 : (dated.retryAfterMs ?? 0);
    assert.ok(ms > 50_000 && ms <= 60_000, String(ms));
    value = 'soon';
    assert.deepEqual(await post(server.url), { status: 503, retryAfterMs: null });
    await server.stop();
  });

  test('an answer without end counts by its status, and is not read on', async () => {
    const server = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const flow = () => {
        while (!socket.destroyed && socket.write(`1000\r\n${'x'.repeat(0x1000)}\r\n`));
        if (!socket.destroyed) socket.once('drain', flow);
      };
      flow();
    });
    assert.deepEqual(await post(server.url), { status: 200, retryAfterMs: null });
    await waitFor('the connection to be closed', () => server.openSockets() === 0);
    await server.stop();
  });

  test('a kept connection that is closed under the request: once more on a new one, under the same id', async () => {
    const server = await startRaw((socket, _text, nth) => {
      if (nth === 1) socket.write(ok);
      else socket.destroy();
    });
    await post(server.url);
    await waitFor('the connection to be free', () => {
      const stats = agent.stats[new URL(server.url).origin];
      return stats !== undefined && 'free' in stats && stats.free === 1;
    });
    assert.deepEqual(await post(server.url), { status: 200, retryAfterMs: null });
    assert.equal(server.connections(), 2);
    await server.stop();
  });

  test('a connection that is always cut is a failure', async () => {
    const server = await startRaw((socket) => socket.destroy());
    const answer = await post(server.url);
    assert.ok(
      answer.status === null && /UND_ERR_SOCKET|ECONNRESET/.test(answer.error),
      JSON.stringify(answer),
    );
    assert.equal(server.connections(), 2);
    await server.stop();
  });

  test('no answer within 15 s ends the try', async () => {
    const clock = createManualClock();
    const server = await startRaw(() => {});
    const answer = post(server.url, { clock });
    await waitFor('the request to arrive', () => server.requests() === 1);
    await clock.advance(15_000);
    assert.deepEqual(await answer, { status: null, error: 'no answer within 15 s', stopped: false });
    assert.equal(clock.sleeping(), 0, 'no timer is left');
    await server.stop();
  });

  test('a test event takes as long as it takes, though the clock is set back meanwhile', async () => {
    let shiftMs = 0;
    const clock = { ...systemClock, now: () => Date.now() + shiftMs };
    const server = await startRaw((socket) => {
      shiftMs = -3_600_000;
      socket.write(ok);
    });
    const id = newId('whk');
    const { sealed: secretSealed } = newSecret(secretBox, id);
    const webhook = { id, url: server.url, subAccountId: null, secretSealed };
    const { delivered, tookMs } = await probeWebhook({ dispatcher: agent, clock, secretBox }, webhook);
    assert.ok(delivered);
    assert.ok(Number.isInteger(tookMs) && tookMs >= 0, `${tookMs} ms`);
    await server.stop();
  });

  test('nor does half an answer prolong it', async () => {
    const clock = createManualClock();
    const server = await startRaw((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Le'));
    const answer = post(server.url, { clock });
    await waitFor('the request to arrive', () => server.requests() === 1);
    await clock.advance(15_000);
    assert.deepEqual(await answer, { status: null, error: 'no answer within 15 s', stopped: false });
    await server.stop();
  });

  test('a stop gives it up', async () => {
    const stop = new AbortController();
    const server = await startRaw(() => {});
    const answer = post(server.url, { stop: stop.signal });
    await waitFor('the request to arrive', () => server.requests() === 1);
    stop.abort();
    assert.deepEqual(await answer, { status: null, error: 'the gateway was stopped', stopped: true });
    await server.stop();
  });

  test('what is wrong is said in words', async () => {
    const server = await startRaw(() => {});
    await server.stop();
    const refused = await post(server.url);
    assert.ok(refused.status === null && refused.error.includes('ECONNREFUSED'), JSON.stringify(refused));
    const garbage = await startRaw((socket) => socket.end('this is no HTTP\r\n\r\n'));
    const broken = await post(garbage.url);
    assert.ok(broken.status === null && broken.error.includes('HTTP'), JSON.stringify(broken));
    await garbage.stop();
  });

  test('a private address is not connected to, and the answer says why', async () => {
    const guarded = createWebhookAgent(createNetGuard({ allow: [] }));
    const server = await startRaw((socket) => socket.write(ok));
    const answer = await postEvent(
      { dispatcher: guarded, clock: systemClock },
      { url: server.url, id: 'evt_1', body: '{}', secrets },
      never,
    );
    assert.deepEqual(answer, {
      status: null,
      error: '127.0.0.1 is in a private network that is not allowed',
      stopped: false,
    });
    assert.equal(server.connections(), 0);
    await guarded.close();
    await server.stop();
  });
});
