/*
 * A history as plain data, so that any prefix, or any part of it, can be played again. Mails, boxes and
 * people are named by numbers and words of the history's own; a step that makes no sense where it stands
 * (an answer that nobody got, a connection that is there) does nothing.
 */

/** Who is there when a history begins. */
export type Cast = {
  subs: {
    id: string;
    settings: Record<string, string | boolean>;
    /** Domains. */
    neverLog: string[];
  }[];
  boxes: { name: string; address: string; provider: 'gmail' | 'outlook'; allMail: boolean }[];
  users: { id: string; email: string; subs: string[] }[];
  contacts: ContactSpec[];
};

export type ContactSpec = { sub: string; id: string; emails: string[]; assigned: string | null };

/** A mail as somebody writes it. */
export type MailSpec = {
  n: number;
  from: string;
  to: string[];
  cc: string[];
  /** The mail that it answers or forwards. */
  answers: number | null;
  /** How it names that mail: an answer of a poor program, or of none. */
  cites: 'all' | 'in_reply_to' | 'references' | 'nothing';
  forward: boolean;
  kind: 'person' | 'auto_reply' | 'list';
  /** `none`: it has no Message-ID; a number: that of another mail, reused. */
  id: 'own' | 'none' | number;
};

/** How the provider takes a mail that the CRM sends. */
export type SmtpAnswer =
  | 'accepted'
  /** Its Sent copy comes later. */
  | 'copy_late'
  | 'no_copy'
  /** It gets another Message-ID, and the answer says so, or not. */
  | 'renamed'
  | 'renamed_silently'
  | 'busy'
  | 'refused'
  /** The connection ends after the mail was handed over: it was taken, or it was not. */
  | 'taken_then_lost'
  | 'lost'
  /** The node dies with all of it handed over. */
  | 'taken_then_crash'
  | 'crash';

/** What happens in the midst of a look, or of a sender's round. */
export type Fault =
  /** Before that many calls to the provider. */
  | { at: number; what: 'drop' }
  | { at: number; what: 'meanwhile'; steps: Step[] }
  /** After that many effects of any sort: statements, commits, blobs, calls to the provider. */
  | { at: number; what: 'crash' };

export type Step =
  /** Somebody writes a mail; in a box of ours its copy is in Sent at once. */
  | { do: 'write'; mail: MailSpec }
  /** A mail reaches a box, where a filter may put it elsewhere than into the inbox. */
  | { do: 'arrive'; n: number; box: string; folder: string }
  | {
      do: 'crm_send';
      n: number;
      sub: string;
      user: string;
      contact: string | null;
      replyTo: number | null;
      cc: string[];
      crashAt: number | null;
    }
  | { do: 'send'; node: number; answers: SmtpAnswer[]; fault: Fault | null }
  /** A delivery report comes back: a mail of the CRM that was taken reached nobody (D6). `n`: the report's own number. */
  | { do: 'bounce'; n: number; of: number }
  /** Sent copies that have not come yet. */
  | { do: 'copies' }
  /** `idle`: what the server announces; `net`: so much time has passed that all is asked for; `start`: afresh. */
  | { do: 'look'; node: number; box: string; how: 'idle' | 'net' | 'start'; fault: Fault | null }
  | { do: 'stop'; node: number; box: string }
  | { do: 'crash'; node: number }
  /** The person moves, deletes or marks a message of a folder; `at` counts from the newest. */
  | { do: 'move'; box: string; folder: string; at: number; to: string }
  | { do: 'delete'; box: string; folder: string; at: number }
  | { do: 'flag'; box: string; folder: string; at: number; read: boolean }
  /** The CRM wants a mail read or unread (U2); it is done in the mailbox by the next look that asks for all. */
  | { do: 'mark'; sub: string; n: number; read: boolean }
  /** The server numbers a folder anew. */
  | { do: 'renumber'; box: string; folder: string }
  | { do: 'hide'; box: string; folder: string }
  | { do: 'show'; box: string; folder: string }
  | { do: 'token'; box: string; what: 'expired' | 'revoked' }
  /** The person consents (again), or connects another box in place of the one before (C6). */
  | { do: 'connect'; sub: string; user: string; box: string }
  | { do: 'disconnect'; sub: string; user: string }
  | { do: 'assign'; sub: string; contact: string; user: string | null }
  | { do: 'contact'; contact: ContactSpec }
  /** The CRM asks for older mail of somebody's box, of one contact or of all (C8). */
  | { do: 'backfill'; sub: string; user: string; contact: string | null; hours: number }
  /** Somebody's hand takes a decision away, so that nobody knows that the mail was judged; an audit is asked for (T2). */
  | { do: 'audit'; sub: string; user: string; hole: number }
  /** A node does what is to be done in mailboxes besides listening. */
  | { do: 'errands'; node: number; fault: Fault | null }
  | { do: 'wait'; seconds: number };

export type History = { cast: Cast; steps: Step[] };
