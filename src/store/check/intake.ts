import type { Invariant } from './invariant.ts';

/** Of what came to logging addresses. */
export const intakeInvariants: readonly Invariant[] = [
  {
    name: 'logged_mail_has_decision',
    rules: ['B4', 'B5', 'T1'],
    holds:
      'What came to a logging address waits, or one decision holds for it, which says what became of it.',
    broken: `
      select i.id as intake, i.state from intake_spool i
        left join decisions d on d.intake_id = i.id and d.replaced_by is null
       where i.state <> 'waiting'
       group by i.id, i.state, i.decision_id
      having count(d.id) <> 1 or min(d.id) is distinct from i.decision_id
          or not min(d.outcome) = any(case i.state when 'filed' then array['stored', 'skipped']
                                                   when 'discarded' then array['skipped']
                                                   else array[i.state] end)`,
  },
  {
    name: 'held_mail_is_shown',
    rules: ['B4'],
    holds: 'Of mail that waits for review, and of no other, it is kept what was read.',
    broken: `
      select i.id as intake, i.state from intake_spool i where (i.state = 'held') <> (i.read is not null)`,
  },
  {
    name: 'logged_mail_waits_or_is_done',
    rules: ['B5'],
    holds: 'What came to a logging address is to be worked on while it waits, and only then.',
    broken: `
      select i.id as intake, i.state from intake_spool i where (i.state = 'waiting') <> i.ready`,
  },
];
