import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { blobName } from '../../src/store/blobs.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import { keepRecent } from '../../src/store/recent-blobs.ts';

/** A store in memory that notes what it was asked to read. */
function createStore(): { blobs: BlobStore; read: string[]; fail(): void } {
  const stored = new Map<string, Buffer>();
  const read: string[] = [];
  let isFull = false;
  const blobs: BlobStore = {
    async put(contents, names = contents.map(blobName)) {
      await Promise.resolve();
      if (isFull) throw new Error('ENOSPC');
      for (const [n, name] of names.entries()) stored.set(name, contents[n] ?? Buffer.alloc(0));
      return names;
    },
    get(sha256, range) {
      read.push(sha256);
      const content = stored.get(sha256) ?? Buffer.alloc(0);
      return Readable.from([range === undefined ? content : content.subarray(range.start, range.end + 1)]);
    },
    size: (sha256) => Promise.resolve(stored.get(sha256)?.length ?? null),
  };
  return { blobs, read, fail: () => (isFull = true) };
}

const letter = Buffer.from('Dear Carla');
const name = blobName(letter);

describe('a blob that was just put', () => {
  test('is read once from memory, and from then on from the store', async () => {
    const { blobs, read } = createStore();
    const recent = keepRecent(blobs, 1_000);
    assert.deepEqual(await recent.put([letter]), [name]);
    assert.deepEqual(await buffer(recent.get(name)), letter);
    assert.deepEqual(read, []);
    assert.deepEqual(await buffer(recent.get(name)), letter);
    assert.deepEqual(read, [name]);
    assert.equal(await recent.size(name), letter.length);
  });

  for (const { range, expected } of [
    { range: { start: 0, end: letter.length - 1 }, expected: 'Dear Carla' },
    { range: { start: 5, end: 9 }, expected: 'Carla' },
    { range: { start: 5, end: 500 }, expected: 'Carla' },
    { range: { start: 50, end: 60 }, expected: '' },
  ]) {
    test(`is read from ${range.start} to ${range.end} as the store would`, async () => {
      const recent = keepRecent(createStore().blobs, 1_000);
      await recent.put([letter]);
      assert.equal((await buffer(recent.get(name, range))).toString(), expected);
    });
  }

  test('is in memory only when the store has it', async () => {
    const { blobs, read, fail } = createStore();
    const recent = keepRecent(blobs, 1_000);
    fail();
    await assert.rejects(recent.put([letter]), /ENOSPC/);
    await buffer(recent.get(name));
    assert.deepEqual(read, [name]);
  });

  test('makes room for newer ones: memory is bounded', async () => {
    const { blobs, read } = createStore();
    const recent = keepRecent(blobs, 25);
    const others = ['one of 10b', 'two of 10b'].map((text) => Buffer.from(text));
    for (const content of [letter, letter, ...others]) await recent.put([content]);
    for (const content of [letter, ...others])
      assert.deepEqual(await buffer(recent.get(blobName(content))), content);
    assert.deepEqual(read, [name]);
  });

  test('stays out of memory where it is large', async () => {
    const { blobs, read } = createStore();
    const recent = keepRecent(blobs, 10_000_000);
    const large = Buffer.alloc(256 * 1024 + 1);
    await recent.put([large]);
    await buffer(recent.get(blobName(large)));
    assert.deepEqual(read, [blobName(large)]);
  });
});
