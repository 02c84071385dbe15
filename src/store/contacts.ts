import { canonicalAddress } from '../message/addresses.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { shareContacts } from './made-contacts.ts';
import { timestamp } from './timestamp.ts';

export type Contact = {
  id: string;
  name: string;
  /** As written; the first is the main one. */
  emails: string[];
  assignedUserId: string | null;
  createdBy: 'crm' | 'logging_address';
  createdAt: string;
  updatedAt: string;
};

/** A contact as events show it. */
export type PublicContact = {
  /** The gateway's own (`cct_…`) until the CRM gives one. */
  id: string;
  sub_account_id: string;
  name: string;
  emails: string[];
  /** Null: nobody. */
  assigned_user_id: string | null;
  created_by: 'crm' | 'logging_address';
};

/** A contact as the CRM wants it to be. */
export type ContactInput = Pick<Contact, 'id' | 'name' | 'emails' | 'assignedUserId'>;

export type PutOutcome = 'created' | 'updated' | 'unchanged' | 'unknown_user';

export async function findContact(db: Db, subAccountId: string, id: string): Promise<Contact | undefined> {
  const [row] = await rows<Contact>(
    db,
    `select ${columns} from contacts c where c.sub_account_id = :subAccountId and c.id = :id`,
    { subAccountId, id },
  );
  return row;
}

/** Contacts as events show them. */
export function readPublicContacts(
  db: Db,
  subAccountId: string,
  ids: readonly string[],
): Promise<PublicContact[]> {
  return rows<PublicContact>(
    db,
    `select c.id, c.sub_account_id, c.name, ${emailsOf} as emails, c.assigned_user_id, c.created_by
       from contacts c where c.sub_account_id = :subAccountId and c.id = any(:ids) order by c.id`,
    { subAccountId, ids },
  );
}

/** Contacts by id, after `after`; with an address, those that have it in its canonical form. */
export function listContacts(
  db: Db,
  page: { subAccountId: string; email: string | undefined; after: string; limit: number },
): Promise<Contact[]> {
  // By the address first, whatever a plan made for an empty table thinks (see rowsById).
  const from =
    page.email === undefined
      ? 'contacts c'
      : `(select contact_id as id from contact_addresses
           where sub_account_id = :subAccountId and canonical = :canonical offset 0) named
         cross join lateral (
           select * from contacts where sub_account_id = :subAccountId and id = named.id offset 0) c`;
  return rows<Contact>(
    db,
    `select ${columns} from ${from}
     where c.sub_account_id = :subAccountId and c.id > :after
     order by c.id limit :limit`,
    { ...page, canonical: canonicalAddress(page.email ?? '') },
  );
}

/**
 * Deletes a contact with its conversation, and the threads that no other contact's conversation
 * shows; in a transaction. False when there is none.
 */
export async function deleteContact(db: Db, subAccountId: string, id: string): Promise<boolean> {
  // One after the other: of two that share a thread each would see the other's conversation still, and leave it.
  await run(db, 'select from sub_accounts where id = :subAccountId for no key update', { subAccountId });
  // Whoever files in a thread locks it before the conversation, and may have added to either.
  const locked = await ownThreads(db, subAccountId, id);
  await run(db, 'select from threads where id = any(:locked) order by id for update', { locked });
  const ids = await ownThreads(db, subAccountId, id);
  const deleted = await run(db, 'delete from contacts where sub_account_id = :subAccountId and id = :id', {
    subAccountId,
    id,
  });
  await run(db, 'delete from messages where thread_id = any(:ids)', { ids });
  await run(db, 'delete from threads where id = any(:ids)', { ids });
  return deleted > 0;
}

/** The threads that only this contact's conversation shows. */
async function ownThreads(db: Db, subAccountId: string, contactId: string): Promise<string[]> {
  const threads = await rows<{ id: string }>(
    db,
    `select t.thread_id as id from conversations v join conversation_threads t on t.conversation_id = v.id
     where v.sub_account_id = :subAccountId and v.contact_id = :contactId and not exists (
       select 1 from conversation_threads o where o.thread_id = t.thread_id and o.conversation_id <> v.id)`,
    { subAccountId, contactId },
  );
  return threads.map((thread) => thread.id);
}

/**
 * Creates or replaces contacts, set by set; in a transaction. Answers with an outcome for each, in
 * their order, or null when there is no such sub-account. A contact that stays as it was is not
 * touched. One whose assigned user is no member changes nothing. Of two with the same id the later
 * counts and the earlier is `unchanged`.
 *
 * A contact that the gateway made and the CRM has not named yet is taken over by the first one here
 * that has one of its addresses: it gets that id and keeps its conversation. Where that contact is
 * there already, the two become one.
 */
