/** How a server tells of changes: with all of RFC 7162, with mod-sequences alone (Gmail), or not at all (Exchange). */
export type Ability = 'qresync' | 'condstore' | 'plain';

/** How to find out what has changed of the stored messages in a folder. */
export type ChangeStep =
  | 'nothing'
  /** Ask for what has changed since last time; the server says too what is gone since. */
  | 'ask_changed'
  /** The same, and ask which of the stored messages are still there. */
  | 'ask_changed_and_missing'
  /** Ask for the flags of all stored messages; one that is not shown may be gone. */
  | 'compare';

/**
 * How often is asked without a notice, in ms, and how long after a look a notice waits, so that whoever
 * clears up an inbox makes no look for each message.
 */
export type ChangePace = Readonly<Record<Ability, { everyMs: number; afterMs: number }>>;

export const changePace: ChangePace = {
  qresync: { everyMs: 120_000, afterMs: 1_000 },
  condstore: { everyMs: 120_000, afterMs: 1_000 },
  // Each look asks about every message that is stored.
  plain: { everyMs: 300_000, afterMs: 10_000 },
};

/**
 * What a server without mod-sequences is asked about each time: so many of the newest stored messages of a
 * folder, stored in so many days. 2,000 take four commands and some 100 KB.
 */
export const comparedMax = { most: 2_000, days: 90 };

/** Where a folder's changes stand. */
export type Followed = {
  ability: Ability;
  /** It has Gmail's labels, of which nobody promises that a change of them has a mod-sequence (providers.md G.3). */
  labels: boolean;
  /** Up to which mod-sequence changes were followed. */
  savedModseq: string | null;
  /** How long ago they were looked at on this connection, in ms; null: not yet. */
  agoMs: number | null;
  /** What the server told of since then. */
  told: 'flags' | 'gone' | null;
  /** Whether most of what is stored was said to be gone, and it is not known yet whether that lasts. */
  doubted: boolean;
};

/** What to do about the changes in a folder. Pure. */
export function planChanges(
  { ability, labels, savedModseq, agoMs, told, doubted }: Followed,
  pace: ChangePace,
): ChangeStep {
  const isFirst = agoMs === null;
  if (!isFirst && agoMs < (told === null ? pace[ability].everyMs : pace[ability].afterMs)) return 'nothing';
  if (ability === 'plain' || savedModseq === null || (isFirst && labels)) return 'compare';
  // Without QRESYNC a message that is gone need not raise the mod-sequence (RFC 7162 §3.1), and is told of once.
  const asksMissing = ability === 'condstore' && (isFirst || told === 'gone' || doubted);
  return asksMissing ? 'ask_changed_and_missing' : 'ask_changed';
}

/** In how many ms a notice in a folder is to be followed. Pure. */
export function waitsMs({ ability, agoMs }: { ability: Ability; agoMs: number }, pace: ChangePace): number {
  return Math.max(0, pace[ability].afterMs - agoMs);
}

/** So many are no longer what somebody deletes in passing. */
export const manyGone = 10;

/**
 * Whether to disbelieve that so many of the stored messages of a folder are gone: a folder that is suddenly
 * empty is more often the server's trouble than somebody's wish. It is believed when it lasts. Pure.
 */
export function isDoubtful({ known, gone }: { known: number; gone: number }): boolean {
  return gone >= manyGone && gone * 2 >= known;
}

/** How long a server must say so. */
export const doubtMs = 600_000;
