import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  networkCodeOf,
  redirectFailure,
  retryAfterMsOf,
  tokenFailure,
  type TokenCallProblem,
} from '../../src/provider/oauth-failures.ts';

const problem: TokenCallProblem = {
  dialect: 'microsoft',
  stage: 'refresh',
  status: 400,
  body: null,
  retryAfterMs: null,
  networkCode: null,
};
const microsoft = (error: string, number: number, suberror?: string) => ({
  error,
  error_description: `AADSTS${number}: words for person@contoso.example Trace ID: 1`,
  error_codes: [number],
  ...(suberror === undefined ? {} : { suberror }),
});

describe('tokenFailure: who can fix it', () => {
  const table: [name: string, given: Partial<TokenCallProblem>, kind: string, code: string, says?: RegExp][] =
    [
      [
        'no answer',
        { status: null, networkCode: 'ENOTFOUND' },
        'temporary',
        'token_endpoint_unreachable',
        /ENOTFOUND/,
      ],
      ['503 with a page', { status: 503 }, 'temporary', 'token_endpoint_unavailable', /HTTP 503/],
      [
        '500 that says invalid_grant',
        { status: 500, body: { error: 'invalid_grant' } },
        'temporary',
        'token_endpoint_unavailable',
      ],
      ['a page with status 200', { status: 200 }, 'temporary', 'token_endpoint_unavailable'],
      ['a page with status 403', { status: 403 }, 'temporary', 'token_endpoint_unavailable'],
      [
        '429',
        { status: 429, body: { error: 'invalid_grant' }, retryAfterMs: 7000 },
        'throttled',
        'token_endpoint_throttled',
      ],
      [
        '400 rate limit',
        { dialect: 'google', body: { error: 'rate_limit_exceeded' } },
        'throttled',
        'token_endpoint_throttled',
      ],
      [
        'temporarily_unavailable',
        { body: { error: 'temporarily_unavailable' } },
        'temporary',
        'token_endpoint_unavailable',
      ],
      ['Google, revoked', { dialect: 'google', body: { error: 'invalid_grant' } }, 'denied', 'token_revoked'],
      [
        'Google, session policy',
        { dialect: 'google', body: { error: 'invalid_grant', error_subtype: 'invalid_rapt' } },
        'denied',
        'token_revoked',
        /invalid_rapt/,
      ],
      [
        'Google, client deleted',
        { dialect: 'google', status: 401, body: { error: 'deleted_client' } },
        'operator',
        'client_rejected',
      ],
      [
        'Google, error that is an object',
        { dialect: 'google', status: 403, body: { error: { code: 403 } } },
        'operator',
        'token_request_rejected',
      ],
      [
        'Google, a wrong code',
        { dialect: 'google', stage: 'exchange', body: { error: 'invalid_grant' } },
        'permanent',
        'code_rejected',
      ],
      [
        'unknown AADSTS',
        { body: microsoft('invalid_grant', 123456) },
        'denied',
        'token_revoked',
        /AADSTS123456/,
      ],
      [
        'suberror',
        { body: microsoft('invalid_grant', 70008, 'bad_token') },
        'denied',
        'token_revoked',
        /bad_token/,
      ],
      [
        '50173 revoked',
        { body: microsoft('invalid_grant', 50173) },
        'denied',
        'token_revoked',
        /AADSTS50173/,
      ],
      ['50076 MFA', { body: microsoft('interaction_required', 50076) }, 'denied', 'token_revoked'],
      [
        '65001 consent withdrawn',
        { body: microsoft('invalid_grant', 65001) },
        'denied',
        'admin_consent_required',
      ],
      [
        '53003 conditional access',
        { body: microsoft('invalid_grant', 53003) },
        'denied',
        'blocked_by_administrator',
      ],
      ['50020 wrong tenant', { body: microsoft('invalid_grant', 50020) }, 'denied', 'wrong_account_type'],
      [
        '50196 loop is our fault',
        { body: microsoft('invalid_grant', 50196) },
        'throttled',
        'token_endpoint_throttled',
      ],
      [
        '54005 code used twice',
        { stage: 'exchange', body: microsoft('invalid_grant', 54005) },
        'permanent',
        'code_rejected',
      ],
      [
        '7000222 secret expired',
        { status: 401, body: microsoft('invalid_client', 7000222) },
        'operator',
        'client_rejected',
        /secret expired/,
      ],
      ['50011 redirect', { body: microsoft('invalid_client', 50011) }, 'operator', 'redirect_mismatch'],
      ['50194 single tenant', { body: microsoft('invalid_request', 50194) }, 'operator', 'single_tenant'],
      ['70011 scope', { body: microsoft('invalid_scope', 70011) }, 'operator', 'scope_rejected'],
      ['something new', { body: { error: 'brand_new' } }, 'operator', 'token_request_rejected', /brand_new/],
    ];
  for (const [name, given, kind, code, says] of table) {
    test(name, () => {
      const failure = tokenFailure({ ...problem, ...given });
      assert.deepEqual([failure.kind, failure.code], [kind, code]);
      assert.equal(failure.retryAfterMs, given.retryAfterMs ?? undefined);
      if (says !== undefined) assert.match(failure.message, says);
      assert.doesNotMatch(failure.message, /@/, 'descriptions hold addresses and are not repeated');
    });
  }
});

