import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { startChild } from './child.ts';
import { figureOf, shown } from './figures.ts';
import type { Filed, FiledOptions } from './filed-node.ts';
import type { Row } from './table.ts';

const messagesMax = 5_000;
const warmUp = 1_000;
const users = 100;

/** Mails of many users filed a second, from the row in the spool's table to the message with its events. */
export async function measureFiled(bench: Bench): Promise<Row[]> {
  const database = await bench.newDatabase();
  const options: FiledOptions = {
    users,
    databaseUrl: database.url,
    blobsDirectory: await bench.newDirectory(),
  };
  const child = startChild(
    new URL('./filed-node.ts', import.meta.url),
    [JSON.stringify(options)],
    ['--expose-gc'],
  );
  const before = await child.ask<Filed>(warmUp);
  const runs: Filed[] = [];
  for (let run = 0; run < runsMax; run += 1) runs.push(await child.ask<Filed>(messagesMax));
  await child.stop();
  await database.drop();
  const sample = `${runsMax} × ${messagesMax}`;
  const load = bench.load();
  const megabytes = runs.map(({ heldBytes }) => heldBytes / 1024 ** 2);
  return [
    {
      what: `logged mails of ${users} users filed a second`,
      raw: 'none',
      ours: shown(figureOf(runs.map(({ perSecond }) => perSecond))),
      ratio: '',
      aim: '≥ 500',
      sample,
      load,
    },
    {
      what: `MB held in memory after each run of it; raw: after ${warmUp} mails`,
      raw: (before.heldBytes / 1024 ** 2).toFixed(1),
      ours: megabytes.map((one) => one.toFixed(1)).join(', '),
      ratio: ((megabytes.at(-1) ?? Number.NaN) / (before.heldBytes / 1024 ** 2)).toFixed(2),
      aim: 'flat',
      sample,
      load,
    },
  ];
}
