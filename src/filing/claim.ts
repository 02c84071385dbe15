import type { MailboxId } from '../lib/id.ts';
import { claimContacts, lockClaims, readContactAddresses } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { readFactRows, readFilingConnections } from '../store/filing-facts.ts';
import type { Ground } from './gather.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import { opensThread } from './rules.ts';

/**
 * S9: whoever answers from the CRM first gets the contacts whose mail S8 puts into several sub-accounts.
 * Within the transaction that stores the answer.
 */
export async function claim(
  tx: Db,
  by: { mailboxId: MailboxId; subAccountId: string; contactIds: readonly string[] },
): Promise<void> {
  const { mailboxId, subAccountId } = by;
  const connections = await readFilingConnections(tx, mailboxId);
  if (connections.every((connection) => connection.subAccountId === subAccountId)) return;
  await lockClaims(tx, mailboxId);
  const named = await readContactAddresses(tx, subAccountId, by.contactIds);
  const keys = factKeysOf(mailboxId, [], connections);
  const rows = await readFactRows(tx, { ...keys, addresses: named.map(({ canonical }) => canonical) });
  const grounds = [...groundsFor(mailboxId, connections, rows).values()];
  const contactIds = named
    .filter(({ canonical }) => isShared(grounds, subAccountId, canonical))
    .map(({ id }) => id);
  if (contactIds.length > 0) await claimContacts(tx, { mailboxId, subAccountId, contactIds });
}

/** Whether mail of an address opens threads here and in another sub-account, by S8. Pure. */
function isShared(grounds: readonly Ground[], subAccountId: string, canonical: string): boolean {
  const reached = grounds
    .filter((ground) => ground.contacts.get(canonical)?.some((contact) => opensThread(ground, contact)))
    .map((ground) => ground.connection.subAccountId);
  return reached.includes(subAccountId) && reached.some((sub) => sub !== subAccountId);
}
