import type { MessageId, SendId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { newestFirst, partSql } from './list-part.ts';
import type { ListPart } from './list-part.ts';
import type { PublicRoute, SendState } from './public-send.ts';
import { timestamp } from './timestamp.ts';

/** A send as it stands in a list. */
export type ListedSend = {
  id: SendId;
  subAccountId: string;
  messageId: MessageId;
  userId: string;
  kind: 'individual' | 'bulk' | 'workflow';
  subject: string;
  /** Of its envelope. */
  to: string[];
  route: PublicRoute;
  state: SendState;
  reason: string | null;
  createdAt: string;
  /** Not before; null: at once. */
  sendAt: string | null;
};

/** Null: whichever. A user is one of a sub-account. */
export type SendFilter = { state: SendState | null; subAccountId: string | null; userId: string | null };

/** Sends of the whole installation that fit, the newest first. A part begins behind an id. */
export async function listSends(db: Db, filter: SendFilter, part: ListPart): Promise<ListedSend[]> {
  const found = await rows<{ send: ListedSend }>(
    db,
    `select json_build_object(
        'id', s.id, 'subAccountId', s.sub_account_id, 'messageId', s.message_id, 'userId', s.user_id, 'kind', m.kind,
        'subject', m.subject, 'to', s.envelope -> 'to', 'route', s.route, 'state', s.state, 'reason', s.state_reason,
        'createdAt', ${timestamp('s.created_at')}, 'sendAt', ${timestamp('s.send_at')}) as send
       from (select * from sends s where ${conditionsOf(filter)} ${partSql('s.id', part)}) s
       cross join lateral (select kind, subject from messages where id = s.message_id offset 0) m
      where true ${partSql('s.id', part)}`,
    { ...filter, ...part },
  );
  return newestFirst(
    found.map(({ send }) => send),
    part,
  );
}

/** How many of them are newer than one, up to `max`. */
export async function countNewerSends(
  db: Db,
  filter: SendFilter,
  { than, max }: { than: string; max: number },
): Promise<number> {
  const [found] = await rows<{ count: number }>(
    db,
    `select count(*)::int as count from (
       select from sends s where ${conditionsOf(filter)} and s.id > :than order by s.id desc limit :max) n`,
    { ...filter, than, max },
  );
  return found?.count ?? 0;
}

/** In which sub-account a send is; undefined when there is none. */
export async function findSubAccountOfSend(db: Db, id: string): Promise<string | undefined> {
  const [found] = await rows<{ id: string }>(db, 'select sub_account_id as id from sends where id = :id', {
    id,
  });
  return found?.id;
}

/** The state is written out, since what is not `sent` has indexes of its own. */
function conditionsOf({ state, subAccountId, userId }: SendFilter): string {
  const conditions = [
    ...(state === null ? [] : [`s.state = '${state}'`, ...(state === 'sent' ? [] : [`s.state <> 'sent'`])]),
    ...(subAccountId === null ? [] : ['s.sub_account_id = :subAccountId']),
    ...(userId === null ? [] : ['s.user_id = :userId']),
  ];
  return conditions.length === 0 ? 'true' : conditions.join(' and ');
}
