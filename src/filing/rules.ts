import type { ThreadId } from '../lib/id.ts';
import type { Because } from './because.ts';
import type { ContactFact, Facts, KnownFact, ReportFact, ThreadFact } from './facts.ts';

/**
 * Why a sighting was stored or left out: the identifiers of RULES.md, and for rules that need none
 * there, a word of the same kind. They are public: API.md, the OpenAPI document.
 */
export const reasonCodes = {
  crm_send: 'S1, D2: sent from the CRM',
  sent_copy: "U1, S12: the mailbox's own copy of what the CRM sent",
  duplicate: 'S12: a message that is stored already, seen once more',
  from_contact: 'S2: its author is a contact',
  thread_member: 'S3: it belongs to a live thread of this mailbox',
  thread_unlinked: 'S4: it belongs to a thread that no longer syncs',
  no_match: 'S5: no rule asks for it; it stays private',
  to_contact: 'S6: the user wrote it to a contact',
  not_assigned: 'S8: the contact is assigned to somebody else, or in another sub-account',
  by_hand: 'the CRM asked for it by hand',
  claimed_elsewhere: 'S9: another sub-account has claimed the contact for this mailbox',
  feature_off: 'S10: outlook_two_way_sync is off; only threads in which the CRM sends sync',
  counterpart_is_user: 'S7: only users of the sub-account are on the other side',
  delivery_report: 'S11, D6: a report about a mail that the CRM sent; it updates that mail',
  read_receipt: 'S11, D6: a read receipt for a mail that the CRM sent; it shows there',
  automatic: 'S11: an automatic, list or bulk mail opens no thread',
  draft: 'S14: a draft',
  spam_or_trash: 'S14: in Spam or Trash',
  never_log: 'S15: an address or domain of it is on a never-log list',
  before_connection: 'C8: it is older than the connection',
  erased: 'C7: it was erased here, and does not come back',
  unreadable: 'T3: it could not be fetched or parsed',
  logged: 'B2: the user sent it to their logging address',
  not_the_user: 'B4: it came to a logging address from somebody who is not its user',
  unproven: 'B4: the sending domain does not prove that the user sent it to their logging address',
  too_many_recipients: 'B2: it came to a logging address, and to too many others',
  forward_unclear: 'B2: it was forwarded to a logging address, and who wrote it is not clear',
  attachment_too_large: 'L1: its attachments are past the limit of the mailbox',
  mail_loop: 'B6: it came to a logging address from one, or in circles',
  address_gone: 'B1: whose logging address it came to is no member any more',
  discarded: 'B4: it waited for review, and was discarded',
} as const;

export type ReasonCode = keyof typeof reasonCodes;

/** What a rule that has something to say answers. */
export type Answer =
  /** Not stored. */
  | { verdict: 'skip'; reason: ReasonCode; because: Because }
  /** The same as a message that is stored: one more sighting of it. */
  | { verdict: 'join'; reason: ReasonCode; because: Because; known: KnownFact }
  /** Not stored: it says what became of a message that the CRM sent. */
  | { verdict: 'report'; reason: ReasonCode; because: Because; on: ReportFact }
  /** Kept for a person's review. */
  | { verdict: 'hold'; reason: ReasonCode; because: Because }
  /** Stored, in this thread or (null) in a new one; `fills`: a message of which only the header is stored. */
  | {
      verdict: 'store';
      reason: ReasonCode;
      because: Because;
      threadId: ThreadId | null;
      fills: KnownFact | null;
    }
  /** Shown where it would be stored, and not stored but for its header (L1); `known`: it is shown already. */
  | {
      verdict: 'omit';
      reason: ReasonCode;
      because: Because;
      opensBy: ReasonCode;
      threadId: ThreadId | null;
      known: KnownFact | null;
    };

/** A rule: its identifier in RULES.md, and its answer, or null when it has nothing to say. Pure. */
export type Rule = { id: string; ask(facts: Facts): Answer | null };

/** The rules in the order in which they are asked; the first answer counts. */
export const rules: readonly Rule[] = [
  { id: 'S14', ask: discarded },
  { id: 'S12', ask: knownHere },
  { id: 'D6', ask: deliveryReport },
  // Behind what is stored, which may look like it; before all that would say why it is kept or left out.
  { id: 'C7', ask: erased },
  { id: 'C8', ask: beforeConnection },
  { id: 'S15', ask: neverLog },
  { id: 'S7', ask: counterpartIsUser },
  { id: 'by_hand', ask: byHand },
  { id: 'S10', ask: featureOff },
  { id: 'S4', ask: threadUnlinked },
  { id: 'S3', ask: threadMember },
  { id: 'S11', ask: automatic },
  { id: 'S9', ask: claimedElsewhere },
  { id: 'S8', ask: notAssigned },
  { id: 'S2', ask: fromContact },
  { id: 'S6', ask: toContact },
  { id: 'S5', ask: noMatch },
];

function discarded(facts: Facts): Answer | null {
  if (facts.draft) return skip('draft', { say: 'draft' });
  if (facts.discarded)
    return skip('spam_or_trash', { say: 'in_folder', role: { say: `role_${facts.role}` } });
  return null;
}

