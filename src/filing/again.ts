import type { ConnectionId, ErrandId, MailboxId } from '../lib/id.ts';
import type { Decided } from '../store/decisions.ts';
import type { FactRows, FilingConnection } from '../store/filing-facts.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import { groundsFor } from './gather.ts';
import type { Ground } from './gather.ts';

/** Judging what a folder's cursor has passed once more, for one connection, and why. */
export type Again = {
  connectionId: ConnectionId;
  errandId: ErrandId;
  /** The connection counts as begun then (C8), in ms since the epoch; null: when it was. */
  since: number | null;
  /** The CRM asks for these very messages. */
  byHand: boolean;
  /** A message that opened a thread answers them (S13): as members of it they count however old they are. */
  answered: boolean;
};

/** What the rules may look at for the one connection, as it is to be judged now; nothing where it has ended. Pure. */
export function groundAgain(
  mailboxId: MailboxId,
  connections: readonly FilingConnection[],
  rows: FactRows,
  { connectionId, since, byHand, answered }: Omit<Again, 'errandId'>,
): Map<ConnectionId, Ground> {
  const ground = groundsFor(mailboxId, connections, rows).get(connectionId);
  if (ground === undefined) return new Map();
  const startedAt = since ?? ground.connection.startedAt;
  const connection = { ...ground.connection, startedAt };
  return new Map([[connectionId, { ...ground, byHand, answered, connection }]]);
}

/** Whether nothing is left to judge: it is stored, or was a report that has done its work (D6). Pure. */
export function isClosed(decided: Decided | undefined): boolean {
  if (decided === undefined) return false;
  return decided.outcome === 'stored' || ['delivery_report', 'read_receipt'].includes(decided.reason);
}

/**
 * What new decisions come to beside the ones that were made of the same places before: the same answer
 * leaves the earlier decision as it is, another one takes its place. Pure.
 */
export function reconcile(
  made: readonly DecisionRow[],
  decided: ReadonlyMap<number, Decided>,
): {
  /** To be written. */
  decisions: DecisionRow[];
  replaced: { id: string; by: string }[];
  /** Failed once more (T3). */
  failedAgain: string[];
} {
  const decisions: DecisionRow[] = [];
  const replaced: { id: string; by: string }[] = [];
  const failedAgain: string[] = [];
  for (const row of made) {
    const before = row.uid === null ? undefined : decided.get(row.uid);
    const isSame = before?.outcome === row.outcome && before.reason === row.reason;
    if (!isSame) decisions.push(row);
    if (before === undefined) continue;
    if (!isSame) replaced.push({ id: before.id, by: row.id });
    else if (row.outcome === 'failed') failedAgain.push(before.id);
  }
  return { decisions, replaced, failedAgain };
}
