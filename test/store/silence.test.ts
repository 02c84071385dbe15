import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { watchSilence } from '../../src/store/silence.ts';
import type { Watched } from '../../src/store/silence.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import type { SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';

describe('connections of which nothing is heard', () => {
  let url: string;
  let proxy: SilentProxy;
  before(async () => {
    url = await createPostgresDatabase('empty');
    proxy = await startSilentProxy(Number(new URL(url).port));
  });
  after(async () => {
    await proxy.stop();
    await dropPostgresDatabase(url);
  });

  /** Watches connections until the server has been asked `times` times; answers which were given up. */
  /** PostgreSQL answers within it on a busy machine, too. */
  const patientMs = 1_000;

  async function watch(
    connections: readonly (Partial<Watched> & { name: string })[],
    options: {
      times?: number;
      database?: string;
      server?: Pick<SilentProxy, 'port' | 'taken'>;
      silenceMs?: number;
      given?: number;
    } = {},
  ): Promise<string[]> {
    const {
      times = 2,
      database = new URL(url).pathname,
      server = proxy,
      silenceMs = patientMs,
      given = 0,
    } = options;
    const givenUp: string[] = [];
    const watched = connections.map(({ name, ...more }): Watched & { name: string } => ({
      name,
      isWaiting: () => !givenUp.includes(name),
      received: () => 7,
      backend: null,
      giveUp: () => void givenUp.push(name),
      ...more,
    }));
    const through = Object.assign(new URL(url), { port: String(server.port), pathname: database }).href;
    const before = server.taken();
    const end = watchSilence({ connections: () => watched, silenceMs, url: through });
    await waitFor(
      'the server to be asked',
      () => server.taken() >= before + times && givenUp.length >= given,
    );
    end();
    return givenUp;
  }

  let bytes = 0;
  /** Of no process that this server has. */
  const forgotten = { backend: 2_147_483_000 };
  const asked = { name: 'asked', backend: null };

  test('one that the server does not know to be at work is given up; one that it may not know is not', async () => {
    assert.deepEqual(await watch([{ name: 'forgotten', ...forgotten }, asked]), ['forgotten']);
  });

  test('one that owes nothing, or on which something comes, is left alone', async () => {
    const idle = { name: 'idle', ...forgotten, isWaiting: () => false };
    const heard = { name: 'heard', ...forgotten, received: () => (bytes += 1) };
    assert.deepEqual(await watch([idle, heard, asked]), []);
  });

  test('where the server will not say, none is: it is there', async () => {
    assert.deepEqual(await watch([{ name: 'forgotten', ...forgotten }, asked], { database: '/nowhere' }), []);
  });

  /** A server that says a byte to each connection, after `first` to the first, and no more. */
  async function withTaciturn(
    first: () => void,
    ask: (server: Pick<SilentProxy, 'port' | 'taken'>) => Promise<void>,
  ) {
    let taken = 0;
    const server = createServer((socket) => {
      taken += 1;
      if (taken === 1) first();
      socket.on('error', () => {}).write('R');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await ask({ port: (server.address() as AddressInfo).port, taken: () => taken });
    server.close();
  }

  test('where it takes up the call and comes to no answer, none is: a pooler has no connection free, or much is to be done', async () => {
    await withTaciturn(
      () => {},
      async (server) =>
        assert.deepEqual(
          await watch([{ name: 'slow', ...forgotten }, asked], { server, times: 3, silenceMs: 50 }),
          [],
        ),
    );
  });

  test('while this process stands still, none is: what came has not been read', async () => {
    const standStill = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    await withTaciturn(standStill, async (server) =>
      assert.deepEqual(await watch([{ name: 'slow' }, asked], { server, times: 3, silenceMs: 50 }), []),
    );
  });

  test('where its address is not known, none is: that says nothing of the server', async () => {
    let looks = 0;
    const slow = {
      isWaiting: () => true,
      received: () => 7,
      backend: null,
      giveUp: () => assert.fail('it was given up'),
    };
    const end = watchSilence({
      connections: () => ((looks += 1), [slow]),
      silenceMs: 50,
      // A longer name than there can be.
      url: `postgres://a:b@${'x'.repeat(64)}/x`,
    });
    await waitFor('it to be asked after twice', () => looks >= 20);
    end();
  });

  test('where it does not answer, all are', async () => {
    proxy.fallSilent();
    const all = await watch([{ name: 'forgotten', ...forgotten }, { name: 'other' }, asked], {
      times: 1,
      given: 3,
    });
    assert.equal(all.length, 3);
    proxy.recover();
  });
});
