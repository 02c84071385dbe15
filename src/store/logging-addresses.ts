import { randomBytes } from 'node:crypto';
import { newId } from '../lib/id.ts';
import type { LoggingAddressId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** A member's logging addresses (B1), without their domain. */
export type LoggingAddresses = {
  localPart: string;
  createdAt: string;
  /** Replaced ones that still count, the newest first. */
  replaced: { localPart: string; expiresAt: string }[];
};

/** Whose a logging address is. */
export type LoggingOwner = {
  id: LoggingAddressId;
  subAccountId: string;
  userId: string;
  /** Own form: all addresses of the user, and of the mailboxes that they connected. */
  ownAddresses: ReadonlySet<string>;
};

/** Digits and small letters without i, l, o and u, which are misread or spell words: 5 bits for each. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const randomBits = 80;

/** `log-` and 80 random bits: nobody finds one by trying. */
function newLocalPart(): string {
  const letters = randomBytes(randomBits / 5);
  return `log-${Array.from(letters, (byte) => alphabet[byte % alphabet.length]).join('')}`;
}

type Member = { subAccountId: string; userId: string };

/** Gives a member a logging address if they have none. */
export async function addLoggingAddress(db: Db, member: Member): Promise<void> {
  await run(
    db,
    `insert into logging_addresses (id, sub_account_id, user_id, local_part)
     values (:id, :subAccountId, :userId, :localPart)
     on conflict (sub_account_id, user_id) where expires_at is null do nothing`,
    { ...member, id: newId('lad'), localPart: newLocalPart() },
  );
}

/** A member's logging addresses; null when they are no member. */
export async function findLoggingAddresses(db: Db, member: Member): Promise<LoggingAddresses | null> {
  const found = await rows<{ localPart: string; createdAt: string; expiresAt: string | null }>(
    db,
    `select local_part as "localPart", ${timestamp('created_at')} as "createdAt",
            ${timestamp('expires_at')} as "expiresAt"
       from logging_addresses
      where sub_account_id = :subAccountId and user_id = :userId and coalesce(expires_at > now(), true)
      order by expires_at desc nulls first`,
    member,
  );
  const inUse = found.find(({ expiresAt }) => expiresAt === null);
  if (inUse === undefined) return null;
  const replaced = found.flatMap(({ localPart, expiresAt }) =>
    expiresAt === null ? [] : [{ localPart, expiresAt }],
  );
  return { localPart: inUse.localPart, createdAt: inUse.createdAt, replaced };
}

/** How long a replaced one counts: what a person needs to change it on every device and in every rule of theirs. */
export const overlapDaysDefault = 30;

/**
 * Gives a member a new logging address; the one before counts for another `overlapDays`, 0: no longer. In a
 * transaction. False when they are no member.
 */
export async function replaceLoggingAddress(db: Db, member: Member, overlapDays: number): Promise<boolean> {
  // Of two at the same moment, the later one finds the address that the other has made.
  await run(
    db,
    `select from memberships where sub_account_id = :subAccountId and user_id = :userId for no key update`,
    member,
  );
  const ended = await run(
    db,
    `update logging_addresses set expires_at = now() + :overlapDays * interval '1 day'
      where sub_account_id = :subAccountId and user_id = :userId and expires_at is null`,
    { ...member, overlapDays },
  );
  if (ended === 0) return false;
  await addLoggingAddress(db, member);
  return true;
}

/** Whose these are, by what is before the @ in lower case and without a +tag; one that is unknown or has expired is missing. */
export async function findLoggingOwners(
  db: Db,
  localParts: readonly string[],
): Promise<Map<string, LoggingOwner>> {
  if (localParts.length === 0) return new Map();
  const found = await rows<Omit<LoggingOwner, 'ownAddresses'> & { localPart: string; own: string[] }>(
    db,
    `select l.local_part as "localPart", l.id, l.sub_account_id as "subAccountId", l.user_id as "userId",
            ${ownAddressesOf('l.user_id')} as own
       from logging_addresses l
      where l.local_part = any(:localParts) and coalesce(l.expires_at > now(), true)`,
    { localParts },
  );
  return new Map(
    found.map(({ localPart, own, ...owner }) => [localPart, { ...owner, ownAddresses: new Set(own) }]),
  );
}

/** SQL: every address that counts as a user's, in own form. Those of connected mailboxes are among them. */
const ownAddressesOf = (userId: string) =>
  `array(select a.canonical from user_addresses a where a.user_id = ${userId} order by 1)`;
