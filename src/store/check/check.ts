import { run } from '../database.ts';
import type { Db } from '../database.ts';
import { connectionInvariants } from './connections.ts';
import { decisionInvariants } from './decisions.ts';
import { eventInvariants } from './events.ts';
import { examplesMax } from './invariant.ts';
import { intakeInvariants } from './intake.ts';
import type { Checked, Invariant } from './invariant.ts';
import { messageInvariants } from './messages.ts';
import { sendInvariants } from './sends.ts';

/**
 * What is true of the data at every commit, so that a row which breaks it is a defect of the program, or
 * was written by somebody else. Constraints of the schema are not repeated. Two things are no invariants:
 * a decision, and an event, may name a message that was erased since.
 */
export const invariants: readonly Invariant[] = [
  ...connectionInvariants,
  ...messageInvariants,
  ...decisionInvariants,
  ...intakeInvariants,
  ...sendInvariants,
  ...eventInvariants,
];

/** A large database is read through more than once. */
const checkMsMax = 6 * 3_600_000;

/**
 * Checks every invariant on the data as it was at one moment: what a running gateway writes meanwhile is
 * not seen. Reads only. In one statement, since every database of a test is checked.
 */
export function checkInvariants(db: Db): Promise<Checked[]> {
  return db.transaction(
    async (tx) => {
      await run(tx, `set local statement_timeout = ${checkMsMax}`);
      const found = await tx
        .raw<{ rows: Pick<Checked, 'name' | 'count' | 'examples'>[] }>(statement)
        .options({ query_timeout: checkMsMax });
      const byName = new Map(found.rows.map((row) => [row.name, row]));
      return invariants.map(({ name, rules, holds }) => {
        const result = byName.get(name);
        if (result === undefined) throw new Error(`${name} was not checked`);
        return { ...result, rules, holds };
      });
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  );
}

const statement = invariants
  .map(
    ({ name, broken }) => `
select '${name}' as name, found.* from (
  with broken as materialized (${broken})
  select (select count(*) from broken)::int as count,
         (select coalesce(json_agg(b), '[]') from (select * from broken limit ${examplesMax}) b) as examples) found`,
  )
  .join('\nunion all');
