import { canonicalOwnAddress } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import type { ThreadId } from '../lib/id.ts';
import type { OutgoingConnection, OutgoingFacts, ParentFacts } from '../store/outgoing.ts';
import type { PublicRoute } from '../store/public-send.ts';
import type { LimitsOf } from '../provider/figures.ts';
import { attachmentRefusal } from './attachments.ts';
import type { AttachmentRefusal } from './attachments.ts';
import type { OutgoingFile } from './compose.ts';
import { routeOf } from './route.ts';
import type { BlockedState, MessageKind, Route, RouteQuestion } from './route.ts';
import { leftOutTest, recipientsOf, subjectOf, threadHeaders } from './threading.ts';
import type { Parent, ThreadHeaders } from './threading.ts';

/** A message that the CRM asks to send, validated as far as it can be without the database. */
export type SendRequest = {
  /** Of the call, for the logs; null: it has none. */
  requestId: string | null;
  subAccountId: string;
  kind: MessageKind;
  userId: string;
  contactId: string | null;
  to: Address[];
  cc: Address[];
  bcc: Address[];
  /** Null: the connected address. */
  from: string | null;
  /** Null: the parent's, or none. */
  subject: string | null;
  text: string | null;
  html: string | null;
  replyToMessageId: string | null;
  files: OutgoingFile[];
  /** Of `allowedHeaders`. */
  headers: Record<string, string>;
  /** D7: what is to be tracked, in the HTML alone. */
  track: { opens: boolean; clicks: boolean };
  /** ms since the epoch; null: at once. */
  sendAt: number | null;
  /** What happens past the mailbox's daily limit (L3). */
  onLimit: 'refuse' | 'defer';
};

/** What is to be written down and sent, and how. */
export type MessagePlan = {
  /** Null: it goes through the sub-account's provider. */
  connection: OutgoingConnection | null;
  route: PublicRoute;
  /** Null: it can go out. */
  holdFor: BlockedState | null;
  from: Address;
  recipients: { to: Address[]; cc: Address[]; bcc: Address[] };
  subject: string;
  thread: ThreadHeaders;
  /** Null: it opens a thread. */
  threadId: ThreadId | null;
  contactId: string | null;
};

/** Why a message is not accepted, in the words of RULES.md and of the API's problems. */
export type PlanRefusal = {
  code:
    | 'unknown_user'
    | 'unknown_contact'
    | 'unknown_message'
    | 'no_recipients'
    | Extract<Route, { way: 'refused' }>['code']
    | AttachmentRefusal['code']
    | 'daily_limit';
  detail: string;
  /** Those of the files that are not taken. */
  files?: AttachmentRefusal['files'];
  /** From when on it is accepted, ms since the epoch. */
  retryAt?: number;
};

/** Decides everything about a message before it is written down. `replyTo` is the parent's Reply-To. Pure. */
export function planMessage(
  request: SendRequest,
  facts: OutgoingFacts & { loggingDomain: string | null; limitsOf: LimitsOf },
  replyTo: readonly Address[],
): MessagePlan | { refused: PlanRefusal } {
  const { user, connection, provider, contact, parent } = facts;
  if (user === null) return refuse('unknown_user', 'The user is no member of this sub-account.');
  if (request.replyToMessageId !== null && parent === null) {
    return refuse('unknown_message', 'There is no such message to answer in this sub-account.');
  }
  const from = fromOf(request.from, connection);
  const route = routeOf({ kind: request.kind, connection, hasProvider: provider !== null, from });
  if (route.way === 'refused') return refuse(route.code, route.because);
  const through = route.way === 'mailbox' ? connection : null;
  const files =
    through === null
      ? null
      : attachmentRefusal(request.files, facts.limitsOf(through.provider, through.limitsSaid));
  if (files !== null) return { refused: files };
  const answered = parent === null ? null : parentOf(parent, replyTo);
  const unknown = contactProblem(request, facts);
  if (unknown !== null) return { refused: unknown };
  const to = request.to.length === 0 && answered === null ? mainAddress(contact) : request.to;
  const recipients = recipientsOf(
    { to, cc: request.cc, bcc: request.bcc },
    answered,
    leftOutTest({
      own: new Set(facts.ownAddresses),
      isAnswer: answered !== null,
      loggingDomain: facts.loggingDomain,
    }),
  );
  if (recipients.to.length + recipients.cc.length + recipients.bcc.length === 0) {
    return refuse('no_recipients', 'Nobody is left to send it to.');
  }
  // A connected address is written as its provider writes it.
  const address =
    from === 'connected' || request.from === null
      ? (through?.address ?? request.from ?? provider?.from ?? '')
      : request.from;
  return {
    connection: through,
    route: { through: route.way, from: address, row: route.row, because: route.because },
    holdFor: route.way === 'mailbox' ? route.holdFor : null,
    from: { name: user.name, address },
    recipients,
    subject: subjectOf(request.subject, answered),
    thread: threadHeaders(answered),
    threadId: parent?.threadId ?? null,
    contactId: contact?.id ?? null,
  };
}

function refuse(code: PlanRefusal['code'], detail: string): { refused: PlanRefusal } {
  return { refused: { code, detail } };
}

function fromOf(given: string | null, connection: OutgoingConnection | null): RouteQuestion['from'] {
  if (given === null) return 'none';
  if (connection === null) return 'other';
  const canonical = canonicalOwnAddress(given);
  if (canonical === canonicalOwnAddress(connection.address)) return 'connected';
  return connection.aliases.includes(canonical) ? 'alias' : 'other';
}

/**
 * D0: a message goes to a contact. One that names a contact and addresses goes to an address of that
 * contact. An answer belongs to its thread's contacts already, and may go to whoever it should.
 */
function contactProblem(request: SendRequest, facts: OutgoingFacts): PlanRefusal | null {
  const { contact, contactAddresses } = facts;
  const unknown = (detail: string): PlanRefusal => ({ code: 'unknown_contact', detail });
  if (request.contactId !== null && contact === null) {
    return unknown('There is no such contact in this sub-account.');
  }
  if (facts.parent !== null) return null;
  if (contact !== null) {
    const named = request.to.length === 0 || contact.canonical.some((one) => contactAddresses.includes(one));
    return named ? null : unknown('None of the addresses in to is one of this contact.');
  }
  return contactAddresses.length > 0 ? null : unknown('None of the addresses in to is a contact’s.');
}

function mainAddress(contact: OutgoingFacts['contact']): Address[] {
  const address = contact?.addresses[0];
  return address === undefined ? [] : [{ name: contact?.name ?? '', address }];
}

function parentOf(parent: ParentFacts, replyTo: readonly Address[]): Parent {
  const { sentAs, internetMessageId } = parent;
  return {
    direction: parent.direction,
    sender: parent.sender,
    to: parent.to,
    replyTo,
    subject: parent.subject,
    internetMessageId,
    originalMessageId: sentAs === internetMessageId ? null : sentAs,
    inReplyTo: parent.inReplyTo,
    references: parent.references,
  };
}
