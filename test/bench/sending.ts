import { createTransport } from 'nodemailer';
import { Agent, request } from 'undici';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { passwordOf } from '../support/mail.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import { figureOf, ratios, share, shown } from './figures.ts';
import type { SendingOptions, SendingQuestion } from './sending-node.ts';
import type { Row } from './table.ts';

const people = Array.from({ length: 20 }, (_, n) => `seller-${n}@bench.test`);
const relayUser = 'relay@bench.test';
const counts = { individual: 2_000, bulk: 5_000 };
/** Connections with which each is sent: those that the gateway uses too. */
const connections = { individual: 2, bulk: 5 };
const clients = 20;
const text = 'Dear reader,\n'.padEnd(2_000, 'what is new with us, and what it means for you. ');

/**
 * What lies between the CRM's call and the provider: the answer of the API to twenty clients at once; how fast what was
 * accepted goes out, against nodemailer's own pool with as many connections; and whether a campaign delays letters.
 */
export async function measureSending(bench: Bench): Promise<Row[]> {
  const database = await bench.newDatabase();
  const { host, noCopyPort } = bench.servers.smtp;
  const smtp: ServerAddress = { host, port: noCopyPort, security: 'starttls' };
  const options: SendingOptions = {
    databaseUrl: database.url,
    blobsDirectory: await bench.newDirectory(),
    smtp,
    people,
    relayUser,
  };
  const child = startChild(new URL('./sending-node.ts', import.meta.url), [JSON.stringify(options)]);
  const ask = <Answer>(question: SendingQuestion) => child.ask<Answer>(question);
  const api = await ask<{ url: string; key: string }>({ ask: 'start' });
  await accept(api, 'individual', 200);
  const accepted = await accept(api, 'individual', counts.individual);
  await accept(api, 'bulk', counts.bulk);
  const rows: Row[] = [
    {
      what: `API: ms to the answer to a message, ${clients} clients that never pause (p50, p99)`,
      raw: 'none',
      ours: shownLatency(accepted.latencies),
      ratio: `${accepted.perSecond.toFixed(0)} a second`,
      aim: 'p50 ≤ 8',
      sample: `${counts.individual}`,
      load: bench.load(),
    },
  ];
  for (const kind of ['individual', 'bulk'] as const) rows.push(await measureDrain(bench, child, kind, smtp));
  rows.push(await measureOneByOne(bench, ask));
  await child.stop();
  await database.drop();
  return rows;
}

async function accept(
  api: { url: string; key: string },
  kind: 'individual' | 'bulk',
  count: number,
): Promise<{ latencies: number[]; perSecond: number }> {
  const dispatcher = new Agent({ connections: clients });
  const latencies: number[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) {
      const body = JSON.stringify({
        kind,
        user_id: people[n % people.length]?.replace('@', '.'),
        subject: `Mail ${n}`,
        text,
        to: [`reader-${n}@swallows.test`, `contact-${n % 1_000}@customer.example`],
      });
      const startedAt = performance.now();
      const answer = await request(`${api.url}/v1/sub-accounts/bench/messages`, {
        method: 'POST',
        dispatcher,
        body,
        headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      });
      const said = await answer.body.text();
      if (answer.statusCode !== 202) throw new Error(`${answer.statusCode}: ${said}`);
      latencies.push(performance.now() - startedAt);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: clients }, client));
  const perSecond = (count * 1_000) / (performance.now() - startedAt);
  await dispatcher.close();
  return { latencies, perSecond };
}

async function measureDrain(
  bench: Bench,
  child: Child,
  kind: 'individual' | 'bulk',
  smtp: ServerAddress,
): Promise<Row> {
  const raw: number[] = [];
  const ours: number[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    raw.push(await rawDrain(kind, smtp));
    const count = await child.ask<number>({ ask: 'queue_again', kind } satisfies SendingQuestion);
    const ms = await child.ask<number>({ ask: 'drain' } satisfies SendingQuestion);
    ours.push((count * 1_000) / ms);
  }
  const way =
    kind === 'individual'
      ? `of ${people.length} mailboxes, ${connections.individual} connections each`
      : `through one provider, ${connections.bulk} connections`;
  return {
    what: `${kind} messages handed over a second, ${way}; raw: nodemailer's pool`,
    raw: shown(figureOf(raw)),
    ours: shown(figureOf(ours)),
    ratio: ratios(ours, raw),
    aim: 'ratio ≥ 0.8',
    sample: `${runsMax} × ${counts[kind]}`,
    load: bench.load(),
  };
}

/** The same with nodemailer alone; its messages are there, in memory. */
async function rawDrain(kind: 'individual' | 'bulk', { host, port }: ServerAddress): Promise<number> {
  const senders = kind === 'individual' ? people : [relayUser];
  const transports = senders.map((user) =>
    createTransport({
      host,
      port,
      secure: false,
      requireTLS: true,
      pool: true,
      maxConnections: connections[kind],
      maxMessages: 100,
      auth: { user, pass: passwordOf(user) },
    }),
  );
  const startedAt = performance.now();
  const sent: Promise<unknown>[] = [];
  for (let n = 0; n < counts[kind]; n += 1) {
    const sender = n % senders.length;
    const to = [`reader-${n}@swallows.test`, `contact-${n % 1_000}@customer.example`];
    const [transport, from] = [transports[sender], senders[sender]];
    if (transport !== undefined && from !== undefined)
      sent.push(transport.sendMail({ from, to, subject: `Mail ${n}`, text }));
  }
  await Promise.all(sent);
  const ms = performance.now() - startedAt;
  for (const transport of transports) transport.close();
  return (counts[kind] * 1_000) / ms;
}

async function measureOneByOne(
  bench: Bench,
  ask: <Answer>(question: SendingQuestion) => Promise<Answer>,
): Promise<Row> {
  const count = 60;
  const alone = await ask<number[]>({ ask: 'one_by_one', count, untilDrained: false });
  await ask<number>({ ask: 'queue_again', kind: 'bulk' });
  const beside = await ask<number[]>({ ask: 'one_by_one', count, untilDrained: true });
  return {
    what: 'ms from the call to the provider’s answer for one individual message while a campaign goes out (p50, p99); raw: without it',
    raw: shownLatency(alone),
    ours: shownLatency(beside),
    ratio: (share(beside, 0.5) / share(alone, 0.5)).toFixed(2),
    aim: 'ratio ≤ 1.5',
    sample: `${count}`,
    load: bench.load(),
  };
}

function shownLatency(latencies: readonly number[]): string {
  return `${share(latencies, 0.5).toFixed(1)}, ${share(latencies, 0.99).toFixed(1)}`;
}
