import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Failure } from '../../lib/failure.ts';

/** How dear one password is (RFC 9106 §3.1); `memory` in KiB. OWASP's advice of 2026, which takes some 50 ms. */
const cost = { memory: 47_104, passes: 1, parallelism: 1 };
const tagBytes = 32;
const nonceBytes = 16;

/** More than so many who wait at once are no people. */
const waitingMax = 30;

export type Passwords = {
  /** What is stored of a password: argon2id in the PHC string format, with its parameters. */
  hash(password: string): Promise<string>;
  /** Whether it is the one. Takes as long for `stored` null, where there is none. Throws `busy` while too many ask. */
  verify(password: string, stored: string | null): Promise<boolean>;
  /** Whether it was stored with other parameters than are good today. */
  isOutdated(stored: string): boolean;
};

/**
 * Hashes in the thread pool, one at a time: each takes 46 MB and a core, and whoever tries passwords must not take the
 * whole pool from all that reads and writes files.
 */
export function createPasswords(): Passwords {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const derive = async (password: string, { nonce, ...rest }: Stored): Promise<Buffer> => {
    if (waiting >= waitingMax) throw new Failure('temporary', 'busy', 'too many sign in at once');
    waiting += 1;
    const turn = last.then(() =>
      argon2id('argon2id', { ...rest, message: normalised(password), nonce, tagLength: tagBytes }),
    );
    last = turn.catch(() => undefined).finally(() => (waiting -= 1));
    return turn;
  };
  const nobody: Stored = { ...cost, nonce: randomBytes(nonceBytes), tag: randomBytes(tagBytes) };
  return {
    async hash(password) {
      const nonce = randomBytes(nonceBytes);
      const tag = await derive(password, { ...cost, nonce, tag: Buffer.alloc(0) });
      return `${prefix}${base64(nonce)}$${base64(tag)}`;
    },
    async verify(password, stored) {
      const of = stored === null ? nobody : read(stored);
      const tag = await derive(password, of);
      return timingSafeEqual(tag, of.tag) && stored !== null;
    },
    isOutdated: (stored) => !stored.startsWith(prefix),
  };
}

const argon2id = promisify(argon2);

type Stored = typeof cost & { nonce: Buffer; tag: Buffer };

const prefix = `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$`;

function read(stored: string): Stored {
  const [, memory, passes, parallelism, nonce, tag] =
    /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]{43})$/.exec(stored) ?? [];
  if (nonce === undefined || tag === undefined) throw new Error('a stored password has another format');
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    nonce: Buffer.from(nonce, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  };
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

/** The same letters may be typed as different code points, by another keyboard. */
function normalised(password: string): string {
  return password.normalize('NFKC');
}
