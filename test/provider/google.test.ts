import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { ProviderEndpoints } from '../../src/provider/providers.ts';
import { endpointsAt, startIdentityProvider, type IdentityProvider } from '../support/identity.ts';
import { authorisationInput, authorise, clientAt, consent, deadUrl, introspect, rejects } from './consent.ts';

let identity: IdentityProvider;

describe('Google, through google-auth-library', () => {
  before(async () => {
    identity = await startIdentityProvider();
  });
  after(() => identity.stop());

  test('an unticked mail scope is told by name (C1)', async () => {
    const login = 'unticked@consent.example';
    await identity.setConsent(login, { outcome: 'allow', scopes: [] });
    const grant = await consent(open(), login);
    assert.deepEqual(grant.missingScopes, ['https://mail.google.com/']);
    assert.deepEqual((await consent(open(), login)).missingScopes, [], 'another try');
  });

  test('asks for a refresh token, for a consent screen, and for no earlier grants', async () => {
    const url = new URL(await open().authorisationUrl(authorisationInput()));
    const asked = Object.fromEntries(url.searchParams);
    assert.equal(asked['access_type'], 'offline');
    assert.match(asked['prompt'] ?? '', /\bconsent\b/);
    assert.equal(asked['include_granted_scopes'], 'false');
    assert.equal(asked['code_challenge_method'], 'S256');
    assert.equal(asked['scope'], 'openid email https://mail.google.com/');
  });

  test('an address that is not verified is refused', async () => {
    const login = 'unverified@consent.example';
    await identity.setPerson(login, { emailVerified: false });
    await rejects(consent(open(), login), { kind: 'denied', code: 'address_unverified' });
  });

  const badTokens: [name: string, claims: Record<string, string | number>][] = [
    ['another audience', { aud: 'another client' }],
    ['an end in the past', { exp: 1_700_000_000 }],
  ];
  for (const [name, claims] of badTokens) {
    test(`an identity token with ${name} is refused`, async () => {
      const login = `${name.replaceAll(' ', '-')}@consent.example`;
      await identity.setPerson(login, { claims });
      await rejects(consent(open(), login), { kind: 'permanent', code: 'identity_token_invalid' });
    });
  }

  test('an identity token without an address is refused', async () => {
    await identity.setPerson('nobody@consent.example', { email: null });
    await rejects(consent(open(), 'nobody@consent.example'), {
      kind: 'permanent',
      code: 'identity_token_invalid',
    });
  });

  test('an identity token of another issuer, or signed by another key, is refused', async () => {
    const attempt = await authorise(open(), 'issuer@consent.example');
    const strict = open({ issuers: ['https://accounts.google.com'] });
    await rejects(strict.exchange(attempt), { kind: 'permanent', code: 'identity_token_invalid' });
    const stranger = await startIdentityProvider();
    try {
      const second = await authorise(open(), 'issuer@consent.example');
      const wrongKeys = open({ certsUrl: endpointsAt(stranger.url).gmail.certsUrl ?? '' });
      await rejects(wrongKeys.exchange(second), { kind: 'permanent', code: 'identity_token_invalid' });
    } finally {
      await stranger.stop();
    }
  });

  test('certificates that cannot be fetched are an outage, not a bad token', async () => {
    const attempt = await authorise(open(), 'certs@consent.example');
    const client = open({ certsUrl: await deadUrl() });
    await rejects(client.exchange(attempt), { kind: 'temporary', code: 'token_endpoint_unreachable' });
  });

  test('a refresh brings a new access token and keeps the refresh token', async () => {
    const grant = await consent(open(), 'keeps@refresh.example');
    const tokens = await open().refresh(grant);
    assert.equal(tokens.refreshToken, null);
    assert.notEqual(tokens.accessToken, grant.accessToken);
    assert.equal(await isLive(tokens.accessToken), true);
  });

  test('a rotated refresh token, should one come, is not lost', async () => {
    const body = { access_token: 'access', expires_in: 3599, refresh_token: 'rotated' };
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const tokens = await open({ tokenUrl: `http://127.0.0.1:${port}/` }).refresh({ refreshToken: 'old' });
      assert.equal(tokens.refreshToken, 'rotated');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('revoking ends the grant, twice is fine, and no token is in a URL', async () => {
    const login = 'leaves@refresh.example';
    const grant = await consent(open(), login);
    const client = open();
    assert.equal(await client.revoke(grant.refreshToken), 'revoked');
    assert.equal(await isLive(grant.accessToken), false);
    assert.equal(await client.revoke(grant.refreshToken), 'revoked');
    assert.equal(
      (await identity.counts(login)).revoke,
      1,
      'read from the body: the server looks nowhere else',
    );
    await rejects(client.refresh(grant), { kind: 'denied', code: 'token_revoked' });
  });

  test('a revocation that cannot be made is told', async () => {
    const grant = await consent(open(), 'stays@refresh.example');
    const client = open({ revokeUrl: await deadUrl() });
    await rejects(client.revoke(grant.refreshToken), {
      kind: 'temporary',
      code: 'token_endpoint_unreachable',
    });
    const missing = open({ revokeUrl: `${identity.url}/nowhere` });
    await rejects(missing.revoke(grant.refreshToken), { kind: 'operator', code: 'token_request_rejected' });
  });
});

function open(overrides: ProviderEndpoints = {}) {
  return clientAt(identity, 'gmail', overrides);
}

async function isLive(accessToken: string): Promise<boolean> {
  return (await introspect(identity, accessToken)).active;
}
