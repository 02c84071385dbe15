import { canonicalAddress, canonicalOwnAddress, domainOf } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import type { InternetMessageId } from '../message/message-id.ts';
import { replySubject } from '../message/subject.ts';

/** The message that a call answers, as far as an answer needs it. */
export type Parent = {
  direction: 'inbound' | 'outbound';
  sender: Address;
  to: readonly Address[];
  /** Reply-To of the message itself (RFC 5322 §3.6.2); empty: answers go to its author. */
  replyTo: readonly Address[];
  subject: string;
  /** As its recipients know it. */
  internetMessageId: InternetMessageId | null;
  /** The id that we gave it, where the provider replaced that; null where it is the same, or not ours. */
  originalMessageId: InternetMessageId | null;
  inReplyTo: readonly InternetMessageId[];
  references: readonly InternetMessageId[];
};

/** Whom a call named. */
export type NamedRecipients = { to: readonly Address[]; cc: readonly Address[]; bcc: readonly Address[] };

/**
 * Whom a message goes to (D0), each address once. What the call names counts; an answer without a
 * `to` goes to the parent's author, or to its recipients where it was ours. `leftOut` tells of an
 * address that the message never goes to.
 */
export function recipientsOf(
  named: NamedRecipients,
  parent: Parent | null,
  leftOut: (address: string) => boolean,
): { to: Address[]; cc: Address[]; bcc: Address[] } {
  const wanted = named.to.length > 0 || parent === null ? named.to : answered(parent);
  const seen = new Set<string>();
  const distinct = (people: readonly Address[]) =>
    people.filter(({ address }) => {
      const canonical = canonicalAddress(address);
      if (seen.has(canonical) || leftOut(address)) return false;
      seen.add(canonical);
      return true;
    });
  return { to: distinct(wanted), cc: distinct(named.cc), bcc: distinct(named.bcc) };
}

function answered(parent: Parent): readonly Address[] {
  if (parent.direction === 'outbound') return parent.to;
  return parent.replyTo.length > 0 ? parent.replyTo : [parent.sender];
}

/**
 * Tells of addresses that a message never goes to: logging addresses (B6), and when it is an answer the
 * sender's own, in whatever spelling. `own` is in own form.
 */
export function leftOutTest(of: {
  own: ReadonlySet<string>;
  isAnswer: boolean;
  loggingDomain: string | null;
}): (address: string) => boolean {
  return (address) =>
    domainOf(address) === of.loggingDomain || (of.isAnswer && of.own.has(canonicalOwnAddress(address)));
}

/** What makes mail programs show a message in its thread (D4). Ids are without brackets. */
export type ThreadHeaders = { inReplyTo: InternetMessageId | null; references: InternetMessageId[] };

/**
 * In-Reply-To and the full References of an answer (RFC 5322 §3.6.4): the parent's references, or
 * where it has none what it answers itself, then the parent. Where the provider renamed our parent,
 * its recipients know it by the new id alone; our own id stands before it, since it is what other
 * copies may carry.
 */
export function threadHeaders(parent: Parent | null): ThreadHeaders {
  if (parent === null) return { inReplyTo: null, references: [] };
  const before = parent.references.length > 0 ? parent.references : parent.inReplyTo.slice(0, 1);
  const own = [parent.originalMessageId, parent.internetMessageId].filter((id) => id !== null);
  // The parent's ids come last, also when a loop of references names them before.
  const references = [...before.filter((id) => !own.includes(id)), ...own];
  const citable = [...new Set(references)].filter(isCitable);
  const inReplyTo = parent.internetMessageId;
  return { inReplyTo: inReplyTo !== null && isCitable(inReplyTo) ? inReplyTo : null, references: citable };
}

/** Ids that fit into a header line as they are (RFC 5322 §2.1.1: 998 octets); none can be folded or encoded. */
function isCitable(id: InternetMessageId): boolean {
  return /^[\x21-\x3b\x3d\x3f-\x7e]{1,900}$/.test(id);
}

/** The subject: what the call gives, or the parent's with `Re:` before its base. */
export function subjectOf(given: string | null, parent: Parent | null): string {
  return given ?? (parent === null ? '' : replySubject(parent.subject));
}
