import type { CodeChallengeMethod, Credentials, OAuth2Client, TokenPayload } from 'google-auth-library';
import { Failure } from '../lib/failure.ts';
import { identityFailure, networkCodeOf, retryAfterMsOf, tokenFailure } from './oauth-failures.ts';
import { scopesMissing, tokenCallMsMax, type ClientCredentials, type OAuthClient } from './oauth.ts';
import type { GoogleEndpoints, Provider } from './providers.ts';

/** Google's dialect of OAuth, through google-auth-library. The only user of that library. */
export function createGoogleClient(
  endpoints: GoogleEndpoints,
  scopes: Provider['scopes'],
  credentials: ClientCredentials,
): OAuthClient {
  const open = () => openClient(endpoints, credentials);
  return {
    authorisationUrl: async (input) => {
      const client = await open();
      return client.generateAuthUrl({
        access_type: 'offline',
        // A refresh token comes only with a consent screen, so one is shown to who consented before, too.
        prompt: (input.selectAccount ?? input.loginHint === undefined) ? 'consent select_account' : 'consent',
        // Earlier grants of the same person must not be merged in: they would hide an unticked scope.
        include_granted_scopes: false,
        scope: [...scopes.signIn, ...scopes.mail],
        state: input.state,
        nonce: input.nonce,
        redirect_uri: input.redirectUri,
        code_challenge: input.codeChallenge,
        code_challenge_method: 'S256' as CodeChallengeMethod,
        ...(input.loginHint === undefined ? {} : { login_hint: input.loginHint }),
      });
    },
    async exchange({ code, codeVerifier, nonce, redirectUri }) {
      const client = await open();
      const tokens = await call('exchange', async () => {
        const answer = await client.getToken({ code, codeVerifier, redirect_uri: redirectUri });
        return answer.tokens;
      });
      const person = await verifiedIdentity(client, tokens, credentials.clientId, nonce);
      const granted = (tokens.scope ?? '').split(' ').filter((scope) => scope !== '');
      if (typeof tokens.refresh_token !== 'string') {
        throw new Failure('permanent', 'refresh_token_missing', 'The provider gave no refresh token');
      }
      return {
        ...person,
        scopes: granted,
        missingScopes: scopesMissing(scopes.mail, granted),
        refreshToken: tokens.refresh_token,
        ...accessTokenOf(tokens),
      };
    },
    async refresh({ refreshToken }) {
      const client = await open();
      client.setCredentials({ refresh_token: refreshToken });
      // The library puts the old refresh token back into the result; a new one is in the event alone.
      let rotated: string | null = null;
      client.on('tokens', (tokens) => {
        rotated = tokens.refresh_token ?? null;
      });
      const tokens = await call('refresh', async () => (await client.refreshAccessToken()).credentials);
      return { ...accessTokenOf(tokens), refreshToken: rotated };
    },
    revoke: (refreshToken) => revoke(endpoints.revokeUrl, refreshToken),
  };
}

/** A client of its own for each call: it remembers tokens, and shares a refresh among callers by token alone. */
async function openClient(endpoints: GoogleEndpoints, credentials: ClientCredentials): Promise<OAuth2Client> {
  const { OAuth2Client } = await import('google-auth-library');
  const client = new OAuth2Client({
    ...credentials,
    endpoints: {
      oauth2AuthBaseUrl: endpoints.authoriseUrl,
      oauth2TokenUrl: endpoints.tokenUrl,
      oauth2RevokeUrl: endpoints.revokeUrl,
      oauth2FederatedSignonPemCertsUrl: endpoints.certsUrl,
    },
    issuers: [...endpoints.issuers],
    transporterOptions: { timeout: tokenCallMsMax },
  });
  // The library tries four times in two seconds, after a 429 as well and with no eye on Retry-After.
  client.transporter.interceptors.request.add({
    resolved: async (config) => ({ ...config, retry: false, retryConfig: { retry: 0 } }),
  });
  return client;
}

type Identity = { email: string; login: string; identityKey: string };

