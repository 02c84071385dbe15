import { createTransport } from 'nodemailer';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { passwordOf } from '../support/mail.ts';
import { acceptedCount, measureAccepting, postMessages, recipientsOf, text } from './accepting.ts';
import type { Door } from './accepting.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import { figureOf, ratios, share, shown, shownLatency } from './figures.ts';
import { userOf } from './tenant.ts';
import type { SendingOptions, SendingQuestion } from './sending-node.ts';
import type { Row } from './table.ts';

const people = Array.from({ length: 20 }, (_, n) => `seller-${n}@bench.test`);
const relayUser = 'relay@bench.test';
const counts = { individual: acceptedCount, bulk: 5_000 };
/** Connections with which each is sent: those that the gateway uses too. */
const connections = { individual: 2, bulk: 5 };

/**
 * What lies between the CRM's call and the provider: the answer of the API to twenty clients; how fast what was
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
  const doors = {
    raw: await ask<Door>({ ask: 'start_bare' }),
    ours: await ask<Door>({ ask: 'start' }),
  };
  const rows = await measureAccepting(bench, doors, people.map(userOf));
  const post = async (kind: Kind): Promise<void> => {
    await ask({ ask: 'forget' });
    await postMessages(doors.ours, people.map(userOf), {
      kind,
      count: counts[kind],
      clients: 20,
      everyMs: null,
    });
  };
  for (const kind of ['individual', 'bulk'] as const)
    rows.push(await measureDrain(bench, { ask, post }, kind, smtp));
  rows.push(await measureOneByOne(bench, { ask, post }));
  await child.stop();
  await database.drop();
  return rows;
}

type Kind = 'individual' | 'bulk';

/** The process that accepts and sends. */
type Gateway = {
  ask<Answer>(question: SendingQuestion): Promise<Answer>;
  /** Has it accept new messages, to be sent when it is asked to. */
  post(kind: Kind): Promise<void>;
};

async function measureDrain(
  bench: Bench,
  { ask, post }: Gateway,
  kind: Kind,
  smtp: ServerAddress,
): Promise<Row> {
  const raw: number[] = [];
  const ours: number[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    raw.push(await rawDrain(kind, smtp));
    await post(kind);
    ours.push((counts[kind] * 1_000) / (await ask<number>({ ask: 'drain' })));
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
async function rawDrain(kind: Kind, { host, port }: ServerAddress): Promise<number> {
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
    const [transport, from] = [transports[sender], senders[sender]];
    if (transport !== undefined && from !== undefined)
      sent.push(transport.sendMail({ from, to: recipientsOf(n), subject: `Mail ${n}`, text }));
  }
  await Promise.all(sent);
  const ms = performance.now() - startedAt;
  for (const transport of transports) transport.close();
  return (counts[kind] * 1_000) / ms;
}

async function measureOneByOne(bench: Bench, { ask, post }: Gateway): Promise<Row> {
  const count = 60;
  await ask({ ask: 'forget' });
  const alone = await ask<number[]>({ ask: 'one_by_one', count, untilDrained: false });
  await post('bulk');
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
