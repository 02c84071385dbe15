import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from '../support/processes.ts';

export const repository = new URL('../../', import.meta.url).pathname;

/** What docker/Dockerfile says, as far as the tests look at it. */
export type Dockerfile = {
  /** Of each stage, the image that it begins with. */
  from: string[];
  /** What the last stage, or the one before, runs. */
  run: string[];
  /** From the repository: what, and where to. */
  copied: { sources: string[]; to: string; mode: string | null }[];
  env: Record<string, string>;
  user: string;
  ports: string[];
  /** Words of a command, as JSON. */
  healthCheck: string[];
  command: string[];
};

export async function readDockerfile(): Promise<Dockerfile> {
  const lines = (await readFile(join(repository, 'docker/Dockerfile'), 'utf8'))
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '');
  const all = (word: string): string[] =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const words = (text: string | undefined) => JSON.parse(text?.slice(text.indexOf('[')) ?? '[]') as string[];
  const known = /^(FROM|WORKDIR|COPY|RUN|ENV|USER|VOLUME|EXPOSE|HEALTHCHECK|CMD) /;
  assert.deepEqual(
    lines.filter((line) => !known.test(line)),
    [],
    'this test knows no other instructions',
  );
  return {
    from: all('FROM').map((text) => text.split(' ')[0] ?? ''),
    run: all('RUN'),
    copied: all('COPY')
      .filter((text) => !text.startsWith('--from='))
      .map((text) => {
        const given = text.split(' ').filter((word) => !word.startsWith('--'));
        return {
          sources: given.slice(0, -1),
          to: given.at(-1) ?? '',
          mode: /--chmod=(\d+)/.exec(text)?.[1] ?? null,
        };
      }),
    env: Object.fromEntries(
      all('ENV').flatMap((text) => text.split(/\s+/).map((pair) => pair.split('=') as [string, string])),
    ),
    user: all('USER').at(-1) ?? 'root',
    ports: all('EXPOSE').flatMap((text) => text.split(' ')),
    healthCheck: words(all('HEALTHCHECK').at(-1)),
    command: words(all('CMD').at(-1)),
  };
}

/** Who `node` is in the images of Node. */
export const imageUser = 1000;

/** An image laid out in a folder, which stands for `/` in it: nothing in it belongs to the user but /data and /secrets. */
export type LaidOut = {
  root: string;
  /** Words to run a program of the image by, as its user; paths of the image become those of the folder. */
  asUser(words: readonly string[]): { command: string; args: string[]; cwd: string };
  /** The environment of the image, and nothing of this process. */
  env: Record<string, string>;
};

/**
 * Does what the Dockerfile does, but for installing: what `npm ci --omit=dev` would put there comes from this
 * repository's own node_modules.
 */
export async function layOut(root: string, dockerfile: Dockerfile): Promise<LaidOut> {
  const app = join(root, 'app');
  for (const folder of ['app', 'bin', 'data', 'secrets', 'tmp', 'usr/local/bin']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await chmod(root, 0o755);
  for (const folder of ['data', 'secrets', 'tmp']) await chown(join(root, folder), imageUser, imageUser);
  await copyFile(process.execPath, join(root, 'bin/node'));
  await chmod(join(root, 'bin/node'), 0o755);
  await runCommand('sh', [
    '-c',
    `cd "$0" && exec cp -a --parents "$@"`,
    repository,
    ...(await modules()),
    app,
  ]);
  for (const { sources, to, mode } of dockerfile.copied) {
    for (const source of sources) {
      const inside = to.startsWith('/') ? join(root, to) : join(app, to);
      const target = to.endsWith('/') ? join(inside, source) : inside;
      await mkdir(dirname(target), { recursive: true });
      await cp(join(repository, source), target, { recursive: true });
      if (mode !== null) await chmod(target, Number.parseInt(mode, 8));
    }
  }
  const script = join(root, 'usr/local/bin/twoway');
  await writeFile(script, (await readFile(script, 'utf8')).replaceAll('/app', app));
  const paths = (word: string) => word.replace(/^\/(data|secrets|usr)\b/, `${root}/$1`);
  return {
    root,
    asUser: (words) => ({
      command: 'setpriv',
      args: [
        `--reuid=${imageUser}`,
        `--regid=${imageUser}`,
        '--clear-groups',
        '--no-new-privs',
        '--',
        ...words.map(paths),
      ],
      cwd: app,
    }),
    env: {
      PATH: `${root}/bin:/usr/bin:/bin`,
      HOME: '/nonexistent',
      TMPDIR: join(root, 'tmp'),
      ...Object.fromEntries(Object.entries(dockerfile.env).map(([name, value]) => [name, paths(value)])),
    },
  };
}

/** What the lock file installs for production on such a machine: folders of node_modules, each with what is inside it. */
async function modules(): Promise<string[]> {
  const { packages } = JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  return Object.entries(packages)
    .filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && dev !== true)
    .map(([path]) => path)
    .filter((path) => existsSync(join(repository, path)));
}
