import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { factsOf } from '../../src/filing/facts.ts';
import type { FactBase, StoredThread } from '../../src/filing/facts.ts';
import { sightingOf } from '../../src/mailbox/seen.ts';

/** A live thread with Carla. */
function thread(threadId: StoredThread['threadId']): StoredThread {
  return {
    threadId,
    link: 'live',
    unlinkedReason: null,
    forwards: 0,
    crmSent: false,
    participants: new Set(['carla@customer.example']),
    contacts: new Set(),
  };
}

const base: FactBase = {
  connection: {
    id: 'con_1',
    subAccountId: 'north',
    userId: 'ann',
    mailboxId: 'mbx_1',
    mailboxAddress: 'ann@mail.example',
    startedAt: 0,
  },
  syncSentToContacts: true,
  shared: false,
  assignedContactsOnly: 'when_shared',
  twoWaySyncOff: false,
  byHand: false,
  answered: false,
  skipsTooLarge: true,
  fetchThreadHead: true,
  ownAddresses: new Set(['ann@mail.example']),
  userAddresses: new Set(['ann@mail.example']),
  contacts: new Map(),
  neverLog: new Set(),
  erased: new Map(),
  messages: new Map(),
  threadKeys: new Map(),
  threads: new Map([thread('thr_citing'), thread('thr_holding')].map((each) => [each.threadId, each])),
  unconfirmedSends: new Map(),
};

describe('the threads that a message may belong to', () => {
  const header = Buffer.from('From: carla@customer.example\r\nIn-Reply-To: <a@x.example>\r\n\r\n');
  const seen = { uid: 1, header, internalDate: 0, size: 1, marks: new Set<string>(), gmail: null };
  const answer = sightingOf('mbx_1', { folderId: 'fld_1', role: 'inbox', uidValidity: 1 }, seen, 0);
  const citing = { threadId: 'thr_citing', kind: 'referenced' } as const;
  const holding = { threadId: 'thr_holding', kind: 'message' } as const;

  for (const [name, known] of [
    ['cited before held', [citing, holding]],
    ['held before cited', [holding, citing]],
  ] as const) {
    test(`S3: the one that holds what it answers, before one that only cites that too: ${name}`, () => {
      const { threads } = factsOf(
        answer,
        { ...base, threadKeys: new Map([['a@x.example', [...known]]]) },
        null,
      );
      assert.deepEqual(
        threads.map(({ threadId, by }) => [threadId, by]),
        [
          ['thr_holding', 'message'],
          ['thr_citing', 'referenced'],
        ],
      );
    });
  }
});
