import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { Failure } from '../../src/lib/failure.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { createTokenService } from '../../src/provider/tokens.ts';
import { startIdentityProvider, type IdentityProvider } from '../support/identity.ts';
import { clientAt, introspect } from './consent.ts';
import { createStore, logInto, oneNode, twoNodes } from './token-parts.ts';

const box: MailboxId = 'mbx_1';
const hour = 3600_000;
const minute = 60_000;

test('a token that lives for more than five minutes is shared as it is', async () => {
  const { service, provider, clock } = oneNode({ accessTokenExpiresAt: 5 * minute + 1 });
  assert.deepEqual(await service.accessToken(box), {
    token: 'access-0',
    expiresAt: clock.now() + 5 * minute + 1,
    login: 'ada@token.example',
  });
  assert.equal(provider.calls, 0);
});

test('a token that is about to end is renewed, and the next caller gets the new one', async () => {
  const { service, provider, store, clock } = oneNode({ accessTokenExpiresAt: 5 * minute });
  const renewed = await service.accessToken(box);
  assert.deepEqual(renewed, { token: 'access-1', expiresAt: clock.now() + hour, login: 'ada@token.example' });
  assert.deepEqual(await service.accessToken(box), renewed);
  assert.equal(provider.calls, 1);
  assert.equal(store.row?.accessToken, 'access-1');
  assert.equal(store.leaseOwner, null);
});

test('without a token there is one to fetch', async () => {
  const { service } = oneNode({ accessToken: null, accessTokenExpiresAt: null });
  assert.equal((await service.accessToken(box)).token, 'access-1');
});

test('fifty callers of one mailbox share one refresh', async () => {
  const { service, provider, store } = oneNode({ accessTokenExpiresAt: 0 });
  provider.hold();
  const callers = Array.from({ length: 50 }, () => service.accessToken(box));
  await provider.called(1);
  provider.release();
  assert.deepEqual(new Set((await Promise.all(callers)).map(({ token }) => token)), new Set(['access-1']));
  assert.equal(provider.calls, 1);
  assert.deepEqual(store.log, ['lock', 'save', 'unlock']);
});

test('the rotated refresh token is stored before the access token is handed out', async () => {
  const { service, provider, store } = oneNode({ accessTokenExpiresAt: 0 });
  provider.rotates = true;
  await service.accessToken(box);
  assert.equal(store.row?.refreshToken, 'refresh-1');
  await store.expire();
  await service.accessToken(box);
  assert.deepEqual(provider.usedRefreshTokens, ['refresh-0', 'refresh-1']);
});

test('without rotation the refresh token stays', async () => {
  const { service, store } = oneNode({ accessTokenExpiresAt: 0 });
  await service.accessToken(box);
  assert.equal(store.row?.refreshToken, 'refresh-0');
});

describe('a token that a server refused', () => {
  test('is renewed although it lives long', async () => {
    const { service, provider } = oneNode();
    assert.equal((await service.accessToken(box, { refused: 'access-0' })).token, 'access-1');
    assert.equal(provider.calls, 1);
  });

  test('is not renewed again when it was renewed since', async () => {
    const { service, provider } = oneNode({ accessToken: 'access-newer' });
    assert.equal((await service.accessToken(box, { refused: 'access-0' })).token, 'access-newer');
    assert.equal(provider.calls, 0);
  });

  test('by two connections at once is renewed once', async () => {
    const { service, provider } = oneNode();
    const tokens = await Promise.all([1, 2].map(() => service.accessToken(box, { refused: 'access-0' })));
    assert.deepEqual(
      tokens.map(({ token }) => token),
      ['access-1', 'access-1'],
    );
    await service.accessToken(box, { refused: 'access-0' });
    assert.equal(provider.calls, 1);
  });

  test('is not handed back by a refresh that somebody else had begun', async () => {
    const nodes = twoNodes({ accessTokenExpiresAt: 0 });
    nodes.provider.hold();
    const other = nodes.b.accessToken(box);
    await nodes.provider.called(1);
    // This node waits for the other's token, which a third party knows to be refused by the time it comes.
    const content = nodes.a.accessToken(box);
    const discontent = nodes.a.accessToken(box, { refused: 'access-1' });
    nodes.provider.release();
    await other;
    await nodes.clock.advance(minute);
    assert.equal((await content).token, 'access-1');
    assert.equal((await discontent).token, 'access-2');
  });
});

