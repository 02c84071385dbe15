import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificates } from './certificates.ts';
import { configureDovecot, type DovecotInfo, imapAddresses, startDovecot } from './dovecot.ts';
import { configurePostfix, type PostfixInfo, startPostfix } from './postfix.ts';
import { configurePostgres, type PostgresInfo, startPostgres } from './postgres.ts';
import type { Daemon } from './processes.ts';

/** A set of running servers, as plain data that one process can hand to another. */
export type ServersInfo = {
  /** The private folder with all their files and logs. */
  directory: string;
  /** The certificate authority that their certificates come from. */
  caPath: string;
  /** The identity provider whose tokens they accept. */
  identityUrl: string;
  smtp: PostfixInfo;
  dovecot: DovecotInfo;
  postgres: PostgresInfo;
};

/** A set of servers that this process started. */
export type Servers = {
  info: ServersInfo;
  stopDovecot(): Promise<void>;
  startDovecot(): Promise<void>;
  restartDovecot(): Promise<void>;
  /** Ends everything and removes the private folder. */
  stop(): Promise<void>;
};

/** Starts Dovecot, Postfix and PostgreSQL in a private folder on free ports, in about two seconds. */
export async function startServers(options: {
  /** Introspection (RFC 7662) is expected at `<identityUrl>/introspect`. */
  identityUrl: string;
  /** An empty folder; a new one in the system's temporary folder unless given. Removed by `stop`. */
  directory?: string;
  /** PostgreSQL with fsync and synchronous commits, for measuring. Default false. */
  durable?: boolean;
  /** IMAP sessions of one process of Dovecot's. Default 1. */
  sessionsPerProcess?: number;
}): Promise<Servers> {
  const { identityUrl, durable = false, sessionsPerProcess = 1 } = options;
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'twoway-servers-')));
  // Dovecot, Postfix and PostgreSQL run as users of their own, who must get in.
  await chmod(directory, 0o755);
  await raiseInotifyLimit();
  const daemons: Daemon[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  const starting = await Promise.allSettled([
    startMail({ directory, identityUrl, daemons, sessionsPerProcess }),
    startDatabases({ directory, durable, daemons }),
  ]);
  const [mail, postgres] = starting;
  if (mail.status === 'rejected' || postgres.status === 'rejected') {
    await stop();
    const reasons = starting.flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []));
    throw new AggregateError(reasons, `the tests' servers did not start: ${reasons.map(String).join('; ')}`);
  }
  const info = { directory, identityUrl, ...mail.value, postgres: postgres.value };
  return { info, stop, ...dovecotSwitch(info.dovecot, daemons) };
}

async function startMail(options: {
  directory: string;
  identityUrl: string;
  daemons: Daemon[];
  sessionsPerProcess: number;
}): Promise<Pick<ServersInfo, 'caPath' | 'dovecot' | 'smtp'>> {
  const { directory, identityUrl, daemons, sessionsPerProcess } = options;
  const certificates = await makeCertificates(directory, Object.values(imapAddresses));
  const introspectionUrl = `${identityUrl}/introspect`;
  const dovecot = await configureDovecot({
    directory,
    certificates,
    introspectionUrl,
    sessionsPerProcess,
  });
  const { lmtpPort, authSocketPath } = dovecot;
  const smtp = await configurePostfix({ directory, certificates, lmtpPort, authSocketPath });
  daemons.push(await startDovecot(dovecot), await startPostfix(smtp));
  return { caPath: certificates.caPath, dovecot, smtp };
}

async function startDatabases(options: {
  directory: string;
  durable: boolean;
  daemons: Daemon[];
}): Promise<PostgresInfo> {
  const info = await configurePostgres(options);
  options.daemons.push(await startPostgres(info));
  return info;
}

function dovecotSwitch(
  info: DovecotInfo,
  daemons: Daemon[],
): Pick<Servers, 'startDovecot' | 'stopDovecot' | 'restartDovecot'> {
  const start = async (): Promise<void> => {
    daemons.push(await startDovecot(info));
  };
  const stop = async (): Promise<void> => {
    for (const daemon of daemons.filter(({ name }) => name === 'Dovecot')) {
      await daemon.stop();
      daemons.splice(daemons.indexOf(daemon), 1);
    }
  };
  return {
    startDovecot: start,
    stopDovecot: stop,
    restartDovecot: async () => {
      await stop();
      await start();
    },
  };
}

/** Each session in IDLE takes an inotify instance, and past the kernel's 128 for a user Dovecot polls. */
async function raiseInotifyLimit(): Promise<void> {
  const path = '/proc/sys/fs/inotify/max_user_instances';
  const wanted = 20_000;
  if (Number(await readFile(path, 'utf8')) >= wanted) return;
  await writeFile(path, String(wanted)).catch((error: unknown) => {
    console.warn(`fs.inotify.max_user_instances stays low (${String(error)}): many idle sessions will poll`);
  });
}
