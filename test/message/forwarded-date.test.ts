import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type DateContext, readBlockDate } from '../../src/message/forwarded-date.ts';

/** Forwarded on Thursday, 26 November 2026, in Berlin. */
const berlin: DateContext = {
  dayFirst: true,
  zoneMinutes: 60,
  forwardedMs: Date.parse('2026-11-26T08:30:00Z'),
};

/** The date as ISO without milliseconds, `?` behind an ambiguous one, `~` behind one whose zone was assumed. */
function shown(written: string, context: Partial<DateContext> = {}): string {
  const { ms, ambiguous, zoneAssumed } = readBlockDate(written, { ...berlin, ...context });
  if (ms === null) return 'none';
  return new Date(ms).toISOString().replace('.000Z', 'Z') + (ambiguous ? '?' : '') + (zoneAssumed ? '~' : '');
}

describe('the date above a forwarded message', () => {
  const three = '2026-11-23T14:04:00Z~';
  const cases: [written: string, expected: string][] = [
    // Every month as each language writes it, whole and short.
    ['2 January 2026 15:04', '2026-01-02T14:04:00Z~'],
    ['2. Jänner 2026 15:04', '2026-01-02T14:04:00Z~'],
    ['2 févr. 2026 15:04', '2026-02-02T14:04:00Z~'],
    ['2 mrt 2026 15:04', '2026-03-02T14:04:00Z~'],
    ['2 maart 2026 15:04', '2026-03-02T14:04:00Z~'],
    ['2. März 2026 15:04', '2026-03-02T14:04:00Z~'],
    ['2 avr. 2026 15:04', '2026-04-02T14:04:00Z~'],
    ['2 de abril de 2026 15:04', '2026-04-02T14:04:00Z~'],
    ['2 maggio 2026 15:04', '2026-05-02T14:04:00Z~'],
    ['2 mei 2026 15:04', '2026-05-02T14:04:00Z~'],
    ['2 juin 2026 15:04', '2026-06-02T14:04:00Z~'],
    ['2 giu 2026 15:04', '2026-06-02T14:04:00Z~'],
    ['2 juillet 2026 15:04', '2026-07-02T14:04:00Z~'],
    ['2 juil. 2026 15:04', '2026-07-02T14:04:00Z~'],
    ['2 luglio 2026 15:04', '2026-07-02T14:04:00Z~'],
    ['2 août 2026 15:04', '2026-08-02T14:04:00Z~'],
    ['2 ago. 2026 15:04', '2026-08-02T14:04:00Z~'],
    ['2 de setembro de 2026 15:04', '2026-09-02T14:04:00Z~'],
    ['2. Sept. 2026 15:04', '2026-09-02T14:04:00Z~'],
    ['2 de out. de 2026 às 15:04', '2026-10-02T14:04:00Z~'],
    ['2 ott 2026 15:04', '2026-10-02T14:04:00Z~'],
    ['2. Okt. 2026 15:04', '2026-10-02T14:04:00Z~'],
    ['1er déc. 2025 à 15:04', '2025-12-01T14:04:00Z~'],
    ['2 dic 2025 15:04', '2025-12-02T14:04:00Z~'],
    ['2. Dezember 2025 15:04', '2025-12-02T14:04:00Z~'],
    // A short weekday that is also a short month.
    ['mar. 24 nov. 2026 à 15:04', '2026-11-24T14:04:00Z~'],
    ['mar 24 nov 2026 alle ore 15:04', '2026-11-24T14:04:00Z~'],
    ['mar, 24 nov 2026 a las 15:04', '2026-11-24T14:04:00Z~'],
    // Times.
    ['Mon, Nov 23, 2026 at 3:04\u202fPM', three],
    ['Mon, 23 Nov 2026, 3:04 pm', three],
    ['lunes, 23 de noviembre de 2026 3:04 p.\u00a0m.', three],
    ['lundi 23 novembre 2026 15h04', three],
    ['23. November 2026, 15.04 Uhr', three],
    ['Nov 23, 2026 at 12:04 AM', '2026-11-22T23:04:00Z~'],
    ['Nov 23, 2026 at 12:04 PM', '2026-11-23T11:04:00Z~'],
    ['\u200elunes, 23 de nov. de 2026 a la(s) 15:04\u200e', three],
    // Zones.
    ['23 November 2026 at 15:04:12 GMT', '2026-11-23T15:04:12Z'],
    ['23 November 2026 at 15:04:12 GMT+1', '2026-11-23T14:04:12Z'],
    ['23 November 2026 at 15:04:12 GMT+5:30', '2026-11-23T09:34:12Z'],
    ['23 November 2026 at 15:04:12 UTC\u22123', '2026-11-23T18:04:12Z'],
    ['November 23, 2026 at 6:04:12 AM PST', '2026-11-23T14:04:12Z'],
    ['23. November 2026 um 15:04:12 MEZ', '2026-11-23T14:04:12Z'],
    ['23. Juli 2026 um 15:04:12 MESZ', '2026-07-23T13:04:12Z'],
    ['Mon, 23 Nov 2026 15:04:12 +0100 (CET)', '2026-11-23T14:04:12Z'],
    ['23 November 2026 at 15:04:12 AEST', '2026-11-23T14:04:12Z~'],
    // Numbers.
    ['23.11.2026 15:04', three],
    ['23.11.26, 15:04', three],
    ['23-11-2026 15:04', three],
    ['segunda, 23/11/2026 à(s) 15:04', three],
    ['03/04/2026 15:04', '2026-04-03T14:04:00Z~'],
    ['2026-11-23 15:04', three],
    ['2026/11/23 15:04', three],
    // What is none.
    ['', 'none'],
    ['yesterday', 'none'],
    ['23 November 2026', 'none'],
    ['15:04', 'none'],
    ['31 February 2026 15:04', 'none'],
    ['32.11.2026 15:04', 'none'],
    ['23 Nov 2026 25:04', 'none'],
    ['23 Nov 2026 15:64', 'none'],
    ['23 Nov 1926 15:04', 'none'],
  ];
  for (const [written, expected] of cases) {
    test(JSON.stringify(written), () => assert.equal(shown(written), expected));
  }

  test('numbers with slashes in English: by what is possible, else ambiguous', () => {
    const english = { dayFirst: false };
    assert.equal(shown('11/23/2026 3:04 PM', english), three);
    assert.equal(shown('23/11/2026 15:04', english), three);
    assert.equal(shown('03/04/2026 15:04', english), '2026-03-04T14:04:00Z?~');
    assert.equal(shown('05/05/2026 15:04', english), '2026-05-05T14:04:00Z~');
    // The 3rd of December is after the forward.
    assert.equal(shown('03/12/2026 15:04', english), '2026-03-12T14:04:00Z~');
    assert.equal(shown('12/03/2026 15:04', english), '2026-03-12T14:04:00Z~');
    assert.equal(shown('03/12/2026 15:04', { ...english, forwardedMs: null }), '2026-03-12T14:04:00Z?~');
    assert.equal(shown('03.12.2025 15:04', english), '2025-12-03T14:04:00Z~');
  });

  test('a date without a zone is not after the forward by less than zones differ', () => {
    const forwardedMs = Date.parse('2026-11-23T14:10:00Z');
    const utc = { zoneMinutes: 0, forwardedMs };
    assert.equal(shown('23 November 2026 15:04', utc), '2026-11-23T14:04:00Z~');
    assert.equal(shown('23 November 2026 22:04', utc), '2026-11-23T14:04:00Z~');
    assert.equal(shown('23 November 2026 14:04', utc), '2026-11-23T14:04:00Z~');
    assert.equal(shown('24 November 2026 15:04', utc), '2026-11-24T15:04:00Z~');
    // A zone that is written is believed.
    assert.equal(shown('23 November 2026 15:04 UTC', utc), '2026-11-23T15:04:00Z');
  });

  test('never throws', () => {
    const piece = fc.constantFrom('23', '.', '/', ' ', 'nov', '2026', '15:04', 'GMT+', '99', 'de ', 'p.m.');
    fc.assert(fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => void shown(pieces.join(''))));
  });
});
