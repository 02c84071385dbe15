import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { lockDirectory } from '../../src/store/directory-lock.ts';
import { waitFor } from '../support/wait.ts';
import { typescript } from '../support/start-command.ts';

/** The id of a process that has ended. */
const deadPid = spawnSync(process.execPath, ['--version']).pid;

describe('the lock of a folder', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twoway-lock-'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const leave = (content: string) => writeFile(join(directory, 'lock'), content);

  test('is had by one, names its process, and is free again when that lets go', async () => {
    const { release } = await lockDirectory(directory);
    assert.match(
      await readFile(join(directory, 'lock'), 'utf8'),
      new RegExp(`^${process.pid} \\d+ [0-9a-f]{16}\n$`),
    );
    const taken = `another Twoway (process ${process.pid}) is using ${directory}; stop it first`;
    await assert.rejects(lockDirectory(directory), { message: taken });
    release();
    assert.deepEqual(await readdir(directory), [], 'nothing is left behind');
    (await lockDirectory(directory)).release();
  });

  const left: [what: string, content: () => string][] = [
    ['a process that died', () => `${deadPid} 123\n`],
    ['a process whose id another one has by now', () => `${process.pid} 1\n`],
    ['a crash before anything was written', () => ''],
    ['a crash in the middle of writing', () => `${process.pid}`],
    ['something that is none of ours', () => 'hello\n'],
    ['nobody at all', () => '0 1\n'],
  ];
  for (const [what, content] of left) {
    test(`of ${what} is taken over`, async () => {
      await leave(content());
      const { release } = await lockDirectory(directory);
      await assert.rejects(lockDirectory(directory), /another Twoway/);
      assert.deepEqual(await readdir(directory), ['lock']);
      release();
    });
  }

  test('of which a taker died in the middle of taking it over is taken over all the same', async () => {
    await leave(`${deadPid} 123\n`);
    await writeFile(join(directory, `lock.after-${deadPid}-123`), `${deadPid} 456\n`);
    const { release } = await lockDirectory(directory);
    assert.deepEqual(await readdir(directory), ['lock']);
    release();
  });

  test('that a living process is taking over is not taken', async () => {
    await leave(`${deadPid} 123\n`);
    await writeFile(join(directory, `lock.after-${deadPid}-123`), `${process.pid} \n`);
    await assert.rejects(lockDirectory(directory), /another Twoway/);
    assert.equal(await readFile(join(directory, 'lock'), 'utf8'), `${deadPid} 123\n`);
  });
});

