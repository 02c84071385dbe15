import type { PublicAudit, PublicBackfill } from '../store/errands.ts';
import type { EventId } from '../lib/id.ts';
import type { PublicConnection } from '../store/connections.ts';
import type { PublishedEvent } from '../store/deliveries.ts';
import type { EventType } from '../store/events.ts';
import type { PublicContact } from '../store/contacts.ts';
import type { PublicHeld } from '../store/held.ts';
import type { PublicConversation, PublicThread } from '../store/public-conversation.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicSend } from '../store/public-send.ts';

/** An event as the CRM sees it: the body of a webhook's request, a row of the log, a message of the stream. */
export type PublicEvent = {
  [Type in EventType]: {
    /** The same at every delivery of this event, also in the header `webhook-id`: a receiver that keeps it can tell a repeat. */
    id: EventId;
    type: Type;
    /** When it happened, RFC 3339 UTC. */
    created_at: string;
    /** Null: it concerns the whole installation. */
    sub_account_id: string | null;
    /**
     * Its place in the log. Whoever has read up to a number has read all that come before it; some
     * numbers are never given.
     */
    sequence: number;
    /** The object as it was when it happened, in the shape of the API. */
    data: EventData[Type];
  };
}[EventType];

/** What each type of event is about. An event tells the state after the change, never the difference. */
type EventData = {
  /** A message is new in the CRM: received, sent from the mailbox, or accepted from the CRM for sending. */
  'message.created': EventMessage;
  /** It was read, moved, deleted, confirmed by its Sent copy, seen in one more way, or erased: see `erased_at`. */
  'message.updated': EventMessage;
  'conversation.created': PublicConversation;
  /** It has a newer message, or one of its messages changed. `last_message_at` null: all of it was erased, and it is gone. */
  'conversation.updated': PublicConversation;
  /** The logging address made a contact (B2). */
  'contact.created': PublicContact;
  /** A reply from one of several sub-accounts claimed the contact for a mailbox (S9). */
  'contact.claimed': PublicContact;
  /** The later messages of a thread do not sync any more; `reason` says why. */
  'thread.unlinked': PublicThread;
  /** The states of what the CRM sends (D6): the name of the event is the state after the change. */
  'send.queued': PublicSend;
  'send.held': PublicSend;
  'send.sent': PublicSend;
  'send.bounced': PublicSend;
  'send.failed': PublicSend;
  'send.cancelled': PublicSend;
  /** The first opening that is not known to be a machine's; only where the call asked for tracking (D7). */
  'send.opened': PublicSend & {
    /** `proxy`: the recipient's provider loaded the picture, mostly because they opened the mail. */
    opened_by: 'person' | 'proxy';
  };
  /** The first click on one of its links. */
  'send.clicked': PublicSend & {
    /** Where the link leads; absent when the message was erased. */
    url?: string;
  };
  'connection.created': PublicConnection;
  /** C5; never twice the same state in a row. */
  'connection.state_changed': PublicConnection;
  /** An outage is over, and everything missed has a decision (C7). */
  'connection.recovered': PublicConnection & {
    /** How many messages the catch-up stored. */
    recovered_messages: number;
  };
  /** Another mailbox took its place (C6). */
  'connection.superseded': PublicConnection;
  'connection.disconnected': PublicConnection;
  /** A mail waits for a person's review (B4), as `GET …/held` shows it; but `mail` is null, to be read there. */
  'decision.held': PublicHeld;
  /** As `GET …/backfills/{bid}` shows it. */
  'backfill.finished': PublicBackfill;
  /** As `GET …/audits/{aid}` shows it. */
  'audit.finished': PublicAudit;
};

/** A message as the API shows it, without what is too long for an event. */
type EventMessage = PublicMessage & {
  /**
   * The bodies over 64 KiB: a text is cut there, HTML is null. The API has them whole. Absent when
   * nothing was cut.
   */
  bodies_cut?: ('text' | 'html' | 'reply_text')[];
  /**
   * It was erased (C7): every field that held content is empty, here and in all earlier events of the
   * message. Absent otherwise.
   */
  erased_at?: string;
};

/** A contact as the API shows it. */
/** The event in its public form. What `data` holds was fixed when the event was recorded. */
export function publicEvent(event: PublishedEvent): PublicEvent {
  return {
    id: event.id,
    type: event.type,
    created_at: event.createdAt.toISOString(),
    sub_account_id: event.subAccountId,
    sequence: Number(event.sequence),
    data: event.data,
  } as PublicEvent;
}
