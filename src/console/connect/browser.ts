import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import type { LinkId } from '../../lib/id.ts';
import type { SecretBox } from '../../lib/secret-box.ts';

/*
 * How a consent is kept from being taken over.
 *
 * The token in a link's URL says whom a mailbox is connected for; whoever has it may begin. What must
 * not happen is that one person begins and another one's mailbox ends up in their place. So:
 *
 * - a form is taken from our own page alone: browsers say where it came from (Sec-Fetch-Site), and
 *   those that do not must bring a cookie with a form token bound to it and to the link;
 * - the state that goes to the provider is signed, works once, and is bound to the link and to the
 *   browser's cookie. In another browser, or where cookies are blocked (a web view that hands over to
 *   the system's browser, a frame of another site), the answer is not thrown away: the page says whom
 *   the mailbox would be connected for and asks (`confirm`). A victim who was lured straight to the
 *   provider's page thus learns of it before anything happens.
 */

/** The cookie lives as long as somebody may take at a provider's page. */
const cookieSecondsMax = 2 * 60 * 60;
const browserPattern = /^[\w-]{43}$/;

/** The cookie of this browser, made where it has none. Its name pins it to this host where there is TLS. */
export function browserOf(c: Context, isSecure: boolean): string {
  const known = knownBrowser(c, isSecure);
  if (known !== null) return known;
  const made = randomBytes(32).toString('base64url');
  setCookie(c, cookieName(isSecure), made, {
    path: '/',
    httpOnly: true,
    secure: isSecure,
    // Not Strict: the way back from the provider comes from another site.
    sameSite: 'Lax',
    maxAge: cookieSecondsMax,
  });
  return made;
}

/** The cookie that the browser brought, if it is one of ours. */
export function knownBrowser(c: Context, isSecure: boolean): string | null {
  const value = getCookie(c, cookieName(isSecure)) ?? '';
  return browserPattern.test(value) ? value : null;
}

export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** What a form of the page carries: bound to the link and to the browser. */
export function formToken(secretBox: SecretBox, linkId: LinkId, browser: string): string {
  return secretBox.mac('connect form', `${linkId} ${browser}`).toString('base64url');
}

/** Whether a form came from our own page. */
export function isOwnForm(
  c: Context,
  secretBox: SecretBox,
  form: { linkId: LinkId; token: string; isSecure: boolean },
): boolean {
  const site = c.req.header('sec-fetch-site');
  // A form in a frame is sent by another cookie, or none, than the window that it opens has.
  if (site !== undefined) return site === 'same-origin';
  const browser = knownBrowser(c, form.isSecure);
  return browser !== null && isEqual(form.token, formToken(secretBox, form.linkId, browser));
}

/** The `state` of a consent. */
export function signState(
  secretBox: SecretBox,
  consent: { id: string; linkId: LinkId; browserHash: Buffer },
): string {
  return `${consent.id}.${stateMac(secretBox, consent)}`;
}

/** The id of the consent that a state names; it is not verified yet. */
export function consentIdOf(state: string): string | null {
  return /^([\w-]{22})\.[\w-]{43}$/.exec(state)?.[1] ?? null;
}

export function isSigned(
  secretBox: SecretBox,
  state: string,
  consent: { id: string; linkId: LinkId; browserHash: Buffer },
): boolean {
  return isEqual(state, `${consent.id}.${stateMac(secretBox, consent)}`);
}

/** An administrator's consent may take weeks, and changes nothing here: its state only names the link. */
const adminDaysMax = 30;

/** The `state` of an administrator's consent. */
export function signAdminState(secretBox: SecretBox, linkId: LinkId, now: number): string {
  const signed = `${linkId}.${(now + adminDaysMax * 86_400_000).toString(36)}`;
  return `admin.${signed}.${secretBox.mac('connect admin', signed).toString('base64url')}`;
}

/** The link that an administrator's state names; null: not ours, or too old. */
export function linkOfAdminState(secretBox: SecretBox, state: string, now: number): LinkId | null {
  const [, linkId = '', until = '', mac = ''] =
    /^admin\.(lnk_[\w-]+)\.([a-z\d]+)\.([\w-]{43})$/.exec(state) ?? [];
  const right = secretBox.mac('connect admin', `${linkId}.${until}`).toString('base64url');
  return isEqual(mac, right) && Number.parseInt(until, 36) > now ? (linkId as LinkId) : null;
}

function stateMac(
  secretBox: SecretBox,
  consent: { id: string; linkId: LinkId; browserHash: Buffer },
): string {
  const bound = [consent.id, consent.linkId, consent.browserHash.toString('base64url')].join(' ');
  return secretBox.mac('connect state', bound).toString('base64url');
}

function isEqual(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function cookieName(isSecure: boolean): string {
  return isSecure ? '__Host-twoway-connect' : 'twoway-connect';
}
