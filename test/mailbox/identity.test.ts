import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { meet } from '../../src/mailbox/identity.ts';
import type { Encounter, Meeting } from '../../src/mailbox/identity.ts';
import type { LockedMailbox, ProvenMailbox } from '../../src/store/proven-mailboxes.ts';

const server = (host: string) => ({ host, port: 993, security: 'tls' as const });

/** What a consent at Google proved for Ann. */
const ann: ProvenMailbox = {
  provider: 'gmail',
  address: 'ann@company.example',
  login: 'ann@company.example',
  identityKey: 'sub 1',
  servers: null,
  credentialKind: 'oauth',
  scopes: [],
};
const byPassword = (host: string, login = 'ann'): ProvenMailbox => ({
  ...ann,
  provider: 'imap',
  login,
  identityKey: null,
  servers: { imap: server(host), smtp: server(host) },
  credentialKind: 'password',
});
const stored = (
  of: ProvenMailbox,
  more: { id?: LockedMailbox['id']; activeElsewhere?: boolean } = {},
): LockedMailbox => ({
  id: more.id ?? 'mbx_1',
  provider: of.provider,
  identityKey: of.identityKey,
  login: of.login,
  servers: of.servers,
  state: 'live',
  activeElsewhere: more.activeElsewhere ?? false,
});
const current = { mailboxId: 'mbx_1', address: 'ann@company.example' } as const;
const elsewhere = { mailboxId: 'mbx_2', address: 'old@company.example' } as const;
const stranger = { ...ann, identityKey: 'sub 2' };

const cases: [name: string, encounter: Partial<Encounter>, meeting: Meeting][] = [
  ['C1 the first connection of a new mailbox', {}, { step: 'join', startsAnew: true }],
  [
    'C7 a mailbox that nobody is connected to starts from now',
    { target: stored(ann) },
    { step: 'join', startsAnew: true },
  ],
  [
    'C7 also by another account: nobody is concerned',
    { target: stored(stranger) },
    { step: 'join', startsAnew: true },
  ],
  [
    'C4 another sub-account joins',
    { target: stored(ann, { activeElsewhere: true }) },
    { step: 'join', startsAnew: false },
  ],
  [
    'C4 an equal address of another account joins nobody',
    { target: stored(stranger, { activeElsewhere: true }) },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 the same key at another provider is another account',
    { target: { ...stored(ann, { activeElsewhere: true }), provider: 'outlook' } },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 a password joins nobody who consented',
    { proven: byPassword('mail.evil.example'), target: stored(ann, { activeElsewhere: true }) },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 a password at a server of one’s own joins nobody',
    {
      proven: byPassword('mail.evil.example'),
      target: stored(byPassword('mail.company.example'), { activeElsewhere: true }),
    },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 a consent joins nobody who gave a password',
    { target: stored(byPassword('mail.company.example'), { activeElsewhere: true }) },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 a password of another user at the same server joins nobody',
    {
      proven: byPassword('mail.company.example', 'eve'),
      target: stored(byPassword('mail.company.example'), { activeElsewhere: true }),
    },
    { step: 'refuse', expected: null },
  ],
  [
    'C4 the same user at the same server joins',
    {
      proven: byPassword('Mail.Company.example', 'ANN'),
      target: stored(byPassword('mail.company.example'), { activeElsewhere: true }),
    },
    { step: 'join', startsAnew: false },
  ],
  [
    'C2 a reconnect by the same identity goes on',
    { current, target: stored(ann) },
    { step: 'renew', startsAnew: false },
  ],
  [
    'C2 a reconnect by the same address of another identity is refused',
    { current, target: stored(stranger) },
    { step: 'refuse', expected: current.address },
  ],
  [
    'C2 a reconnect with another address is refused',
    { current: elsewhere, target: null },
    { step: 'refuse', expected: elsewhere.address },
  ],
  [
    'C2 the expected address is named also where others hold the given one',
    { current: elsewhere, target: stored(stranger, { activeElsewhere: true }) },
    { step: 'refuse', expected: elsewhere.address },
  ],
  [
    'C3 a mailbox by password may move to another host',
    { proven: byPassword('new.company.example'), current, target: stored(byPassword('old.company.example')) },
    { step: 'renew', startsAnew: true },
  ],
  [
    'C3 not when others are connected to it',
    {
      proven: byPassword('new.company.example'),
      current,
      target: stored(byPassword('old.company.example'), { activeElsewhere: true }),
    },
    { step: 'refuse', expected: null },
  ],
  [
    'C6 another mailbox takes the place',
    { current: elsewhere, target: null, replace: true },
    { step: 'supersede', startsAnew: true },
  ],
  [
    'C6 one that others are connected to, by the same identity',
    { current: elsewhere, target: stored(ann, { activeElsewhere: true }), replace: true },
    { step: 'supersede', startsAnew: false },
  ],
  [
    'C6 never one that others hold by another identity',
    { current: elsewhere, target: stored(stranger, { activeElsewhere: true }), replace: true },
    { step: 'refuse', expected: null },
  ],
  [
    'C6 the same mailbox again is a reconnect',
    { current, target: stored(ann), replace: true },
    { step: 'renew', startsAnew: false },
  ],
  [
    'C6 the same address at another account',
    { current, target: stored(stranger), replace: true },
    { step: 'supersede', startsAnew: true },
  ],
];

describe('who may connect what', () => {
  for (const [name, encounter, meeting] of cases) {
    test(name, () => {
      assert.deepEqual(
        meet({ proven: ann, current: null, target: null, replace: false, ...encounter }),
        meeting,
      );
    });
  }
});
