import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contactOf, sandboxContacts } from '../../src/sandbox/contacts.ts';

const rows: [address: string, contact: string | undefined][] = [
  ['replies@sandbox.example', 'replies'],
  ['REPLIES+tag@Sandbox.Example', 'replies'],
  ['bounces@eu.sandbox.example', 'bounces'],
  ['replies@notsandbox.example', undefined],
  ['replies@sandbox.example.org', undefined],
  ['replies@customer.example', undefined],
  ['ada@sandbox.example', undefined],
  ['replies', undefined],
  ['', undefined],
];

describe('contactOf', () => {
  for (const [address, contact] of rows) {
    test(`${address || 'nothing'} is ${contact ?? 'nobody special'}`, () => {
      assert.equal(contactOf(address), contact);
    });
  }
  test('knows each contact of the table, and each says what it does', () => {
    for (const { localPart, does } of sandboxContacts) {
      assert.equal(contactOf(`${localPart}@sandbox.example`), localPart);
      assert.ok(does.length > 20);
    }
  });
});
