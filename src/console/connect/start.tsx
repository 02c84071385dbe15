import { randomBytes } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { messageOf } from '../../lib/failure.ts';
import type { OfferedProvider } from '../../mailbox/connect.ts';
import { LoginProblem } from '../../mailbox/prove.ts';
import { newPkce } from '../../provider/oauth.ts';
import type { OAuthClient } from '../../provider/oauth.ts';
import { consentContext, countTry, findConnectLink, insertConsent } from '../../store/connect-links.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { browserOf, formToken, hashOf, isOwnForm, signState } from './browser.ts';
import { emptyForm, imapPage, parseForm, typedIn } from './imap-form.tsx';
import { whereOf } from './done-page.tsx';
import { connectedAgainPage, outcomePage, resultPage } from './outcome-pages.tsx';
import type { Around, OutcomeName } from './outcome-pages.tsx';
import { hrefOf, sendPage } from '../page.tsx';
import type { ConsoleDeps } from '../app.tsx';
import type { Page, Site } from '../page.tsx';
import { startPage } from './start-pages.tsx';

/** What the routes of the connect page share. */
export type ConnectPage = ConsoleDeps & { site: Site };

/** The one redirect address for all providers, as it must be registered with them. */
export function redirectUriOf(site: Site): string {
  return `${site.url()}/connect/callback`;
}

/** What is kept, sealed, while the person is at the provider. */
export type ConsentSecrets = { token: string; verifier: string; nonce: string };

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

/** The start page and what it leads to. Opening it changes nothing, so that whatever looks at links may. */
export function addStart(app: Hono, page: ConnectPage): void {
  app.get('/connect/:token', (c) =>
    withOpenLink(c, page, (link) => {
      const props = { link, ...formOf(c, page, link) };
      if (link.provider !== null && !page.offered.has(link.provider)) {
        return outcomePage('operator', { link, provider: link.provider, retryUrl: null });
      }
      return link.provider === 'imap'
        ? imapPage({ ...props, typed: emptyForm(link) })
        : startPage({ ...props, offered: page.offered });
    }),
  );
  app.get('/connect/:token/imap', (c) =>
    withOpenLink(c, page, (link) =>
      allows(link, page, 'imap') === null
        ? outcomePage('not_found', { link, retryUrl: null })
        : imapPage({ link, ...formOf(c, page, link), typed: emptyForm(link) }),
    ),
  );
  app.post('/connect/:token', (c) => withOwnForm(c, page, (link, form) => beginConsent(c, page, link, form)));
  app.post('/connect/:token/imap', (c) =>
    withOwnForm(c, page, (link, form) => connectByPassword(c, page, link, form)),
  );
}

/** A page, or any other answer. */
type Answer = Page | Response;

async function withOpenLink(
  c: Context,
  page: ConnectPage,
  work: (link: ConnectLink) => Answer | Promise<Answer>,
  closed: (link: ConnectLink) => Promise<Answer | null> = () => Promise.resolve(null),
): Promise<Response> {
  const token = c.req.param('token') ?? '';
  const link = await findConnectLink(page.db, { tokenHash: hashOf(token) });
  const isOpen = link?.status === 'open';
  const own = link === null ? null : await (isOpen ? work(link) : closed(link));
  const answer = own ?? outcomePage(closedName(link), { link, retryUrl: null });
  return answer instanceof Response ? answer : sendPage(c, page.site, { ...answer, framed: true });
}

function closedName(link: ConnectLink | null): OutcomeName {
  if (link === null) return 'link_unknown';
  return link.status === 'used' ? 'link_used' : 'link_expired';
}

