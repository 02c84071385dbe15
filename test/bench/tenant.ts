import { newId } from '../../src/lib/id.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { canonicalOwnAddress } from '../../src/message/addresses.ts';
import { run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';

const portionMax = 20_000;

/** The sub-account of the bench, its user Ann, and so many contacts. */
export async function addTenant(db: Db, contacts: number): Promise<void> {
  await run(db, `insert into sub_accounts (id, name) values ('bench', 'Bench')`);
  // A million rows in one statement would take longer than any may.
  for (let first = 0; first < contacts; first += portionMax) {
    const portion = { first, last: Math.min(first + portionMax, contacts) - 1 };
    await run(
      db,
      `insert into contacts (sub_account_id, id, name)
       select 'bench', 'c' || n, 'Contact ' || n from generate_series(:first::int, :last::int) n`,
      portion,
    );
    await run(
      db,
      `insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
       select 'bench', 'c' || n, 0, a, a
         from generate_series(:first::int, :last::int) n, lateral (select 'contact-' || n || '@customer.example' as a) one`,
      portion,
    );
  }
  await run(db, 'analyze');
}

/** The user whose mailbox has this address, where each has a user of its own. */
export function userOf(address: string): string {
  return address.replace('@', '.');
}

/** A mailbox that is connected for a user of its own, since long before its first message. */
export async function addMailbox(db: Db, address: string, userId = address): Promise<MailboxId> {
  const id = newId('mbx');
  const canonical = canonicalOwnAddress(address);
  await run(db, `insert into users (id, name, email) values (:userId, 'Ann', :address)`, {
    userId,
    address,
  });
  await run(db, `insert into memberships (sub_account_id, user_id) values ('bench', :userId)`, { userId });
  await run(
    db,
    `insert into user_addresses (user_id, kind, canonical) values (:userId, 'mailbox', :canonical)`,
    { userId, canonical },
  );
  await run(
    db,
    `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state)
     values (:id, 'imap', :address, :canonical, :address, 'password', 'not used', 'catching_up')`,
    { id, address, canonical },
  );
  await run(
    db,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state, started_at)
     values (:connection, 'bench', :userId, :id, 'imap', 'catching_up', '2000-01-01')`,
    { connection: newId('con'), userId, id },
  );
  return id;
}

/** The mailboxes idle-1@bench.test and so on, each connected for a user of its own. */
export async function addMailboxes(db: Db, count: number): Promise<void> {
  const numbered = `from generate_series(1, :count::int) n, lateral (select 'idle-' || n || '@bench.test' as address) a`;
  for (const statement of [
    `insert into users (id, name, email) select 'u' || n, 'Ann', address`,
    `insert into memberships (sub_account_id, user_id) select 'bench', 'u' || n`,
    `insert into user_addresses (user_id, kind, canonical) select 'u' || n, 'mailbox', address`,
    `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state)
     select 'mbx_' || n, 'imap', address, address, address, 'password', 'not used', 'catching_up'`,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state, started_at)
     select 'con_' || n, 'bench', 'u' || n, 'mbx_' || n, 'imap', 'catching_up', '2000-01-01'`,
  ])
    await run(db, `${statement} ${numbered}`, { count });
  await run(db, 'analyze');
}
