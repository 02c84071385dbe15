import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { authorise, clientAt } from '../provider/consent.ts';
import { identityClient, startIdentityProvider, type IdentityProvider } from '../support/identity.ts';

describe('the identity provider of the tests', () => {
  let identity: IdentityProvider;
  before(async () => {
    identity = await startIdentityProvider();
  });
  after(() => identity.stop());

  const ways: [name: string, ask: (url: string, token: string) => Promise<Response>][] = [
    ['in the query', (url, token) => fetch(`${url}?token=${token}`)],
    ['at the end of the path', (url, token) => fetch(`${url}/${token}`)],
    ['in a form', (url, token) => fetch(url, { method: 'POST', body: new URLSearchParams({ token }) })],
    ['as a bearer', (url, token) => fetch(url, { headers: { authorization: `Bearer ${token}` } })],
  ];
  for (const [name, ask] of ways) {
    test(`introspection (RFC 7662) takes a token ${name}`, async () => {
      const url = `${identity.url}/introspect`;
      const login = 'ada@introspect.example';
      const token = await identity.issueToken(login, { dialect: 'microsoft', lifetimeSeconds: 60 });
      const told = (await (await ask(url, token)).json()) as Record<string, unknown>;
      assert.deepEqual([told['active'], told['username'], told['email']], [true, login, login]);
      const short = await identity.issueToken(login, { lifetimeSeconds: 0 });
      assert.deepEqual(await (await ask(url, short)).json(), { active: false });
      await identity.revoke(login);
      assert.deepEqual(await (await ask(url, token)).json(), { active: false });
    });
  }

  test('another process controls it over HTTP', async () => {
    const remote = identityClient(identity.url);
    const login = 'remote@introspect.example';
    const grant = await remote.issueGrant(login, 'google');
    const client = clientAt(identity, 'gmail');
    await remote.fault({ kind: 'unavailable', login });
    await assert.rejects(client.refresh(grant));
    assert.notEqual((await client.refresh(grant)).accessToken, grant.accessToken);
    assert.equal((await remote.counts(login)).refresh, 2);
    await remote.setConsent(login, { outcome: 'error', error: 'admin_policy_enforced' });
    const { redirect } = await authorise(client, login);
    assert.equal(redirect.searchParams.get('error'), 'admin_policy_enforced');
    await remote.expireAccessTokens(login);
    await remote.revoke(login);
    await assert.rejects(client.refresh(grant), /invalid_grant/);
  });

  test('a browser without a name is asked who signs in, and a prepared sign-in answers', async () => {
    const client = clientAt(identity, 'gmail');
    const url = await client.authorisationUrl({
      state: 'the state',
      codeChallenge: 'challenge',
      nonce: 'the nonce',
      redirectUri: 'http://127.0.0.1:9/callback',
      loginHint: 'hint@introspect.example',
    });
    assert.match(await (await fetch(url)).text(), /name="as" value="hint@introspect.example"/);
    await identity.signIn('ada@introspect.example');
    const response = await fetch(url, { redirect: 'manual' });
    assert.match(response.headers.get('location') ?? '', /code=/);
    await response.body?.cancel();
  });
});
