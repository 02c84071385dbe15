import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import { figureOf, ratios, shown } from './figures.ts';
import type { IdleOptions } from './memory-clients.ts';
import type { Row } from './table.ts';

const sizes = [100, 1_000];
/** Idle before it is counted: what they bring to life (code, pools) is no mailbox's own. */
const warmUp = 10;

const forms = {
  bare: { kind: 'bare', connections: 1 },
  /** As on Gmail, where All Mail shows received and sent mail. */
  one: { kind: 'listeners', connections: 1 },
  /** INBOX and, by NOTIFY on the same connection, Sent. */
  noticed: { kind: 'listeners', connections: 2 },
} as const satisfies Record<string, Pick<IdleOptions, 'kind' | 'connections'>>;

type Form = keyof typeof forms;

/** Resident memory for each idle mailbox, with All Mail and with NOTIFY, against as many bare clients. */
export async function measureMemory(bench: Bench): Promise<Row[]> {
  const runs: Record<Form, number[]>[] = [];
  for (let run = 0; run < runsMax; run += 1) {
    runs.push({
      bare: await oneRun(bench, forms.bare),
      one: await oneRun(bench, forms.one),
      noticed: await oneRun(bench, forms.noticed),
    });
  }
  const load = bench.load();
  return sizes.flatMap((size, at) =>
    (['one', 'noticed'] as const).map((form): Row => {
      const of = (which: Form) => runs.map((run) => run[which][at] ?? Number.NaN);
      return {
        what: `KB for each of ${size} idle mailboxes, one connection each${form === 'one' ? '' : ', Sent noticed'}`,
        raw: `${shown(figureOf(of('bare')))} (one each)`,
        ours: shown(figureOf(of(form))),
        ratio: ratios(of(form), of('bare')),
        aim: '≤ 160',
        sample: `${runsMax} × ${size}`,
        load,
      };
    }),
  );
}

/** Kilobytes of resident memory for each mailbox at each size, beyond what the process takes with a few. */
async function oneRun(bench: Bench, form: Pick<IdleOptions, 'kind' | 'connections'>): Promise<number[]> {
  const database = await bench.newDatabase();
  const options: IdleOptions = {
    ...form,
    imap: bench.imap,
    databaseUrl: database.url,
    blobsDirectory: await bench.newDirectory(),
  };
  const child = startChild(
    new URL('./memory-clients.ts', import.meta.url),
    [JSON.stringify(options)],
    ['--expose-gc'],
  );
  try {
    const before = await child.ask<number>(warmUp);
    const kilobytes: number[] = [];
    for (const size of sizes) {
      const bytes = (await child.ask<number>(size)) - before;
      kilobytes.push(bytes / 1024 / (size - warmUp));
    }
    return kilobytes;
  } finally {
    await child.stop();
    await database.drop();
  }
}
