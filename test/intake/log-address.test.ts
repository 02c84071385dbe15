import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loggingVcard } from '../../src/intake/log-address.ts';

test('B1: lines of a card are folded between letters, and line breaks in a name are escaped', () => {
  const card = loggingVcard({ address: 'log-1@log.crm.example', subAccount: `${'ä€'.repeat(40)}\nBCC:x` });
  const lines = card.split('\r\n');
  assert.ok(lines.every((line) => Buffer.byteLength(line) <= 75));
  const unfolded = card.replaceAll('\r\n ', '').split('\r\n');
  assert.equal(unfolded[2], `FN:CRM log (${'ä€'.repeat(40)}\\nBCC:x)`);
  assert.equal(unfolded.length, 8);
});
