import type { ConnectionId, LinkId } from '../lib/id.ts';
import { newId } from '../lib/id.ts';
import type { ProviderName } from '../provider/providers.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { Mailbox } from './mailboxes.ts';
import { timestamp } from './timestamp.ts';

/** A link to the hosted connect page, with what the page shows of whom it is for. */
export type ConnectLink = {
  id: LinkId;
  subAccountId: string;
  subAccountName: string;
  userId: string;
  userName: string;
  /** Login address in the CRM. */
  userEmail: string;
  /** Null: the person chooses. */
  provider: ProviderName | null;
  returnUrl: string | null;
  /** Another mailbox takes the place of the connected one (C6). */
  replace: boolean;
  status: 'open' | 'expired' | 'used';
  /** The mailbox that the user has connected here now; null: none. */
  current:
    (Pick<Mailbox, 'provider' | 'address' | 'login' | 'servers'> & { connectionId: ConnectionId }) | null;
};

/** What the CRM asks for. */
export type NewConnectLink = Pick<
  ConnectLink,
  'subAccountId' | 'userId' | 'provider' | 'returnUrl' | 'replace'
> & {
  /** SHA-256 of the token. */
  tokenHash: Buffer;
  lifeMs: number;
};

/** How long a link opens the page, ms: it is made when the person presses a button. */
export const connectLinkLifeMs = 30 * 60_000;

/**
 * Links and their consents are forgotten so long after the link ran out: an administrator may take
 * weeks to allow the application, and their page still names whom it was for.
 */
const keptDays = 40;

/** Makes a link; null when the user is no member of the sub-account. Answers when it runs out, RFC 3339. */
export async function insertConnectLink(db: Db, link: NewConnectLink): Promise<string | null> {
  await run(db, `delete from connect_links where expires_at < now() - make_interval(days => :keptDays)`, {
    keptDays,
  });
  const [made] = await rows<{ expiresAt: string }>(
    db,
    `insert into connect_links (id, token_hash, sub_account_id, user_id, provider, return_url, replace, expires_at)
     select :id, :tokenHash, sub_account_id, user_id, :provider, :returnUrl, :replace,
            now() + :lifeMs * interval '1 millisecond'
       from memberships where sub_account_id = :subAccountId and user_id = :userId
     returning ${timestamp('expires_at')} as "expiresAt"`,
    { ...link, id: newId('lnk') },
  );
  return made?.expiresAt ?? null;
}

/** The link behind a token, or by its id; null when there is none. */
export async function findConnectLink(
  db: Db,
  by: { tokenHash: Buffer } | { id: LinkId },
): Promise<ConnectLink | null> {
  const [link] = await rows<ConnectLink>(
    db,
    `${selectLink} where ${'id' in by ? 'l.id = :id' : 'l.token_hash = :tokenHash'}`,
    by,
  );
  return link ?? null;
}

/** Counts one more try on a link; false when it has had `triesMax` of them. */
export async function countTry(db: Db, id: LinkId, triesMax: number): Promise<boolean> {
  const counted = await run(
    db,
    'update connect_links set tries = tries + 1 where id = :id and tries < :triesMax',
    { id, triesMax },
  );
  return counted > 0;
}

/** Uses a link up; false when it was used before. In the transaction of the connection that it leads to. */
export async function useConnectLink(db: Db, id: LinkId): Promise<boolean> {
  return (
    (await run(db, 'update connect_links set used_at = now() where id = :id and used_at is null', { id })) > 0
  );
}

/** A consent that was begun on the page. */
export type Consent = {
  id: string;
  linkId: LinkId;
  provider: ProviderName;
  /** SHA-256 of the cookie of the browser that began it. */
  browserHash: Buffer;
  /** Null once it was redeemed. */
  secretsSealed: string | null;
  /** Milliseconds since it was begun. */
  ageMs: number;
};

/** What the sealed secrets of a consent are bound to. */
export function consentContext(id: string): string {
  return `consents.secrets ${id}`;
}

export async function insertConsent(
  db: Db,
  consent: Omit<Consent, 'secretsSealed' | 'ageMs'> & { secretsSealed: string },
): Promise<void> {
  await run(
    db,
    `insert into consents (id, link_id, provider, browser_hash, secrets_sealed)
     values (:id, :linkId, :provider, :browserHash, :secretsSealed)`,
    consent,
  );
}

export async function findConsent(db: Db, id: string): Promise<Consent | null> {
  const [consent] = await rows<Consent>(
    db,
    `select id, link_id as "linkId", provider, browser_hash as "browserHash", secrets_sealed as "secretsSealed",
            (extract(epoch from now() - created_at) * 1000)::float8 as "ageMs"
       from consents where id = :id`,
    { id },
  );
  return consent ?? null;
}

/** Takes a consent's one use and erases its secrets; false when somebody took it before. */
export async function redeemConsent(db: Db, id: string): Promise<boolean> {
  const redeemed = await run(
    db,
    `update consents set redeemed_at = now(), secrets_sealed = null where id = :id and redeemed_at is null`,
    { id },
  );
  return redeemed > 0;
}

const selectLink = `
select l.id, l.sub_account_id as "subAccountId", s.name as "subAccountName",
       l.user_id as "userId", u.name as "userName", u.email as "userEmail",
       l.provider, l.return_url as "returnUrl", l.replace,
       case when l.used_at is not null then 'used' when l.expires_at <= now() then 'expired' else 'open' end as status,
       (select json_build_object('connectionId', c.id, 'provider', m.provider, 'address', m.address, 'login', m.login, 'servers', m.servers)
          from connections c join mailboxes m on m.id = c.mailbox_id
         where c.sub_account_id = l.sub_account_id and c.user_id = l.user_id and c.ended_at is null) as current
  from connect_links l
  join sub_accounts s on s.id = l.sub_account_id
  join users u on u.id = l.user_id`;
