import { canonicalAddress, canonicalOwnAddress, domainOf } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import { forwardCount, isForwardSubject } from '../message/subject.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import type { MailKind } from '../message/kind.ts';
import type { ConnectionId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import type { SentMail, UnlinkedReason } from '../store/filing-facts.ts';
import type { Proof } from '../store/spool.ts';
import type { Settings } from '../store/sub-accounts.ts';
import { reportedOn } from './reports.ts';
import { citedAs, citedPrefix, directionOf, isCited, quoted } from './sighting.ts';
import type { Direction, FolderRole, Sighting, ThreadKey } from './sighting.ts';
import { threadsOf } from './thread-facts.ts';

/**
 * All that `decide` looks at: what the message and the database say of each other, without content.
 * Only ids, booleans and counts stand here, so that the facts of a decision can be stored, shown
 * and replayed without keeping anything of a private mail.
 */
export type Facts = {
  role: FolderRole;
  /** \Draft flag or label, or the Drafts folder. */
  draft: boolean;
  /** \Spam or \Trash label, or these folders. */
  discarded: boolean;
  direction: Direction;
  kind: MailKind;
  /** The subject says that the message is a forward. */
  forward: boolean;
  /** How often its subject says that something was forwarded, this message included. */
  forwards: number;
  /** The provider received it before the connection began (C8). */
  beforeConnection: boolean;
  author: {
    /** The mailbox's own address or one of its user's. */
    own: boolean;
    /** An address of any user of the sub-account (S7). */
    user: boolean;
    contacts: ContactFact[];
  };
  /** Recipients (To, Cc, visible Bcc) who are no user of the sub-account. */
  outsideRecipients: number;
  recipientContacts: ContactFact[];
  /** Author or a recipient is on a never-log list (S15). */
  neverLog: boolean;
  /** The stored message that this sighting is another look at, if any (S12). */
  known: KnownFact | null;
  /** The message that this sighting was another look at, and that was erased here (C7). */
  erased: MessageId | null;
  /** Threads of the sub-account that a key of the message names, the nearest ancestor first. */
  threads: ThreadFact[];
  /** What the message reports on, where it is a delivery report or a read receipt about a mail of ours (D6). */
  reportsOn: ReportFact | null;
  /** The sub-account wants mail that the user writes to a contact elsewhere (S6). */
  syncSentToContacts: boolean;
  /** The mailbox is connected in several sub-accounts (S8). */
  shared: boolean;
  /** Where mail of a contact syncs only if the contact is assigned to the connected user (S8). */
  assignedContactsOnly: Settings['assigned_contacts_only'];
  /** It is an Outlook mailbox, and the sub-account has turned `outlook_two_way_sync` off (S10). */
  twoWaySyncOff: boolean;
  /** The CRM asks for this very message, whatever the rules said of it before. */
  byHand: boolean;
  /** It was fetched because a message that opened a thread answers it (S13). */
  answered: boolean;
  /** Its attachments are past the limit of the mailbox (L1), and are not to be left out. */
  tooLarge: boolean;
  /** It came to a logging address; all else is of what is logged of it. Missing: it was seen in a mailbox. */
  logged?: LoggedFacts;
};

/** What the rules look at besides of a mail that came to a logging address (B). */
export type LoggedFacts = {
  /** Of the mail itself; what was forwarded may be of another. */
  kind: MailKind;
  /** It, or what it forwards, comes from a logging address, or it was passed on too often. */
  loop: boolean;
  /** The membership of the user whose address it was has ended meanwhile. */
  gone: boolean;
  /** From is an address of the user whose logging address it is. */
  byUser: boolean;
  /** What the sending domain proves of From. */
  proof: Proof['verdict'];
  /** A person has reviewed it, and said that it is to be logged. */
  released: boolean;
  /** Whether it was forwarded to the logging address alone, and what was forwarded can be read with confidence. */
  forwarded: 'no' | 'sure' | 'unsure';
  /** Its attachments are past the limit of the user's mailbox (L1), and are not to be left out. */
  tooLarge: boolean;
  /** Those for whose sake it is logged: outside recipients, or the author of what was forwarded. */
  counterparts: number;
  /** Of them, those who are contacts. */
  contacts: ContactFact[];
  /** Who would be among them, and is on a never-log list (S15). */
  neverLogged: number;
};

export type ReportFact = {
  messageId: MessageId;
  sendId: SendId;
  /** Something else than a delay, a delivery or a look at it. */
  failed: boolean;
  /** Why it is not believed: see reports.ts; null where it is. */
  doubt: 'dmarc' | 'return_path' | 'recipient' | null;
};

export type ContactFact = {
  id: string;
  /** To whom it is assigned here: the connected user, another one, nobody. */
  assigned: 'user' | 'other' | 'nobody';
  /** Of the sub-accounts in which the mailbox is connected, one has it assigned to somebody. */
  assignedAnywhere: boolean;
  /** Which sub-account has claimed it for this mailbox (S9). */
  claimed: 'here' | 'elsewhere' | null;
};

export type KnownFact = {
  messageId: MessageId;
  threadId: ThreadId;
  /** It was seen in this mailbox before, or was sent through it by us. */
  here: boolean;
  /** The send that it is the mailbox's own copy of. */
  sendId: SendId | null;
  by: 'id' | 'provider_id' | 'original_id' | 'fingerprint';
  /** Only its header is stored: its attachments were too large (L1). */
  omitted: boolean;
};

export type ThreadFact = {
  threadId: ThreadId;
  /**
   * The most telling of the keys that name it. `message`: the message answers, or is, one that is stored
   * there; `cited`: one that is stored there cites it; `referenced`: both cite the same older one.
   */
  by: ThreadKey['kind'] | 'cited';
  /** Its link to this mailbox; null where it lives in other mailboxes only. */
  link: 'live' | 'unlinked' | null;
  unlinkedReason: UnlinkedReason | null;
  /** Who is on the message and on the thread: somebody outside, the mailbox's owner or colleagues alone, nobody. */
  shares: 'outside' | 'own' | 'nobody';
  /** As of the message, by the subject that opened the thread. */
  forwards: number;
  /** The CRM has sent a message of it through this mailbox (S1). */
  crmSent: boolean;
};

/** What the database holds about a batch of sightings, in one sub-account, for one connection. */
export type FactBase = {
  connection: {
    id: ConnectionId;
    subAccountId: string;
    userId: string;
    /** Null: the user has none, and logs mail all the same. */
    mailboxId: MailboxId | null;
    /** Own form. */
    mailboxAddress: string;
    /** ms since the epoch. */
    startedAt: number;
  };
  syncSentToContacts: boolean;
  shared: boolean;
  assignedContactsOnly: Settings['assigned_contacts_only'];
  twoWaySyncOff: boolean;
  byHand: boolean;
  answered: boolean;
  /** A message past them is not stored without its attachments, but not at all (`inbound_attachments`). */
  skipsTooLarge: boolean;
  /** What a message answers is fetched when it opens a thread (S13). */
  fetchThreadHead: boolean;
  /** Own form: the mailbox's address and all addresses of the connected user. */
  ownAddresses: ReadonlySet<string>;
  /** Own form: addresses of users of the sub-account, as far as the batch names them. */
  userAddresses: ReadonlySet<string>;
  /** Contact's form → the contacts that have it. */
  contacts: Map<string, readonly ContactFact[]>;
  /** Canonical addresses and `@domain`s that are never logged. */
  neverLog: ReadonlySet<string>;
  /** Message key → the stored messages known by it. */
  messages: Map<string, StoredMessage[]>;
  /** Thread key → the threads known by it. */
  threadKeys: Map<string, { threadId: ThreadId; kind: ThreadKey['kind'] }[]>;
  threads: Map<ThreadId, StoredThread>;
  /** By UID: what is known again as a message that was erased. */
  erased: ReadonlyMap<number, ErasedMessage>;
  /**
   * Sends through this mailbox that were tried and of which a Sent copy may still come, the first one first, by
   * fingerprint: those whose copy has not been seen, and behind them those that went out once more, to recipients who
   * were put off.
   */
  unconfirmedSends: ReadonlyMap<string, StoredMessage[]>;
};

export type StoredMessage = {
  messageId: MessageId;
  threadId: ThreadId;
  fingerprint: string;
  here: boolean;
  /** Of its send through this mailbox. */
  sendId: SendId | null;
  omitted: boolean;
  /** As the CRM sent it, whichever way it took; null: it did not. */
  sent: SentMail | null;
};

/** A message that was erased. `ofSent`: known again by what counts for the mailbox's own mail alone. */
export type ErasedMessage = { messageId: MessageId; ofSent: boolean };

export type StoredThread = {
  threadId: ThreadId;
  link: 'live' | 'unlinked' | null;
  unlinkedReason: UnlinkedReason | null;
  forwards: number;
  crmSent: boolean;
  /** Contact's form. */
  participants: Set<string>;
  /** Contacts in whose conversations it shows. */
  contacts: Set<string>;
};

/**
 * INTERNALDATE has whole seconds, and a provider's clock is not quite ours: mail that is this much older
 * than the connection still counts as new.
 */
const clockToleranceMs = 5_000;

/** The facts of one sighting. `tooLarge`: its attachments are past the limit of the mailbox. Pure. */
export function factsOf(
  sighting: Sighting,
  base: FactBase,
  report: DeliveryReport | null,
  tooLarge = false,
): Facts {
  const { header, marks, place } = sighting;
  const direction = directionOf(sighting, base.ownAddresses);
  const { author, recipients } = sighting.people;
  const authorOwn = author === null ? '' : canonicalOwnAddress(author.address);
  const isUser = (address: string) => base.userAddresses.has(canonicalOwnAddress(address));
  const contactsOf = (address: string) => base.contacts.get(canonicalAddress(address)) ?? [];
  const isNeverLogged = ({ address }: Address) =>
    base.neverLog.has(canonicalAddress(address)) || base.neverLog.has(`@${domainOf(address)}`);
  const known = knownAs(sighting, direction, base);
  return {
    role: place.role,
    draft: place.role === 'drafts' || marks.has('\\draft') || marks.has('\\drafts'),
    discarded:
      place.role === 'spam' ||
      place.role === 'trash' ||
      marks.has('\\spam') ||
      marks.has('\\junk') ||
      marks.has('\\trash'),
    direction,
    kind: sighting.kind,
    forward: isForwardSubject(header.subject),
    forwards: forwardCount(header.subject),
    beforeConnection: sighting.internalDate < base.connection.startedAt - clockToleranceMs,
    author: {
      own: base.ownAddresses.has(authorOwn),
      user: author !== null && isUser(author.address),
      contacts: author === null ? [] : [...contactsOf(author.address)],
    },
    outsideRecipients: recipients.filter((recipient) => !isUser(recipient.address)).length,
    recipientContacts: recipients.flatMap((recipient) =>
      isUser(recipient.address) ? [] : [...contactsOf(recipient.address)],
    ),
    neverLog:
      base.neverLog.size > 0 &&
      ((author !== null && isNeverLogged(author)) || recipients.some(isNeverLogged)),
    known,
    erased: erasedAs(base.erased.get(place.uid), direction),
    threads: threadsOf(sighting, known, base),
    reportsOn: reportedOn(report, sighting, base),
    syncSentToContacts: base.syncSentToContacts,
    shared: base.shared,
    assignedContactsOnly: base.assignedContactsOnly,
    twoWaySyncOff: base.twoWaySyncOff,
    byHand: base.byHand,
    answered: base.answered,
    tooLarge: tooLarge && base.skipsTooLarge,
  };
}

/**
 * Which stored message this is (S12). The id alone is not enough, since senders reuse ids: the
 * fingerprint must agree. Two exceptions, both named by something that nobody else can give: Gmail's
 * own id for a message of this mailbox, and the Message-ID of our own send in the mailbox that sent
 * it, where the provider may have rewritten From or Date (providers.md A.6, 2026-11). Where an id says
 * nothing, what is alike may still be the same.
 */
function knownAs(sighting: Sighting, direction: Direction, base: FactBase): KnownFact | null {
  const [nameKey, ...otherKeys] = sighting.messageKeys;
  for (const key of [nameKey ?? '', ...otherKeys]) {
    // With the mailbox's id, which no sender knows: a Message-ID may begin with "gm:" too.
    const providerKey = key.startsWith(`gm:${sighting.mailboxId}:`);
    const found = (base.messages.get(key) ?? []).find(
      (message) =>
        providerKey ||
        message.fingerprint === sighting.fingerprint ||
        (direction === 'outbound' && message.sendId !== null && message.here),
    );
    if (found !== undefined) {
      return { ...pick(found), by: providerKey ? 'provider_id' : key === nameKey ? 'id' : 'original_id' };
    }
  }
  const alike = direction === 'outbound' ? sentAlike(sighting, base) : quotedBefore(sighting, base);
  return alike === undefined ? null : { ...pick(alike), by: 'fingerprint' };
}

/** A provider may rewrite the Message-ID and tell nobody: our own bytes are still recognised. */
function sentAlike({ fingerprint }: Sighting, base: FactBase): StoredMessage | undefined {
  return base.unconfirmedSends.get(fingerprint)?.[0];
}

/**
 * It was forwarded inline to a logging address before this mailbox showed it. Of two that somebody wrote in one minute
 * under one subject, the first that is seen is it: the other one must not be lost.
 */
function quotedBefore(sighting: Sighting, base: FactBase): StoredMessage | undefined {
  const { quotedKey, messageKeys } = sighting;
  const ofId = messageKeys.flatMap((key) => base.messages.get(key) ?? []);
  const cited = ofId.filter(({ fingerprint, here }) => fingerprint.startsWith(citedPrefix) && !here);
  const name = cited.length === 0 ? null : citedAs(sighting);
  const known = quotedKey === null ? [] : (base.messages.get(quotedKey) ?? []);
  return (
    cited.find(({ fingerprint }) => name !== null && isCited(fingerprint, name)) ??
    known.find(({ fingerprint, here }) => fingerprint === quoted && !here)
  );
}

function erasedAs(erased: ErasedMessage | undefined, direction: Direction): MessageId | null {
  if (erased === undefined || (erased.ofSent && direction === 'inbound')) return null;
  return erased.messageId;
}

function pick(message: StoredMessage): Omit<KnownFact, 'by'> {
  const { messageId, threadId, here, sendId, omitted } = message;
  return { messageId, threadId, here, sendId, omitted };
}
