import { findUnreferencedBlobs } from '../blob-references.ts';
import type { BlobStore } from '../blobs.ts';
import { rows } from '../database.ts';
import type { Db } from '../database.ts';
import { examplesMax } from './invariant.ts';
import type { Checked } from './invariant.ts';

/** How many blobs are looked up at once. */
const pageMax = 1_000;

/**
 * Checks that every blob to which a message, an attachment, a send, or mail that waits to be filed or reviewed refers
 * is there, with the size that they say.
 */
export async function checkBlobs(db: Db, blobs: BlobStore): Promise<Checked> {
  const wrong: { blob: string; size: number; stored: number | null }[] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: Referenced[] = await rows<Referenced>(db, referencedSql, { after, pageMax });
    for (const { blob, least, most } of page) {
      const stored = await blobs.size(blob);
      if (stored !== Number(least) || stored !== Number(most))
        wrong.push({ blob, size: Number(most), stored });
    }
    after = page.at(-1)?.blob;
  }
  // What was erased since it was looked up is gone rightly.
  const erased = new Set(
    await findUnreferencedBlobs(
      db,
      wrong.map(({ blob }) => blob),
    ),
  );
  const broken = wrong.filter(({ blob }) => !erased.has(blob));
  return {
    name: 'blob_is_kept',
    rules: ['T3', 'B5'],
    holds:
      'The bytes of every message, attachment and send, and of mail that was accepted and is not logged yet, are on disk, as many as there were.',
    count: broken.length,
    examples: broken.slice(0, examplesMax),
  };
}

/** A blob, and the least and most bytes that a row says it has. */
type Referenced = { blob: string; least: string; most: string };

const referencedSql = `
select blob, min(least) as least, max(most) as most from (
  (select raw_sha256 as blob, min(raw_size) as least, max(raw_size) as most from messages
    where raw_sha256 > :after group by raw_sha256 order by raw_sha256 limit :pageMax)
  union all
  (select raw_sha256, min(raw_size), max(raw_size) from sends
    where raw_sha256 > :after group by raw_sha256 order by raw_sha256 limit :pageMax)
  union all
  (select raw_sha256, min(raw_size), max(raw_size) from intake_spool
    where raw_sha256 > :after and state in ('waiting', 'held', 'failed')
    group by raw_sha256 order by raw_sha256 limit :pageMax)
  union all
  (select sha256, min(size), max(size) from attachments
    where sha256 > :after group by sha256 order by sha256 limit :pageMax)) referenced
 group by blob order by blob limit :pageMax`;
