import { runCommand } from '../support/processes.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import { measureFiled } from './filed.ts';
import { figureOf, ratios, shown } from './figures.ts';
import type { IntakeQuestion } from './intake-server.ts';
import type { Row } from './table.ts';

const messageBytes = 10 * 1024;
const cases = [
  { sessions: 1, messages: 4_000, postfixMessages: 2_000 },
  { sessions: 20, messages: 20_000, postfixMessages: 3_000 },
  { sessions: 50, messages: 20_000, postfixMessages: 3_000 },
];

/**
 * Messages of 10 KB accepted durably a second over kept connections, by Postfix's own client: the whole door (the
 * recipient looked up, SPF verified), against the bare library that appends to a file with group commit, and against
 * Postfix's queue.
 */
export async function measureIntake(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { sessions, messages, postfixMessages } of cases) {
    const ours: number[] = [];
    const bare: number[] = [];
    const postfix: number[] = [];
    for (let run = 0; run < runsMax; run += 1) {
      bare.push(await ofServer(bench, 'bare', sessions, messages));
      ours.push(await ofServer(bench, 'ours', sessions, messages));
      const { mxPort } = bench.servers.smtp;
      postfix.push(
        await perSecond({ port: mxPort, to: 'bob@swallows.test', sessions, messages: postfixMessages }),
      );
    }
    const what = `mails of 10 KB accepted durably a second, ${sessions} kept connection${sessions === 1 ? '' : 's'}`;
    const load = bench.load();
    const row = (against: string, raw: readonly number[], aim: string): Row => ({
      what: `${what}; raw: ${against}`,
      raw: shown(figureOf(raw)),
      ours: shown(figureOf(ours)),
      ratio: ratios(ours, raw),
      aim,
      sample: `${runsMax} × ${messages}`,
      load,
    });
    rows.push(
      row('smtp-server, one file, group commit', bare, 'ratio ≥ 0.7'),
      row(`Postfix (${postfixMessages} each)`, postfix, 'ratio ≥ 3'),
    );
  }
  rows.push(...(await measureFiled(bench)));
  return rows;
}

async function ofServer(
  bench: Bench,
  start: 'ours' | 'bare',
  sessions: number,
  messages: number,
): Promise<number> {
  const child = startChild(new URL('./intake-server.ts', import.meta.url));
  const directory = await bench.newDirectory();
  const ask = (question: IntakeQuestion) => child.ask<number>(question);
  const port = await ask({ start, directory });
  // Its code is warm, and its files are there.
  await perSecond({ port, to: 'warm@log.example', sessions, messages: 1_000 });
  const figure = await perSecond({ port, to: 'bench@log.example', sessions, messages });
  await ask({ stop: true });
  await child.stop();
  return figure;
}

async function perSecond(options: {
  port: number;
  to: string;
  sessions: number;
  messages: number;
}): Promise<number> {
  const { port, to, sessions, messages } = options;
  const counts = ['-d', '-s', `${sessions}`, '-m', `${messages}`, '-l', `${messageBytes}`];
  const startedAt = performance.now();
  const addresses = ['-f', 'ann@seller.example', '-t', to, `inet:127.0.0.1:${port}`];
  await runCommand('/usr/sbin/smtp-source', [...counts, ...addresses], { timeoutMs: 120_000 });
  return messages / ((performance.now() - startedAt) / 1000);
}
