import assert from 'node:assert/strict';
import { test, describe } from 'node:test';
import { CodeChallengeMethod } from 'google-auth-library';
import { canLogIn, connect, consent, oauthClient, redirectUri, scopes, withSandbox } from './support.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

const ada = 'ada@sandbox.example';

function authoriseUrl(
  sandbox: Sandbox,
  codeChallenge = 'x'.repeat(43),
  more: Record<string, string> = {},
): string {
  return oauthClient(sandbox).generateAuthUrl({
    access_type: 'offline',
    scope: scopes,
    state: 'state 1&2',
    code_challenge: codeChallenge,
    code_challenge_method: CodeChallengeMethod.S256,
    ...more,
  });
}

describe('the consent of the sandbox', () => {
  test('C1 code flow with PKCE gives tokens that open the mailbox', async () => {
    await withSandbox(async (sandbox) => {
      const { tokens, accessToken } = await connect(sandbox, ada);
      assert.equal(tokens.token_type, 'Bearer');
      assert.equal(tokens.scope, scopes.join(' '));
      assert.ok((tokens.expiry_date ?? 0) > Date.now() + 3_500_000);
      assert.equal(await canLogIn(sandbox, { user: ada, accessToken }), true);
    });
  });

  test('C2 verifyIdToken accepts the identity token, with the address in it', async () => {
    await withSandbox(async (sandbox) => {
      const client = oauthClient(sandbox);
      const { codeVerifier, codeChallenge = '' } = await client.generateCodeVerifierAsync();
      const url = authoriseUrl(sandbox, codeChallenge, { nonce: 'n-1' });
      const back = await consent(url, {
        person: ada,
        other: ' Carla@Sandbox.Example ',
        mail: 'yes',
        decision: 'allow',
      });
      assert.equal(back.searchParams.get('state'), 'state 1&2');
      assert.equal(back.origin + back.pathname, redirectUri);
      const { tokens } = await client.getToken({ code: back.searchParams.get('code') ?? '', codeVerifier });
      const { clientId, issuer } = sandbox.endpoints;
      const ticket = await client.verifyIdToken({ idToken: tokens.id_token ?? '', audience: clientId });
      const payload = ticket.getPayload();
      assert.equal(payload?.email, 'carla@sandbox.example');
      assert.equal(payload?.email_verified, true);
      assert.equal(payload?.iss, issuer);
      assert.equal(payload?.nonce, 'n-1');
      assert.match(payload?.sub ?? '', /^[0-9a-f]{21}$/);
      await assert.rejects(client.verifyIdToken({ idToken: tokens.id_token ?? '', audience: 'another' }));
    });
  });

  test('a refresh token gives new access tokens, also at another client of the same program', async () => {
    await withSandbox(async (sandbox) => {
      const { refreshToken } = await connect(sandbox, ada);
      const client = oauthClient(sandbox);
      client.setCredentials({ refresh_token: refreshToken });
      const { credentials } = await client.refreshAccessToken();
      assert.equal(await canLogIn(sandbox, { user: ada, accessToken: credentials.access_token ?? '' }), true);
    });
  });

  test('C7 a revoked grant ends: invalid_grant on refresh, no login with the old access token', async () => {
    await withSandbox(async (sandbox) => {
      const { client, accessToken, refreshToken } = await connect(sandbox, ada);
      await client.revokeToken(refreshToken);
      assert.equal(await canLogIn(sandbox, { user: ada, accessToken }), false);
      const again = oauthClient(sandbox);
      again.setCredentials({ refresh_token: refreshToken });
      await assert.rejects(
        again.refreshAccessToken(),
        (error: { status?: number; response?: { data: { error: string } } }) => {
          assert.equal(error.status, 400);
          assert.equal(error.response?.data.error, 'invalid_grant');
          return true;
        },
      );
      await assert.rejects(client.revokeToken(refreshToken), /400|invalid_token/);
    });
  });

  test('C1 an unticked mail scope is missing from the answer, and the token opens no mailbox', async () => {
    await withSandbox(async (sandbox) => {
      const client = oauthClient(sandbox);
      const { codeVerifier, codeChallenge = '' } = await client.generateCodeVerifierAsync();
      const back = await consent(authoriseUrl(sandbox, codeChallenge), { person: ada, decision: 'allow' });
      assert.equal(back.searchParams.get('scope'), 'openid email');
      const { tokens } = await client.getToken({ code: back.searchParams.get('code') ?? '', codeVerifier });
      assert.equal(tokens.scope, 'openid email');
      assert.equal(await canLogIn(sandbox, { user: ada, accessToken: tokens.access_token ?? '' }), false);
    });
  });

  test('refusing sends the person back with access_denied', async () => {
    await withSandbox(async (sandbox) => {
      const back = await consent(authoriseUrl(sandbox), { person: ada, mail: 'yes', decision: 'refuse' });
      assert.equal(back.searchParams.get('error'), 'access_denied');
      assert.equal(back.searchParams.get('state'), 'state 1&2');
      assert.equal(back.searchParams.get('code'), null);
    });
  });

  test('a code works once, with its verifier and its redirect address', async () => {
    await withSandbox(async (sandbox) => {
      const client = oauthClient(sandbox);
      const { codeVerifier, codeChallenge = '' } = await client.generateCodeVerifierAsync();
      const url = authoriseUrl(sandbox, codeChallenge);
      const newCode = async () =>
        (await consent(url, { person: ada, mail: 'yes', decision: 'allow' })).searchParams.get('code') ?? '';
      const first = await newCode();
      await client.getToken({ code: first, codeVerifier });
      await assert.rejects(client.getToken({ code: first, codeVerifier }), /invalid_grant/);
      await assert.rejects(
        client.getToken({ code: await newCode(), codeVerifier: 'wrong' }),
        /invalid_grant/,
      );
      const elsewhere = { code: await newCode(), codeVerifier, redirect_uri: 'http://elsewhere.test/' };
      await assert.rejects(client.getToken(elsewhere), /invalid_grant/);
    });
  });

  test('a wrong client secret is refused', async () => {
    await withSandbox(async ({ endpoints }) => {
      const body = new URLSearchParams({
        client_id: endpoints.clientId,
        client_secret: 'wrong',
        grant_type: 'refresh_token',
      });
      const response = await fetch(endpoints.token, { method: 'POST', body });
      assert.equal(response.status, 401);
      assert.equal(((await response.json()) as { error: string }).error, 'invalid_client');
    });
  });

  test('tokens of one person do not open the mailbox of another, nor do changed ones', async () => {
    await withSandbox(async (sandbox) => {
      const { accessToken } = await connect(sandbox, ada);
      assert.equal(await canLogIn(sandbox, { user: 'ben@sandbox.example', accessToken }), false);
      const [kind, payload = '', mac] = accessToken.split('.');
      const grant = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
      const other = Buffer.from(JSON.stringify({ ...grant, email: 'ben@sandbox.example' })).toString(
        'base64url',
      );
      const forged = [kind, other, mac].join('.');
      assert.equal(await canLogIn(sandbox, { user: 'ben@sandbox.example', accessToken: forged }), false);
    });
  });
});

