import type { SendRefused } from '../store/public-send.ts';
import type { LockedSend, SendChange } from '../store/sends.ts';
import { pauseMs } from './outcome.ts';
import type { Ending, sendLimits } from './outcome.ts';
import {
  changeOfTaken,
  endDeferred,
  isDeferred,
  isTaken,
  pauseAfter,
  refusedAfter,
  refusedAfterFailure,
  withRefused,
} from './refused.ts';
import { blockedStates } from './route.ts';
import type { Accepted } from './smtp.ts';

/*
 * How a send goes on for the rest: recipients who were put off while the message was taken for others (D5). Not pure by
 * a hair: pauses have jitter.
 */

type Limits = typeof sendLimits;

/** What becomes of a send that was taken, instead of a try of those who were put off; null: they are tried. */
export function changeBeforeRest(limits: Limits, send: LockedSend): SendChange | null {
  const { way, connectionState, refused } = send;
  const isGone = way === null || (way.through === 'mailbox' && connectionState === null);
  if (isGone) return changeOfTaken(send, endDeferred(refused, 'given_up'), 0);
  if (blockedStates.some((blocked) => blocked === connectionState)) return holdRest(limits, send);
  // A node that is gone had the last of them on their way.
  return refused.some(isDeferred) ? null : changeOfTaken(send, refused, 0);
}

/** The same while nothing gets through until a person acts: they wait, but not for ever. */
export function holdRest(limits: Limits, send: LockedSend): SendChange {
  const { refused, triedForMs } = send;
  return triedForMs >= limits.giveUpMs
    ? changeOfTaken(send, endDeferred(refused, 'given_up'), 0)
    : changeOfTaken(send, refused, limits.heldRetryMs);
}

/** The end of a try, with its send as it is now. */
export type KnownEnd = {
  send: LockedSend;
  n: number;
  /** To whom it went. */
  to: readonly string[];
  /** The message itself had been taken before. */
  isRest: boolean;
  ending: Ending;
};

/** What a try that has ended means for its send; null: nothing any more. `owner` made it. */
export function changeAfter(limits: Limits, owner: string, end: KnownEnd): SendChange | null {
  const { send, ending } = end;
  if ('accepted' in ending) return afterAccepted(limits, owner, end, ending.accepted);
  if (send.leaseOwner !== owner) return null;
  if (isTaken(send)) return afterFailure(limits, end, ending);
  return send.state === 'sending' ? withRefused(send, ending.change) : null;
}

function afterAccepted(
  limits: Limits,
  owner: string,
  { send, to, isRest }: KnownEnd,
  accepted: Accepted,
): SendChange | null {
  // True whoever holds the lease by now: another node, or nobody, since its copy was seen already.
  if (!isTaken(send) && send.state !== 'sending' && send.state !== 'uncertain') return null;
  const answered = refusedAfter(send, to, accepted.refused);
  const isGivenUp = isRest && send.triedForMs >= limits.giveUpMs;
  const refused = isGivenUp ? endDeferred(answered, 'given_up') : answered;
  if (isTaken(send)) {
    // Whoever has taken over may have tried them by now.
    if (refused.some(isDeferred) && send.leaseOwner !== owner) return null;
    if (refused.length === 0 && send.refused.length === 0) return null;
  }
  return changeOfTaken(send, refused, pauseOf(limits, send, refused));
}

function afterFailure(
  limits: Limits,
  { send, to, isRest }: KnownEnd,
  ending: Exclude<Ending, { accepted: unknown }>,
): SendChange {
  // The copy in Sent has told meanwhile that it was taken for the others.
  if (!isRest) return changeOfTaken(send, send.refused, pauseOf(limits, send, send.refused));
  const gaveUp = ending.gaveUp || (ending.outcome === 'denied' && send.triedForMs >= limits.giveUpMs);
  const refused = refusedAfterFailure(send, to, { ...ending, gaveUp });
  const { next } = ending.change;
  return changeOfTaken(send, refused, typeof next === 'number' ? next : pauseOf(limits, send, refused));
}

function pauseOf(limits: Limits, { triedTimes }: LockedSend, refused: readonly SendRefused[]): number {
  return pauseAfter(refused, (pause) => pauseMs(limits, pause, Math.max(1, triedTimes)));
}
