import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mayFollow, sendTransitions } from '../../src/outbound/states.ts';
import type { SendState } from '../../src/store/public-send.ts';

/** D6, every pair: a row for each state, a letter for each that may follow. */
const expected: Record<SendState, string> = {
  //          queued held sending uncertain sent bounced failed cancelled
  queued: /*    */ '-    yes  yes     -         yes  -       yes    yes',
  held: /*      */ 'yes  -    yes     -         yes  -       yes    yes',
  sending: /*   */ 'yes  yes  -       yes       yes  -       yes    -',
  uncertain: /* */ 'yes  -    -       -         yes  -       -      -',
  sent: /*      */ '-    -    -       -         -    yes     -      -',
  bounced: /*   */ '-    -    -       -         -    -       -      -',
  failed: /*    */ '-    -    -       -         -    -       -      -',
  cancelled: /* */ '-    -    -       -         -    -       -      -',
};

describe('D6: which state of a send may follow which', () => {
  const states = Object.keys(expected) as SendState[];
  for (const from of states) {
    const cells = expected[from].split(/ +/);
    for (const [position, to] of states.entries()) {
      test(`${from} to ${to}: ${cells[position]}`, () => {
        assert.equal(mayFollow(from, to), cells[position] === 'yes');
      });
    }
  }

  test('the table names every state', () => {
    assert.deepEqual(Object.keys(sendTransitions), states);
  });
});
