import { once } from 'node:events';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { ApiBindings } from './route.ts';

/** A running HTTP server. */
export type HttpServer = {
  /** Where it answers, with the port that was found when 0 was asked for. */
  url: string;
  /** Ends: no new connection, calls under way end, streams are told, what remains is cut off. */
  stop(): Promise<void>;
};

/** A call has this long to send its body: a million contacts over a slow line. */
const requestMsMax = 3_600_000;
/** After `stop`, calls under way have this long. */
const graceMs = 10_000;

/** Serves an app. Rejects when the port cannot be had. */
export async function startHttpServer(options: {
  app: { fetch(request: Request, bindings: ApiBindings): Response | Promise<Response> };
  host: string;
  port: number;
}): Promise<HttpServer> {
  const stopping = new AbortController();
  const server = createAdaptorServer({
    fetch: (request, bindings) => options.app.fetch(request, { ...bindings, stopping: stopping.signal }),
    serverOptions: { requestTimeout: requestMsMax },
  }) as Server;
  server.on('request', (_request, response) => {
    // A kept-alive connection whose last answer went out after `stop` would hold the server open.
    response.once('close', () => {
      if (stopping.signal.aborted) setImmediate(() => server.closeIdleConnections());
    });
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  let stopped: Promise<void> | undefined;
  return { url: urlOf(server), stop: () => (stopped ??= stop(server, stopping)) };
}

async function stop(server: Server, stopping: AbortController): Promise<void> {
  stopping.abort();
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cutOff = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(cutOff);
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the HTTP server has no port');
  // Nobody can open the address that means all of them.
  const isEverywhere = ['0.0.0.0', '::'].includes(address.address);
  const literal = isIPv6(address.address) ? `[${address.address}]` : address.address;
  const host = isEverywhere ? 'localhost' : literal;
  return `http://${host}:${address.port}`;
}
