import { canonicalAddress, canonicalOwnAddress } from '../message/addresses.ts';
import type { ThreadId } from '../lib/id.ts';
import type { FactBase, KnownFact, StoredThread, ThreadFact } from './facts.ts';
import type { Sighting, ThreadKey } from './sighting.ts';

/** The threads that the keys of a message name, the nearest ancestor first. Pure. */
export function threadsOf(sighting: Sighting, known: KnownFact | null, base: FactBase): ThreadFact[] {
  const keys = sighting.threadKeys.filter(({ key }) => base.threadKeys.has(key));
  // As of nearly all mail.
  if (keys.length === 0) return [];
  const { author, recipients } = sighting.people;
  const people = (author === null ? recipients : [author, ...recipients]).map(({ address }) => address);
  const facts = new Map<ThreadId, ThreadFact>();
  // Asked once for each thread, however many keys name it.
  const shares = new Map<ThreadId, ThreadFact['shares']>();
  for (const { key, kind } of keys) {
    const named = (base.threadKeys.get(key) ?? []).flatMap((entry): ThreadFact[] => {
      const thread = base.threads.get(entry.threadId);
      const by = byOf(kind, entry.kind, known?.threadId === entry.threadId);
      if (thread === undefined || by === null) return [];
      const { threadId, link, unlinkedReason, forwards, crmSent } = thread;
      const shared = shares.get(threadId) ?? sharedWith(people, thread, base);
      shares.set(threadId, shared);
      return [{ threadId, by, link, unlinkedReason, shares: shared, forwards, crmSent }];
    });
    for (const fact of named.toSorted(nearestFirst)) {
      const nearer = facts.get(fact.threadId);
      if (nearer === undefined || telling[fact.by] < telling[nearer.by]) facts.set(fact.threadId, fact);
    }
  }
  return [...facts.values()];
}

/**
 * What a key of both says, by what it is to the message and to the thread. An equal id is no equal message:
 * senders reuse ids, and to have that of another message is not to answer it (RFC 5256 §3, REFERENCES step 1).
 */
function byOf(
  ofMessage: ThreadKey['kind'],
  ofThread: ThreadKey['kind'],
  holdsIt: boolean,
): ThreadFact['by'] | null {
  if (ofMessage === 'referenced') return ofThread;
  if (ofMessage !== 'message') return ofMessage;
  if (ofThread === 'referenced') return 'cited';
  return holdsIt ? 'message' : null;
}

/** The most telling first. */
const telling: Readonly<Record<ThreadFact['by'], number>> = {
  message: 0,
  cited: 1,
  gmail: 2,
  referenced: 3,
  thread_index: 4,
};
const sharing: Readonly<Record<ThreadFact['shares'], number>> = { outside: 0, own: 1, nobody: 2 };

/**
 * Of the threads that one key names: the one that holds the message is nearer than those that only cite it;
 * of two that hold one with this id, the one with somebody of this message; else the older one.
 */
function nearestFirst(one: ThreadFact, other: ThreadFact): number {
  return (
    telling[one.by] - telling[other.by] ||
    sharing[one.shares] - sharing[other.shares] ||
    (one.threadId < other.threadId ? -1 : 1)
  );
}

function sharedWith(
  people: readonly string[],
  thread: StoredThread,
  base: Pick<FactBase, 'ownAddresses' | 'userAddresses' | 'contacts'>,
): ThreadFact['shares'] {
  let shares: ThreadFact['shares'] = 'nobody';
  for (const address of people) {
    const [own, canonical] = [canonicalOwnAddress(address), canonicalAddress(address)];
    // A contact is the same person by whichever of their addresses.
    const contacts = base.contacts.get(canonical) ?? [];
    if (base.ownAddresses.has(own)) shares = 'own';
    else if (!thread.participants.has(canonical) && !contacts.some(({ id }) => thread.contacts.has(id)))
      continue;
    else if (base.userAddresses.has(own)) shares = 'own';
    else return 'outside';
  }
  return shares;
}
