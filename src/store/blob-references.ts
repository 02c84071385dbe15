import { rows } from './database.ts';
import type { Db } from './database.ts';

/** Which of these blobs no message, attachment, send or mail that waits to be filed refers to. */
export async function findUnreferencedBlobs(db: Db, names: readonly string[]): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `select asked.name from unnest(:names::text[]) as asked (name)
      where not exists (select from messages m where m.raw_sha256 = asked.name)
        and not exists (select from attachments a where a.sha256 = asked.name)
        and not exists (select from intake_spool i where i.raw_sha256 = asked.name
                          and i.state in ('waiting', 'held', 'failed'))
        and not exists (select from sends s where s.raw_sha256 = asked.name)`,
    { names },
  );
  return found.map(({ name }) => name);
}
