import type { IncomingMessage } from 'node:http';
import type { MiddlewareHandler } from 'hono';
import { httpClientOf } from '../lib/networks.ts';
import { askedFrom } from '../store/audit.ts';

/** Lets the audit log, and whoever counts tries to sign in, know from where what follows is asked for. */
export function knowingClient(proxies: readonly string[]): MiddlewareHandler {
  return (c, next) => {
    const { incoming } = (c.env ?? {}) as { incoming?: Pick<IncomingMessage, 'socket'> };
    const client = httpClientOf(proxies, {
      socketAddress: incoming?.socket.remoteAddress,
      forwardedFor: c.req.header('x-forwarded-for'),
    });
    return askedFrom(client, next);
  };
}
