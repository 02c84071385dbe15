import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FolderId } from '../../src/lib/id.ts';
import { createDoubts } from '../../src/mailbox/doubt.ts';

const minuteMs = 60_000;
const inbox = { id: 'fld_1' as FolderId, uidValidity: 7 };

/** In which minute it is believed that a folder was emptied, if it is looked at in these; `null`: a session begins. */
function believedAt(...minutes: (number | null)[]): number | null {
  let now = 0;
  const doubts = createDoubts({ monotonic: () => now });
  for (const minute of minutes) {
    if (minute === null) doubts.sessionBegins();
    else {
      now = minute * minuteMs;
      if (doubts.saidAgain(inbox).isBelieved) return minute;
    }
  }
  return null;
}

describe('U3: for how long a server says that a folder has lost most of what is stored', () => {
  for (const [name, minutes, expected] of [
    ['ten minutes, in one session', [0, 5, 9, 10], 10],
    ['sessions that look twice each add up', [0, 5, null, 6, 10, null, 11, 12], 12],
    ['what lies between two sessions does not', [0, 5, null, 60, 64], null],
    ['one that ends each hour is believed in the next', [0, 8, null, 61, 63], 63],
    ['sessions that end after one look are never', [0, null, 5, null, 10, null, 600, null, 1_200], null],
  ] as const)
    test(name, () => assert.equal(believedAt(...minutes), expected));

  test('what is not so any more, or of a folder that was numbered anew, begins from nothing', () => {
    let now = 0;
    const doubts = createDoubts({ monotonic: () => now });
    assert.deepEqual(doubts.saidAgain(inbox), { isFirst: true, isBelieved: false });
    now = 10 * minuteMs;
    doubts.over(inbox.id);
    assert.deepEqual(doubts.saidAgain(inbox), { isFirst: true, isBelieved: false });
    now = 20 * minuteMs;
    assert.deepEqual(doubts.saidAgain({ ...inbox, uidValidity: 8 }), { isFirst: true, isBelieved: false });
  });
});
