import type { FetchQueryObject } from 'imapflow';
import { passwordOf } from '../support/mail.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { figureOf, ratios, shown } from './figures.ts';
import { lookThrough } from './look.ts';
import { fillInbox, privateMail } from './mail.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';

const messagesMax = 20_000;
const user = 'judged@bench.test';

const queries = {
  everything: { uid: true, envelope: true, headers: true, bodyStructure: true },
  /** What src/mailbox/session.ts asks for. */
  listeners: {
    uid: true,
    flags: true,
    internalDate: true,
    size: true,
    headers: true,
  },
} satisfies Record<string, FetchQueryObject>;

/** Headers judged a second, by the listener's own way, against a bare client that fetches headers and structure. */
export async function measureJudged(bench: Bench): Promise<Row[]> {
  await fillInbox(bench.servers, user, privateMail(messagesMax));
  // The first time Dovecot parses every message; later it has the answers in its cache.
  for (const query of Object.values(queries)) await rawHeaders(bench, query);
  await judged(bench);
  const everything: number[] = [];
  const same: number[] = [];
  const ours: number[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    everything.push(await rawHeaders(bench, queries.everything));
    ours.push(await judged(bench));
    same.push(await rawHeaders(bench, queries.listeners));
  }
  const row = (what: string, raw: readonly number[], aim: string): Row => ({
    what,
    raw: shown(figureOf(raw)),
    ours: shown(figureOf(ours)),
    ratio: ratios(ours, raw),
    aim,
    sample: `${runsMax} × ${messagesMax}`,
    load,
  });
  const load = bench.load();
  return [
    row('headers judged a second; raw: envelope, all headers, structure', everything, 'ratio ≥ 0.5'),
    row("headers judged a second; raw: the listener's own query", same, ''),
  ];
}

async function rawHeaders(bench: Bench, query: FetchQueryObject): Promise<number> {
  const startedAt = performance.now();
  const client = await openRawClient(bench.imap, { user, pass: passwordOf(user) });
  let count = 0;
  for await (const message of client.fetch('1:*', query, { uid: true })) if (message.uid > 0) count += 1;
  const rate = (count * 1000) / (performance.now() - startedAt);
  client.close();
  if (count !== messagesMax) throw new Error(`${count} messages in place of ${messagesMax}`);
  return rate;
}

async function judged(bench: Bench): Promise<number> {
  const { rate, database } = await lookThrough(bench, user, messagesMax);
  await database.drop();
  return rate;
}
