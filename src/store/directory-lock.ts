import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

/**
 * Keeps a second process away from the embedded database: two on one folder both succeed, and commits
 * vanish without an error (PGlite 0.5.16, 2026-11). Throws DirectoryInUse when a living process holds the folder; the
 * lock of one that died is taken over. Answers how to let go.
 */
export function lockDirectory(directory: string): () => void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'lock');
  // Written aside and linked: a lock is there with its holder's name, or not at all.
  const own = `${path}.${randomUUID()}`;
  writeFileSync(own, `${process.pid} ${startOf(process.pid) ?? ''}\n`);
  try {
    take(path, own);
  } catch (error) {
    if (!(error instanceof Held)) throw error;
    throw new DirectoryInUse(directory, error);
  } finally {
    rmSync(own, { force: true });
  }
  return () => rmSync(path, { force: true });
}

/** Another process uses the folder. */
export class DirectoryInUse extends Error {
  readonly pid: number;

  constructor(directory: string, held: Held) {
    super(`another Twoway (process ${held.pid}) is using ${directory}; stop it first`, { cause: held });
    this.pid = held.pid;
  }
}

/** A living process has it. */
class Held extends Error {
  readonly pid: number;

  constructor(pid: number) {
    super(`held by process ${pid}`);
    this.pid = pid;
  }
}

/**
 * Links `own` to `path`. Who finds a dead holder there may replace it only with the lock of its
 * succession in hand, which is named after that holder: of two that found the same one, the later
 * would else remove the lock of the earlier.
 */
function take(path: string, own: string): void {
  while (!link(own, path)) {
    const held = read(path);
    if (held === null) continue;
    const [, pid, start] = /^([1-9]\d*) (\d*)\n$/.exec(held) ?? [];
    // What names nobody was cut off by a crash of the machine.
    if (pid !== undefined && isAlive(Number(pid), start)) throw new Held(Number(pid));
    const succession = `${path}.after-${pid ?? 'nobody'}-${start ?? ''}`;
    take(succession, own);
    if (read(path) === held) return renameSync(succession, path);
    rmSync(succession);
  }
}

/** Whether it could be linked: false when there is something already. */
function link(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ESRCH: a process that ended while its entry in /proc was read.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** A process id is used again after a reboot: the start time tells two processes of one id apart. */
function isAlive(pid: number, start: string | undefined): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = startOf(pid);
  return now === null || start === undefined || start === '' || now === start;
}

/** Start of a process in clock ticks since boot (proc(5), field 22); null where there is no /proc. */
function startOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
