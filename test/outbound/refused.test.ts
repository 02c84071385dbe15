import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  changeOfTaken,
  endDeferred,
  pauseAfter,
  reasonOf,
  recipientsToTry,
  refusedAfter,
  refusedAfterFailure,
  refusedAtHandover,
  withRefused,
} from '../../src/outbound/refused.ts';
import type { FailedAgain } from '../../src/outbound/refused.ts';
import type { SmtpVerdict } from '../../src/outbound/smtp-errors.ts';
import type { SendRefused, SendState } from '../../src/store/public-send.ts';
import type { SendChange } from '../../src/store/sends.ts';

/** `b deferred 450 busy` */
const known = (...lines: string[]): SendRefused[] =>
  lines.map((line) => {
    const [address = '', state, ...words] = line.split(' ');
    return { address, state: state as SendRefused['state'], reply: words.join(' ') };
  });
const lines = (refused: readonly SendRefused[]) =>
  refused.map(({ address, state, reply }) => `${address} ${state} ${reply}`);
const said = (answers: Record<string, string>) =>
  Object.entries(answers).map(([address, reply]) => ({ address, reply }));

const busy = '450 4.2.1 busy';
const gone = '550 5.1.1 gone';

describe('D5: what a refusal of one recipient among several means', () => {
  const table: [name: string, reply: string, state: string][] = [
    ['put off', '450 4.2.0 greylisted', 'deferred'],
    ['too many at once (RFC 5321 §4.5.3.1.10)', '452 4.5.3 too many recipients', 'deferred'],
    ['unknown', gone, 'refused'],
    ['no enhanced code', '550 no such user', 'refused'],
    ['looks permanent, and is not', '550 5.4.5 Daily user sending limit exceeded', 'deferred'],
    ['looks temporary, and is not', '450 5.1.1 no such user', 'refused'],
    ['no reply at all', '', 'deferred'],
  ];
  for (const [name, reply, state] of table) {
    test(`${name}: ${state}`, () => {
      const after = refusedAfter({ state: 'sending', refused: [] }, ['a', 'b'], said({ b: reply }));
      assert.deepEqual(after, [{ address: 'b', state, reply }]);
    });
  }
});

describe('D5: what is known of recipients before the end of the message goes out, and after it', () => {
  const first = { state: 'sending' as const, refused: [] };
  const again = {
    state: 'sent',
    refused: known(`b deferred ${busy}`, `c deferred ${busy}`, `d refused ${gone}`),
  } as const;

  test('nobody refused: nothing is to be kept', () => {
    assert.deepEqual(refusedAtHandover(first, ['a', 'b'], []), []);
    assert.deepEqual(refusedAfter(first, ['a', 'b'], []), []);
  });

  test('the first time: those who were refused, and nothing of the others', () => {
    const expected = [`b deferred ${busy}`, `c refused ${gone}`];
    const answers = said({ b: busy, c: gone });
    assert.deepEqual(lines(refusedAtHandover(first, ['a', 'b', 'c'], answers)), expected);
    assert.deepEqual(lines(refusedAfter(first, ['a', 'b', 'c'], answers)), expected);
  });

  test('again: only those go who were put off; until the answer nobody can tell of those who were not refused', () => {
    assert.deepEqual(recipientsToTry({ ...again, envelope: { from: 'x', to: ['a', 'b', 'c', 'd'] } }), [
      'b',
      'c',
    ]);
    const atHandover = refusedAtHandover(again, ['b', 'c'], said({ c: '450 4.2.1 still busy' }));
    assert.deepEqual(lines(atHandover), [
      `d refused ${gone}`,
      'c deferred 450 4.2.1 still busy',
      `b uncertain ${busy}`,
    ]);
    const after = refusedAfter(
      { state: 'sent', refused: atHandover },
      ['b', 'c'],
      said({ c: '450 4.2.1 still busy' }),
    );
    assert.deepEqual(lines(after), [`d refused ${gone}`, 'c deferred 450 4.2.1 still busy']);
  });

  const failures: [name: string, failed: Partial<FailedAgain>, b: string, c: string][] = [
    [
      'put off again, both',
      { refused: said({ b: '450 1', c: '451 2' }) },
      'deferred 450 1',
      'deferred 451 2',
    ],
    ['one refused for good', { refused: said({ b: gone, c: '451 2' }) }, `refused ${gone}`, 'deferred 451 2'],
    ['the message put off', { reply: '451 later' }, 'deferred 451 later', 'deferred 451 later'],
    ['no connection', { reply: null }, `deferred ${busy}`, `deferred ${busy}`],
    ['the login refused', { outcome: 'denied', reply: '535 no' }, 'deferred 535 no', 'deferred 535 no'],
    ['the message refused', { outcome: 'permanent', reply: '554 no' }, 'refused 554 no', 'refused 554 no'],
    [
      'given up, one of them refused for good',
      { outcome: 'permanent', gaveUp: true, refused: said({ b: gone, c: '451 2' }) },
      `refused ${gone}`,
      'given_up 451 2',
    ],
    [
      'given up while a person had to act',
      { outcome: 'denied', gaveUp: true },
      `given_up ${busy}`,
      `given_up ${busy}`,
    ],
    [
      'no answer to the end of the message, to which one of them was no recipient',
      { outcome: 'uncertain', refused: said({ c: '451 2' }) },
      `uncertain ${busy}`,
      'deferred 451 2',
    ],
  ];
  for (const [name, failed, b, c] of failures) {
    test(`again, and taken for nobody: ${name}`, () => {
      const how = { outcome: 'temporary', gaveUp: false, reply: null, refused: [], ...failed } as const;
      assert.deepEqual(lines(refusedAfterFailure(again, ['b', 'c'], how)), [
        `b ${b}`,
        `c ${c}`,
        `d refused ${gone}`,
      ]);
    });
  }
});

