import { readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

/** Absolute paths of test files, by what they need to run. */
export type TestFiles = {
  /** Only what is in memory. */
  plain: string[];
  /** May use a database or the shared servers; a part of a folder shares a process. */
  served: string[][];
  /** Stories, each in a process of its own. */
  flows: string[];
};

/** Names the environment variable by which file-suites.ts is told its files, as JSON. */
export const filesVariable = 'TWOWAY_TEST_FILES';

const testDirectory = resolve(import.meta.dirname, '..');

const servedFolders = new Set(
  'api console filing intake mailbox outbound sandbox sim store webhook'.split(' '),
);

/** Every test file whose path contains one of `filters`, or every one. Throws when there is none. */
export function findTestFiles(filters: string[]): TestFiles {
  const all = readdirSync(testDirectory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => join(testDirectory, path))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .sort();
  if (all.length === 0) throw new Error(`no test file matches: ${filters.join(' ')}`);
  const folder = (path: string): string => relative(testDirectory, path).split('/')[0] ?? '';
  return {
    plain: all.filter((path) => folder(path) !== 'flows' && !servedFolders.has(folder(path))),
    served: [...servedFolders]
      .map((name) => all.filter((path) => folder(path) === name))
      .flatMap((paths) => partsOf(paths)),
    flows: all.filter((path) => folder(path) === 'flows'),
  };
}

/** So many at most: of a large folder that is begun late one process would be left, and the other core idle. */
const partMax = 12;

function partsOf(paths: readonly string[]): string[][] {
  const count = Math.ceil(paths.length / partMax);
  return Array.from({ length: count }, (_, n) =>
    paths.slice(Math.ceil((n * paths.length) / count), Math.ceil(((n + 1) * paths.length) / count)),
  );
}
