import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import type { ConnectRequest } from '../../src/mailbox/settle.ts';
import { createRevoker } from '../../src/mailbox/revocation.ts';
import type { OAuthClient } from '../../src/provider/oauth.ts';
import { run } from '../../src/store/database.ts';
import { createManualClock, type ManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';
import { grantOf, revoking, startConnecting, type ConnectingUnderTest } from './connecting.ts';

describe('C7 grants that nothing uses are ended at their provider', () => {
  let t: ConnectingUnderTest;
  let clock: ManualClock;
  let gmail: ReturnType<typeof revoking>;
  const ann: ConnectRequest = { subAccountId: 's1', userId: 'ann', replace: false, linkId: null };
  const token = 'rt-secret-of-ann@company.example';
  const outage = new Failure('temporary', 'token_endpoint_unreachable', 'no answer');

  before(async () => {
    clock = createManualClock(Date.now());
    gmail = revoking();
    t = await startConnecting({ kind: 'postgres', clock, more: [gmail] });
  });
  after(() => t.close());
  beforeEach(async () => {
    await run(t.db, 'truncate sub_accounts, users, mailboxes, events, revocations cascade');
    gmail.revoked.length = 0;
    gmail.answers.length = 0;
    t.logged.length = 0;
    await t.member('s1', 'ann');
  });

  const connect = (more: Parameters<typeof grantOf>[1] = {}) =>
    t.connecting.connectWithGrant({ ...ann, provider: 'gmail', grant: grantOf('ann@company.example', more) });
  async function leave(): Promise<void> {
    await connect();
    await t.connecting.disconnect({ userId: 'ann' });
  }
  /** Waits until so many tries have ended. */
  const tries = (number: number) =>
    waitFor(`try ${number} to end`, async () => {
      const free = await t.sql(
        `select 1 from revocations where attempts = ${number} and lease_owner is null`,
      );
      return free.length === 1;
    });
  const over = () => waitFor('the end', async () => (await t.sql('select 1 from revocations')).length === 0);
  async function hurry(): Promise<void> {
    await run(t.db, 'update revocations set due_at = now()');
    t.revoker.wake();
  }

  test('a provider that is away is tried again, later and later, for a week', async () => {
    gmail.answers.push(outage, outage, outage);
    await leave();
    const pauses: number[] = [];
    for (const number of [1, 2]) {
      await tries(number);
      const [row] = await t.sql<{ ms: number }>(
        'select (extract(epoch from due_at - now()) * 1000)::float8 as ms from revocations',
      );
      pauses.push(row?.ms ?? 0);
      await hurry();
    }
    const [first = 0, second = 0] = pauses;
    assert.ok(first > 10_000 && first <= 30_000, `${first}`);
    assert.ok(second > 25_000 && second <= 60_000, `${second}`);
    await tries(3);
    await run(t.db, `update revocations set created_at = now() - interval '6 days'`);
    await hurry();
    await over();
    assert.deepEqual(gmail.revoked, [token, token, token, token]);
    assert.equal(t.logged.filter((line) => line.includes('"level":"error"')).length, 0);

    gmail.answers.push(outage, outage);
    await leave();
    await tries(1);
    await run(t.db, `update revocations set created_at = now() - interval '8 days'`);
    await hurry();
    await over();
    assert.equal(t.logged.filter((line) => line.includes('"level":"error"')).length, 1);
    assert.doesNotMatch(t.logged.join(), /secret-of/);
  });

  test('a provider that asks for a pause gets it, and one that refuses is not asked again', async () => {
    gmail.answers.push(
      new Failure('throttled', 'slow_down', 'later', { retryAfterMs: 7_200_000 }),
      new Failure('permanent', 'refused', 'no'),
    );
    await leave();
    await tries(1);
    assert.equal(
      (await t.sql(`select 1 from revocations where due_at > now() + interval '119 minutes'`)).length,
      1,
    );
    await hurry();
    await over();
    assert.equal(gmail.revoked.length, 2);
  });

  test('a late revocation does not end the next consent', async () => {
    gmail.answers.push(outage);
    await leave();
    await tries(1);
    await connect({ refreshToken: 'rt-second' });
    await hurry();
    await over();
    assert.deepEqual(gmail.revoked, [token]);
  });

  test('a provider that is not configured just now is waited for', async () => {
    gmail.answers.push(outage);
    await leave();
    await tries(1);
    await run(t.db, `update revocations set provider = 'sandbox'`);
    await hurry();
    await tries(2);
    assert.match(t.logged.join(), /provider_not_configured/);
  });

  // The last: its revoker has stopped.
  test('what a process left is done by the next, from what is stored sealed', async () => {
    gmail.answers.push(outage);
    await leave();
    await tries(1);
    const [row] = await t.sql('select * from revocations');
    assert.doesNotMatch(JSON.stringify(row), /secret-of/);
    await t.revoker.stop();
    await run(t.db, 'update revocations set due_at = now()');
    const oauth: OAuthClient | null = gmail.oauth;
    const next = createRevoker({ ...t, clock, oauthOf: (name) => (name === 'gmail' ? oauth : null) });
    next.start();
    await over();
    await next.stop();
    assert.deepEqual(gmail.revoked, [token, token]);
  });
});
