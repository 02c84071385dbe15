import type { SendRefused } from '../store/public-send.ts';
import type { LockedSend, SendChange } from '../store/sends.ts';
import { refusedWords, withWords, wordsOf } from './outcome.ts';
import { judgeSmtp } from './smtp-errors.ts';
import type { Pause } from './smtp-errors.ts';
import type { RefusedRecipient } from './smtp.ts';

/*
 * Pure. Recipients that a server refused while it took the message for others (D5). The message is `sent` then; a
 * recipient that was put off (4xx to RCPT, RFC 5321 §4.2.1) is tried again, alone with others that were, under the same
 * Message-ID and with the same bytes. What is known of each stands in the send's `refused`, and is written before the
 * end of the message goes out: a crash neither forgets one that was put off, nor has anybody get the mail twice.
 */

type Known = Pick<LockedSend, 'state' | 'refused'>;

/** Whether the message itself was taken, so that only those are still to be tried who were put off. */
export function isTaken({ state }: Pick<LockedSend, 'state'>): boolean {
  return state === 'sent' || state === 'bounced';
}

/** To whom the next try of a send goes. */
export function recipientsToTry(send: Known & Pick<LockedSend, 'envelope'>): string[] {
  if (!isTaken(send)) return send.envelope.to;
  return send.refused.filter(isDeferred).map(({ address }) => address);
}

export function isDeferred({ state }: SendRefused): boolean {
  return state === 'deferred';
}

/**
 * What is to be known of everybody when the end of the message is about to go out to those of `tried` that were not
 * refused. Of those who are tried again only the answer tells what became of them, and no Sent folder: the copy of the
 * first time is there already.
 */
export function refusedAtHandover(
  send: Known,
  tried: readonly string[],
  refused: readonly RefusedRecipient[],
): SendRefused[] {
  const answered = refusedAfter(send, tried, refused);
  if (!isTaken(send)) return answered;
  const open = send.refused.filter(
    ({ address }) => tried.includes(address) && !answered.some((each) => each.address === address),
  );
  return [...answered, ...open.map((each): SendRefused => ({ ...each, state: 'uncertain' }))];
}

/** The same when the server has taken the message for those of `tried` that it did not refuse. */
export function refusedAfter(
  { refused: before }: Known,
  tried: readonly string[],
  refused: readonly RefusedRecipient[],
): SendRefused[] {
  const others = before.filter(({ address }) => !tried.includes(address));
  const told = refused.map(({ address, reply }): SendRefused => {
    return { address, state: stateBy(reply), reply: wordsOf(reply, []) ?? '' };
  });
  return [...others, ...told];
}

function stateBy(reply: string): SendRefused['state'] {
  return verdictOn(reply).verdict === 'retry' ? 'deferred' : 'refused';
}

function verdictOn(reply: string) {
  return judgeSmtp({ phase: 'envelope', reply, cause: 'unknown' });
}

/** How long those who were put off wait, as long as the one who is to wait longest. */
export function pauseAfter(refused: readonly SendRefused[], pauseMs: (pause: Pause) => number): number {
  const pauses = refused.filter(isDeferred).map(({ reply }) => {
    const verdict = verdictOn(reply);
    return pauseMs(verdict.verdict === 'retry' ? verdict.pause : 'normal');
  });
  return Math.max(0, ...pauses);
}

/** A try of those who were put off in which the message was taken for nobody. */
export type FailedAgain = {
  outcome: 'temporary' | 'permanent' | 'denied' | 'uncertain';
  gaveUp: boolean;
  reply: string | null;
  /** What the server said of single ones. */
  refused: readonly RefusedRecipient[];
};

/** What is known of everybody after such a try. */
export function refusedAfterFailure(
  { refused: before }: Known,
  tried: readonly string[],
  failed: FailedAgain,
): SendRefused[] {
  return before.map((each) => {
    if (!tried.includes(each.address)) return each;
    const own = failed.refused.find(({ address }) => address === each.address);
    const state = own === undefined ? null : stateBy(own.reply);
    const reply = wordsOf(own?.reply ?? null, []) ?? failed.reply ?? each.reply;
    if (state === 'refused') return { ...each, state, reply };
    if (failed.outcome === 'uncertain' && state === null) return { ...each, state: 'uncertain', reply };
    if (failed.outcome !== 'permanent' && !failed.gaveUp) return { ...each, state: 'deferred', reply };
    return { ...each, state: failed.gaveUp ? 'given_up' : 'refused', reply };
  });
}

/** Those who were put off are tried no more. */
export function endDeferred(refused: readonly SendRefused[], state: 'given_up' | 'cancelled'): SendRefused[] {
  return refused.map((each) => (isDeferred(each) ? { ...each, state } : each));
}

/** The send's reason, in a word with the server's words on each; null: nobody was refused. */
export function reasonOf(refused: readonly SendRefused[]): string | null {
  if (refused.length === 0) return null;
  const has = (state: SendRefused['state']) => refused.some((each) => each.state === state);
  const word = has('deferred')
    ? 'recipients_deferred'
    : has('uncertain')
      ? 'recipients_uncertain'
      : 'recipients_refused';
  return withWords(word, refusedWords(refused));
}

/** How a send goes on, or ends, of which the message itself was taken. */
export function changeOfTaken(
  { state, reason }: Pick<LockedSend, 'state' | 'reason'>,
  refused: SendRefused[],
  pauseMs: number,
): SendChange {
  const next = refused.some(isDeferred) ? pauseMs : 'over';
  return state === 'bounced'
    ? { state, reason, next, refused }
    : { state: 'sent', reason: reasonOf(refused), next, refused };
}

/** What becomes of those who were put off when the message itself was not taken, or nobody can tell whether it was. */
export function withRefused(send: Known, change: SendChange): SendChange {
  if (send.refused.length === 0 || isTaken(send)) return change;
  if (change.state !== 'uncertain') return { ...change, refused: [] };
  return change.next === 'over' ? { ...change, refused: endDeferred(send.refused, 'given_up') } : change;
}
