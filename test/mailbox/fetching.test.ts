import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uidSet } from '../../src/mailbox/fetching.ts';

test('a UID set is as short as it can be', () => {
  assert.equal(uidSet([1, 2, 3, 7]), '1:3,7');
  assert.equal(uidSet([5]), '5');
  assert.equal(uidSet([]), '');
});
