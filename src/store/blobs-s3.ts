import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { blobName, inParallel, sweepBatch } from './blobs.ts';
import type { SweptBlobStore } from './blobs.ts';

export type S3Options = {
  bucket: string;
  /** Of an S3 that is not Amazon's; its buckets are taken to be in the path. Null: Amazon's own, by the region. */
  endpoint: string | null;
  region: string;
  /** Null: from where Amazon's SDK finds them by itself, such as the role of the machine. */
  credentials: { accessKeyId: string; secretAccessKey: string } | null;
};

/** In ms, and counts. */
const limits = {
  connectMs: 5_000,
  answerMs: 30_000,
  /** Tries of one request: S3 asks for patience by 503 SlowDown. */
  attempts: 5,
  /** How often a download that broke off goes on where it was. */
  resumes: 3,
  /** What was put so long ago is put again: half of what a sweep leaves alone (housekeeping.ts). */
  renewMs: 30 * 60_000,
};

/** The object that says whose the bucket is. */
const mark = 'installation';

/** An object that holds a blob. */
type Copy = { key: string; size: number; modifiedMs: number };

/**
 * Blobs in a bucket of S3: `ab/cdef….<random>`. Each key is written once and never again, so that what a sweep has
 * found old stays old: S3 has no way to remove an object only if nobody has renewed it. What is put again after a while
 * is one more copy, and the next sweep leaves the newest. An object appears whole or not at all, and is listed from then
 * on (Amazon, since 2020-12; MinIO, Ceph and R2 too).
 */
export function createS3Blobs(options: S3Options): SweptBlobStore {
  const bucket = openBucket(options);
  return {
    async put(contents, names = contents.map(blobName)) {
      const distinct = new Map(names.map((name, position) => [name, contents[position]]));
      await inParallel([...distinct], async ([name, content]) => {
        if (content !== undefined) await write(bucket, name, content);
      });
      return names;
    },
    get: (sha256, range) => {
      pathOf(sha256);
      const { start = 0, end = null } = range ?? {};
      return Readable.from(read(bucket, sha256, { start, end }), { objectMode: false });
    },
    size: async (sha256) => (await newestOf(bucket, sha256))?.size ?? null,
    claim: (installation) => claim(bucket, installation),
    async sweep({ before, findUnreferenced }) {
      let removed = 0;
      const removeUnreferenced = async (old: Map<string, Copy[]>) => {
        for (const name of await findUnreferenced([...old.keys()])) {
          await remove(bucket, old.get(name) ?? []);
          removed += 1;
        }
        old.clear();
      };
      const old = new Map<string, Copy[]>();
      for await (const [name, copies] of byName(list(bucket, ''))) {
        const past = copies.sort(byAge).filter(({ modifiedMs }) => modifiedMs < before.getTime());
        if (past.length === copies.length) old.set(name, past);
        // The newest is the one that is read.
        else await remove(bucket, past);
        if (old.size === sweepBatch) await removeUnreferenced(old);
      }
      await removeUnreferenced(old);
      return removed;
    },
  };
}

/** The bucket, request by request. */
type Bucket = { client: S3Client; Bucket: string };

function openBucket({ bucket, endpoint, region, credentials }: S3Options): Bucket {
  const client = new S3Client({
    region,
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === null ? {} : { credentials }),
    maxAttempts: limits.attempts,
    // The sum that we send is the blob's name; other servers than Amazon's stumble over the SDK's own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: limits.connectMs, requestTimeout: limits.answerMs },
  });
  return { client, Bucket: bucket };
}

/** All copies whose key begins so, in the order of their keys. */
async function* list({ client, Bucket }: Bucket, Prefix: string): AsyncGenerator<Copy> {
  let token: string | undefined;
  do {
    const next = token === undefined ? {} : { ContinuationToken: token };
    const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix, ...next }));
    for (const { Key: key = '', Size: size = 0, LastModified } of page.Contents ?? [])
      if (keyPattern.test(key)) yield { key, size, modifiedMs: LastModified?.getTime() ?? 0 };
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

/** The copy that is read; null where there is none. */
async function newestOf(bucket: Bucket, name: string): Promise<Copy | null> {
  const copies = await Array.fromAsync(list(bucket, `${pathOf(name)}.`));
  return copies.sort(byAge).at(-1) ?? null;
}

