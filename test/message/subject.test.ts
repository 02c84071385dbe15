import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  baseSubject,
  forwardCount,
  isForwardSubject,
  isReplySubject,
  replySubject,
} from '../../src/message/subject.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const cases: [subject: string, base: string, forward: boolean, reply: string][] = [
  ['Offer', 'Offer', false, 'Re: Offer'],
  ['Re: Offer', 'Offer', false, 'Re: Offer'],
  ['RE: Offer', 'Offer', false, 'RE: Offer'],
  ['Re : Offer', 'Offer', false, 'Re : Offer'],
  ['AW: Offer', 'Offer', false, 'Re: Offer'],
  ['Antw: Offer', 'Offer', false, 'Re: Offer'],
  ['SV: VS: Offer', 'Offer', false, 'Re: Offer'],
  ['Rif: Offer', 'Offer', false, 'Re: Offer'],
  ['R: Offer', 'Offer', false, 'Re: Offer'],
  ['RES: Offer', 'Offer', false, 'Re: Offer'],
  ['Odp: Offer', 'Offer', false, 'Re: Offer'],
  ['RE[2]: Offer', 'Offer', false, 'Re: Offer'],
  ['Re(3): Offer', 'Offer', false, 'Re: Offer'],
  ['Re^2: Offer', 'Offer', false, 'Re: Offer'],
  ['Re:Re:Re: Offer', 'Offer', false, 'Re:Re:Re: Offer'],
  ['回复：Offer', 'Offer', false, 'Re: Offer'],
  ['Отв: Offer', 'Offer', false, 'Re: Offer'],
  ['Fwd: Offer', 'Offer', true, 'Re: Offer'],
  ['FW: Offer', 'Offer', true, 'Re: Offer'],
  ['WG: AW: Offer', 'Offer', true, 'Re: Offer'],
  ['TR : Offer', 'Offer', true, 'Re: Offer'],
  ['RV: Offer', 'Offer', true, 'Re: Offer'],
  ['I: Offer', 'Offer', true, 'Re: Offer'],
  ['ENC: Offer', 'Offer', true, 'Re: Offer'],
  ['VL: Offer', 'Offer', true, 'Re: Offer'],
  ['Doorst: Offer', 'Offer', true, 'Re: Offer'],
  ['Offer (fwd)', 'Offer', true, 'Re: Offer (fwd)'],
  ['[Fwd: Offer]', 'Offer', true, 'Re: [Fwd: Offer]'],
  ['[Fwd: Re: Offer (fwd)]', 'Offer', true, 'Re: [Fwd: Re: Offer (fwd)]'],
  ['Re: Fwd: Offer', 'Offer', false, 'Re: Fwd: Offer'],
  ['Fwd: Re: Offer', 'Offer', true, 'Re: Offer'],
  ['[sales] Re: Offer', 'Offer', false, 'Re: [sales] Re: Offer'],
  ['Re: [Ticket 5] Offer', 'Offer', false, 'Re: [Ticket 5] Offer'],
  ['AW: [Ticket 5] Offer', 'Offer', false, 'Re: [Ticket 5] Offer'],
  ['[sales] Fwd: Offer', 'Offer', true, 'Re: [sales] Fwd: Offer'],
  ['[sales]', '[sales]', false, 'Re: [sales]'],
  ['Re: [sales]', '[sales]', false, 'Re: [sales]'],
  ['  Two \t\n lines ', 'Two lines', false, 'Re: Two lines'],
  ['', '', false, 'Re:'],
  ['Re:', '', false, 'Re:'],
  ['Really: now', 'Really: now', false, 'Re: Really: now'],
  ['Reply needed', 'Reply needed', false, 'Re: Reply needed'],
  ['i: lower case is a word', 'i: lower case is a word', false, 'Re: i: lower case is a word'],
  ['r: a language', 'r: a language', false, 'Re: r: a language'],
  ['Ref: 1234', 'Ref: 1234', false, 'Re: Ref: 1234'],
  ['Train: times', 'Train: times', false, 'Re: Train: times'],
];

describe('subjects (RFC 5256 §2.1)', () => {
  for (const [subject, base, forward, reply] of cases) {
    test(JSON.stringify(subject), () => {
      assert.equal(baseSubject(subject), base);
      assert.equal(isForwardSubject(subject), forward);
      assert.equal(replySubject(subject), reply);
    });
  }

  const forwards: [subject: string, count: number][] = [
    ['Offer', 0],
    ['Re: AW: Offer', 0],
    ['Re: WG: Offer', 1],
    ['TR : RE: Offer', 1],
    ['Fwd: Fwd: Offer', 2],
    ['[sales] Re: [Ticket 5] FW: RE: RV: Offer', 2],
    ['Re: Offer (fwd)', 1],
    ['Re: [Fwd: Re: Offer (fwd)]', 2],
    ['Fwd: [Fwd: [Fwd: Offer]]', 3],
    ['转发：回复：Offer', 1],
    ['İLT: YNT: Offer', 1],
    ['TRS: BLS: Offer', 1],
    ['\u200fהשב: \u200fהועבר: Offer', 1],
  ];
  for (const [subject, count] of forwards) {
    test(`${subject}: forwarded ${count} times`, () => assert.equal(forwardCount(subject), count));
  }

  test('an answer is what is marked as one outermost', () => {
    for (const subject of ['Re: Offer', '[Ticket 5] AW: Offer', 'RES: ENC: Offer', 'R: Offer'])
      assert.equal(isReplySubject(subject), true, subject);
    for (const subject of ['Offer', 'Fwd: Re: Offer', 'I: R: Offer', 'Report', ''])
      assert.equal(isReplySubject(subject), false, subject);
  });

  test('an answer keeps the base, and answering it again changes nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (subject) => {
        const once = replySubject(subject);
        assert.equal(replySubject(once), once);
        assert.equal(isForwardSubject(once), false);
      }),
    );
  });

  test('takes linear time', () => {
    for (const unit of ['Re:', '[', '[a]', ' ', '(fwd)', '[fwd:', 'Re[', 'a']) {
      assertInProportion(unit, 262_144, (length) => {
        const subject = unit.repeat(length / unit.length);
        return [baseSubject(subject), forwardCount(subject), replySubject(subject)];
      });
    }
  });
});
