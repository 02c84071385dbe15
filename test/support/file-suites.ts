// Runs many test files in this one process, each as a suite of its own: a process for each would take
// longer to start than its tests, and without suites the hooks of all files would run together.
import { relative } from 'node:path';
import { after, describe } from 'node:test';
import { closeEmbedded } from './embedded.ts';
import { filesVariable } from './test-files.ts';

for (const path of JSON.parse(process.env[filesVariable] ?? '[]') as string[]) {
  describe(relative(process.cwd(), path), async () => {
    await import(path);
  });
}

/** A socket that a test left open would keep this process, and the run, for minutes. */
const endMsMax = 20_000;
after(async () => {
  await closeEmbedded();
  const tooLong = setTimeout(() => {
    console.error(`tests have left open: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit(1);
  }, endMsMax);
  tooLong.unref();
});
