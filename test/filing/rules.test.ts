import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decide } from '../../src/filing/decide.ts';
import { replay } from '../../src/filing/replay.ts';
import type { Replayed } from '../../src/filing/replay.ts';
import type { DecisionWithFacts } from '../../src/store/decisions.ts';
import type { ContactFact, Facts, ReportFact, ThreadFact } from '../../src/filing/facts.ts';

/** A letter of a stranger, received in the inbox of a mailbox that one sub-account has connected. */
const plain: Facts = {
  role: 'inbox',
  draft: false,
  discarded: false,
  direction: 'inbound',
  kind: 'person',
  forward: false,
  forwards: 0,
  beforeConnection: false,
  author: { own: false, user: false, contacts: [] },
  outsideRecipients: 0,
  recipientContacts: [],
  neverLog: false,
  known: null,
  erased: null,
  threads: [],
  reportsOn: null,
  syncSentToContacts: true,
  shared: false,
  assignedContactsOnly: 'when_shared',
  twoWaySyncOff: false,
  byHand: false,
  answered: false,
  tooLarge: false,
};

const contact = (of: Partial<ContactFact> = {}): ContactFact => ({
  id: 'carla',
  assigned: 'nobody',
  assignedAnywhere: false,
  claimed: null,
  ...of,
});
const mine = contact({ assigned: 'user', assignedAnywhere: true });
const others = contact({ assigned: 'other', assignedAnywhere: true });
const assignedElsewhere = contact({ assignedAnywhere: true });
const from = (...contacts: ContactFact[]): Partial<Facts> => ({
  author: { own: false, user: false, contacts },
});
const to = (...recipientContacts: ContactFact[]): Partial<Facts> => ({
  direction: 'outbound',
  role: 'sent',
  outsideRecipients: 1,
  recipientContacts,
});
const thread = (of: Partial<ThreadFact> = {}): Partial<Facts> => ({
  threads: [
    {
      threadId: 'thr_1',
      by: 'message',
      link: 'live',
      unlinkedReason: null,
      shares: 'outside',
      forwards: 0,
      crmSent: false,
      ...of,
    },
  ],
});
const forward = (forwards: number): Partial<Facts> => ({ forward: true, forwards });
const report = (kind: Facts['kind'], on: Partial<ReportFact> = {}): Partial<Facts> => ({
  kind,
  reportsOn: { messageId: 'msg_1', sendId: 'snd_1', failed: false, doubt: null, ...on },
});
const shared = { shared: true };
const always = { assignedContactsOnly: 'always' } as const;
const never = { assignedContactsOnly: 'never' } as const;
const off = { twoWaySyncOff: true };

