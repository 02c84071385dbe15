import { canonicalAddress, domainOf } from '../message/addresses.ts';
import type { MessageId, ThreadId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { neverLogPattern, patternsOf } from './never-log.ts';

/** Threads whose messages are read at once. */
const threadsAtOnce = 200;

/** Where the list of somebody holds: in a sub-account; of a user's, only for what their mailboxes brought. */
export type NeverLogScope = { subAccountId: string; userId: string | null };

/** Stored messages with somebody on them who falls under a pattern, each with the patterns; portion by portion. */
export async function* neverLogged(
  db: Db,
  scope: NeverLogScope,
  patterns: ReadonlySet<string>,
): AsyncGenerator<{ id: MessageId; patterns: string[] }[]> {
  const threads = await threadsWith(db, scope.subAccountId, [...patterns]);
  for (let from = 0; from < threads.length; from += threadsAtOnce) {
    const ids = threads.slice(from, from + threadsAtOnce);
    const found = await rows<{ id: MessageId; people: { address: string }[] }>(db, messagesSql, {
      ids,
      userId: scope.userId,
    });
    yield found
      .map(({ id, people }) => ({
        id,
        patterns: [...new Set(people.flatMap(({ address }) => patternsOf(address)))].filter((pattern) =>
          patterns.has(pattern),
        ),
      }))
      .filter((message) => message.patterns.length > 0);
  }
}

/** How many stored messages fall under each entry, by its pattern (see neverLogPattern). */
export async function countNeverLogged(
  db: Db,
  entries: readonly string[],
  scopes: readonly NeverLogScope[],
): Promise<Map<string, number>> {
  const counts = new Map(entries.map((entry) => [neverLogPattern(entry), 0]));
  for (const scope of scopes) {
    for await (const messages of neverLogged(db, scope, new Set(counts.keys()))) {
      for (const pattern of messages.flatMap(({ patterns }) => patterns))
        counts.set(pattern, (counts.get(pattern) ?? 0) + 1);
    }
  }
  return counts;
}

/** Threads that may hold such a message: an address has one canonical form, a domain may stand for another. */
async function threadsWith(db: Db, subAccountId: string, patterns: readonly string[]): Promise<ThreadId[]> {
  const domains = patterns.filter((pattern) => pattern.startsWith('@'));
  const found = await rows<{ id: ThreadId }>(
    db,
    `select t.id from (
       select thread_id from thread_participants where canonical = any(:addresses)
       union
       select thread_id from thread_participants where split_part(canonical, '@', -1) = any(:domains)
       union
       select thread_id from messages where sub_account_id = :subAccountId and recipients_bcc <> '[]') named
      cross join lateral (select id, sub_account_id from threads where id = named.thread_id offset 0) t
      where t.sub_account_id = :subAccountId order by t.id`,
    {
      subAccountId,
      addresses: patterns.filter((pattern) => !pattern.startsWith('@')),
      domains: domains.map((domain) => domainOf(canonicalAddress(`x${domain}`))),
    },
  );
  return found.map(({ id }) => id);
}

/** A user's list says nothing of what a mailbox of somebody else brought, too. */
const messagesSql = `
select m.id, m.sender || m.recipients_to || m.recipients_cc || m.recipients_bcc as people
  from messages m
 where m.thread_id = any(:ids)
   and (:userId::text is null or (m.user_id = :userId and not exists (
         select from decisions d join connections c on c.id = d.connection_id
          where d.message_id = m.id and d.outcome = 'stored' and c.user_id <> :userId)))
 order by m.thread_id, m.date, m.id`;

/** The sub-accounts in which a user ever had a mailbox connected, or may log mail; of a key for one, that one alone. */
export async function subAccountsOfUser(db: Db, userId: string, only: string | null): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    `select id from (
       select sub_account_id as id from connections where user_id = :userId
       union
       select sub_account_id from memberships where user_id = :userId) theirs
      where :only::text is null or id = :only order by 1`,
    { userId, only },
  );
  return found.map(({ id }) => id);
}
