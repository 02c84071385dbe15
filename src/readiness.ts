import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReadyCheck } from './api/route.ts';
import type { Config } from './config.ts';
import { blobsDirectory, spoolDirectory } from './data.ts';
import type { BlobStore } from './store/blobs.ts';

/** What `/readyz` asks beside the database. `isThere`: this node has said so in time, so that it has its mailboxes. */
export function readyChecks(
  config: Pick<Config, 'DATA_DIR' | 'S3_BUCKET'>,
  { stopping, isThere, blobs }: { stopping: AbortSignal; isThere(): boolean; blobs: Pick<BlobStore, 'size'> },
): ReadyCheck[] {
  return [
    { name: 'running', why: () => (stopping.aborted ? 'it is stopping' : null) },
    {
      name: 'mailboxes',
      why: () =>
        isThere() ? null : 'this node has not been heard of in time: others may have its mailboxes',
    },
    { name: 'spool', why: () => whyUnwritable(spoolDirectory(config)) },
    {
      name: 'blobs',
      why: () => (config.S3_BUCKET === null ? whyUnwritable(blobsDirectory(config)) : whySilent(blobs)),
    },
  ];
}

/** A bucket is asked for an object that there is not: what it says of its own state is in that answer. */
async function whySilent(blobs: Pick<BlobStore, 'size'>): Promise<string | null> {
  try {
    await blobs.size('0'.repeat(64));
    return null;
  } catch (error) {
    return `the bucket cannot be used (${(error as Error).name})`;
  }
}

/**
 * Writes a file and removes it: permissions alone say nothing of a full disk, or of one that went read-only. Others may
 * be at it at the same time, on a node too that has the same folder and, in its container, the same process id.
 */
async function whyUnwritable(directory: string): Promise<string | null> {
  const path = join(directory, `ready-${process.pid}.probe`);
  try {
    await mkdir(directory, { recursive: true });
    const file = await open(path, 'w');
    try {
      await file.writeFile('ready?');
    } finally {
      await file.close();
      await rm(path, { force: true });
    }
    return null;
  } catch (error) {
    // The code alone: whoever asks here need not know our paths.
    const { code } = error as NodeJS.ErrnoException;
    return `it cannot be written (${code ?? 'for a reason of its own'})`;
  }
}
