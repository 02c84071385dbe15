import { canonicalAddress, canonicalOwnAddress } from '../message/addresses.ts';
import { bounceClass } from '../message/delivery-report.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { idKey } from '../message/message-id.ts';
import type { MessageId } from '../lib/id.ts';
import type { SendReport } from '../store/send-reports.ts';
import type { SentMail } from '../store/filing-facts.ts';
import type { FactBase, ReportFact } from './facts.ts';
import type { Sighting } from './sighting.ts';

/*
 * Pure. Which reports are believed (D6). Nobody signs a delivery report, and whoever got a mail of ours knows all that
 * one cites. So a report counts only where all of this holds:
 *
 * - it has the shape of a report (message/kind.ts), and says something of a recipient (message/delivery-report.ts);
 * - it came to the very mailbox that sent the mail, and names it by a Message-ID that it has, or brings its header
 *   back: author, recipients, subject and second, for as long as the ids are not known that a provider gave it; or it
 *   came to a mailbox to whose address reports on the mail are to go, by its MAIL FROM (RFC 5321 §4.4), or to another
 *   address of that mailbox's user, and names it by its Message-ID: so it is with what went through the sub-account's
 *   own provider, and with a mailbox that was connected anew;
 * - the mail went to the recipient that it names, by its envelope;
 * - it came without a return path (RFC 3464 §2, RFC 8098 §3), as no mail program of a person sends;
 * - what the provider found, by the topmost Authentication-Results, is not that the domain of From asks for such mail
 *   to be rejected or quarantined. A failure of DMARC alone is no sign: the reports of many a company's own server
 *   are not signed, and its domain asks for nothing. Only a failure is looked for, which nobody would forge.
 *
 * What is left: a recipient, or a server on the way, can claim with some skill that the mail did not reach another
 * recipient of it. It changes no more than that send, for that recipient, and shows with the words of the report.
 */

/** Where sends are looked up. */
type Sends = Pick<FactBase, 'messages' | 'unconfirmedSends' | 'ownAddresses'>;

/** On which mail of ours a report is, and whether it is believed. Pure. */
export function reportedOn(
  report: DeliveryReport | null,
  sighting: Sighting,
  base: Sends,
): ReportFact | null {
  const ours = report === null ? undefined : sendOf(report, base);
  if (report === null || ours === undefined) return null;
  const { messageId, sent } = ours;
  const said = saidOf(report, sent);
  const doubt = doubtOf(sighting) ?? (said.length === 0 ? 'recipient' : null);
  return { messageId, sendId: sent.sendId, failed: said.some(({ action }) => action === 'failed'), doubt };
}

/** What a report that is believed says of its send, for store/. Pure. */
export function sendReport(
  report: DeliveryReport,
  on: ReportFact,
  sighting: Sighting,
  base: Sends,
): SendReport {
  const ours = sendOf(report, base);
  return {
    sendId: on.sendId,
    at: sighting.internalDate,
    recipients: ours === undefined ? [] : saidOf(report, ours.sent),
  };
}

/** A message as it was sent, for a report of the same batch that cites it by its new name. Pure. */
export function sentMailOf(
  base: Pick<FactBase, 'messages' | 'unconfirmedSends'>,
  messageId: MessageId,
): SentMail | null {
  for (const messages of [...base.messages.values(), ...base.unconfirmedSends.values()]) {
    const found = messages.find((message) => message.messageId === messageId && message.sent !== null);
    if (found !== undefined) return found.sent;
  }
  return null;
}

/** By id, the one that it is about before those that it answers; else by what came back of its header. */
function sendOf(report: DeliveryReport, base: Sends): { messageId: MessageId; sent: SentMail } | undefined {
  const cited = report.cites.flatMap((id) => base.messages.get(idKey(id)) ?? []);
  const alike = report.fingerprints.flatMap((fingerprint) => base.unconfirmedSends.get(fingerprint) ?? []);
  for (const { messageId, sendId, sent } of [...cited, ...alike]) {
    const isAddressed = sendId !== null || base.ownAddresses.has(canonicalOwnAddress(sent?.from ?? ''));
    if (sent !== null && isAddressed) return { messageId, sent };
  }
  return undefined;
}

function saidOf(report: DeliveryReport, { to }: SentMail): SendReport['recipients'] {
  return report.recipients.flatMap(({ addresses, action, status, words }) => {
    const address = to.find((one) => addresses.includes(canonicalAddress(one)));
    if (address === undefined) return [];
    return [
      { address, action, class: action === 'failed' ? bounceClass({ status, words }) : null, status, words },
    ];
  });
}

function doubtOf({ header: { fields } }: Sighting): ReportFact['doubt'] {
  // RFC 8601 §5: the topmost is that of whoever took it last, the provider.
  const results = fields.get('authentication-results') ?? '';
  if (/\bdmarc\s*=\s*fail\b[^;]*?(?:\bp=|\baction=o?)(?:reject|quarantine)\b/i.test(results)) return 'dmarc';
  const path = fields.get('return-path')?.trim();
  // Postfix gives programs that deliver for it this name for the null path (null_sender of pipe(8)).
  const isNull = path === undefined || /^<?\s*(?:mailer-daemon(?:@[^<>]*)?)?\s*>?$/i.test(path);
  return isNull ? null : 'return_path';
}
