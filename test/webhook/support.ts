import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newId } from '../../src/lib/id.ts';
import type { WebhookId } from '../../src/lib/id.ts';
import type { Log } from '../../src/lib/log.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import type { Db } from '../../src/store/database.ts';
import { publishBatch, recordEvents } from '../../src/store/events.ts';
import type { NewEvent } from '../../src/store/events.ts';
import { insertWebhook } from '../../src/store/webhooks.ts';
import { newSecret } from '../../src/webhook/sign.ts';

export const secretBox = createSecretBox([Buffer.alloc(32, 5)]);
export const loopbackGuard = createNetGuard({ allow: ['127.0.0.1'] });

/** The same numbers from 0 to 1 for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A log that keeps its messages. */
export function keptLog(): Log & { messages: string[] } {
  const messages: string[] = [];
  const keep = (_fields: unknown, message: string) => void messages.push(message);
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };
  return { ...log, messages };
}

/** Stores a webhook; `secret` is what the CRM was shown. */
export async function addWebhook(
  db: Db,
  options: { url?: string; types?: string[]; subAccountId?: string | null } = {},
): Promise<{ id: WebhookId; secret: string }> {
  const id = newId('whk');
  const { secret, sealed } = newSecret(secretBox, id);
  const { url = 'http://127.0.0.1:9/', types = [], subAccountId = null } = options;
  await insertWebhook(db, { id, url, types, subAccountId, secretSealed: sealed });
  return { id, secret };
}

/** An event whose data names it: `{ n, keys }`. */
export function event(n: number, ...keys: string[]): NewEvent {
  return { type: 'conversation.updated', sub_account_id: null, order_keys: keys, data: { n, keys } };
}

/** Records events in one transaction. */
export function record(db: Db, ...events: NewEvent[]): Promise<void> {
  return db.transaction((tx) => recordEvents(tx, events));
}

/** Records events and publishes everything that is committed. */
export async function publish(db: Db, ...events: NewEvent[]): Promise<void> {
  await record(db, ...events);
  for (;;) {
    const done = await publishBatch(db);
    if (done !== 'busy' && done.published === 0) return;
  }
}

/** A delivery as it arrived. */
export type Arrival = {
  headers: IncomingMessage['headers'];
  body: string;
  /** The event's data, as `event` made it. */
  data: { n: number; keys: string[] };
};

/** An endpoint of a CRM. `answer` gives the status, or deals with the response itself and gives undefined. */
export async function startEndpoint(
  answer: (arrival: Arrival, response: ServerResponse) => number | undefined = () => 204,
): Promise<{ url: string; arrivals: Arrival[]; stop(): Promise<void> }> {
  const arrivals: Arrival[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString();
      const { data } = JSON.parse(body) as { data: Arrival['data'] };
      const arrival = { headers: request.headers, body, data };
      arrivals.push(arrival);
      const status = answer(arrival, response);
      if (status !== undefined) response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    arrivals,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
