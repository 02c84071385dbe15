import { relative, resolve } from 'node:path';
import type { run } from 'node:test';

type TestStream = ReturnType<typeof run>;

/** What happened in a run, gathered from the events of its test files. */
export type RunRecord = {
  /** Follows one more stream of events. */
  follow(stream: TestStream): void;
  /** Adds a failure that is no test's. */
  fail(what: string): void;
  /** Everything that keeps the run from being good, a line each. */
  failures(): string[];
  passed(): number;
  /** Tests that have begun and not ended. */
  running(): string[];
  /** The `count` slowest files, a line each. */
  slowest(count: number): string[];
};

/** A record that also misses what `expectedFiles` did not do. */
export function createRunRecord(expectedFiles: string[]): RunRecord {
  const failures: string[] = [];
  const running = new Map<string, string>();
  const durationsMs = new Map<string, number>();
  const filesWithTests = new Set<string>();
  let passed = 0;
  const expected = new Set(expectedFiles);

  const follow = (stream: TestStream): void => {
    stream.on('test:dequeue', (event) => running.set(identity(event), title(event)));
    stream.on('test:complete', (event) => running.delete(identity(event)));
    stream.on('test:pass', (event) => {
      noteDuration(event, event.details.duration_ms);
      // A file without any test is reported as one passed test with the name of the file.
      if (event.details.type === 'suite' || isFile(event.name)) return;
      filesWithTests.add(event.file ?? '');
      // A test that was not run has not passed.
      if (event.skip !== undefined) failures.push(`skipped: ${title(event)}`);
      else if (event.todo !== undefined) failures.push(`todo: ${title(event)}`);
      else passed += 1;
    });
    stream.on('test:fail', (event) => {
      noteDuration(event, event.details.duration_ms);
      filesWithTests.add(isFile(event.name) ? resolve(event.name) : (event.file ?? ''));
      // The failure of a part has been counted already.
      if (failureType(event.details.error) === 'subtestsFailed') return;
      failures.push(title(event));
    });
    stream.on('test:summary', (event) => {
      if (event.file !== undefined && expected.has(event.file))
        durationsMs.set(event.file, event.duration_ms);
    });
  };
  const noteDuration = (event: { name: string; nesting: number }, durationMs: number): void => {
    if (event.nesting === 0 && isFile(event.name)) durationsMs.set(resolve(event.name), durationMs);
  };
  const isFile = (name: string): boolean => expected.has(resolve(name));

  return {
    follow,
    fail: (what) => void failures.push(what),
    failures: () => [
      ...failures,
      ...expectedFiles
        .filter((file) => !filesWithTests.has(file))
        .map((file) => `no test in ${relativePath(file)}`),
    ],
    passed: () => passed,
    running: () => [...running.values()],
    slowest: (count) =>
      [...durationsMs]
        .sort(([, left], [, right]) => right - left)
        .slice(0, count)
        .map(([file, ms]) => `${(ms / 1000).toFixed(1).padStart(6)} s  ${relativePath(file)}`),
  };
}

type Located = { name: string; testId: number; file?: string; line?: number };

function identity({ file, testId, name }: Located): string {
  return `${file} ${testId} ${name}`;
}

function title({ file, name }: Located): string {
  // A file that could not even be loaded has its path as name.
  if (file === undefined || name.endsWith('.test.ts')) return relativePath(resolve(name));
  return `${relativePath(file)}: ${name}`;
}

function relativePath(file: string): string {
  return relative(process.cwd(), file);
}

function failureType(error: unknown): string | undefined {
  return (error as { failureType?: string }).failureType;
}
