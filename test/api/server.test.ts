import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { Hono } from 'hono';
import type { ApiBindings } from '../../src/api/route.ts';
import { startHttpServer } from '../../src/api/server.ts';

type App = Hono<{ Bindings: ApiBindings }>;

function start(add: (app: App) => void) {
  const app: App = new Hono();
  app.get('/', (c) => c.text('hello'));
  add(app);
  return startHttpServer({ app, host: '127.0.0.1', port: 0 });
}

async function get(url: string, agent: Agent | false = false): Promise<IncomingMessage> {
  const [response] = (await once(request(url, { agent }).end(), 'response')) as [IncomingMessage];
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  return Buffer.concat(await response.toArray()).toString();
}

describe('the HTTP server', () => {
  test('answers at its url, and no more after stop, which may be called twice', async () => {
    const server = await start(() => undefined);
    assert.equal(await textOf(await get(server.url)), 'hello');
    await Promise.all([server.stop(), server.stop()]);
    await assert.rejects(get(server.url), { code: 'ECONNREFUSED' });
  });

  test('its url leads to it also where it listens everywhere', async () => {
    for (const host of ['0.0.0.0', '::']) {
      const server = await startHttpServer({
        app: new Hono().get('/', (c) => c.text('hello')),
        host,
        port: 0,
      });
      assert.match(server.url, /^http:\/\/localhost:\d+$/);
      assert.equal(await textOf(await get(server.url)), 'hello');
      await server.stop();
    }
  });

  test('says when the port is taken', async () => {
    const server = await start(() => undefined);
    const port = Number(new URL(server.url).port);
    await assert.rejects(startHttpServer({ app: new Hono(), host: '127.0.0.1', port }), {
      code: 'EADDRINUSE',
    });
    await server.stop();
  });

  test('stop lets a call under way end, and closes kept-alive connections', async () => {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const server = await start((app) =>
      app.get('/slow', async (c) => {
        reached.resolve();
        await released.promise;
        return c.text('done');
      }),
    );
    const agent = new Agent({ keepAlive: true });
    await textOf(await get(server.url, agent));
    const slow = get(`${server.url}/slow`, agent);
    await reached.promise;
    const stopped = server.stop();
    released.resolve();
    assert.equal(await textOf(await slow), 'done');
    const before = performance.now();
    await stopped;
    assert.ok(performance.now() - before < 2000, 'the kept-alive connection held the server open');
    agent.destroy();
  });

  test('stop tells a stream that stays open by nature to end', async () => {
    const server = await start((app) =>
      app.get('/stream', (c) => {
        const body = new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('first'));
            c.env.stopping?.addEventListener('abort', () => controller.close());
          },
        });
        return c.body(body);
      }),
    );
    const response = await get(`${server.url}/stream`);
    await once(response, 'readable');
    const stopped = server.stop();
    assert.equal(await textOf(response), 'first');
    await stopped;
  });
});
