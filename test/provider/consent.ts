import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { Failure } from '../../src/lib/failure.ts';
import { createOAuthClient } from '../../src/provider/oauth-client.ts';
import { newPkce, type AuthorisationInput, type Grant, type OAuthClient } from '../../src/provider/oauth.ts';
import { resolveProvider, type ProviderEndpoints } from '../../src/provider/providers.ts';
import { endpointsAt, followConsent, type IdentityProvider } from '../support/identity.ts';

export type ConsentProvider = 'gmail' | 'outlook';
export const redirectUri = 'http://127.0.0.1:9/oauth/callback';

/** What the gateway asks at the start of each consent of these tests. */
export function authorisationInput(): AuthorisationInput {
  return { state: 'the state', codeChallenge: newPkce().challenge, nonce: 'the nonce', redirectUri };
}

export function clientAt(
  identity: IdentityProvider,
  name: ConsentProvider,
  overrides: ProviderEndpoints = {},
): OAuthClient {
  const provider = resolveProvider(name, { ...endpointsAt(identity.url)[name], ...overrides });
  return createOAuthClient(provider, identity);
}

/** The browser's part: everything up to the redirect, with what an exchange wants. */
export async function authorise(client: OAuthClient, login: string) {
  const { verifier, challenge } = newPkce();
  const url = await client.authorisationUrl({ ...authorisationInput(), codeChallenge: challenge });
  const redirect = await followConsent(url, login);
  const code = redirect.searchParams.get('code') ?? '';
  return { client, redirect, code, codeVerifier: verifier, nonce: 'the nonce', redirectUri };
}

/** The whole consent of a person. */
export async function consent(client: OAuthClient, login: string): Promise<Grant> {
  const attempt = await authorise(client, login);
  assert.notEqual(attempt.code, '', `no code in ${attempt.redirect.search}`);
  return client.exchange(attempt);
}

/** Awaits a failure of that kind and code which shows no secret anywhere, causes and hidden fields included. */
export async function rejects(
  promise: Promise<unknown>,
  expected: { kind: string; code: string },
): Promise<Failure> {
  const thrown: unknown = await promise.then(
    (value) => assert.fail(`resolved with ${inspect(value)}`),
    (error: unknown) => error,
  );
  assert(thrown instanceof Failure, inspect(thrown));
  assert.deepEqual({ kind: thrown.kind, code: thrown.code }, expected, thrown.message);
  const shown = inspect(thrown, { depth: 20, showHidden: true });
  const secrets = [/\bat-[\w-]{20}/, /\brt-[\w-]{20}/, /\bcode-[\w-]{20}/, /\beyJ[\w-]{20}/, /client-secret/];
  for (const secret of [...secrets, /@\w+\.example/]) assert.doesNotMatch(shown, secret);
  return thrown;
}

/** What a mail server would be told of an access token. */
export async function introspect(
  identity: IdentityProvider,
  token: string,
): Promise<{ active: boolean; username?: string }> {
  const response = await fetch(`${identity.url}/introspect`, {
    method: 'POST',
    body: new URLSearchParams({ token }),
  });
  return (await response.json()) as { active: boolean; username?: string };
}

/** An address at which nobody listens any more. */
export async function deadUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/`;
}
