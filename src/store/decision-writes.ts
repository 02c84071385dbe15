import type {
  ConnectionId,
  DecisionId,
  ErrandId,
  FolderId,
  MailboxId,
  MessageId,
  SpoolId,
} from '../lib/id.ts';
import { jsonText } from './database.ts';
import type { Bindings } from './database.ts';
import type { DecisionStep } from './decisions.ts';

/** A row of decisions as it is first written. */
export type DecisionRow = {
  id: DecisionId;
  sub_account_id: string;
  connection_id: ConnectionId | null;
  mailbox_id: MailboxId | null;
  folder_id: FolderId | null;
  uid_validity: number | null;
  uid: number | null;
  outcome: 'stored' | 'skipped' | 'held' | 'failed';
  reason: string;
  reasons: DecisionStep[];
  /** What the rules looked at; null: no rule was asked. */
  facts: object | null;
  /** Keyed hashes in hexadecimal. */
  id_hash: string | null;
  address_hashes: string[];
  message_id: MessageId | null;
  attempts: number;
  /** What came to a logging address; null: it was seen in a mailbox, or sent from the CRM. */
  intake_id: SpoolId | null;
  errand_id: ErrandId | null;
};

/** Up to which UID, of a UIDVALIDITY, every message of a folder has its decision. */
export type Cursor = { folderId: FolderId; uidValidity: number; uid: number };

/** Where a decision comes from, which most of a batch share: columns, with their types. */
const origin = {
  sub_account_id: 'text',
  connection_id: 'text',
  mailbox_id: 'text',
  folder_id: 'text',
  uid_validity: 'bigint',
  intake_id: 'text',
  errand_id: 'text',
} as const satisfies Partial<Record<keyof DecisionRow, string>>;
const originColumns = Object.keys(origin) as (keyof typeof origin)[];

/** What `decisionParts` is given: decisions, and where their folder stands from then on; null: they are of no folder's new mail. */
export function decisionBindings(decisions: readonly DecisionRow[], cursor: Cursor | null): Bindings {
  const { folderId, uidValidity, uid } = cursor ?? { folderId: null, uidValidity: null, uid: null };
  const origins = collection();
  const reasons = collection();
  const facts = collection();
  let place: number | null = null;
  const listed = decisions.map((decision, n) => {
    // Nearly always it is from where the one before it is.
    const before = decisions[n - 1];
    if (before === undefined || originColumns.some((column) => before[column] !== decision[column]))
      place = origins.placeOf(Object.fromEntries(originColumns.map((column) => [column, decision[column]])));
    const { id, uid, outcome, reason, id_hash, address_hashes, message_id, attempts } = decision;
    return {
      id,
      uid,
      outcome,
      reason,
      id_hash,
      address_hashes,
      message_id,
      attempts,
      origin: place,
      reasons: reasons.placeOf(decision.reasons),
      facts: facts.placeOf(decision.facts),
    };
  });
  return {
    decisions: jsonText(listed),
    origins: `[${origins.texts.join()}]`,
    reasons: reasons.texts,
    facts: facts.texts,
    folderId,
    uidValidity,
    uid,
  };
}

/**
 * Values as JSON, each once, and the place of each of them, from 1. Most decisions of a batch come from the same folder,
 * and rest on the same facts, for the same reasons: PostgreSQL took twice as long to read all of it as to write the rows.
 */
function collection(): { texts: string[]; placeOf(value: object | null): number | null } {
  const texts: string[] = [];
  const places = new Map<string | object, number>();
  const placeOf = (value: object | null): number | null => {
    if (value === null) return null;
    const known = places.get(value);
    if (known !== undefined) return known;
    const text = jsonText(value);
    const place = places.get(text) ?? texts.push(text);
    places.set(text, place).set(value, place);
    return place;
  };
  return { texts, placeOf };
}

/** Writes decisions and their folder's cursor, as the parts of a `with`. */
export const decisionParts = `folder as (
  update folders set uid_validity = :uidValidity, cursor_uid = :uid, looked_at = now() where id = :folderId
), decision as (
  insert into decisions (id, ${originColumns.join(', ')}, uid, outcome, reason, reasons, facts, id_hash, address_hashes,
                         message_id, attempts, lasting)
  select d.id, ${originColumns.map((column) => `o.${column}`).join(', ')}, d.uid, d.outcome,
         d.reason, (:reasons::jsonb[])[d.reasons], (:facts::jsonb[])[d.facts], decode(d.id_hash, 'hex'),
         array(select decode(h, 'hex') from unnest(d.address_hashes) h), d.message_id, d.attempts,
         d.outcome <> 'skipped' or d.message_id is not null
    from json_to_recordset(:decisions::json) as d(
         id text, origin integer, uid bigint, outcome text, reason text, reasons integer, facts integer, id_hash text,
         address_hashes text[], message_id text, attempts integer)
    join rows from (json_to_recordset(:origins::json) as (
         ${originColumns.map((column) => `${column} ${origin[column]}`).join(', ')})) with ordinality as o(
         ${originColumns.join(', ')}, place)
      on o.place = d.origin
)`;