describe('two nodes on one store', () => {
  test('make one token call, and the loser takes the token of the winner', async () => {
    const { a, b, provider, clock, store } = twoNodes({ accessTokenExpiresAt: 0 });
    provider.hold();
    const first = a.accessToken(box);
    const second = b.accessToken(box);
    await provider.called(1);
    await clock.advance(2_000);
    assert.equal(provider.calls, 1, 'the loser waits');
    provider.release();
    await clock.advance(1_000);
    assert.deepEqual(await second, await first);
    assert.equal(provider.calls, 1);
    assert.equal(store.leaseOwner, null);
  });

  test('the one who gets the lease late looks again before it asks', async () => {
    const { a, b, provider, clock, store } = twoNodes({ accessTokenExpiresAt: 0 });
    store.beforeLock = async () => {
      store.beforeLock = null;
      await b.accessToken(box);
    };
    assert.equal((await a.accessToken(box)).token, 'access-1');
    await clock.advance(1_000);
    assert.equal(provider.calls, 1);
  });

  test('a node that died while refreshing blocks the mailbox for a minute only', async () => {
    const { a, b, provider, clock, store } = twoNodes({ accessTokenExpiresAt: 0 });
    provider.hold();
    const dead = a.accessToken(box);
    await provider.called(1);
    const second = b.accessToken(box);
    await clock.advance(59_000);
    assert.equal(provider.calls, 1);
    await clock.advance(2_000);
    assert.equal(provider.calls, 2);
    provider.release();
    await clock.advance(1_000);
    // It was not dead, only slow: one of the two is stored, neither overwrites the other, both use that one.
    const stored = store.row?.accessToken;
    assert.deepEqual([(await dead).token, (await second).token], [stored, stored]);
    assert.equal(store.row?.version, 2);
  });

  test('a lease that never comes free is a temporary failure, by the deadline', async () => {
    const { a, clock, store, provider } = twoNodes({ accessToken: null, accessTokenExpiresAt: null });
    store.lockedForEver = true;
    const waiting = fails(a.accessToken(box));
    await clock.advance(1_000);
    clock.shift(-hour);
    await clock.advance(90_000);
    const failure = await waiting;
    assert.deepEqual([failure.kind, failure.code], ['temporary', 'token_refresh_busy']);
    assert.equal(provider.calls, 0);
    assert.equal(clock.sleeping(), 0);
  });
});

