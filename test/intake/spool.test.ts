import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Take } from '../../src/intake/hand-over.ts';
import { SpoolFull, openSpool, spoolLimits } from '../../src/intake/spool.ts';
import type { Spool, SpoolLimits } from '../../src/intake/spool.ts';
import type { SpoolFiles } from '../../src/intake/spool-files.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { waitFor } from '../support/wait.ts';
import { createFaultyFiles } from './faulty-files.ts';
import { envelope, keptLog, newFolder, proof } from './support.ts';
import { typescript } from '../support/start-command.ts';

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function folder(): Promise<string> {
  const made = await newFolder();
  folders.push(made);
  return made;
}

type Options = {
  directory: string;
  take: Take;
  openFiles?: (directory: string) => Promise<SpoolFiles>;
  limits?: SpoolLimits;
};

const open = (options: Options): Promise<Spool> =>
  openSpool({ clock: systemClock, log: keptLog(), ...options });

/** Takes nothing until it is told to, then everything. */
function taker() {
  const taken = new Map<string, Buffer>();
  const batches: number[] = [];
  let away = false;
  const take: Take = async (batch) => {
    if (away) throw new Error('the database is away');
    batches.push(batch.length);
    for (const { spooled, raw } of batch) {
      const known = taken.get(spooled.id);
      assert.ok(known === undefined || known.equals(raw), 'the same id is the same message');
      taken.set(spooled.id, Buffer.from(raw));
    }
  };
  return { taken, batches, take, setAway: (value: boolean) => void (away = value) };
}

async function accept(spool: Spool, ...pieces: Buffer[]): Promise<string> {
  const arrival = spool.receive();
  try {
    for (const piece of pieces) await arrival.write(piece);
    await arrival.commit({ envelope, proof });
  } catch (error) {
    await arrival.discard().catch(() => undefined);
    throw error;
  }
  return arrival.id;
}

const small = (text: string) => Buffer.from(`Subject: ${text}\r\n\r\n${text}\r\n`);
const large = (fill: string) => Array.from({ length: 5 }, () => Buffer.alloc(100_000, fill));
const messagesIn = (directory: string) => readdir(join(directory, 'messages'));

