import type { Config } from './config.ts';
import { openExistingData } from './data.ts';
import { replay } from './filing/replay.ts';
import type { Replayed } from './filing/replay.ts';
import { idFrom } from './lib/id.ts';
import type { MessageId } from './lib/id.ts';
import { listDecisionsWithFacts } from './store/decisions.ts';
import type { DecisionWithFacts } from './store/decisions.ts';

/** What to replay: the decisions of one message, or all since a time (ms since the epoch). */
export type ReplayOf = { messageId: MessageId } | { since: number };

/** Decisions that are in memory at once. */
const batchMax = 1_000;

/** Differences that are printed; more say no more than their number. */
const printedMax = 1_000;

const leftOut: Readonly<Record<(Replayed & { what: 'left_out' })['why'], string>> = {
  failed: 'left out, since the mail could not be read',
  no_facts: 'left out, since their facts are no longer kept, or the CRM sent them',
  other_facts: 'left out, since their facts are of another version of Twoway',
};

/**
 * `twoway replay` (T4): runs today's rules on the stored facts of earlier decisions and says what would change.
 * Changes nothing, and may run beside a gateway on PostgreSQL.
 */
export async function replayDecisions(
  config: Config,
  of: ReplayOf,
): Promise<{ text: string; differences: number }> {
  const database = await openExistingData(config);
  try {
    const counts = new Map<string, number>();
    const lines: string[] = [];
    const messageId = 'messageId' in of ? of.messageId : null;
    let after = 'messageId' in of ? '' : idFrom('dec', of.since);
    for (;;) {
      const batch = await listDecisionsWithFacts(database.db, messageId, { after, limit: batchMax });
      for (const decision of batch) {
        const replayed = replay(decision);
        const kind = replayed.what === 'left_out' ? replayed.why : replayed.what;
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        if (replayed.what === 'different' && lines.length < printedMax)
          lines.push(lineOf(decision, replayed));
      }
      after = batch.at(-1)?.id ?? after;
      if (batch.length < batchMax) break;
    }
    return {
      text: `${[...lines, ...summaryOf(counts)].join('\n')}\n`,
      differences: counts.get('different') ?? 0,
    };
  } finally {
    await database.close();
  }
}

function lineOf(decision: DecisionWithFacts, difference: Replayed & { what: 'different' }): string {
  const { id, sub_account_id: sub, message_id: message, decided_at: at } = decision;
  const { was, now, because } = difference;
  return `${id} of ${at} in ${sub}${message === null ? '' : ` (${message})`}: was ${was}, would be ${now}: ${because}`;
}

function summaryOf(counts: ReadonlyMap<string, number>): string[] {
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const { same = 0, different = 0 } = Object.fromEntries(counts);
  return [
    `${all} ${all === 1 ? 'decision' : 'decisions'}: ${same} would be the same, ${different} would change.`,
    ...Object.entries(leftOut)
      .filter(([why]) => counts.has(why))
      .map(([why, words]) => `${counts.get(why)} ${words}.`),
  ];
}
