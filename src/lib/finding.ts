/** Pure: what a look at the installation found, in words for an administrator. */

export type Finding =
  | { level: 'ok'; found: string }
  /** `fix`: what an administrator can do about it. */
  | { level: 'warning' | 'problem'; found: string; fix: string };

/** All is as it should be. */
export function ok(found: string): Finding {
  return { level: 'ok', found };
}

/** It works, but not as well as it could, or it may not; or that could not be found out. */
export function warning(found: string, fix: string): Finding {
  return { level: 'warning', found, fix };
}

/** Something does not work, or will be lost. */
export function problem(found: string, fix: string): Finding {
  return { level: 'problem', found, fix };
}
