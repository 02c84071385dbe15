import type { ThreadId } from '../lib/id.ts';
import type { AskedGround, OutgoingGround } from '../store/outgoing.ts';
import type { StoredThread } from './facts.ts';
import type { GrowingGround, Shared } from './gather.ts';

type Going = Pick<AskedGround, 'subAccountId' | 'userId' | 'through' | 'threadId'>;

/** A sub-account has each conversation once, and so on. */
type OfSubAccount = Omit<Shared, 'threads'>;

/**
 * Grounds of messages that are filed together, so that what one does is there for the next: within a sub-account, and
 * what its threads are in a mailbox within that. Pure but for what it gathers.
 */
export function createGrounds(): (going: Going, there: OutgoingGround) => GrowingGround {
  const ofSubAccounts = new Map<string, OfSubAccount>();
  const ofMailboxes = new Map<string, Shared['threads']>();
  return (going, there) => {
    const { subAccountId, userId, through } = going;
    const mailboxId = through?.mailboxId ?? null;
    const shared = ofSubAccounts.get(subAccountId) ?? nothingShared();
    ofSubAccounts.set(subAccountId, shared);
    const place = JSON.stringify([subAccountId, mailboxId]);
    const threads = ofMailboxes.get(place) ?? new Map<ThreadId, StoredThread>();
    ofMailboxes.set(place, threads);
    for (const { id, conversation } of there.contacts)
      if (conversation !== null) shared.conversations.set(id, conversation);
    // A contact that the call names may have no address on the message, and a conversation all the same.
    for (const { contact, conversation } of there.named) shared.conversations.set(contact, conversation);
    addThread(shared, threads, going.threadId, there.thread);
    const connection = { subAccountId, userId, mailboxId };
    return { ...shared, threads, unconfirmedSends: new Map(), connection };
  };
}

function nothingShared(): OfSubAccount {
  return {
    messages: new Map(),
    threadKeys: new Map(),
    conversations: new Map(),
    threadConversations: new Map(),
  };
}

/** The thread that a message answers in. */
function addThread(
  shared: OfSubAccount,
  threads: Shared['threads'],
  threadId: ThreadId | null,
  thread: OutgoingGround['thread'],
): void {
  if (threadId === null || thread === null) return;
  const shown = new Map(thread.conversations.map(({ contact, id }) => [contact, id]));
  threads.set(threadId, {
    threadId,
    link: thread.link,
    unlinkedReason: null,
    forwards: 0,
    crmSent: false,
    participants: new Set(thread.participants),
    contacts: new Set(shown.keys()),
  });
  shared.threadConversations.set(threadId, shown);
  for (const { key, kind } of thread.keys) {
    const others = (shared.threadKeys.get(key) ?? []).filter((known) => known.threadId !== threadId);
    shared.threadKeys.set(key, [...others, { threadId, kind }]);
  }
}
