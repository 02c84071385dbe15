import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import type { SweptBlobStore } from '../../src/store/blobs.ts';
import { createS3Blobs } from '../../src/store/blobs-s3.ts';
import { openDownload } from '../../src/store/download.ts';
import { startS3 } from '../support/s3.ts';

/** A store of blobs, and how a test makes what is in it old. */
type Kind = { blobs: SweptBlobStore; age(name: string): Promise<void>; end(): Promise<void> };

const day = 24 * 3_600_000;

async function onDisk(): Promise<Kind> {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-contract-'));
  const long = new Date(Date.now() - day);
  return {
    blobs: createDiskBlobs(directory),
    age: (name) => utimes(join(directory, name.slice(0, 2), name.slice(2)), long, long),
    end: () => rm(directory, { recursive: true }),
  };
}

async function onS3(): Promise<Kind> {
  const s3 = await startS3();
  return {
    blobs: createS3Blobs({ ...s3, region: 'us-east-1' }),
    age: (name) => {
      for (const [key, stored] of s3.objects)
        if (key.startsWith(`${name.slice(0, 2)}/${name.slice(2)}`))
          stored.modified = new Date(Date.now() - day);
      return Promise.resolve();
    },
    end: () => s3.stop(),
  };
}

const nameOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const everything = (names: readonly string[]) => Promise.resolve([...names]);
const hourAgo = () => new Date(Date.now() - 3_600_000);

for (const [kind, open] of Object.entries({ disk: onDisk, S3: onS3 })) {
  describe(`what every store of blobs does, on ${kind}`, () => {
    let store: Kind;
    let blobs: SweptBlobStore;
    before(async () => {
      store = await open();
      ({ blobs } = store);
    });
    after(() => store.end());

    test('gives back what was put, whole and in ranges, under the SHA-256 of its bytes', async () => {
      const content = randomBytes(300_000);
      const empty = Buffer.alloc(0);
      assert.deepEqual(await blobs.put([content, empty, content]), [content, empty, content].map(nameOf));
      const name = nameOf(content);
      assert.deepEqual(await buffer(blobs.get(name)), content);
      assert.deepEqual(await buffer(blobs.get(nameOf(empty))), empty);
      for (const [start, end] of [
        [0, 0],
        [5, 9],
        [0, 299_999],
        [299_999, 299_999],
        [100_000, 200_000],
      ] as const)
        assert.deepEqual(await buffer(blobs.get(name, { start, end })), content.subarray(start, end + 1));
      assert.equal(await blobs.size(name), 300_000);
      assert.equal(await blobs.size(nameOf(empty)), 0);
    });

    test('says of what it does not have that it is not there', async () => {
      const name = nameOf(randomBytes(10));
      assert.equal(await blobs.size(name), null);
      await assert.rejects(buffer(blobs.get(name)), { code: 'ENOENT' });
    });

    test('a download of what is removed as it begins is "not found", and no answer that breaks off', async () => {
      const content = randomBytes(300_000);
      const [name = ''] = await blobs.put([content]);
      const asked = { method: 'GET', header: () => undefined };
      const file = { sha256: name, type: 'text/plain', name: 'a.txt' };
      const found = await openDownload(blobs, file, asked);
      assert.equal(found.outcome, 'found');
      assert.deepEqual(Buffer.from(await new Response(found.body).arrayBuffer()), content);
      await store.age(name);
      const size = async () => {
        const bytes = await blobs.size(name);
        await blobs.sweep({ before: hourAgo(), findUnreferenced: everything });
        return bytes;
      };
      assert.deepEqual(await openDownload({ ...blobs, size }, file, asked), { outcome: 'not_found' });
    });

    test('takes nothing for a name that is none: not a path, not another object', async () => {
      for (const name of ['installation', '../secret.key', 'AB'.repeat(32), '']) {
        assert.throws(() => blobs.get(name), /not the name/);
        await assert.rejects(async () => blobs.size(name), /not the name/);
      }
    });

    test('sweeps what is old and unreferenced, and nothing else', async () => {
      const [unused, used, young] = ['unused', 'used', 'young'].map((text) => Buffer.from(text + kind));
      assert.ok(unused && used && young);
      await blobs.put([unused, used, young]);
      await store.age(nameOf(unused));
      await store.age(nameOf(used));
      const asked: string[] = [];
      const findUnreferenced = (names: readonly string[]) => {
        asked.push(...names);
        return Promise.resolve(names.filter((name) => name === nameOf(unused)));
      };
      assert.equal(await blobs.sweep({ before: hourAgo(), findUnreferenced }), 1);
      assert.deepEqual(asked.sort(), [nameOf(unused), nameOf(used)].sort());
      const sizes = await Promise.all([unused, used, young].map((content) => blobs.size(nameOf(content))));
      assert.deepEqual(sizes, [null, used.length, young.length]);
    });

    test('what is put again is young again, also in the middle of a sweep', async () => {
      const content = Buffer.from(`again ${kind}`);
      await blobs.put([content]);
      await store.age(nameOf(content));
      const findUnreferenced = async (names: readonly string[]) => {
        await blobs.put([content]);
        return [...names];
      };
      await blobs.sweep({ before: hourAgo(), findUnreferenced });
      assert.deepEqual(await buffer(blobs.get(nameOf(content))), content);
      await blobs.sweep({ before: hourAgo(), findUnreferenced: everything });
      assert.equal(await blobs.size(nameOf(content)), content.length, 'also the next time');
    });

    test('never takes what a put at the same moment relies on, with two nodes that sweep', async () => {
      const contents = ['a', 'b', 'c'].map((text) => Buffer.from(text + kind));
      for (let round = 0; round < 40; round += 1) {
        await blobs.put(contents);
        for (const content of contents) await store.age(nameOf(content));
        const sweeps = [1, 2].map(() => blobs.sweep({ before: hourAgo(), findUnreferenced: everything }));
        for (let turn = 0; turn < round % 20; turn += 1)
          await new Promise((resolve) => setImmediate(resolve));
        await blobs.put(contents);
        await Promise.all(sweeps);
        for (const content of contents)
          assert.equal(await blobs.size(nameOf(content)), content.length, `round ${round}`);
      }
    });

    test('belongs to whoever marks it first, of several at once too', async () => {
      const owners = await Promise.all(['one', 'two', 'three'].map((name) => blobs.claim(name)));
      assert.equal(new Set(owners).size, 1);
      assert.equal(await blobs.claim('four'), owners[0]);
    });
  });
}