function withOwnForm(
  c: Context,
  page: ConnectPage,
  work: (link: ConnectLink, form: URLSearchParams) => Promise<Answer>,
): Promise<Response> {
  const ownForm = async (link: ConnectLink): Promise<URLSearchParams | null> => {
    const form = new URLSearchParams(await c.req.text());
    const given = { linkId: link.id, token: form.get('form') ?? '', isSecure: isSecureSite(page.site) };
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
    (await ownForm(link)) === null ? null : connectedAgainPage(whereOf(c, page.site), link);
  return withOpenLink(c, page, open, closed);
}

/** Sends the person to the provider's consent page (C1). */
async function beginConsent(
  c: Context,
  page: ConnectPage,
  link: ConnectLink,
  form: URLSearchParams,
): Promise<Answer> {
  const one = allows(link, page, form.get('provider') ?? '');
  if (one === null) return outcomePage('not_found', { link, retryUrl: null });
  const { provider, oauth } = one;
  if (oauth === null) return c.redirect(`${startUrl(c, page)}/imap`, 303);
  const { verifier, challenge } = newPkce();
  const nonce = randomBytes(32).toString('base64url');
  const id = randomBytes(16).toString('base64url');
  const browserHash = hashOf(browserOf(c, isSecureSite(page.site)));
  const consent = { id, linkId: link.id, provider: provider.name, browserHash };
  const state = signState(page.secretBox, consent);
  const url = await consentUrl(page, link, { oauth, provider, state, nonce, challenge });
  if (url === null) return outcomePage('operator', { link, provider: provider.label, retryUrl: null });
  const secrets: ConsentSecrets = { token: c.req.param('token') ?? '', verifier, nonce };
  const secretsSealed = page.secretBox.seal(JSON.stringify(secrets), consentContext(id));
  await insertConsent(page.db, { ...consent, secretsSealed });
  return c.redirect(url, 303);
}

async function consentUrl(
  page: ConnectPage,
  link: ConnectLink,
  consent: {
    oauth: OAuthClient;
    provider: OfferedProvider['provider'];
    state: string;
    nonce: string;
    challenge: string;
  },
): Promise<string | null> {
  const { current, replace } = link;
  const { provider, state, nonce, challenge } = consent;
  // On a reconnect the expected account is preselected: at its own provider by the name that is typed there.
  const hint = current?.provider === provider.name ? current.login : current?.address;
  try {
    return await consent.oauth.authorisationUrl({
      state,
      nonce,
      codeChallenge: challenge,
      redirectUri: redirectUriOf(page.site),
      ...(replace || hint === undefined ? {} : { loginHint: hint }),
    });
  } catch (error) {
    page.log.error(
      { link: link.id, provider: provider.name, error: messageOf(error) },
      'no consent can be begun',
    );
    return null;
  }
}

/** The login of a generic mailbox (C3): proven before anything is stored. */
async function connectByPassword(
  c: Context,
  page: ConnectPage,
  link: ConnectLink,
  form: URLSearchParams,
): Promise<Answer> {
  if (allows(link, page, 'imap') === null) return outcomePage('not_found', { link, retryUrl: null });
  const typed = typedIn(form);
  const props = { link, ...formOf(c, page, link), typed };
  const parsed = parseForm(typed);
  if (!parsed.ok) return imapPage({ ...props, wrong: parsed.wrong });
  const { address, login } = parsed;
  const request = {
    subAccountId: link.subAccountId,
    userId: link.userId,
    replace: link.replace,
    linkId: link.id,
  };
  const confirm = newConfirmation();
  try {
    const result = await page.connecting.connectWithPassword({
      ...request,
      address,
      login,
      confirmBy: confirm.tokenHash,
    });
    page.log.info({ link: link.id, provider: 'imap', outcome: result.outcome }, 'connect page');
    if (result.outcome === 'to_confirm')
      return c.redirect(hrefOf(page.site, confirmPath(c.req.param('token') ?? '', confirm.token)), 303);
    // Not a redirect: browsers would check it against where this form may lead, which is nowhere else.
    return resultPage(whereOf(c, page.site), result, aroundOf(c, page, link));
  } catch (error) {
    if (!(error instanceof LoginProblem)) throw error;
    page.log.info({ link: link.id, provider: 'imap', outcome: error.code, step: error.step }, 'connect page');
    return imapPage({ ...props, problem: error });
  }
}

/** The provider of that name, where the link allows it and it is set up. */
function allows(link: ConnectLink, page: ConnectPage, name: string): OfferedProvider | null {
  const one = [...page.offered.values()].find(({ provider }) => provider.name === name);
  return one !== undefined && (link.provider === null || link.provider === name) ? one : null;
}

export function isSecureSite(site: Site): boolean {
  return site.url().startsWith('https:');
}

function formOf(c: Context, page: ConnectPage, link: ConnectLink): { url: string; formToken: string } {
  const isSecure = isSecureSite(page.site);
  return { url: startUrl(c, page), formToken: formToken(page.secretBox, link.id, browserOf(c, isSecure)) };
}

function startUrl(c: Context, page: ConnectPage): string {
  return hrefOf(page.site, `/connect/${c.req.param('token') ?? ''}`);
}

function aroundOf(c: Context, page: ConnectPage, link: ConnectLink): Around {
  return { link, retryUrl: startUrl(c, page) };
}
