import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchersOf, uidSet } from '../../src/mailbox/fetching.ts';
import type { Session } from '../../src/mailbox/session.ts';

test('a UID set is as short as it can be', () => {
  assert.equal(uidSet([1, 2, 3, 7]), '1:3,7');
  assert.equal(uidSet([5]), '5');
  assert.equal(uidSet([]), '');
});

/** A session that gives bodies in so many answers, and remembers what it was asked for. */
function giving(...answers: number[][]): { session: Session; asked: number[][] } {
  const asked: number[][] = [];
  const bodies = (uids: readonly number[]) => {
    asked.push([...uids]);
    const given = answers.shift() ?? [];
    return Promise.resolve(new Map(given.map((uid) => [uid, Buffer.from(`${uid}`)])));
  };
  return { session: { bodies } as Partial<Session> as Session, asked };
}

const bodiesOf = (session: Session, uids: number[]) =>
  fetchersOf(session, [], () => undefined).fetchBodies(uids);

test('T3: a body that is left out is asked for once more, and only that one', async () => {
  const { session, asked } = giving([1, 3], [2]);
  assert.deepEqual(new Set((await bodiesOf(session, [1, 2, 3])).keys()), new Set([1, 2, 3]));
  assert.deepEqual(asked, [[1, 2, 3], [2]]);
});

test('T3: one that is left out twice is missing', async () => {
  const { session, asked } = giving([1], []);
  assert.deepEqual([...(await bodiesOf(session, [1, 2])).keys()], [1]);
  assert.deepEqual(asked, [[1, 2], [2]]);
});
