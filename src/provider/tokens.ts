import { randomUUID } from 'node:crypto';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { Failure, messageOf } from '../lib/failure.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { tokenRefreshes, tokenRefreshTime } from '../lib/meters.ts';
import type { OAuthClient } from './oauth.ts';
import type { ProviderName } from './providers.ts';

/** What is stored of a mailbox's consent, opened. */
export type Credential = {
  provider: ProviderName;
  /** The XOAUTH2 user. */
  login: string;
  refreshToken: string;
  /** Null before the first refresh. */
  accessToken: string | null;
  /** Milliseconds since 1970; null with the token. */
  accessTokenExpiresAt: number | null;
  /** Raised by each consent and by each `saveTokens`. */
  version: number;
};

/** Where credentials are kept, shared by all nodes. None of its calls may leave a transaction open. */
export type TokenStore = {
  /** Null when the mailbox is unknown or its credential erased. */
  readCredential(mailboxId: MailboxId): Promise<Credential | null>;
  /** Takes the lease of refreshing for `leaseMs` by the store's own time, when nobody else holds one that has not run out. */
  tryLockRefresh(mailboxId: MailboxId, owner: string, leaseMs: number): Promise<boolean>;
  /** Writes the tokens and raises the version in one statement; false, and nothing written, when it is not `expectedVersion` any more. */
  saveTokens(mailboxId: MailboxId, expectedVersion: number, tokens: RefreshedTokens): Promise<boolean>;
  /** Gives the lease back, if `owner` still holds it. */
  unlockRefresh(mailboxId: MailboxId, owner: string): Promise<void>;
};

export type RefreshedTokens = { refreshToken: string; accessToken: string; accessTokenExpiresAt: number };

/** What a login needs. */
export type AccessToken = {
  token: string;
  /** Milliseconds since 1970. The provider ends an open session at about this time. */
  expiresAt: number;
  login: string;
};

export type TokenService = {
  /**
   * A live access token of the mailbox. `refused`: the token that a server just refused, so that another
   * one is wanted; where another caller or node has renewed it since, no call is made.
   *
   * @throws Failure `denied` (`credential_missing`, or what the provider said): a person must act.
   *   Nothing is erased. Any other kind: the consent is fine as far as is known.
   */
  accessToken(mailboxId: MailboxId, options?: { refused?: string }): Promise<AccessToken>;
};

/** A token is handed out as it is while it lives this much longer. Google's library renews at the same distance. */
const freshMsMin = 5 * 60_000;
/** A lease outlives the longest token call (tokenCallMsMax) threefold; a crash blocks a mailbox this long at most. */
const leaseMs = 60_000;
/** How long one waits for the token of another node: for a lease to run out, and for one refresh of one's own. */
const waitMsMax = 90_000;
const pollMs = 250;
/** How long a refreshed token is kept in memory alone, while the store is away. */
const saveMsMax = 5 * 60_000;
const saveRetry = { firstMs: 250, mostMs: 15_000 };

/**
 * Access tokens for all mailboxes: shared through the store, renewed by one at a time. Within the
 * process the callers of one mailbox share a refresh; between nodes a lease in the store decides who
 * refreshes, and the others take the winner's token from there.
 *
 * Invariants: a rotated refresh token is stored before its access token is used (Microsoft rotates at
 * each use); a refresh never overwrites a newer consent; a crash at any point leaves a refresh token
 * that works.
 */
export function createTokenService(parts: {
  store: TokenStore;
  clock: Clock;
  /** The client of a provider; called for those with consent only. */
  oauthFor(provider: ProviderName): OAuthClient;
  log: Log;
}): TokenService {
  const { store } = parts;
  const owner = randomUUID();
  const underWay = new Map<MailboxId, Promise<AccessToken>>();

  /** Joins the refresh that is under way, or begins one. */
  const renew = (mailboxId: MailboxId, refused: string | undefined): Promise<AccessToken> => {
    const running = underWay.get(mailboxId);
    if (running !== undefined) return running;
    const started = refreshOrWait({ ...parts, owner }, mailboxId, refused).finally(() => {
      underWay.delete(mailboxId);
    });
    underWay.set(mailboxId, started);
    return started;
  };

  return {
    async accessToken(mailboxId, { refused } = {}) {
      const stored = usable(await readOrFail(store, mailboxId), refused, parts.clock.now());
      if (stored !== null) return stored;
      const renewed = await renew(mailboxId, refused);
      // Whoever began that refresh may have been content with the very token that was refused here.
      return renewed.token === refused ? renew(mailboxId, refused) : renewed;
    },
  };
}

type Parts = Parameters<typeof createTokenService>[0] & { owner: string };

