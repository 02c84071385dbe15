import { canonicalAddress } from './address.ts';

/**
 * The sandbox's customers: what the part before the `@` of a recipient makes happen, at `sandbox.example`
 * and any domain below it. Upper or lower case and a `+tag` make no difference.
 */
export const sandboxContacts = [
  { localPart: 'replies', does: 'a person answers after a moment, quoting the message, with a signature' },
  { localPart: 'auto-replies', does: 'an out-of-office notice comes back (Auto-Submitted: auto-replied)' },
  { localPart: 'bounces', does: 'the message is accepted, then a delivery report (RFC 3464) comes back' },
  { localPart: 'refuses', does: 'the recipient is refused for good: 550 5.1.1 at RCPT' },
  { localPart: 'tempfails', does: 'each message is refused for now twice (451 4.3.0), then accepted' },
  {
    localPart: 'drops-after-data',
    does: 'the message is accepted and in Sent, but the connection closes before the answer',
  },
  {
    localPart: 'loses-after-data',
    does: 'the connection closes before the answer and the message is gone; the next try of it is accepted',
  },
  {
    localPart: 'rewrites-message-id',
    does: 'the provider gives the message a new Message-ID, as Outlook does, and names it in its answer',
  },
  { localPart: 'no-sent-copy', does: 'the provider puts no copy into Sent' },
  { localPart: 'sent-copy-first', does: 'the copy is in Sent a moment before the message is accepted' },
] as const;

export type SandboxContact = (typeof sandboxContacts)[number]['localPart'];

/** Which of `sandboxContacts` an address is; undefined for everybody else, whose mail is swallowed in silence. */
export function contactOf(address: string): SandboxContact | undefined {
  const [localPart, domain] = canonicalAddress(address).split('@');
  if (domain !== 'sandbox.example' && domain?.endsWith('.sandbox.example') !== true) return undefined;
  return sandboxContacts.find((contact) => contact.localPart === localPart)?.localPart;
}
