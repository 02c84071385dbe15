import type { Context, Hono } from 'hono';
import { Failure } from '../../lib/failure.ts';
import type { OfferedProvider } from '../../mailbox/connect.ts';
import { redirectFailure } from '../../provider/oauth-failures.ts';
import type { OAuthClient } from '../../provider/oauth.ts';
import { consentContext, findConnectLink, findConsent, redeemConsent } from '../../store/connect-links.ts';
import type { Consent, ConnectLink } from '../../store/connect-links.ts';
import { consentIdOf, hashOf, isSigned, knownBrowser, linkOfAdminState, signAdminState } from './browser.ts';
import { confirmPath, isSecureSite, newConfirmation, redirectUriOf } from './link.ts';
import type { ConnectPage } from './link.ts';
import type { ConsentSecrets } from './start.tsx';
import { whereOf } from './done-page.tsx';
import { connectedAgainPage, outcomePage, resultPage } from './outcome-pages.tsx';
import type { Around, OutcomeName } from './outcome-pages.tsx';
import { hrefOf, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { confirmPage } from './start-pages.tsx';

/** An answer counts for so long after the consent was begun, ms. */
const consentMsMax = 60 * 60_000;

/** Where providers send people back to, and Microsoft its administrators. */
export function addCallback(app: Hono, page: ConnectPage): void {
  app.get('/connect/callback', async (c) => {
    const query = new URL(c.req.url).searchParams;
    return send(c, page, await answer(c, page, query, { isConfirmed: false }));
  });
  app.post('/connect/callback', async (c) => {
    // Only this browser knows the code, so that no other page can send this form for it; and none shall try.
    const site = c.req.header('sec-fetch-site');
    if (site !== undefined && site !== 'same-origin') {
      return send(c, page, outcomePage('not_same_origin', nowhere));
    }
    const form = new URLSearchParams(await c.req.text());
    return send(c, page, await answer(c, page, form, { isConfirmed: true }));
  });
}

const nowhere: Around = { link: null, retryUrl: null };

function send(c: Context, page: ConnectPage, answered: Page | Response): Response | Promise<Response> {
  return answered instanceof Response ? answered : sendPage(c, page.site, answered);
}

/** What a redirect comes to. Nothing is taken from it that its signed state does not vouch for. */
async function answer(
  c: Context,
  page: ConnectPage,
  query: URLSearchParams,
  { isConfirmed }: { isConfirmed: boolean },
): Promise<Page | Response> {
  const state = query.get('state') ?? '';
  if (state.startsWith('admin.')) return administratorsAnswer(page, query, state);
  const id = consentIdOf(state);
  const consent = id === null ? null : await findConsent(page.db, id);
  if (consent === null || !isSigned(page.secretBox, state, consent))
    return outcomePage('state_unknown', nowhere);
  const link = await findConnectLink(page.db, { id: consent.linkId });
  const one = page.offered.get(consent.provider) ?? null;
  if (link === null) return outcomePage('link_unknown', nowhere);
  const around = { link, provider: one?.provider.label ?? consent.provider, retryUrl: null };
  if (consent.secretsSealed === null) {
    const again = isSameBrowser(c, page, consent) ? connectedAgainPage(whereOf(c, page.site), link) : null;
    return again ?? outcomePage(link.status === 'used' ? 'link_used' : 'state_used', around);
  }
  if (consent.ageMs > consentMsMax) return outcomePage('state_expired', around);
  if (one?.oauth == null) return outcomePage('operator', around);
  if (!isConfirmed && query.has('code') && !isSameBrowser(c, page, consent)) {
    return confirmPage({
      link,
      provider: one.provider.label,
      url: hrefOf(page.site, '/connect/callback'),
      fields: { code: query.get('code') ?? '', state },
    });
  }
  if (!(await redeemConsent(page.db, consent.id))) return outcomePage('state_used', around);
  const opened = page.secretBox.open(consent.secretsSealed, consentContext(consent.id));
  const secrets = JSON.parse(opened) as ConsentSecrets;
  const retryUrl = hrefOf(page.site, `/connect/${secrets.token}`);
  return finish(c, page, { link, one, oauth: one.oauth, secrets, query, around: { ...around, retryUrl } });
}

/** A redirect that is genuine and was taken for the first time. */
type Redirect = {
  link: ConnectLink;
  one: OfferedProvider;
  oauth: OAuthClient;
  secrets: ConsentSecrets;
  query: URLSearchParams;
  around: Around;
};

async function finish(c: Context, page: ConnectPage, redirect: Redirect): Promise<Page | Response> {
  const { link, one, oauth, secrets, query } = redirect;
  const provider = one.provider.name;
  const refusal = redirectFailure(query);
  if (refusal !== null) return notGiven(page, redirect, refusalNames[refusal]);
  const code = query.get('code');
  if (code === null) return notGiven(page, redirect, 'failed');
  const { verifier: codeVerifier, nonce } = secrets;
  const exchanged = await oauth
    .exchange({ code, codeVerifier, nonce, redirectUri: redirectUriOf(page.site) })
    .catch((error: unknown) => {
      if (error instanceof Failure) return error;
      throw error;
    });
  if (exchanged instanceof Failure) {
    const { kind, code: why, message } = exchanged;
    const tell = kind === 'operator' ? page.log.error : page.log.warn;
    tell({ link: link.id, provider, kind, code: why, error: message }, 'a consent was not completed');
    return notGiven(page, redirect, failureName(exchanged));
  }
  const { subAccountId, userId, replace, id: linkId } = link;
  const request = { subAccountId, userId, replace, linkId };
  const confirm = newConfirmation();
  const result = await page.connecting.connectWithGrant({
    ...request,
    provider,
    grant: exchanged,
    confirmBy: confirm.tokenHash,
  });
  page.log.info({ link: link.id, provider, outcome: result.outcome }, 'connect page');
  if (result.outcome === 'to_confirm')
    return c.redirect(hrefOf(page.site, confirmPath(secrets.token, confirm.token)), 303);
  return resultPage(whereOf(c, page.site), result, redirect.around);
}

/** No grant came of it: says why, and lets the connection wait where an administrator is wanted. */
async function notGiven(page: ConnectPage, redirect: Redirect, name: OutcomeName): Promise<Page> {
  const { link, one, oauth, around } = redirect;
  const { subAccountId, userId, replace, id: linkId } = link;
  page.log.info({ link: linkId, provider: one.provider.name, outcome: name }, 'connect page');
  if (name === 'admin_consent_required') {
    const request = { subAccountId, userId, replace, linkId };
    const waiting = await page.connecting.waitForAdministrator({ ...request, provider: one.provider.name });
    if (waiting !== 'waits') return outcomePage(waiting, { ...around, retryUrl: null });
  }
  // At Microsoft a refusal is also what turning back from "Need admin approval" looks like.
  const asks = name === 'admin_consent_required' || name === 'refused';
  const adminUrl = asks ? adminUrlOf(page, oauth, link) : null;
  return outcomePage(name, { ...around, adminUrl });
}

const refusalNames = {
  refused: 'refused',
  admin_consent_required: 'admin_consent_required',
  blocked_by_administrator: 'blocked_by_administrator',
  wrong_account_type: 'wrong_account_type',
  operator: 'operator',
  temporary: 'unavailable',
  unknown: 'failed',
} as const satisfies Record<NonNullable<ReturnType<typeof redirectFailure>>, OutcomeName>;

function failureName(failure: Failure): OutcomeName {
  if (failure.kind === 'temporary' || failure.kind === 'throttled') return 'unavailable';
  if (failure.kind === 'operator') return 'operator';
  return deniedNames.find((name) => name === failure.code) ?? 'failed';
}

const deniedNames = [
  'admin_consent_required',
  'blocked_by_administrator',
  'wrong_account_type',
  'address_unverified',
] as const;

/** Whether the browser is the one that began the consent. */
function isSameBrowser(c: Context, page: ConnectPage, consent: Consent): boolean {
  const browser = knownBrowser(c, isSecureSite(page.site));
  return browser !== null && hashOf(browser).equals(consent.browserHash);
}

function adminUrlOf(page: ConnectPage, oauth: OAuthClient, link: ConnectLink): string | null {
  const state = signAdminState(page.secretBox, link.id, page.clock.now());
  return oauth.adminConsentUrl?.({ state, redirectUri: redirectUriOf(page.site) }) ?? null;
}

/** The administrator comes back, perhaps weeks later. It changes nothing here: the person connects anew. */
async function administratorsAnswer(page: ConnectPage, query: URLSearchParams, state: string): Promise<Page> {
  const linkId = linkOfAdminState(page.secretBox, state, page.clock.now());
  if (linkId === null) return outcomePage('state_unknown', nowhere);
  const link = await findConnectLink(page.db, { id: linkId });
  // The administrator is somebody else, who has no business in the CRM.
  const around = { link: link === null ? null : { ...link, returnUrl: null }, retryUrl: null };
  const isAllowed = /^true$/i.test(query.get('admin_consent') ?? '') && !query.has('error');
  page.log.info({ link: linkId, allowed: isAllowed }, 'an administrator answered');
  return outcomePage(isAllowed ? 'admin_allowed' : 'admin_refused', around);
}
