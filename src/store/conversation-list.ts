import type { ConversationId } from '../lib/id.ts';
import { canonicalAddress } from '../message/addresses.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/* What the administrators' pages ask of conversations, besides what the API shows. */

/** A conversation in the list: whose it is, and its newest message. */
export type ListedConversation = {
  id: ConversationId;
  sub_account_id: string;
  contact: { id: string; name: string; address: string | null };
  updated_at: string;
  /** Null while it has no message. */
  last: { subject: string; text: string; date: string; direction: 'inbound' | 'outbound' } | null;
};

export type ConversationFilter = {
  subAccountId: string | null;
  /** The beginning of an address, of the name, or of the id of a contact. */
  search: string | null;
};

/** How many contacts of one sub-account a search looks at by each of the three, and in all. */
const foundMax = 200;
const foundInAllMax = 2_000;
/** Characters of the newest message. */
const snippetMax = 200;

/** Conversations, the last changed first; `after` is the last one of the page before. */
export async function listConversationsOfAll(
  db: Db,
  filter: ConversationFilter,
  page: { after: { updatedAt: string; id: ConversationId } | null; limit: number },
): Promise<ListedConversation[]> {
  const { subAccountId, search } = filter;
  const { after, limit } = page;
  const conditions = [
    ...(subAccountId === null ? [] : ['c.sub_account_id = :subAccountId']),
    ...(after === null ? [] : ['(c.updated_at, c.id) < (:updatedAt::timestamptz, :id)']),
  ];
  const found = await rows<{ conversation: ListedConversation }>(
    db,
    `select json_build_object(
        'id', c.id, 'sub_account_id', c.sub_account_id, 'updated_at', ${timestamp('c.updated_at')},
        'contact', json_build_object('id', k.id, 'name', k.name, 'address', (
          select a.address from contact_addresses a where a.sub_account_id = k.sub_account_id and a.contact_id = k.id
           order by a.position limit 1)),
        'last', (
          select json_build_object('subject', m.subject, 'text', left(m.reply_text, ${snippetMax}),
                   'date', ${timestamp('m.date')}, 'direction', m.direction)
            from conversation_threads t cross join lateral (
              select * from messages where thread_id = t.thread_id order by date desc, id desc limit 1) m
           where t.conversation_id = c.id order by m.date desc, m.id desc limit 1)) as conversation
       from (
         select c.* from ${search === null ? 'conversations c' : conversationsFound}
          where ${['true', ...conditions].join(' and ')}
          order by c.updated_at desc, c.id desc limit :limit) c
      -- One by one: as a join it was planned as a reading of every contact there is.
      cross join lateral (
        select * from contacts where sub_account_id = c.sub_account_id and id = c.contact_id offset 0) k
      order by c.updated_at desc, c.id desc`,
    {
      subAccountId,
      ...(search === null ? {} : prefixesOf(search)),
      foundMax,
      foundInAllMax,
      updatedAt: after?.updatedAt ?? null,
      id: after?.id ?? null,
      limit,
    },
  );
  return found.map(({ conversation }) => conversation);
}

/** Behind everything that begins with a text, in "C" collation. */
const end = '\u{10ffff}';

function prefixesOf(search: string) {
  const address = search.includes('@') ? canonicalAddress(search) : search.toLowerCase();
  const name = search.toLowerCase();
  return {
    search,
    searchEnd: `${search}${end}`,
    name,
    nameEnd: `${name}${end}`,
    address,
    addressEnd: `${address}${end}`,
  };
}

/** By contact, in each sub-account by itself, which has its own contacts. */
const conversationsFound = `(
  select s.id as sub_account_id, f.contact_id from sub_accounts s cross join lateral (
      (select id as contact_id from contacts where sub_account_id = s.id and id >= :search and id < :searchEnd limit :foundMax)
      union
      (select id from contacts where sub_account_id = s.id
          and (lower(name) collate "C") >= :name and (lower(name) collate "C") < :nameEnd limit :foundMax)
      union
      (select contact_id from contact_addresses where sub_account_id = s.id
          and canonical >= :address and canonical < :addressEnd limit :foundMax)) f
   where :subAccountId::text is null or s.id = :subAccountId
   limit :foundInAllMax) found
  cross join lateral (
    select * from conversations where sub_account_id = found.sub_account_id and contact_id = found.contact_id offset 0) c`;

/** A conversation and its contact, whatever its sub-account; null when there is none of that id. */
export async function findConversation(
  db: Db,
  id: ConversationId,
): Promise<{ subAccountId: string; contact: { id: string; name: string; addresses: string[] } } | null> {
  const [row] = await rows<{
    subAccountId: string;
    contact: { id: string; name: string; addresses: string[] };
  }>(
    db,
    `select c.sub_account_id as "subAccountId", json_build_object('id', k.id, 'name', k.name, 'addresses', (
              select coalesce(json_agg(a.address order by a.position), '[]') from contact_addresses a
               where a.sub_account_id = k.sub_account_id and a.contact_id = k.id)) as contact
       from conversations c join contacts k on k.sub_account_id = c.sub_account_id and k.id = c.contact_id
      where c.id = :id`,
    { id },
  );
  return row ?? null;
}
