import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { createManualClock } from '../support/manual-clock.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { startApi } from './support.ts';

test('/metrics is for keys of all sub-accounts, also for those that only read', async () => {
  const t = await startApi({ kind: 'pglite' });
  await t.call('PUT', '/v1/sub-accounts/acme', { json: { name: 'Acme' } });
  const ask = async (key: string | null) => (await t.call('GET', '/metrics', { key })).status;
  assert.equal(await ask(t.adminKey), 200);
  assert.equal(await ask(await t.makeKey(null, 'read')), 200);
  assert.equal(await ask(await t.makeKey('acme', 'write')), 403);
  assert.equal(await ask('tw_guessed'), 401);
  assert.equal(await ask(null), 401);
  await t.close();
});

test('/metrics: whoever guesses keys is held back by their address, and nobody else', async () => {
  const manual = createManualClock();
  const clock = { ...systemClock, monotonic: () => manual.monotonic() };
  const t = await startApi({ kind: 'pglite', clock });
  const ask = (key: string, from: string) =>
    t.api.request(
      '/metrics',
      { headers: { authorization: `Bearer ${key}` } },
      { incoming: { socket: { remoteAddress: from } as Socket } },
    );
  const guess = (from = '192.0.2.1') => ask('tw_guessed', from);
  for (let n = 0; n < 100; n += 1) assert.equal((await guess()).status, 401);
  const refused = await guess();
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get('retry-after'), '1');
  assert.equal((await guess('192.0.2.2')).status, 401);
  assert.equal((await ask(t.adminKey, '192.0.2.1')).status, 200, 'whoever has a key is not held back');
  await manual.advance(1_000);
  assert.equal((await guess()).status, 401, 'a second later there is one more');
  await t.close();
});

test('/metrics while the database is away: for a key that was good within the last hour, and for no other', async () => {
  const manual = createManualClock();
  const clock = { ...systemClock, monotonic: () => manual.monotonic() };
  const t = await startApi({ kind: 'pglite', clock });
  const known = await t.makeKey(null, 'read');
  const ask = async (key: string | null) => (await t.call('GET', '/metrics', { key })).status;
  assert.equal(await ask(known), 200);
  await t.close();
  assert.equal(await ask(known), 200);
  assert.equal(await ask(t.adminKey), 503, 'it was never asked for before');
  await manual.advance(3_600_001);
  assert.equal(await ask(known), 503);
});
