import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectionStates, remedyOf } from '../../src/provider/connection-states.ts';
import type { ConnectionState } from '../../src/provider/connection-states.ts';

const cases: [state: ConnectionState, reason: string | null, remedy: RegExp][] = [
  ['degraded', 'imap_econnrefused', /takes no connections.*server and port/],
  ['degraded', 'imap_etimedout', /cannot be reached.*server and port/],
  ['degraded', 'unknown_host', /name .* cannot be found/],
  ['degraded', 'private_address', /private network.*TWOWAY_ALLOW_PRIVATE/],
  ['degraded', 'imap_cert_has_expired', /certificate/],
  ['degraded', 'imap_depth_zero_self_signed_cert', /certificate/],
  ['degraded', 'web_login_required', /sign in .* browser/],
  ['degraded', 'authenticated_not_connected', /IMAP is switched on/],
  ['rate_limited', 'too_many_connections', /other programs/],
  ['rate_limited', 'bandwidth_limit', /day/],
  ['reauth_required', 'login_refused', /password/],
  // What has no words of its own, and what belongs to another state.
  ['degraded', 'imap_nonsense', /^Nothing to do: the provider is tried again/],
  ['degraded', null, /^Nothing to do: the provider is tried again/],
  ['reauth_required', 'token_revoked', /^The user must connect the mailbox again\.$/],
  ['live', 'imap_econnrefused', /^Nothing to do\.$/],
];

describe('what a person can do about a connection', () => {
  for (const [state, reason, remedy] of cases) {
    test(`${state}, ${reason}`, () => assert.match(remedyOf(state, reason), remedy));
  }

  test('no remedy names a word for machines', () => {
    for (const [, reason] of cases) {
      for (const state of Object.keys(connectionStates) as ConnectionState[])
        assert.doesNotMatch(remedyOf(state, reason), /[a-z]_[a-z]/);
    }
  });
});
