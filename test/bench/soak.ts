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
 * Where filing stays behind, as on a machine that others use as well, nothing is sent: what waits is in memory too, and
 * is not what is looked for.
 */
const waitingMax = 2_000;

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
  const pace: Pace = { next: 0, isBehind: false, isOver: false };
  const startedAt = performance.now();
  const sending = send(door, pace);
  // What befalls it is thrown where it is awaited.
  sending.catch(() => undefined);
  const looks: SoakLook[] = [];
  for (let second = 1; second <= minutes * 60; second += 1) {
    await Promise.race([wait(Math.max(startedAt + second * 1_000 - performance.now(), 0)), sending]);
    pace.isBehind = (await ask<number>('waiting')) > waitingMax;
    if (second % 60 !== 0) continue;
    looks.push(await ask<SoakLook>('look'));
    console.error(`minute ${second / 60}, ${pace.next} mails: ${JSON.stringify(looks.at(-1))}`);
  }
  pace.isOver = true;
  const accepted = await sending;
  const seconds = (performance.now() - startedAt) / 1000;
  await waitFor('all of it to be filed', async () => (await ask<number>('waiting')) === 0, {
    deadlineMs: 60_000,
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
      sample: `${(accepted / seconds).toFixed(0)} mails/s; ${slopeOf(values).toFixed(2)} MB a minute`,
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

/** How mail is sent: which is the next, and whether it has to wait, or to end. */
type Pace = { next: number; isBehind: boolean; isOver: boolean };

/** Sends mail over kept connections until it is told to stop; how many were accepted. */
async function send(door: SoakDoor, pace: Pace): Promise<number> {
  let accepted = 0;
  const work = async () => {
    const client = await dial(door.port);
    await client.say('EHLO mx.bench.test');
    for (let dueAt = performance.now(); !pace.isOver; dueAt += (sessions * 1000) / perSecond) {
      // What was not sent in time is not made up for.
      dueAt = Math.max(dueAt, performance.now());
      await wait(Math.max(dueAt - performance.now(), 0));
      if (pace.isBehind) continue;
      const n = pace.next++;
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
