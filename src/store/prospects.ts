import { canonicalOwnAddress } from '../message/addresses.ts';
import type { MailboxId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { nowhere, readFilingConnections } from './filing-facts.ts';
import type { FilingConnection } from './filing-facts.ts';
import type { Member } from './lifecycle.ts';
import { accountOf, ofAccount } from './proven-mailboxes.ts';
import type { ProvenMailbox } from './proven-mailboxes.ts';

/** How it would be if a member had connected a mailbox. */
export type Prospect = {
  /** That of nobody where the mailbox is not known yet: see `nowhere`. */
  mailboxId: MailboxId;
  /** The member's own connection, which there is not: its id is that of nobody. */
  own: FilingConnection;
  /** All of the mailbox, `own` among them (C4, S8). */
  connections: FilingConnection[];
};

/** What the rules would need to know of a mailbox that a member is about to connect; null when they are no member. */
export async function readProspect(db: Db, member: Member, mailbox: ProvenMailbox): Promise<Prospect | null> {
  const [found] = await rows<{ own: FilingConnection; mailboxId: MailboxId | null }>(
    db,
    `select json_build_object(
         'id', :connectionId::text, 'subAccountId', b.sub_account_id, 'userId', b.user_id, 'provider', :provider::text,
         'startedAt', 0, 'paused', false, 'settings', s.settings, 'limitsSaid', coalesce(m.limits, '{}'),
         'claimsVersion', coalesce(m.claims_version, 0),
         'neverLogVersions', json_build_array(s.never_log_version, p.never_log_version),
         'hasErased', exists (select from tombstones t where t.sub_account_id = s.id),
         'mailboxAddress', :canonical::text,
         'ownAddresses', array(select canonical from user_addresses u where u.user_id = b.user_id
                               union select :canonical::text order by 1)) as own,
            m.id as "mailboxId"
       from memberships b
       join sub_accounts s on s.id = b.sub_account_id
       join users p on p.id = b.user_id
       left join mailboxes m on ${ofAccount}
      where b.sub_account_id = :subAccountId and b.user_id = :userId`,
    {
      ...member,
      ...accountOf(mailbox),
      canonical: canonicalOwnAddress(mailbox.address),
      connectionId: nowhere.connectionId,
    },
  );
  if (found === undefined) return null;
  const { own, mailboxId } = found;
  const others = mailboxId === null ? [] : await readFilingConnections(db, mailboxId);
  return { mailboxId: mailboxId ?? nowhere.mailboxId, own, connections: [...others, own] };
}
