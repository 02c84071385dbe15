import type { Context, MiddlewareHandler } from 'hono';
import { createBatcher } from '../lib/batcher.ts';
import { clientOf, httpClientOf } from '../lib/networks.ts';
import { createRateLimit } from '../lib/rate-limit.ts';
import { isOfAll } from '../store/away.ts';
import type { Db } from '../store/database.ts';
import { findKeys, hashOfKey } from '../store/keys.ts';
import type { AskedKey, KeyAccess } from '../store/keys.ts';
import { subAccountExists } from '../store/sub-accounts.ts';
import { ApiError, notFound } from './errors.ts';
import { crmId } from './fields.ts';
import { fieldCheck } from './route.ts';
import type { ApiDeps, ApiEnv, FieldCheck } from './route.ts';

/** Calls that each node takes. One key must not keep the others' calls waiting for long. */
const rates = {
  key: { perSecond: 500, burst: 5_000 },
  unknownKey: { perSecond: 1, burst: 100 },
};

type AuthDeps = Pick<ApiDeps, 'db' | 'clock' | 'httpProxies'>;

function holdBack(waitMs: number, why: string): void {
  if (waitMs > 0) throw new ApiError('too_many_requests', why, { retryAt: Date.now() + waitMs });
}

/** The address that asks; null: it is not known. */
export function addressOf(c: Context<ApiEnv>, httpProxies: readonly string[]): string | null {
  const { incoming } = (c.env as ApiEnv['Bindings'] | undefined) ?? {};
  return httpClientOf(httpProxies, {
    socketAddress: incoming?.socket.remoteAddress,
    forwardedFor: c.req.header('x-forwarded-for'),
  });
}

/**
 * Holds back guessing: to be called for each call whose key is not in force, of which an address has so many.
 * Throws `too_many_requests` where it made more. An address that is not known is not held back.
 */
export function limitUnknownKeys({
  clock,
  httpProxies,
}: Pick<AuthDeps, 'clock' | 'httpProxies'>): (c: Context<ApiEnv>) => void {
  const byAddress = createRateLimit({ ...rates.unknownKey, clock });
  return (c) => {
    const address = addressOf(c, httpProxies);
    if (address !== null)
      holdBack(
        byAddress.take(clientOf(address)),
        'Too many calls without a valid key came from this address.',
      );
  };
}

/** Look-ups of keys that go together. */
const lookUps = { most: 100, isOfAll, overtaking: { lateMs: 30, atOnce: 4 } };

/**
 * Lets a call pass that carries a key in force (RFC 6750 §2.1), and leaves its access in
 * `c.var.key`. A key that may only read passes with GET and HEAD alone, whatever the path names. Where the path names
 * a sub-account, it leaves behind whether that is there.
 *
 * Calls that come at the same time are looked up together, each after it came: a key that was revoked before opens nothing.
 *
 * The key is looked up by its SHA-256: what the time of the look-up tells is about the hash, from
 * which no key follows; and every wrong key takes the same way.
 */
export function authenticate({ db, clock, httpProxies }: AuthDeps): MiddlewareHandler<ApiEnv> {
  const byKey = createRateLimit({ ...rates.key, clock });
  const limitUnknown = limitUnknownKeys({ clock, httpProxies });
  const lookUp = createBatcher({ ...lookUps, run: (asked: readonly AskedKey[]) => findKeys(db, asked) });
  return async (c, next) => {
    const before = c.var.key as KeyAccess | undefined;
    if (before !== undefined) return next();
    const named = crmId.safeParse(c.req.param('sid'));
    const subAccountId = named.success ? named.data : null;
    const { access: key, subAccountExists: exists } = await lookUp({
      hash: hashOfKey(bearerOf(c)),
      subAccountId,
    });
    if (key === null) {
      // Asked of who has no key alone: nobody is held back for what others at their address do.
      limitUnknown(c);
      throw new ApiError('unauthenticated', 'Send a key that is in force as "Authorization: Bearer tw_…".');
    }
    if (key.scope === 'read' && c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      throw new ApiError('read_only_key', 'This key may only read.');
    }
    holdBack(
      byKey.take(key.id),
      `A key makes ${rates.key.perSecond} calls a second, and more for a short while.`,
    );
    c.set('key', key);
    c.set('subAccountExists', exists);
    return next();
  };
}

/** What a call carries as its key; empty: nothing that could be one. */
export function bearerOf(c: Context): string {
  return /^Bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '';
}

/**
 * Guards everything under `/v1/sub-accounts/{sid}`: for a key of one sub-account any other is not
 * there, and inside a sub-account that is not there, nothing is. Only the sub-account itself may be
 * named before it exists, so that it can be made.
 */
export const guardSubAccount: MiddlewareHandler<ApiEnv> = (c, next) => {
  const { key, subAccountExists: exists } = c.var;
  const isOther = key.subAccountId !== null && key.subAccountId !== c.req.param('sid');
  const inside = c.req.path.split('/').length > 4;
  if (isOther || (inside && !exists)) throw notFound('sub-account');
  return next();
};

/** Checks a field `sub_account_id`: what the key does not see is not there. Null is not judged here. */
export function subAccountCheck(db: Db): FieldCheck {
  return fieldCheck('sub_account_id', crmId.nullable(), async (subAccountId, c) => {
    if (subAccountId === null) return null;
    const own = c.var.key.subAccountId;
    const isVisible = own === null || own === subAccountId;
    if (isVisible && (await subAccountExists(db, subAccountId))) return null;
    return { code: 'unknown_sub_account', detail: 'There is no such sub-account.' };
  });
}
