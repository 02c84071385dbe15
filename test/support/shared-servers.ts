import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { identityClient, type IdentityControl } from './identity.ts';
import { runCommand } from './processes.ts';
import type { ServersInfo } from './servers.ts';
import { typescript } from './start-command.ts';

/** A running set of servers, as a test uses it. It may be shared with tests that run at the same time. */
export type UsedServers = ServersInfo & {
  /** The identity provider whose tokens the servers accept. */
  identity: IdentityControl;
  /** Dovecot's own tool, for example `doveadm('kick', 'ann@example.test')`. */
  doveadm(...args: string[]): Promise<string>;
};

const variable = 'TWOWAY_TEST_SERVERS';

/**
 * The servers of this run: those that the runner started, or (a test file run by hand) a set of this
 * process's own, which ends with it. From then on this process and the ones it starts trust the servers'
 * certificates. Give each test its own people and domains: the set is shared. A test that stops or
 * restarts a server starts its own set by `startServers`.
 */
export async function useServers(): Promise<UsedServers> {
  shared ??= findServers();
  const info = await shared;
  return useStarted(info);
}

let shared: Promise<ServersInfo> | undefined;

/** The same view of a set that this process started by `startServers`. */
export function useStarted(info: ServersInfo): UsedServers {
  trust(info.caPath);
  return {
    ...info,
    identity: identityClient(info.identityUrl),
    doveadm: (...args) => runCommand('/usr/bin/doveadm', ['-c', info.dovecot.configPath, ...args]),
  };
}

/** The set's description in the environment of every process that is started from here on. */
export function announceServers(info: ServersInfo): void {
  process.env[variable] = JSON.stringify(info);
  process.env['NODE_EXTRA_CA_CERTS'] = info.caPath;
}

/** Starts a set in a process of its own; it ends with this one, or by `stop`. */
export async function startServersProcess(): Promise<{ info: ServersInfo; stop(): Promise<void> }> {
  // Of its own process group: Ctrl-C in a terminal must not end it before what uses it.
  const child = spawn(
    process.execPath,
    [...typescript, new URL('./servers-process.ts', import.meta.url).pathname],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    },
  );
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  let info: ServersInfo | undefined;
  for await (const line of lines) {
    if (!line.startsWith('{')) {
      console.log(line);
      continue;
    }
    info = JSON.parse(line) as ServersInfo;
    break;
  }
  if (info === undefined) throw new Error('the tests’ servers did not start; the reason is printed above');
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) if (pipe instanceof net.Socket) pipe.unref();
  return {
    info,
    async stop() {
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}

/** The set that the runner started; undefined where there is none, or none yet. */
export function announcedServers(): ServersInfo | undefined {
  const announced = process.env[variable];
  return announced === undefined ? undefined : (JSON.parse(announced) as ServersInfo);
}

async function findServers(): Promise<ServersInfo> {
  const announced = announcedServers();
  if (announced !== undefined) return announced;
  const { info } = await startServersProcess();
  announceServers(info);
  return info;
}

const trusted = new Set<string>();

function trust(caPath: string): void {
  if (trusted.has(caPath)) return;
  trusted.add(caPath);
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(caPath, 'utf8')]);
}
