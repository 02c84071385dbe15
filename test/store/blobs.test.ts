import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import type { BlobStore } from '../../src/store/blobs.ts';

const nameOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');
let directory: string;
let blobs: BlobStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twoway-blobs-'));
  blobs = createDiskBlobs(directory);
});
afterEach(() => rm(directory, { recursive: true }));

const pathOf = (name: string) => join(directory, name.slice(0, 2), name.slice(2));
/** Everything that is on disk, by path below the store. */
async function files(): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('a blob', () => {
  test('is stored under the hash of its bytes, once', async () => {
    const content = Buffer.from('Dear Carla');
    assert.deepEqual(await blobs.put([content, content]), [nameOf(content), nameOf(content)]);
    assert.deepEqual(await blobs.put([content]), [nameOf(content)]);
    assert.deepEqual(await files(), [nameOf(content).slice(2)]);
    assert.deepEqual(await buffer(blobs.get(nameOf(content), { start: 5, end: 9 })), Buffer.from('Carla'));
  });

  test('appears when it is whole, never before', async () => {
    const content = randomBytes(8 * 1_048_576);
    const seen = new Set<number | null>();
    const storing = { done: false };
    const stored = blobs.put([content]).finally(() => (storing.done = true));
    while (!storing.done) seen.add(await blobs.size(nameOf(content)));
    await stored;
    seen.add(await blobs.size(nameOf(content)));
    assert.deepEqual([...seen], [null, content.length]);
  });

  test('has its bytes on disk before its name, and its name before the call ends', async (t) => {
    const content = Buffer.from('Dear Carla');
    const path = pathOf(nameOf(content));
    await mkdir(join(path, '..'));
    const probe = await open(directory);
    const handle = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const order: string[] = [];
    for (const method of ['datasync', 'sync'] as const) {
      const real = handle[method];
      t.mock.method(handle, method, function (this: FileHandle) {
        order.push(`${method} ${existsSync(path) ? 'named' : 'unnamed'}`);
        return real.call(this);
      });
    }
    await blobs.put([content]);
    assert.deepEqual(order, ['datasync unnamed', 'sync named']);
  });

  test('that cannot be stored leaves nothing behind', async () => {
    const content = Buffer.from('Dear Carla');
    // A folder where the file should be: the last step fails.
    await mkdir(pathOf(nameOf(content)), { recursive: true });
    await assert.rejects(blobs.put([content]), { code: 'EISDIR' });
    assert.deepEqual(await files(), []);
  });

  test('of no such name is none', async () => {
    assert.equal(await blobs.size('0'.repeat(64)), null);
    await assert.rejects(buffer(blobs.get('0'.repeat(64))), { code: 'ENOENT' });
    assert.throws(() => blobs.get('../../etc/passwd'), /not the name of a blob/);
  });
});
