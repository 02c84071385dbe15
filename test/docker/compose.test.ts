import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { runCommand } from '../support/processes.ts';
import { readDockerfile, repository } from './image.ts';
import type { Dockerfile } from './image.ts';

/** A service of a compose file, as far as the tests look at it. */
type Service = {
  image?: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  depends_on?: Record<string, { condition: string }>;
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  volumes?: string[];
  ports?: string[];
  healthcheck?: { test: string[] };
  hostname?: string;
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  networks?: Record<string, { ipv4_address: string }>;
};

type Compose = { services: Record<string, Service>; volumes: Record<string, unknown> };

async function readCompose(name: string): Promise<Compose> {
  return parse(await readFile(join(repository, 'docker', name), 'utf8')) as Compose;
}

/** The keys of a service that the Compose Specification has, of those that a service here may need. */
const serviceKeys =
  'build cap_add cap_drop command depends_on env_file environment healthcheck hostname image init network_mode networks ports read_only restart security_opt shm_size stop_grace_period tmpfs volumes'.split(
    ' ',
  );

describe('docker/compose.yaml', () => {
  let compose: Compose;
  let dockerfile: Dockerfile;
  let secrets: Service;
  let postgres: Service;
  let gateway: Service;

  before(async () => {
    compose = await readCompose('compose.yaml');
    dockerfile = await readDockerfile();
    const { services } = compose;
    [secrets, postgres, gateway] = ['secrets', 'postgres', 'gateway'].map((name) => services[name] ?? {}) as [
      Service,
      Service,
      Service,
    ];
  });

  test('every key is one of the specification, every volume is declared, and every image has its version', async () => {
    const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
      version: string;
    };
    for (const file of ['compose.yaml', 'compose.https.yaml']) {
      const { services, volumes } = await readCompose(file);
      for (const [name, service] of Object.entries(services)) {
        const unknown = Object.keys(service).filter((key) => !serviceKeys.includes(key));
        assert.deepEqual(unknown, [], `${file}, ${name}`);
        const named = (service.volumes ?? [])
          .map((mount) => mount.split(':')[0] ?? '')
          .filter((source) => /^[a-z-]+$/.test(source));
        assert.deepEqual(
          named.filter((source) => !(source in volumes)),
          [],
          `${file}, ${name}`,
        );
        if (service.image !== undefined) assert.match(service.image, /:\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
      }
    }
    assert.deepEqual([gateway.image, secrets.image], [`twoway:${version}`, `twoway:${version}`]);
    assert.deepEqual(gateway.build, { context: '..', dockerfile: 'docker/Dockerfile' });
    assert.match(postgres.image ?? '', /^postgres:15\./, 'the version that the tests run on');
  });

  test('the database starts when there are secrets, and the gateway when the database answers', () => {
    assert.deepEqual(postgres.depends_on, { secrets: { condition: 'service_completed_successfully' } });
    assert.deepEqual(gateway.depends_on, {
      secrets: { condition: 'service_completed_successfully' },
      postgres: { condition: 'service_healthy' },
    });
    assert.deepEqual(postgres.healthcheck?.test.slice(0, 2), ['CMD', 'pg_isready']);
  });

  test('what the secrets say is what the database is made with and the gateway is set to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twoway-compose-'));
    try {
      assert.deepEqual(secrets.command?.slice(0, 2), ['node', 'docker/make-secrets.ts']);
      await runCommand(process.execPath, [join(repository, 'docker/make-secrets.ts'), folder]);
      const inside = (value: string) => value.replace(/^\/secrets/, folder);
      for (const { volumes } of [postgres, gateway]) assert.ok(volumes?.includes('secrets:/secrets:ro'));
      const environment = { ...dockerfile.env, ...gateway.environment };
      const config = readConfig(
        Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, inside(value)])),
      );
      assert.equal(config.production, true);
      assert.equal(config.SECRET_KEYS.length, 1);
      const url = new URL(config.DATABASE_URL ?? '');
      const made = postgres.environment ?? {};
      const password = await readFile(inside(made['POSTGRES_PASSWORD_FILE'] ?? ''), 'utf8');
      assert.deepEqual(
        [url.hostname, url.port, url.username, url.pathname, url.password],
        ['postgres', '5432', made['POSTGRES_USER'], `/${made['POSTGRES_DB']}`, password.trim()],
      );
      // What stands in gateway.env counts, for nothing here stands before it.
      assert.deepEqual(gateway.env_file, [{ path: 'gateway.env', required: false }]);
      assert.deepEqual(Object.keys(gateway.environment ?? {}), [
        'TWOWAY_DATABASE_URL_FILE',
        'TWOWAY_SECRET_KEYS_FILE',
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('the gateway can write to its data alone, and has no power to be misused', () => {
    for (const service of [gateway, secrets]) {
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ['ALL']);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
    }
    const writable = gateway.volumes?.filter((mount) => !mount.endsWith(':ro'));
    assert.deepEqual(writable, [`data:${dockerfile.env['TWOWAY_DATA_DIR']}`]);
    assert.match(gateway.tmpfs?.[0] ?? '', /^\/tmp:/);
    assert.equal(gateway.hostname, 'gateway', 'the spool is found again by it');
  });

  test('outside there is nothing, unless it is asked for; inside the ports are those of the image', () => {
    const published = gateway.ports?.map((text) => /:-([^}]+)\}:(\d+)$/.exec(text)?.slice(1));
    assert.deepEqual(published, [
      ['127.0.0.1:8080', '8080'],
      ['127.0.0.1:2525', '2525'],
    ]);
    assert.deepEqual(dockerfile.ports, ['8080', '2525']);
    const { TWOWAY_HTTP_PORT: http, TWOWAY_SMTP_PORT: smtp } = dockerfile.env;
    assert.deepEqual([http, smtp], ['8080', '2525']);
    assert.equal(postgres.ports, undefined);
  });

  test('behind the proxy that gets certificates, the gateway believes it alone who asks', async () => {
    const { services } = await readCompose('compose.https.yaml');
    const { proxy, gateway: behind } = services;
    assert.equal(behind?.environment?.['TWOWAY_HTTP_PROXIES'], proxy?.networks?.['default']?.ipv4_address);
    assert.ok(proxy?.command?.includes('gateway:8080'));
    assert.match(behind?.environment?.['TWOWAY_PUBLIC_URL'] ?? '', /^https:/);
  });
});

describe('a setting in a file', () => {
  test('every secret may come from one, and one that cannot be read is told with all else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twoway-files-'));
    try {
      const file = join(folder, 'url');
      await writeFile(file, 'postgres://twoway@postgres/twoway\n');
      assert.throws(
        () =>
          readConfig({
            TWOWAY_DATABASE_URL_FILE: file,
            TWOWAY_SECRET_KEYS_FILE: join(folder, 'none'),
            TWOWAY_HTTP_PORT: 'eighty',
          }),
        ({ message }: Error) => {
          for (const problem of [/SECRET_KEYS_FILE: ENOENT/, /TWOWAY_SECRET_KEYS: needed/, /HTTP_PORT/])
            assert.match(message, problem);
          return true;
        },
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
