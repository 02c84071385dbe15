import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { preciseNow, startChild } from './child.ts';
import type { Child } from './child.ts';
import { figureOf, share, shown } from './figures.ts';
import { liveMailboxes } from './gateway.ts';
import { contactMail } from './mail.ts';
import type { GatewayOptions } from './notice-gateway.ts';
import type { Arrival } from './notice-provider.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';

const address = 'notice@bench.test';
/** Of each kind in each run. */
const noticesMax = 100;
const warmUp = 20;
/** A second message comes so many milliseconds after the first was announced, evenly spread. */
const spreadMs = 30;
const restMs = 80;

/** When the same message was announced to a bare client, committed with its event, and received by a webhook. */
type Notice = { existsAt: number; recordedAt: number; webhookAt: number };
type Run = { atRest: Notice[]; afterAnother: Notice[] };

/** How long after a bare client's EXISTS an event is recorded and a webhook received. */
export async function measureNotice(bench: Bench): Promise<Row[]> {
  const runs: Run[] = [];
  for (let run = 0; run < runsMax; run += 1) runs.push(await oneRun(bench));
  const load = bench.load();
  const row = (when: keyof Run, what: 'recordedAt' | 'webhookAt'): Row => {
    const delays = runs.map((run) => run[when].map((notice) => notice[what] - notice.existsAt));
    const of = (part: number) => shown(figureOf(delays.map((each) => share(each, part))), 1);
    return {
      what: `EXISTS to ${what === 'webhookAt' ? 'webhook received' : 'event recorded'}, ${names[when]}, ms`,
      raw: 'EXISTS = 0',
      ours: `p50 ${of(0.5)}, p99 ${of(0.99)}`,
      ratio: '',
      aim: what === 'webhookAt' ? 'p50 ≤ 15, p99 ≤ 60' : '',
      sample: `${runsMax} × ${noticesMax}`,
      load,
    };
  };
  return (['atRest', 'afterAnother'] as const).flatMap((when) => [
    row(when, 'recordedAt'),
    row(when, 'webhookAt'),
  ]);
}

const names = { atRest: 'at rest', afterAnother: `0-${spreadMs} ms after another` };

async function oneRun(bench: Bench): Promise<Run> {
  const database = await bench.newDatabase();
  const receiver = await startReceiver();
  const provider = startChild(new URL('./notice-provider.ts', import.meta.url));
  const port = await provider.ask<number>('port');
  const imap: ServerAddress = { host: '127.0.0.1', port, security: 'none' };
  const options: GatewayOptions = {
    databaseUrl: database.url,
    blobsDirectory: await bench.newDirectory(),
    webhookUrl: receiver.url,
    address,
    imapPort: port,
  };
  const gateway = startChild(new URL('./notice-gateway.ts', import.meta.url), [JSON.stringify(options)]);
  try {
    await waitFor('a live mailbox', async () => (await liveMailboxes(database.db)) === 1);
    return await takeNotices({ imap, provider, gateway, receiver, db: database.db });
  } finally {
    await gateway.stop();
    await provider.stop();
    receiver.stop();
    await database.drop();
  }
}

async function takeNotices(parts: {
  imap: ServerAddress;
  provider: Child;
  gateway: Child;
  receiver: Receiver;
  db: Db;
}): Promise<Run> {
  const { provider, receiver } = parts;
  const client = await openRawClient(parts.imap, { user: address, accessToken: 'any' });
  const existsAt = new Map<number, number>();
  client.on('exists', ({ count }: { count: number }) => existsAt.set(count, preciseNow()));
  client.idle().catch(() => undefined);
  await wait(restMs);
  const letters = contactMail(warmUp + 3 * noticesMax);
  let delivered = 0;
  const deliver = () => {
    const arrival: Arrival = { address, raw: letters[delivered] ?? '' };
    provider.tell(arrival);
    delivered += 1;
    return delivered;
  };
  const told = (n: number) => waitUntil(() => receiver.receivedAt.has(n) && existsAt.has(n));
  const atRest: number[] = [];
  const afterAnother: number[] = [];
  for (let n = 0; n < warmUp + noticesMax; n += 1) {
    const one = deliver();
    await told(one);
    if (n >= warmUp) atRest.push(one);
    await wait(restMs);
  }
  for (let n = 0; n < noticesMax; n += 1) {
    const first = deliver();
    await waitUntil(() => existsAt.has(first));
    await wait((n * spreadMs) / noticesMax);
    const second = deliver();
    await told(second);
    afterAnother.push(second);
    await wait(restMs);
  }
  client.close();
  const recordedAt = await commitTimes(parts.db, await parts.gateway.ask<number[]>('commits'));
  const notice = (n: number): Notice => ({
    existsAt: must(existsAt.get(n)),
    recordedAt: must(recordedAt.get(n)),
    webhookAt: must(receiver.receivedAt.get(n)),
  });
  return { atRest: atRest.map(notice), afterAnother: afterAnother.map(notice) };
}

/** In steps of a millisecond: what is measured has its time already, and is not waited for more exactly. */
async function waitUntil(happened: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!happened()) {
    if (Date.now() > deadline)
      throw new Error('a message was not announced, or its webhook not called, in 30 s');
    await wait(1);
  }
}

/**
 * When the event of each message was committed. Each commit that leaves events behind is noted as it
 * returns, and all events of one transaction have one created_at: the first of one is the first of the other.
 */
async function commitTimes(db: Db, committedAt: readonly number[]): Promise<Map<number, number>> {
  const found = await rows<{ place: number; subject: string | null }>(
    db,
    `select dense_rank() over (order by created_at)::int as place,
            case when type = 'message.created' then data ->> 'subject' end as subject from events`,
  );
  const messages = found.filter(({ subject }) => subject !== null);
  return new Map(
    messages.map(({ place, subject }) => [numberOf(subject ?? ''), must(committedAt[place - 1])]),
  );
}

type Receiver = { url: string; receivedAt: Map<number, number>; stop(): void };

/** A CRM that takes every webhook at once. */
async function startReceiver(): Promise<Receiver> {
  const receivedAt = new Map<number, number>();
  const server = createServer((request, response) => {
    void bodyOf(request).then((text) => {
      const at = preciseNow();
      response.writeHead(204).end();
      const event = JSON.parse(text) as { type: string; data: { subject?: string } };
      if (event.type === 'message.created') receivedAt.set(numberOf(event.data.subject ?? ''), at);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/`, receivedAt, stop };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** The made-up letters say their number, from 0; messages are counted from 1. */
function numberOf(subject: string): number {
  return Number(/\d+/.exec(subject)?.[0]) + 1;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a message has no time');
  return value;
}
