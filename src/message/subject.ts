import { cut, foldBlanks } from './charset.ts';

/** Longer subjects are cut before they are taken apart. */
const subjectCharsMax = 2000;

/**
 * What mail programs put before the subject of an answer, by language. `vs` is an answer in Finnish
 * and a forward in Norwegian and Danish; it counts as an answer here, since only the ids of a
 * message may join it to a thread anyway, while a false forward would split one.
 */
const replyPrefixes = [
  ['re', 'aw', 'antw', 'antwort'], // English, German, Dutch
  ['sv', 'vs'], // Swedish, Danish, Norwegian, Finnish
  ['rif', 'res', 'resp'], // Italian, Portuguese, Spanish
  ['odp', 'ynt', 'vá', 'atb', 'bls'], // Polish, Turkish, Hungarian, Welsh, Indonesian
  ['отв', 'ответ', 'απ', 'σχετ', '回复', '回覆', '答复', '答覆', '返信', '답장', 'رد', 'השב'],
].flat();

/** The same for forwards. */
const forwardPrefixes = [
  ['fwd', 'fw', 'wg', 'doorst'], // English, German, Dutch
  ['tr', 'rv', 'enc', 'inoltro'], // French, Spanish, Portuguese, Italian
  ['vl', 'vb', 'pd', 'továbbítás', 'trs'], // Finnish, Swedish, Polish, Hungarian, Indonesian
  ['ilt', 'İLT'], // Turkish, whose İ is no upper case of i by Unicode's simple folding
  ['пересл', 'πρθ', 'πρδ', '转发', '轉寄', '轉發', '転送', '전달', 'إعادة توجيه', 'הועבר'],
].flat();

/**
 * One letter is a prefix only as Outlook writes it, in upper case: `R: ` and `I: ` in Italian. Programs
 * for scripts that run from right to left put their invisible marks before it.
 */
const prefix = new RegExp(
  `[\u200e\u200f\u202a-\u202e]{0,3}(?:(?<reply>${replyPrefixes.join('|')})|(?<forward>${forwardPrefixes.join('|')})|(?<letter>[ri]))` +
    // `Re[2]:`, `Re(2):`, `Re^2:`, `Re *2:`, and RFC 5256's own `re [blob]:`
    '(?:\\s?(?:\\[[^[\\]]{0,80}\\]|\\(\\d{1,3}\\)|[\\^*]\\d{1,3}))?\\s?[:：]\\s*',
  'iuy',
);
/** RFC 5256 §5: subj-blob, `[` anything but brackets `]` and white space. */
const blob = /\[[^[\]]{0,200}\]\s*/y;
const forwardTrailer = /\s*\(fwd\)$/i;
const forwardWrapper = /^\[fwd:(.*)\]$/i;

/**
 * The subject without what answering and forwarding add (RFC 5256 §2.1, with the prefixes of other
 * languages): for comparing, after lower-casing. `[tags]` in front go too, unless nothing else is left.
 */
export function baseSubject(subject: string): string {
  return takenApart(subject).base;
}

/** Whether the subject says that the message is a forward: its outermost mark is a forward's, after any `[tags]`. */
export function isForwardSubject(subject: string): boolean {
  return takenApart(subject).marks[0] === 'forward';
}

/** Whether the subject says that the message is an answer: its outermost mark is an answer's, after any `[tags]`. */
export function isReplySubject(subject: string): boolean {
  return takenApart(subject).marks[0] === 'reply';
}

/**
 * How often something was forwarded on the way of this subject: `Re: Fwd: Offer` answers a forward,
 * and so goes on with the forward's thread, not with that of the mail in it.
 */
export function forwardCount(subject: string): number {
  return takenApart(subject).marks.filter((mark) => mark === 'forward').length;
}

/**
 * The subject of an answer: as it is when it already starts with `Re:`, else `Re: ` and the subject
 * without its answer and forward marks. `[tags]` stay: ticket systems find their case by them.
 */
export function replySubject(subject: string): string {
  const text = folded(subject);
  if (/^re\s?:/i.test(text)) return text;
  let at = 0;
  for (let next = prefixAt(text, at); next !== null; next = prefixAt(text, at)) at = next.end;
  return `Re: ${text.slice(at)}`.trim();
}

function folded(subject: string): string {
  return foldBlanks(cut(subject, subjectCharsMax));
}

type Mark = 'reply' | 'forward';

/** The base subject, and what was put around it, the outermost first. */
function takenApart(subject: string): { base: string; marks: Mark[] } {
  let text = folded(subject);
  const marks: Mark[] = [];
  for (;;) {
    const trailers: Mark[] = [];
    for (; forwardTrailer.test(text); trailers.push('forward')) text = text.replace(forwardTrailer, ''); // step 2
    const leader = leaderOf(text); // steps 3 to 5
    marks.push(...leader.marks, ...trailers);
    text = text.slice(leader.end);
    const wrapped = forwardWrapper.exec(text); // step 6
    if (wrapped === null) return { base: text.trim(), marks };
    marks.push('forward');
    text = wrapped[1]!.trim();
  }
}

/** The prefixes in front, and where the base subject starts: after them and blobs, blobs only while something follows them. */
function leaderOf(text: string): { end: number; marks: Mark[] } {
  const marks: Mark[] = [];
  let at = 0;
  for (;;) {
    const afterBlobs = skipBlobs(text, at);
    const next = prefixAt(text, afterBlobs);
    if (next === null) return { end: afterBlobs < text.length ? afterBlobs : at, marks };
    marks.push(next.forward ? 'forward' : 'reply');
    at = next.end;
  }
}

function skipBlobs(text: string, from: number): number {
  let at = from;
  for (;;) {
    blob.lastIndex = at;
    const match = blob.exec(text);
    // A `[Fwd: …]` around the whole is step 6's, no tag.
    if (match === null || /^\[fwd:/i.test(match[0])) return at;
    at += match[0].length;
  }
}

function prefixAt(text: string, at: number): { end: number; forward: boolean } | null {
  prefix.lastIndex = at;
  const match = prefix.exec(text);
  if (match === null) return null;
  const letter = match.groups?.['letter'];
  if (letter !== undefined && !/^\W*[RI]:/.test(match[0])) return null;
  return { end: at + match[0].length, forward: letter === 'I' || match.groups?.['forward'] !== undefined };
}