const tables: Record<string, [what: string, facts: Partial<Facts>[], expected: string][]> = {
  'S3: which key, and whom in common, a stranger’s mail needs': [
    ['it answers a stored one, users in common', [thread({ shares: 'own' })], 'S3 thread_member'],
    ['it answers a stored one, nobody in common', [thread({ shares: 'nobody' })], 'S5 no_match'],
    ['a stored one cites it', [thread({ by: 'cited', shares: 'own' })], 'S3 thread_member'],
    ['Gmail counts it there', [thread({ by: 'gmail', shares: 'own' })], 'S3 thread_member'],
    ['both cite an older one, users in common', [thread({ by: 'referenced', shares: 'own' })], 'S5 no_match'],
    ['both cite an older one', [thread({ by: 'referenced' })], 'S3 thread_member'],
    ['Thread-Index, users in common', [thread({ by: 'thread_index', shares: 'own' })], 'S5 no_match'],
    ['Thread-Index', [thread({ by: 'thread_index' })], 'S3 thread_member'],
    ['the thread is another mailbox’s', [thread({ link: null })], 'S5 no_match'],
  ],
  'S3: a forward, what was forwarded, and what answers it': [
    ['a forward of a stored one', [thread(), forward(1)], 'S5 no_match'],
    ['its answer', [thread(), { forwards: 1 }], 'S5 no_match'],
    [
      'its answer, in its thread',
      [thread({ forwards: 1, shares: 'own' }), { forwards: 1 }],
      'S3 thread_member',
    ],
    ['its answer, with an edited subject', [thread({ forwards: 1, shares: 'own' })], 'S3 thread_member'],
    ['what was forwarded', [thread({ forwards: 1, by: 'cited' })], 'S5 no_match'],
    ['Gmail counts what was forwarded to its thread', [thread({ forwards: 1, by: 'gmail' })], 'S5 no_match'],
    [
      'so it does where the marks are not counted up',
      [thread({ forwards: 1, by: 'gmail', shares: 'own' }), { forwards: 1 }],
      'S5 no_match',
    ],
    ['the forward, after its answer', [thread({ forwards: 1, by: 'cited' }), forward(1)], 'S3 thread_member'],
    ['a forward of it, again', [thread({ forwards: 1 }), forward(2)], 'S5 no_match'],
    [
      'a forward that a stored forward cites, users in common',
      [thread({ forwards: 1, by: 'cited', shares: 'own' }), forward(1)],
      'S5 no_match',
    ],
  ],
  'D6, S11: reports on what the CRM sent': [
    ['a bounce', [report('delivery_report', { failed: true })], 'D6 delivery_report'],
    ['a delay', [report('delivery_report')], 'D6 delivery_report'],
    ['a receipt', [report('read_receipt')], 'D6 read_receipt'],
    [
      'a bounce in an unlinked thread',
      [report('delivery_report'), thread({ link: 'unlinked' })],
      'D6 delivery_report',
    ],
    [
      'of a colleague, never logged, from before',
      [report('read_receipt'), { neverLog: true, beforeConnection: true }],
      'D6 read_receipt',
    ],
    ['in Junk', [report('delivery_report'), { discarded: true, role: 'spam' }], 'S14 spam_or_trash'],
    [
      'sent by the user',
      [report('delivery_report'), { direction: 'outbound', outsideRecipients: 1 }],
      'S11 automatic',
    ],
    ['that is not believed', [report('delivery_report', { doubt: 'dmarc' }), thread()], 'D6 automatic'],
    ['on none of ours', [{ kind: 'delivery_report' }], 'S11 automatic'],
    ['on none of ours, in a live thread', [{ kind: 'read_receipt' }, thread()], 'S3 automatic'],
  ],
  'S8: the filter by assigned user': [
    ['one sub-account, assigned to somebody else', [from(others)], 'S2 from_contact'],
    ['several, assigned to the user', [shared, from(mine)], 'S2 from_contact'],
    ['several, assigned to somebody else', [shared, from(others)], 'S8 not_assigned'],
    ['several, assigned in another one', [shared, from(assignedElsewhere)], 'S8 not_assigned'],
    ['several, assigned to nobody in any', [shared, from(contact())], 'S2 from_contact'],
    [
      'several, two contacts of that address, one of them the user’s',
      [shared, from(others, mine)],
      'S2 from_contact',
    ],
    ['several, written to somebody else’s', [shared, to(others)], 'S8 not_assigned'],
    ['several, written to the user’s', [shared, to(mine)], 'S6 to_contact'],
    ['several, written to both', [shared, to(others, mine)], 'S6 to_contact'],
    [
      'several, written to one, but that is turned off',
      [shared, to(others), { syncSentToContacts: false }],
      'S5 no_match',
    ],
    ['always, one sub-account, somebody else’s', [always, from(others)], 'S8 not_assigned'],
    ['always, nobody’s', [always, from(contact())], 'S2 from_contact'],
    ['never, several, somebody else’s', [never, shared, from(others)], 'S2 from_contact'],
    ['in a live thread it does not matter', [shared, from(others), thread()], 'S3 thread_member'],
    ['an automatic mail is that first', [shared, from(others), { kind: 'list' }], 'S11 automatic'],
  ],
  'S9: a claimed contact': [
    ['claimed elsewhere', [shared, from(contact({ claimed: 'elsewhere' }))], 'S9 claimed_elsewhere'],
    [
      'claimed elsewhere, though it is the user’s, and whatever the filter is',
      [shared, never, from({ ...mine, claimed: 'elsewhere' })],
      'S9 claimed_elsewhere',
    ],
    ['claimed here, whoever has it', [shared, from({ ...others, claimed: 'here' })], 'S2 from_contact'],
    [
      'written to one claimed elsewhere',
      [shared, to(contact({ claimed: 'elsewhere' }))],
      'S9 claimed_elsewhere',
    ],
    [
      'written to one claimed elsewhere and to one of ours',
      [shared, to(contact({ claimed: 'elsewhere' }), mine)],
      'S6 to_contact',
    ],
    [
      'in a thread that lives here all the same',
      [shared, from(contact({ claimed: 'elsewhere' })), thread({ crmSent: true })],
      'S3 thread_member',
    ],
    [
      'in a thread that was unlinked for it',
      [
        shared,
        from(contact({ claimed: 'elsewhere' })),
        thread({ link: 'unlinked', unlinkedReason: 'claimed_elsewhere' }),
      ],
      'S4 thread_unlinked',
    ],
  ],
  'S10: outlook_two_way_sync is off': [
    ['a contact writes', [off, from(contact())], 'S10 feature_off'],
    ['the user writes to a contact', [off, to(contact())], 'S10 feature_off'],
    ['a contact in a thread that the CRM never sent in', [off, from(contact()), thread()], 'S10 feature_off'],
    ['a thread that the CRM sent in', [off, thread({ crmSent: true })], 'S3 thread_member'],
    [
      'a thread that was unlinked',
      [off, from(contact()), thread({ link: 'unlinked' })],
      'S4 thread_unlinked',
    ],
    ['a stranger stays private for the usual reason', [off], 'S5 no_match'],
    ['so does a newsletter of a contact', [off, from(contact()), { kind: 'list' }], 'S11 automatic'],
    [
      'a user on the other side',
      [off, { author: { own: false, user: true, contacts: [contact()] } }],
      'S7 counterpart_is_user',
    ],
  ],
};

