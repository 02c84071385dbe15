import { randomBytes } from 'node:crypto';
import type { Context } from 'hono';
import type { OfferedProvider } from '../../mailbox/connect.ts';
import { countTry, findConnectLink } from '../../store/connect-links.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { browserOf, formToken, hashOf, isOwnForm } from './browser.ts';
import { connectedPage, whereOf } from './done-page.tsx';
import { outcomePage } from './outcome-pages.tsx';
import type { Around, OutcomeName } from './outcome-pages.tsx';
import { hrefOf, sendPage } from '../page.tsx';
import type { ConsoleDeps } from '../app.tsx';
import type { Page, Site } from '../page.tsx';

/** What the routes of the connect page share. */
export type ConnectPage = ConsoleDeps & { site: Site };

/** The one redirect address for all providers, as it must be registered with them. */
export function redirectUriOf(site: Site): string {
  return `${site.url()}/connect/callback`;
}

/** What leads to the page of a login that was proven: for who has just logged in, and nobody else. */
export function newConfirmation(): { token: string; tokenHash: Buffer } {
  const token = randomBytes(32).toString('base64url');
  return { token, tokenHash: hashOf(token) };
}

/** Where the page of a proven login is. */
export function confirmPath(linkToken: string, token: string): string {
  return `/connect/${linkToken}/confirm/${token}`;
}

/** Consents and logins that one link may begin. */
const triesMax = 30;

/** A page, or any other answer. */
export type Answer = Page | Response;

/** Works with the link of the address, while it is open; else says why not, or what `closed` has to say. */
export async function withOpenLink(
  c: Context,
  page: ConnectPage,
  work: (link: ConnectLink) => Answer | Promise<Answer>,
  closed: (link: ConnectLink) => Promise<Answer | null> = () => Promise.resolve(null),
): Promise<Response> {
  const token = c.req.param('token') ?? '';
  const link = await findConnectLink(page.db, { tokenHash: hashOf(token) });
  const isOpen = link?.status === 'open';
  const own = link === null ? null : await (isOpen ? work(link) : closed(link));
  const answer = own ?? framedEnd(c, page, link) ?? outcomePage(closedName(link), { link, retryUrl: null });
  return answer instanceof Response ? answer : sendPage(c, page.site, { ...answer, framed: true });
}

/** A frame learns that it is done in the window that it has opened. */
function framedEnd(c: Context, page: ConnectPage, link: ConnectLink | null): Page | null {
  return whereOf(c, page.site).isFramed && link !== null ? plainEnd(c, page, link) : null;
}

/** That it is done; not whose mailbox that is, since nothing shows that it is theirs who ask: they have the link. */
function plainEnd(c: Context, page: ConnectPage, link: ConnectLink): Page | null {
  if (link.status !== 'used' || link.current === null) return null;
  return connectedPage(whereOf(c, page.site), { ...link.current, address: null }, link);
}

function closedName(link: ConnectLink | null): OutcomeName {
  if (link === null) return 'link_unknown';
  return link.status === 'used' ? 'link_used' : 'link_expired';
}

/** The same for a form of our own page. */
export function withOwnForm(
  c: Context,
  page: ConnectPage,
  work: (link: ConnectLink, form: URLSearchParams) => Promise<Answer>,
): Promise<Response> {
  const ownForm = async (link: ConnectLink): Promise<URLSearchParams | null> => {
    const form = new URLSearchParams(await c.req.text());
    const given = { linkId: link.id, token: form.get('form_token') ?? '', isSecure: isSecureSite(page.site) };
    return isOwnForm(c, page.secretBox, given) ? form : null;
  };
  const open = async (link: ConnectLink): Promise<Answer> => {
    const form = await ownForm(link);
    if (form === null) return outcomePage('not_same_origin', aroundOf(c, page, link));
    if (!(await countTry(page.db, link.id, triesMax)))
      return outcomePage('too_many_tries', { link, retryUrl: null });
    return work(link, form);
  };
  // Loading the page of a success again sends its form again.
  const closed = async (link: ConnectLink) =>
    (await ownForm(link)) === null ? null : plainEnd(c, page, link);
  return withOpenLink(c, page, open, closed);
}

/** The provider of that name, where the link allows it and it is set up. */
export function allows(link: ConnectLink, page: ConnectPage, name: string): OfferedProvider | null {
  const one = [...page.offered.values()].find(({ provider }) => provider.name === name);
  return one !== undefined && (link.provider === null || link.provider === name) ? one : null;
}

export function isSecureSite(site: Site): boolean {
  return site.url().startsWith('https:');
}

export function formOf(c: Context, page: ConnectPage, link: ConnectLink): { url: string; formToken: string } {
  const isSecure = isSecureSite(page.site);
  return { url: startUrl(c, page), formToken: formToken(page.secretBox, link.id, browserOf(c, isSecure)) };
}

export function startUrl(c: Context, page: ConnectPage): string {
  return hrefOf(page.site, `/connect/${c.req.param('token') ?? ''}`);
}

export function aroundOf(c: Context, page: ConnectPage, link: ConnectLink): Around {
  return { link, retryUrl: startUrl(c, page) };
}