/** Writes a copy, unless there is a young one. */
async function write(bucket: Bucket, name: string, content: Buffer): Promise<void> {
  const { client, Bucket } = bucket;
  const there = await newestOf(bucket, name);
  if (there?.size === content.length && there.modifiedMs > Date.now() - limits.renewMs) return;
  const Key = `${pathOf(name)}.${randomBytes(6).toString('hex')}`;
  // What arrives by halves is refused.
  const ChecksumSHA256 = Buffer.from(name, 'hex').toString('base64');
  await client.send(new PutObjectCommand({ Bucket, Key, Body: content, ChecksumSHA256 }));
}

/** The bytes from `start` to `end` (included; null: all the rest), over as many answers as it takes. */
async function* read(
  bucket: Bucket,
  name: string,
  { start, end }: { start: number; end: number | null },
): AsyncGenerator<Buffer> {
  const { client, Bucket } = bucket;
  let copy = await copyOf(bucket, name);
  let at = start;
  for (let broken = 0; ; broken += 1) {
    try {
      // Of no bytes there is no range.
      const part = at === 0 && end === null ? {} : { Range: `bytes=${at}-${end ?? ''}` };
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: copy.key, ...part }));
      for await (const chunk of Body as Readable) {
        at += (chunk as Buffer).length;
        yield chunk as Buffer;
      }
      return;
    } catch (error) {
      if (broken === limits.resumes) throw isNoSuchKey(error) ? missing(name) : error;
      // A sweep took the copy: a newer one has the same bytes, or there is none any more.
      if (isNoSuchKey(error)) copy = await copyOf(bucket, name);
      else if (error instanceof S3ServiceException) throw error;
      if (at > Math.min(end ?? Infinity, copy.size - 1)) return;
    }
  }
}

async function copyOf(bucket: Bucket, name: string): Promise<Copy> {
  const copy = await newestOf(bucket, name);
  if (copy === null) throw missing(name);
  return copy;
}

async function remove({ client, Bucket }: Bucket, copies: readonly Copy[]): Promise<void> {
  await inParallel(copies, async ({ key: Key }) => {
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
  });
}

/** Marks the bucket unless it is marked; answers whose it is. */
async function claim({ client, Bucket }: Bucket, installation: string): Promise<string> {
  const owner = async () => {
    const got = await client.send(new GetObjectCommand({ Bucket, Key: mark })).catch(unlessNoSuchKey);
    return got === null ? null : ((await got.Body?.transformToString()) ?? '').trim();
  };
  const before = await owner();
  if (before !== null) return before;
  // Of nodes that start at the same moment the first makes it.
  await client
    .send(new PutObjectCommand({ Bucket, Key: mark, Body: installation, IfNoneMatch: '*' }))
    .catch(unlessThere);
  return (await owner()) ?? '';
}

const keyPattern = /^[0-9a-f]{2}\/[0-9a-f]{62}\.[0-9a-f]{12}$/;

function pathOf(sha256: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('not the name of a blob');
  return `${sha256.slice(0, 2)}/${sha256.slice(2)}`;
}

/** The newest last; times of S3 are whole seconds, so that the key decides between equals, for every node alike. */
function byAge(a: Copy, b: Copy): number {
  return a.modifiedMs - b.modifiedMs || (a.key < b.key ? -1 : 1);
}

/** All copies of each blob; a listing has them next to each other. */
async function* byName(listed: AsyncGenerator<Copy>): AsyncGenerator<[string, Copy[]]> {
  let name = '';
  let copies: Copy[] = [];
  for await (const copy of listed) {
    const of = copy.key.slice(0, 2) + copy.key.slice(3, 65);
    if (of !== name && copies.length > 0) yield [name, copies.splice(0)];
    name = of;
    copies = [...copies, copy];
  }
  if (copies.length > 0) yield [name, copies];
}

function missing(name: string): Error {
  return Object.assign(new Error(`there is no blob ${name}`), { code: 'ENOENT' });
}

function isNoSuchKey(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey';
}

function unlessNoSuchKey(error: unknown): null {
  if (isNoSuchKey(error)) return null;
  throw error;
}

/** 412: the condition did not hold; 409: somebody else makes it at this moment. */
function unlessThere(error: unknown): void {
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  if (status !== 412 && status !== 409) throw error;
}
