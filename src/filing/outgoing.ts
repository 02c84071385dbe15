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
import { lockConnection, readConversationsOf, readFactRows } from '../store/filing-facts.ts';
import { FiledMeanwhile, writeFiling } from '../store/filing-writes.ts';
import { claim } from './claim.ts';
import { noEffects, storeMessage } from './effects.ts';
import type { Body, MessageDraft } from './effects.ts';
import { tellEffects } from './events.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
import { sight } from './sighting.ts';
import type { Sighting } from './sighting.ts';

/** A message that the CRM hands over, composed: its bytes will go out exactly as they are. */
export type Outgoing = {
  sendId: SendId;
  subAccountId: string;
  connectionId: ConnectionId;
  mailboxId: MailboxId;
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

/**
 * S1 `crm_send`: files what the CRM sends through a mailbox, within the caller's transaction, so that
 * message, send and events are there together or not at all. The thread is live in that mailbox from
 * now on, and its contacts are claimed (S9). The send's own row is the caller's; it must be written in the same transaction.
 */
export async function fileOutgoing(
  tx: Db,
  secretBox: SecretBox,
  outgoing: Outgoing,
): Promise<{
  messageId: MessageId;
  threadId: ThreadId;
  conversationIds: ConversationId[];
  tell(): Promise<number>;
}> {
  const sighting = asSighting(outgoing);
  const connection = await lockConnection(tx, outgoing.connectionId);
  if (connection === null) throw new Error(`${outgoing.connectionId} is not active`);
  const found = await readFactRows(tx, {
    ...factKeysOf(outgoing.mailboxId, [sighting], [connection]),
    threadIds: outgoing.threadId === null ? [] : [outgoing.threadId],
  });
  const ground = groundsFor(outgoing.mailboxId, [connection], found).get(connection.id);
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
    links: true,
    contactIds,
    messageKeys: sighting.messageKeys,
    threadKeys: sighting.threadKeys,
    fingerprint: sighting.fingerprint,
    sendId: outgoing.sendId,
  });
  effects.writes.decisions.push({
    id: newId('dec'),
    sub_account_id: outgoing.subAccountId,
    connection_id: connection.id,
    mailbox_id: outgoing.mailboxId,
    folder_id: null,
    uid_validity: null,
    uid: null,
    outcome: 'stored',
    reason: 'crm_send',
    reasons: [{ rule: 'S1', because: `the CRM sent it through ${outgoing.mailboxId}` }],
    facts: null,
    id_hash: hashOfMessageKey(secretBox, sighting.messageKeys[0] ?? ''),
    address_hashes: [...header.to, ...header.cc, ...outgoing.bcc].map(({ address }) =>
      hashOfAddress(secretBox, address),
    ),
    message_id: filed.messageId,
    attempts: 0,
    intake_id: null,
    errand_id: null,
  });
  await writeFiling(tx, effects.writes, null);
  await claim(tx, { ...outgoing, contactIds: [...new Set(contactIds)] });
  const conversationIds = [...(ground.threadConversations.get(filed.threadId)?.values() ?? [])];
  // Told when the caller has written the send, since message.created shows it.
  return { ...filed, conversationIds, tell: () => tellEffects(tx, effects, { messages: [], sends: [] }) };
}

function draftOf(outgoing: Outgoing): MessageDraft {
  const { header, body } = outgoing;
  return {
    direction: 'outbound',
    kind: 'individual',
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
    raw_sha256: body.rawSha256,
    raw_size: body.rawSizeBytes,
  };
}

/** The composed message as if it had been seen in Sent: the same keys, the same fingerprint. */
function asSighting(outgoing: Outgoing): Sighting {
  const { header } = outgoing;
  return sight({
    mailboxId: outgoing.mailboxId,
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
