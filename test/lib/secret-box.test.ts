import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { createSecretBox } from '../../src/lib/secret-box.ts';

const key = Buffer.alloc(32, 7);

test('a keyed hash is the HMAC-SHA-256 of RFC 2104, under a key of its purpose alone', () => {
  const box = createSecretBox([key]);
  for (const text of [
    '',
    'a',
    'Jörg 日本 \0',
    'x'.repeat(63),
    'x'.repeat(64),
    'é'.repeat(512),
    'é'.repeat(513),
    'b',
  ]) {
    const derived = createHmac('sha256', key).update('purpose:tombstone').digest();
    const right = createHmac('sha256', derived).update(text).digest();
    assert.deepEqual(box.mac('tombstone', text), right);
    assert.equal(box.macHex('tombstone', text), right.toString('hex', 0, 16));
    assert.notDeepEqual(box.mac('decision message', text), right);
  }
});
