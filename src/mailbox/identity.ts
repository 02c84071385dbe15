import type { MailboxId } from '../lib/id.ts';
import type { LockedMailbox, ProvenMailbox } from '../store/proven-mailboxes.ts';

/** What a proven login meets. */
export type Encounter = {
  proven: ProvenMailbox;
  /** The mailbox that the user is connected to in this sub-account now. */
  current: { mailboxId: MailboxId; address: string } | null;
  /** The stored mailbox that the login leads to: of the same identity, else of the same address. */
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
  /** Another identity than the one that is expected; `expected` null: others hold the address by another one. */
  | { step: 'refuse'; expected: string | null };

/**
 * C2, C4, C6: who may connect what. An address alone proves nothing with Microsoft, where a tenant
 * writes what it likes into the claim, nor with a password, where the person names the server that
 * says yes: a mailbox that others are connected to is joined by the same identity only. Pure.
 */
export function meet({ proven, current, target, replace }: Encounter): Meeting {
  const same = target !== null && isSameAccount(target, proven);
  if (target !== null && target.activeElsewhere && !same) {
    const isOther = current !== null && target.id !== current.mailboxId && !replace;
    return { step: 'refuse', expected: isOther ? current.address : null };
  }
  const startsAnew = target === null || !target.activeElsewhere;
  if (current === null) return { step: 'join', startsAnew };
  if (target !== null && target.id === current.mailboxId) {
    if (same) return { step: 'renew', startsAnew: false };
    // A password's mailbox has moved to another host: nobody else is concerned.
    if (target.identityKey === null) return { step: 'renew', startsAnew: true };
  }
  return replace ? { step: 'supersede', startsAnew } : { step: 'refuse', expected: current.address };
}

/** The same account at the same provider; for a password, the same user at the same IMAP server. */
function isSameAccount(target: LockedMailbox, proven: ProvenMailbox): boolean {
  if (target.provider !== proven.provider || target.identityKey !== proven.identityKey) return false;
  if (target.identityKey !== null) return true;
  const [had, has] = [target.servers?.imap, proven.servers?.imap];
  return (
    had?.host.toLowerCase() === has?.host.toLowerCase() &&
    had?.port === has?.port &&
    target.login.toLowerCase() === proven.login.toLowerCase()
  );
}
