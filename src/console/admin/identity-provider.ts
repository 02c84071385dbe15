import * as oidc from 'openid-client';
import { messageOf } from '../../lib/failure.ts';
import type { IdentitySettings } from './operator.ts';

/** What the browser is sent to the provider with, to be compared when it comes back. */
export type Asked = { state: string; nonce: string; codeVerifier: string };

/** Who signed in there, or why that is not known; `detail` is for our own log. */
export type Answered =
  | { subject: string; email: string | null; verified: boolean }
  | { problem: 'denied' | 'invalid' | 'unreachable'; detail: string };

/** Sign-in by OpenID Connect Core 1.0, code flow with PKCE (RFC 7636). */
export type IdentityProvider = {
  /** Where to send the browser. */
  ask(redirectUri: string): Promise<(Asked & { url: string }) | { problem: 'unreachable'; detail: string }>;
  /** `url`: where the browser came back to, with the provider's answer in its query. */
  answer(url: URL, asked: Asked): Promise<Answered>;
};

/** The provider may take so long for each answer. */
const deadlineSeconds = 10;
/** Its addresses and keys are asked for again after this. */
const knownMs = 60 * 60_000;

export function createIdentityProvider(settings: IdentitySettings, now: () => number): IdentityProvider {
  const { issuer, clientId, clientSecret } = settings;
  let known: { config: oidc.Configuration; at: number } | null = null;
  let finding: Promise<oidc.Configuration> | null = null;
  const find = async (): Promise<oidc.Configuration> => {
    const config = await oidc.discovery(new URL(issuer), clientId, clientSecret, undefined, {
      timeout: deadlineSeconds,
      execute: [
        // Also what comes straight from the provider must be signed by it.
        oidc.enableNonRepudiationChecks,
        // The configuration allows it on this machine alone.
        ...(issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : []),
      ],
    });
    known = { config, at: now() };
    return config;
  };
  const discover = async (): Promise<oidc.Configuration> => {
    if (known !== null && now() - known.at < knownMs) return known.config;
    // Anybody may ask, as often as they like: of all who wait, one asks the provider.
    finding ??= find().finally(() => (finding = null));
    return finding;
  };
  return {
    async ask(redirectUri) {
      try {
        const config = await discover();
        const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
        const codeVerifier = oidc.randomPKCECodeVerifier();
        const url = oidc.buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope: 'openid email',
          state,
          nonce,
          code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
          code_challenge_method: 'S256',
        });
        return { url: url.href, state, nonce, codeVerifier };
      } catch (error) {
        return { problem: 'unreachable', detail: messageOf(error) };
      }
    },
    async answer(url, { state, nonce, codeVerifier }) {
      try {
        const tokens = await oidc.authorizationCodeGrant(await discover(), url, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: codeVerifier,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (claims === undefined) return { problem: 'invalid', detail: 'there is no identity token' };
        const { iss, sub, email, email_verified: verified } = claims;
        return {
          subject: `${iss} ${sub}`,
          email: typeof email === 'string' ? email : null,
          verified: verified === true,
        };
      } catch (error) {
        return { problem: problemOf(error), detail: messageOf(error) };
      }
    },
  };
}

function problemOf(error: unknown): 'denied' | 'invalid' | 'unreachable' {
  if (error instanceof oidc.AuthorizationResponseError) return 'denied';
  if (error instanceof oidc.ResponseBodyError) return error.status >= 500 ? 'unreachable' : 'invalid';
  if (error instanceof oidc.ClientError) {
    const code = error.code ?? '';
    return code === 'OAUTH_TIMEOUT' || code === 'OAUTH_RESPONSE_IS_NOT_CONFORM' ? 'unreachable' : 'invalid';
  }
  // What fetch throws when nobody answers.
  return error instanceof TypeError ? 'unreachable' : 'invalid';
}
