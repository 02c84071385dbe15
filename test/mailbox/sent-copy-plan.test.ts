import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { copyBytes, givesUp, planCopy } from '../../src/mailbox/sent-copy-plan.ts';
import type { AwaitedCopy } from '../../src/store/sent-copies.ts';

const hourMs = 3_600_000;
const due: AwaitedCopy = {
  id: 'snd_1',
  messageId: 'msg_1',
  attempts: 1,
  ageMs: 600_000,
  sentAt: Date.UTC(2026, 10, 20),
  messageIds: ['a@company.example'],
  rawSha256: '',
  bcc: [],
  isBegun: false,
  isSeen: false,
  hostSaves: false,
  path: 'Sent',
  isLooked: true,
};
const search = { step: 'search', path: 'Sent' };
const not = (reason: string) => ({ step: 'end', outcome: 'not_appended', reason });

const cases: [what: string, facts: Partial<AwaitedCopy>, step: object][] = [
  ['nothing was seen: searched for', {}, search],
  ['a copy was seen: the host put it there', { isSeen: true }, { step: 'drop' }],
  [
    'a copy was seen after an APPEND that may have gone out: the gateway put it there',
    { isSeen: true, isBegun: true, hostSaves: true },
    { step: 'end', outcome: 'appended', reason: null },
  ],
  ['an APPEND may have gone out, and nothing was seen since: searched for', { isBegun: true }, search],
  ['Sent was not looked at since', { isLooked: false }, { step: 'wait' }],
  ['nor since an APPEND may have gone out', { isLooked: false, isBegun: true }, { step: 'wait' }],
  ['nor for a day', { isLooked: false, ageMs: 24 * hourMs }, not('sent_folder_unreadable')],
  ['days of an outage are over', { ageMs: 72 * hourMs }, search],
  ['the host was seen to save copies', { hostSaves: true }, not('host_saves_copies')],
  ['there is no folder for it', { path: null, isLooked: false }, not('no_sent_folder')],
];

describe('U1: the copy in Sent at hosts that save none', () => {
  for (const [what, facts, step] of cases) {
    test(what, () => assert.deepEqual(planCopy({ ...due, ...facts }), step));
  }

  test('a refusal is final the fifth time, what passes after a day', () => {
    assert.equal(givesUp({ ...due, attempts: 4 }, 'refused'), false);
    assert.equal(givesUp({ ...due, attempts: 5 }, 'refused'), true);
    assert.equal(givesUp({ ...due, attempts: 9, ageMs: 23 * hourMs }, 'passing'), false);
    assert.equal(givesUp({ ...due, ageMs: 24 * hourMs }, 'passing'), true);
  });

  test('its bytes are those that were sent; who got it blindly stands in this copy alone', () => {
    const raw = Buffer.from('From: <a@b.example>\r\n\r\nText.\r\n');
    assert.equal(copyBytes(raw, []), raw);
    assert.equal(
      copyBytes(raw, ['ann@x.example', 'bob@y.example']).toString(),
      'Bcc: <ann@x.example>,\r\n <bob@y.example>\r\nFrom: <a@b.example>\r\n\r\nText.\r\n',
    );
  });
});
