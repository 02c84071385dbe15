import type { Clock } from '../../src/lib/clock.ts';
import type { Failure } from '../../src/lib/failure.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import type { Log } from '../../src/lib/log.ts';
import type { TokenSet } from '../../src/provider/oauth.ts';
import {
  createTokenService,
  type Credential,
  type TokenService,
  type TokenStore,
} from '../../src/provider/tokens.ts';
import { createManualClock, type ManualClock } from '../support/manual-clock.ts';

const hour = 3600_000;

/** A service on a store of one mailbox, whose token lives for an hour unless `row` says otherwise. */
export function oneNode(row: Partial<Credential> = {}) {
  const clock = createManualClock();
  const store = createStore(clock, row);
  const provider = createProvider(clock);
  const warnings: string[] = [];
  return { clock, store, provider, warnings, service: node(store, clock, provider, warnings) };
}

export function twoNodes(row: Partial<Credential>) {
  const { clock, store, provider, service } = oneNode(row);
  return { clock, store, provider, a: service, b: node(store, clock, provider) };
}

function node(
  store: TokenStore,
  clock: ManualClock,
  provider: ReturnType<typeof createProvider>,
  warnings: string[] = [],
): TokenService {
  const oauthFor = () => ({
    refresh: (input: { refreshToken: string }) => provider.refresh(input),
    authorisationUrl: unused,
    exchange: unused,
    revoke: unused,
  });
  return createTokenService({ store, clock, oauthFor, log: logInto(warnings) });
}

const unused = () => Promise.reject(new Error('not of this test'));

export function logInto(warnings: string[]): Log {
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: (_, message) => warnings.push(message),
    error: () => {},
    child: () => log,
  };
  return log;
}

/** A provider whose answers count up, and which can be held back. */
function createProvider(clock: ManualClock) {
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  let arrival = Promise.withResolvers<void>();
  const provider = {
    calls: 0,
    usedRefreshTokens: [] as string[],
    rotates: false,
    failure: null as Failure | null,
    hold: () => {
      gate = Promise.withResolvers();
    },
    release: () => gate.resolve(),
    async called(times: number) {
      while (provider.calls < times) await arrival.promise;
    },
    async refresh({ refreshToken }: { refreshToken: string }): Promise<TokenSet> {
      provider.calls += 1;
      provider.usedRefreshTokens.push(refreshToken);
      const number = provider.calls;
      arrival.resolve();
      arrival = Promise.withResolvers();
      await gate.promise;
      if (provider.failure !== null) throw provider.failure;
      return {
        accessToken: `access-${number}`,
        accessTokenExpiresAt: clock.now() + hour,
        refreshToken: provider.rotates ? `refresh-${number}` : null,
      };
    },
  };
  return provider;
}

/** The mailboxes table of the tests: one row, the same atomic statements. `accessTokenExpiresAt` counts from now. */
export function createStore(clock: Clock, row: Partial<Credential>) {
  let leaseUntil = 0;
  const store = {
    row: {
      provider: 'gmail',
      login: 'ada@token.example',
      refreshToken: 'refresh-0',
      accessToken: 'access-0',
      version: 1,
      ...row,
      accessTokenExpiresAt:
        row.accessTokenExpiresAt === null ? null : clock.now() + (row.accessTokenExpiresAt ?? hour),
    } as Credential | null,
    leaseOwner: null as string | null,
    log: [] as string[],
    lockedForEver: false,
    /** The process dies in a save, which then never ends. */
    crashOnSave: false,
    /** Until then the store takes nothing. */
    awayUntil: 0,
    crashOnUnlock: false,
    beforeLock: null as (() => Promise<void>) | null,
    expire: async () => {
      if (store.row !== null) store.row.accessTokenExpiresAt = clock.now();
    },
    consentAgain: () => {
      store.row = {
        provider: 'gmail',
        login: 'ada@token.example',
        refreshToken: 'refresh-of-new-consent',
        accessToken: 'access-of-new-consent',
        accessTokenExpiresAt: clock.now() + hour,
        version: (store.row?.version ?? 0) + 1,
      };
    },
    readCredential: async () => (store.row === null ? null : { ...store.row }),
    tryLockRefresh: async (_: MailboxId, owner: string, leaseMs: number) => {
      await store.beforeLock?.();
      const taken = store.leaseOwner !== null && store.leaseOwner !== owner && leaseUntil > clock.now();
      if (taken || store.lockedForEver) return false;
      store.log.push('lock');
      store.leaseOwner = owner;
      leaseUntil = clock.now() + leaseMs;
      return true;
    },
    saveTokens: async (
      _: MailboxId,
      expectedVersion: number,
      tokens: { refreshToken: string; accessToken: string; accessTokenExpiresAt: number },
    ) => {
      if (store.crashOnSave) return new Promise<never>(() => {});
      if (clock.now() < store.awayUntil) throw new Error('the database is away');
      if (store.row?.version !== expectedVersion) return false;
      store.log.push('save');
      store.row = { ...store.row, ...tokens, version: expectedVersion + 1 };
      return true;
    },
    unlockRefresh: async (_: MailboxId, owner: string) => {
      if (store.crashOnUnlock) throw new Error('the process died');
      store.log.push('unlock');
      if (store.leaseOwner === owner) store.leaseOwner = null;
    },
  };
  return store satisfies TokenStore;
}
