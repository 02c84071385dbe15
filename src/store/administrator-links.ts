import { createHash, randomBytes } from 'node:crypto';
import type { AdministratorId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** A link that sets the password of an administrator; of nobody: it lets the first administrator in. */
type AdministratorLink = { administratorId: AdministratorId | null };

/** How long a link works. */
export const administratorLinkHours = 24;

/** What is kept of a link that has run out is only that it has: people come back to old tabs. */
const keptDays = 7;

/** Makes a link, in the place of all earlier ones of the same administrator, and answers its path. In a transaction. */
export async function makeAdministratorLink(
  db: Db,
  administratorId: AdministratorId | null,
): Promise<string> {
  await run(
    db,
    'delete from administrator_links where expires_at < now() - make_interval(days => :keptDays)',
    {
      keptDays,
    },
  );
  await run(
    db,
    `update administrator_links set expires_at = now()
      where administrator_id is not distinct from :administratorId and used_at is null and expires_at > now()`,
    { administratorId },
  );
  const token = randomBytes(32).toString('base64url');
  await run(
    db,
    `insert into administrator_links (token_hash, administrator_id, expires_at)
     values (:tokenHash, :administratorId, now() + make_interval(hours => :administratorLinkHours))`,
    { tokenHash: hashOf(token), administratorId, administratorLinkHours },
  );
  return `/admin/welcome/${token}`;
}

export type AdministratorLinkState = 'open' | 'used' | 'expired' | 'unknown';

/** Whether a link can be opened, and whose it is; looking at it uses nothing up. */
export async function findAdministratorLink(
  db: Db,
  token: string,
): Promise<{ state: AdministratorLinkState; email: string | null }> {
  const [link] = await rows<{ state: AdministratorLinkState; email: string | null }>(
    db,
    `select case when used_at is not null then 'used' when expires_at <= now() then 'expired' else 'open' end as state, email
       from administrator_links left join administrators on administrators.id = administrator_id
      where token_hash = :tokenHash`,
    { tokenHash: hashOf(token) },
  );
  return link ?? { state: 'unknown', email: null };
}

/** Uses a link up; null when it cannot be opened, or was opened by somebody in the same moment. */
export async function useAdministratorLink(db: Db, token: string): Promise<AdministratorLink | null> {
  const [link] = await rows<AdministratorLink>(
    db,
    `update administrator_links set used_at = now()
      where token_hash = :tokenHash and used_at is null and expires_at > now()
     returning administrator_id as "administratorId"`,
    { tokenHash: hashOf(token) },
  );
  return link ?? null;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
