import type { Because } from './because.ts';
import type { Facts } from './facts.ts';
import { loggedRules } from './logged-rules.ts';
import { rules, tooLarge } from './rules.ts';
import type { Answer } from './rules.ts';

/** A rule that was asked, and what it said; null: nothing. Stored with the decision and shown by explain. */
export type Step = { rule: string; because: Because | null };

/** The answer of the rules, with the way to it. */
export type Verdict = Answer & {
  /** The rule that answered. */
  rule: string;
  /** The rules that were asked and had nothing to say, and the one that answered, in order. */
  steps: Step[];
};

/** What a verdict makes of a sighting, where nothing fails. */
export const outcomes: Readonly<Record<Verdict['verdict'], 'stored' | 'skipped' | 'held'>> = {
  skip: 'skipped',
  report: 'skipped',
  omit: 'skipped',
  hold: 'held',
  join: 'stored',
  store: 'stored',
};

/** What the rules say of one sighting in one sub-account. Pure: the same facts, the same verdict. */
export function decide(facts: Facts): Verdict {
  const asked: Step[] = [];
  for (const rule of facts.logged === undefined ? rules : loggedRules) {
    const answer = rule.ask(facts);
    if (answer !== null) {
      const steps = [...asked, { rule: rule.id, because: answer.because }];
      const limited = tooLarge(facts, answer);
      if (limited === null) return { ...answer, rule: rule.id, steps };
      return { ...limited, rule: 'L1', steps: [...steps, { rule: 'L1', because: limited.because }] };
    }
    asked.push({ rule: rule.id, because: null });
  }
  throw new Error('the last rule answers always');
}
