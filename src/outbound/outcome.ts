import { backoffMs } from '../lib/backoff.ts';
import { Failure, messageOf } from '../lib/failure.ts';
import type { AttemptOutcome } from '../store/send-attempts.ts';
import type { LockedSend, SendChange } from '../store/sends.ts';
import { dayMs } from './places.ts';
import { judgeSmtp } from './smtp-errors.ts';
import type { Pause } from './smtp-errors.ts';
import { SmtpFailure } from './smtp.ts';
import type { Accepted, RefusedRecipient } from './smtp.ts';

/** The patience of sending, in ms. */
export const sendLimits = {
  /** A send belongs to a node for so long without a word of it; what a crashed node held waits no longer. */
  leaseMs: 30_000,
  /** The first pause after a temporary refusal, and the longest. */
  retryFirstMs: 30_000,
  retryMostMs: 60 * 60_000,
  /** The same after a provider said that there are too many sessions. */
  sessionsFirstMs: 5_000,
  sessionsMostMs: 2 * 60_000,
  /** The first pause after a provider said that mail comes too fast. */
  slowFirstMs: 5 * 60_000,
  /** Temporary refusals for so long, and it is given up. */
  giveUpMs: 48 * 60 * 60_000,
  /** What a provider refuses until a person acts, who tells nobody, is tried again so often. */
  heldRetryMs: 60 * 60_000,
  /** The longest pause between two looks for what became of an uncertain send. */
  uncertainCheckMostMs: 5 * 60_000,
};

/** How a try ended, and what comes of it. */
export type Ending =
  | { accepted: Accepted }
  | {
      outcome: Exclude<AttemptOutcome, 'accepted'>;
      word: string;
      reply: string | null;
      change: SendChange;
      /** What the server said of single recipients. */
      refused: readonly RefusedRecipient[];
      /** It was put off for too long. */
      gaveUp: boolean;
      /**
       * What else it says of the lane: `pause`: nothing else of it gets through for `ms`; `hold`: nothing else of it
       * gets through until a person acts; `open`: the server let this one in, and it was about this message. Missing:
       * it says nothing of the server, as where our own side broke it off.
       */
      lane?: { what: 'pause'; ms: number } | { what: 'hold' } | { what: 'open' };
      /** What to look for in the program, for the log. */
      fault?: string;
    };

/** How the Sent folder of its mailbox is asked what became of an uncertain one; null: there is none to ask. */
export type SentFolder = {
  /** Within so many ms a copy is there, where there is going to be one. */
  graceMs: number;
};

/** What a failed try means for its send. Not pure by a hair: pauses have jitter. */
export function judgeFailure(
  error: unknown,
  of: { send: LockedSend; sentFolder: SentFolder | null; limits: typeof sendLimits },
): Ending {
  const { send, limits } = of;
  if (error instanceof Failure) return judgeToken(error, send, limits);
  if (!(error instanceof SmtpFailure)) {
    // Nothing of ours is thrown after the message's end went out (see smtp.ts), so nothing was sent.
    return {
      ...later(limits, send, { pause: 'normal', word: 'internal', reply: null }),
      fault: messageOf(error),
    };
  }
  return withLane(judgeSession(error, of), error);
}

function judgeSession(
  error: SmtpFailure,
  {
    send,
    sentFolder,
    limits,
  }: { send: LockedSend; sentFolder: SentFolder | null; limits: typeof sendLimits },
): Failed {
  // One refused recipient's reply is the reply.
  const { refused } = error;
  const reply = wordsOf(error.problem.reply, refused.length > 1 ? refused : []);
  const verdict = judgeSmtp(error.problem);
  const word = verdict.reason;
  switch (verdict.verdict) {
    case 'retry': {
      const ending = { ...later(limits, send, { pause: verdict.pause, word, reply }), refused };
      // The library's own words could name an address.
      return word === 'unknown' ? { ...ending, fault: codeOf(error.cause) } : ending;
    }
    case 'fail': {
      const change: SendChange = { state: 'failed', reason: withWords(word, reply), next: 'over' };
      return { outcome: 'permanent', word, reply, change, refused, gaveUp: false };
    }
    case 'uncertain':
      return { outcome: 'uncertain', word, reply, change: uncertain(sentFolder), refused, gaveUp: false };
    case 'renew_token':
    case 'hold':
      break;
  }
  return { ...denied(limits, word, reply), refused };
}