const erased = { erased: 'msg_1' } as const;
const known = (here: boolean): Partial<Facts> => ({
  known: { messageId: 'msg_2', threadId: 'thr_1', here, sendId: null, by: 'id', omitted: false },
});
tables['C7: a message that was erased'] = [
  ['a contact’s', [erased, from(contact())], 'C7 erased'],
  ['written to a contact', [erased, to(contact())], 'C7 erased'],
  ['in a live thread', [erased, from(contact()), thread()], 'C7 erased'],
  ['in an unlinked one', [erased, thread({ link: 'unlinked' })], 'C7 erased'],
  ['another like it that another mailbox brought', [erased, known(false), from(contact())], 'C7 erased'],
  ['another like it that is stored here', [erased, known(true)], 'S12 duplicate'],
  ['older than the connection, as a backfill finds it', [erased, { beforeConnection: true }], 'C7 erased'],
  ['of somebody who is never logged', [erased, { neverLog: true }], 'C7 erased'],
  ['in Trash', [erased, { discarded: true, role: 'trash' }], 'S14 spam_or_trash'],
];

describe('T4: replay of a decision by today’s rules', () => {
  const facts = { ...plain, ...from(contact()) };
  const decision = {
    id: 'dec_1',
    sub_account_id: 'north',
    outcome: 'stored',
    reason: 'from_contact',
    message_id: 'msg_1',
    decided_at: '2026-11-20T09:00:00Z',
    facts,
  } as const;
  const { shared: _, ...older } = facts;
  const cases: [what: string, decision: DecisionWithFacts, expected: Replayed][] = [
    ['the same rules', decision, { what: 'same' }],
    [
      'a rule that answers otherwise today',
      { ...decision, facts: { ...facts, neverLog: true } },
      {
        what: 'different',
        was: 'stored from_contact',
        now: 'skipped never_log',
        because: 'somebody on it is on a never-log list',
      },
    ],
    [
      'a mail that could not be read',
      { ...decision, outcome: 'failed' },
      { what: 'left_out', why: 'failed' },
    ],
    ['facts that are gone', { ...decision, facts: null }, { what: 'left_out', why: 'no_facts' }],
    ['facts of an older version', { ...decision, facts: older }, { what: 'left_out', why: 'other_facts' }],
  ];
  for (const [what, given, expected] of cases) {
    test(what, () => assert.deepEqual(replay(given), expected));
  }
});

const tooLarge = { tooLarge: true };
const left = (here: boolean): Partial<Facts> => ({
  known: { messageId: 'msg_2', threadId: 'thr_1', here, sendId: null, by: 'id', omitted: true },
});
tables['L1: attachments past the limit'] = [
  ['of a contact', [tooLarge, from(contact())], 'L1 attachment_too_large'],
  ['written to a contact', [tooLarge, to(contact())], 'L1 attachment_too_large'],
  ['in a live thread', [tooLarge, thread()], 'L1 attachment_too_large'],
  ['in an unlinked one', [tooLarge, thread({ link: 'unlinked' })], 'S4 thread_unlinked'],
  ['of a stranger', [tooLarge], 'S5 no_match'],
  ['asked for by hand', [tooLarge, { byHand: true }, from(contact())], 'by_hand by_hand'],
  ['stored whole from another mailbox', [tooLarge, known(false), from(contact())], 'S2 from_contact'],
  ['shown already', [tooLarge, left(true), from(contact())], 'S12 attachment_too_large'],
  ['shown already, by hand', [tooLarge, left(true), { byHand: true }, from(contact())], 'by_hand by_hand'],
  ['shown by another mailbox', [tooLarge, left(false), from(contact())], 'L1 attachment_too_large'],
  ['and another mailbox takes it', [left(false), from(contact())], 'S2 from_contact'],
];

for (const [name, cases] of Object.entries(tables)) {
  describe(name, () => {
    for (const [what, facts, expected] of cases) {
      test(`${what}: ${expected}`, () => {
        const verdict = decide(facts.reduce<Facts>((all, part) => ({ ...all, ...part }), plain));
        assert.equal(`${verdict.rule} ${verdict.reason}`, expected);
      });
    }
  });
}