/** Who signed in, after signature, issuer, audience, times and nonce are checked (OpenID Connect Core §3.1.3.7). */
async function verifiedIdentity(
  client: OAuth2Client,
  tokens: Credentials,
  clientId: string,
  nonce: string,
): Promise<Identity> {
  const idToken = tokens.id_token;
  if (typeof idToken !== 'string') throw identityFailure('there is none');
  const payload = await verified(client, idToken, clientId);
  if (payload?.nonce !== nonce) throw identityFailure('its nonce is not ours');
  return identityOf(payload);
}

async function verified(
  client: OAuth2Client,
  idToken: string,
  clientId: string,
): Promise<TokenPayload | undefined> {
  try {
    const ticket = await client.verifyIdToken({ idToken, audience: clientId });
    return ticket.getPayload();
  } catch (error) {
    // The certificates could not be fetched; that says nothing about the token.
    if (isRequestError(error)) throw requestFailure('exchange', error);
    // The library's texts quote the whole token.
    throw identityFailure('signature, issuer, audience or time is wrong');
  }
}

function identityOf(payload: TokenPayload): Identity {
  if (payload.email === undefined) throw identityFailure('it names no address');
  if (payload.email_verified !== true) {
    throw new Failure(
      'denied',
      'address_unverified',
      'The provider has not verified the address of the account',
    );
  }
  return { email: payload.email, login: payload.email, identityKey: payload.sub };
}

function accessTokenOf(tokens: Credentials): { accessToken: string; accessTokenExpiresAt: number } {
  if (typeof tokens.access_token !== 'string' || typeof tokens.expiry_date !== 'number') {
    throw new Failure(
      'temporary',
      'token_endpoint_unavailable',
      'The token endpoint answered without a token',
    );
  }
  return { accessToken: tokens.access_token, accessTokenExpiresAt: tokens.expiry_date };
}

/**
 * Not the library's: it would put the token into the URL, where access logs keep it. Google ends the
 * whole grant of that person for this client, not one token alone.
 */
async function revoke(revokeUrl: string, refreshToken: string): Promise<'revoked'> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(revokeUrl, {
      method: 'POST',
      body: new URLSearchParams({ token: refreshToken }),
      signal: AbortSignal.timeout(tokenCallMsMax),
    });
    text = await response.text();
  } catch (error) {
    throw tokenFailure({ ...unanswered, stage: 'revoke', networkCode: networkCodeOf(error) });
  }
  // Revoked already, by the person or by an earlier call: what was wanted holds (RFC 7009 §2.2).
  if (response.ok || (response.status === 400 && /"invalid_(token|grant)"/.test(text))) return 'revoked';
  throw tokenFailure({
    ...unanswered,
    stage: 'revoke',
    status: response.status,
    body: parsed(text),
    retryAfterMs: retryAfterMsOf(response.headers.get('retry-after'), Date.now()),
  });
}

const unanswered = {
  dialect: 'google' as const,
  status: null,
  body: null,
  retryAfterMs: null,
  networkCode: null,
};

/** Runs a token call of the library; what it throws is never passed on, since it holds tokens. */
async function call<T>(stage: 'exchange' | 'refresh', run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw requestFailure(stage, error);
  }
}

function requestFailure(stage: 'exchange' | 'refresh', error: unknown): Failure {
  const response = isRequestError(error) ? error.response : null;
  if (response === undefined || response === null) {
    return tokenFailure({ ...unanswered, stage, networkCode: networkCodeOf(error) });
  }
  return tokenFailure({
    ...unanswered,
    stage,
    status: response.status,
    body: typeof response.data === 'string' ? parsed(response.data) : response.data,
    retryAfterMs: retryAfterMsOf(response.headers.get('retry-after'), Date.now()),
  });
}

/** The parts of a GaxiosError that are looked at. */
type RequestError = Error & {
  config: object;
  response?: { status: number; data: unknown; headers: Headers } | null;
};

function isRequestError(error: unknown): error is RequestError {
  return error instanceof Error && 'config' in error;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not JSON: a page of something in between, which says nothing
  }
}
