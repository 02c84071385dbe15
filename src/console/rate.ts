import type { MiddlewareHandler } from 'hono';
import type { Clock } from '../lib/clock.ts';
import { clientOf } from '../lib/networks.ts';
import { createRateLimit } from '../lib/rate-limit.ts';
import { currentClient } from '../store/audit.ts';
import { sayingPage, sendPage } from './page.tsx';
import type { Site } from './page.tsx';

/** Pages and forms that each node takes from one address. Behind a proxy that is not named, all people are one. */
const rate = { perSecond: 100, burst: 1_000 };

/** Turns away an address that asks for more pages than people look at. After `knowingClient`. */
export function notTooOften(site: Site, clock: Clock): MiddlewareHandler {
  const limit = createRateLimit({ ...rate, clock });
  return async (c, next) => {
    const waitMs = limit.take(clientOf(currentClient() ?? ''));
    if (waitMs === 0) return next();
    // RFC 9110 §10.2.3.
    c.header('Retry-After', `${Math.ceil(waitMs / 1000)}`);
    return sendPage(c, site, sayingPage('too_often', 429, { framed: true }));
  };
}
