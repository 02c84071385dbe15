import type { SMTPServerAddress } from 'smtp-server';
import { Refusal } from './reply.ts';

/** Parameters of MAIL, each of an extension that EHLO announces: RFC 1870, 6152, 6531. None of them adds one to RCPT. */
const ofMail: ReadonlySet<string> = new Set(['SIZE', 'BODY', 'SMTPUTF8']);
const ofRcpt: ReadonlySet<string> = new Set();

/**
 * RFC 5321 §4.1.1.11: what a parameter asks for is done, or refused. So nobody is told by a 250 that a report will come
 * (RFC 3461) or that only TLS is used (RFC 8689). Senders give such parameters where they are announced, and here they
 * are not. The library (smtp-server 3.21.6) takes them all.
 */
export function assertKnownParameters(command: 'MAIL' | 'RCPT', { args }: SMTPServerAddress): void {
  const known = command === 'MAIL' ? ofMail : ofRcpt;
  if (args === false || Object.keys(args).every((name) => known.has(name))) return;
  // Not named: a name may be of any bytes.
  throw new Refusal({ code: 555, text: `5.5.4 A parameter of ${command} is not among what EHLO announces` });
}