describe('the lock of a process in another container', () => {
  // Its id is that of a living process here, which says nothing: in a container, most are number 1.
  const held = `${process.pid} 123 0123456789abcdef\n`;
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twoway-lock-'));
    await writeFile(join(directory, 'lock'), held);
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('is left to it while it renews it', async () => {
    const path = join(directory, 'lock');
    const renewing = setInterval(() => void utimes(path, new Date(), new Date()), 20);
    await assert.rejects(lockDirectory(directory, 300), {
      message: `another Twoway (process ${process.pid} of another container or machine) is using ${directory}; stop it first`,
    });
    clearInterval(renewing);
    assert.equal(await readFile(path, 'utf8'), held);
    assert.deepEqual(await readdir(directory), ['lock']);
  });

  test('is taken over when it does not, by one of those who wait for it', async () => {
    const taken = await Promise.allSettled([lockDirectory(directory, 300), lockDirectory(directory, 300)]);
    const [mine, ...more] = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.ok(mine !== undefined && more.length === 0, JSON.stringify(taken));
    assert.deepEqual(await readdir(directory), ['lock']);
    mine.release();
  });

  test('is taken over from one that died while it took over', async () => {
    await writeFile(join(directory, `lock.after-${process.pid}-123`), '1 456 fedcba9876543210\n');
    const { release } = await lockDirectory(directory, 50);
    assert.deepEqual(await readdir(directory), ['lock']);
    assert.match(await readFile(join(directory, 'lock'), 'utf8'), new RegExp(`^${process.pid} `));
    release();
  });

  const silentMs = 10_000;
  /** As `lockDirectory`, with what it says of a lock that is lost. */
  const take = async () => {
    await rm(join(directory, 'lock'), { force: true });
    const lost: string[] = [];
    const lock = await lockDirectory(directory, silentMs, ({ message }) => lost.push(message));
    return { ...lock, lost };
  };
  const anotherTakes = async () => {
    await writeFile(join(directory, 'another'), held);
    await utimes(join(directory, 'another'), 1, 1);
    await rename(join(directory, 'another'), join(directory, 'lock'));
  };
  const isAnothers = async () => {
    assert.equal(await readFile(join(directory, 'lock'), 'utf8'), held);
    assert.equal((await stat(join(directory, 'lock'))).mtimeMs, 1_000, 'it is renewed by its holder alone');
  };

  test('is left to whoever took over meanwhile', async () => {
    const { release, lost } = await take();
    await anotherTakes();
    release();
    await isAnothers();
    assert.deepEqual(lost, [], 'who lets go has nothing left to lose');
  });

  test('is not renewed by whoever lost it, who is told so, once', async () => {
    const { release, lost } = await take();
    await anotherTakes();
    await waitFor('the loss to be noticed', () => lost.length > 0);
    assert.match(lost.join(), /^another process has taken .*twoway-lock-.* over, since this one stood still/);
    await isAnothers();
    release();
    assert.equal(lost.length, 1);
  });

  for (const clock of ['running', 'dated'] as const) {
    const what =
      clock === 'running' ? 'some seconds ago' : 'so long ago by the date alone, as where the machine slept';
    test(`is looked at before something is written, where the last look is ${what}`, async (t) => {
      const { check, release, lost } = await take();
      const at = { running: performance.now(), dated: Date.now() };
      t.mock.method(performance, 'now', () => at.running);
      t.mock.method(Date, 'now', () => at.dated);
      await anotherTakes();
      check();
      assert.deepEqual(lost, []);
      at[clock] += 5_000;
      check();
      assert.equal(lost.length, 1);
      release();
      await isAnothers();
    });
  }

  test('is kept where the date alone changes', async (t) => {
    const { check, release, lost } = await take();
    let now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const jump of [3_600_000, -7_200_000, 3_605_000]) {
      now += jump;
      check();
    }
    assert.deepEqual(lost, []);
    release();
  });

  test('is lost as well when it is gone: whoever took it has let go of it', async (t) => {
    const { check, release, lost } = await take();
    await rm(join(directory, 'lock'));
    const now = performance.now();
    t.mock.method(performance, 'now', () => now + 5_000);
    check();
    release();
    assert.equal(lost.length, 1);
    assert.deepEqual(await readdir(directory), []);
  });

  test('is renewed by whoever has it', async () => {
    await rm(join(directory, 'lock'));
    const { release } = await lockDirectory(directory);
    const { mtimeMs } = await stat(join(directory, 'lock'));
    await waitFor('it to be renewed', async () => (await stat(join(directory, 'lock'))).mtimeMs > mtimeMs);
    release();
  });
});

describe('of processes that are started at once, one has the folder', () => {
  const takers: ChildProcess[] = [];
  const folders: string[] = [];
  before(async () => {
    for (let n = 0; n < 3; n += 1) {
      takers.push(fork(new URL('./lock-taker.ts', import.meta.url), { execArgv: typescript }));
    }
    await Promise.all(takers.map((taker) => once(taker, 'message')));
  });
  after(async () => {
    for (const taker of takers) {
      taker.kill('SIGKILL');
      await once(taker, 'exit');
    }
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  for (const [name, content] of [
    ['that nobody had', null],
    ['of one that died', `${deadPid} 123\n`],
    ['whose lock is empty', ''],
  ] as const) {
    test(name, async () => {
      for (let round = 0; round < 40; round += 1) {
        const folder = await mkdtemp(join(tmpdir(), 'twoway-lock-'));
        folders.push(folder);
        if (content !== null) await writeFile(join(folder, 'lock'), content);
        const answers = await Promise.all(
          takers.map(async (taker) => {
            const said = once(taker, 'message');
            taker.send(folder);
            return String((await said)[0]);
          }),
        );
        assert.equal(answers.filter((answer) => answer === 'won').length, 1, answers.join('; '));
        assert.equal(answers.filter((answer) => answer.startsWith('another Twoway')).length, 2);
        assert.deepEqual(await readdir(folder), ['lock']);
      }
    });
  }
});