describe('D5, D6: how a send goes on that was taken', () => {
  test('it is under way for as long as somebody is deferred', () => {
    const refused = known(`b deferred ${busy}`, `c refused ${gone}`);
    const reason = `recipients_deferred: b: ${busy}\nc: ${gone}`;
    assert.deepEqual(changeOfTaken({ state: 'sending', reason: null }, refused, 30), {
      state: 'sent',
      reason,
      next: 30,
      refused,
    });
  });

  const over: [refused: SendRefused[], reason: string | null][] = [
    [[], null],
    [known(`c refused ${gone}`), `recipients_refused: c: ${gone}`],
    [known(`c given_up ${busy}`), `recipients_refused: c: ${busy}`],
    [known(`c uncertain ${busy}`), `recipients_uncertain: c: ${busy}`],
  ];
  for (const [refused, reason] of over) {
    test(`it is over: ${reason ?? 'everybody has it'}`, () => {
      const change = changeOfTaken({ state: 'sent', reason: 'recipients_deferred: x' }, refused, 30);
      assert.deepEqual(change, { state: 'sent', reason, next: 'over', refused });
    });
  }

  test('one that has bounced meanwhile stays so, with its reason', () => {
    const change = changeOfTaken({ state: 'bounced', reason: 'a: unknown' }, known(`b deferred ${busy}`), 30);
    assert.deepEqual([change.state, change.reason, change.next], ['bounced', 'a: unknown', 30]);
  });

  test('whoever is not deferred is neither given up nor cancelled', () => {
    const all = known(`b deferred ${busy}`, `c refused ${gone}`, `d uncertain ${busy}`);
    assert.deepEqual(lines(endDeferred(all, 'cancelled')), [
      `b cancelled ${busy}`,
      `c refused ${gone}`,
      `d uncertain ${busy}`,
    ]);
  });

  const untaken: [name: string, state: SendState, change: SendChange, refused: string[] | undefined][] = [
    ['put off as a whole: everybody is tried', 'sending', { state: 'queued', reason: null, next: 5 }, []],
    ['refused as a whole', 'sending', { state: 'failed', reason: null, next: 'over' }, []],
    ['Sent will tell', 'sending', { state: 'uncertain', reason: null, next: 5 }, undefined],
    ['not in Sent: everybody is tried', 'uncertain', { state: 'queued', reason: null, next: 0 }, []],
    [
      'nobody can tell',
      'uncertain',
      { state: 'uncertain', reason: null, next: 'over' },
      [`b given_up ${busy}`],
    ],
    ['it was taken', 'sent', { state: 'sent', reason: null, next: 5 }, undefined],
  ];
  for (const [name, state, change, refused] of untaken) {
    test(`a message of which one was put off: ${name}`, () => {
      const after = withRefused({ state, refused: known(`b deferred ${busy}`) }, change);
      assert.deepEqual(after.refused && lines(after.refused), refused);
    });
  }

  test('the pause is that of the one who is to wait longest; who does not wait has none', () => {
    const ms = { none: 0, seconds: 1, normal: 2, slow: 3, day: 4 };
    const pause = (...replies: string[]) =>
      pauseAfter(
        replies.map((reply) => ({ address: reply, state: 'deferred', reply })),
        (each: Extract<SmtpVerdict, { pause: unknown }>['pause']) => ms[each],
      );
    assert.equal(pause('451 4.3.0 later'), 2);
    assert.equal(pause('451 4.3.0 later', busy), 3);
    assert.equal(pause('550 5.4.5 limit', busy), 4);
    assert.equal(
      pauseAfter(known(`c refused ${gone}`), () => 9),
      0,
    );
  });

  test('no reason where nobody was refused', () => assert.equal(reasonOf([]), null));
});
