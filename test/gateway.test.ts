import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readConfig } from '../src/config.ts';
import { endAll, startGateway } from '../src/gateway.ts';
import { freePort } from './support/processes.ts';
import { nodeArguments } from './support/start-command.ts';
import { waitFor } from './support/wait.ts';

test('a first start that fails at a port leaves the first key to the next start, which shows it once, and where the first administrator gets in', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-first-key-'));
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const start = (more: Record<string, string> = {}) =>
    startGateway(readConfig({ ...quietly(directory), ...more }));
  const { port } = busy.address() as AddressInfo;
  const taken = `port ${port} of 127.0.0.1 is taken by another program`;
  try {
    for (const [name, more] of [
      ['TWOWAY_HTTP_PORT', { TWOWAY_HTTP_PORT: `${port}` }],
      ['TWOWAY_SMTP_PORT', { TWOWAY_SMTP_PORT: `${port}` }],
      ['TWOWAY_SANDBOX_PORT', { TWOWAY_SANDBOX: 'on', TWOWAY_SANDBOX_PORT: `${port - 1}` }],
    ] as const) {
      await assert.rejects(start(more), ({ message }: Error) => {
        assert.ok(message.startsWith(taken), message);
        assert.ok(message.includes(name), message);
        return true;
      });
    }
    const smtpPort = await freePort();
    await assert.rejects(start({ TWOWAY_SMTP_PORT: `${smtpPort}`, TWOWAY_HTTP_PORT: `${port}` }), /is taken/);
    const left = connect(smtpPort, '127.0.0.1');
    await assert.rejects(once(left, 'connect'), { code: 'ECONNREFUSED' });
    assert.equal(existsSync(join(directory, 'lock')), false);
    const elsewhere = start({ TWOWAY_SMTP_HOST: '192.0.2.1' });
    await assert.rejects(elsewhere, /192\.0\.2\.1 is no address of this machine: .*TWOWAY_SMTP_HOST/);
    const first = await start();
    assert.match(first.firstKey ?? '', /^tw_/);
    const link = first.firstLink ?? '';
    assert.ok(link.startsWith(`${first.url}/admin/welcome/`), link);
    assert.match(await (await fetch(link)).text(), /Become the first administrator/);
    const led = await fetch(first.url, { redirect: 'manual' });
    assert.deepEqual([led.status, led.headers.get('location')], [303, '/admin']);
    const fields = { email: 'ann@operator.example', password: 'plum harbour ladder' };
    const done = await fetch(link, {
      method: 'POST',
      body: new URLSearchParams(fields),
      redirect: 'manual',
    });
    assert.equal(done.headers.get('location'), '/admin/account');
    await first.stop();
    const second = await start();
    assert.deepEqual([second.firstKey, second.firstLink], [null, null]);
    await second.stop();
  } finally {
    busy.close();
    await rm(directory, { recursive: true });
  }
});

test('a prepared start takes the key and the administrator that it is given, prints neither, and changes nothing later', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-prepared-'));
  const given = `tw_${'k'.repeat(43)}`;
  const other = `tw_${'o'.repeat(43)}`;
  const start = (key: string, password: string) =>
    startGateway(
      readConfig({
        ...quietly(directory),
        TWOWAY_FIRST_KEY: key,
        TWOWAY_FIRST_ADMINISTRATOR: 'ann@operator.example',
        TWOWAY_FIRST_PASSWORD: password,
      }),
    );
  const opens = async (url: string, key: string) =>
    (await fetch(`${url}/v1/keys`, { headers: { authorization: `Bearer ${key}` } })).status;
  const signsIn = async (url: string, password: string) => {
    const body = new URLSearchParams({ email: 'ann@operator.example', password });
    const origin = { origin: url, 'sec-fetch-site': 'same-origin' };
    const page = await fetch(`${url}/admin/sign-in`);
    const cookie = page.headers
      .getSetCookie()
      .map((set) => set.split(';')[0])
      .join('; ');
    for (const [, name = '', value = ''] of (await page.text()).matchAll(
      /<input type="hidden" name="([^"]+)" value="([^"]*)"/g,
    ))
      body.set(name, value);
    const headers = { ...origin, cookie };
    const answer = await fetch(`${url}/admin/sign-in`, { method: 'POST', body, headers, redirect: 'manual' });
    return answer.status === 303;
  };
  try {
    const first = await start(given, 'plum harbour ladder');
    assert.deepEqual([first.firstKey, first.firstLink], [null, null]);
    assert.deepEqual([await opens(first.url, given), await opens(first.url, other)], [200, 401]);
    assert.equal(await signsIn(first.url, 'plum harbour ladder'), true);
    await first.stop();
    const second = await start(other, 'another harbour ladder');
    assert.deepEqual([second.firstKey, second.firstLink], [null, null]);
    assert.deepEqual([await opens(second.url, given), await opens(second.url, other)], [200, 401]);
    assert.equal(await signsIn(second.url, 'another harbour ladder'), false);
    await second.stop();
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a part that does not stop keeps no other from it: the database is closed and the lock let go all the same', async () => {
  const ended: string[] = [];
  const logged: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn() {},
    error: (_: unknown, text: string) => logged.push(text),
    child: () => log,
  };
  const parts = [
    () => void ended.push('lock'),
    () => Promise.reject(new Error('the database')),
    async () => void ended.push('worker'),
    () => {
      throw new Error('the door');
    },
  ];
  await assert.rejects(endAll(parts, log), { message: 'the door' });
  assert.deepEqual(ended, ['worker', 'lock']);
  assert.equal(logged.length, 2);
  await endAll([() => void ended.push('one')], log);
  assert.equal(logged.length, 2);
});

