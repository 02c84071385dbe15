import { newId } from '../lib/id.ts';
import type { FolderId, MailboxId } from '../lib/id.ts';
import { jsonText, lockFor, rows, run } from './database.ts';
import type { Db, WhenLocked } from './database.ts';

/** A folder as it is remembered. */
export type SavedFolder = {
  id: FolderId;
  path: string;
  role: 'all' | 'inbox' | 'sent' | 'archive' | 'other' | 'spam' | 'trash' | 'drafts';
  /** Null: never looked into. */
  uidValidity: number | null;
  cursorUid: number;
  /** Up to which mod-sequence (RFC 7162) changes of stored messages were followed; null: none, or it has none. */
  highestModseq: string | null;
  /** It was not in the last listing. */
  missing: boolean;
};

/** What a mailbox's server has listed. */
export type Listing = { mailboxId: MailboxId; listed: readonly Pick<SavedFolder, 'path' | 'role'>[] };

/**
 * Brings the remembered folders in line with a listing: new ones are added, roles renewed, ones that
 * are not listed marked as missing (never removed: a listing is evidence, no proof). Answers all.
 */
export async function saveFolders(
  db: Db,
  mailboxId: MailboxId,
  listed: Listing['listed'],
): Promise<SavedFolder[]> {
  return (await saveFoldersOf(db, [{ mailboxId, listed }])).get(mailboxId) ?? [];
}

/**
 * The same with the listings of several mailboxes, each of them once. One that is not there is missing from the answer;
 * and one that somebody has locked, who connects or disconnects it, where `locked` says not to wait.
 */
export async function saveFoldersOf(
  db: Db,
  listings: readonly Listing[],
  locked: WhenLocked = 'waits',
): Promise<Map<MailboxId, SavedFolder[]>> {
  const folders = listings.flatMap(({ mailboxId, listed }) =>
    listed.map(({ path, role }) => ({ id: newId('fld'), mailbox_id: mailboxId, path, role })),
  );
  const mine = await rows<{ id: MailboxId }>(
    db,
    // As each new folder that refers to one would lock it.
    `with mine as materialized (
       select id from mailboxes where id = any(:ids) order by id for key share ${locked === 'left_out' ? 'skip locked' : ''}
     ), saved as (
       insert into folders (id, mailbox_id, path, role)
       select t.id, t.mailbox_id, t.path, t.role
         from mine join json_to_recordset(:folders::json) as t(id text, mailbox_id text, path text, role text)
           on t.mailbox_id = mine.id
       on conflict (mailbox_id, path) where left_at is null do update set role = excluded.role, missing_since = null
        where folders.role <> excluded.role or folders.missing_since is not null
     )
     select id from mine`,
    { ids: listings.map(({ mailboxId }) => mailboxId), folders: jsonText(folders) },
  );
  const mailboxIds = mine.map(({ id }) => id);
  await run(
    db,
    `update folders set missing_since = now()
      where mailbox_id = any(:mailboxIds) and left_at is null and missing_since is null
        and (mailbox_id, path) not in (
          select mailbox_id, path from json_to_recordset(:folders::json) as t(mailbox_id text, path text))`,
    { mailboxIds, folders: jsonText(folders) },
  );
  const saved = await readFoldersOf(db, mailboxIds);
  return new Map(mailboxIds.map((id) => [id, saved.get(id) ?? []]));
}

/** All folders of a mailbox that are remembered, but those at a host that it has left. */
export async function readFolders(db: Db, mailboxId: MailboxId): Promise<SavedFolder[]> {
  return (await readFoldersOf(db, [mailboxId])).get(mailboxId) ?? [];
}

