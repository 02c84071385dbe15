import { decisions, messagesJudged, messagesStored, steps } from '../lib/meters.ts';
import type { DecisionRow } from '../store/decision-writes.ts';

/** Counts a batch that was filed. Times are of the monotonic clock; `judgedAt` is when the rules had answered for all of it. */
export function noteBatch(
  batch: { judged: number; stored: number },
  at: { startedAt: number; judgedAt: number; storedAt: number },
): void {
  messagesJudged.add([], batch.judged);
  messagesStored.add([], batch.stored);
  steps.observe(['judged'], (at.judgedAt - at.startedAt) / 1_000);
  steps.observe(['stored'], (at.storedAt - at.judgedAt) / 1_000);
}

/** Counts decisions that are committed. */
export function noteDecisions(
  source: 'mailbox' | 'logging_address',
  committed: readonly Pick<DecisionRow, 'outcome' | 'reason'>[],
): void {
  for (const { outcome, reason } of committed) decisions.add([source, outcome, reason]);
}
