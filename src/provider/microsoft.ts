import type { AuthError, ConfidentialClientApplication, INetworkModule } from '@azure/msal-node';
import { Failure } from '../lib/failure.ts';
import { identityFailure, networkCodeOf, retryAfterMsOf, tokenFailure } from './oauth-failures.ts';
import { scopesMissing, tokenCallMsMax, type ClientCredentials, type OAuthClient } from './oauth.ts';
import type { MicrosoftEndpoints, Provider } from './providers.ts';

/** Clocks may differ by this much when the times of an identity token are judged. */
const clockSkewMs = 5 * 60_000;

/** Microsoft's dialect of OAuth, through msal-node. The only user of that library. */
export function createMicrosoftClient(
  endpoints: MicrosoftEndpoints,
  scopes: Provider['scopes'],
  credentials: ClientCredentials,
): OAuthClient {
  const requested = [...scopes.mail, ...scopes.signIn];
  return {
    authorisationUrl: async (input) => {
      const { app } = await openCall(endpoints, credentials);
      return app.getAuthCodeUrl({
        scopes: requested,
        redirectUri: input.redirectUri,
        responseMode: 'query',
        state: input.state,
        nonce: input.nonce,
        codeChallenge: input.codeChallenge,
        codeChallengeMethod: 'S256',
        ...((input.selectAccount ?? input.loginHint === undefined) ? { prompt: 'select_account' } : {}),
        ...(input.loginHint === undefined ? {} : { loginHint: input.loginHint }),
      });
    },
    async exchange({ code, codeVerifier, nonce, redirectUri }) {
      const call = await openCall(endpoints, credentials);
      const result = await guarded('exchange', call, () =>
        call.app.acquireTokenByCode({ code, codeVerifier, nonce, redirectUri, scopes: requested }),
      );
      const person = identityOf(result.idTokenClaims, { endpoints, clientId: credentials.clientId, nonce });
      const refreshToken = cachedRefreshToken(call.app);
      if (refreshToken === null) {
        throw new Failure('permanent', 'refresh_token_missing', 'Microsoft gave no refresh token');
      }
      return {
        ...person,
        scopes: result.scopes,
        missingScopes: scopesMissing(scopes.mail, result.scopes),
        refreshToken,
        ...accessTokenOf(result),
      };
    },
    async refresh({ refreshToken }) {
      const call = await openCall(endpoints, credentials);
      const result = await guarded('refresh', call, () =>
        call.app.acquireTokenByRefreshToken({
          refreshToken,
          scopes: [...scopes.mail],
          // Without this the library drops the rotated refresh token.
          forceCache: true,
        }),
      );
      if (result === null) {
        throw new Failure('temporary', 'token_endpoint_unavailable', 'Microsoft answered without a token');
      }
      return { ...accessTokenOf(result), refreshToken: cachedRefreshToken(call.app) };
    },
    // There is no such endpoint (2026-11): Graph's revokeSignInSessions would sign the person out of
    // everything. The refresh token is forgotten here and dies of disuse after 90 days.
    revoke: async () => 'not_offered',
    adminConsentUrl({ state, redirectUri }) {
      const url = new URL(endpoints.adminConsentUrl);
      url.searchParams.set('client_id', credentials.clientId);
      url.searchParams.set('scope', scopes.mail.join(' '));
      url.searchParams.set('redirect_uri', redirectUri);
      url.searchParams.set('state', state);
      return url.href;
    },
  };
}

/** What the token endpoint answered, which the library's errors tell only in part. */
type Seen = {
  status: number | null;
  body: unknown;
  retryAfterMs: number | null;
  networkCode: string | null;
};

type Call = { app: ConfidentialClientApplication; seen: Seen };

/**
 * An application of its own for each call: its cache would otherwise mix the tokens of all mailboxes. The library is
 * loaded with the first: 190 modules and 12 MB, of which an installation without Outlook needs nothing.
 */
async function openCall(endpoints: MicrosoftEndpoints, credentials: ClientCredentials): Promise<Call> {
  const { ConfidentialClientApplication } = await import('@azure/msal-node');
  const seen: Seen = { status: null, body: null, retryAfterMs: null, networkCode: null };
  const authority = nominalAuthority(endpoints);
  const { host } = new URL(authority);
  const app = new ConfidentialClientApplication({
    auth: {
      ...credentials,
      authority,
      knownAuthorities: [host],
      // Both are given so that the library asks nobody about hosts and endpoints, in any cloud.
      authorityMetadata: JSON.stringify({
        authorization_endpoint: endpoints.authoriseUrl,
        token_endpoint: endpoints.tokenUrl,
        issuer: endpoints.issuer,
        jwks_uri: '',
      }),
      cloudDiscoveryMetadata: JSON.stringify({
        tenant_discovery_endpoint: authority,
        'api-version': '1.1',
        metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
      }),
    },
    system: { networkClient: networkClient(seen) },
  });
  return { app, seen };
}

