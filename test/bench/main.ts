// npm run bench [-- part ...]: measures the gateway against the bare libraries, in one run on the tests' own
// servers (PostgreSQL with fsync), and prints one table in Markdown. Parts: judged, stored, notice, memory, mailboxes, audit,
// contacts, flags, intake, sending, pages, nodes; and only when they are named plans, for ten minutes and 30 GB, and
// mailboxes-3000 and mailboxes-10000, of which the first takes most of 10 GB of memory, and the other has Dovecot's sessions
// share processes.
import { cpus } from 'node:os';
import { measureAudit } from './audit.ts';
import { startBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { measureContacts } from './contacts.ts';
import { measureFlags } from './flags.ts';
import { measureIntake } from './intake.ts';
import { measureJudged } from './judged.ts';
import { measureMailboxes } from './mailboxes.ts';
import { measureMemory } from './memory.ts';
import { measureNodes } from './nodes.ts';
import { measureNotice } from './notice.ts';
import { measurePages } from './pages.ts';
import { measurePlans } from './plans.ts';
import { measureSending } from './sending.ts';
import { measureStored } from './stored.ts';
import { markdownTable } from './table.ts';
import type { Row } from './table.ts';

const parts: Readonly<Record<string, (bench: Bench) => Promise<Row[]>>> = {
  judged: measureJudged,
  stored: measureStored,
  notice: measureNotice,
  memory: measureMemory,
  mailboxes: (bench) => measureMailboxes(bench),
  audit: measureAudit,
  contacts: measureContacts,
  flags: measureFlags,
  intake: measureIntake,
  sending: measureSending,
  pages: measurePages,
  nodes: measureNodes,
  plans: measurePlans,
  'mailboxes-3000': (bench) => measureMailboxes(bench, [3_000]),
  'mailboxes-10000': (bench) => measureMailboxes(bench, [10_000]),
};

const onlyNamed: readonly string[] = ['plans', 'mailboxes-3000', 'mailboxes-10000'];

/** Well over what it takes on a busy machine; a bench that hangs leaves nothing running. */
const benchMsMax = 40 * 60_000;

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => parts[name] === undefined);
if (unknown.length > 0)
  throw new Error(`no part ${unknown.join(', ')}: there are ${Object.keys(parts).join(', ')}`);

const { bench, stop } = await startBench(wanted.includes('mailboxes-10000'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130));
setTimeout(() => void end(1), benchMsMax).unref();
const rows: Row[] = [];
try {
  for (const [name, measure] of Object.entries(parts)) {
    if (wanted.length > 0 ? !wanted.includes(name) : onlyNamed.includes(name)) continue;
    console.error(`measuring: ${name}`);
    rows.push(...(await measure(bench)));
  }
} finally {
  await stop();
}
console.log(
  `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores shared by clients and servers, Node ${process.versions.node}`,
);
console.log('Median of the runs (least-most).\n');
console.log(markdownTable(rows));

async function end(exitCode: number): Promise<void> {
  await stop();
  process.exit(exitCode);
}
