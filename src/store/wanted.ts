import { newId } from '../lib/id.ts';
import type { FolderId, MailboxId, MessageId } from '../lib/id.ts';
import { jsonText, rows, rowsById, run } from './database.ts';
import type { Db } from './database.ts';
import type { SavedFolder } from './folders.ts';
import type { PlaceState } from './places.ts';

/** What the CRM asks for; what is missing stays as it is. */
export type Wish = { read: boolean | null; state: 'archived' | 'trashed' | null };

/** Why a wish cannot be fulfilled by anybody. */
export type WishRefused = 'not_in_mailbox' | 'mailbox_disconnected' | 'no_such_folder' | 'sent_is_read';

/**
 * Notes what the CRM wants of a message, for each mailbox in which it lies and to which somebody of the
 * sub-account is connected; the newest wish wins. Null: there is no such message. Answers the mailboxes in
 * which there is something to do.
 */
export async function wantChange(
  db: Db,
  of: { subAccountId: string; messageId: MessageId },
  wish: Wish,
): Promise<{ refused: WishRefused } | { mailboxes: MailboxId[] } | null> {
  const [message] = await rows<{ direction: string; mailbox_state: string }>(
    db,
    `select direction, mailbox_state from messages
      where id = :messageId and sub_account_id = :subAccountId for no key update`,
    of,
  );
  if (message === undefined) return null;
  if (message.direction === 'outbound' && wish.read === false) return { refused: 'sent_is_read' };
  const lying = await rows<LyingIn>(db, lyingSql, { ...of, roles: targetRoles[wish.state ?? 'trashed'] });
  if (lying.length === 0) return { refused: 'not_in_mailbox' };
  const connected = lying.filter((place) => place.connected);
  if (connected.length === 0) return { refused: 'mailbox_disconnected' };
  const able = wish.state === null ? connected : connected.filter((place) => place.has_target);
  if (able.length === 0) return { refused: 'no_such_folder' };
  const wanted = able.filter(
    ({ read_by, places, waits }) =>
      waits ||
      (wish.read !== null && read_by !== (wish.read ? places : 0)) ||
      (wish.state !== null && message.mailbox_state !== wish.state),
  );
  await run(
    db,
    `insert into wanted_changes (id, sub_account_id, message_id, mailbox_id, is_read, state)
     select id, :subAccountId, :messageId, mailbox_id, :read, :state
       from json_to_recordset(:wanted::json) as t(id text, mailbox_id text) order by mailbox_id
     on conflict (message_id, mailbox_id) do update
       set is_read = coalesce(excluded.is_read, wanted_changes.is_read),
           state = coalesce(excluded.state, wanted_changes.state),
           version = wanted_changes.version + 1, attempts = 0, due_at = now(), wished_at = now()`,
    {
      ...of,
      ...wish,
      wanted: jsonText(wanted.map(({ mailbox_id }) => ({ id: newId('wch'), mailbox_id }))),
    },
  );
  return { mailboxes: wanted.map(({ mailbox_id }) => mailbox_id) };
}

/** The folders into which a message can be put so. */
const targetRoles: Readonly<Record<'archived' | 'trashed', readonly SavedFolder['role'][]>> = {
  archived: ['archive', 'all'],
  trashed: ['trash'],
};

/** Whether message m has left each place in the mailbox for another one, in which it was not seen yet. */
function isOnItsWay(mailboxId: string): string {
  return `(m.mailbox_state in ('present', 'archived') and not exists (
    select from sightings l where l.message_id = m.id and l.mailbox_id = ${mailboxId} and l.gone_at is null))`;
}

type LyingIn = {
  mailbox_id: MailboxId;
  connected: boolean;
  has_target: boolean;
  /** In how many places of the mailbox it lies, and in how many it is read. */
  places: number;
  read_by: number;
  /** Something is wanted there already. */
  waits: boolean;
};

const lyingSql = `
select s.mailbox_id, count(*)::int as places, count(*) filter (where s.is_read)::int as read_by,
       exists (select from connections c where c.mailbox_id = s.mailbox_id and c.sub_account_id = :subAccountId
                  and c.ended_at is null) as connected,
       exists (select from folders t where t.mailbox_id = s.mailbox_id and t.role = any(:roles)
                  and t.missing_since is null) as has_target,
       exists (select from wanted_changes w where w.message_id = :messageId and w.mailbox_id = s.mailbox_id) as waits
  from sightings s join folders f on f.id = s.folder_id and f.uid_validity = s.uid_validity
  join messages m on m.id = s.message_id
 where s.message_id = :messageId and (s.gone_at is null or ${isOnItsWay('s.mailbox_id')})
 group by s.mailbox_id order by s.mailbox_id`;

/** A wish that was claimed, and where its message lies in that mailbox. */
export type Wanted = {
  id: string;
  version: number;
  attempts: number;
  /** For how long it has been wished for. */
  ageMs: number;
  messageId: MessageId;
  internetMessageId: string | null;
  direction: 'inbound' | 'outbound';
  read: boolean | null;
  state: 'archived' | 'trashed' | null;
  /** Gmail's own id of the message (X-GM-MSGID); null elsewhere. */
  gmailId: string | null;
  places: WantedPlace[];
  /** It has left a place, and nobody has said yet what became of it. */
  isMoving: boolean;
};

export type WantedPlace = {
  folderId: FolderId;
  path: string;
  role: SavedFolder['role'];
  uidValidity: number;
  uid: number;
  isRead: boolean;
  state: PlaceState;
};

