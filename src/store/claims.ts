import type { MailboxId, ThreadId } from '../lib/id.ts';
import { readPublicContacts } from './contacts.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import { hasItsContact } from './filing-facts.ts';
import { tellUnlinked } from './unlinked.ts';

/**
 * Lets one at a time claim contacts of a mailbox: what is read from now on knows who was quicker. A contact
 * with two addresses could else be claimed by half.
 */
export async function lockClaims(db: Db, mailboxId: MailboxId): Promise<void> {
  await run(db, 'select from mailboxes where id = :mailboxId for no key update', { mailboxId });
}

/** Contacts of a sub-account, with every address of theirs in contact's form. */
export async function readContactAddresses(
  db: Db,
  subAccountId: string,
  contactIds: readonly string[],
): Promise<{ id: string; canonical: string }[]> {
  return rows(
    db,
    `select contact_id as id, canonical from contact_addresses
      where sub_account_id = :subAccountId and contact_id = any(:contactIds)`,
    { subAccountId, contactIds },
  );
}

/** S9: which of these, in contact's form, another sub-account has claimed for a mailbox. */
export async function findClaimedElsewhere(
  db: Db,
  of: { mailboxId: MailboxId; subAccountId: string; canonicals: readonly string[] },
): Promise<Set<string>> {
  const found = await rows<{ canonical: string }>(
    db,
    `select c.contact_canonical as canonical from claims c
      where c.mailbox_id = :mailboxId and c.contact_canonical = any(:canonicals)
        and c.sub_account_id <> :subAccountId and ${hasItsContact}`,
    of,
  );
  return new Set(found.map(({ canonical }) => canonical));
}

/**
 * S9: contacts of a sub-account are its own for a mailbox from now on. The threads that other sub-accounts
 * have with them in this mailbox are unlinked. Each is told. Within the caller's transaction.
 */
export async function claimContacts(
  db: Db,
  claim: { mailboxId: MailboxId; subAccountId: string; contactIds: readonly string[] },
): Promise<void> {
  const { subAccountId } = claim;
  const claimed = await rows<{ contact: string; canonical: string }>(
    db,
    `with wanted as materialized (
       select contact_id, canonical from contact_addresses
        where sub_account_id = :subAccountId and contact_id = any(:contactIds)
     ), made as (
       insert into claims as c (sub_account_id, contact_canonical, mailbox_id)
       select distinct :subAccountId, canonical, :mailboxId from wanted order by 2
       on conflict (mailbox_id, contact_canonical) do update
         set sub_account_id = excluded.sub_account_id, claimed_at = now() where not ${hasItsContact}
       returning contact_canonical
     )
     select w.contact_id as contact, w.canonical from wanted w join made on made.contact_canonical = w.canonical`,
    claim,
  );
  if (claimed.length === 0) return;
  await holdOffFiling(db, claim.mailboxId);
  const contacts = await readPublicContacts(db, subAccountId, [
    ...new Set(claimed.map(({ contact }) => contact)),
  ]);
  await recordEvents(
    db,
    contacts.map((contact) => ({
      type: 'contact.claimed',
      sub_account_id: subAccountId,
      order_keys: [contact.id],
      data: contact,
    })),
  );
  await unlinkElsewhere(db, { ...claim, canonicals: claimed.map(({ canonical }) => canonical) });
}

/**
 * Whoever files mail of the mailbox either has committed, so that what it wrote is found now, or waits, and
 * finds then that it must look again: contacts were claimed, or made.
 */
export async function holdOffFiling(db: Db, mailboxId: MailboxId): Promise<void> {
  await run(db, 'select from folders where mailbox_id = :mailboxId order by id for no key update', {
    mailboxId,
  });
  await run(db, 'update mailboxes set claims_version = claims_version + 1 where id = :mailboxId', {
    mailboxId,
  });
}

async function unlinkElsewhere(
  db: Db,
  of: { mailboxId: MailboxId; subAccountId: string; canonicals: readonly string[] },
): Promise<void> {
  const unlinked = await rows<{ thread: ThreadId; sub: string }>(
    db,
    `with theirs as materialized (
       select l.thread_id from thread_links l
        where l.mailbox_id = :mailboxId and l.sub_account_id <> :subAccountId and l.state = 'live'
          and exists (select from thread_participants p
                       where p.thread_id = l.thread_id and p.canonical = any(:canonicals))
        order by l.thread_id for no key update of l
     ), unlinked as (
       update thread_links l set state = 'unlinked', reason = 'claimed_elsewhere', since = now()
         from theirs where l.thread_id = theirs.thread_id and l.mailbox_id = :mailboxId
       returning l.thread_id, l.sub_account_id
     )
     update threads t set updated_at = now() from unlinked u where t.id = u.thread_id
     returning t.id as thread, t.sub_account_id as sub`,
    of,
  );
  for (const sub of new Set(unlinked.map((row) => row.sub))) {
    await tellUnlinked(
      db,
      sub,
      unlinked.filter((row) => row.sub === sub).map((row) => row.thread),
    );
  }
}

/** A sub-account that is no longer connected to a mailbox has no claims on it. */
export async function endClaims(db: Db, of: { mailboxId: MailboxId; subAccountId: string }): Promise<void> {
  await run(
    db,
    `delete from claims where mailbox_id = :mailboxId and sub_account_id = :subAccountId
        and not exists (select from connections c where c.mailbox_id = :mailboxId
                          and c.sub_account_id = :subAccountId and c.ended_at is null)`,
    of,
  );
}
