import { setTimeout as wait } from 'node:timers/promises';
import type { ImapFlow } from 'imapflow';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench } from './bench.ts';
import { preciseNow, startChild } from './child.ts';
import type { Child } from './child.ts';
import { shownLatency } from './figures.ts';
import type { Idled, MailboxesOptions, MailboxesQuestion, Started } from './mailboxes-node.ts';
import { contactMail } from './mail.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';
import { addMailboxes } from './tenant.ts';

/** New mails that are waited for, one after the other, in mailboxes all over. */
const noticesMax = 20;
const restMs = 150;
type Run = Started & { bytes: number; idled: Idled | null; latencies: number[] };

/**
 * Idle mailboxes with one connection each in one process, against as many bare clients in one. One mailbox is what
 * latency is compared with.
 */
export async function measureMailboxes(bench: Bench, sizes: readonly number[] = [1, 1_000]): Promise<Row[]> {
  const rows: Row[] = [];
  // No letter twice: Dovecot keeps them from one size to the next.
  const letters = contactMail(sizes.length * noticesMax);
  for (const size of sizes) {
    const bare = await oneRun(bench, 'bare', size, []);
    const ours = await oneRun(bench, 'gateway', size, letters.splice(0, noticesMax));
    const load = bench.load();
    const row = (what: string, of: (run: Run) => number, aim: string, digits = 0): Row => ({
      what: `${what}, ${size} idle mailboxes`,
      raw: of(bare).toFixed(digits),
      ours: of(ours).toFixed(digits),
      ratio: (of(ours) / of(bare)).toFixed(2),
      aim,
      sample: '1',
      load,
    });
    if (size > 1) {
      rows.push(
        row('s from the start to all live', ({ ms }) => ms / 1_000, '≤ 1.3', 1),
        row('s of the processor for that', ({ cpuMs }) => cpuMs / 1_000, '', 1),
        row('KB each, the process included', ({ bytes }) => bytes / 1_024 / size, '≤ 1.5'),
        row('ms of the processor in a minute', ({ idled }) => idled?.cpuMs ?? 0, ''),
        row("ms of the event loop's delay in it (p99)", ({ idled }) => idled?.loopDelayMs ?? 0, ''),
        row('connections to PostgreSQL then', ({ idled }) => idled?.connections ?? 0, ''),
      );
    }
    if (ours.latencies.length === 0) continue;
    rows.push({
      what: `ms from EXISTS to the event (p50, p99), ${size} idle mailboxes`,
      raw: 'EXISTS = 0',
      ours: shownLatency(ours.latencies),
      ratio: '',
      aim: 'as with 1',
      sample: `${noticesMax}`,
      load,
    });
  }
  return rows;
}

async function oneRun(
  bench: Bench,
  kind: MailboxesOptions['kind'],
  mailboxes: number,
  letters: readonly string[],
): Promise<Run> {
  const { imap } = bench;
  const database = await bench.newDatabase();
  await addMailboxes(database.db, mailboxes);
  const blobsDirectory = await bench.newDirectory();
  const options: MailboxesOptions = { kind, imap, mailboxes, databaseUrl: database.url, blobsDirectory };
  const file = new URL('./mailboxes-node.ts', import.meta.url);
  const child = startChild(file, [JSON.stringify(options)], ['--expose-gc']);
  const ask = <Answer>(question: MailboxesQuestion) => child.ask<Answer>(question);
  try {
    const started = await ask<Started>('start');
    const bytes = await ask<number>('memory');
    const latencies = await takeNotices(child, imap, mailboxes, letters);
    const idled = mailboxes === 1 ? null : await ask<Idled>('idle');
    return { ...started, bytes, idled, latencies };
  } finally {
    await child.stop();
    await database.drop();
  }
}

/** From when a bare client beside the gateway is told of a new mail to when its event is committed, in ms. */
async function takeNotices(
  child: Child,
  imap: ServerAddress,
  mailboxes: number,
  letters: readonly string[],
): Promise<number[]> {
  const latencies: number[] = [];
  for (const [n, letter] of letters.entries()) {
    const user = `idle-${1 + ((n * 997) % mailboxes)}@bench.test`;
    const [watching, writing] = await Promise.all([open(imap, user), open(imap, user)]);
    const told = new Promise<number>((resolve) => watching.once('exists', () => resolve(preciseNow())));
    watching.idle().catch(() => undefined);
    await wait(restMs);
    const before = (await child.ask<number[]>('commits')).length;
    await writing.append('INBOX', letter);
    const existsAt = await told;
    const committed = async () => (await child.ask<number[]>('commits'))[before];
    await waitFor('the event', async () => (await committed()) !== undefined, {
      deadlineMs: 60_000,
      everyMs: 5,
    });
    latencies.push(((await committed()) ?? Number.NaN) - existsAt);
    watching.close();
    writing.close();
  }
  return latencies;
}

function open(imap: ServerAddress, user: string): Promise<ImapFlow> {
  return openRawClient(imap, { user, pass: passwordOf(user) });
}
