import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { freePort } from '../support/processes.ts';
import { nodeArguments } from '../support/start-command.ts';
import { waitFor } from '../support/wait.ts';
import { imageUser, layOut, readDockerfile, repository } from './image.ts';
import type { Dockerfile, LaidOut } from './image.ts';

/*
 * What docker/Dockerfile says is done here without an engine: the same files, the same packages, the same user,
 * environment and commands, in a folder. What only an engine can show (layers, the base image, a file system that is
 * mounted to be read) is not.
 */

const packageOf = async () =>
  JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    version: string;
    devDependencies: Record<string, string>;
  };

describe('the image, as it is written', () => {
  let dockerfile: Dockerfile;
  before(async () => {
    dockerfile = await readDockerfile();
  });

  test('it has the Node of the tests, and starts as npm start does', async () => {
    const { devDependencies } = await packageOf();
    const base = `node:${devDependencies['node']}-bookworm-slim`;
    assert.deepEqual(dockerfile.from, [base, base]);
    assert.deepEqual(dockerfile.command, ['node', ...nodeArguments('start')]);
  });

  test('it has no parts for development, and runs as nobody in particular', () => {
    assert.ok(dockerfile.run.some((line) => line.startsWith('npm ci --omit=dev')));
    assert.equal(dockerfile.user, 'node');
    assert.equal(dockerfile.env['NODE_ENV'], 'production');
  });

  test('the build may see what it copies, and nothing else', async () => {
    const ignore = await readFile(join(repository, 'docker/Dockerfile.dockerignore'), 'utf8');
    const [first, ...allowed] = ignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    assert.equal(first, '*');
    const copied = new Set(dockerfile.copied.flatMap(({ sources }) => sources));
    assert.deepEqual(allowed.map((line) => line.replace(/^!/, '')).sort(), [...copied].sort());
  });
});

describe('the image, laid out and started', () => {
  let root: string;
  let image: LaidOut;
  let dockerfile: Dockerfile;
  let url: string;
  let env: Record<string, string>;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'twoway-image-'));
    dockerfile = await readDockerfile();
    image = await layOut(root, dockerfile);
    url = await createPostgresDatabase('empty');
    env = {
      ...image.env,
      TWOWAY_HTTP_PORT: String(await freePort()),
      TWOWAY_SMTP_PORT: String(await freePort()),
    };
  });
  after(async () => {
    await rm(root, { recursive: true });
    await dropPostgresDatabase(url);
  });

  const start = (words: readonly string[], more: Record<string, string> = {}) => {
    const { command, args, cwd } = image.asUser(words);
    const child = spawn(command, args, { cwd, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => (output += text.toString()));
    return { child, output: () => output };
  };
  const runToEnd = async (words: readonly string[], more: Record<string, string> = {}) => {
    const { child, output } = start(words, more);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output: output() };
  };
  const secret = (name: string) => join(root, 'secrets', name);

  test('secrets are made once, whole, and for those alone who need them', async () => {
    const make = () => runToEnd(['node', 'docker/make-secrets.ts', '/secrets']);
    const first = await make();
    assert.equal(first.code, 0, first.output);
    const made = await readdir(join(root, 'secrets'));
    assert.deepEqual(made.sort(), ['database-url', 'postgres-password', 'secret-keys']);
    const modes = await Promise.all(made.sort().map(async (name) => (await stat(secret(name))).mode & 0o777));
    assert.deepEqual(modes, [0o400, 0o444, 0o400]);
    const read = () => Promise.all(made.map((name) => readFile(secret(name), 'utf8')));
    const before = await read();
    assert.doesNotMatch(first.output, new RegExp(before.map((text) => RegExp.escape(text.trim())).join('|')));
    assert.deepEqual(await make(), { code: 0, output: '' });
    assert.deepEqual(await read(), before);
    await rm(secret('database-url'));
    await make();
    assert.deepEqual(await read(), before, 'what is made anew goes by the password that is there');
    assert.ok(before[0]?.includes(before[1]?.trim() ?? 'none'));
  });

  test('it starts as its user, says that it is healthy and ready, writes to /data and /tmp alone, and stops in order', async () => {
    const settings = {
      TWOWAY_DATABASE_URL: url,
      TWOWAY_SECRET_KEYS_FILE: '/secrets/secret-keys'.replace(/^/, root),
    };
    assert.equal((await runToEnd(dockerfile.healthCheck)).code, 1, 'nothing answers yet');
    const { child, output } = start(dockerfile.command, settings);
    const isUp = () => child.exitCode !== null || output().includes('Twoway is running');
    await waitFor('the start', isUp, { deadlineMs: 60_000 });
    assert.equal(child.exitCode, null, output());
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    assert.match(status, new RegExp(`^Uid:\\t${imageUser}\\t${imageUser}\\t`, 'm'));
    assert.match(status, /^CapEff:\t0{16}$/m);
    assert.equal((await runToEnd(dockerfile.healthCheck)).code, 0);
    const ready = await fetch(`http://127.0.0.1:${env['TWOWAY_HTTP_PORT']}/readyz`);
    const { status: state } = (await ready.json()) as { status: string };
    assert.deepEqual([ready.status, state], [200, 'ready']);
    // Pages need the compiler of JSX, assets the packages that they come from.
    for (const path of ['/admin/sign-in', '/docs', '/openapi.json']) {
      const { status: answered } = await fetch(`http://127.0.0.1:${env['TWOWAY_HTTP_PORT']}${path}`);
      assert.equal(answered, 200, path);
    }
    const checked = await runToEnd(['/usr/local/bin/twoway', 'check'], settings);
    assert.equal(checked.code, 0, checked.output);
    child.kill('SIGTERM');
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(code, 0, output());
    assert.match(output(), /Twoway has stopped\.\n$/);
    assert.deepEqual(await ownedByUser(join(root, 'app')), []);
    assert.ok((await ownedByUser(join(root, 'data'))).length > 0);
  });

  test('what is wrong with its settings it says all at once, and ends', async () => {
    const { code, output } = await runToEnd(dockerfile.command, {
      TWOWAY_DATABASE_URL: url,
      TWOWAY_LOG_LEVEL: 'loud',
      TWOWAY_SANDBOX: 'on',
    });
    assert.equal(code, 1);
    for (const problem of [/TWOWAY_LOG_LEVEL/, /TWOWAY_SECRET_KEYS: needed/, /TWOWAY_SANDBOX/])
      assert.match(output, problem);
  });
});

/** Everything below a folder that the image's user has written. */
async function ownedByUser(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true });
  const owned = await Promise.all(
    found.map(async (path) => ((await lstat(join(folder, path))).uid === imageUser ? [path] : [])),
  );
  return owned.flat();
}