/** Refreshes under the lease, or waits for whoever holds it; ends by a deadline. */
async function refreshOrWait(
  parts: Parts,
  mailboxId: MailboxId,
  refused: string | undefined,
): Promise<AccessToken> {
  const { store, clock, owner } = parts;
  const deadline = clock.monotonic() + waitMsMax;
  for (;;) {
    if (await store.tryLockRefresh(mailboxId, owner, leaseMs)) {
      const renewed = await refreshLocked(parts, mailboxId, refused);
      if (renewed !== null) return renewed;
    }
    if (clock.monotonic() >= deadline) {
      throw new Failure(
        'temporary',
        'token_refresh_busy',
        'Another node has been refreshing the token too long',
      );
    }
    await clock.sleep(pollMs);
    const stored = usable(await readOrFail(store, mailboxId), refused, clock.now());
    if (stored !== null) return stored;
  }
}

/** With the lease held: looks again, refreshes, saves. Null when a newer consent came in between. */
async function refreshLocked(
  parts: Parts,
  mailboxId: MailboxId,
  refused: string | undefined,
): Promise<AccessToken | null> {
  const { store, clock, owner, log } = parts;
  try {
    const credential = await readOrFail(store, mailboxId);
    // The one who held the lease before may have just saved.
    return usable(credential, refused, clock.now()) ?? (await refresh(parts, mailboxId, credential));
  } finally {
    await store.unlockRefresh(mailboxId, owner).catch((error: unknown) => {
      log.warn({ mailboxId, error: messageOf(error) }, 'the lease of a token refresh runs out by itself');
    });
  }
}

async function refresh(
  parts: Parts,
  mailboxId: MailboxId,
  credential: Credential,
): Promise<AccessToken | null> {
  const { store, clock, log } = parts;
  const startedAt = clock.monotonic();
  const { provider, login, refreshToken, version } = credential;
  try {
    const tokens = await parts.oauthFor(provider).refresh({ refreshToken });
    const { accessToken, accessTokenExpiresAt } = tokens;
    const saved = await save(parts, mailboxId, version, {
      refreshToken: tokens.refreshToken ?? refreshToken,
      accessToken,
      accessTokenExpiresAt,
    });
    tokenRefreshes.add([provider, 'refreshed']);
    tokenRefreshTime.observe([], (clock.monotonic() - startedAt) / 1_000);
    log.info({ mailboxId, provider, saved, ms: clock.monotonic() - startedAt }, 'access token refreshed');
    return saved ? { token: accessToken, expiresAt: accessTokenExpiresAt, login } : null;
  } catch (error) {
    const code = error instanceof Failure ? error.code : 'unknown';
    tokenRefreshes.add([provider, code]);
    log.warn({ mailboxId, provider, code, ms: clock.monotonic() - startedAt }, 'access token not refreshed');
    // A new consent may have ended the grant that was asked with; its own token has not been tried yet.
    const denied = error instanceof Failure && error.kind === 'denied';
    if (denied && (await store.readCredential(mailboxId))?.version !== version) return null;
    throw error;
  }
}

/**
 * Stores what a refresh gave, however long the store is away: a rotated refresh token is nowhere else.
 * False when a consent, or another node whose lease came after, was first.
 */
async function save(
  { store, clock, log }: Parts,
  mailboxId: MailboxId,
  version: number,
  tokens: RefreshedTokens,
): Promise<boolean> {
  const startedAt = clock.monotonic();
  for (let tries = 1; ; tries += 1) {
    try {
      return await store.saveTokens(mailboxId, version, tokens);
    } catch (error) {
      if (clock.monotonic() - startedAt >= saveMsMax) throw error;
      log.warn({ mailboxId, tries, error: messageOf(error) }, 'a refreshed token is not stored yet');
      await clock.sleep(backoffMs(tries, saveRetry));
    }
  }
}

async function readOrFail(store: TokenStore, mailboxId: MailboxId): Promise<Credential> {
  const credential = await store.readCredential(mailboxId);
  if (credential === null) {
    throw new Failure('denied', 'credential_missing', `Mailbox ${mailboxId} has no credential`);
  }
  return credential;
}

/** The stored token, if it lives long enough and is not the refused one. */
function usable(credential: Credential, refused: string | undefined, nowMs: number): AccessToken | null {
  const { accessToken, accessTokenExpiresAt, login } = credential;
  if (accessToken === null || accessTokenExpiresAt === null || accessToken === refused) return null;
  if (accessTokenExpiresAt - nowMs <= freshMsMin) return null;
  return { token: accessToken, expiresAt: accessTokenExpiresAt, login };
}
