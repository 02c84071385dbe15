import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { SweptBlobStore } from '../../src/store/blobs.ts';
import { createS3Blobs } from '../../src/store/blobs-s3.ts';
import { startS3 } from '../support/s3.ts';
import type { TestS3 } from '../support/s3.ts';

const nameOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const content = randomBytes(200_000);
const name = nameOf(content);

describe('blobs in S3', () => {
  let s3: TestS3;
  let blobs: SweptBlobStore;

  beforeEach(async () => {
    s3 = await startS3();
    blobs = createS3Blobs({ ...s3, region: 'us-east-1' });
  });
  afterEach(() => s3.stop());

  const puts = () => s3.requests.filter(({ method }) => method === 'PUT');
  const age = (ms: number) => s3.objects.forEach((stored) => (stored.modified = new Date(Date.now() - ms)));

  test('what is there is not written again before half of what a sweep leaves alone', async () => {
    await blobs.put([content]);
    await blobs.put([content, content]);
    age(29 * 60_000);
    await blobs.put([content]);
    assert.equal(puts().length, 1);
    age(31 * 60_000);
    await blobs.put([content]);
    assert.equal(puts().length, 2);
    assert.equal(new Set(puts().map(({ key }) => key)).size, 2, 'no key is ever written twice');
    assert.deepEqual(await buffer(blobs.get(name)), content);
  });

  test('of copies of what is referred to a sweep leaves the newest', async () => {
    for (let n = 0; n < 10; n += 1) {
      await blobs.put([content]);
      age((40 + n) * 60_000);
    }
    await blobs.put([content]);
    assert.equal(s3.objects.size, 11);
    const before = new Date(Date.now() - 30 * 60_000);
    assert.equal(await blobs.sweep({ before, findUnreferenced: () => Promise.resolve([]) }), 0);
    assert.equal(s3.objects.size, 1);
    assert.deepEqual(await buffer(blobs.get(name)), content);
  });

  test('a sweep goes through all pages of a list, and leaves what is no blob alone', async () => {
    await blobs.claim('own');
    const contents = Array.from({ length: 30 }, () => randomBytes(20));
    await blobs.put(contents);
    s3.objects.set('notes/of-somebody.txt', { content: Buffer.from('x'), modified: new Date() });
    age(3 * 3_600_000);
    const asked: string[] = [];
    const findUnreferenced = (names: readonly string[]) => {
      asked.push(...names);
      return Promise.resolve([...names]);
    };
    assert.equal(await blobs.sweep({ before: new Date(), findUnreferenced }), 30);
    assert.deepEqual(asked.sort(), contents.map(nameOf).sort());
    assert.deepEqual([...s3.objects.keys()].sort(), ['installation', 'notes/of-somebody.txt']);
  });

  test('a server that asks for patience is asked again', async () => {
    s3.slowDown(3);
    await blobs.put([content]);
    s3.slowDown(2);
    assert.equal(await blobs.size(name), content.length);
    assert.equal(s3.requests.filter(({ status }) => status === 503).length, 5);
  });

  test('a server that goes on asking for patience is an error, and nothing is stored by halves', async () => {
    s3.slowDown(1_000);
    await assert.rejects(blobs.put([content]), { name: 'SlowDown' });
    assert.equal(s3.objects.size, 0);
  });

  test('a download that breaks off goes on where it was', async () => {
    await blobs.put([content]);
    s3.breakOff(2);
    assert.deepEqual(await buffer(blobs.get(name)), content);
    s3.breakOff(1);
    assert.deepEqual(
      await buffer(blobs.get(name, { start: 10, end: 150_000 })),
      content.subarray(10, 150_001),
    );
    const later = s3.requests.filter(({ range }) => /^bytes=[1-9]/.test(range ?? ''));
    assert.ok(later.length >= 3, 'what had come is not asked for again');
  });

  test('a download goes on with the newest copy where a sweep takes the one that it reads; of what is gone it says so', async () => {
    await blobs.put([content]);
    age(40 * 60_000);
    const chunks: Buffer[] = [];
    const reading = blobs.get(name);
    s3.breakOff(1);
    for await (const chunk of reading) {
      if (chunks.push(chunk as Buffer) > 1) continue;
      await blobs.put([content]);
      const before = new Date(Date.now() - 30 * 60_000);
      await blobs.sweep({ before, findUnreferenced: () => Promise.resolve([]) });
      assert.equal(s3.objects.size, 1);
    }
    assert.deepEqual(Buffer.concat(chunks), content);
    assert.equal(s3.requests.filter(({ status }) => status === 404).length, 1, 'the copy was gone');

    s3.breakOff(1);
    await assert.rejects(
      async () => {
        for await (const _chunk of blobs.get(name)) s3.objects.clear();
      },
      { code: 'ENOENT' },
    );
  });

  test('a download that always breaks off is an error, never a part that looks like the whole', async () => {
    await blobs.put([content]);
    s3.breakOff(1_000);
    await assert.rejects(buffer(blobs.get(name)));
  });

  test('a wrong key, and a bucket that is not there, are errors of their own, and never "no such blob"', async () => {
    const strange = createS3Blobs({
      ...s3,
      region: 'us-east-1',
      credentials: { accessKeyId: 'AKOTHER', secretAccessKey: 'x' },
    });
    await assert.rejects(strange.size(name), { name: 'InvalidAccessKeyId' });
    const nowhere = createS3Blobs({ ...s3, region: 'us-east-1', bucket: 'nowhere' });
    await assert.rejects(nowhere.put([content]), { name: 'NoSuchBucket' });
  });
});
