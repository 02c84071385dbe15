import type { AwaitedCopy, CopyEnd } from '../store/sent-copies.ts';

/** The next thing to do about the copy of a send in Sent. */
export type CopyStep =
  /** One is there that is not the gateway's. */
  | { step: 'drop' }
  | { step: 'end'; outcome: CopyEnd['outcome']; reason: string | null }
  /** Sent is to be looked at first. */
  | { step: 'wait' }
  /** Search Sent for it, and put it there if it is absent. */
  | { step: 'search'; path: string };

const dayMs = 24 * 3_600_000;

/** So often a server may refuse a copy, and for so long Sent may be out of reach. */
const limits = { attemptsMax: 5, ageMsMax: dayMs };

/**
 * What to do about a copy whose wait is over (U1). Pure. Nothing is put into Sent before it was looked at, whole,
 * since the message was sent: a copy of the host's own is seen then, and where an APPEND was interrupted, so is
 * the gateway's.
 */
export function planCopy(copy: AwaitedCopy): CopyStep {
  if (copy.isSeen)
    return copy.isBegun ? { step: 'end', outcome: 'appended', reason: null } : { step: 'drop' };
  if (copy.path === null) return { step: 'end', outcome: 'not_appended', reason: 'no_sent_folder' };
  if (!copy.isLooked) {
    return copy.ageMs < limits.ageMsMax
      ? { step: 'wait' }
      : { step: 'end', outcome: 'not_appended', reason: 'sent_folder_unreadable' };
  }
  if (copy.hostSaves) return { step: 'end', outcome: 'not_appended', reason: 'host_saves_copies' };
  return { step: 'search', path: copy.path };
}

/** Whether a try that failed was the last one. Pure. */
export function givesUp({ attempts, ageMs }: AwaitedCopy, failed: 'refused' | 'passing'): boolean {
  return failed === 'refused' ? attempts >= limits.attemptsMax : ageMs >= limits.ageMsMax;
}

/**
 * The bytes of the copy: those that were sent, and the blind recipients, as a mail program keeps them in the
 * author's own copy alone (RFC 5322 §3.6.3): it is the only place where they can be read later. Pure.
 */
export function copyBytes(raw: Buffer, bcc: readonly string[]): Buffer {
  if (bcc.length === 0) return raw;
  // One a line: no line gets too long (RFC 5322 §2.1.1), and no name needs encoding.
  return Buffer.concat([Buffer.from(`Bcc: ${bcc.map((address) => `<${address}>`).join(',\r\n ')}\r\n`), raw]);
}
