import { randomBytes } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { messageOf } from '../../lib/failure.ts';
import type { OfferedProvider } from '../../mailbox/connect.ts';
import { newPkce } from '../../provider/oauth.ts';
import type { OAuthClient } from '../../provider/oauth.ts';
import { consentContext, findConnectLink, insertConsent } from '../../store/connect-links.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { readLeaving } from '../../store/leaving.ts';
import { browserOf, hashOf, signState } from './browser.ts';
import { whereOf } from './done-page.tsx';
import { firstImapPage } from './imap.tsx';
import { allows, formOf, isSecureSite, redirectUriOf, startUrl, withOpenLink, withOwnForm } from './link.ts';
import type { Answer, ConnectPage } from './link.ts';
import { outcomePage } from './outcome-pages.tsx';
import { startPage } from './start-pages.tsx';

/** What is kept, sealed, while the person is at the provider. */
export type ConsentSecrets = { token: string; verifier: string; nonce: string };

/** The start page and what it leads to. Opening it changes nothing, so that whatever looks at links may. */
export function addStart(app: Hono, page: ConnectPage): void {
  app.get('/connect/:token', (c) =>
    withOpenLink(c, page, async (link) => {
      const props = { link, ...formOf(c, page, link) };
      if (link.provider !== null && !page.offered.has(link.provider)) {
        return outcomePage('operator', { link, provider: link.provider, retryUrl: null });
      }
      if (link.provider === 'imap') return firstImapPage(c, props);
      const leaving = link.replace ? await readLeaving(page.db, link) : null;
      const { isFramed } = whereOf(c, page.site);
      return startPage({ ...props, offered: page.offered, leaving, isFramed });
    }),
  );
  // A frame asks whether the window that it has opened is done: then it is loaded again, and tells the CRM.
  app.get('/connect/:token/waiting', async (c) => {
    const link = await findConnectLink(page.db, { tokenHash: hashOf(c.req.param('token')) });
    return link?.status === 'open' ? c.body(null, 204) : c.body(null, 200, { 'HX-Refresh': 'true' });
  });
  app.post('/connect/:token', (c) => withOwnForm(c, page, (link, form) => beginConsent(c, page, link, form)));
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
