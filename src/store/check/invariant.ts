import type { PartitionedTable } from '../partitions.ts';

/** What must be true of the data at every commit, whatever was going on. */
export type Invariant = {
  /** By what a finding is called. */
  name: string;
  /** Identifiers of RULES.md, or `Words` for its glossary. */
  rules: readonly string[];
  /** What must hold, in a sentence. */
  holds: string;
  /** Selects the rows that break it: their ids, or where they stand, and nothing of anybody's mail. */
  broken: string;
};

/** What came of one. */
export type Checked = Pick<Invariant, 'name' | 'rules' | 'holds'> & {
  /** How many rows break it. */
  count: number;
  /** The first of them. */
  examples: Readonly<Record<string, string | number | null>>[];
};

/** SQL: from when on all of a table is kept whose past partitions are dropped. */
export const keptFrom = (table: PartitionedTable) =>
  `coalesce((select since from kept_since where table_name = '${table}'), '-infinity')`;

/** How many rows that break an invariant are named. */
export const examplesMax = 20;
