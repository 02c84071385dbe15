import { canonicalAddress } from '../message/addresses.ts';
import { headerFingerprint } from '../message/fingerprint.ts';
import type { MessageHeader } from '../message/header.ts';
import { newId } from '../lib/id.ts';
import type {
  ConnectionId,
  ConversationId,
  FolderId,
  MailboxId,
  MessageId,
  SendId,
  ThreadId,
} from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { Db } from '../store/database.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import {
  lockConnection,
  lockLoggingParty,
  nowhere,
  readConversationsOf,
  readFactRows,
} from '../store/filing-facts.ts';
import type { FilingConnection } from '../store/filing-facts.ts';
import { FiledMeanwhile, writeFiling } from '../store/filing-writes.ts';
import type { MessageRow } from '../store/filing-writes.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicSend } from '../store/public-send.ts';
import { linkStored } from './answers.ts';
import { claim } from './claim.ts';
import { noEffects, storeMessage } from './effects.ts';
import type { Body, Effects, MessageDraft } from './effects.ts';
import { tellEffects } from './events.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
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

/** The connection ended, or the membership did, while the message was being written down. */
export class NobodySends extends Error {}

/**
 * S1 `crm_send`: files what the CRM sends, within the caller's transaction, so that message, send and events are
 * there together or not at all. Of an individual message through a mailbox the thread is live there from now on, and
 * its contacts are claimed (S9); any other is recorded, and no later mail syncs for its sake (D2). The send's own row
 * is the caller's; it must be written in the same transaction.
 *
 * @throws NobodySends; FiledMeanwhile, when the ground has moved.
 */
export async function fileOutgoing(
  tx: Db,
  secretBox: SecretBox,
  outgoing: Outgoing,
): Promise<{
  messageId: MessageId;
  threadId: ThreadId;
  conversationIds: ConversationId[];
  /** Leaves the events behind; answers the message and the send as they show them. */
  tell(): Promise<{ message: PublicMessage; send: PublicSend }>;
}> {
  const { through } = outgoing;
  const mailboxId = through?.mailboxId ?? nowhere.mailboxId;
  const sighting = asSighting(outgoing, mailboxId);
  const connection = await lockSender(tx, outgoing);
  const found = await readFactRows(tx, {
    ...factKeysOf(mailboxId, [sighting], [connection]),
    threadIds: outgoing.threadId === null ? [] : [outgoing.threadId],
  });
  const ground = groundsFor(through?.mailboxId ?? null, [connection], found).get(connection.id);
  if (ground === undefined) throw new Error(`no ground for ${connection.id}`);
  if (outgoing.threadId !== null && !ground.threads.has(outgoing.threadId))
    throw new FiledMeanwhile('the thread in which it answers was erased a moment ago');
  // A contact that the call names may have no address on the message, and a conversation all the same.
  for (const { id, contact } of await readConversationsOf(tx, outgoing.subAccountId, outgoing.contactIds)) {
    ground.conversations.set(contact, id);
  }
  const effects = noEffects();
  const { header } = outgoing;
  const named = [...header.to, ...header.cc].flatMap(
    ({ address }) => ground.contacts.get(canonicalAddress(address)) ?? [],
  );
  const contactIds = [...outgoing.contactIds, ...named.map(({ id }) => id)];
  const filed = storeMessage(effects, ground, {
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
  effects.writes.decisions.push(decisionOf(secretBox, outgoing, sighting, filed.messageId));
  await writeFiling(tx, effects.writes, null);
  await linkStored(tx, effects);
  if (through !== null && isSynced(outgoing)) {
    const { subAccountId } = outgoing;
    await claim(tx, { subAccountId, mailboxId: through.mailboxId, contactIds: [...new Set(contactIds)] });
  }
  const conversationIds = [...(ground.threadConversations.get(filed.threadId)?.values() ?? [])];
  // Told when the caller has written the send, since message.created shows it.
  return { ...filed, conversationIds, tell: () => tell(tx, effects, outgoing) };
}

async function tell(
  tx: Db,
  effects: Effects,
  { subAccountId, sendId }: Outgoing,
): Promise<{ message: PublicMessage; send: PublicSend }> {
  effects.accepted.push({ subAccountId, sendId });
  const events = await tellEffects(tx, effects, { messages: [], sends: [] });
  const shown = (kind: 'message.created' | 'send.') => events.find(({ type }) => type.startsWith(kind))?.data;
  const [message, send] = [shown('message.created'), shown('send.')];
  if (message === undefined || send === undefined) throw new Error(`${sendId} was not stored`);
  return { message: message as PublicMessage, send: send as PublicSend };
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

function reasonOf(outgoing: Outgoing): { rule: string; because: string } {
  const way = outgoing.through?.mailboxId ?? "the sub-account's provider";
  return isSynced(outgoing)
    ? { rule: 'S1', because: `the CRM sent it through ${way}` }
    : {
        rule: 'D2',
        because: `the CRM sent it as ${outgoing.kind} mail through ${way}: it syncs with no mailbox`,
      };
}

/** For whom it is filed, locked; whoever sends through the sub-account's provider may have no connection. */
async function lockSender(tx: Db, outgoing: Outgoing): Promise<FilingConnection> {
  const { through, subAccountId, userId } = outgoing;
  const connection =
    through === null
      ? (await lockLoggingParty(tx, { subAccountId, userId }, null))?.connection
      : await lockConnection(tx, through.connectionId);
  if (connection == null) throw new NobodySends(`${userId} sends in ${subAccountId} no more`);
  return connection;
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
function asSighting(outgoing: Outgoing, mailboxId: MailboxId): Sighting {
  const { header } = outgoing;
  return sight({
    mailboxId,
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
