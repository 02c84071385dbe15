import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SavedFolder } from '../../src/store/folders.ts';
import type { Wanted, WantedPlace } from '../../src/store/wanted.ts';
import { deedsFor, outcomeOf } from '../../src/mailbox/wanted-plan.ts';

const place = (role: SavedFolder['role'], more: Partial<WantedPlace> = {}): WantedPlace => ({
  folderId: `fld_${role}`,
  path: role,
  role,
  uidValidity: 1,
  uid: 7,
  isRead: false,
  state: role === 'archive' ? 'archived' : 'present',
  ...more,
});
const wanted = (more: Partial<Wanted>): Wanted => ({
  id: 'wch_1',
  version: 1,
  attempts: 1,
  ageMs: 0,
  messageId: 'msg_1',
  internetMessageId: 'q1@customer.example',
  direction: 'inbound',
  read: null,
  state: null,
  gmailId: null,
  places: [place('inbox')],
  isMoving: false,
  ...more,
});
const folders = new Map<SavedFolder['role'], string>([
  ['inbox', 'INBOX'],
  ['archive', 'Archive'],
  ['trash', 'Trash'],
]);
const gmail = new Map<SavedFolder['role'], string>([
  ['inbox', 'INBOX'],
  ['all', 'All Mail'],
  ['trash', 'Trash'],
]);

/** `folder act → what is true of the place then`, for each deed. */
const cases: { name: string; wanted: Partial<Wanted>; targets?: typeof folders; deeds: string[] }[] = [
  { name: 'U2: read', wanted: { read: true }, deeds: ['inbox 7 mark_read → read present'] },
  {
    name: 'U2: unread, in each place where it is read',
    wanted: {
      read: false,
      places: [place('inbox', { isRead: true }), place('other'), place('sent', { isRead: true })],
    },
    deeds: ['inbox 7 mark_unread → unread present', 'sent 7 mark_unread → unread present'],
  },
  {
    name: 'U2: it is read already',
    wanted: { read: true, places: [place('inbox', { isRead: true })] },
    deeds: [],
  },
  {
    name: 'U3: archive, and nothing that is archived already',
    wanted: { state: 'archived', places: [place('inbox'), place('archive')] },
    deeds: ['inbox 7 to Archive → unread archived, left'],
  },
  {
    name: 'U3: trash, from wherever it is',
    wanted: { state: 'trashed', places: [place('inbox'), place('archive')] },
    deeds: ['inbox 7 to Trash → unread trashed, left', 'archive 7 to Trash → unread trashed, left'],
  },
  {
    name: 'U2, U3: the flag goes before the move',
    wanted: { read: true, state: 'archived' },
    deeds: ['inbox 7 mark_read → read present', 'inbox 7 to Archive → read archived, left'],
  },
  {
    name: 'U3: Gmail archives by leaving the inbox; All Mail keeps it',
    wanted: { state: 'archived', gmailId: '184', places: [place('all')] },
    targets: gmail,
    deeds: ['INBOX gm:184 to All Mail → unread archived'],
  },
  {
    name: 'U3: what was sent is in Gmail’s Sent as long as it exists',
    wanted: { state: 'archived', gmailId: '184', direction: 'outbound', places: [place('all')] },
    targets: gmail,
    deeds: ['INBOX gm:184 to All Mail → unread present'],
  },
  {
    name: 'U3: Gmail moves to Trash out of All Mail',
    wanted: { state: 'trashed', gmailId: '184', places: [place('all')] },
    targets: gmail,
    deeds: ['all 7 to Trash → unread trashed, left'],
  },
  {
    name: 'U3: Gmail with All Mail hidden has no folder to archive into',
    wanted: { state: 'archived', gmailId: '184' },
    targets: new Map([['inbox', 'INBOX']]),
    deeds: [],
  },
];

describe('what is done for a wish', () => {
  for (const { name, wanted: of, targets = folders, deeds } of cases) {
    test(name, () => {
      const lines = deedsFor(wanted(of), targets).map(({ path, target, act, done }) => {
        const which = 'uid' in target ? target.uid : `gm:${target.gmailId}`;
        const what = typeof act === 'string' ? act : `to ${act.moveTo}`;
        return `${path} ${which} ${what} → ${done.is_read ? 'read' : 'unread'} ${done.state}${done.left ? ', left' : ''}`;
      });
      assert.deepEqual(lines, deeds);
    });
  }
});

describe('what becomes of a wish', () => {
  const day = 24 * 3_600_000;
  for (const [name, of, tried, outcome] of [
    ['it is done', {}, {}, 'ended'],
    ['it is not where it was', {}, { missing: 1 }, 'later'],
    ['it is on its way somewhere', { isMoving: true }, {}, 'later'],
    ['the provider is away', { attempts: 50, ageMs: day - 1 }, { failed: 'passing' }, 'later'],
    ['the provider is away for a day', { ageMs: day }, { failed: 'passing' }, 'given_up'],
    ['the provider refuses', { attempts: 4 }, { failed: 'refused' }, 'later'],
    ['the provider refuses again and again', { attempts: 5 }, { failed: 'refused' }, 'given_up'],
  ] as const) {
    test(`${name}: ${outcome}`, () => {
      assert.equal(outcomeOf(wanted(of), { missing: 0, failed: null, ...tried }), outcome);
    });
  }
});
