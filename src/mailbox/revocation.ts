import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { OAuthClient } from '../provider/oauth.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { Db } from '../store/database.ts';
import { hasCredentialOf } from '../store/proven-mailboxes.ts';

/** A grant that nothing uses any more. The token is in memory alone: what is stored was erased. */
export type UnusedGrant = { provider: ProviderName; identityKey: string; refreshToken: string };

/** Ends grants at their providers (C7), in the background. */
export type Revocations = {
  add(grant: UnusedGrant): void;
  /** Cuts short the pauses between tries; resolves when nothing is under way. */
  stop(): Promise<void>;
};

/** Bounds of one revocation. A grant that outlives them dies of disuse, and the person can end it themselves. */
const limits = { triesMax: 5, retry: { firstMs: 2_000, mostMs: 60_000 } };

export function createRevocations(deps: {
  db: Db;
  clock: Clock;
  log: Log;
  oauthOf(provider: ProviderName): OAuthClient | null;
}): Revocations {
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  return {
    add(grant) {
      const done = revoke(deps, grant, stopping.signal).catch((error: unknown) => {
        deps.log.error({ provider: grant.provider, ...codeOf(error) }, 'a grant was not revoked');
      });
      running.add(done);
      void done.finally(() => running.delete(done));
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/**
 * Tries until it is done, or in vain too often. Google ends every token that the person gave this
 * application, so each try first looks whether they have connected again meanwhile.
 */
async function revoke(
  deps: Parameters<typeof createRevocations>[0],
  grant: UnusedGrant,
  stop: AbortSignal,
): Promise<void> {
  const client = deps.oauthOf(grant.provider);
  if (client === null) return;
  for (let tries = 1; ; tries += 1) {
    if (await hasCredentialOf(deps.db, grant)) return;
    try {
      const outcome = await client.revoke(grant.refreshToken);
      return deps.log.info({ provider: grant.provider, outcome, tries }, 'grant revoked');
    } catch (error) {
      const isPassing =
        error instanceof Failure && (error.kind === 'temporary' || error.kind === 'throttled');
      if (!isPassing || tries >= limits.triesMax || stop.aborted) throw error;
      deps.log.warn({ provider: grant.provider, tries, ...codeOf(error) }, 'a grant is not revoked yet');
      await deps.clock.sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(tries, limits.retry)), stop);
    }
  }
}

function codeOf(error: unknown): { code: string } {
  return { code: error instanceof Failure ? error.code : 'unknown' };
}