/** Those of several mailboxes. */
export async function readFoldersOf(
  db: Db,
  mailboxIds: readonly MailboxId[],
): Promise<Map<MailboxId, SavedFolder[]>> {
  const found = await rows<
    Omit<SavedFolder, 'uidValidity' | 'cursorUid'> & {
      mailbox_id: MailboxId;
      uid_validity: string | null;
      cursor_uid: string;
    }
  >(
    db,
    `select mailbox_id, id, path, role, uid_validity, cursor_uid, highest_modseq as "highestModseq",
            missing_since is not null as missing
       from folders where mailbox_id = any(:mailboxIds) and left_at is null order by path`,
    { mailboxIds: [...mailboxIds] },
  );
  const folders = new Map<MailboxId, SavedFolder[]>();
  for (const { mailbox_id, uid_validity, cursor_uid, ...folder } of found) {
    const of = folders.get(mailbox_id) ?? [];
    const uidValidity = uid_validity === null ? null : Number(uid_validity);
    of.push({ ...folder, uidValidity, cursorUid: Number(cursor_uid) });
    folders.set(mailbox_id, of);
  }
  return folders;
}

/** A folder as the caller knows it, and where it is to be read from. */
export type FolderStart = {
  folder: Pick<SavedFolder, 'id' | 'uidValidity' | 'cursorUid'>;
  uidValidity: number;
  cursorUid: number;
};

/**
 * Where folders that were never looked into, or were numbered anew, are read from; each stands as `folder` says.
 * Answers those that were begun. One is left out that does not stand where the caller believed: somebody
 * else has begun it, and may have judged mail in it; and one that somebody has locked, where `locked` says not to wait.
 */
export async function startFolders(
  db: Db,
  starts: readonly FolderStart[],
  locked: WhenLocked = 'waits',
): Promise<Set<FolderId>> {
  const list = starts.map(({ folder, uidValidity, cursorUid }) => ({
    id: folder.id,
    was_validity: folder.uidValidity,
    was_uid: folder.cursorUid,
    uid_validity: uidValidity,
    cursor_uid: cursorUid,
  }));
  const begun = await rows<{ id: FolderId }>(
    db,
    `with mine as materialized (
       select id from folders where id = any(:ids) order by id ${lockFor[locked]}
     )
     update folders f set uid_validity = t.uid_validity, cursor_uid = t.cursor_uid, highest_modseq = null
       from mine join json_to_recordset(:list::json)
         as t(id text, was_validity bigint, was_uid bigint, uid_validity bigint, cursor_uid bigint) on t.id = mine.id
      where f.id = mine.id and f.cursor_uid = t.was_uid and f.uid_validity is not distinct from t.was_validity
     returning f.id`,
    { list: jsonText(list), ids: list.map(({ id }) => id) },
  );
  return new Set(begun.map(({ id }) => id));
}

/** A folder that was listed, and its last UID then. */
export type FolderEnd = Pick<SavedFolder, 'path' | 'role' | 'cursorUid'> & { uidValidity: number };

/** Remembers folders of a mailbox to which nobody listens yet, and has them read from where they ended. */
export async function beginAtEnds(db: Db, mailboxId: MailboxId, ends: readonly FolderEnd[]): Promise<void> {
  if (ends.length === 0) return;
  const endOf = new Map(ends.map((end) => [end.path, end]));
  // These are not all that were listed: one that is remembered, as the inbox is, is not missing for that.
  const others = (await readFolders(db, mailboxId)).filter(
    ({ path, missing }) => !missing && !endOf.has(path),
  );
  const listed = [...ends, ...others].map(({ path, role }) => ({ path, role }));
  const saved = await saveFolders(db, mailboxId, listed);
  const starts = saved.flatMap((folder) => {
    const end = endOf.get(folder.path);
    if (end === undefined || folder.uidValidity !== null) return [];
    return [{ folder, uidValidity: end.uidValidity, cursorUid: end.cursorUid }];
  });
  await startFolders(db, starts);
}

/** Notes up to which mod-sequence changes in a folder were followed, unless it was numbered anew meanwhile. */
export async function saveModseq(
  db: Db,
  folder: { id: FolderId; uidValidity: number },
  modseq: string,
): Promise<void> {
  await run(
    db,
    `update folders set highest_modseq = :modseq
      where id = :id and uid_validity = :uidValidity and highest_modseq is distinct from :modseq`,
    { ...folder, modseq },
  );
}
