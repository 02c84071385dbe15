/**
 * Pure: the date in the block above a forwarded message, as the mail programs write it in English,
 * German, French, Spanish, Italian, Portuguese and Dutch.
 */
import { parseMailDate, zoneHours as mailZoneHours } from './mail-date.ts';

/** What is known beside the text. */
export type DateContext = {
  /** Whether `03/04/2026` can only be the 3rd of April: true for every language but English. */
  dayFirst: boolean;
  /** The forward's own offset from UTC: it counts where the text names no zone. */
  zoneMinutes: number;
  /** When it was forwarded; null when that is not known. Nothing is forwarded before it was sent. */
  forwardedMs: number | null;
};

export type BlockDate = {
  /** Milliseconds since 1970; null when unreadable. */
  ms: number | null;
  /** Whether day and month may be the other way round. */
  ambiguous: boolean;
  /** Whether the text names no zone that is known, so that the forward's own was taken. */
  zoneAssumed: boolean;
};

/** How the months begin in the languages, without accents: no two say different things. */
const monthStems: readonly (readonly string[])[] = [
  ['jan', 'ene', 'gen'],
  ['feb', 'fev'],
  ['mar', 'mrt', 'maa'],
  ['apr', 'avr', 'abr'],
  ['mai', 'may', 'mei', 'mag'],
  ['jun', 'juin', 'giu'],
  ['jul', 'juil', 'lug'],
  ['aug', 'aou', 'ago'],
  ['sep', 'set'],
  ['oct', 'okt', 'ott', 'out'],
  ['nov'],
  ['dec', 'dez', 'dic'],
];

/** Hours from UTC of the zones that Apple and others name; those of which there are several (IST, CST in China) are left out. */
const zoneHours: ReadonlyMap<string, number> = new Map([
  ['utc', 0],
  ['gmt', 0],
  ['z', 0],
  ['wet', 0],
  ['west', 1],
  ['bst', 1],
  ['cet', 1],
  ['mez', 1],
  ['cest', 2],
  ['mesz', 2],
  ['hnec', 1],
  ['heec', 2],
  ['eet', 2],
  ['oez', 2],
  ['eest', 3],
  ['oesz', 3],
  ['brt', -3],
  ...mailZoneHours,
]);

const dateCharsMax = 200;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** `23. november 2026`, `23 de novembro de 2026`, `23rd Nov 2026`. */
const dayMonthYear =
  /(?<!\d)(\d{1,2})(?:\.|er|º|°|st|nd|rd|th)?\s{0,2}(?:de\s)?\s{0,2}([a-z]{3,10})\.?,?\s{0,2}(?:de\s)?\s{0,2}(\d{4})(?!\d)/;