export async function putContacts(
  db: Db,
  subAccountId: string,
  inputs: readonly ContactInput[],
): Promise<PutOutcome[] | null> {
  await shareContacts(db, subAccountId);
  const [subAccount] = await rows<{ awaiting: boolean }>(
    db,
    `select exists (select 1 from contacts where sub_account_id = :subAccountId and awaits_crm_id) as awaiting
     from sub_accounts where id = :subAccountId for key share`,
    { subAccountId },
  );
  if (subAccount === undefined) return null;
  const members = await membersAmong(db, subAccountId, inputs);
  const known = (input: ContactInput) => input.assignedUserId === null || members.has(input.assignedUserId);
  const wanted = new Map<string, Wanted>();
  for (const input of inputs) if (known(input)) wanted.set(input.id, withCanonical(input));
  // One order for every writer: two imports that overlap wait for each other and never deadlock.
  const sorted = [...wanted.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const stored = await storedAmong(db, subAccountId, sorted);
  const absorbed = subAccount.awaiting ? await takeOver(db, subAccountId, sorted, stored) : [];
  const changed = sorted.filter((contact) => !isStored(contact, stored.get(contact.id)));
  await writeContacts(db, subAccountId, changed);
  for (const { from, into } of absorbed) await mergeContact(db, { subAccountId, from, into });
  const changedIds = new Set(changed.map((contact) => contact.id));
  return inputs.map((input) => {
    if (!known(input)) return 'unknown_user';
    if (wanted.get(input.id)?.input !== input || !changedIds.has(input.id)) return 'unchanged';
    return stored.has(input.id) ? 'updated' : 'created';
  });
}

const emailsOf = `array(select a.address from contact_addresses a
    where a.sub_account_id = c.sub_account_id and a.contact_id = c.id order by a.position)`;

const columns = `c.id, c.name, c.assigned_user_id as "assignedUserId", c.created_by as "createdBy",
  ${emailsOf} as emails,
  ${timestamp('c.created_at')} as "createdAt", ${timestamp('c.updated_at')} as "updatedAt"`;

/** An input, its addresses without repetitions (in the canonical form) and beside that form. */
type Wanted = {
  id: string;
  name: string;
  assignedUserId: string | null;
  emails: string[];
  canonicals: string[];
  input: ContactInput;
};

function withCanonical(input: ContactInput): Wanted {
  const emails = new Map<string, string>();
  for (const email of input.emails) {
    const canonical = canonicalAddress(email);
    if (!emails.has(canonical)) emails.set(canonical, email);
  }
  const { id, name, assignedUserId } = input;
  return { id, name, assignedUserId, emails: [...emails.values()], canonicals: [...emails.keys()], input };
}

async function membersAmong(
  db: Db,
  subAccountId: string,
  inputs: readonly ContactInput[],
): Promise<Set<string>> {
  const userIds = [...new Set(inputs.flatMap((input) => input.assignedUserId ?? []))];
  if (userIds.length === 0) return new Set();
  const members = await rows<{ id: string }>(
    db,
    `select user_id as id from memberships
     where sub_account_id = :subAccountId and user_id = any(:userIds) order by user_id for key share`,
    { subAccountId, userIds },
  );
  return new Set(members.map((member) => member.id));
}

type Stored = {
  id: string;
  name: string;
  assignedUserId: string | null;
  awaitsCrmId: boolean;
  emails: string[];
};

const storedColumns = `c.id, c.name, c.assigned_user_id as "assignedUserId", c.awaits_crm_id as "awaitsCrmId",
  array(select a.address from contact_addresses a
    where a.sub_account_id = c.sub_account_id and a.contact_id = c.id order by a.position) as emails`;

/** Without a lock: what another writer changes meanwhile is overwritten, as if it had come first. */
async function storedAmong(
  db: Db,
  subAccountId: string,
  sorted: readonly Wanted[],
): Promise<Map<string, Stored>> {
  const found = await rows<Stored>(
    db,
    `select ${storedColumns} from contacts c where c.sub_account_id = :subAccountId and c.id = any(:ids)`,
    { subAccountId, ids: sorted.map((contact) => contact.id) },
  );
  return new Map(found.map((contact) => [contact.id, contact]));
}

/**
 * Gives the contacts that were made here, and have an address of a wanted one, to it: renamed where
 * it is not there yet (`stored` then has it), else returned, to be merged once it is written.
 */
async function takeOver(
  db: Db,
  subAccountId: string,
  sorted: readonly Wanted[],
  stored: Map<string, Stored>,
): Promise<{ from: string; into: string }[]> {
  const made = await rows<Stored & { canonicals: string[] }>(
    db,
    `select ${storedColumns}, array(select a.canonical from contact_addresses a
       where a.sub_account_id = c.sub_account_id and a.contact_id = c.id) as canonicals
     from contacts c
     where c.sub_account_id = :subAccountId and c.awaits_crm_id and c.id in (
       select contact_id from contact_addresses
       where sub_account_id = :subAccountId and canonical = any(:canonicals))
     order by c.id for update`,
    { subAccountId, canonicals: sorted.flatMap((contact) => contact.canonicals) },
  );
  const named = new Set(sorted.map((contact) => contact.id));
  const absorbed: { from: string; into: string }[] = [];
  for (const contact of made) {
    // The CRM took the gateway's own id for its own: it is named, and nobody else takes it over.
    if (named.has(contact.id)) continue;
    const into = sorted.find((other) => contact.canonicals.some((form) => other.canonicals.includes(form)));
    if (into === undefined) continue;
    if (stored.has(into.id)) {
      absorbed.push({ from: contact.id, into: into.id });
      continue;
    }
    await run(db, `update contacts set id = :into where sub_account_id = :subAccountId and id = :from`, {
      subAccountId,
      from: contact.id,
      into: into.id,
    });
    stored.set(into.id, contact);
  }
  return absorbed;
}

function isStored(wanted: Wanted, stored: Stored | undefined): boolean {
  return (
    stored !== undefined &&
    !stored.awaitsCrmId &&
    wanted.name === stored.name &&
    wanted.assignedUserId === stored.assignedUserId &&
    wanted.emails.length === stored.emails.length &&
    wanted.emails.every((email, position) => email === stored.emails[position])
  );
}

async function writeContacts(db: Db, subAccountId: string, contacts: readonly Wanted[]): Promise<void> {
  if (contacts.length === 0) return;
  const written = await rows<{ id: string; replaced: boolean }>(
    db,
    `insert into contacts (sub_account_id, id, name, assigned_user_id)
     select :subAccountId, * from unnest(:ids::text[], :names::text[], :assignedUserIds::text[])
     on conflict (sub_account_id, id) do update set name = excluded.name,
       assigned_user_id = excluded.assigned_user_id, awaits_crm_id = false, updated_at = now()
     returning id, xmax <> 0 as replaced`,
    {
      subAccountId,
      ids: contacts.map((contact) => contact.id),
      names: contacts.map((contact) => contact.name),
      assignedUserIds: contacts.map((contact) => contact.assignedUserId),
    },
  );
  const replaced = written.filter((row) => row.replaced).map((row) => row.id);
  if (replaced.length > 0) {
    await run(
      db,
      'delete from contact_addresses where sub_account_id = :subAccountId and contact_id = any(:replaced)',
      { subAccountId, replaced },
    );
  }
  await writeAddresses(db, subAccountId, contacts);
}

async function writeAddresses(db: Db, subAccountId: string, contacts: readonly Wanted[]): Promise<void> {
  const addresses = contacts.flatMap((contact) =>
    contact.emails.map((address, position) => ({
      contactId: contact.id,
      position,
      address,
      canonical: contact.canonicals[position] ?? '',
    })),
  );
  await run(
    db,
    `insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
     select :subAccountId, * from unnest(:contactIds::text[], :positions::int[], :addresses::text[], :canonicals::text[])`,
    {
      subAccountId,
      contactIds: addresses.map((row) => row.contactId),
      positions: addresses.map((row) => row.position),
      addresses: addresses.map((row) => row.address),
      canonicals: addresses.map((row) => row.canonical),
    },
  );
}

/** Moves the conversation of one contact to another, or its threads where that has a conversation, and deletes it. */
async function mergeContact(
  db: Db,
  merge: { subAccountId: string; from: string; into: string },
): Promise<void> {
  const moved = await run(
    db,
    `update conversations v set contact_id = :into, updated_at = now()
     where sub_account_id = :subAccountId and contact_id = :from and not exists (
       select 1 from conversations o where o.sub_account_id = :subAccountId and o.contact_id = :into)`,
    merge,
  );
  if (moved === 0) {
    await run(
      db,
      `with f as (select id, last_message_at from conversations
           where sub_account_id = :subAccountId and contact_id = :from),
         i as (update conversations v set updated_at = now(),
             last_message_at = greatest(v.last_message_at, f.last_message_at)
           from f where v.sub_account_id = :subAccountId and v.contact_id = :into returning v.id)
       insert into conversation_threads (conversation_id, thread_id)
       select i.id, t.thread_id from i, f join conversation_threads t on t.conversation_id = f.id
       on conflict do nothing`,
      merge,
    );
  }
  await run(db, 'delete from contacts where sub_account_id = :subAccountId and id = :from', merge);
}

/** The addresses of a contact, as written; none when there is no such contact. */
export async function findContactAddresses(
  db: Db,
  of: { subAccountId: string; contactId: string },
): Promise<string[]> {
  const found = await rows<{ address: string }>(
    db,
    `select address from contact_addresses where sub_account_id = :subAccountId and contact_id = :contactId
      order by position`,
    of,
  );
  return found.map((row) => row.address);
}
