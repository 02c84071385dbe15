import { createHash, randomBytes } from 'node:crypto';

/** What the gateway is registered as at a provider. */
export type ClientCredentials = { clientId: string; clientSecret: string };

/**
 * The dialogue with one provider's OAuth endpoints. Every error is a `Failure` (oauth-failures.ts);
 * no message of one holds a token, a code, a secret or an address.
 */
export type OAuthClient = {
  /** Where to send the person's browser. */
  authorisationUrl(input: AuthorisationInput): Promise<string>;
  /** Turns the redirect's code into a grant. The code is spent afterwards, whatever happens. */
  exchange(input: { code: string; codeVerifier: string; nonce: string; redirectUri: string }): Promise<Grant>;
  /** A new access token. Never retries by itself: the callers back off. */
  refresh(input: { refreshToken: string }): Promise<TokenSet>;
  /**
   * Ends the grant at the provider: all of the person's tokens for this client, also those of an
   * earlier consent. `not_offered`: the provider has no such call, and only the person can end it.
   */
  revoke(refreshToken: string): Promise<'revoked' | 'not_offered'>;
  /** Microsoft: the page on which an administrator consents for everybody in the organisation. */
  adminConsentUrl?(input: { state: string; redirectUri: string }): string;
};

export type AuthorisationInput = {
  /** Ours, opaque: signed and single-use (C1). */
  state: string;
  /** Of `newPkce`. */
  codeChallenge: string;
  /** Comes back in the identity token. */
  nonce: string;
  redirectUri: string;
  /** The address that is expected, preselected on the provider's page; another can still be chosen. */
  loginHint?: string;
  /** Lets the person choose among accounts. Default: unless there is a hint. */
  selectAccount?: boolean;
};

export type TokenSet = {
  accessToken: string;
  /** Milliseconds since 1970. */
  accessTokenExpiresAt: number;
  /** The one to keep from now on; null where the provider gave none, and the old one stays. */
  refreshToken: string | null;
};

/** What a consent gave. */
export type Grant = {
  /** The mailbox's address, from the identity token, as written there (C2). */
  email: string;
  /** The XOAUTH2 user: Google's address; Microsoft's `preferred_username`, which can differ from it. */
  login: string;
  /**
   * Whose account it is, for ever: Google's `sub`, Microsoft's `tid:oid`. Two grants are of the same
   * person only when this is equal. An address proves it not: Microsoft's `email` is set by the tenant.
   */
  identityKey: string;
  /** As the provider wrote them. */
  scopes: string[];
  /** Mail scopes that were needed and not given: the person unticked them. */
  missingScopes: string[];
  refreshToken: string;
  accessToken: string;
  /** Milliseconds since 1970. */
  accessTokenExpiresAt: number;
};

/** How long one call to a token endpoint may take. Below the lease of tokens.ts, so that no two nodes refresh at once. */
export const tokenCallMsMax = 20_000;

/** A verifier that stays with us and its S256 challenge for the authorisation URL (RFC 7636 §4.1-4.2). */
export function newPkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** The needed scopes that were not granted; Microsoft answers in other letters than it was asked. */
export function scopesMissing(needed: readonly string[], granted: readonly string[]): string[] {
  const held = new Set(granted.map((scope) => scope.toLowerCase()));
  return needed.filter((scope) => !held.has(scope.toLowerCase()));
}
