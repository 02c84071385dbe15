import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOAuthClient } from '../../src/provider/oauth-client.ts';
import { redirectFailure } from '../../src/provider/oauth-failures.ts';
import { resolveProvider, type ProviderEndpoints } from '../../src/provider/providers.ts';
import { followConsent, startIdentityProvider, type IdentityProvider } from '../support/identity.ts';
import {
  authorisationInput,
  authorise,
  clientAt,
  consent,
  introspect,
  redirectUri,
  rejects,
} from './consent.ts';

let identity: IdentityProvider;

describe('Microsoft, through msal-node', () => {
  before(async () => {
    identity = await startIdentityProvider();
  });
  after(() => identity.stop());

  test('login and mailbox address are two fields, the key is tenant and object (C2)', async () => {
    const login = 'upn@consent.example';
    await identity.setPerson(login, { email: 'Jane.Doe@consent.example', tid: 'tenant-1', oid: 'object-1' });
    const grant = await consent(open(), login);
    assert.equal(grant.email, 'Jane.Doe@consent.example');
    assert.equal(grant.login, login);
    assert.equal(grant.identityKey, 'tenant-1:object-1');
  });

  test('without an email claim the login is the address', async () => {
    const login = 'no-email-claim@consent.example';
    await identity.setPerson(login, { email: null });
    assert.equal((await consent(open(), login)).email, login);
  });

  const badTokens: [name: string, claims: Record<string, string | number>][] = [
    ['another issuer', { iss: 'https://login.microsoftonline.com/tenant-1/v2.0' }],
    ['another audience', { aud: 'another client' }],
    ['an end in the past', { exp: 1_700_000_000 }],
    ['no tenant', { tid: '' }],
    ['no object', { oid: '' }],
    ['no login', { preferred_username: '' }],
  ];
  for (const [name, claims] of badTokens) {
    test(`an identity token with ${name} is refused`, async () => {
      const login = `${name.replaceAll(' ', '-')}@consent.example`;
      await identity.setPerson(login, { claims });
      await rejects(consent(open(), login), { kind: 'permanent', code: 'identity_token_invalid' });
    });
  }

  test('an address in a domain that the tenant does not own is refused', async () => {
    const login = 'squatter@consent.example';
    await identity.setPerson(login, { email: 'victim@elsewhere.example', claims: { xms_edov: false } });
    await rejects(consent(open(), login), { kind: 'denied', code: 'address_unverified' });
    await identity.setPerson(login, { claims: { xms_edov: true } });
    assert.equal((await consent(open(), login)).email, 'victim@elsewhere.example');
  });

  for (const aadsts of [90094, 65001] as const) {
    test(`AADSTS${aadsts} waits for the administrator, whose consent ends it (C1)`, async () => {
      const login = `employee@tenant${aadsts}.example`;
      await identity.setConsent(login, { outcome: 'admin_consent_required', aadsts }, 100);
      const { redirect, client } = await authorise(open(), login);
      assert.equal(redirectFailure(redirect.searchParams), 'admin_consent_required');
      assert(client.adminConsentUrl !== undefined);
      const page = client.adminConsentUrl({ state: 'for the admin', redirectUri });
      assert.equal(new URL(page).pathname, '/microsoft/organizations/v2.0/adminconsent');
      const back = await followConsent(page, `admin@tenant${aadsts}.example`);
      assert.equal(back.searchParams.get('admin_consent'), 'True');
      assert.equal(back.searchParams.get('state'), 'for the admin');
      assert.equal((await consent(open(), login)).login, login);
    });
  }

  test('one app for one tenant, in another authority', async () => {
    const url = await open({ tenant: 'contoso.example' }).authorisationUrl(authorisationInput());
    assert.equal(new URL(url).pathname, '/microsoft/contoso.example/oauth2/v2.0/authorize');
  });

  test('a cloud of its own needs no discovery over the network', async () => {
    const provider = resolveProvider('outlook', { cloud: 'china' });
    const url = await createOAuthClient(provider, identity).authorisationUrl(authorisationInput());
    assert.equal(new URL(url).host, 'login.partner.microsoftonline.cn');
  });

  test('a refresh brings the rotated refresh token, and the old one still works', async () => {
    const grant = await consent(open(), 'rotates@refresh.example');
    const client = open();
    const first = await client.refresh(grant);
    assert(first.refreshToken !== null);
    assert.notEqual(first.refreshToken, grant.refreshToken);
    const second = await client.refresh({ refreshToken: first.refreshToken });
    assert.notEqual(second.refreshToken, first.refreshToken);
    assert.equal(await isLive((await client.refresh(grant)).accessToken), true);
  });

  test('one client serves many people and mixes none of them up', async () => {
    const client = open();
    const logins = ['anna', 'bert', 'carl'].map((name) => `${name}@refresh.example`);
    const grants = await Promise.all(logins.map((login) => consent(client, login)));
    const tokens = await Promise.all(grants.map((grant) => client.refresh(grant)));
    assert.equal(new Set(tokens.map((token) => token.refreshToken)).size, 3);
    const held = await Promise.all(tokens.map((token) => introspect(identity, token.accessToken)));
    assert.deepEqual(
      held.map((token) => token.username),
      logins,
    );
  });

  test('offers no revocation', async () => {
    const grant = await consent(open(), 'stays@refresh.example');
    assert.equal(await open().revoke(grant.refreshToken), 'not_offered');
    assert.equal((await open().refresh(grant)).refreshToken === null, false);
  });
});

function open(overrides: ProviderEndpoints = {}) {
  return clientAt(identity, 'outlook', overrides);
}

async function isLive(accessToken: string): Promise<boolean> {
  return (await introspect(identity, accessToken)).active;
}
