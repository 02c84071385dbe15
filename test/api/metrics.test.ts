import assert from 'node:assert/strict';
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