/** `nov 23, 2026`. */
const monthDayYear = /([a-z]{3,10})\.?\s{1,2}(\d{1,2})(?:st|nd|rd|th)?,?\s{1,2}(\d{4})(?!\d)/;
const yearMonthDay = /(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)/;
const numeric = /(?<!\d)(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?!\d)/;
/** Also `15h04`; and `3:04 p. m.` in Spanish. What follows is the zone. */
const clock =
  /(?<![\d.])(\d{1,2})\s?(?:[:h]|uhr|\.)\s?(\d{2})(?:[:.](\d{2}))?(?:\s{0,2}([ap])\.?\s?m\b\.?)?(?:\s{0,2}uhr)?(?![\d.])\s{0,3}\(?(?:([a-z]{1,5})?\s?(?:([+\u2212-])(\d{1,2}):?(\d{2})?)?)/;

/**
 * The date that `written` says. Gmail and Outlook write it without a zone, in that of the person who
 * forwards; that is taken to be the zone of the forward's own Date header. It is an hour off where the
 * clocks were changed between the two, and more for Exchange, whose Date headers are in UTC whoever
 * writes (2026): a date that would then lie after the forward is set back by whole hours.
 */
export function readBlockDate(written: string, context: DateContext): BlockDate {
  const nothing: BlockDate = { ms: null, ambiguous: false, zoneAssumed: false };
  const text = written.slice(0, dateCharsMax);
  // Thunderbird, Evolution and others write the original's header as it is.
  const asHeader = /[+-]\d{4}\b/.test(text) ? parseMailDate(text) : null;
  if (asHeader !== null) return { ...nothing, ms: asHeader };
  const plain = folded(text);
  const day = dayOf(plain, context);
  const time = day === null ? null : timeOf(plain.slice(0, day.start) + '|' + plain.slice(day.end));
  if (day === null || time === null) return nothing;
  const local = day.ms + time.ms;
  const zoneAssumed = time.zoneMinutes === null;
  const ms = local - (time.zoneMinutes ?? context.zoneMinutes) * 60_000;
  return { ms: zoneAssumed ? notAfter(ms, context.forwardedMs) : ms, ambiguous: day.ambiguous, zoneAssumed };
}

/** No zone is further from UTC than 14 hours: what is later by more is another mistake. */
function notAfter(ms: number, latestMs: number | null): number {
  if (latestMs === null || ms <= latestMs || ms - latestMs > 14 * hourMs) return ms;
  return ms - Math.ceil((ms - latestMs) / hourMs) * hourMs;
}

/** Lower case without accents, one kind of blank. */
function folded(text: string): string {
  const visible = text.replace(/[\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, '').toLowerCase();
  return visible.normalize('NFD').replace(/\p{M}/gu, '').replace(/\s+/g, ' ').trim();
}

/** The day as UTC midnight, and where it stands. */
type Day = { ms: number; ambiguous: boolean; start: number; end: number };

function dayOf(text: string, context: DateContext): Day | null {
  const at = (match: RegExpExecArray) => ({ start: match.index, end: match.index + match[0].length });
  const words = dayMonthYear.exec(text);
  const named = words === null ? null : midnight(words[3], monthOf(words[2]), words[1]);
  if (words !== null && named !== null) return { ms: named, ambiguous: false, ...at(words) };
  const american = monthDayYear.exec(text);
  const monthFirst = american === null ? null : midnight(american[3], monthOf(american[1]), american[2]);
  if (american !== null && monthFirst !== null) return { ms: monthFirst, ambiguous: false, ...at(american) };
  const iso = yearMonthDay.exec(text);
  const sorted = iso === null ? null : midnight(iso[1], Number(iso[2]), iso[3]);
  if (iso !== null && sorted !== null) return { ms: sorted, ambiguous: false, ...at(iso) };
  const digits = numeric.exec(text);
  const read = digits === null ? null : numericDay(digits, context);
  return digits === null || read === null ? null : { ...read, ...at(digits) };
}

/** Dots are day first everywhere; with slashes Americans write the month first, and only they. */
function numericDay(
  [, first, separator, second, year]: RegExpExecArray,
  { dayFirst, forwardedMs }: DateContext,
): { ms: number; ambiguous: boolean } | null {
  const full = year?.length === 2 ? `20${year}` : year;
  const european = midnight(full, Number(second), first);
  const american = midnight(full, Number(first), second);
  if (dayFirst || separator === '.') return european === null ? null : { ms: european, ambiguous: false };
  const isPossible = (ms: number | null): ms is number =>
    ms !== null && (forwardedMs === null || ms <= forwardedMs + dayMs);
  const possible = [american, european].filter(isPossible);
  const ms = possible[0] ?? american ?? european;
  return ms === null ? null : { ms, ambiguous: possible.length === 2 && american !== european };
}

function monthOf(word: string | undefined): number {
  return monthStems.findIndex((stems) => stems.some((stem) => word?.startsWith(stem) === true)) + 1;
}

function midnight(year: string | undefined, month: number, day: string | undefined): number | null {
  if (month < 1 || month > 12) return null;
  const ms = Date.UTC(Number(year), month - 1, Number(day));
  const isReal = new Date(ms).getUTCDate() === Number(day) && Number(year) >= 1980 && Number(year) < 2100;
  return isReal ? ms : null;
}

/** The time of day, and the zone's minutes from UTC; null where none is named that is known. */
function timeOf(text: string): { ms: number; zoneMinutes: number | null } | null {
  const match = clock.exec(text);
  if (match === null) return null;
  const [, hours, minutes, seconds, half, zone, sign, offsetHours, offsetMinutes] = match;
  const hour = half === undefined ? Number(hours) : (Number(hours) % 12) + (half === 'p' ? 12 : 0);
  if (hour > 24 || Number(minutes) > 59) return null;
  const ms = ((hour * 60 + Number(minutes)) * 60 + Number(seconds ?? 0)) * 1000;
  const base = zone === undefined ? null : (zoneHours.get(zone) ?? null);
  if (sign === undefined) return { ms, zoneMinutes: base === null ? null : base * 60 };
  const offset = Number(offsetHours) * 60 + Number(offsetMinutes ?? 0);
  return { ms, zoneMinutes: (base ?? 0) * 60 + (sign === '+' ? offset : -offset) };
}
