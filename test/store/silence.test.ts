import assert from 'node:assert/strict';
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
  async function watch(
    connections: readonly (Partial<Watched> & { name: string })[],
    options: { times?: number; database?: string } = {},
  ): Promise<string[]> {
    const { times = 2, database = new URL(url).pathname } = options;
    const givenUp: string[] = [];
    const watched = connections.map(({ name, ...more }): Watched & { name: string } => ({
      name,
      isWaiting: () => !givenUp.includes(name),
      received: () => 7,
      backend: null,
      giveUp: () => void givenUp.push(name),
      ...more,
    }));
    const through = Object.assign(new URL(url), { port: String(proxy.port), pathname: database }).href;
    const before = proxy.taken();
    const end = watchSilence({ connections: () => watched, silenceMs: 50, url: through });
    await waitFor('the server to be asked', () => proxy.taken() >= before + times);
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

  test('where it does not answer, all are', async () => {
    proxy.fallSilent();
    const all = await watch([{ name: 'forgotten', ...forgotten }, { name: 'other' }, asked], { times: 1 });
    await waitFor('all to be given up', () => all.length === 3);
    proxy.recover();
  });
});