function knownHere(facts: Facts): Answer | null {
  const { known } = facts;
  if (known === null || !known.here) return null;
  const because: Because = {
    say: 'same_by',
    message: known.messageId,
    key: { say: `key_${known.by}` },
  };
  if (known.omitted) {
    if (facts.byHand) return null;
    const shown = { opensBy: 'duplicate', threadId: known.threadId, known } as const;
    return {
      verdict: 'omit',
      reason: 'attachment_too_large',
      because: { say: 'known_too_large', first: because },
      ...shown,
    };
  }
  return { verdict: 'join', reason: known.sendId === null ? 'duplicate' : 'sent_copy', because, known };
}

function deliveryReport(facts: Facts): Answer | null {
  const on = facts.reportsOn;
  if (facts.direction === 'outbound' || on === null) return null;
  const { messageId: message, doubt } = on;
  const kind: Because = { say: `kind_${facts.kind}` };
  if (doubt !== null)
    return skip('automatic', { say: 'not_believed', kind, message, doubt: { say: `doubt_${doubt}` } });
  const isReceipt = facts.kind === 'read_receipt';
  const says = on.failed ? 'report_failed' : isReceipt ? 'report_read' : 'report_late';
  const reason = isReceipt ? 'read_receipt' : 'delivery_report';
  return { verdict: 'report', reason, because: { say: says, message }, on };
}

function erased(facts: Facts): Answer | null {
  return facts.erased === null ? null : skip('erased', { say: 'erased', message: facts.erased });
}

/** What a thread's first message answers belongs to it however old it is (S13); nothing else of then does. */
function beforeConnection(facts: Facts): Answer | null {
  const isHead = facts.answered && ownThread(facts)?.link === 'live';
  return facts.beforeConnection && !isHead ? skip('before_connection', { say: 'before_connection' }) : null;
}

function neverLog(facts: Facts): Answer | null {
  return facts.neverLog ? skip('never_log', { say: 'never_log' }) : null;
}

function counterpartIsUser(facts: Facts): Answer | null {
  if (facts.direction === 'inbound' && (facts.author.user || facts.author.own)) {
    return skip('counterpart_is_user', { say: 'author_is_user' });
  }
  if (facts.direction === 'outbound' && facts.outsideRecipients === 0) {
    return skip('counterpart_is_user', { say: 'recipients_are_users' });
  }
  return null;
}

/**
 * What the CRM asks for by hand is stored, unless it is a draft, junk, colleagues' or never logged. By itself
 * it makes no thread sync. Without a contact on it, and in no thread, it would show nowhere.
 */
function byHand(facts: Facts): Answer | null {
  if (!facts.byHand) return null;
  const thread = ownThread(facts);
  if (thread === undefined && facts.author.contacts.length + facts.recipientContacts.length === 0)
    return null;
  return storeOrJoin(facts, 'by_hand', { say: 'asked_for' }, thread?.threadId ?? null);
}

function featureOff(facts: Facts): Answer | null {
  if (!facts.twoWaySyncOff) return null;
  const thread = ownThread(facts);
  if (thread?.link === 'live' && !thread.crmSent) {
    return skip('feature_off', { say: 'off_not_from_crm', thread: thread.threadId });
  }
  const contact = facts.kind === 'person' && thread === undefined ? counterparts(facts)[0] : undefined;
  if (contact === undefined) return null;
  return skip('feature_off', { say: 'off_contact', contact: contact.id });
}

/** The nearest thread of this mailbox that it belongs to. */
function ownThread(facts: Facts): ThreadFact | undefined {
  return facts.threads.find((thread) => thread.link !== null && belongs(facts, thread));
}

function threadUnlinked(facts: Facts): Answer | null {
  const thread = ownThread(facts);
  if (thread?.link !== 'unlinked') return null;
  const reason: Because = { say: `unlinked_${thread.unlinkedReason ?? 'unknown'}` };
  return skip('thread_unlinked', { say: 'unlinked', thread: thread.threadId, reason });
}

function threadMember(facts: Facts): Answer | null {
  const thread = ownThread(facts);
  if (thread?.link !== 'live') return null;
  // A delivery report tells about a message, it is none (S11, D6).
  if (facts.kind === 'delivery_report' || facts.kind === 'read_receipt') {
    const kind: Because = { say: `kind_${facts.kind}` };
    return skip('automatic', { say: 'report_in_thread', kind, thread: thread.threadId });
  }
  const because: Because = { say: `member_by_${thread.by}`, thread: thread.threadId };
  return storeOrJoin(facts, 'thread_member', because, thread.threadId);
}

/**
 * Whether a key that names the thread is enough. An id of a stored message was given to those on it alone; a
 * mail that one of them answered, or that Gmail counts to the thread, is of the same exchange. An id that is
 * only referenced, or a Thread-Index, may be shared by strangers and by all that the users wrote among
 * themselves, so somebody who is no user must be on both.
 *
 * A forward opens its own thread, also one out of a thread that a forward opened; an answer to it tells of
 * more forwards than the subject of that thread, and stays out as well. What was forwarded is cited in the
 * forward's thread, and Gmail and Outlook count it to the same thread; so there only an answer to a stored
 * message belongs with fewer forwards, or with nobody but users in common.
 */
