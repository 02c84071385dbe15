import type { BodyLine } from './body-lines.ts';

/** Lines of people are longer; those of mail programs are not. */
const markCharsMax = 200;

/** The line above the original message, in Outlook's and Samsung's way: `-----Original Message-----`. */
const originalMark = new RegExp(
  '^[\\s*]{0,4}[-_=]{2,30}\\s{0,3}(?:' +
    [
      'original (?:message|appointment|mail|e-?mail)',
      'urspr(?:ü|ue|u)ngliche (?:nachricht|e-?mail)|originalnachricht',
      "message d['’]origine|message original|message initial",
      'mensaje original|correo original',
      'messaggio originale',
      'mensagem original',
      'oorspronkelijk bericht',
      'ursprungligt meddelande|opprinnelig melding|oprindelig meddelelse|wiadomość oryginalna',
    ].join('|') +
    ')\\s{0,3}:?\\s{0,3}[-_=]{2,30}[\\s*]{0,4}$',
  'iu',
);

const forwarded = [
  'forwarded message',
  'weitergeleitete nachricht',
  'message transf[ée]r[ée]|message r[ée]exp[ée]di[ée]|message transmis',
  'mensaje reenviado',
  'messaggio inoltrato',
  'mensagem (?:encaminhada|reencaminhada)',
  'doorgestuurd bericht',
].join('|');
const beginForwarded = [
  'begin forwarded message',
  'anfang der weitergeleiteten (?:nachricht|e-?mail)',
  'd[ée]but du message (?:transf[ée]r[ée]|r[ée]exp[ée]di[ée])',
  'inicio del mensaje reenviado',
  'inizio (?:del )?messaggio inoltrato',
  'in[íi]cio da mensagem (?:encaminhada|reencaminhada)',
  'begin doorgestuurd bericht',
].join('|');
/** The line above a forwarded message: between dashes (Gmail, Thunderbird), or with a colon and words that nobody types (Apple Mail). */
const forwardMark = new RegExp(
  `^[\\s*]{0,4}(?:[-_=]{2,30}\\s{0,3}(?:${forwarded})\\s{0,3}[-_=]{2,30}|(?:${beginForwarded})\\s{0,2}:)[\\s*]{0,4}$`,
  'iu',
);

/** Whether a mail program says here that what follows was forwarded; it writes this above no answer. */
export function isForwardMark(text: string): boolean {
  return text.length <= markCharsMax && forwardMark.test(text);
}

/** Whether the line starts an original or forwarded message that goes on to the end, unmarked. */
export function isOriginalMark(text: string): boolean {
  return text.length <= markCharsMax && (originalMark.test(text) || forwardMark.test(text));
}

