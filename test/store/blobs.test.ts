import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import type { SweptBlobStore } from '../../src/store/blobs.ts';

const nameOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');
let directory: string;
let blobs: SweptBlobStore;

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

describe('a sweep', () => {
  const before = new Date('2026-01-01');
  const long = new Date('2025-12-31');
  const everything = (names: readonly string[]) => Promise.resolve([...names]);
  /** Stored, and not put again for long. */
  async function putLongAgo(text: string): Promise<string> {
    const [name = ''] = await blobs.put([Buffer.from(text)]);
    await utimes(pathOf(name), long, long);
    return name;
  }

  test('asks about what nobody put for long, and removes what nothing refers to', async () => {
    const [unused, used] = [await putLongAgo('unused'), await putLongAgo('used')];
    const [young = ''] = await blobs.put([Buffer.from('young')]);
    const asked: string[] = [];
    const findUnreferenced = (names: readonly string[]) => {
      asked.push(...names);
      return Promise.resolve([unused]);
    };
    assert.equal(await blobs.sweep({ before, findUnreferenced }), 1);
    assert.deepEqual(asked.sort(), [unused, used].sort());
    assert.deepEqual((await files()).sort(), [used.slice(2), young.slice(2)].sort());
  });

  test('asks about a few at a time, however many there are', async () => {
    await mkdir(join(directory, 'ab'));
    for (let n = 0; n < 1_100; n += 1) {
      const path = join(directory, 'ab', String(n).padStart(62, '0'));
      await writeFile(path, '');
      await utimes(path, long, long);
    }
    const sizes: number[] = [];
    const findUnreferenced = (names: readonly string[]) => {
      sizes.push(names.length);
      return everything(names);
    };
    assert.equal(await blobs.sweep({ before, findUnreferenced }), 1_100);
    assert.deepEqual(sizes, [500, 500, 100]);
    assert.deepEqual(await files(), []);
  });

  test('leaves a blob that is put again before it is gone: its row may be about to be committed', async () => {
    const name = await putLongAgo('again');
    const findUnreferenced = async (names: readonly string[]) => {
      await blobs.put([Buffer.from('again')]);
      return [...names];
    };
    assert.equal(await blobs.sweep({ before, findUnreferenced }), 0);
    assert.deepEqual(await files(), [name.slice(2)]);
    assert.equal(await blobs.sweep({ before, findUnreferenced: everything }), 0, 'also the next time');
  });

  test('never takes what a put at the same moment relies on', async () => {
    const contents = ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text));
    for (let round = 0; round < 100; round += 1) {
      for (const content of contents) await putLongAgo(content.toString());
      const sweeping = blobs.sweep({ before, findUnreferenced: everything });
      const second = blobs.sweep({ before, findUnreferenced: everything });
      // Each begins a little later than the one before, from before the sweep to after it.
      for (let turn = 0; turn < round % 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      const names = await blobs.put(contents);
      await Promise.all([sweeping, second]);
      for (const name of names) assert.equal(await blobs.size(name), 1, `round ${round}`);
      assert.equal((await files()).length, contents.length);
    }
  });

  test('clears up what crashes left, when nobody can be writing it any more', async () => {
    const name = await putLongAgo('whole');
    const path = pathOf(name);
    await writeFile(`${path}.0123456789ab.part`, 'who');
    await writeFile(`${path}.ba9876543210.part`, 'wh');
    await utimes(`${path}.ba9876543210.part`, long, long);
    const nothing = () => Promise.resolve([]);
    await blobs.sweep({ before, findUnreferenced: nothing });
    assert.deepEqual((await files()).sort(), [name.slice(2), `${name.slice(2)}.0123456789ab.part`]);
    // A removal that was cut off before it was known whether somebody had put it again.
    await rename(path, `${path}.0123456789ab.removing`);
    await blobs.sweep({ before, findUnreferenced: nothing });
    assert.equal(await blobs.size(name), 5);
    await writeFile(`${path}.0123456789ab.removing`, 'whole');
    await blobs.sweep({ before, findUnreferenced: nothing });
    assert.deepEqual((await files()).sort(), [name.slice(2), `${name.slice(2)}.0123456789ab.part`]);
  });

  test('of a store that was never written to finds nothing', async () => {
    const unwritten = createDiskBlobs(join(directory, 'none'));
    assert.equal(await unwritten.sweep({ before, findUnreferenced: everything }), 0);
  });
});
