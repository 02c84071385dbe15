import { randomUUID } from 'node:crypto';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { createWorker } from '../lib/waker.ts';
import type { Worker } from '../lib/waker.ts';
import type { OAuthClient } from '../provider/oauth.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { Db } from '../store/database.ts';
import { forgetProvenLogins } from '../store/proven-logins.ts';
import { hasCredentialOf } from '../store/proven-mailboxes.ts';
import { deleteRevocation, readRevocation } from '../store/revocations.ts';
import type { Revocation } from '../store/revocations.ts';
import { claimWork, postponeWork } from '../store/work.ts';

/** In ms. A grant that outlives them dies of disuse, and the person can end it themselves. */
const limits = {
  giveUpMs: 7 * 24 * 60 * 60_000,
  retry: { firstMs: 30_000, mostMs: 60 * 60_000 },
  /** Outlives a call to a provider. */
  leaseMs: 60_000,
  pollMs: 30_000,
};

type Deps = {
  db: Db;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  /** Null: not configured now. */
  oauthOf(provider: ProviderName): OAuthClient | null;
};

/**
 * Makes what ends unused grants at their providers (C7), on every node; one for each process. It also forgets the logins
 * that nobody has confirmed in time.
 */
export function createRevoker(deps: Deps): Worker {
  const { db, clock, log } = deps;
  const owner = randomUUID();
  return createWorker({
    clock,
    log,
    pollMs: limits.pollMs,
    failed: 'grants could not be revoked; trying again',
    async turn() {
      await forgetProvenLogins(db);
      const [id] = await claimWork(db, { table: 'revocations', owner, leaseMs: limits.leaseMs, limit: 1 });
      if (id !== undefined) await take(deps, id, owner);
      return id !== undefined;
    },
  });
}

/** One try of one grant: it is over afterwards, or due again. */
async function take(deps: Deps, id: string, owner: string): Promise<void> {
  const { db, clock, log } = deps;
  const grant = await readRevocation(db, id);
  if (grant === null) return;
  const { provider, attempts } = grant;
  try {
    const outcome = await revoke(deps, grant);
    log.info({ provider, outcome, attempts }, 'grant revoked');
  } catch (error) {
    const code = error instanceof Failure ? error.code : 'unknown';
    const pauseMs = pauseAfter(error, grant);
    if (pauseMs !== null) {
      log.warn({ provider, attempts, code }, 'a grant is not revoked yet');
      const dueAt = new Date(clock.now() + pauseMs);
      await postponeWork(db, { table: 'revocations', id, owner, dueAt });
      return;
    }
    log.error({ provider, attempts, code }, 'a grant was not revoked');
  }
  await deleteRevocation(db, id);
}

/** How long until the next try; null: there is none. */
function pauseAfter(error: unknown, { attempts, ageMs }: Revocation): number | null {
  const isPassing = error instanceof Failure && (error.kind === 'temporary' || error.kind === 'throttled');
  if (!isPassing || ageMs >= limits.giveUpMs) return null;
  return Math.max(error.retryAfterMs ?? 0, backoffMs(attempts, limits.retry));
}

/**
 * Google ends every token that the person gave this application, so each try first looks whether
 * they have connected again meanwhile.
 */
async function revoke(deps: Deps, grant: Revocation): Promise<'revoked' | 'not_offered' | 'in_use'> {
  if (await hasCredentialOf(deps.db, grant)) return 'in_use';
  const client = deps.oauthOf(grant.provider);
  if (client === null) throw new Failure('temporary', 'provider_not_configured', 'there is no client for it');
  return client.revoke(deps.secretBox.open(grant.tokenSealed, grant.sealedFor));
}
