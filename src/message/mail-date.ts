/** Before e-mail as it is, and after any clock that is merely wrong: such a date says nothing. */
const earliestMs = Date.UTC(1980, 0, 1);
const latestMs = Date.UTC(2100, 0, 1);

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

const time = '(\\d{1,2})[:.](\\d{2})(?:[:.](\\d{2})(?:\\.\\d{1,9})?)?';
const zone = '\\s{0,4}([+-]\\d{2}:?\\d{2}|[a-z]{1,5})?';
/** RFC 5322 §3.3 and the obsolete forms of §4.3: `Mon, 3 Jun 2024 10:00:00 +0200`. */
const internet = new RegExp(
  `(\\d{1,2})[\\s-]{1,4}([a-z]{3})[a-z]*[.,]?[\\s-]{1,4}(\\d{2,4})[,\\s]{1,4}${time}${zone}`,
  'i',
);
/** C's asctime: `Mon Jun  3 10:00:00 2024`, sometimes with a zone before the year. */
const asctime = new RegExp(`([a-z]{3})\\s{1,3}(\\d{1,2})\\s{1,3}${time}${zone}\\s{1,4}(\\d{4})`, 'i');
/** RFC 3339, which some programs write into Date. */
const iso = new RegExp(`^\\s*(\\d{4})-(\\d{2})-(\\d{2})[t\\s]${time}${zone}`, 'i');

/** RFC 5322 §4.3: the zones that have a meaning; others count as +0000, as that section says. */
export const zoneHours: ReadonlyMap<string, number> = new Map([
  ['edt', -4],
  ['est', -5],
  ['cdt', -5],
  ['cst', -6],
  ['mdt', -6],
  ['mst', -7],
  ['pdt', -7],
  ['pst', -8],
]);

/**
 * Milliseconds since 1970 of a Date header, or null when it is missing, unreadable, or outside
 * 1980 to 2100. Not `Date.parse`, which guesses at anything and reads a missing zone as the
 * machine's own, so that two nodes would disagree.
 */
export function parseMailDate(header: string): number | null {
  const text = header.slice(0, 200);
  const ms = internetDate(text) ?? asctimeDate(text) ?? isoDate(text);
  return ms === null || ms < earliestMs || ms >= latestMs ? null : ms;
}

function internetDate(text: string): number | null {
  const match = internet.exec(text);
  if (match === null) return null;
  const [, day, month, year, hour, minute, second, offset] = match;
  return utc({ year: fullYear(year), month: monthOf(month), day, hour, minute, second, offset });
}

function asctimeDate(text: string): number | null {
  const match = asctime.exec(text);
  if (match === null) return null;
  const [, month, day, hour, minute, second, offset, year] = match;
  return utc({ year: Number(year), month: monthOf(month), day, hour, minute, second, offset });
}

function isoDate(text: string): number | null {
  const match = iso.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second, offset] = match;
  return utc({ year: Number(year), month: Number(month) - 1, day, hour, minute, second, offset });
}

type Digits = string | undefined;

function utc(parts: {
  year: number;
  month: number;
  day: Digits;
  hour: Digits;
  minute: Digits;
  second: Digits;
  offset: Digits;
}): number | null {
  const [day, hour, minute, second] = [parts.day, parts.hour, parts.minute, parts.second ?? '0'].map(
    Number,
  ) as [number, number, number, number];
  const { year, month } = parts;
  if (month < 0 || month > 11 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60) return null;
  return Date.UTC(year, month, day, hour, minute, second) - offsetMs(parts.offset);
}

function offsetMs(offset: Digits): number {
  if (offset === undefined) return 0;
  const numeric = /^([+-])(\d{2}):?(\d{2})$/.exec(offset);
  if (numeric === null) return (zoneHours.get(offset.toLowerCase()) ?? 0) * 3_600_000;
  const minutes = Number(numeric[2]) * 60 + Number(numeric[3]);
  return (numeric[1] === '-' ? -minutes : minutes) * 60_000;
}

function monthOf(name: Digits): number {
  return months.indexOf((name ?? '').toLowerCase());
}

/** RFC 5322 §4.3: two digits up to 49 are 20xx, others and three digits are counted from 1900. */
function fullYear(digits: Digits): number {
  const year = Number(digits);
  if (digits?.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  return digits?.length === 3 ? 1900 + year : year;
}
