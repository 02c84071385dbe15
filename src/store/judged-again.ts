import type { ConnectionId, DecisionId, FolderId, MailboxId, SpoolId } from '../lib/id.ts';
import { jsonText, rows } from './database.ts';
import type { Db } from './database.ts';

/** Where the mail of a decision is, to be judged once more. */
export type DecidedPlace = {
  id: DecisionId;
  outcome: 'stored' | 'skipped' | 'held' | 'failed';
  reason: string;
  replacedBy: DecisionId | null;
  /** What came to a logging address; null: it was seen in a mailbox. */
  intakeId: SpoolId | null;
  connectionId: ConnectionId | null;
  mailboxId: MailboxId | null;
  folderId: FolderId | null;
  uidValidity: number;
  uid: number;
  /** The connection is active. */
  isActive: boolean;
};

/** A decision of a sub-account with its place; null when there is none of that id. */
export async function findDecidedPlace(
  db: Db,
  which: { subAccountId: string; id: string },
): Promise<DecidedPlace | null> {
  const [row] = await rows<DecidedPlace>(
    db,
    `select d.id, d.outcome, d.reason, d.replaced_by as "replacedBy", d.intake_id as "intakeId", d.connection_id as "connectionId",
            d.mailbox_id as "mailboxId", f.id as "folderId", coalesce(d.uid_validity, 0)::float8 as "uidValidity",
            coalesce(d.uid, 0)::float8 as uid, c.id is not null as "isActive"
       from decisions d left join folders f on f.id = d.folder_id
       left join connections c on c.id = d.connection_id and c.ended_at is null
      where d.id = :id and d.sub_account_id = :subAccountId`,
    which,
  );
  return row ?? null;
}

/** Mail of a connection that was judged when its people were no contacts, by folder, the newest UIDs first. */
export type LeftOut = { folderId: FolderId; uidValidity: number; uids: number[] };

const leftOutColumns = 'id, connection_id, folder_id, uid_validity, uid, outcome, reason, replaced_by';

/** As many are judged again at once; more than that came in no meanwhile. */
const leftOutMax = 500;

/**
 * What was left out of a connection's mail for want of a contact, and may not be any more: by its Message-ID, and
 * what was decided with an address on the other side since that one's `since` (ms since the epoch). Hashes are in
 * hexadecimal (filing/hashes.ts).
 */
export async function findLeftOut(
  db: Db,
  of: {
    connectionId: ConnectionId;
    idHashes: readonly string[];
    addresses: readonly { hash: string; since: number }[];
  },
): Promise<LeftOut[]> {
  const found = await rows<Omit<LeftOut, 'uidValidity'> & { uidValidity: string }>(
    db,
    `with asked as materialized (
       select array[decode(hash, 'hex')] as address, to_timestamp(min(since) / 1000) as since
         from json_to_recordset(:addresses::json) as a(hash text, since float8) group by hash
     ), found as materialized (
       -- Each branch finds its rows by what is asked for, and only then looks at the rest of them.
       select * from (
         (select ${leftOutColumns} from decisions
           where id_hash = any(array(select decode(h, 'hex') from unnest(:idHashes::text[]) h)) offset 0)
          union
         select named.* from asked cross join lateral (
           select ${leftOutColumns} from decisions
            where address_hashes @> asked.address and decided_at >= asked.since offset 0) named) d
        where d.connection_id = :connectionId and d.folder_id is not null and d.outcome = 'skipped'
          and d.reason = 'no_match' and d.replaced_by is null
        order by d.id desc limit :leftOutMax
     )
     select folder_id as "folderId", uid_validity as "uidValidity", json_agg(uid order by uid desc) as uids
       from found group by folder_id, uid_validity`,
    { ...of, addresses: jsonText(of.addresses), leftOutMax },
  );
  return found.map((place) => ({ ...place, uidValidity: Number(place.uidValidity) }));
}