const address = /[^\s<>@]@[^\s<>@]/u;
const verb =
  /(?:^|[\s>),])(?:wrote|writes|schrieb|geschrieben|a [ée]crit|escribi[óo]|ha scritto|escreveu|schreef|geschreven|skrev|napisał\(?a?\)?)(?=$|[\s:,<(])/iu;
const opener = /^[\s*]{0,4}(?:on|am|le|el|en|em|il|op|den|dnia|w dniu)\s/iu;
const dayAndTime =
  /(?:\b\d{4}\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b)[\s\S]*\b\d{1,2}[:.h]\d{2}\b|\b\d{1,2}:\d{2}\b[\s\S]*\b\d{4}\b/iu;
const bracketed = /<[^<>\s@]{1,100}@[^<>\s@]{1,200}>/u;
/** Gmail where it has no words for it: `2024-06-03 10:00 GMT+02:00 Jane <jane@example.com>:`. */
const wordless = /^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\s.{4,60}<[^<>\s]{3,200}>\s?:$/u;

/** Attributions wrap over at most this many lines. */
const attributionLinesMax = 4;
const attributionCharsMax = 500;

/** What precedes a quote: `certain` when only a mail program writes that, so that no quote marks need follow. */
export type Attribution = { start: number; end: number; certain: boolean };

/**
 * The attribution that ends at line `index` (`On Mon, 3 Jun 2024 at 10:00 Jane <jane@example.com>
 * wrote:`), in English, German, French, Spanish, Italian, Portuguese and Dutch; null when that
 * line ends none. Looks at four lines and 500 characters at most.
 */
export function attributionEndingAt(lines: readonly BodyLine[], index: number): Attribution | null {
  const depth = lines[index]?.quoteDepth ?? 0;
  const written: string[] = [];
  let found: Attribution | null = null;
  for (let start = index; start > index - attributionLinesMax && start >= 0; start--) {
    const line = lines[start];
    if (line === undefined || line.text === '' || line.quoteDepth !== depth) break;
    if (line.text.length > attributionCharsMax) break;
    written.unshift(line.text.replace(/^[\s*]+|[\s*]+$/g, ''));
    const text = written.join(' ');
    if (text.length > attributionCharsMax || !text.endsWith(':')) break;
    const certainty = attributionIn(text, start < index);
    // The longest that reads as one.
    if (certainty === 'certain') return { start, end: index, certain: true };
    if (certainty === 'likely') found = { start, end: index, certain: false };
  }
  return found;
}

/** An address in brackets is a mail program's; over several lines, a sentence of somebody's own may stand before. */
function attributionIn(text: string, wrapped: boolean): 'certain' | 'likely' | null {
  if (wordless.test(text)) return 'certain';
  if (!verb.test(text)) return null;
  const isAddressed = bracketed.test(text);
  const isDated = opener.test(text) && dayAndTime.test(text);
  if (isDated && isAddressed) return 'certain';
  if (isDated) return 'likely';
  return !wrapped && (isAddressed || (opener.test(text) && /\d/.test(text))) ? 'likely' : null;
}

/** Whether the line may be of an attribution, also in a language that we do not know: a year, an address, a verb. */
export function mayBeOfAttribution(text: string): boolean {
  const looked = text.slice(0, attributionCharsMax);
  return /\d{4}/.test(looked) || address.test(looked) || verb.test(looked);
}

/** Ends in a colon, as every attribution does: the cheap question before the dear one. */
export function mayEndAttribution(text: string): boolean {
  return /:[\s*]{0,4}$/.test(text.slice(-5));
}

/**
 * The delimiter of signatures (RFC 3676 §4.3). Without its blank it would be the ruler that people put
 * between two paragraphs.
 */
export function isSignatureDelimiter(text: string): boolean {
  return text === '-- ';
}

/** What a mail is written on or with, in the words of phones and apps. */
const devices = [
  'iphone|ipad|ipod|android|samsung|galaxy|huawei|xiaomi|redmi|pixel|oneplus|oppo|sony|xperia|motorola|blackberry|nokia',
  'mobile|mobil|mobilgerät|mobiltelefon|handy|smartphone|phone|tablet|cell|t[ée]l[ée]phone|telefon|tel[ée]fono|telefoon',
  'mac|windows|outlook|gmail|yahoo|gmx|web\\.de|proton|protonmail|aol|icloud|thunderbird|spark',
].join('|');
/** The words between them; what has a digit is a model or a version. No two match the same, so that no time is lost in trying. */
const betweenDevices = [
  'my|meine[mr]|mon|ma|mi|mio|mia|mijn|meu|minha|the|der|dem|la|le|el|il|o|un',
  'for|für|pour|para|per|voor|on|auf|sur|en|su|op|from|von|de|da|do|no|with|mit|using|via|t',
  'mail|email|e|app|device|lte|gerät|appareil|dispositivo|ios|courrier|correo|posta|correio|secure|telekom|vodafone|orange|[^\\s\\d-]*\\d[^\\s-]*',
].join('|');
/** Nothing but such words, and at least one device: with any other word it may be a sentence of somebody's own. */
const written = `(?=.*(?:${devices}))(?:(?:${devices}|${betweenDevices})[\\s-]{1,3}){0,10}(?:${devices}|${betweenDevices})`;
const link = '(?:\\s{0,2}[<([]?https?:\\S+)?';
const mobileSignature = new RegExp(
  '^[\\s*]{0,4}(?:' +
    [
      `(?:sent (?:from|via|with|using)|(?:gesendet|versendet) (?:von|mit|über)) ${written}`,
      `(?:envoy[ée] (?:de|depuis|[àa] partir de|avec)|enviad[oa] (?:desde|do|da|de|a partir de)) ${written}`,
      `(?:inviato (?:da|dal|con|tramite)|(?:verstuurd|verzonden) (?:vanaf|via|met|vanuit)) ${written}`,
      `(?:diese nachricht wurde )?von (?:${written}|unterwegs) gesendet`,
      `(?:get|obten(?:ir|er|ha)|obter o|télécharge[rz]|descargar|ottieni|scarica|holen sie sich|laden sie|downloaden?) outlook (?:for|für|pour|para|per|voor) (?:ios|android|mac|windows)${link}`,
      `outlook (?:für|voor|for|pour|para|per) (?:ios|android|mac|windows)${link} (?:beziehen|downloaden|herunterladen)${link}`,
    ].join('|') +
    ')[\\s.*]{0,4}$',
  'iu',
);

/** What phones and apps put under a mail: `Sent from my iPhone`. Only a sign at the end of what somebody wrote. */
export function isMobileSignature(text: string): boolean {
  return text.length <= markCharsMax && mobileSignature.test(text);
}

/** The ruler above the footer that Mailman appends; Outlook's is shorter. */
export function isListRuler(text: string): boolean {
  return /^_{47}$/.test(text);
}

/** Where what starts at `index` begins with the blank lines and the rulers above it; Outlook draws one above its header block. */
export function aboveRulers(lines: readonly BodyLine[], index: number): number {
  const isSpacer = (line: BodyLine | undefined): boolean =>
    line !== undefined && line.quoteDepth === 0 && (line.text === '' || /^[-_=*]{5,100}$/.test(line.text));
  let start = index;
  while (isSpacer(lines[start - 1])) start--;
  return start;
}
