import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  futimes,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a lock is renewed, by its time of change. */
const renewMs = 2_000;
/** One that nobody has renewed for so long is of a process that died, where it cannot be asked for. */
const silentMs = 10_000;
/** A look at the lock holds for so long: renewals are late only in a process that stands still. */
const lookedMs = 2 * renewMs;

/** A folder that this process has to itself. */
export type DirectoryLock = {
  /**
   * To be called before what would do harm to whoever else has the folder by now: whoever stood still for 10 s, stopped
   * or with the whole machine, may have lost it. Looks again where that is some seconds ago, and costs nothing else.
   */
  check(): void;
  release(): void;
};

/**
 * Keeps a second process away from the embedded database: two on one folder both succeed, and commits
 * vanish without an error (PGlite 0.5.16, 2026-11). Throws DirectoryInUse when a living process holds the folder; the
 * lock of one that died is taken over, which takes `watchMs` where it ran in another container, on another machine, or
 * before a restart of this one: its process id says nothing here. `lost` is told when the lock is another's, by the next
 * renewal or `check`; this process has nothing to write there any more, nor anything in memory that is still true.
 */
export async function lockDirectory(
  directory: string,
  watchMs = silentMs,
  lost: (error: DirectoryLost) => void = endAtOnce,
): Promise<DirectoryLock> {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'lock');
  // Written aside and linked: a lock is there with its holder's name, or not at all.
  const own = `${path}.${randomUUID()}`;
  const mine = `${process.pid} ${startOf(process.pid) ?? ''} ${processSpace()}\n`;
  writeFileSync(own, mine);
  // Renewed by what is open, which stays this one whatever the path leads to by then.
  const opened = openSync(own, 'r+');
  const silent = new Set<string>();
  try {
    for (;;) {
      const inTheWay = takeUnlessElsewhere(path, own, silent);
      if (inTheWay === null) break;
      await watchElsewhere(inTheWay, watchMs, silent);
    }
  } catch (error) {
    closeSync(opened);
    if (!(error instanceof Held)) throw error;
    throw new DirectoryInUse(directory, error);
  } finally {
    rmSync(own, { force: true });
  }
  return keep({ directory, path, mine, opened, lost });
}

/** What holds a lock: what it says, and its open file. */
type Holding = {
  directory: string;
  path: string;
  mine: string;
  opened: number;
  lost(error: DirectoryLost): void;
};

function keep({ directory, path, mine, opened, lost }: Holding): DirectoryLock {
  let looked = now();
  const look = (): void => {
    looked = now();
    if (isOurs(path, mine)) return;
    clearInterval(renewing);
    lost(new DirectoryLost(directory));
  };
  const renewing = setInterval(() => {
    renew(opened);
    look();
  }, renewMs).unref();
  return {
    check: () => {
      const { running, dated } = now();
      if (running - looked.running > lookedMs || dated - looked.dated > lookedMs) look();
    },
    release: () => {
      clearInterval(renewing);
      closeSync(opened);
      // Whoever took over from a process that stood still keeps theirs.
      if (read(path) === mine) rmSync(path, { force: true });
    },
  };
}

/** A machine that sleeps wakes up later by its date alone: what tells how long it runs stands still with it (clock_gettime(2)). */
function now(): { running: number; dated: number } {
  return { running: performance.now(), dated: Date.now() };
}

/** A disk that refuses is told of by whatever is written there; the lock is renewed in the next turn. */
function renew(opened: number): void {
  const at = new Date();
  futimes(opened, at, at, () => undefined);
}

/** One that is gone is not ours: whoever took it may have let go since. What cannot be read tells nothing. */
function isOurs(path: string, mine: string): boolean {
  try {
    return read(path) === mine;
  } catch {
    // No descriptor is left, or the disk refuses: whatever is written there says so.
    return true;
  }
}

/** Ends this process without another word to anybody: each step of a stop in good order would write. */
function endAtOnce(error: DirectoryLost): void {
  writeSync(process.stderr.fd, `Twoway ends at once: ${error.message}\n`);
  process.exit(1);
}

/** Another process has taken the folder from this one. */
export class DirectoryLost extends Error {
  constructor(directory: string) {
    super(
      `another process has taken ${directory} over, since this one stood still for over ${silentMs / 1000} s ` +
        `and could not be told from one that died; start one of them alone`,
    );
  }
}

/** Another process uses the folder. */
export class DirectoryInUse extends Error {
  readonly pid: number;

  constructor(directory: string, held: Held) {
    const where = held.elsewhere ? ' of another container or machine' : '';
    super(`another Twoway (process ${held.pid}${where}) is using ${directory}; stop it first`, {
      cause: held,
    });
    this.pid = held.pid;
  }
}

/** A living process has it. `elsewhere`: its id means nothing here, and it is alive as far as is known. */
class Held extends Error {
  /** The lock that is in the way: that of the folder, or of a succession in which its holder died too. */
  readonly path: string;
  readonly pid: number;
  readonly elsewhere: boolean;

  constructor(path: string, pid: number, elsewhere: boolean) {
    super(`held by process ${pid}`);
    this.path = path;
    this.pid = pid;
    this.elsewhere = elsewhere;
  }
}

/** Null: taken; else the lock that a process elsewhere has, which was not found `silent`. */
function takeUnlessElsewhere(path: string, own: string, silent: ReadonlySet<string>): string | null {
  try {
    take(path, own, silent);
    return null;
  } catch (error) {
    if (error instanceof Held && error.elsewhere) return error.path;
    throw error;
  }
}

/** Adds what the lock says to `silent` when it is not renewed for so long; throws Held when it is. */
async function watchElsewhere(path: string, watchMs: number, silent: Set<string>): Promise<void> {
  const before = { held: read(path), changed: changedAt(path) };
  await sleep(watchMs);
  const held = read(path);
  // Another one has it by now, or nobody.
  if (held === null || held !== before.held) return;
  if (changedAt(path) !== before.changed) throw new Held(path, Number(held.split(' ')[0]), true);
  silent.add(held);
}

/**
 * Links `own` to `path`. Who finds a dead holder there may replace it only with the lock of its
 * succession in hand, which is named after that holder: of two that found the same one, the later
 * would else remove the lock of the earlier.
 */
function take(path: string, own: string, silent: ReadonlySet<string>): void {
  while (!link(own, path)) {
    const held = read(path);
    if (held === null) continue;
    const [, pid, start, space] = /^([1-9]\d*) (\d*)(?: ([0-9a-f]+))?\n$/.exec(held) ?? [];
    const elsewhere = space !== undefined && space !== processSpace();
    // What names nobody was cut off by a crash of the machine.
    if (pid !== undefined && (elsewhere ? !silent.has(held) : isAlive(Number(pid), start)))
      throw new Held(path, Number(pid), elsewhere);
    const succession = `${path}.after-${pid ?? 'nobody'}-${start ?? ''}`;
    take(succession, own, silent);
    if (read(path) === held) return renameSync(succession, path);
    rmSync(succession);
  }
}

/** Names where process ids are those of this process: this start of this machine, this container (pid_namespaces(7)). */
function processSpace(): string {
  const space = `${read('/proc/sys/kernel/random/boot_id') ?? ''} ${namespaceOf() ?? ''}`;
  return createHash('sha256').update(space).digest('hex').slice(0, 16);
}

/** Null where there is no /proc. */
function namespaceOf(): string | null {
  return existsSync('/proc/self/ns/pid') ? readlinkSync('/proc/self/ns/pid') : null;
}

/** When a lock was last renewed; null: there is none. */
function changedAt(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
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
