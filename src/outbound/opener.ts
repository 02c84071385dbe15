/** Pure: who loads a tracked picture or follows a tracked link (D7), as far as a request tells. */

/**
 * - `person`: nothing speaks against it. Scanners that call themselves a browser are among them.
 * - `proxy`: a provider that loads pictures in the name of a person who opens the mail; it hides who and where, and
 *   asks once for many openings.
 * - `machine`: nobody has seen anything.
 */
export type Opener = 'person' | 'proxy' | 'machine';

/** What of a request is looked at, and kept nowhere. Headers that are not there are empty. */
export type OpenerFacts = {
  method: string;
  userAgent: string;
  /** `Sec-Purpose`, `Purpose` and `X-Moz`, one after the other. */
  purpose: string;
};

export function openerOf({ method, userAgent, purpose }: OpenerFacts): Opener {
  if (method !== 'GET') return 'machine';
  // Browsers that load ahead of a click: Sec-Purpose (Fetch), Purpose (Safari, old Chrome), X-Moz (old Firefox).
  if (/prefetch|prerender|preview/i.test(purpose)) return 'machine';
  if (proxies.some((name) => userAgent.includes(name))) return 'proxy';
  const isMachine = userAgent === '' || userAgent === mailPrivacyProtection || machines.test(userAgent);
  return isMachine ? 'machine' : 'person';
}

/**
 * Gmail loads pictures through a proxy since 2013, mostly when a mail is opened, and keeps them: later openings are
 * not seen. Yahoo and AOL do the same. Whether one of them looked ahead cannot be told.
 */
const proxies = ['GoogleImageProxy', 'YahooMailProxy'];

/**
 * Apple Mail with Mail Privacy Protection (since iOS 15, 2021) loads every picture of every mail through Apple's
 * proxies, opened or not; it calls itself this and nothing more (seen 2021–2026).
 */
const mailPrivacyProtection = 'Mozilla/5.0';

/** Programs that say that they are none of a person. */
const machines = new RegExp(
  [
    // Gmail's look at new mail (reported since 2021): a browser that never existed like this.
    'Chrome/42\\.0\\.2311\\.135 Safari/537\\.36 Edge/12\\.246 Mozilla/5\\.0',
    // Crawlers, and previews of chats; a Cubot is a telephone.
    '(?<!cu)bot\\b|crawler|spider|preview|facebookexternalhit|whatsapp|slack-imgproxy',
    // Scanners of mail.
    'barracuda|mimecast|proofpoint|ironport|fireeye|symantec|sophos|trend ?micro|forcepoint|fortinet|safelinks|scanner',
    // Libraries and tools.
    'headless|^(?:curl|wget|python|go-http-client|java|okhttp|apache-httpclient|node|axios|ruby|php|libwww|perl)\\b',
  ].join('|'),
  'i',
);
