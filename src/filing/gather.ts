import { canonicalAddress, canonicalOwnAddress, domainOf } from '../message/addresses.ts';
import { noLimits } from '../message/attachment-limits.ts';
import type { AttachmentLimits } from '../message/attachment-limits.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { idKey } from '../message/message-id.ts';
import { forwardCount } from '../message/subject.ts';
import type { ConnectionId, ConversationId, MailboxId, ThreadId } from '../lib/id.ts';
import type { FactKeys, FactRows, FilingConnection } from '../store/filing-facts.ts';
import type { LimitsOf } from '../provider/figures.ts';
import { effectiveSettings } from '../store/sub-accounts.ts';
import type { ContactFact, FactBase, StoredMessage, StoredThread } from './facts.ts';
import type { Sighting } from './sighting.ts';

/** What must be looked up for a batch: each key once, however many messages name it. */
export function factKeysOf(
  mailboxId: MailboxId,
  sightings: readonly Sighting[],
  connections: readonly FilingConnection[],
  reports: Iterable<DeliveryReport | null> = [],
): FactKeys {
  const read = [...reports].filter((report) => report !== null);
  const people = new Set<string>();
  for (const sighting of sightings) {
    const { author, recipients } = sighting.people;
    for (const { address } of author === null ? recipients : [author, ...recipients]) people.add(address);
  }
  const addresses = unique([...people].map(canonicalAddress));
  return {
    mailboxId,
    subAccountIds: unique(connections.map((connection) => connection.subAccountId)),
    userIds: unique(connections.map((connection) => connection.userId)),
    addresses,
    ownAddresses: unique([...people].map(canonicalOwnAddress)),
    neverLogPatterns: unique([...addresses, ...[...people].map((address) => `@${domainOf(address)}`)]),
    messageKeys: unique([
      ...sightings.flatMap(({ messageKeys }) => messageKeys),
      ...sightings.flatMap(({ quotedKey }) => quotedKey ?? []),
      ...read.flatMap(({ cites }) => cites.map(idKey)),
    ]),
    threadKeys: unique(sightings.flatMap(({ threadKeys }) => threadKeys.map(({ key }) => key))),
    threadIds: [],
    fingerprints: unique([
      ...sightings.map((sighting) => sighting.fingerprint),
      ...read.flatMap(({ fingerprints }) => fingerprints),
    ]),
    tombstones: [],
  };
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/** What a mailbox takes, by any of its connections (L1, L2); all where it has none. */
export function mailboxLimits(limitsOf: LimitsOf, [first]: readonly FilingConnection[]): AttachmentLimits {
  return first === undefined ? noLimits : limitsOf(first.provider, first.limitsSaid);
}

/** A fact base that also knows which conversations exist, for the effects. */
export type Ground = FactBase & {
  /** Contact → its conversation, as far as there is one. */
  conversations: Map<string, ConversationId>;
  /** Thread → the conversations in which it shows, with their contacts. */
  threadConversations: Map<ThreadId, Map<string, ConversationId>>;
};

/** What the effects of a new message look at, and let know. */
export type GrowingGround = Shared &
  Pick<Ground, 'unconfirmedSends'> & {
    connection: Pick<Ground['connection'], 'subAccountId' | 'userId' | 'mailboxId'>;
  };

/** What one sub-account's connections share, so that one's effects are facts for the next. */
export type Shared = Pick<
  Ground,
  'messages' | 'threadKeys' | 'threads' | 'conversations' | 'threadConversations'
>;

/** The rows of a batch, sorted by connection: what each one's rules may look at. Pure. */
export function groundsFor(
  mailboxId: MailboxId | null,
  connections: readonly FilingConnection[],
  found: FactRows,
): Map<ConnectionId, Ground> {
  const shared = new Map<string, Shared>();
  const assigned = new Set(found.contacts.filter((row) => row.assigned !== null).map((row) => row.canonical));
  const claimers = new Map(found.claims.map((row) => [row.canonical, row.sub]));
  const claimedBy = (canonical: string, sub: string): ContactFact['claimed'] => {
    const claimer = claimers.get(canonical);
    return claimer === undefined ? null : claimer === sub ? 'here' : 'elsewhere';
  };
  return new Map(
    connections.map((connection): [ConnectionId, Ground] => {
      const sub = connection.subAccountId;
      const common = shared.get(sub) ?? sharedOf(sub, found);
      shared.set(sub, common);
      const users = found.users.filter((row) => row.sub === sub).map((row) => row.canonical);
      const neverLog = found.neverLog.filter((row) => row.sub === sub || row.usr === connection.userId);
      const settings = effectiveSettings(connection.settings);
      const ground: Ground = {
        ...common,
        connection: { ...connection, mailboxId },
        syncSentToContacts: settings.sync_sent_to_contacts,
        shared: connections.some((other) => other.subAccountId !== sub),
        assignedContactsOnly: settings.assigned_contacts_only,
        twoWaySyncOff: connection.provider === 'outlook' && !settings.outlook_two_way_sync,
        byHand: false,
        answered: false,
        skipsTooLarge: settings.inbound_attachments === 'skip_message',
        fetchThreadHead: settings.fetch_thread_head,
        ownAddresses: new Set(connection.ownAddresses),
        userAddresses: new Set([...users, ...connection.ownAddresses]),
        contacts: grouped(
          found.contacts.filter((row) => row.sub === sub),
          'canonical',
          (row): ContactFact => ({
            id: row.id,
            assigned:
              row.assigned === null ? 'nobody' : row.assigned === connection.userId ? 'user' : 'other',
            assignedAnywhere: assigned.has(row.canonical),
            claimed: claimedBy(row.canonical, sub),
          }),
        ),
        neverLog: new Set(neverLog.map((row) => row.pattern)),
        erased: new Map(
          found.erased
            .filter((row) => row.sub === sub)
            .map(({ uid, message, ofSent }) => [uid, { messageId: message, ofSent }]),
        ),
        unconfirmedSends: grouped(
          found.unconfirmed.filter((row) => row.sub === sub),
          'fingerprint',
          (row) => storedMessage({ ...row, here: true, omitted: false }),
        ),
      };
      return [connection.id, ground];
    }),
  );
}

function sharedOf(sub: string, found: FactRows): Shared {
  const mine = <Row extends { sub: string }>(list: readonly Row[]) => list.filter((row) => row.sub === sub);
  const threads = mine(found.threads);
  return {
    messages: grouped(mine(found.messages), 'key', storedMessage),
    threadKeys: grouped(mine(found.threadKeys), 'key', ({ thread, kind }) => ({ threadId: thread, kind })),
    threads: new Map(
      threads.map((row): [ThreadId, StoredThread] => [
        row.thread,
        {
          threadId: row.thread,
          link: row.link,
          unlinkedReason: row.reason,
          forwards: forwardCount(row.subject),
          crmSent: row.crm_sent,
          participants: new Set(row.participants ?? []),
          contacts: new Set(row.conversations?.map(({ contact }) => contact)),
        },
      ]),
    ),
    conversations: new Map(
      mine(found.contacts).flatMap((row): [string, ConversationId][] =>
        row.conversation === null ? [] : [[row.id, row.conversation]],
      ),
    ),
    threadConversations: new Map(
      threads.map((row) => [
        row.thread,
        new Map((row.conversations ?? []).map(({ id, contact }) => [contact, id])),
      ]),
    ),
  };
}

function storedMessage(row: Omit<FactRows['messages'][number], 'sub' | 'key'>): StoredMessage {
  return {
    messageId: row.message,
    threadId: row.thread,
    fingerprint: row.fingerprint,
    here: row.here,
    sendId: row.send,
    omitted: row.omitted,
    sent: row.sent,
  };
}

function grouped<Row extends Record<Key, string>, Key extends string, Value>(
  list: readonly Row[],
  key: Key,
  value: (row: Row) => Value,
): Map<string, Value[]> {
  const groups = new Map<string, Value[]>();
  for (const row of list) {
    const group = groups.get(row[key]);
    if (group === undefined) groups.set(row[key], [value(row)]);
    else group.push(value(row));
  }
  return groups;
}
