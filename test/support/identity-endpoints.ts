import { createHash, createSign, type KeyObject } from 'node:crypto';
import {
  count,
  mintAccessToken,
  mintRefreshToken,
  personOf,
  revokeGrants,
  takeChoice,
  takeFault,
  type AuthorisationCode,
  type ConsentChoice,
  type Dialect,
  type Fault,
  type IdentityState,
} from './identity-state.ts';

/** An answer of an endpoint; `reset` destroys the socket instead, `delayMs` holds the answer back. */
export type Answer = {
  status: number;
  headers?: Record<string, string>;
  body?: string | object;
  reset?: boolean;
  delayMs?: number;
};

/** What the endpoints need to know of the provider itself. */
export type IdentitySetup = {
  /** `http://127.0.0.1:<port>`. */
  url: string;
  clientId: string;
  clientSecret: string;
  privateKey: KeyObject;
  keyId: string;
  state: IdentityState;
};

/** What Google calls the scopes that were asked for by their short names. */
const googleScopeNames: Record<string, string> = {
  email: 'https://www.googleapis.com/auth/userinfo.email',
  profile: 'https://www.googleapis.com/auth/userinfo.profile',
};
const signInScopes = new Set(['openid', 'email', 'profile', 'offline_access']);

/**
 * The authorisation endpoint of either dialect. The query's `as` says who signs in (else the next
 * prepared sign-in does, else a page asks), `consent` and `ticked` what they do (else the choice that
 * was prepared for them).
 */
