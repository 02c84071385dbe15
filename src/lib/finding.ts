/** Pure: what a look at the installation found, for an administrator. */
import type { findingEnglish } from './finding-words.ts';
import type { Said } from './said.ts';

/** A sentence of finding-words.ts with its values. */
export type FindingSaid = Said<typeof findingEnglish>;

/** What was looked at. */
export type CheckName = Extract<keyof typeof findingEnglish, `check_${string}`>;

export type Finding =
  | { level: 'ok'; found: FindingSaid }
  /** `fix`: what an administrator can do about it. */
  | { level: 'warning' | 'problem'; found: FindingSaid; fix: FindingSaid };

/** All is as it should be. */
export function ok(found: FindingSaid): Finding {
  return { level: 'ok', found };
}

/** It works, but not as well as it could, or it may not; or that could not be found out. */
export function warning(found: FindingSaid, fix: FindingSaid): Finding {
  return { level: 'warning', found, fix };
}

/** Something does not work, or will be lost. */
export function problem(found: FindingSaid, fix: FindingSaid): Finding {
  return { level: 'problem', found, fix };
}
