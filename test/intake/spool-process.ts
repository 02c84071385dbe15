// A process that commits messages to a spool until it is killed, and says the id of each that is durable.
import { writeSync } from 'node:fs';
import { openSpool } from '../../src/intake/spool.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { envelope, keptLog, proof } from './support.ts';

const [directory = ''] = process.argv.slice(2);
const away = () => Promise.reject(new Error('the database is away'));
const spool = await openSpool({ directory, take: away, clock: systemClock, log: keptLog() });

await Promise.all(Array.from({ length: 8 }, (_, session) => commitForEver(session)));

async function commitForEver(session: number): Promise<never> {
  for (;;) {
    const arrival = spool.receive();
    const text = `Subject: ${arrival.id}\r\n\r\n`;
    await arrival.write(Buffer.from(text));
    // One session has messages that go to files of their own.
    if (session === 0)
      for (let piece = 0; piece < 4; piece += 1) await arrival.write(Buffer.alloc(100_000, 'x'));
    await arrival.commit({ envelope, proof });
    writeSync(1, `${arrival.id}\n`);
  }
}
