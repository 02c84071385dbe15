import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { waitFor } from './wait.ts';

/** An event as the CRM gets it. */
export type ReceivedEvent = {
  id: string;
  type: string;
  sub_account_id: string;
  // The object, as the API shows it: tests look into whatever they expect.
  data: Record<string, unknown> & { id: string };
};

/** The CRM's own end of a webhook: checks signatures as the standard says, and keeps what came, in order. */
export type Receiver = {
  url: string;
  /** What came, each event once, in the order of arrival. */
  events: ReceivedEvent[];
  /** How often an event came that had been received before: at least once means that it may. */
  repeats(): number;
  /** Requests whose signature was wrong. */
  forged(): number;
  /** The secret that POST /v1/webhooks showed. */
  trust(secret: string): void;
  /** Answers with this status from now on; 0: never answers. */
  answerWith(status: number): void;
  waitForEvent(
    what: string,
    match: (event: ReceivedEvent) => boolean,
    deadlineMs?: number,
  ): Promise<ReceivedEvent>;
  stop(): Promise<void>;
};

export async function startReceiver(): Promise<Receiver> {
  const events: ReceivedEvent[] = [];
  const seen = new Set<string>();
  let secret: Webhook | null = null;
  let status = 200;
  let repeats = 0;
  let forged = 0;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (status === 0) return;
      if (status < 300) {
        try {
          const event = secret?.verify(
            Buffer.concat(parts),
            request.headers as Record<string, string>,
          ) as ReceivedEvent;
          if (seen.has(event.id)) repeats += 1;
          else events.push(event);
          seen.add(event.id);
        } catch (error) {
          forged += 1;
          response.writeHead(401).end(String(error));
          return;
        }
      }
      response.writeHead(status).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    events,
    repeats: () => repeats,
    forged: () => forged,
    trust: (text) => {
      secret = new Webhook(text);
    },
    answerWith: (next) => {
      status = next;
    },
    waitForEvent: (what, match, deadlineMs = 30_000) =>
      waitFor(`the webhook for ${what}`, () => events.find(match), { deadlineMs }),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
