import type { MailboxId } from '../lib/id.ts';
import type { LockedMailbox } from '../store/proven-mailboxes.ts';

/** What a proven login meets. */
export type Encounter = {
  /** The mailbox that the user is connected to in this sub-account now. */
  current: { mailboxId: MailboxId; address: string } | null;
  /** The stored mailbox that the login leads to. */
  target: LockedMailbox | null;
  /** The person wants to change the connected mailbox (C6). */
  replace: boolean;
};

/** What comes of it. `startsAnew`: nobody's sync of the mailbox goes on, so it starts from now. */
export type Meeting =
  /** The user has no connection here, or one that still waits: this is it. */
  | { step: 'join'; startsAnew: boolean }
  /** The user's connection goes on, with the new credential. */
  | { step: 'renew'; startsAnew: boolean }
  /** The user's connection ends in favour of a new one (C6). */
  | { step: 'supersede'; startsAnew: boolean }
  /** Another identity than the one that is expected. */
  | { step: 'refuse'; expected: string };

/**
 * C2, C4, C6: who may connect what. An address alone proves nothing with Microsoft, where a tenant
 * writes what it likes into the claim, nor with a password, where the person names the server that
 * says yes: a mailbox is joined by its own account only, and another account of the same address is
 * another mailbox. Pure.
 */
export function meet({ current, target, replace }: Encounter): Meeting {
  const startsAnew = target === null || !target.activeElsewhere;
  if (current === null) return { step: 'join', startsAnew };
  if (target !== null && target.id === current.mailboxId) {
    return { step: 'renew', startsAnew: !target.isSameAccount };
  }
  return replace ? { step: 'supersede', startsAnew } : { step: 'refuse', expected: current.address };
}
