import { newId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** A link that opens a person's own pages, once. */
export type MailboxLink = { subAccountId: string; userId: string; returnUrl: string | null };

/** What is kept of a link that has run out is only that it has: people come back to old tabs. */
const keptDays = 7;

/** Makes a link; null when the user is no member of the sub-account. Answers when it runs out, RFC 3339. */
export async function insertMailboxLink(
  db: Db,
  link: MailboxLink & { tokenHash: Buffer; lifeMs: number },
): Promise<string | null> {
  await run(db, `delete from mailbox_links where expires_at < now() - make_interval(days => :keptDays)`, {
    keptDays,
  });
  const [made] = await rows<{ expiresAt: string }>(
    db,
    `insert into mailbox_links (id, token_hash, sub_account_id, user_id, return_url, expires_at)
     select :id, :tokenHash, sub_account_id, user_id, :returnUrl, now() + :lifeMs * interval '1 millisecond'
       from memberships where sub_account_id = :subAccountId and user_id = :userId
     returning ${timestamp('expires_at')} as "expiresAt"`,
    { ...link, id: newId('mln') },
  );
  return made?.expiresAt ?? null;
}

/** A link as it is looked at: whether it can be opened, and for whom. */
export type SeenMailboxLink = Omit<MailboxLink, 'returnUrl'> & { state: 'open' | 'used' | 'expired' };

/** Looking at a link uses nothing up; null: there is none, or none any more. */
export async function findMailboxLink(db: Db, tokenHash: Buffer): Promise<SeenMailboxLink | null> {
  const [link] = await rows<SeenMailboxLink>(
    db,
    `select sub_account_id as "subAccountId", user_id as "userId",
            case when used_at is not null then 'used' when expires_at < now() then 'expired' else 'open' end as state
       from mailbox_links where token_hash = :tokenHash`,
    { tokenHash },
  );
  return link ?? null;
}

/** Uses a link up; null when it cannot be opened, or was opened by somebody in the same moment. */
export async function useMailboxLink(db: Db, tokenHash: Buffer): Promise<MailboxLink | null> {
  const [link] = await rows<MailboxLink>(
    db,
    `update mailbox_links set used_at = now()
      where token_hash = :tokenHash and used_at is null and expires_at > now()
     returning sub_account_id as "subAccountId", user_id as "userId", return_url as "returnUrl"`,
    { tokenHash },
  );
  return link ?? null;
}
