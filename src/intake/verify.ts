/** Pure: who a message says it is from, what its sending domain proves of that (B4), and what is answered. */
import { canonicalOwnAddress, domainOf } from '../message/addresses.ts';
import { readHeader } from '../message/header.ts';
import type { MessageHeader } from '../message/header.ts';
import { mailKind } from '../message/kind.ts';
import type { Proof } from '../store/spool.ts';

/** What the header says of its writer. */
export type Writer = {
  header: MessageHeader;
  /**
   * The one address of the one From field; null when there is none, or more, or the header is so written that
   * two readers of it would see two Froms.
   */
  from: string | null;
  /** Its domain in lower case and ASCII; empty when there is no From. */
  domain: string;
  /**
   * A field that may be there once is there twice. A signature covers the lowest (RFC 6376 §5.4.2) and people are
   * shown the uppermost, so that it proves nothing of what they see.
   */
  hasRepeatedField: boolean;
  /** How many DKIM signatures. */
  signatures: number;
  /** Whether the header ends within what was read. */
  isWhole: boolean;
};

/** So much of a message is read as its header; honest ones are a tenth of it. */
export const headBytesMax = 256 * 1024;

/** RFC 5322 §3.6, and RFC 2045 for what tells how the body is read. */
const singleFields = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
];

/** Reads the beginning of a message, of at most `headBytesMax`. */
export function readWriter(head: Buffer): Writer {
  const end = endOfHeader(head);
  // The body is nobody's business here, and twenty times as long.
  const bytes = end === null ? head : head.subarray(0, end);
  const header = readHeader(bytes);
  const fields = bytes.toString('latin1');
  const counts = countFields(fields);
  const [first, ...more] = header.from;
  // A lone CR is a line's end to some (RFC 5322 §2.2 forbids it), and so hides a From from others.
  const isClear = !/\r(?!\n)|\0/.test(fields);
  const isOne = counts.get('from') === 1 && first !== undefined && more.length === 0;
  const from = isClear && isOne ? first.address : null;
  return {
    header,
    from,
    domain: from === null ? '' : domainOf(from),
    hasRepeatedField: singleFields.some((name) => (counts.get(name) ?? 0) > 1),
    signatures: counts.get('dkim-signature') ?? 0,
    isWhole: end !== null || head.length < headBytesMax,
  };
}

/** Behind the last line of the header, before the empty one; null when there is none. */
function endOfHeader(head: Buffer): number | null {
  if (head[0] === 0x0a || (head[0] === 0x0d && head[1] === 0x0a)) return 0;
  const found = ['\n\r\n', '\n\n'].map((end) => head.indexOf(end, 0, 'latin1')).filter((at) => at >= 0);
  return found.length === 0 ? null : Math.min(...found) + 1;
}

function countFields(header: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, field = ''] of header.matchAll(/^([^\s:]+)[ \t]*:/gm)) {
    const name = field.toLowerCase();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Whether a program sent it that must never be answered, not even with a refusal (S11, RFC 3834 §2). */
export function isRobot(writer: Writer, envelopeFrom: string): boolean {
  return (
    envelopeFrom === '' ||
    ['auto_reply', 'delivery_report', 'read_receipt'].includes(mailKind(writer.header).kind)
  );
}

/** What was found of a message: words are those of RFC 8601 §2.7. */
export type Evidence = {
  domain: string;
  spf: { result: string; isAligned: boolean };
  /** Null: not looked at. */
  dkim: { result: string; isAligned: boolean } | null;
  /** `unknown`: DNS did not answer. */
  policy: Proof['dmarcPolicy'] | 'unknown';
  arc: string | null;
};

/** The verdict on what was found. A pass that is not aligned with From proves nothing (RFC 7489 §3.1). */
export function proofOf(evidence: Evidence): Proof {
  const { domain, spf, dkim, policy } = evidence;
  const found = {
    domain,
    spf: spf.result,
    dkim: dkim?.result ?? null,
    dmarcPolicy: policy === 'unknown' ? null : policy,
    arc: evidence.arc,
  };
  if (spf.isAligned && spf.result === 'pass') return { ...found, verdict: 'proven', by: 'spf' };
  if (dkim?.isAligned === true && dkim.result === 'pass') return { ...found, verdict: 'proven', by: 'dkim' };
  const mayPassLater = [spf, dkim].some((one) => one?.isAligned === true && one.result === 'temperror');
  if (mayPassLater || policy === 'unknown') return { ...found, verdict: 'pending', by: null };
  const isForbidden = policy === 'reject' || policy === 'quarantine';
  return { ...found, verdict: isForbidden ? 'failed' : 'unproven', by: null };
}

/** Of which nothing was looked at. */
export function noProof(verdict: 'unproven' | 'pending', domain: string): Proof {
  return { verdict, domain, by: null, spf: null, dkim: null, dmarcPolicy: null, arc: null };
}

/** What is answered instead of 250; salespeople read the text in their provider's report. */
export type Answer = { code: number; text: string };

/** Why a message is refused whoever proves it; null when that has to be found out. */
export function refusalOfWriter(
  writer: Writer,
  recipients: readonly { ownAddresses: ReadonlySet<string> }[],
): Answer | null {
  if (!writer.isWhole) return { code: 552, text: '5.3.4 The header of this message is too long' };
  if (writer.from === null) {
    return {
      code: 550,
      text: '5.7.1 This message was not logged: it must have exactly one sender in its From line',
    };
  }
  const from = canonicalOwnAddress(writer.from);
  if (recipients.some(({ ownAddresses }) => ownAddresses.has(from))) return null;
  return {
    code: 550,
    text:
      '5.7.1 This message was not logged: it was sent from an address that does not belong to the owner of this ' +
      'logging address. Send it from the address you use in your CRM, or add this address to your user there',
  };
}

/** Why a message with this proof is refused (RFC 7372 §3.2); null when it is accepted. */
export function refusalOfProof(proof: Proof): Answer | null {
  if (proof.verdict !== 'failed') return null;
  return {
    code: 550,
    text:
      `5.7.26 This message was not logged: ${proof.domain} asks that mail is refused which neither SPF nor DKIM ` +
      'shows to come from it. Send it through your usual mail provider, or ask whoever runs your mail to set up DKIM',
  };
}
