import type { Clock } from '../lib/clock.ts';

/**
 * Letters before campaigns, over all lanes of a process. A campaign with all of its sessions takes all that the machine,
 * the database and a server of mail give, and each step of a letter waits its turn among it. So where a letter was
 * claimed a moment ago, and the next may come, a campaign goes on with one session, and that at a walk (see lane.ts). It
 * never stops: an office where somebody writes at any time still has its campaign out.
 */
export type Precedence = {
  /** To be called when letters are claimed. */
  noteLetters(): void;
  /** For how many ms a campaign makes room yet; 0: it need not. */
  roomMs(): number;
};

/**
 * Letters come in bursts: who has written one writes another, and of the next one's way the API's part should be free as
 * well. Not for as long as a letter is in hand: its server may take minutes to answer.
 */
const afterLetterMs = 1_000;

export function createPrecedence(clock: Clock): Precedence {
  let until = -Infinity;
  return {
    noteLetters() {
      until = clock.monotonic() + afterLetterMs;
    },
    roomMs: () => Math.max(0, until - clock.monotonic()),
  };
}
