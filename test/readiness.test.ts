import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readyChecks } from '../src/readiness.ts';

async function ask(parts: {
  directory: string;
  stopping?: AbortSignal;
  isThere?: boolean;
  bucket?: () => Promise<null>;
}) {
  const checks = readyChecks(
    { DATA_DIR: parts.directory, S3_BUCKET: parts.bucket === undefined ? null : 'mail' },
    {
      stopping: parts.stopping ?? new AbortController().signal,
      isThere: () => parts.isThere ?? true,
      blobs: { size: () => parts.bucket?.() ?? Promise.reject(new Error('the folder is asked')) },
    },
  );
  return Object.fromEntries(
    await Promise.all(checks.map(async ({ name, why }) => [name, await why()] as const)),
  );
}

test('readiness: each check has its own word why not, and a probe leaves nothing behind', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-ready-'));
  try {
    const sound = { running: null, mailboxes: null, spool: null, blobs: null };
    assert.deepEqual(await ask({ directory }), sound);
    assert.deepEqual(await readdir(join(directory, 'blobs')), []);
    assert.deepEqual(await readdir(join(directory, 'spool', hostname())), []);
    const stopping = AbortSignal.abort();
    assert.deepEqual(await ask({ directory, stopping }), { ...sound, running: 'it is stopping' });
    assert.deepEqual(await ask({ directory, isThere: false }), {
      ...sound,
      mailboxes: 'this node has not been heard of in time: others may have its mailboxes',
    });
    assert.deepEqual(await ask({ directory, bucket: () => Promise.resolve(null) }), sound);
    assert.deepEqual(await ask({ directory, bucket: () => Promise.reject(new TypeError('no way there')) }), {
      ...sound,
      blobs: 'the bucket cannot be used (TypeError)',
    });
    await rm(join(directory, 'blobs'), { recursive: true });
    await writeFile(join(directory, 'blobs'), 'a file where a folder must be');
    const { blobs } = await ask({ directory });
    assert.match(blobs ?? '', /^it cannot be written \(E\w+\)$/);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('readiness: whoever asks while others do is told the same, not that their probe is gone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-ready-'));
  try {
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask({ directory })));
    for (const { spool, blobs } of answers) assert.deepEqual([spool, blobs], [null, null]);
    assert.deepEqual(await readdir(join(directory, 'blobs')), []);
  } finally {
    await rm(directory, { recursive: true });
  }
});
