import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { newPkce, scopesMissing } from '../../src/provider/oauth.ts';

test('newPkce: a new verifier each time, with its S256 challenge (RFC 7636 §4.1-4.2)', () => {
  const { verifier, challenge } = newPkce();
  assert.match(verifier, /^[\w-]{43}$/);
  assert.equal(challenge, createHash('sha256').update(verifier, 'ascii').digest('base64url'));
  assert.notEqual(newPkce().verifier, verifier);
});

test('scopesMissing: which of the needed ones were not granted, in any letters (C1)', () => {
  const needed = ['https://outlook.office.com/IMAP.AccessAsUser.All', 'https://outlook.office.com/SMTP.Send'];
  assert.deepEqual(scopesMissing(needed, [...needed, 'openid']), []);
  assert.deepEqual(scopesMissing(needed, ['https://outlook.office.com/imap.accessasuser.all']), [needed[1]]);
});
