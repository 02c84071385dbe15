import { createHash, randomBytes } from 'node:crypto';

/** Whose OAuth endpoints are spoken: they differ in parameters, error bodies and refresh-token rotation. */
export type Dialect = 'google' | 'microsoft';

/** Someone who can sign in. Every login exists; what is not set is derived from the login. */
export type Person = {
  /** What is typed at sign-in, and the XOAUTH2 user: Google's address, Microsoft's UPN. */
  login: string;
  /** The mailbox address in the identity token; the login unless set. Null: the claim is missing. */
  email: string | null;
  emailVerified: boolean;
  /** Google's stable key of the account. */
  sub: string;
  /** Google's hosted domain; null for a consumer account. */
  hd: string | null;
  /** Microsoft's tenant and object ids, together the stable key of the account. */
  tid: string;
  oid: string;
  /** Claims of the identity token that are written over the others. */
  claims: Record<string, string | number | boolean>;
};

/** What happens on the consent page. */
export type ConsentChoice =
  /** `scopes`: the ticked ones, among those that can be ticked; absent: all. */
  | { outcome: 'allow'; scopes?: readonly string[] }
  | { outcome: 'refuse' }
  /** Microsoft: the tenant wants an administrator's consent (65001 comes as `consent_required`, 90094 as `access_denied`). */
  | { outcome: 'admin_consent_required'; aadsts?: 65001 | 90094 }
  /** Any other error of the redirect, for example `admin_policy_enforced`. */
  | { outcome: 'error'; error: string; description?: string };

/** What the token endpoint does instead of answering. Used up after `times` calls (default 1). */
export type Fault = {
  kind:
    | 'unavailable' // 503 with a page of HTML
    | 'throttled' // 429
    | 'invalid_grant' // 400; at Microsoft with the code of `aadsts`
    | 'interaction_required' // 400, Microsoft's words for "sign in again"
    | 'invalid_client' // 401
    | 'reset' // the socket is destroyed, nothing is answered
    | 'slow'; // answers rightly after `delayMs`
  times?: number;
  /** Only calls made for this login; absent: all calls. */
  login?: string;
  /** Microsoft's number in `error_codes` and in the description. */
  aadsts?: number;
  suberror?: string;
  /** Sent with `throttled` as Retry-After. */
  retryAfterSeconds?: number;
  delayMs?: number;
};

/** Calls that reached each endpoint, faulty ones included. */
export type IdentityCounts = {
  authorise: number;
  code: number;
  refresh: number;
  revoke: number;
  introspect: number;
  certs: number;
};

export type AccessToken = { dialect: Dialect; login: string; scope: string; expiresAt: number };
export type RefreshToken = { dialect: Dialect; login: string; scope: string };
export type AuthorisationCode = RefreshToken & {
  clientId: string;
  redirectUri: string;
  codeChallenge: string;
  nonce: string | null;
  offline: boolean;
};

/** Everything the provider remembers, in memory. Times in milliseconds, lifetimes in seconds. */
export type IdentityState = ReturnType<typeof createIdentityState>;

export function createIdentityState() {
  return {
    people: new Map<string, Partial<Person>>(),
    /** Logins that sign in, one after the other, where an authorise call names nobody. */
    signIns: [] as string[],
    choices: new Map<string, { choice: ConsentChoice; times: number }>(),
    codes: new Map<string, AuthorisationCode>(),
    accessTokens: new Map<string, AccessToken>(),
    refreshTokens: new Map<string, RefreshToken>(),
    lifetimes: new Map<string | null, number>([[null, 3600]]),
    faults: [] as (Fault & { times: number })[],
    counts: new Map<string | null, IdentityCounts>(),
  };
}

/** The person behind a login. */
export function personOf(state: IdentityState, login: string): Person {
  const domain = login.split('@')[1] ?? 'nowhere.test';
  const consumer = domain === 'gmail.com' || domain === 'googlemail.com';
  return {
    login,
    email: login,
    emailVerified: true,
    sub: BigInt(`0x${hash(login).slice(0, 16)}`).toString(),
    hd: consumer ? null : domain,
    tid: uuidOf(`tenant ${domain}`),
    oid: uuidOf(`object ${login}`),
    claims: {},
    ...state.people.get(login),
  };
}

/** A new access token of `login`, live until its lifetime is over. Microsoft's are long, as the real ones are. */
export function mintAccessToken(
  state: IdentityState,
  token: Omit<AccessToken, 'expiresAt'>,
  lifetimeSeconds = state.lifetimes.get(token.login) ?? state.lifetimes.get(null) ?? 3600,
): { value: string; lifetimeSeconds: number } {
  const value = `at-${randomBytes(token.dialect === 'microsoft' ? 900 : 90).toString('base64url')}`;
  state.accessTokens.set(value, { ...token, expiresAt: Date.now() + lifetimeSeconds * 1000 });
  return { value, lifetimeSeconds };
}

export function mintRefreshToken(state: IdentityState, token: RefreshToken): string {
  const value = `rt-${randomBytes(60).toString('base64url')}`;
  state.refreshTokens.set(value, token);
  return value;
}

/** Ends every grant of `login`: refresh tokens, access tokens and codes. */
export function revokeGrants(state: IdentityState, login: string): void {
  for (const tokens of [state.accessTokens, state.refreshTokens, state.codes]) {
    for (const [value, token] of tokens) if (token.login === login) tokens.delete(value);
  }
}

/** The access token that `value` names, when it is live. */
export function liveToken(state: IdentityState, value: string): AccessToken | null {
  const token = state.accessTokens.get(value);
  return token !== undefined && token.expiresAt > Date.now() ? token : null;
}

/** What `login` does on the consent page now; a choice made beforehand is used up by it. */
export function takeChoice(state: IdentityState, login: string): ConsentChoice {
  const prepared = state.choices.get(login);
  if (prepared === undefined) return { outcome: 'allow' };
  prepared.times -= 1;
  if (prepared.times <= 0) state.choices.delete(login);
  return prepared.choice;
}

/** The next fault for a token call of `login`, used up by this. */
export function takeFault(state: IdentityState, login: string | null): Fault | null {
  const index = state.faults.findIndex((fault) => fault.login === undefined || fault.login === login);
  const fault = state.faults[index];
  if (fault === undefined) return null;
  fault.times -= 1;
  if (fault.times <= 0) state.faults.splice(index, 1);
  return fault;
}

export function count(state: IdentityState, what: keyof IdentityCounts, login: string | null): void {
  for (const key of login === null ? [null] : [null, login]) {
    const counts = countsOf(state, key);
    counts[what] += 1;
    state.counts.set(key, counts);
  }
}

/** Calls made for `login`, or all of them for null. */
export function countsOf(state: IdentityState, login: string | null): IdentityCounts {
  const none = { authorise: 0, code: 0, refresh: 0, revoke: 0, introspect: 0, certs: 0 };
  return { ...none, ...state.counts.get(login) };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function uuidOf(text: string): string {
  const hex = hash(text);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