for (const [how, command, given, signal] of [
  ['Ctrl-C', process.execPath, nodeArguments('start'), 'SIGINT'],
  // What a supervisor sends reaches npm alone.
  ['SIGTERM to npm', 'npm', ['start'], 'SIGTERM'],
] as const) {
  test(`${how} says that it stops, and that it has; what was made is nobody else's to read`, async () => {
    const { child, directory, closed, output, endAndRemove } = await startProcess(command, given);
    try {
      for (const made of ['blobs', 'database', 'spool']) {
        assert.equal((await stat(join(directory, made))).mode & 0o777, 0o700, made);
      }
      child.kill(signal);
      await waitFor('the stop', () => output().includes('Twoway has stopped'), { deadlineMs: 30_000 });
      const [code] = (await closed) as [number];
      assert.equal(code, 0);
      assert.match(output(), /Twoway is stopping.*\nTwoway has stopped\.\n$/);
    } finally {
      await endAndRemove();
    }
  });
}

test('a gateway that stood still while another took its folder over ends at once when it goes on, and leaves the lock to that one', async () => {
  const { child, directory, closed, output, endAndRemove } = await startProcess(
    process.execPath,
    nodeArguments('start'),
  );
  const path = join(directory, 'lock');
  const another = '1 123 0123456789abcdef\n';
  try {
    child.kill('SIGSTOP');
    await writeFile(`${path}.another`, another);
    await utimes(`${path}.another`, 1, 1);
    await rename(`${path}.another`, path);
    child.kill('SIGCONT');
    const [code] = (await closed) as [number];
    assert.equal(code, 1);
    assert.ok(
      output().endsWith(
        `Twoway ends at once: another process has taken ${directory} over, since this one stood still for over 10 s ` +
          'and could not be told from one that died; start one of them alone\n',
      ),
      output(),
    );
    assert.doesNotMatch(output(), /Twoway is stopping/);
    assert.equal(await readFile(path, 'utf8'), another);
    assert.equal((await stat(path)).mtimeMs, 1_000, 'renewed by its holder alone');
  } finally {
    await endAndRemove();
  }
});

/** A gateway that is up, in a process group of its own, with a folder of its own. */
async function startProcess(command: string, given: readonly string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-process-'));
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TWOWAY_'));
  const child = spawn(command, given, {
    env: { ...Object.fromEntries(inherited), ...quietly(directory) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const closed = once(child, 'close');
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (output += text.toString()));
  const endAndRemove = async () => {
    endGroup(child.pid);
    await closed;
    await rm(directory, { recursive: true });
  };
  try {
    const isUp = () => child.exitCode !== null || output.includes('Twoway is running');
    await waitFor('the start', isUp, { deadlineMs: 60_000 });
    assert.equal(child.exitCode, null, output);
  } catch (error) {
    await endAndRemove();
    throw error;
  }
  return { child, directory, closed, output: () => output, endAndRemove };
}

test('the young objects of a gateway take 32 MB at most, and the bench measures it so', async () => {
  const options = nodeArguments('start').slice(0, -1);
  assert.deepEqual(nodeArguments('bench').slice(0, -1), options);
  const script = `
    const held = [];
    for (let n = 0; n < 3e6; n += 1) held[n % 4e5] = [n, n];
    const spaces = require('node:v8').getHeapSpaceStatistics();
    console.log(spaces.find((space) => space.space_name === 'new_space').space_size);`;
  const { stdout } = await promisify(execFile)(process.execPath, [...options, '-e', script]);
  assert.ok(Number(stdout) > 0 && Number(stdout) <= 32 * 1024 * 1024, stdout);
});

/** Ends what a failed test left: npm may be gone, and its child not. */
function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as { code?: string }).code !== 'ESRCH') throw error;
  }
}

/** Settings of a gateway that takes free ports and keeps to itself. */
function quietly(directory: string): Record<string, string> {
  return {
    TWOWAY_DATA_DIR: directory,
    TWOWAY_HTTP_PORT: '0',
    TWOWAY_SMTP_PORT: '0',
    TWOWAY_SANDBOX: 'off',
    TWOWAY_LOG_LEVEL: 'error',
  };
}