/** What a session that never came to a message says is true of every other of its lane. */
function withLane(ending: Failed, { problem: { phase, cause, reply } }: SmtpFailure): Failed {
  if (reply === null && cause === 'stopped') return ending;
  if (phase !== 'connect' && phase !== 'login') return { ...ending, lane: { what: 'open' } };
  if (ending.outcome === 'denied') return phase === 'login' ? { ...ending, lane: { what: 'hold' } } : ending;
  const { next } = ending.change;
  return typeof next === 'number' && next > 0 ? { ...ending, lane: { what: 'pause', ms: next } } : ending;
}

type Failed = Extract<Ending, { outcome: unknown }>;

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code';
  return `${error instanceof Error ? error.name : typeof error} (${code})`;
}

/** The token service has no token. What a person must do is a hold; all else passes. */
function judgeToken(failure: Failure, send: LockedSend, limits: typeof sendLimits): Ending {
  if (failure.kind !== 'denied') {
    return later(limits, send, { pause: 'normal', word: failure.code, reply: null }, failure.retryAfterMs);
  }
  const word = administratorCodes.includes(failure.code) ? failure.code : 'reauth_required';
  return { ...denied(limits, word, null), lane: { what: 'hold' } };
}

function denied(limits: typeof sendLimits, word: string, reply: string | null): Failed {
  const change = heldForProvider(limits, word);
  return { outcome: 'denied', word, reply, change, refused: [], gaveUp: false };
}

/** Failures of a token call that the user cannot mend alone (provider/oauth-failures.ts). */
const administratorCodes = ['admin_consent_required', 'blocked_by_administrator', 'wrong_account_type'];

/** Held for what a provider said, not for a state that we keep: nobody tells us when it is mended. */
export function heldForProvider(limits: typeof sendLimits, word: string): SendChange {
  return { state: 'held', reason: word, next: limits.heldRetryMs };
}

/**
 * The connection was lost before the answer. Where there is no Sent folder to ask, nobody can tell, and it is not
 * sent again.
 */
export function uncertain(sentFolder: SentFolder | null): SendChange {
  return sentFolder === null
    ? { state: 'uncertain', reason: 'no_answer: there is no Sent folder that could tell', next: 'over' }
    : { state: 'uncertain', reason: 'no_answer', next: sentFolder.graceMs };
}

function later(
  limits: typeof sendLimits,
  send: LockedSend,
  why: { pause: Pause; word: string; reply: string | null },
  atLeastMs = 0,
): Failed {
  const { pause, word, reply } = why;
  if (send.triedForMs >= limits.giveUpMs) {
    const reason = withWords(`gave_up: ${word}`, reply);
    const change: SendChange = { state: 'failed', reason, next: 'over' };
    return { outcome: 'permanent', word, reply, change, refused: [], gaveUp: true };
  }
  const next = Math.max(pauseMs(limits, pause, send.triedTimes + 1), atLeastMs);
  const change: SendChange = { state: 'queued', reason: withWords(word, reply), next };
  return { outcome: 'temporary', word, reply, change, refused: [], gaveUp: false };
}

/** How long to wait after so many tries. */
export function pauseMs(limits: typeof sendLimits, pause: Pause, tries: number): number {
  return pauses[pause](limits, tries);
}

/** The pauses, by the limits and the number of tries. */
const pauses: Readonly<Record<Pause, (limits: typeof sendLimits, tries: number) => number>> = {
  none: () => 0,
  seconds: (limits, tries) =>
    backoffMs(tries, { firstMs: limits.sessionsFirstMs, mostMs: limits.sessionsMostMs }),
  normal: (limits, tries) => backoffMs(tries, { firstMs: limits.retryFirstMs, mostMs: limits.retryMostMs }),
  slow: (limits, tries) => backoffMs(tries, { firstMs: limits.slowFirstMs, mostMs: limits.retryMostMs }),
  day: () => dayMs,
};

const wordsCharsMax = 2_000;

/** What the provider said, of the message and of each refused recipient. */
export function wordsOf(reply: string | null, refused: readonly RefusedRecipient[]): string | null {
  const words = [reply ?? '', refusedWords(refused)].filter((text) => text !== '').join('\n');
  return words === '' ? null : words.replaceAll('\0', '').toWellFormed().slice(0, wordsCharsMax);
}

export function refusedWords(refused: readonly RefusedRecipient[]): string {
  return refused.map(({ address, reply }) => `${address}: ${reply}`).join('\n');
}

export function withWords(word: string, words: string | null): string {
  return words === null ? word : `${word}: ${words}`.slice(0, wordsCharsMax);
}