describe('redirectFailure: why the browser came back without a code (C1)', () => {
  const table: [name: string, query: string, expected: string | null][] = [
    ['a code', 'code=1&state=2', null],
    ['Google, refused', 'error=access_denied', 'refused'],
    [
      'Microsoft, refused',
      'error=access_denied&error_subcode=cancel&error_description=AADSTS65004: declined',
      'refused',
    ],
    [
      'Microsoft, needs an administrator',
      'error=access_denied&error_description=AADSTS90094: admin',
      'admin_consent_required',
    ],
    [
      'Microsoft, consent_required',
      'error=consent_required&error_description=AADSTS65001: none',
      'admin_consent_required',
    ],
    ['consent_required without a number', 'error=consent_required', 'admin_consent_required'],
    ['Workspace administrator', 'error=admin_policy_enforced', 'blocked_by_administrator'],
    ['Internal app', 'error=org_internal', 'wrong_account_type'],
    [
      'conditional access',
      'error=access_denied&error_description=AADSTS53003: blocked',
      'blocked_by_administrator',
    ],
    ['redirect address', 'error=redirect_uri_mismatch', 'operator'],
    ['single tenant', 'error=unauthorized_client&error_description=AADSTS50194: one tenant', 'operator'],
    ['invalid request', 'error=invalid_request', 'operator'],
    ['server error', 'error=server_error', 'temporary'],
    ['temporarily', 'error=temporarily_unavailable', 'temporary'],
    ['something new', 'error=brand_new', 'unknown'],
  ];
  for (const [name, query, expected] of table) {
    test(name, () => assert.equal(redirectFailure(new URLSearchParams(query)), expected));
  }
});

test('networkCodeOf looks along the causes', () => {
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  assert.equal(networkCodeOf(new TypeError('fetch failed', { cause: reset })), 'ECONNRESET');
  assert.equal(
    networkCodeOf(new Error('x', { cause: new DOMException('late', 'TimeoutError') })),
    'TimeoutError',
  );
  assert.equal(networkCodeOf(Object.assign(new Error('x'), { code: 'TimeoutError' })), 'TimeoutError');
  assert.equal(networkCodeOf('text'), 'unknown');
});

test('retryAfterMsOf reads seconds and dates (RFC 9110 §10.2.3)', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(retryAfterMsOf('120', now), 120_000);
  assert.equal(retryAfterMsOf('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000);
  assert.equal(retryAfterMsOf('soon', now), null);
  assert.equal(retryAfterMsOf(null, now), null);
});
