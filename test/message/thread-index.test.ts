import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { threadIndexRoot } from '../../src/message/thread-index.ts';

const root = Buffer.from('01dab58c64ab76ccde433ac34bba2b59b8999d294201', 'hex');
const answered = (times: number): string =>
  Buffer.concat([root, Buffer.alloc(5 * times, 9)]).toString('base64');

describe('Thread-Index', () => {
  test('every message of an Outlook thread has the root of its first', () => {
    for (const times of [0, 1, 2, 50]) assert.equal(threadIndexRoot(answered(times)), root.toString('hex'));
    assert.equal(
      threadIndexRoot(`${answered(9).slice(0, 40)}\r\n ${answered(9).slice(40)}`),
      root.toString('hex'),
    );
  });

  const malformed: [name: string, header: string | undefined][] = [
    ['missing', undefined],
    ['empty', ''],
    ['no base64', 'AdqwCg==!!AAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['too short', root.subarray(0, 21).toString('base64')],
    ['half an answer', Buffer.concat([root, Buffer.alloc(3)]).toString('base64')],
    ['another first byte', Buffer.concat([Buffer.alloc(1, 2), root.subarray(1)]).toString('base64')],
    ['an empty GUID', Buffer.concat([root.subarray(0, 6), Buffer.alloc(16)]).toString('base64')],
    ['hundreds of answers', answered(2000)],
  ];
  for (const [name, header] of malformed) {
    test(`gives null for one that is ${name}`, () => assert.equal(threadIndexRoot(header), null));
  }
});
