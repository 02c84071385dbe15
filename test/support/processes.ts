import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { promisify } from 'node:util';

const executeFile = promisify(execFile);

/** A server program that this process started, in the foreground, as its own child. */
export type Daemon = {
  name: string;
  logPath: string;
  /** Why it is not running any more, with the end of its log. */
  failure(): string | undefined;
  stop(): Promise<void>;
};

/**
 * Starts a program that stays in the foreground. Its output goes to `logPath`: a daemon that inherited
 * the caller's pipe would keep `npm test | tail` waiting for ever. It leads its own process group, since
 * some of these programs signal their whole group. When this process dies, however it does, a guard
 * tells the program to stop.
 */
export function startDaemon(options: {
  name: string;
  command: string;
  args: string[];
  logPath: string;
  user?: string;
  stopSignal?: 'SIGTERM' | 'SIGINT';
  /** How long it may take to end before it and its children are killed. */
  stopMsMax?: number;
}): Daemon {
  const { name, logPath, user, stopSignal = 'SIGTERM', stopMsMax = 10_000 } = options;
  const [command, args] = asUser(user, options.command, options.args);
  const log = openSync(logPath, 'a');
  const child = spawn(command, args, { stdio: ['ignore', log, log], detached: true, cwd: '/' });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name}: ${command} could not be started`);
  const guard = startGuard(pid, stopSignal);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      guard.kill('SIGKILL');
      resolve();
    });
  });
  child.unref();
  return {
    name,
    logPath,
    failure: () =>
      hasEnded(child)
        ? `${name} ended (code ${child.exitCode}, signal ${child.signalCode}): ${tail(logPath)}`
        : undefined,
    async stop() {
      if (hasEnded(child)) return;
      child.ref();
      child.kill(stopSignal);
      const timer = setTimeout(() => killGroup(pid), stopMsMax);
      await ended;
      clearTimeout(timer);
      // Its children may outlive it by a moment, and still answer.
      killGroup(pid);
    },
  };
}

/**
 * A shell that waits for the end of its input, which comes when this process is gone, also by SIGKILL.
 * The kernel's own way (PR_SET_PDEATHSIG) is lost on Postfix, which changes its user for a moment.
 */
function startGuard(pid: number, stopSignal: string): ChildProcess {
  const script = `read -r line; kill -s ${stopSignal.replace('SIG', '')} ${pid}`;
  const guard = spawn('sh', ['-c', script], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  guard.unref();
  if (guard.stdin instanceof net.Socket) guard.stdin.unref();
  return guard;
}

function killGroup(leaderPid: number): void {
  try {
    process.kill(-leaderPid, 'SIGKILL');
  } catch (error) {
    // ESRCH: all of them have ended already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function asUser(user: string | undefined, command: string, args: string[]): [string, string[]] {
  if (user === undefined) return [command, args];
  return ['setpriv', ['--reuid', user, '--regid', user, '--init-groups', '--', command, ...args]];
}

/** Runs a program to its end and returns what it printed; on failure throws with all of its output. */
export async function runCommand(
  command: string,
  args: string[],
  options: { user?: string; env?: Record<string, string>; timeoutMs?: number } = {},
): Promise<string> {
  const { user, env = {}, timeoutMs = 60_000 } = options;
  const [program, programArgs] = asUser(user, command, args);
  try {
    const { stdout } = await executeFile(program, programArgs, {
      cwd: '/',
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed: ${stderr}${stdout}`, { cause: error });
  }
}

/**
 * A port of 127.0.0.1 that nothing uses now. Taken from below the kernel's range for outgoing
 * connections (32768 and up), so that no client's socket can sit on it while a server restarts.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(20_000, 32_000);
    if (taken.has(port)) continue;
    if (await canListen(port)) {
      taken.add(port);
      return port;
    }
  }
  throw new Error('no free port between 20000 and 32000 in 200 tries');
}

const taken = new Set<number>();

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0' }, () => server.close(() => resolve(true)));
  });
}

/**
 * Resolves when something accepts connections there, and says something first where `greets`; throws at
 * the deadline or when `daemon` has ended.
 */
export async function waitForPort(options: {
  port: number;
  daemon: Daemon;
  host?: string;
  greets?: boolean;
  deadlineMs?: number;
}): Promise<void> {
  const { port, daemon, host = '127.0.0.1', greets = false, deadlineMs = 20_000 } = options;
  const end = Date.now() + deadlineMs;
  while (!(await answers({ host, port, greets }))) {
    const failure = daemon.failure();
    if (failure !== undefined) throw new Error(failure);
    if (Date.now() > end) {
      const log = tail(daemon.logPath);
      throw new Error(`${daemon.name} does not answer on ${host}:${port} after ${deadlineMs} ms: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function answers(options: { host: string; port: number; greets: boolean }): Promise<boolean> {
  const { host, port, greets } = options;
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: 3_000 });
    const end = (answered: boolean) => (): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once(greets ? 'data' : 'connect', end(true));
    for (const event of ['error', 'timeout', 'close']) socket.once(event, end(false));
  });
}

/** The last lines of a log file, for a failure message. */
function tail(path: string): string {
  return readFileSync(path, 'utf8').split('\n').slice(-25).join('\n');
}
