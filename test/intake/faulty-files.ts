import { readdir, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { openSpoolFiles } from '../../src/intake/spool-files.ts';
import type { SpoolFile, SpoolFiles } from '../../src/intake/spool-files.ts';

/** Files of a disk that can be made to fail, and that counts. */
export type FaultyFiles = {
  open(directory: string): Promise<SpoolFiles>;
  /** Operations that change something, in order. */
  readonly operations: string[];
  /** Makes operation number `n` (from 0) the last: half of a write reaches the disk, and everything fails from then on. */
  dieAt(n: number): void;
  /** The next operations of these names fail, with this code, until told otherwise. */
  fail(names: readonly string[], code: string): void;
  /** What a power cut does to what was not synced. */
  losePower(): Promise<void>;
};

export function createFaultyFiles(): FaultyFiles {
  const operations: string[] = [];
  let directory = '';
  let lastOperation = Infinity;
  let failing: { names: readonly string[]; code: string } = { names: [], code: '' };
  /** Bytes of each file that a power cut leaves; of files whose folder was not synced, none. */
  const durable = new Map<string, number>();
  const written = new Map<string, number>();
  const named = new Set<string>();

  /** Whether it dies in this very operation. */
  const step = (name: string): boolean => {
    if (operations.length > lastOperation) throw new Error('the process is dead');
    operations.push(name);
    if (failing.names.includes(name)) throw Object.assign(new Error(failing.code), { code: failing.code });
    return operations.length > lastOperation;
  };
  const die = (): never => {
    throw new Error('the process dies');
  };

  const faultyFile = (name: string, file: SpoolFile): SpoolFile => ({
    async write(pieces, position) {
      const dies = step('write');
      const all = Buffer.concat(pieces);
      const part = dies ? all.subarray(0, Math.ceil(all.length / 2)) : all;
      await file.write([part], position);
      written.set(name, Math.max(written.get(name) ?? 0, position + part.length));
      if (dies) die();
    },
    async sync() {
      if (step('sync')) die();
      await file.sync();
      durable.set(name, written.get(name) ?? 0);
    },
    async truncate(length) {
      if (step('truncate')) die();
      await file.truncate(length);
      written.set(name, length);
    },
    close: () => file.close(),
  });

  return {
    operations,
    dieAt: (n) => {
      lastOperation = n;
    },
    fail: (names, code) => {
      failing = { names, code };
    },
    async open(path) {
      directory = path;
      const files = await openSpoolFiles(path);
      return {
        ...files,
        async create(name) {
          const dies = step('create');
          const file = await files.create(name);
          if (!dies) return faultyFile(name, file);
          await file.close();
          return die();
        },
        async remove(name) {
          const dies = step('remove');
          await files.remove(name);
          if (dies) die();
        },
        async syncFolder() {
          if (step('syncFolder')) die();
          await files.syncFolder();
          for (const name of await files.names()) named.add(name);
        },
      };
    },
    async losePower() {
      for (const name of await readdir(directory)) {
        if (!named.has(name)) await unlink(join(directory, name));
        else await truncate(join(directory, name), durable.get(name) ?? 0);
      }
    },
  };
}
