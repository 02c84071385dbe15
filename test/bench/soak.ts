import { setTimeout as wait } from 'node:timers/promises';
import { dial } from '../intake/door.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench } from './bench.ts';
import { startChild } from './child.ts';
import { loggedMail } from './mail.ts';
import type { SoakDoor, SoakLook, SoakOptions, SoakQuestion } from './soak-node.ts';
import type { Row } from './table.ts';

const minutes = 10;
const perSecond = 200;
const sessions = 20;
const users = 100;

/**
 * Whether the memory of a process stays flat that accepts and files logged mail for ten minutes, at the same pace all
 * the time. The first minute, in which its code and its pools come to life, is what the last is compared with.
 */
export async function measureSoak(bench: Bench): Promise<Row[]> {
  const database = await bench.newDatabase();
  const options: SoakOptions = {
    users,
    databaseUrl: database.url,
    blobsDirectory: await bench.newDirectory(),
    spoolDirectory: await bench.newDirectory(),
  };
  const child = startChild(
    new URL('./soak-node.ts', import.meta.url),
    [JSON.stringify(options)],
    ['--expose-gc'],
  );
  const ask = <Answer>(question: SoakQuestion) => child.ask<Answer>(question);
  const door = await ask<SoakDoor>('start');
  const over = new AbortController();
  const startedAt = performance.now();
  const sending = send(door, startedAt, over.signal);
  // What befalls it is thrown where it is awaited.
  sending.catch(() => undefined);
  const looks: SoakLook[] = [];
  for (let minute = 1; minute <= minutes; minute += 1) {
    await Promise.race([wait(startedAt + minute * 60_000 - performance.now()), sending]);
    looks.push(await ask<SoakLook>('look'));
    console.error(`soak, minute ${minute}: ${JSON.stringify(looks.at(-1))}`);
  }
  over.abort();
  const accepted = await sending;
  const seconds = (performance.now() - startedAt) / 1000;
  const late = accepted - (looks.at(-1)?.filed ?? 0);
  // On a machine that others use as well, filing may stay behind; none may be lost.
  await waitFor('all of it to be filed', async () => (await ask<SoakLook>('look')).filed === accepted, {
    deadlineMs: 600_000,
  });
  await child.stop();
  await database.drop();
  const load = bench.load();
  const row = (of: string, values: readonly number[]): Row => {
    const [first = Number.NaN] = values;
    const last = values.at(-1) ?? Number.NaN;
    return {
      what: `MB ${of}, minute ${minutes} of accepting and filing; raw: minute 1`,
      raw: first.toFixed(1),
      ours: last.toFixed(1),
      ratio: (last / first).toFixed(2),
      aim: 'flat',
      sample: `${(accepted / seconds).toFixed(0)} mails/s, ${late} unfiled at the end; ${slopeOf(values).toFixed(2)} MB a minute`,
      load,
    };
  };
  return [
    row('held in memory', megabytes(looks.map((look) => look.heldBytes))),
    row('resident', megabytes(looks.map((look) => look.residentBytes))),
  ];
}

function megabytes(bytes: readonly number[]): number[] {
  return bytes.map((one) => one / 1024 ** 2);
}

/** By how much they grow from one to the next: of the straight line that fits them best. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const along = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0);
  const across = values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
  return along / across;
}

/** Sends mail at the pace, over kept connections, until it is told to stop; how many were accepted. */
async function send(door: SoakDoor, startedAt: number, signal: AbortSignal): Promise<number> {
  let next = 0;
  let accepted = 0;
  const work = async () => {
    const client = await dial(door.port);
    await client.say('EHLO mx.bench.test');
    while (!signal.aborted) {
      const n = next++;
      const late = performance.now() - startedAt - (n * 1000) / perSecond;
      if (late < 0) await wait(-late);
      const user = door.users[n % door.users.length] ?? { address: '', loggingAddress: '' };
      await client.say(`MAIL FROM:<${user.address}>`);
      await client.say(`RCPT TO:<${user.loggingAddress}>`);
      await client.say('DATA');
      const reply = await client.say(`${loggedMail(n, user.address).toString()}.`);
      if (!reply.startsWith('250 ')) throw new Error(`mail was not accepted: ${reply}`);
      accepted += 1;
    }
    client.close();
  };
  await Promise.all(Array.from({ length: sessions }, work));
  return accepted;
}
