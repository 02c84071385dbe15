import { canonicalOwnAddress } from '../message/addresses.ts';
import { rows, run, runLong } from './database.ts';
import type { Db } from './database.ts';
import { addLoggingAddress } from './logging-addresses.ts';
import { timestamp } from './timestamp.ts';

export type User = {
  id: string;
  name: string;
  /** The login address, as written. */
  email: string;
  /** Further addresses that are theirs, as written. */
  aliases: string[];
  createdAt: string;
  updatedAt: string;
};

/** A user in one sub-account. */
export type Member = User & { memberSince: string };

/** Where a user stands, seen from one sub-account. */
export type UserStanding =
  /** A member of this sub-account and of no other. */
  | 'own'
  /** A member of this sub-account and of others. */
  | 'shared'
  /** There, and no member of this sub-account. */
  | 'elsewhere'
  | 'absent';

/** A user; with a sub-account, only when they are a member of it. */
export async function findUser(db: Db, id: string, subAccountId: string | null): Promise<User | undefined> {
  const [row] = await rows<User>(
    db,
    `select ${columns} from users u where u.id = :id and (:subAccountId::text is null or exists (
       select 1 from memberships m where m.sub_account_id = :subAccountId and m.user_id = u.id))`,
    { id, subAccountId },
  );
  return row;
}

/** Locks the user for the rest of the transaction, so that the answer stays true. */
export async function userStanding(db: Db, id: string, subAccountId: string): Promise<UserStanding> {
  const locked = await rows(db, 'select 1 from users where id = :id for update', { id });
  return locked.length === 0 ? 'absent' : findUserStanding(db, { userId: id, subAccountId });
}

/** Where a user that is there stands at this moment. */
export async function findUserStanding(
  db: Db,
  { userId, subAccountId }: { userId: string; subAccountId: string },
): Promise<Exclude<UserStanding, 'absent'>> {
  const members = await rows<{ here: boolean }>(
    db,
    'select sub_account_id = :subAccountId as here from memberships where user_id = :userId',
    { userId, subAccountId },
  );
  if (!members.some((member) => member.here)) return 'elsewhere';
  return members.length === 1 ? 'own' : 'shared';
}

/** Creates or replaces; in a transaction. What is the same already stays untouched, with its time. */
export async function putUser(
  db: Db,
  user: Pick<User, 'id' | 'name' | 'email' | 'aliases'>,
): Promise<{ user: User; created: boolean }> {
  const [row] = await rows<User & { created: boolean }>(
    db,
    `insert into users as u (id, name, email, aliases) values (:id, :name, :email, :aliases)
     on conflict (id) do update set
       name = excluded.name, email = excluded.email, aliases = excluded.aliases,
       updated_at = case when (u.name, u.email, u.aliases) is distinct from
         (excluded.name, excluded.email, excluded.aliases) then now() else u.updated_at end
     returning ${columns}, xmax = 0 as created`,
    user,
  );
  if (row === undefined) throw new Error('a stored user was not returned');
  const { created, ...stored } = row;
  await putAddresses(db, stored);
  return { user: stored, created };
}

/** Takes a user out of everything; in a transaction. Their connections must have been ended before. */
export async function deleteUser(db: Db, id: string): Promise<boolean> {
  // First: whoever assigns a contact to them at this moment holds on to the membership, and is waited for.
  const left = await rows<{ id: string }>(
    db,
    'delete from memberships where user_id = :id returning sub_account_id as id',
    { id },
  );
  await runLong(
    db,
    `update contacts set assigned_user_id = null, updated_at = now()
     where assigned_user_id = :id and sub_account_id = any(:left)`,
    { id, left: left.map((membership) => membership.id) },
  );
  return (await runLong(db, 'delete from users where id = :id', { id })) > 0;
}

/** Makes a user a member, with a logging address of their own (B1); null when there is no such user. In a transaction. */
export async function joinSubAccount(
  db: Db,
  membership: { subAccountId: string; userId: string },
): Promise<{ created: boolean } | null> {
  const user = await rows(db, 'select 1 from users where id = :userId for key share', membership);
  if (user.length === 0) return null;
  const created = await run(
    db,
    `insert into memberships (sub_account_id, user_id) values (:subAccountId, :userId) on conflict do nothing`,
    membership,
  );
  if (created > 0) await addLoggingAddress(db, membership);
  return { created: created > 0 };
}

/**
 * Ends a membership, and the assignments of the sub-account's contacts to that user; in a
 * transaction. Their connection there must have been ended before. False when they were no member.
 */
export async function leaveSubAccount(
  db: Db,
  membership: { subAccountId: string; userId: string },
): Promise<boolean> {
  const ended = await run(
    db,
    'delete from memberships where sub_account_id = :subAccountId and user_id = :userId',
    membership,
  );
  if (ended === 0) return false;
  await runLong(
    db,
    `update contacts set assigned_user_id = null, updated_at = now()
     where sub_account_id = :subAccountId and assigned_user_id = :userId`,
    membership,
  );
  return true;
}

export async function findMember(
  db: Db,
  membership: { subAccountId: string; userId: string },
): Promise<Member | undefined> {
  const [row] = await rows<Member>(
    db,
    `${selectMembers} where m.sub_account_id = :subAccountId and m.user_id = :userId`,
    membership,
  );
  return row;
}

/** Members by user id, after `after`. */
export function listMembers(
  db: Db,
  page: { subAccountId: string; after: string; limit: number },
): Promise<Member[]> {
  return rows<Member>(
    db,
    `${selectMembers} where m.sub_account_id = :subAccountId and m.user_id > :after
     order by m.user_id limit :limit`,
    page,
  );
}

const columns = `u.id, u.name, u.email, u.aliases,
  ${timestamp('u.created_at')} as "createdAt", ${timestamp('u.updated_at')} as "updatedAt"`;

const selectMembers = `select ${columns}, ${timestamp('m.created_at')} as "memberSince"
  from memberships m join users u on u.id = m.user_id`;

/** The addresses by which a user is recognised (S7). Those of their mailboxes are kept by the connections. */
async function putAddresses(db: Db, user: User): Promise<void> {
  const wanted = {
    userId: user.id,
    login: canonicalOwnAddress(user.email),
    aliases: [...new Set(user.aliases.map(canonicalOwnAddress))],
  };
  await run(
    db,
    `delete from user_addresses where user_id = :userId and (
       kind = 'login' and canonical <> :login or kind = 'alias' and canonical <> all(:aliases))`,
    wanted,
  );
  await run(
    db,
    `insert into user_addresses (user_id, kind, canonical)
     select :userId, 'login', :login union all select :userId, 'alias', unnest(:aliases::text[])
     on conflict do nothing`,
    wanted,
  );
}
