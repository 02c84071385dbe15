import type { DecisionWithFacts } from '../store/decisions.ts';
import { becauseOf } from './because.ts';
import { decide, outcomes } from './decide.ts';
import type { Facts } from './facts.ts';

/** What today's rules make of an earlier decision. */
export type Replayed =
  | { what: 'same' }
  /** `because` is what the rule that answers today says, in English. */
  | { what: 'different'; was: string; now: string; because: string }
  /** Nothing to compare: the mail could not be read then (T3), or the facts are gone or of another version. */
  | { what: 'left_out'; why: 'failed' | 'no_facts' | 'other_facts' };

/** The names of all facts; the compiler keeps it whole. */
const factNames: Record<Exclude<keyof Facts, 'logged'>, true> = {
  role: true,
  draft: true,
  discarded: true,
  direction: true,
  kind: true,
  forward: true,
  forwards: true,
  beforeConnection: true,
  author: true,
  outsideRecipients: true,
  recipientContacts: true,
  neverLog: true,
  known: true,
  erased: true,
  threads: true,
  reportsOn: true,
  syncSentToContacts: true,
  shared: true,
  assignedContactsOnly: true,
  twoWaySyncOff: true,
  byHand: true,
  answered: true,
  tooLarge: true,
};

/** T4: asks today's rules about the stored facts of a decision. Changes nothing. Pure. */
export function replay(decision: DecisionWithFacts): Replayed {
  const { facts, outcome, reason } = decision;
  if (outcome === 'failed') return { what: 'left_out', why: 'failed' };
  if (facts === null) return { what: 'left_out', why: 'no_facts' };
  if (!isOfToday(facts)) return { what: 'left_out', why: 'other_facts' };
  const verdict = decide(facts);
  const was = `${outcome} ${reason}`;
  const now = `${outcomes[verdict.verdict]} ${verdict.reason}`;
  if (was === now) return { what: 'same' };
  return { what: 'different', was, now, because: becauseOf(verdict.steps.at(-1)?.because ?? null) };
}

function isOfToday(facts: object): facts is Facts {
  return Object.keys(factNames).every((name) => name in facts);
}
