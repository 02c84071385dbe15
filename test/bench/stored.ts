import { simpleParser } from 'mailparser';
import { rows } from '../../src/store/database.ts';
import { passwordOf } from '../support/mail.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { figureOf, ratios, shown } from './figures.ts';
import { lookThrough } from './look.ts';
import { contactMail, fillInbox } from './mail.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';

const messagesMax = 3_000;
const user = 'stored@bench.test';

/** Contacts' messages stored a second, blobs and events included, against a bare client that fetches and parses them. */
export async function measureStored(bench: Bench): Promise<Row[]> {
  await fillInbox(bench.servers, user, contactMail(messagesMax));
  await rawParsed(bench);
  await stored(bench);
  const raw: number[] = [];
  const ours: number[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    raw.push(await rawParsed(bench));
    ours.push(await stored(bench));
  }
  return [
    {
      what: 'small messages stored a second; raw: source, mailparser',
      raw: shown(figureOf(raw)),
      ours: shown(figureOf(ours)),
      ratio: ratios(ours, raw),
      aim: '≥ 700',
      sample: `${runsMax} × ${messagesMax}`,
      load: bench.load(),
    },
  ];
}

async function rawParsed(bench: Bench): Promise<number> {
  const startedAt = performance.now();
  const client = await openRawClient(bench.imap, { user, pass: passwordOf(user) });
  let count = 0;
  for await (const message of client.fetch('1:*', { uid: true, source: true }, { uid: true })) {
    const { text } = await simpleParser(message.source ?? '');
    if (text !== undefined) count += 1;
  }
  const rate = (count * 1000) / (performance.now() - startedAt);
  client.close();
  if (count !== messagesMax) throw new Error(`${count} messages in place of ${messagesMax}`);
  return rate;
}

async function stored(bench: Bench): Promise<number> {
  const { rate, database } = await lookThrough(bench, user, messagesMax);
  const [row] = await rows<{ messages: number; events: number }>(
    database.db,
    `select (select count(*)::int from messages) as messages,
            (select count(*)::int from events where type = 'message.created') as events`,
  );
  await database.drop();
  if (row?.messages !== messagesMax || row.events !== messagesMax) {
    throw new Error(`of ${messagesMax} messages were stored: ${JSON.stringify(row)}`);
  }
  return rate;
}