/** Wishes by id. */
export async function readWanted(db: Db, ids: readonly string[]): Promise<Wanted[]> {
  const found = await rows<{ wanted: Wanted }>(
    db,
    `select json_build_object(
        'id', w.id, 'version', w.version, 'attempts', w.attempts, 'messageId', w.message_id,
        'ageMs', floor(extract(epoch from now() - w.wished_at) * 1000),
        'internetMessageId', m.internet_message_id, 'direction', m.direction, 'read', w.is_read, 'state', w.state,
        'gmailId', (select split_part(k.key, ':', 3) from message_keys k
                     where k.message_id = m.id and k.key like 'gm:' || w.mailbox_id || ':%' limit 1),
        'places', (select coalesce(json_agg(json_build_object(
             'folderId', f.id, 'path', f.path, 'role', f.role, 'uidValidity', s.uid_validity, 'uid', s.uid,
             'isRead', s.is_read, 'state', s.state) order by f.path, s.uid), '[]')
           from sightings s join folders f on f.id = s.folder_id and f.uid_validity = s.uid_validity
          where s.message_id = m.id and s.mailbox_id = w.mailbox_id and s.gone_at is null),
        'isMoving', ${isOnItsWay('w.mailbox_id')} or exists (select from sightings s
           where s.message_id = m.id and s.mailbox_id = w.mailbox_id and s.gone_due_at is not null)) as wanted
       from ${rowsById('wanted_changes')} w join messages m on m.id = w.message_id
      order by wanted.position`,
    { ids },
  );
  return found.map((row) => row.wanted);
}

/** The folders of a mailbox into which messages are put, by their roles. */
export async function findTargets(db: Db, mailboxId: MailboxId): Promise<Map<SavedFolder['role'], string>> {
  const found = await rows<{ role: SavedFolder['role']; path: string }>(
    db,
    `select role, path from folders
      where mailbox_id = :mailboxId and role in ('inbox', 'archive', 'all', 'trash') and missing_since is null
      order by path desc`,
    { mailboxId },
  );
  return new Map(found.map(({ role, path }) => [role, path]));
}

/** What was done at a place. */
export type PlaceDone = {
  folder_id: FolderId;
  uid_validity: number;
  uid: number;
  is_read: boolean;
  state: PlaceState;
  /** It was moved away from there. */
  left: boolean;
};

/**
 * Notes what was done at places, each named once, as if it had been seen there. Where a message was moved to
 * is what became of it also for the places that it had left before. Answers the messages that lie there: of
 * each sub-account that has the mail, whoever's wish it was.
 */
export async function writePlacesDone(db: Db, done: readonly PlaceDone[]): Promise<MessageId[]> {
  if (done.length === 0) return [];
  const there = await rows<{ id: MessageId }>(
    db,
    `update sightings s set is_read = t.is_read, state = t.state, gone_due_at = null,
            gone_at = case when t.left then coalesce(s.gone_at, now()) end
       from json_to_recordset(:done::json) as t(
            folder_id text, uid_validity bigint, uid bigint, is_read boolean, state text, "left" boolean)
      where s.folder_id = t.folder_id and s.uid_validity = t.uid_validity and s.uid = t.uid
     returning s.message_id as id`,
    { done: jsonText(done) },
  );
  await run(
    db,
    `update sightings o set state = t.state, gone_due_at = null
       from json_to_recordset(:left::json) as t(folder_id text, uid_validity bigint, uid bigint, state text)
       join sightings s on s.folder_id = t.folder_id and s.uid_validity = t.uid_validity and s.uid = t.uid
      where o.message_id = s.message_id and o.mailbox_id = s.mailbox_id and o.gone_at is not null`,
    { left: jsonText(done.filter(({ left }) => left)) },
  );
  return there.map(({ id }) => id);
}

/** Ends wishes that were claimed by `owner`; one that was wished anew since is given back, to be done. */
export async function endWishes(
  db: Db,
  ended: readonly Pick<Wanted, 'id' | 'version'>[],
  owner: string,
): Promise<void> {
  const bindings = { ended: jsonText(ended.map(({ id, version }) => ({ id, version }))), owner };
  await run(
    db,
    `delete from wanted_changes w using json_to_recordset(:ended::json) as t(id text, version integer)
      where w.id = t.id and w.version = t.version and w.lease_owner = :owner`,
    bindings,
  );
  await run(
    db,
    `update wanted_changes w set lease_owner = null, lease_until = null
       from json_to_recordset(:ended::json) as t(id text, version integer)
      where w.id = t.id and w.lease_owner = :owner`,
    bindings,
  );
}

/** Whoever disconnects wants nothing of the mailbox any more. What was told of the messages as wished stays so. */
export async function endWanted(db: Db, of: { mailboxId: MailboxId; subAccountId: string }): Promise<void> {
  await run(
    db,
    `with ended as (
       delete from wanted_changes where mailbox_id = :mailboxId and sub_account_id = :subAccountId
          and not exists (select from connections c where c.mailbox_id = :mailboxId
                            and c.sub_account_id = :subAccountId and c.ended_at is null)
       returning message_id, is_read)
     -- As nobody looks there any more.
     update sightings s set is_read = ended.is_read from ended
      where s.message_id = ended.message_id and s.mailbox_id = :mailboxId and ended.is_read is not null`,
    of,
  );
}