export function authorise(setup: IdentitySetup, dialect: Dialect, query: URLSearchParams): Answer {
  const { state } = setup;
  const redirectUri = query.get('redirect_uri') ?? '';
  const problem = authoriseProblem(setup, query);
  if (problem !== null) return { status: 400, body: `<h1>Error 400: ${problem}</h1>` };
  const login = query.get('as') ?? state.signIns.shift();
  if (login === undefined) return accountPage(query);
  count(state, 'authorise', login);
  const choice = choiceOf(query) ?? takeChoice(state, login);
  const answer = new URL(redirectUri);
  answer.searchParams.set('state', query.get('state') ?? '');
  if (choice.outcome !== 'allow') {
    for (const [name, value] of refusal(dialect, choice)) answer.searchParams.set(name, value);
    return { status: 302, headers: { location: answer.href } };
  }
  const asked = (query.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
  const granted = asked.filter((s) => signInScopes.has(s) || (choice.scopes?.includes(s) ?? true));
  const code = `code-${createHash('sha256').update(`${login} ${Math.random()}`).digest('base64url')}`;
  state.codes.set(code, {
    dialect,
    login,
    scope: grantedScope(dialect, granted),
    clientId: setup.clientId,
    redirectUri,
    codeChallenge: query.get('code_challenge') ?? '',
    nonce: query.get('nonce'),
    offline: isOffline(state, dialect, query, login, asked),
  });
  answer.searchParams.set('code', code);
  return { status: 302, headers: { location: answer.href } };
}

/** Microsoft's page for administrators: consents for the whole tenant of whoever signs in. */
export function adminConsent(setup: IdentitySetup, query: URLSearchParams): Answer {
  const { state } = setup;
  const login = query.get('as') ?? state.signIns.shift();
  if (login === undefined) return accountPage(query);
  const { tid } = personOf(state, login);
  for (const [someone, { choice }] of state.choices) {
    if (choice.outcome !== 'admin_consent_required') continue;
    if (personOf(state, someone).tid === tid) state.choices.delete(someone);
  }
  const answer = new URL(query.get('redirect_uri') ?? '');
  answer.searchParams.set('admin_consent', 'True');
  answer.searchParams.set('tenant', tid);
  answer.searchParams.set('state', query.get('state') ?? '');
  answer.searchParams.set('scope', query.get('scope') ?? '');
  return { status: 302, headers: { location: answer.href } };
}

/** The token endpoint of either dialect: `authorization_code` with PKCE, and `refresh_token`. */
export function token(
  setup: IdentitySetup,
  dialect: Dialect,
  form: URLSearchParams,
  basic: string | undefined,
): Answer {
  const { state } = setup;
  const refreshing = form.get('grant_type') === 'refresh_token';
  const code = state.codes.get(form.get('code') ?? '');
  const refresh = state.refreshTokens.get(form.get('refresh_token') ?? '');
  const grant = refreshing ? refresh : code;
  count(state, refreshing ? 'refresh' : 'code', grant?.login ?? null);
  const fault = takeFault(state, grant?.login ?? null);
  if (fault !== null && fault.kind !== 'slow') return faultAnswer(dialect, { ...fault, kind: fault.kind });
  const answer = (): Answer => {
    if (!isClient(setup, form, basic)) return refused(dialect, 'invalid_client', 7000215);
    if (refreshing) {
      if (refresh === undefined || refresh.dialect !== dialect)
        return refused(dialect, 'invalid_grant', 50173);
      return granted(setup, refresh, { nonce: null, refreshToken: dialect === 'microsoft' });
    }
    if (code === undefined || !fits(code, dialect, form)) return refused(dialect, 'invalid_grant', 54005);
    state.codes.delete(form.get('code') ?? '');
    return granted(setup, code, { nonce: code.nonce, refreshToken: code.offline });
  };
  return { ...answer(), ...(fault?.delayMs === undefined ? {} : { delayMs: fault.delayMs }) };
}

/** Google's revocation endpoint: either token ends the whole grant of that person. */
export function revoke(setup: IdentitySetup, form: URLSearchParams): Answer {
  const value = form.get('token') ?? '';
  const held = setup.state.refreshTokens.get(value) ?? setup.state.accessTokens.get(value);
  count(setup.state, 'revoke', held?.login ?? null);
  if (held === undefined) {
    return { status: 400, body: { error: 'invalid_token', error_description: 'Token expired or revoked' } };
  }
  revokeGrants(setup.state, held.login);
  return { status: 200, body: {} };
}

function authoriseProblem(setup: IdentitySetup, query: URLSearchParams): string | null {
  if (query.get('client_id') !== setup.clientId) return 'invalid_client';
  if (query.get('response_type') !== 'code') return 'unsupported_response_type';
  if (!URL.canParse(query.get('redirect_uri') ?? '')) return 'redirect_uri_mismatch';
  if (query.get('code_challenge_method') !== 'S256' || !query.get('code_challenge')) return 'PKCE is missing';
  if (!query.get('state')) return 'state is missing';
  return null;
}

/** Asks who signs in and whether they agree; the answer comes back to the same endpoint. */
function accountPage(query: URLSearchParams): Answer {
  const escape = (text: string) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
  const kept = [...query].map(
    ([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`,
  );
  const hint = escape(query.get('login_hint') ?? '');
  return {
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: `<!doctype html><title>Sign in</title><link rel="icon" href="data:,"><form>${kept.join('')}
      <label>Account <input name="as" value="${hint}"></label>
      <button name="consent" value="allow">Allow</button>
      <button name="consent" value="refuse">Refuse</button></form>`,
  };
}

function choiceOf(query: URLSearchParams): ConsentChoice | null {
  const ticked = query.get('ticked');
  const consent = query.get('consent');
  if (consent === 'refuse' || consent === 'admin_consent_required') return { outcome: consent };
  return ticked === null ? null : { outcome: 'allow', scopes: ticked.split(' ') };
}

function refusal(
  dialect: Dialect,
  choice: Exclude<ConsentChoice, { outcome: 'allow' }>,
): [name: string, value: string][] {
  if (choice.outcome === 'error') {
    return [
      ['error', choice.error],
      ['error_description', choice.description ?? ''],
    ];
  }
  if (dialect === 'google') return [['error', 'access_denied']];
  if (choice.outcome === 'refuse') {
    return [
      ['error', 'access_denied'],
      ['error_subcode', 'cancel'],
      ['error_description', 'AADSTS65004: User declined to consent to access the app.'],
    ];
  }
  return choice.aadsts === 65001
    ? [
        ['error', 'consent_required'],
        [
          'error_description',
          'AADSTS65001: The user or administrator has not consented to use the application.',
        ],
      ]
    : [
        ['error', 'access_denied'],
        ['error_description', 'AADSTS90094: The grant requires administrator permission.'],
      ];
}

function grantedScope(dialect: Dialect, scopes: readonly string[]): string {
  if (dialect === 'google') return scopes.map((scope) => googleScopeNames[scope] ?? scope).join(' ');
  return scopes.filter((scope) => scope !== 'offline_access').join(' ');
}

/** Google gives a refresh token only after a consent screen, Microsoft whenever `offline_access` is asked. */
function isOffline(
  state: IdentityState,
  dialect: Dialect,
  query: URLSearchParams,
  login: string,
  scopes: readonly string[],
): boolean {
  if (dialect === 'microsoft') return scopes.includes('offline_access');
  const first = ![...state.refreshTokens.values()].some((t) => t.login === login && t.dialect === dialect);
  const shown = first || (query.get('prompt') ?? '').split(' ').includes('consent');
  return query.get('access_type') === 'offline' && shown;
}

function isClient(setup: IdentitySetup, form: URLSearchParams, basic: string | undefined): boolean {
  if (basic !== undefined) {
    const [id, secret] = Buffer.from(basic.replace(/^Basic /i, ''), 'base64')
      .toString()
      .split(':');
    return id === setup.clientId && secret === setup.clientSecret;
  }
  return form.get('client_id') === setup.clientId && form.get('client_secret') === setup.clientSecret;
}

function fits(code: AuthorisationCode, dialect: Dialect, form: URLSearchParams): boolean {
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url');
  return (
    code.dialect === dialect &&
    code.redirectUri === form.get('redirect_uri') &&
    code.codeChallenge === challenge &&
    code.clientId === form.get('client_id')
  );
}

function granted(
  setup: IdentitySetup,
  grant: { dialect: Dialect; login: string; scope: string },
  wanted: { nonce: string | null; refreshToken: boolean },
): Answer {
  const { dialect, login, scope } = grant;
  const access = mintAccessToken(setup.state, { dialect, login, scope });
  const body: Record<string, string | number> = {
    token_type: 'Bearer',
    access_token: access.value,
    expires_in: access.lifetimeSeconds,
    scope,
  };
  if (wanted.refreshToken) body['refresh_token'] = mintRefreshToken(setup.state, { dialect, login, scope });
  if (/\bopenid\b/.test(scope)) body['id_token'] = identityToken(setup, dialect, login, wanted.nonce);
  if (dialect === 'microsoft') {
    const person = personOf(setup.state, login);
    body['ext_expires_in'] = access.lifetimeSeconds;
    body['client_info'] = encode({ uid: person.oid, utid: person.tid });
  }
  return { status: 200, headers: { 'cache-control': 'no-store' }, body };
}

function identityToken(setup: IdentitySetup, dialect: Dialect, login: string, nonce: string | null): string {
  const person = personOf(setup.state, login);
  const now = Math.floor(Date.now() / 1000);
  const common = { aud: setup.clientId, iat: now, exp: now + 3600, ...(nonce === null ? {} : { nonce }) };
  const email = person.email === null ? {} : { email: person.email };
  const claims =
    dialect === 'google'
      ? {
          ...common,
          ...email,
          iss: `${setup.url}/google`,
          sub: person.sub,
          email_verified: person.emailVerified,
          ...(person.hd === null ? {} : { hd: person.hd }),
        }
      : {
          ...common,
          ...email,
          iss: `${setup.url}/microsoft/${person.tid}/v2.0`,
          ver: '2.0',
          sub: `pairwise-${person.oid}`,
          tid: person.tid,
          oid: person.oid,
          preferred_username: person.login,
          name: person.login,
        };
  const content = `${encode({ alg: 'RS256', typ: 'JWT', kid: setup.keyId })}.${encode({ ...claims, ...person.claims })}`;
  return `${content}.${createSign('RSA-SHA256').update(content).sign(setup.privateKey, 'base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function faultAnswer(dialect: Dialect, fault: Fault & { kind: Exclude<Fault['kind'], 'slow'> }): Answer {
  switch (fault.kind) {
    case 'unavailable':
      return {
        status: 503,
        headers: { 'content-type': 'text/html' },
        body: '<!doctype html><title>Our services are not available right now</title>',
      };
    case 'throttled':
      return {
        status: 429,
        headers:
          fault.retryAfterSeconds === undefined ? {} : { 'retry-after': String(fault.retryAfterSeconds) },
        body: { error: dialect === 'google' ? 'rate_limit_exceeded' : 'temporarily_unavailable' },
      };
    case 'reset':
      return { status: 0, reset: true };
    case 'invalid_client':
      return refused(dialect, 'invalid_client', fault.aadsts ?? 7000222);
    case 'invalid_grant':
    case 'interaction_required':
      return refused(dialect, fault.kind, fault.aadsts ?? 50173, fault.suberror);
    default:
      return fault.kind satisfies never;
  }
}

function refused(dialect: Dialect, error: string, aadsts: number, suberror?: string): Answer {
  const status = error === 'invalid_client' ? 401 : 400;
  if (dialect === 'google') {
    const description =
      error === 'invalid_client' ? 'The OAuth client was not found.' : 'Token has been expired or revoked.';
    const subtype = suberror === undefined ? {} : { error_subtype: suberror };
    return { status, body: { error, error_description: description, ...subtype } };
  }
  return {
    status,
    body: {
      error,
      error_description: `AADSTS${aadsts}: the test's words for it. Trace ID: 0000 Correlation ID: 0000`,
      error_codes: [aadsts],
      timestamp: new Date().toISOString(),
      trace_id: '00000000-0000-4000-8000-000000000000',
      correlation_id: '00000000-0000-4000-8000-000000000000',
      ...(suberror === undefined ? {} : { suberror }),
    },
  };
}
