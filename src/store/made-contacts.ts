import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { FiledMeanwhile } from './filing-writes.ts';

/** A contact that a mail to a logging address makes (B2). */
export type MadeContact = {
  /** `cct_…`, until the CRM gives it an id of its own. */
  id: string;
  sub_account_id: string;
  name: string;
  /** As written, and in contact's form. */
  address: string;
  canonical: string;
  assigned_user_id: string;
};

/** Lets nobody else make or put contacts of a sub-account until the transaction ends. */
const lockSql = `select pg_advisory_xact_lock(hashtextextended('contacts of ' || :subAccountId, 0))`;

/** Waits for whoever makes contacts at this moment, and lets others put theirs beside this one. */
export async function shareContacts(db: Db, subAccountId: string): Promise<void> {
  await run(db, `select pg_advisory_xact_lock_shared(hashtextextended('contacts of ' || :subAccountId, 0))`, {
    subAccountId,
  });
}

/**
 * Makes contacts of one sub-account, in a transaction. No index keeps two contacts from having one address, which
 * the CRM may want; so that two mails, or a mail and the CRM, never make two of one person, one at a time does.
 * Throws FiledMeanwhile where somebody has that address by now.
 */
export async function makeContacts(db: Db, contacts: readonly MadeContact[]): Promise<void> {
  const [first] = contacts;
  if (first === undefined) return;
  await run(db, lockSql, { subAccountId: first.sub_account_id });
  const [known] = await rows(
    db,
    `select 1 from contact_addresses
      where sub_account_id = :subAccountId and canonical = any(:canonicals) limit 1`,
    { subAccountId: first.sub_account_id, canonicals: contacts.map(({ canonical }) => canonical) },
  );
  if (known !== undefined) throw new FiledMeanwhile('somebody else has made a contact of that address');
  await run(
    db,
    `with made as materialized (
       select * from json_to_recordset(:contacts::json) as c(
         id text, sub_account_id text, name text, address text, canonical text, assigned_user_id text)
     ), contact as (
       insert into contacts (sub_account_id, id, name, assigned_user_id, created_by, awaits_crm_id)
       select sub_account_id, id, name, assigned_user_id, 'logging_address', true from made
     )
     insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
     select sub_account_id, id, 0, address, canonical from made`,
    { contacts: jsonText(contacts) },
  );
}
