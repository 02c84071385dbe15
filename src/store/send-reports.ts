import type { BounceClass, ReportAction } from '../message/delivery-report.ts';
import type { MessageId, SendId } from '../lib/id.ts';
import { touchMessages } from './changed-messages.ts';
import { jsonText, rows } from './database.ts';
import type { Db } from './database.ts';
import { writeSendChanges } from './sends.ts';

/** What a report that counts says of a send. */
export type SendReport = {
  sendId: SendId;
  /** When the provider received the report, ms since the epoch. */
  at: number;
  /** Of its own recipients alone, as written in its envelope. */
  recipients: {
    address: string;
    action: ReportAction;
    class: BounceClass | null;
    status: string | null;
    words: string | null;
  }[];
};

/**
 * D6: notes what reports say of sends, for each recipient the first report of a kind, and marks as bounced
 * what could not be delivered to one. A report that says nothing new changes nothing. Answers which messages,
 * and of which sends the state or its reason, this changed.
 */
export async function noteReports(
  db: Db,
  reports: readonly SendReport[],
): Promise<{ messages: MessageId[]; sends: SendId[] }> {
  const changed = { messages: new Set<MessageId>(), sends: new Set<SendId>() };
  // In one order, since two mailboxes of a sub-account may be filed at once.
  for (const report of reports.toSorted((one, other) => (one.sendId < other.sendId ? -1 : 1))) {
    const send = await lockReported(db, report.sendId);
    if (send === null) continue;
    const added = await addReports(db, report);
    if (added.length === 0) continue;
    changed.messages.add(send.messageId);
    if (added.includes('failed')) {
      const reason = await reasonOf(db, report.sendId);
      // Recipients who were put off are tried on.
      const next = send.isOver ? 'over' : 'in_hand';
      await writeSendChanges(db, [{ id: report.sendId, change: { state: 'bounced', reason, next } }]);
      changed.sends.add(report.sendId);
    }
    await touchMessages(db, [send.messageId]);
  }
  return { messages: [...changed.messages], sends: [...changed.sends] };
}

/**
 * A send that may be reported on; null where the provider has certainly nothing of it. One that is queued or
 * held may be with the provider all the same when a try of it ended without an answer (D5).
 */
async function lockReported(db: Db, id: SendId): Promise<{ messageId: MessageId; isOver: boolean } | null> {
  const [send] = await rows<{ messageId: MessageId; isOver: boolean }>(
    db,
    `select s.message_id as "messageId", not case when s.state in ('sent', 'bounced') then s.ready
                                               else s.refused @> '[{"state": "deferred"}]' end as "isOver"
       from sends s
      where s.id = :id
        and (s.state in ('sending', 'uncertain', 'sent', 'bounced')
             or (s.state in ('queued', 'held')
                 and exists (select from send_attempts a where a.send_id = s.id and a.outcome = 'uncertain')))
        for no key update of s`,
    { id },
  );
  return send ?? null;
}

/** Answers what is new. */
async function addReports(db: Db, { sendId, at, recipients }: SendReport): Promise<ReportAction[]> {
  const added = await rows<{ action: ReportAction }>(
    db,
    `insert into send_reports (send_id, sub_account_id, address, action, class, status, words, reported_at)
     select s.id, s.sub_account_id, r.address, r.action, r.class, r.status, r.words, :at
       from sends s
      cross join json_to_recordset(:recipients::json) as r(address text, action text, class text, status text, words text)
      where s.id = :sendId
     on conflict do nothing
     returning action`,
    { sendId, at: new Date(at), recipients: jsonText(recipients) },
  );
  return added.map(({ action }) => action);
}

/** Every recipient that failed so far, with the other systems' own words. */
async function reasonOf(db: Db, sendId: SendId): Promise<string> {
  const failed = await rows<{ address: string; status: string | null; words: string | null }>(
    db,
    `select address, status, words from send_reports where send_id = :sendId and action = 'failed'
      order by reported_at, address`,
    { sendId },
  );
  return failed
    .map(({ address, status, words }) => `${address}: ${words ?? status ?? 'not delivered'}`)
    .join('; ');
}
