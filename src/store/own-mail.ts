import type { ConnectionId, DecisionId, MessageId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { decisionObject } from './decisions.ts';
import type { Decision } from './decisions.ts';
import type { PublicAddress } from './public-message.ts';
import type { SendState } from './public-send.ts';
import type { HeldReading } from './spool.ts';
import { timestamp } from './timestamp.ts';

/*
 * What is stored of the mail of one person in one sub-account, for that person's eyes (T1): what came through their
 * connections, what they logged, what the CRM sent for them; nothing that colleagues' mailboxes say of it.
 */

type Member = { subAccountId: string; userId: string };

/** A message as a list shows it. */
export type OwnMessage = {
  id: MessageId;
  /** Seen from the mailbox's owner. */
  direction: 'inbound' | 'outbound';
  via: ('crm' | 'mailbox' | 'logging_address')[];
  from: PublicAddress;
  to: PublicAddress[];
  subject: string;
  date: string;
  /** Names of the contacts in whose conversations it shows. */
  contacts: string[];
  /** Why only its header is stored; null: all of it is. */
  omitted: string | null;
  /** What became of what the CRM sent; null of the others. */
  send: SendState | null;
};

const messageObject = `json_build_object(
  'id', m.id, 'direction', m.direction, 'via', m.via, 'from', m.sender, 'to', m.recipients_to, 'subject', m.subject,
  'date', ${timestamp('m.date')}, 'omitted', m.omitted,
  'send', (select s.state from sends s where s.message_id = m.id),
  'contacts', (select coalesce(json_agg(c.name order by c.name, c.id), '[]')
     from conversation_threads t join conversations v on v.id = t.conversation_id
     join contacts c on c.sub_account_id = v.sub_account_id and c.id = v.contact_id
    where t.thread_id = m.thread_id))`;

/**
 * What was stored lately, the newest first: by the person, or first seen in their mailbox, or seen there too by the
 * connection `connectionId`. `after` is the last one of the page before.
 */
export async function listOwnMessages(
  db: Db,
  of: Member & { connectionId: ConnectionId | null },
  page: { after: string | null; limit: number },
): Promise<OwnMessage[]> {
  const found = await rows<{ message: OwnMessage }>(
    db,
    `select ${messageObject} as message from (
       (select id from messages where sub_account_id = :subAccountId and user_id = :userId
           ${behind('id', page)} order by id desc limit :limit)
       union
       (select distinct message_id as id from decisions where connection_id = :connectionId and outcome = 'stored'
           and message_id is not null ${behind('message_id', page)} order by 1 desc limit :limit)
     ) own
     cross join lateral (select * from messages where id = own.id offset 0) m
     order by m.id desc limit :limit`,
    { ...of, ...page },
  );
  return found.map(({ message }) => message);
}

/** A decision with what else is stored of its mail; of most that were left out, nothing is. */
export type OwnDecision = Decision & {
  /** The message that it is part of, or tells of. */
  message: Pick<OwnMessage, 'id' | 'direction' | 'from' | 'to' | 'subject'> | null;
  /** What waits for review at the logging address. */
  held: HeldReading | null;
  /** The connection through which its mail can be fetched is active. */
  is_connected: boolean;
};

const ownDecision = `
select ${decisionObject} as decision,
       (select json_build_object('id', m.id, 'direction', m.direction, 'from', m.sender, 'to', m.recipients_to,
                 'subject', m.subject) from messages m where m.id = d.message_id) as message,
       (select i.read from intake_spool i where i.id = d.intake_id and i.state = 'held') as held,
       exists (select from connections c where c.id = d.connection_id and c.ended_at is null) as is_connected`;

type Row = { decision: Decision } & Pick<OwnDecision, 'message' | 'held' | 'is_connected'>;

/** SQL: a decision `d` is of the mail of the member, of whichever connection. */
const isOwn = `d.sub_account_id = :subAccountId and (
  exists (select from connections c
           where c.id = d.connection_id and c.sub_account_id = :subAccountId and c.user_id = :userId)
  or exists (select from intake_spool i where i.id = d.intake_id and i.user_id = :userId)
  or (d.connection_id is null and d.intake_id is null
      and exists (select from messages m where m.id = d.message_id and m.user_id = :userId)))`;

/** What was left out lately, failed, or is held for review, the newest first, of a connection and the logging address. */
export async function listLeftOut(
  db: Db,
  of: Member & { connectionId: ConnectionId | null },
  page: { after: string | null; limit: number },
): Promise<OwnDecision[]> {
  return shown(
    await rows<Row>(
      db,
      `${ownDecision} from (
         (select id from decisions where connection_id = :connectionId and outcome <> 'stored' and replaced_by is null
             ${behind('id', page)} order by id desc limit :limit)
         union all
         (select decision_id as id from intake_spool where sub_account_id = :subAccountId and user_id = :userId
             and state in ('held', 'discarded', 'failed') and decision_id is not null
             ${behind('decision_id', page)} order by decision_id desc limit :limit)
       ) own
       cross join lateral (select * from decisions where id = own.id offset 0) d
       left join folders f on f.id = d.folder_id
       order by d.id desc limit :limit`,
      { ...of, ...page },
    ),
  );
}

/** What was decided about mail with an address on the other side (its keyed hash, filing/hashes.ts), the newest first. */
export async function listOwnDecisionsWith(
  db: Db,
  of: Member & { addressHash: string },
  page: { after: string | null; limit: number },
): Promise<OwnDecision[]> {
  return shown(
    await rows<Row>(
      db,
      `${ownDecision} from decisions d left join folders f on f.id = d.folder_id
        where d.address_hashes @> array[decode(:addressHash, 'hex')] and d.replaced_by is null and ${isOwn}
          ${behind('d.id', page)}
        order by d.id desc limit :limit`,
      { ...of, ...page },
    ),
  );
}

/** One decision; null when it is not of the member's mail. */
export async function findOwnDecision(db: Db, of: Member & { id: DecisionId }): Promise<OwnDecision | null> {
  const [found] = shown(
    await rows<Row>(
      db,
      `${ownDecision} from decisions d left join folders f on f.id = d.folder_id where d.id = :id and ${isOwn}`,
      of,
    ),
  );
  return found ?? null;
}

/**
 * A message with the decisions that led to it, the oldest first; null when it is not the member's: neither sent or
 * logged by them nor first seen in their mailbox, nor stored by a connection of theirs.
 */
export async function findOwnMessage(
  db: Db,
  of: Member & { id: MessageId },
): Promise<{ message: OwnMessage; decisions: OwnDecision[] } | null> {
  const [found] = await rows<{ message: OwnMessage; isUsers: boolean }>(
    db,
    `select ${messageObject} as message, m.user_id is not distinct from :userId as "isUsers"
       from messages m where m.id = :id and m.sub_account_id = :subAccountId`,
    of,
  );
  if (found === undefined) return null;
  const decisions = shown(
    await rows<Row>(
      db,
      `${ownDecision} from decisions d left join folders f on f.id = d.folder_id
        where d.message_id = :id and ${isOwn} order by d.id`,
      of,
    ),
  );
  return found.isUsers || decisions.length > 0 ? { message: found.message, decisions } : null;
}

/** SQL: only what comes after the last one of the page before; without one it says nothing, so that an index serves. */
function behind(column: string, page: { after: string | null }): string {
  return page.after === null ? '' : `and ${column} < :after`;
}

function shown(found: readonly Row[]): OwnDecision[] {
  return found.map(({ decision, ...more }) => ({ ...decision, ...more }));
}
