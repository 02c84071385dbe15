import type { MessageHeader } from './header.ts';

/** A delivery report for people alone, as far as it can be read without guessing. */
export type PlainReport = {
  action: 'failed' | 'delayed';
  /** As written, with the words below each; never empty. */
  recipients: { address: string; words: string }[];
  /** The message that it is about, from its header on, where it stands in the text. */
  copy: string | null;
};

type Reader = (text: string, header: MessageHeader) => PlainReport | null;

/** More than a report on hundreds of recipients has, in front of the copy. */
const textCharsMax = 1_000_000;
/** In front of the list. */
const headCharsMax = 4_000;

/**
 * Reads the reports of mail systems that write no message/delivery-status, each known by a sentence that the
 * system prints and nothing else: qmail and Yahoo, Exim, Exchange up to 2003. Anything else is no report: null.
 * Pure.
 */
export function readPlainReport(text: string, header: MessageHeader): PlainReport | null {
  const lines = text.slice(0, textCharsMax).replaceAll('\r\n', '\n').trimStart();
  for (const reader of readers) {
    const read = reader(lines, header);
    if (read !== null && read.recipients.length > 0) return read;
  }
  return null;
}

/** qmail-send's bounces (QSBMF, cr.yp.to/proto/qsbmf.txt), and those of Yahoo, which differ in the first sentence. */
const qmail: Reader = (text) => {
  const isOne =
    text.startsWith('Hi. This is the ') ||
    /^Sorry, we were unable to deliver your message to the following address(?:es)?\./.test(text);
  if (!isOne) return null;
  // A paragraph that begins with a dash ends the list; the copy is what follows it.
  const end = /\n[ \t]*\n-[^\n]*(?:\n[^\n]+)*\n[ \t]*\n/.exec(text);
  const list = text.slice(0, end?.index);
  const recipients = list.split(/\n[ \t]*\n/).flatMap((paragraph) => {
    const [, address, words] = /^<([^<>\s]+@[^<>\s]+)>:(.*)$/s.exec(paragraph) ?? [];
    return address === undefined || words === undefined ? [] : [{ address, words }];
  });
  const copy = end === null ? null : text.slice(end.index + end[0].length);
  return { action: 'failed', recipients, copy };
};

const eximFailed =
  /^A message that you sent could not be delivered to one or more of its\s+recipients\.[\s\S]*?\bThe following address(?:\(es\)|es)? failed:\n/m;
const eximDelayed =
  /^A message that you sent has not yet been delivered to one or more of its\s+recipients[\s\S]*?^The address(?:es)? to which the message has not yet been delivered (?:is|are):\n/m;
const eximCopy =
  /^-{6} This is a copy of (?:the|your) message, including all the headers\.[^\n]*-{6}[^\n]*\n\s*/m;

/** Exim's default texts (its specification, chapter 50), which come with X-Failed-Recipients when it has given up. */
const exim: Reader = (text, header) => {
  const beginning = text.slice(0, headCharsMax);
  const action = eximFailed.test(beginning) ? 'failed' : 'delayed';
  const head = (action === 'failed' ? eximFailed : eximDelayed).exec(beginning);
  if (head === null || (action === 'failed' && !header.fields.has('x-failed-recipients'))) return null;
  const marker = eximCopy.exec(text);
  const list = text.slice(head.index + head[0].length, marker?.index);
  const recipients: PlainReport['recipients'] = [];
  for (const line of list.split('\n')) {
    // The list is indented; what is not is the next paragraph, as "No action is required on your part."
    if (/^\S/.test(line)) break;
    const address = /^ {2}<?([^\s<>()]+@[^\s<>()]+)>?(?: \(generated from [^()]*\))?$/.exec(line)?.[1];
    // For an alias it names whom we wrote to below the one that it stands for.
    const first = /^ {4}\((?:ultimately )?generated from ([^\s()]+@[^\s()]+)\)$/.exec(line)?.[1];
    const last = recipients.at(-1);
    if (address !== undefined) recipients.push({ address: aliasIn(line) ?? address, words: '' });
    else if (first !== undefined && last !== undefined) last.address = first;
    else if (last !== undefined) last.words += `${line.trim()} `;
  }
  return { action, recipients, copy: marker === null ? null : text.slice(marker.index + marker[0].length) };
};

function aliasIn(line: string): string | undefined {
  return /\(generated from ([^\s()]+@[^\s()]+)\)$/.exec(line)?.[1];
}

const exchangeHead =
  /^Your message did not reach some or all of the intended recipients\.[\s\S]*?^The following recipient(?:\(s\)|s)? (?:could not|cannot) be reached:\n/m;

/** Exchange 5.5 to 2003. The original is attached. */
const exchange: Reader = (text) => {
  const head = exchangeHead.exec(text.slice(0, headCharsMax));
  if (head?.index !== 0) return null;
  const recipients: PlainReport['recipients'] = [];
  for (const line of text.slice(head[0].length).split('\n')) {
    if (/^\S/.test(line)) break;
    const address = /^\s+'?([^\s'<>]+@[^\s'<>]+)'? on \d/.exec(line)?.[1];
    const last = recipients.at(-1);
    if (address !== undefined) recipients.push({ address, words: '' });
    else if (last !== undefined) last.words += `${line.trim()} `;
  }
  return { action: 'failed', recipients, copy: null };
};

const readers: readonly Reader[] = [qmail, exim, exchange];
