import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Daemon, freePort, runCommand, startDaemon, waitForPort } from './processes.ts';
import { waitFor } from './wait.ts';

/** Where the private PostgreSQL listens (127.0.0.1), and its files. */
export type PostgresInfo = {
  /** The database `postgres`, as superuser without a password: for making other databases. */
  adminUrl: string;
  port: number;
  dataDirectory: string;
  logPath: string;
};

const binaries = '/usr/lib/postgresql/15/bin';
// PostgreSQL refuses to run as root.
const owner = 'postgres';

/**
 * Makes a cluster below `directory`. `durable` keeps fsync and synchronous commits, for measuring; a suite
 * is faster without, and survives `kill -9` of the server either way.
 */
export async function configurePostgres(options: {
  directory: string;
  durable: boolean;
}): Promise<PostgresInfo> {
  const home = join(options.directory, 'postgres');
  const dataDirectory = join(home, 'data');
  const port = await freePort();
  await mkdir(home);
  const ids = (await runCommand('getent', ['passwd', owner])).split(':');
  await chown(home, Number(ids[2]), Number(ids[3]));
  await runCommand(
    join(binaries, 'initdb'),
    ['--pgdata', dataDirectory, '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'],
    { user: owner },
  );
  const settings = {
    listen_addresses: "'127.0.0.1'",
    port,
    unix_socket_directories: "''",
    max_connections: 200,
    shared_buffers: '128MB',
    ...(options.durable ? {} : { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(dataDirectory, 'postgresql.auto.conf'), lines.join(''));
  const adminUrl = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return { adminUrl, port, dataDirectory, logPath: join(home, 'postgres.log') };
}

/** Starts a configured PostgreSQL and waits until it takes connections. */
export async function startPostgres(info: PostgresInfo): Promise<Daemon> {
  const daemon = startDaemon({
    name: 'PostgreSQL',
    command: join(binaries, 'postgres'),
    args: ['-D', info.dataDirectory],
    logPath: info.logPath,
    user: owner,
    // Fast shutdown: SIGTERM would wait for the clients to leave.
    stopSignal: 'SIGINT',
  });
  await waitForPort({ port: info.port, daemon });
  // The port is open a moment before: until then the answer is "the database system is starting up".
  const where = ['--host=127.0.0.1', `--port=${info.port}`];
  await waitFor('PostgreSQL to take connections', () => runCommand(join(binaries, 'pg_isready'), where));
  return daemon;
}
