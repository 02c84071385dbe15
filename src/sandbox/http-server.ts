import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';

export type Request = {
  url: URL;
  /** The query of a GET, the form of a POST, or the fields of a JSON body that are text. */
  fields: Map<string, string>;
  /** Content type without parameters. */
  type: string;
  body: Buffer;
  headers: IncomingMessage['headers'];
};

export type Response = { status: number; headers?: Record<string, string>; body?: string };

/** By method and path: `GET /mail`. */
export type Routes = Record<string, (request: Request) => Response | Promise<Response>>;

/** A request that cannot be served; the message is for the person. */
export class BadRequest extends Error {}

const bodyBytesMax = 40 * 1024 * 1024;

/** Serves the routes. Not listening yet. */
export function createHttpServer(routes: Routes, log: Log) {
  const server = createServer((incoming, outgoing) => {
    answerOf(incoming, routes)
      .catch((error: unknown): Response => {
        if (error instanceof BadRequest) return text(400, error.message);
        log.error({ reason: messageOf(error) }, 'sandbox HTTP request failed');
        return text(500, 'The sandbox failed; its log says why.');
      })
      .then((response) => send(outgoing, response))
      .catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'sandbox HTTP answer not sent'));
  });
  return {
    server,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function text(status: number, body: string): Response {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}

export function json(status: number, body: object): Response {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify(body),
  };
}

export function redirect(location: string): Response {
  return { status: 303, headers: { location } };
}

async function answerOf(incoming: IncomingMessage, routes: Routes): Promise<Response> {
  const url = new URL(incoming.url ?? '/', 'http://sandbox');
  const route = `${incoming.method} ${url.pathname}`;
  const handler = Object.hasOwn(routes, route) ? routes[route] : undefined;
  if (!handler) return text(404, 'There is nothing here.');
  // A form on a foreign page must not act in the name of the person at this browser.
  if (incoming.method === 'POST' && incoming.headers['sec-fetch-site'] === 'cross-site') {
    return text(403, 'This form belongs to another site.');
  }
  if (Number(incoming.headers['content-length'] ?? 0) > bodyBytesMax) return text(413, 'Too large.');
  const body = await buffer(incoming);
  const type = (incoming.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  return handler({ url, type, body, headers: incoming.headers, fields: fieldsOf(url, type, body) });
}

function fieldsOf(url: URL, type: string, body: Buffer): Map<string, string> {
  const fields = new Map(url.searchParams);
  if (type === 'application/x-www-form-urlencoded') {
    for (const [name, value] of new URLSearchParams(body.toString())) fields.set(name, value);
  }
  if (type === 'application/json') {
    for (const [name, value] of Object.entries(parseObject(body)))
      if (typeof value === 'string') fields.set(name, value);
  }
  return fields;
}

function parseObject(body: Buffer): object {
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new BadRequest('The body is not a JSON object.');
}

function send(outgoing: ServerResponse, response: Response): void {
  outgoing.writeHead(response.status, {
    'cache-control': 'no-store',
    // No form-action: browsers apply it to the redirect that follows the consent form, back to the gateway.
    'content-security-policy':
      "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    ...response.headers,
  });
  outgoing.end(response.body);
}