describe('the spool', () => {
  test('what is committed is handed over with its bytes, its size and its hash, small or large', async () => {
    const directory = await folder();
    const { taken, take } = taker();
    const spool = await open({ directory, take });
    const one = await accept(spool, small('one'));
    const two = await accept(spool, ...large('x'));
    await waitFor('both are taken', () => taken.size === 2);
    assert.deepEqual(taken.get(one), small('one'));
    assert.deepEqual(taken.get(two), Buffer.concat(large('x')));
    await waitFor('nothing waits', () => spool.waiting().messages === 0);
    assert.deepEqual(spool.waiting(), { messages: 0, bytes: 0 });
    await spool.stop();
    assert.deepEqual(await messagesIn(directory), [], 'what was taken leaves nothing behind');
  });

  test('what was not taken is handed over by the next run, under the same id', async () => {
    const directory = await folder();
    const first = taker();
    first.setAway(true);
    const spool = await open({ directory, take: first.take });
    const ids = [await accept(spool, small('one')), await accept(spool, ...large('y'))];
    await spool.stop();
    const second = taker();
    const again = await open({ directory, take: second.take });
    await waitFor('both are taken', () => second.taken.size === 2);
    assert.deepEqual([...second.taken.keys()].sort(), ids.sort());
    await again.stop();
    assert.deepEqual(await messagesIn(directory), []);
  });

  test('sessions that commit at once share fdatasyncs', async () => {
    const files = createFaultyFiles();
    const { take, taken } = taker();
    const spool = await open({ directory: await folder(), take, openFiles: files.open });
    await Promise.all(Array.from({ length: 200 }, (_, n) => accept(spool, small(`message ${n}`))));
    const syncs = files.operations.filter((operation) => operation === 'sync').length;
    assert.ok(syncs <= 3, `${syncs} fdatasyncs for 200 messages`);
    await waitFor('all are taken', () => taken.size === 200);
    await spool.stop();
  });

  for (const power of ['stays', 'goes']) {
    test(`nothing acknowledged is lost, whatever operation the process dies in, when the power ${power}`, async () => {
      for (let n = 0; ; n += 1) {
        const directory = await folder();
        const files = createFaultyFiles();
        files.dieAt(n);
        const before = taker();
        const offered = new Map<string, Buffer>();
        const acknowledged: string[] = [];
        const spool = await open({ directory, take: before.take, openFiles: files.open });
        const offer = async (...pieces: Buffer[]) => {
          const arrival = spool.receive();
          offered.set(arrival.id, Buffer.concat(pieces));
          try {
            for (const piece of pieces) await arrival.write(piece);
            await arrival.commit({ envelope, proof });
          } catch (error) {
            await arrival.discard();
            throw error;
          }
          acknowledged.push(arrival.id);
        };
        before.setAway(n % 2 === 0);
        const ends = [
          ...(await Promise.allSettled([offer(small('a')), offer(small('b'))])),
          ...(await Promise.allSettled([offer(...large('c')), offer(small('d'))])),
          ...(await Promise.allSettled([offer(small('e'))])),
        ];
        const alive = ends.every(({ status }) => status === 'fulfilled');
        await spool.stop().catch(() => undefined);
        if (power === 'goes') await files.losePower();
        const { taken, take } = taker();
        const next = await open({ directory, take });
        await waitFor('the rest is taken', () => next.waiting().messages === 0);
        for (const id of acknowledged)
          assert.ok(taken.has(id) || before.taken.has(id), `acknowledged and lost, dying in operation ${n}`);
        for (const [id, raw] of taken) assert.deepEqual(raw, offered.get(id), 'each id is what was offered');
        await next.stop();
        assert.deepEqual(await messagesIn(directory), []);
        if (alive && files.operations.length <= n) break;
      }
    });
  }

  test('nothing acknowledged is lost when the process is killed in the middle', async () => {
    const directory = await folder();
    for (let round = 0; round < 3; round += 1) {
      const file = new URL('./spool-process.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [...typescript, file, directory], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (data: Buffer) => (said += data.toString()));
      await waitFor('it has committed many', () => said.length > 20_000 * (round + 1), { everyMs: 5 });
      child.kill('SIGKILL');
      await once(child, 'close');
      const acknowledged = said.slice(0, said.lastIndexOf('\n')).split('\n');
      const { taken, take } = taker();
      const next = await open({ directory, take });
      await waitFor('all is taken', () => next.waiting().messages === 0);
      await next.stop();
      assert.deepEqual(
        acknowledged.filter((id) => !taken.has(id)),
        [],
      );
      for (const [id, raw] of taken) assert.ok(raw.includes(`Subject: ${id}\r\n`));
      assert.deepEqual(await messagesIn(directory), []);
    }
  });

  test('a commit that the disk refused is refused, is not found again, and the next one is durable', async () => {
    for (const operation of ['write', 'sync', 'create']) {
      const directory = await folder();
      const files = createFaultyFiles();
      const nobody = taker();
      nobody.setAway(true);
      const spool = await open({ directory, take: nobody.take, openFiles: files.open });
      files.fail([operation], 'ENOSPC');
      await assert.rejects(accept(spool, small('refused')), { code: 'ENOSPC' });
      await assert.rejects(accept(spool, ...large('r')), { code: 'ENOSPC' });
      files.fail([], '');
      const id = await accept(spool, small('kept'));
      await spool.stop();
      const { taken, take } = taker();
      const next = await open({ directory, take });
      await waitFor('the kept one is taken', () => next.waiting().messages === 0);
      assert.deepEqual([...taken.keys()], [id]);
      await next.stop();
      assert.deepEqual(await messagesIn(directory), []);
    }
  });

  test('past its limits it accepts no more, until something is taken', async () => {
    const { take, taken, setAway } = taker();
    setAway(true);
    const limits = { ...spoolLimits, messagesMax: 2 };
    const spool = await open({ directory: await folder(), take, limits });
    await accept(spool, small('1'));
    assert.equal(spool.isFull(), false);
    await accept(spool, small('2'));
    assert.equal(spool.isFull(), true);
    await assert.rejects(accept(spool, ...large('3')), SpoolFull);
    setAway(false);
    await waitFor('it is not full', () => !spool.isFull());
    await accept(spool, small('4'));
    await waitFor('three are taken', () => taken.size === 3);
    await spool.stop();
  });

  test('what is not kept in memory is read back', async () => {
    const { take, taken, setAway } = taker();
    setAway(true);
    const limits = { ...spoolLimits, memoryBytesMax: 0 };
    const spool = await open({ directory: await folder(), take, limits });
    const id = await accept(spool, small('from the disk'));
    setAway(false);
    await waitFor('it is taken', () => taken.has(id));
    assert.deepEqual(taken.get(id), small('from the disk'));
    await spool.stop();
  });

  test('one message that is refused again and again holds no other', async () => {
    const { take, taken } = taker();
    const spool = await open({
      directory: await folder(),
      take: async (batch) => {
        if (batch.some(({ raw }) => raw.includes('poison'))) throw new Error('no');
        await take(batch);
      },
    });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => accept(spool, small(n === 20 ? 'poison' : `message ${n}`))),
    );
    await waitFor('all the others are taken', () => taken.size === 39);
    assert.equal(spool.waiting().messages, 1);
    await spool.stop();
  });

  test('a message that is discarded leaves nothing, also when it was large', async () => {
    const directory = await folder();
    const spool = await open({ directory, take: taker().take });
    const arrival = spool.receive();
    for (const piece of large('z')) await arrival.write(piece);
    await arrival.discard();
    assert.deepEqual(await messagesIn(directory), []);
    await spool.stop();
  });
});