export function belongs(facts: Facts, thread: ThreadFact): boolean {
  const { by, shares, forwards } = thread;
  // Whoever cites a mail has it fetched, and the mailbox's owner is on all of its mail: that is nothing in common.
  if (facts.answered && shares !== 'outside') return false;
  // Its answer was stored first, and opened the thread.
  if (facts.forward) return by === 'cited' && shares === 'outside' && facts.forwards === forwards;
  if (facts.forwards > forwards) return false;
  const answers = by === 'message';
  if (facts.forwards < forwards && !answers) return false;
  const strong = answers || (forwards === 0 && (by === 'cited' || by === 'gmail'));
  return shares === 'outside' || (strong && shares === 'own');
}

function automatic(facts: Facts): Answer | null {
  if (facts.kind === 'person') return null;
  return skip('automatic', { say: 'no_letter', kind: { say: `kind_${facts.kind}` } });
}

/** The contacts for whose sake a message opens a thread: who wrote it (S2), or to whom the user did (S6). */
function counterparts(facts: Facts): readonly ContactFact[] {
  if (facts.direction === 'inbound') return facts.author.contacts;
  return facts.syncSentToContacts ? facts.recipientContacts : [];
}

function claimedElsewhere(facts: Facts): Answer | null {
  const contacts = counterparts(facts);
  const [first] = contacts;
  if (first === undefined || contacts.some(({ claimed }) => claimed !== 'elsewhere')) return null;
  return skip('claimed_elsewhere', { say: 'claimed_elsewhere', contact: first.id });
}

function notAssigned(facts: Facts): Answer | null {
  const contacts = counterparts(facts);
  const [first] = contacts;
  if (first === undefined || contacts.some((contact) => opensThread(facts, contact))) return null;
  const whose = first.assigned === 'other' ? 'assigned_to_other' : 'assigned_elsewhere';
  return skip('not_assigned', { say: whose, contact: first.id });
}

/** S8 and S9: whether a contact's mail opens a thread here. Whoever has claimed it gets it. Pure. */
export function opensThread(
  { assignedContactsOnly, shared }: Pick<Facts, 'assignedContactsOnly' | 'shared'>,
  contact: ContactFact,
): boolean {
  if (contact.claimed !== null) return contact.claimed === 'here';
  const all = assignedContactsOnly === 'never' || (assignedContactsOnly === 'when_shared' && !shared);
  return all || contact.assigned === 'user' || !contact.assignedAnywhere;
}

function fromContact(facts: Facts): Answer | null {
  if (facts.direction !== 'inbound') return null;
  const contact = counterparts(facts).find((each) => opensThread(facts, each));
  return contact === undefined
    ? null
    : storeOrJoin(facts, 'from_contact', { say: 'author_is_contact', contact: contact.id }, null);
}

function toContact(facts: Facts): Answer | null {
  if (facts.direction !== 'outbound') return null;
  const contact = counterparts(facts).find((each) => opensThread(facts, each));
  return contact === undefined
    ? null
    : storeOrJoin(facts, 'to_contact', { say: 'written_to_contact', contact: contact.id }, null);
}

function noMatch(): Answer {
  return skip('no_match', { say: 'no_match' });
}

/**
 * Stored here for the first time: as one more sighting where another mailbox of the sub-account
 * brought the same message already (S12), in the thread of another mailbox that it belongs to, or
 * in a thread of its own.
 */
function storeOrJoin(facts: Facts, reason: ReasonCode, because: Because, threadId: ThreadId | null): Answer {
  const { known } = facts;
  if (known?.omitted === true) {
    const filled: Because = { say: 'fills', first: because, message: known.messageId };
    return { verdict: 'store', reason, because: filled, threadId: known.threadId, fills: known };
  }
  if (known !== null) {
    const joined: Because = { say: 'same_message', first: because, message: known.messageId };
    return { verdict: 'join', reason, because: joined, known };
  }
  const elsewhere = facts.threads.find((thread) => thread.link === null && belongs(facts, thread));
  return {
    verdict: 'store',
    reason,
    because,
    threadId: threadId ?? elsewhere?.threadId ?? null,
    fills: null,
  };
}

/** L1: what is to be stored and is too large is only shown, unless somebody asks for it by hand. Pure. */
export function tooLarge(facts: Facts, answer: Answer): Answer | null {
  if (answer.verdict !== 'store' || !facts.tooLarge || facts.byHand) return null;
  return {
    verdict: 'omit',
    reason: 'attachment_too_large',
    because: { say: 'too_large' },
    opensBy: answer.reason,
    threadId: answer.threadId,
    known: answer.fills,
  };
}

export function skip(reason: ReasonCode, because: Because): Answer {
  return { verdict: 'skip', reason, because };
}
