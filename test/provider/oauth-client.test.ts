import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { createOAuthClient } from '../../src/provider/oauth-client.ts';
import { redirectFailure } from '../../src/provider/oauth-failures.ts';
import { newPkce } from '../../src/provider/oauth.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Fault } from '../support/identity-state.ts';
import { endpointsAt, startIdentityProvider, type IdentityProvider } from '../support/identity.ts';
import { authorisationInput, authorise, clientAt, consent, deadUrl, introspect, rejects } from './consent.ts';

const both = ['gmail', 'outlook'] as const;

let identity: IdentityProvider;

describe('either provider, through the real libraries', () => {
  before(async () => {
    identity = await startIdentityProvider();
  });
  after(() => identity.stop());

  describe('consent', () => {
    for (const name of both) {
      test(`${name}: a consent becomes a grant with address, login, identity and tokens (C1, C2)`, async () => {
        const login = `ada.${name}@consent.example`;
        const grant = await consent(clientAt(identity, name), login);
        assert.equal(grant.email, login);
        assert.equal(grant.login, login);
        assert.deepEqual(grant.missingScopes, []);
        const inOneHour = Date.now() + 3600_000;
        assert(
          Math.abs(grant.accessTokenExpiresAt - inOneHour) < 60_000,
          'an hour from now, in milliseconds',
        );
        assert.equal(await isLive(grant.accessToken), true);
        const { code, refresh } = await identity.counts(login);
        assert.deepEqual({ code, refresh }, { code: 1, refresh: 0 });
      });

      test(`${name}: the identity key survives a changed address`, async () => {
        const login = `grace.${name}@consent.example`;
        const first = await consent(clientAt(identity, name), login);
        await identity.setPerson(login, { email: `hopper.${name}@consent.example` });
        const second = await consent(clientAt(identity, name), login);
        assert.equal(second.email, `hopper.${name}@consent.example`);
        assert.equal(second.identityKey, first.identityKey);
      });

      test(`${name}: a wrong verifier is refused, and so is a code used twice`, async () => {
        const login = `mallory.${name}@consent.example`;
        const attempt = await authorise(clientAt(identity, name), login);
        await rejects(attempt.client.exchange({ ...attempt, codeVerifier: newPkce().verifier }), {
          kind: 'permanent',
          code: 'code_rejected',
        });
        const again = await authorise(clientAt(identity, name), login);
        await again.client.exchange(again);
        await rejects(again.client.exchange(again), { kind: 'permanent', code: 'code_rejected' });
      });

      test(`${name}: an identity token with another nonce is refused`, async () => {
        const attempt = await authorise(clientAt(identity, name), `nonce.${name}@consent.example`);
        await rejects(attempt.client.exchange({ ...attempt, nonce: 'of another browser' }), {
          kind: 'permanent',
          code: 'identity_token_invalid',
        });
      });

      test(`${name}: refused by the person`, async () => {
        const login = `no.${name}@consent.example`;
        await identity.setConsent(login, { outcome: 'refuse' });
        const { redirect } = await authorise(clientAt(identity, name), login);
        assert.equal(redirectFailure(redirect.searchParams), 'refused');
        assert.equal(redirect.searchParams.get('state'), 'the state');
      });

      test(`${name}: without a hint the person chooses the account, with one it is preselected`, async () => {
        const client = clientAt(identity, name);
        const chooses = new URL(await client.authorisationUrl(authorisationInput()));
        assert.match(chooses.searchParams.get('prompt') ?? '', /select_account/);
        const hinted = new URL(
          await client.authorisationUrl({ ...authorisationInput(), loginHint: 'ada@consent.example' }),
        );
        assert.equal(hinted.searchParams.get('login_hint'), 'ada@consent.example');
        assert.doesNotMatch(hinted.searchParams.get('prompt') ?? '', /select_account/);
        const url = await client.authorisationUrl({
          ...authorisationInput(),
          loginHint: 'ada@consent.example',
          selectAccount: true,
        });
        assert.match(new URL(url).searchParams.get('prompt') ?? '', /select_account/);
      });
    }

    test('a provider without consent has no client', () => {
      assert.throws(() => createOAuthClient(resolveProvider('imap'), identity), /imap has no OAuth/);
    });
  });

  describe('refreshing and revoking', () => {
    test('the lifetime is the one that the provider says', async () => {
      for (const name of both) {
        const login = `short.${name}@refresh.example`;
        await identity.setAccessTokenLifetime(120, login);
        const { accessTokenExpiresAt } = await clientAt(identity, name).refresh(
          await consent(clientAt(identity, name), login),
        );
        assert(Math.abs(accessTokenExpiresAt - Date.now() - 120_000) < 30_000);
      }
    });
  });

  describe('failures of the token endpoint', () => {
    type Row = [fault: Omit<Fault, 'login' | 'times'>, kind: string, code: string];
    const rows: Row[] = [
      [{ kind: 'unavailable' }, 'temporary', 'token_endpoint_unavailable'],
      [{ kind: 'throttled', retryAfterSeconds: 30 }, 'throttled', 'token_endpoint_throttled'],
      [{ kind: 'reset' }, 'temporary', 'token_endpoint_unreachable'],
      [{ kind: 'invalid_client' }, 'operator', 'client_rejected'],
      [{ kind: 'invalid_grant', suberror: 'invalid_rapt' }, 'denied', 'token_revoked'],
    ];
    const microsoftRows: Row[] = [
      [{ kind: 'interaction_required', aadsts: 50076 }, 'denied', 'token_revoked'],
      [
        { kind: 'invalid_grant', aadsts: 65001, suberror: 'consent_required' },
        'denied',
        'admin_consent_required',
      ],
      [{ kind: 'invalid_grant', aadsts: 53003 }, 'denied', 'blocked_by_administrator'],
      [{ kind: 'invalid_grant', aadsts: 50196 }, 'throttled', 'token_endpoint_throttled'],
      [{ kind: 'invalid_client', aadsts: 7000215 }, 'operator', 'client_rejected'],
    ];
    for (const name of both) {
      for (const [fault, kind, code] of name === 'gmail' ? rows : [...rows, ...microsoftRows]) {
        test(`${name}: ${fault.kind} ${fault.aadsts ?? ''} is ${kind}, after one call (C5)`, async () => {
          const login = `${fault.kind}.${fault.aadsts ?? 0}.${name}@failure.example`;
          const client = clientAt(identity, name);
          const attempt = await authorise(clientAt(identity, name), login);
          await identity.fault({ ...fault, login });
          const atExchange =
            fault.kind === 'invalid_grant' && name === 'gmail' ? ['permanent', 'code_rejected'] : null;
          // A bad code and a revoked grant are one word in Google's mouth; the stage tells them apart.
          await rejects(client.exchange(attempt), {
            kind: atExchange?.[0] ?? kind,
            code: atExchange?.[1] ?? code,
          });
          const grant = await consent(clientAt(identity, name), login);
          await identity.fault({ ...fault, login });
          const failure = await rejects(client.refresh(grant), { kind, code });
          assert.equal(failure.retryAfterMs, fault.kind === 'throttled' ? 30_000 : undefined);
          assert.equal(
            (await identity.counts(login)).refresh,
            1,
            'the libraries must not retry: callers back off',
          );
          assert.equal(
            await isLive((await client.refresh(grant)).accessToken),
            true,
            'and the next call works',
          );
        });
      }

      test(`${name}: nobody listening is temporary and names what broke`, async () => {
        const grant = await consent(clientAt(identity, name), `unreachable.${name}@failure.example`);
        const tokenUrl = await deadUrl();
        const failure = await rejects(clientAt(identity, name, { tokenUrl }).refresh(grant), {
          kind: 'temporary',
          code: 'token_endpoint_unreachable',
        });
        assert.match(failure.message, /ECONNREFUSED/);
      });

      test(`${name}: a wrong client secret is the operator's, and never in a message`, async () => {
        const provider = resolveProvider(name, endpointsAt(identity.url)[name]);
        const client = createOAuthClient(provider, {
          clientId: identity.clientId,
          clientSecret: 'not-the-secret',
        });
        const grant = await consent(clientAt(identity, name), `secret.${name}@failure.example`);
        const failure = await rejects(client.refresh(grant), { kind: 'operator', code: 'client_rejected' });
        assert.doesNotMatch(inspect(failure, { depth: 20 }), /not-the-secret/);
      });
    }
  });
});

async function isLive(accessToken: string): Promise<boolean> {
  return (await introspect(identity, accessToken)).active;
}
