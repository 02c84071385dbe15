import { canonicalAddress } from './addresses.ts';
import { cleanBody, cleanLine } from './charset.ts';
import { readHeader } from './header.ts';

/** What a delivery report (RFC 3464) says of a message that somebody sent. */
export type DeliveryReport = {
  /** Bare Message-IDs of the message that it is about: the original's own and what the report answers. */
  cites: string[];
  recipients: ReportedRecipient[];
};

export type ReportedRecipient = {
  /** Contact's canonical form; the original recipient where it is named, since that is whom we wrote to. */
  address: string;
  /** RFC 3464 §2.3.3. `delayed` is no failure. */
  action: 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';
  /** Enhanced status code (RFC 3463), for example `5.1.1`; null where there is none. */
  status: string | null;
  /** The remote system's own words; null where there are none. */
  words: string | null;
};

const actions = new Set(['failed', 'delayed', 'delivered', 'relayed', 'expanded']);

/** More than a report on a thousand recipients has. */
const statusCharsMax = 1_000_000;
/** Longest text of another system that is kept. */
const wordsCharsMax = 500;

/**
 * The report in a multipart/report message, from its parts as the MIME parser gives them; null when
 * none of them is a message/delivery-status that names a recipient. Pure.
 */
export function readDeliveryReport(
  parts: readonly { type: string; content: Buffer }[],
  answers: readonly string[],
): DeliveryReport | null {
  const status = parts.find((part) => part.type === 'message/delivery-status');
  if (status === undefined) return null;
  const recipients = groupsOf(cleanBody(status.content.toString('utf8'), statusCharsMax)).flatMap(
    recipientOf,
  );
  if (recipients.length === 0) return null;
  const originals = parts.filter(
    (part) => part.type === 'message/rfc822' || part.type === 'text/rfc822-headers',
  );
  const ids = originals.flatMap((part) => {
    const header = readHeader(part.content);
    return [header.messageId, header.originalMessageId].filter((id) => id !== null);
  });
  return { cites: [...new Set([...ids, ...answers])], recipients };
}

/** Blocks of fields between blank lines (RFC 3464 §2.1), unfolded, names in lower case. */
function groupsOf(text: string): Map<string, string>[] {
  return text.split(/\r?\n[ \t]*\r?\n/).map((block) => {
    const fields = new Map<string, string>();
    for (const line of block.replaceAll(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
      const colon = line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    return fields;
  });
}

function recipientOf(fields: Map<string, string>): ReportedRecipient[] {
  const action = fields.get('action')?.toLowerCase() ?? '';
  const named = afterType(fields.get('original-recipient')) ?? afterType(fields.get('final-recipient'));
  if (named === null || !actions.has(action)) return [];
  return [
    {
      address: canonicalAddress(named),
      action: action as ReportedRecipient['action'],
      status: /\b[245]\.\d{1,3}\.\d{1,3}\b/.exec(fields.get('status') ?? '')?.[0] ?? null,
      words: wordsOf(afterType(fields.get('diagnostic-code'))),
    },
  ];
}

function wordsOf(text: string | null): string | null {
  return text === null ? null : cleanLine(text, wordsCharsMax) || null;
}

/** `rfc822; ann@customer.example` without the type in front (RFC 3464 §2.1.2). */
function afterType(value: string | undefined): string | null {
  const text =
    value
      ?.replace(/^[^;]*;/, '')
      .trim()
      .replace(/^<(.*)>$/, '$1') ?? '';
  return text === '' ? null : text;
}
