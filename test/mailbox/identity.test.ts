import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { meet } from '../../src/mailbox/identity.ts';
import type { Encounter, Meeting } from '../../src/mailbox/identity.ts';
import type { LockedMailbox } from '../../src/store/proven-mailboxes.ts';

const stored = (more: Partial<LockedMailbox> = {}): LockedMailbox => ({
  id: 'mbx_1',
  state: 'live',
  isSameAccount: true,
  activeElsewhere: false,
  ...more,
});
const current = { mailboxId: 'mbx_1', address: 'ann@company.example' } as const;
const elsewhere = { mailboxId: 'mbx_2', address: 'old@company.example' } as const;

const cases: [name: string, encounter: Partial<Encounter>, meeting: Meeting][] = [
  ['C1 the first connection of a new mailbox', {}, { step: 'join', startsAnew: true }],
  [
    'C7 a mailbox that nobody is connected to starts from now',
    { target: stored() },
    { step: 'join', startsAnew: true },
  ],
  [
    'C4 another sub-account joins',
    { target: stored({ activeElsewhere: true }) },
    { step: 'join', startsAnew: false },
  ],
  [
    'C2 a reconnect by the same identity goes on',
    { current, target: stored() },
    { step: 'renew', startsAnew: false },
  ],
  [
    'C2 a reconnect by the same address of another identity is refused',
    { current, target: null },
    { step: 'refuse', expected: current.address },
  ],
  [
    'C2 a reconnect with another address is refused',
    { current: elsewhere, target: null },
    { step: 'refuse', expected: elsewhere.address },
  ],
  [
    'C2 the expected address is named also where others are connected to the given one',
    { current: elsewhere, target: stored({ activeElsewhere: true }) },
    { step: 'refuse', expected: elsewhere.address },
  ],
  [
    'C3 a mailbox by password may move to another host',
    { current, target: stored({ isSameAccount: false }) },
    { step: 'renew', startsAnew: true },
  ],
  [
    'C6 another mailbox takes the place',
    { current: elsewhere, target: null, replace: true },
    { step: 'supersede', startsAnew: true },
  ],
  [
    'C6 one that others are connected to',
    { current: elsewhere, target: stored({ activeElsewhere: true }), replace: true },
    { step: 'supersede', startsAnew: false },
  ],
  [
    'C6 the same mailbox again is a reconnect',
    { current, target: stored(), replace: true },
    { step: 'renew', startsAnew: false },
  ],
];

describe('who may connect what', () => {
  for (const [name, encounter, meeting] of cases) {
    test(name, () => {
      assert.deepEqual(meet({ current: null, target: null, replace: false, ...encounter }), meeting);
    });
  }
});