describe('the consent page', () => {
  test('names the program that asks, chooses the hinted person, escapes, and allows no script', async () => {
    await withSandbox(async (sandbox) => {
      const url = authoriseUrl(sandbox, undefined, { login_hint: '"><script>@sandbox.example' });
      const response = await fetch(url);
      const html = await response.text();
      assert.equal(response.status, 200);
      assert.match(html, /<strong>gateway\.test<\/strong>/);
      assert.match(html, /value="ben@sandbox\.example"/);
      assert.doesNotMatch(html, /<script/);
      assert.match(html, /value="&quot;&gt;&lt;script&gt;@sandbox\.example" checked/);
      assert.match(
        response.headers.get('content-security-policy') ?? '',
        /default-src 'none'; style-src 'self'/,
      );
    });
  });

  const refused = [
    { name: 'nobody chosen', answers: { person: '', other: '' }, says: /choose somebody/ },
    { name: 'no address', answers: { person: '', other: 'ada' }, says: /choose somebody/ },
    { name: 'a customer', answers: { person: '', other: 'bounces@sandbox.example' }, says: /customers/ },
  ];
  for (const { name, answers, says } of refused) {
    test(`asks again for ${name}`, async () => {
      await withSandbox(async (sandbox) => {
        const form = new URLSearchParams(new URL(authoriseUrl(sandbox)).searchParams);
        for (const [field, value] of Object.entries({ ...answers, decision: 'allow' }))
          form.set(field, value);
        const response = await fetch(sandbox.endpoints.authorise, {
          method: 'POST',
          body: form,
          redirect: 'manual',
        });
        assert.equal(response.status, 400);
        assert.match(await response.text(), says);
      });
    });
  }

  test('a request that is not in order is told what is wrong, and goes nowhere', async () => {
    await withSandbox(async ({ endpoints }) => {
      const response = await fetch(`${endpoints.authorise}?client_id=x&redirect_uri=javascript:1`);
      assert.equal(response.status, 400);
      assert.match(await response.text(), /client_id.*response_type.*redirect_uri.*PKCE/);
    });
  });

  test('a form on another site is refused', async () => {
    await withSandbox(async ({ endpoints }) => {
      const headers = { 'sec-fetch-site': 'cross-site' };
      const response = await fetch(endpoints.authorise, { method: 'POST', headers });
      assert.equal(response.status, 403);
    });
  });
});