describe('when it goes wrong', () => {
  test('a crash between refresh and save loses nothing: the old refresh token is still stored and works', async () => {
    const { a, b, store, provider, clock } = twoNodes({ accessTokenExpiresAt: 0 });
    provider.rotates = true;
    store.crashOnSave = true;
    void a.accessToken(box);
    await provider.called(1);
    await clock.advance(1_000);
    assert.equal(store.row?.refreshToken, 'refresh-0');
    assert.equal(store.row?.accessToken, 'access-0', 'the token that was not saved was not used');
    store.crashOnSave = false;
    const again = b.accessToken(box);
    await clock.advance(61_000);
    assert.equal((await again).token, 'access-2');
    assert.deepEqual(provider.usedRefreshTokens, ['refresh-0', 'refresh-0']);
  });

  test('a store that is away for minutes is waited for: the rotated refresh token is nowhere else', async () => {
    const { service, store, provider, clock, warnings } = oneNode({ accessTokenExpiresAt: 0 });
    provider.rotates = true;
    store.awayUntil = clock.now() + 4 * minute;
    const waiting = service.accessToken(box);
    const joined = service.accessToken(box);
    await clock.advance(4 * minute - 1);
    assert.equal(store.row?.refreshToken, 'refresh-0');
    await clock.advance(15_001);
    assert.deepEqual(
      [(await waiting).token, (await joined).token, store.row?.refreshToken, store.row?.accessToken],
      ['access-1', 'access-1', 'refresh-1', 'access-1'],
    );
    assert.equal(provider.calls, 1);
    assert.ok(warnings.length > 5 && warnings.length < 40, `${warnings.length}`);
  });

  test('a store that stays away is an error in the end', async () => {
    const { service, store, clock } = oneNode({ accessTokenExpiresAt: 0 });
    store.awayUntil = clock.now() + hour;
    const waiting = assert.rejects(service.accessToken(box), /the database is away/);
    await clock.advance(minute);
    clock.shift(-hour);
    await clock.advance(5 * minute);
    await waiting;
    assert.equal(clock.sleeping(), 0);
  });

  test('a revoked consent is denied, and nothing is erased', async () => {
    const { service, provider, store } = oneNode({ accessTokenExpiresAt: 0 });
    provider.failure = new Failure('denied', 'token_revoked', 'invalid_grant');
    const failure = await fails(service.accessToken(box));
    assert.deepEqual([failure.kind, failure.code], ['denied', 'token_revoked']);
    assert.equal(store.row?.refreshToken, 'refresh-0');
    assert.equal(store.leaseOwner, null, 'the lease is given back');
  });

  test('an outage stays an outage, and the next call works', async () => {
    const { service, provider } = oneNode({ accessTokenExpiresAt: 0 });
    provider.failure = new Failure('temporary', 'token_endpoint_unavailable', 'HTTP 503');
    const [one, other] = await Promise.all([
      fails(service.accessToken(box)),
      fails(service.accessToken(box)),
    ]);
    assert.deepEqual([one.kind, other.kind, provider.calls], ['temporary', 'temporary', 1]);
    provider.failure = null;
    assert.equal((await service.accessToken(box)).token, 'access-2');
  });

  test('a newer consent is never overwritten by an older refresh', async () => {
    const { service, provider, store, clock } = oneNode({ accessTokenExpiresAt: 0 });
    provider.hold();
    const waiting = service.accessToken(box);
    await provider.called(1);
    store.consentAgain();
    provider.release();
    await clock.advance(1_000);
    assert.equal((await waiting).token, 'access-of-new-consent');
    assert.equal(store.row?.refreshToken, 'refresh-of-new-consent');
  });

  test('a refusal of the old grant is none of the consent that came meanwhile', async () => {
    const { service, provider, store, clock } = oneNode({ accessTokenExpiresAt: 0 });
    provider.hold();
    const waiting = service.accessToken(box);
    await provider.called(1);
    store.consentAgain();
    provider.failure = new Failure('denied', 'token_revoked', 'invalid_grant');
    provider.release();
    await clock.advance(1_000);
    assert.equal((await waiting).token, 'access-of-new-consent');
  });

  test('a mailbox that was disconnected has no credential', async () => {
    const { service, store } = oneNode();
    store.row = null;
    const failure = await fails(service.accessToken(box));
    assert.deepEqual([failure.kind, failure.code], ['denied', 'credential_missing']);
  });

  test('a lease that cannot be given back harms nobody', async () => {
    const { service, store, warnings } = oneNode({ accessTokenExpiresAt: 0 });
    store.crashOnUnlock = true;
    assert.equal((await service.accessToken(box)).token, 'access-1');
    assert.match(warnings.join(), /lease/);
  });
});

describe('against the token endpoints', () => {
  let identity: IdentityProvider;
  before(async () => {
    identity = await startIdentityProvider();
  });
  after(() => identity.stop());

  for (const name of ['gmail', 'outlook'] as const) {
    test(`${name}: two nodes, twenty callers, one call; then revoked`, async () => {
      const login = `nodes.${name}@token.example`;
      const dialect = name === 'gmail' ? 'google' : 'microsoft';
      const grant = await identity.issueGrant(login, dialect);
      const clock = systemClock;
      const store = createStore(clock, { ...grant, login, provider: name, accessTokenExpiresAt: 0 });
      const node = () =>
        createTokenService({ store, clock, oauthFor: () => clientAt(identity, name), log: logInto([]) });
      const nodes = [node(), node()];
      const callers = nodes.flatMap((node) => Array.from({ length: 10 }, () => node.accessToken(box)));
      const tokens = await Promise.all(callers);
      assert.equal(new Set(tokens.map(({ token }) => token)).size, 1);
      assert.equal((await identity.counts(login)).refresh, 1);
      assert.equal((await introspect(identity, tokens[0]?.token ?? '')).username, login);
      assert.equal(store.row?.refreshToken === grant.refreshToken, name === 'gmail', 'rotated at Microsoft');
      await identity.revoke(login);
      const failure = await fails(node().accessToken(box, { refused: tokens[0]?.token ?? '' }));
      assert.deepEqual([failure.kind, failure.code], ['denied', 'token_revoked']);
    });
  }
});

async function fails(promise: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await promise.then(
    () => assert.fail('resolved'),
    (error: unknown) => error,
  );
  assert(thrown instanceof Failure, String(thrown));
  return thrown;
}
