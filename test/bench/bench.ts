import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { makePartitions } from '../../src/store/partitions.ts';
import { installServers } from '../support/install.ts';
import { startServers } from '../support/servers.ts';
import type { ServersInfo } from '../support/servers.ts';
import { announceServers, useStarted } from '../support/shared-servers.ts';
import { contactsMax } from './mail.ts';
import { addTenant } from './tenant.ts';

/** Each figure is the median of so many runs. */
export const runsMax = 3;

export type BenchDatabase = { db: Db; url: string; drop(): Promise<void> };

/** What every part of the bench works on: servers and a database of its own. */
export type Bench = {
  servers: ServersInfo;
  /** Dovecot with TLS. */
  imap: ServerAddress;
  /** A new database with the tenant of the bench, who has so many contacts, by default ten thousand. */
  newDatabase(contacts?: number): Promise<BenchDatabase>;
  /** A new, empty directory. */
  newDirectory(): Promise<string>;
  /** The least and the highest 1-minute load average since it was last asked. */
  load(): string;
};

/**
 * Starts servers with durable settings; `stop` removes them and all they hold. `crowded`: Dovecot has a process for
 * fifty sessions, since of ten thousand with one each the machine would be Dovecot's alone.
 */
export async function startBench(crowded = false): Promise<{ bench: Bench; stop(): Promise<void> }> {
  await installServers();
  // Nobody logs in by a token, so there is no identity provider to ask.
  const servers = await startServers({
    identityUrl: 'http://127.0.0.1:9',
    durable: true,
    ...(crowded ? { sessionsPerProcess: 50 } : {}),
  });
  try {
    const { info } = servers;
    useStarted(info);
    announceServers(info);
    const templates = new Set<number>();
    const { host, tlsPort } = info.dovecot.imap.full;
    const bench: Bench = {
      servers: info,
      imap: { host, port: tlsPort, security: 'tls' },
      newDatabase: async (contacts = contactsMax) => {
        if (!templates.has(contacts)) await makeTemplate(info.postgres.adminUrl, contacts);
        templates.add(contacts);
        return newDatabase(info.postgres.adminUrl, contacts);
      },
      newDirectory: () => mkdtemp(join(info.directory, 'bench-')),
      load: watchLoad(),
    };
    return { bench, stop: () => servers.stop() };
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

const templateOf = (contacts: number) => `bench_template_${contacts}`;

/** A migrated database with the tenant, of which every run gets a copy: all runs begin alike. */
async function makeTemplate(adminUrl: string, contacts: number): Promise<void> {
  const template = templateOf(contacts);
  await asAdmin(adminUrl, `create database ${template}`);
  const database = await openDatabase({
    kind: 'postgres',
    url: urlOf(adminUrl, template),
    connectionsMax: 1,
  });
  await makePartitions(database.db, Date.now());
  await addTenant(database.db, contacts);
  await database.close();
}

async function newDatabase(adminUrl: string, contacts: number): Promise<BenchDatabase> {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  await asAdmin(adminUrl, `create database ${name} template ${templateOf(contacts)}`);
  const url = urlOf(adminUrl, name);
  const database = await openDatabase({ kind: 'postgres', url, connectionsMax: 10 });
  const drop = async () => {
    await database.close();
    await asAdmin(adminUrl, `drop database ${name} with (force)`);
  };
  return { db: database.db, url, drop };
}

async function asAdmin(adminUrl: string, statement: string): Promise<void> {
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  await admin.query(statement);
  await admin.end();
}

function urlOf(adminUrl: string, name: string): string {
  return Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href;
}

function watchLoad(): () => string {
  const read = () => loadavg()[0] ?? 0;
  let seen = [read()];
  setInterval(() => seen.push(read()), 1_000).unref();
  return () => {
    const shown = `${Math.min(...seen).toFixed(1)}-${Math.max(...seen).toFixed(1)}`;
    seen = [read()];
    return shown;
  };
}
