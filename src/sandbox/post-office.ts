import { canonicalAddress } from './address.ts';
import {
  answerTo,
  baseSubject,
  composeBounce,
  composeMail,
  newMessageId,
  rewriteMessageId,
} from './compose.ts';
import { contactOf, type SandboxContact } from './contacts.ts';
import { parseMime, headerOf } from './mime.ts';
import type { Relay, Route } from './relay.ts';
import type { Mailbox, Store } from './store.ts';
import { messageOf } from '../lib/failure.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

/** A message somebody sends from a mailbox. */
export type Outgoing = { mailbox: Mailbox; recipients: readonly string[]; raw: Buffer };

/** Takes messages to where they go, and lets the sandbox's customers act. */
export type PostOffice = {
  /** The message as it will be stored and delivered; `newId` where one recipient wants it under another id. */
  accept(outgoing: Outgoing): { outgoing: Outgoing; newId: string | undefined };
  /** The sender's own copy, where no recipient forbids it. */
  fileSentCopy(outgoing: Outgoing): void;
  /** To each recipient with a mailbox here; customers act after the pause. Outside it sends to the one domain of `routeTo`. */
  deliver(outgoing: Outgoing): void;
  /** Mail to a domain goes to a server on this machine from now on. */
  routeTo(route: Route): void;
  /** Ends the pauses that are running: those customers do not act any more. */
  stop(): Promise<void>;
};

/** Which customers a message goes to. */
export function contactsAmong(recipients: readonly string[]): Set<SandboxContact> {
  return new Set(recipients.flatMap((recipient) => contactOf(recipient) ?? []));
}

export function createPostOffice(options: {
  store: Store;
  clock: Clock;
  log: Log;
  /** How long a customer waits before acting. */
  delayMs: number;
  relay: Relay;
}): PostOffice {
  const stopping = new AbortController();
  const pauses = new Set<Promise<void>>();
  const later = (act: () => void) => {
    const pause = options.clock
      .sleep(options.delayMs, stopping.signal)
      .then(() => (stopping.signal.aborted ? undefined : act()))
      .catch((error: unknown) => options.log.error({ reason: messageOf(error) }, 'sandbox contact failed'))
      .finally(() => pauses.delete(pause));
    pauses.add(pause);
  };
  let route: Route | null = null;
  const send = async (to: Route, recipients: string[], { mailbox, raw }: Outgoing) => {
    const refusal = await options.relay(to, { from: mailbox.address, to: recipients, raw });
    if (refusal === null) return;
    for (const recipient of recipients) {
      const facts = { to: mailbox.address, recipient, sentAtMs: options.clock.now(), words: refusal };
      options.store.append(mailbox.folders.INBOX, composeBounce(raw, facts));
    }
  };
  const sendOut = (outgoing: Outgoing) => {
    const out = outgoing.recipients.filter((address) =>
      address.toLowerCase().endsWith(`@${route?.domain ?? ''}`),
    );
    if (route === null || out.length === 0) return;
    const sending = send(route, out, outgoing)
      .catch((error: unknown) => options.log.error({ reason: messageOf(error) }, 'sandbox delivery failed'))
      .finally(() => pauses.delete(sending));
    pauses.add(sending);
  };
  const actAs = (contact: SandboxContact, recipient: string, sent: Outgoing) => {
    const answer = answers[contact];
    const { INBOX } = sent.mailbox.folders;
    if (answer) later(() => options.store.append(INBOX, answer(recipient, sent, options.clock.now())));
  };
  return {
    accept(outgoing) {
      if (!contactsAmong(outgoing.recipients).has('rewrites-message-id'))
        return { outgoing, newId: undefined };
      const newId = newMessageId();
      return { outgoing: { ...outgoing, raw: rewriteMessageId(outgoing.raw, newId) }, newId };
    },
    fileSentCopy({ mailbox, recipients, raw }) {
      if (contactsAmong(recipients).has('no-sent-copy')) return;
      options.store.append(mailbox.folders.Sent, raw, { flags: ['\\Seen'] });
    },
    deliver(outgoing) {
      const recipients = new Map(outgoing.recipients.map((address) => [canonicalAddress(address), address]));
      for (const recipient of recipients.values()) {
        const contact = contactOf(recipient);
        const mailbox = options.store.find(recipient);
        if (contact) actAs(contact, recipient, outgoing);
        else if (mailbox) options.store.append(mailbox.folders.INBOX, outgoing.raw);
      }
      sendOut(outgoing);
    },
    routeTo: (to) => void (route = to),
    async stop() {
      stopping.abort();
      await Promise.all(pauses);
    },
  };
}

type Answer = (recipient: string, sent: Outgoing, sentAtMs: number) => Buffer;

/** What comes back from a customer. The others only disturb the submission, and stay silent. */
const answers: Partial<Record<SandboxContact, Answer>> = {
  replies(recipient, { raw }, sentAtMs) {
    const text =
      'Thank you, that helps. Could we talk on Thursday?\n\n-- \nRita Replies\nBuying, Sandbox Ltd';
    return composeMail(answerTo(raw, { from: `Rita Replies <${recipient}>`, text, sentAtMs }));
  },
  'auto-replies'(recipient, { raw }, sentAtMs) {
    const text = 'I am out of the office until Monday and will answer then.';
    const draft = answerTo(raw, { from: `Otto Replies <${recipient}>`, text, sentAtMs });
    const subject = `Automatic reply: ${baseSubject(draft.subject)}`;
    return composeMail({ ...draft, subject, text, extra: { 'Auto-Submitted': 'auto-replied' } });
  },
  bounces: bounce,
  // By hand in a web mail nothing can be refused on the spot: there, too, a report comes back.
  refuses: bounce,
};

function bounce(recipient: string, { mailbox, raw }: Outgoing, sentAtMs: number): Buffer {
  return composeBounce(raw, { to: mailbox.address, recipient, sentAtMs, words: '550 5.1.1 no such address' });
}

/** The Message-ID of a message, or an empty string. */
export function messageIdOf(raw: Buffer): string {
  return headerOf(parseMime(raw), 'message-id') ?? '';
}
