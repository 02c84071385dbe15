import { canonicalAddress } from '../message/addresses.ts';
import { headerFingerprint } from '../message/fingerprint.ts';
import type { MessageHeader } from '../message/header.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, FolderId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import { nowhere } from '../store/filing-facts.ts';
import { writeFiling } from '../store/filing-writes.ts';
import type { MessageRow } from '../store/filing-writes.ts';
import { lockSenders, readOutgoingGrounds } from '../store/outgoing.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicSend } from '../store/public-send.ts';
import { linkStored } from './answers.ts';
import { claim } from './claim.ts';
import type { Step } from './decide.ts';
import { noEffects, storeMessage } from './effects.ts';
import type { Body, Effects, MessageDraft } from './effects.ts';
import { tellEffects } from './events.ts';
import type { GrowingGround } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
import { createGrounds } from './outgoing-ground.ts';
import { sight } from './sighting.ts';
import type { Sighting } from './sighting.ts';

/** A message that the CRM hands over, composed: its bytes will go out exactly as they are. */
export type Outgoing = {
  sendId: SendId;
  kind: MessageRow['kind'];
  subAccountId: string;
  userId: string;
  /** What it goes through; null: the sub-account's provider. */
  through: { connectionId: ConnectionId; mailboxId: MailboxId } | null;
  /** Header of the composed message, read back from its bytes. */
  header: MessageHeader;
  body: Body;
  bcc: { name: string; address: string }[];
  /** The thread that it answers in; null opens one. */
  threadId: ThreadId | null;
  /** Contacts named in the call, besides those whose address is among the recipients. */
  contactIds: string[];
  /** ms since the epoch. */
  acceptedAt: number;
};

/** A message whose sender is held as they are, and all that is looked at to file it. */
export type GroundedOutgoing = {
  outgoing: Outgoing;
  sighting: Sighting;
  ground: GrowingGround;
  /** Those that the call names, and those among its recipients. */
  contactIds: string[];
  /** Its mailbox is connected in other sub-accounts, too. */
  isShared: boolean;
};

/**
 * Holds the senders of messages as they are until the transaction ends, and looks at where each message goes, in
 * their order. Null: the connection ended, or the membership did, or the thread in which it answers was erased.
 */
export async function groundOutgoing(
  tx: Db,
  outgoings: readonly Outgoing[],
): Promise<(GroundedOutgoing | null)[]> {
  const sightings = outgoings.map(asSighting);
  const [, found] = await inOneGo([
    lockSenders(tx, outgoings),
    readOutgoingGrounds(
      tx,
      outgoings.map(({ header, ...outgoing }, n) => ({
        ...outgoing,
        addresses: [...new Set([...header.to, ...header.cc].map(({ address }) => canonicalAddress(address)))],
        threadKeys: sightings[n]?.threadKeys.map(({ key }) => key) ?? [],
      })),
    ),
  ]);
  const growing = createGrounds();
  return outgoings.map((outgoing, n) => {
    const [there, sighting] = [found[n], sightings[n]];
    if (there === undefined || sighting === undefined) throw new Error(`${outgoing.sendId} has no ground`);
    if (!there.sends || (outgoing.threadId !== null && there.thread === null)) return null;
    const contactIds = [...outgoing.contactIds, ...there.contacts.map(({ id }) => id)];
    return { outgoing, sighting, contactIds, isShared: there.shared, ground: growing(outgoing, there) };
  });
}

/** A message that was filed: what the CRM hears of it is told when the caller has written its send. */
export type FiledOutgoing = { messageId: MessageId; threadId: ThreadId };

/**
 * S1 `crm_send`: files what the CRM sends, within the transaction that holds its senders, so that messages, sends and
 * events are there together or not at all. Of an individual message through a mailbox the thread is live there from now
 * on, and its contacts are claimed (S9); any other is recorded, and no later mail syncs for its sake (D2). The sends' own
 * rows are the caller's; they must be written in the same transaction, after `write` was begun and before `tell`.
 */
export function fileOutgoing(
  tx: Db,
  secretBox: SecretBox,
  grounded: readonly GroundedOutgoing[],
): {
  /** In their order. */
  filed: FiledOutgoing[];
  /** Writes the messages down. Throws FiledMeanwhile, when the ground of one of them has moved. */
  write(): Promise<void>;
  /** Leaves the events behind; answers the messages and the sends as they show them, in order. */
  tell(): Promise<{ message: PublicMessage; send: PublicSend }[]>;
} {
  const effects = noEffects();
  const filed = grounded.map(({ outgoing, sighting, ground, contactIds }): FiledOutgoing => {
    const stored = storeMessage(effects, ground, {
      row: draftOf(outgoing),
      attachments: outgoing.body.attachments,
      threadId: outgoing.threadId,
      openedBy: 'crm_send',
      links: isSynced(outgoing),
      contactIds,
      messageKeys: sighting.messageKeys,
      threadKeys: sighting.threadKeys,
      fingerprint: sighting.fingerprint,
      sendId: outgoing.sendId,
    });
    effects.writes.decisions.push(decisionOf(secretBox, outgoing, sighting, stored.messageId));
    effects.accepted.push({ subAccountId: outgoing.subAccountId, sendId: outgoing.sendId });
    return stored;
  });
  const write = async (): Promise<void> => {
    await writeFiling(tx, effects.writes, null);
    await linkStored(tx, effects);
    await claimContactsOf(tx, grounded);
  };
  return { filed, write, tell: () => tell(tx, effects, filed) };
}