/**
 * The authority by name only, since every endpoint is configured. The library refuses plain http here,
 * so servers on loopback get the public name, which nothing connects to; and it writes any tenant but
 * `common` over the first part of the endpoints' paths, whatever that is (msal-node 7.2.3).
 */
function nominalAuthority(endpoints: MicrosoftEndpoints): string {
  const { protocol, host } = new URL(endpoints.tokenUrl);
  return `https://${protocol === 'https:' ? host : 'login.microsoftonline.com'}/common`;
}

/** The library's own has no time-out for POST and hides status and headers of what is no JSON. */
function networkClient(seen: Seen): INetworkModule {
  return {
    sendGetRequestAsync: async () => {
      throw new Error('no metadata is fetched: all of it is configured');
    },
    sendPostRequestAsync: async (url, options) => {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: options?.headers ?? {},
          body: options?.body ?? '',
          signal: AbortSignal.timeout(tokenCallMsMax),
        });
        seen.status = response.status;
        seen.retryAfterMs = retryAfterMsOf(response.headers.get('retry-after'), Date.now());
        seen.body = await response.json();
        return {
          headers: Object.fromEntries(response.headers),
          body: seen.body as never,
          status: response.status,
        };
      } catch (error) {
        seen.networkCode = networkCodeOf(error);
        throw error;
      }
    },
  };
}

/** Runs a call of the library and judges a failure by what the endpoint answered, not by the library's words. */
async function guarded<T>(stage: 'exchange' | 'refresh', call: Call, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const { seen } = call;
    if (seen.status === null && seen.networkCode === null) throw unsent(error);
    const answered =
      seen.status !== null && seen.status < 400 && isRecord(seen.body) && !('error' in seen.body);
    if (answered) throw identityFailure('its nonce or its form is wrong');
    throw tokenFailure({ dialect: 'microsoft', stage, ...seen });
  }
}

/** The library refused to make the request: something that it was configured with. */
function unsent(error: unknown): Failure {
  const { errorCode = '' } = error instanceof Error ? (error as Partial<AuthError>) : {};
  const code = /^[a-z_]{3,60}$/.test(errorCode) ? errorCode : 'unknown';
  return new Failure('operator', 'token_request_rejected', `No request was made to Microsoft (${code})`);
}

/** The refresh token is in no result, only in the cache that belongs to this one call. */
function cachedRefreshToken(app: ConfidentialClientApplication): string | null {
  const cache: unknown = JSON.parse(app.getTokenCache().serialize());
  const entries =
    isRecord(cache) && isRecord(cache['RefreshToken']) ? Object.values(cache['RefreshToken']) : [];
  const [entry] = entries;
  return isRecord(entry) && typeof entry['secret'] === 'string' ? entry['secret'] : null;
}

type Identity = { email: string; login: string; identityKey: string };

/**
 * Who signed in. The library does not verify the identity token; its signature need not be checked
 * when it came from the token endpoint itself by TLS (OpenID Connect Core §3.1.3.7), the rest must be.
 */
function identityOf(
  claims: object | undefined,
  expected: { endpoints: MicrosoftEndpoints; clientId: string; nonce: string },
): Identity {
  const held: Record<string, unknown> = { ...claims };
  const text = (name: string): string => {
    const value = held[name];
    if (typeof value !== 'string' || value === '') throw identityFailure(`it has no ${name}`);
    return value;
  };
  const tenant = text('tid');
  if (text('iss') !== expected.endpoints.issuer.replace('{tenantid}', tenant))
    throw identityFailure('its issuer is another');
  if (text('aud') !== expected.clientId) throw identityFailure('it is for another client');
  if (text('nonce') !== expected.nonce) throw identityFailure('its nonce is not ours');
  const expires = held['exp'];
  if (typeof expires !== 'number' || expires * 1000 + clockSkewMs < Date.now())
    throw identityFailure('it is expired');
  const login = text('preferred_username');
  const email = typeof held['email'] === 'string' && held['email'] !== '' ? held['email'] : login;
  // An app can ask for this claim: false says that the tenant does not own the domain of `email`, which
  // anybody could have written there (2026-11).
  if (['0', 'false'].includes(String(held['xms_edov'])) && email !== login) {
    throw new Failure(
      'denied',
      'address_unverified',
      'The organisation does not own the domain of the address',
    );
  }
  return { email, login, identityKey: `${tenant}:${text('oid')}` };
}

function accessTokenOf(result: { accessToken: string; expiresOn: Date | null }): {
  accessToken: string;
  accessTokenExpiresAt: number;
} {
  if (result.accessToken === '' || result.expiresOn === null) {
    throw new Failure('temporary', 'token_endpoint_unavailable', 'Microsoft answered without a token');
  }
  return { accessToken: result.accessToken, accessTokenExpiresAt: result.expiresOn.getTime() };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
