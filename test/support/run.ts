// npm test [-- part of a path ...]: finds every test file below test/, runs it, and ends with the line
// "N passed, N failed". Fails on zero tests, and on a test that is skipped or marked todo.
//
// Files that need no server run first, all in one process, while the servers start. Beside and after them the other
// files that test a module, in one process for each part of a folder of them, and the stories of test/flows/, each in a
// process of its own; three at a time. (All of them in one process opened and closed so many embedded databases that V8
// sometimes ended it while freeing their WebAssembly; Node 24.21, 2026-11.)
import { once } from 'node:events';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { createRunRecord } from './run-record.ts';
import { announceServers, startServersProcess } from './shared-servers.ts';
import { filesVariable, findTestFiles, type TestFiles } from './test-files.ts';

/** Half as long again as it takes on two busy cores: one that hangs ends. */
const runMsMax = 20 * 60_000;
const suitesPath = new URL('./file-suites.ts', import.meta.url).pathname;

const files = findTestFiles(process.argv.slice(2));
const record = createRunRecord([...files.plain, ...files.served.flat(), ...files.flows]);
const aborting = new AbortController();
let servers: Awaited<ReturnType<typeof startServersProcess>> | undefined;

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => void end(`stopped by ${signal}`, exitCode));
}
const watchdog = setTimeout(() => void end(`not finished after ${runMsMax / 60_000} minutes`, 1), runMsMax);

await runAll(files);
clearTimeout(watchdog);
await servers?.stop();
process.exit(report() ? 0 : 1);

async function runAll({ plain, served, flows }: TestFiles): Promise<void> {
  const needsServers = served.length + flows.length > 0;
  // Started beside the plain tests, which have their say whatever becomes of that.
  const starting = needsServers ? startServersProcess().catch((error: unknown) => String(error)) : undefined;
  const plainTests = plain.length > 0 ? runTogether(plain) : Promise.resolve();
  const started = await starting;
  const jobs: (() => Promise<void>)[] = [];
  if (typeof started === 'string') record.fail(started);
  else if (started !== undefined) {
    servers = started;
    announceServers(servers.info);
    jobs.push(
      ...served.map((folder) => () => runTogether(folder)),
      ...flows.map((story) => () => runFiles([story], { env: process.env, forceExit: true })),
    );
  }
  // One from the folders on, after the plain tests, and two from the stories on, until they meet: much of their time is
  // waiting, so that it takes three to keep two cores busy, and not more than 1.5 GB each.
  await Promise.all([
    plainTests.then(() => runJobs(() => jobs.shift())),
    runJobs(() => jobs.pop()),
    runJobs(() => jobs.pop()),
  ]);
}

async function runJobs(next: () => (() => Promise<void>) | undefined): Promise<void> {
  for (let job = next(); job !== undefined; job = next()) await job();
}

function runTogether(paths: string[]): Promise<void> {
  return runFiles([suitesPath], {
    env: { ...process.env, [filesVariable]: JSON.stringify(paths) },
    forceExit: false,
  });
}

/**
 * Each file in a process of its own, one after another. `forceExit` ends a process whose last test left
 * a socket open; it can also cut off what the last tests had to say, where there are many (Node 24.21,
 * 2026-11), so it is for stories alone: tests of modules must leave nothing behind.
 */
async function runFiles(paths: string[], how: { env: NodeJS.ProcessEnv; forceExit: boolean }): Promise<void> {
  const stream = run({ files: paths, concurrency: 1, signal: aborting.signal, ...how });
  record.follow(stream);
  const output = stream.compose(spec);
  output.pipe(process.stdout, { end: false });
  await once(output, 'end');
}

/** Ends a run that did not end by itself: says what was under way and leaves nothing running. */
async function end(reason: string, exitCode: number): Promise<void> {
  const running = record.running();
  aborting.abort();
  await servers?.stop();
  for (const title of running) record.fail(`${reason} while running: ${title}`);
  record.fail(reason);
  report();
  process.exit(exitCode);
}

/** Prints how it went; true when all is well. */
function report(): boolean {
  if (record.passed() === 0) record.fail('no test passed');
  const failures = record.failures();
  console.log(`\nSlowest files:\n${record.slowest(10).join('\n')}`);
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join('\n')}`);
  console.log(`\n${record.passed()} passed, ${failures.length} failed`);
  return failures.length === 0;
}