/** S9, those of one mailbox after the other's, in one order for everybody. */
async function claimContactsOf(tx: Db, grounded: readonly GroundedOutgoing[]): Promise<void> {
  const claiming = grounded.flatMap(({ outgoing, contactIds, isShared }) => {
    const { through, subAccountId } = outgoing;
    const claims = through !== null && isShared && isSynced(outgoing);
    return claims
      ? [{ mailboxId: through.mailboxId, subAccountId, contactIds: [...new Set(contactIds)] }]
      : [];
  });
  for (const each of claiming.sort((a, b) => (a.mailboxId < b.mailboxId ? -1 : 1))) await claim(tx, each);
}

async function tell(
  tx: Db,
  effects: Effects,
  filed: readonly FiledOutgoing[],
): Promise<{ message: PublicMessage; send: PublicSend }[]> {
  const events = await tellEffects(tx, effects, { messages: [], sends: [] });
  const shown = (kind: 'message.created' | 'send.') =>
    events.flatMap(({ type, data }) => (type.startsWith(kind) ? [data] : []));
  const messages = new Map((shown('message.created') as PublicMessage[]).map((one) => [one.id, one]));
  const sends = new Map((shown('send.') as PublicSend[]).map((one) => [one.message_id, one]));
  return filed.map(({ messageId }) => {
    const [message, send] = [messages.get(messageId), sends.get(messageId)];
    if (message === undefined || send === undefined) throw new Error(`${messageId} was not stored`);
    return { message, send };
  });
}

/** Why it is here (T1): the CRM said so. */
function decisionOf(
  secretBox: SecretBox,
  outgoing: Outgoing,
  sighting: Sighting,
  messageId: MessageId,
): DecisionRow {
  const { header, bcc, through } = outgoing;
  return {
    id: newId('dec'),
    sub_account_id: outgoing.subAccountId,
    connection_id: through?.connectionId ?? null,
    mailbox_id: through?.mailboxId ?? null,
    folder_id: null,
    uid_validity: null,
    uid: null,
    outcome: 'stored',
    reason: 'crm_send',
    reasons: [reasonOf(outgoing)],
    facts: null,
    id_hash: hashOfMessageKey(secretBox, sighting.messageKeys[0] ?? ''),
    address_hashes: [...header.to, ...header.cc, ...bcc].map(({ address }) =>
      hashOfAddress(secretBox, address),
    ),
    message_id: messageId,
    attempts: 0,
    intake_id: null,
    errand_id: null,
  };
}

/** D2: only individual mail through a mailbox is in sync with it. */
function isSynced({ kind, through }: Outgoing): boolean {
  return kind === 'individual' && through !== null;
}

function reasonOf(outgoing: Outgoing): Step {
  const way = outgoing.through?.mailboxId ?? ({ say: 'way_provider' } as const);
  if (isSynced(outgoing)) return { rule: 'S1', because: { say: 'sent_through', way } };
  return { rule: 'D2', because: { say: 'sent_unsynced', kind: { say: `mail_${outgoing.kind}` }, way } };
}

function draftOf(outgoing: Outgoing): MessageDraft {
  const { header, body } = outgoing;
  return {
    direction: 'outbound',
    kind: outgoing.kind,
    via: ['crm'],
    sender: header.from[0] ?? { name: '', address: '' },
    recipients_to: header.to,
    recipients_cc: header.cc,
    recipients_bcc: outgoing.bcc,
    subject: header.subject,
    date: new Date(header.date ?? outgoing.acceptedAt).toISOString(),
    received_at: new Date(outgoing.acceptedAt).toISOString(),
    internet_message_id: header.messageId,
    in_reply_to: header.inReplyTo,
    reference_ids: header.references,
    body_text: body.parsed.text,
    body_html: body.parsed.html,
    reply_text: body.parsed.replyText,
    automatic: null,
    partial: body.parsed.partial,
    is_read: true,
    mailbox_state: 'present',
    omitted: null,
    raw_sha256: body.rawSha256,
    raw_size: body.rawSizeBytes,
  };
}

/** The composed message as if it had been seen in Sent: the same keys, the same fingerprint. */
function asSighting(outgoing: Outgoing): Sighting {
  const { header, through } = outgoing;
  return sight({
    mailboxId: through?.mailboxId ?? nowhere.mailboxId,
    place: { folderId: 'fld_outgoing' satisfies FolderId, role: 'sent', uidValidity: 0, uid: 0 },
    header,
    kind: 'person',
    fingerprint: headerFingerprint(header, outgoing.acceptedAt),
    internalDate: outgoing.acceptedAt,
    size: outgoing.body.rawSizeBytes,
    marks: new Set(),
    gmail: null,
    unreadable: false,
  });
}
