import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CursorMoved } from '../../src/filing/file.ts';
import { Failure } from '../../src/lib/failure.ts';
import { isOfOneMessage, placeOfError } from '../../src/lib/failure.ts';
import { createTroubles } from '../../src/mailbox/trouble.ts';
import type { Portion, Troubles } from '../../src/mailbox/trouble.ts';
import { createManualClock } from '../support/manual-clock.ts';
import type { ManualClock } from '../support/manual-clock.ts';

const lost = new Failure('temporary', 'connection_lost', 'for a test');
const place = { id: 'fld_1', cursorUid: 10 } as const;
const minuteMs = 60_000;

/** As PostgreSQL says it, by the driver. */
function sqlError(code: string): Error {
  const severity = code.startsWith('57') ? 'FATAL' : 'ERROR';
  return Object.assign(new Error('insert into … - secret words of a mail'), { code, severity });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: open`), { code, errno: -1, syscall: 'open' });
}

function start(): { clock: ManualClock; troubles: Troubles; fail(uid?: number): Portion } {
  const clock = createManualClock(0);
  const troubles = createTroubles(clock);
  const fail = (uid = 11) => {
    const portion = troubles.portionAt(place, uid);
    troubles.failedAt(place, lost, portion === 'many' ? null : uid);
    return portion;
  };
  return { clock, troubles, fail };
}

describe('T3: one message that fails again and again', () => {
  test('the batch, then its first message alone, for minutes, then without it', async () => {
    const { clock, troubles, fail } = start();
    const portions = Array.from({ length: 20 }, () => fail());
    assert.deepEqual(
      portions,
      [...Array(3).fill('many'), ...Array(17).fill('one')],
      'a server may be in trouble',
    );
    await clock.advance(5 * minuteMs - 1);
    assert.equal(fail(), 'one');
    await clock.advance(1);
    assert.equal(troubles.portionAt(place, 11), 'none');
  });

  test('for minutes, and yet only when it has failed several times', async () => {
    const { clock, troubles, fail } = start();
    for (let n = 0; n < 5; n += 1) fail();
    await clock.advance(60 * minuteMs);
    assert.equal(fail(), 'one', 'two failures, with an hour between them');
    assert.equal(troubles.portionAt(place, 11), 'none');
  });

  test('another message than the one that was asked for alone is not given up', async () => {
    const { clock, troubles, fail } = start();
    for (let n = 0; n < 10; n += 1) fail();
    await clock.advance(10 * minuteMs);
    assert.equal(troubles.portionAt(place, 11), 'none');
    assert.equal(troubles.portionAt(place, 12), 'one', 'it was expunged meanwhile');
    fail(12);
    await clock.advance(10 * minuteMs);
    assert.deepEqual([fail(12), fail(12)], ['one', 'one']);
    assert.equal(troubles.portionAt(place, 12), 'none');
  });

  test('once the cursor has moved, or elsewhere, all is well', async () => {
    const { clock, troubles, fail } = start();
    for (let n = 0; n < 6; n += 1) fail();
    await clock.advance(5 * minuteMs);
    assert.equal(troubles.portionAt({ id: 'fld_1', cursorUid: 11 }, 11), 'many');
    assert.equal(troubles.portionAt({ id: 'fld_2', cursorUid: 10 }, 11), 'many');
    assert.equal(troubles.portionAt(place, 11), 'none');
  });

  const others: [name: string, error: unknown][] = [
    ['a database that is away', sqlError('57P01')],
    ['a disk that is full', systemError('ENOSPC')],
    [
      'a provider that asks for a pause',
      new Failure('throttled', 'throttled', 'for a test', { retryAfterMs: 1 }),
    ],
    ['a login that is refused', new Failure('denied', 'login_refused', 'for a test')],
  ];
  for (const [name, error] of others) {
    test(`${name} says nothing about a message`, () => {
      const { troubles } = start();
      for (let n = 0; n < 20; n += 1) troubles.failedAt(place, error, null);
      assert.equal(troubles.portionAt(place, 11), 'many');
    });
  }

  test('what a good look follows is held against no message', () => {
    const { troubles, fail } = start();
    for (let times = 0; times < 20; times += 1) {
      assert.equal(fail(), 'many');
      troubles.readAt(place);
    }
  });
});

const errors: [name: string, error: unknown, isOfOne: boolean][] = [
  ['a bug of ours', new TypeError('x is not a function'), true],
  ['a number of ours that is out of range', new RangeError('Invalid time value'), true],
  ['what we were sure of', new assert.AssertionError({ message: 'stored without a body' }), true],
  ['a value that PostgreSQL does not take', sqlError('22P02'), true],
  ['an index row that is too long', sqlError('54000'), true],
  ['a constraint', sqlError('23514'), true],
  ['a deadlock', sqlError('40P01'), false],
  ['a lost connection', sqlError('08006'), false],
  ['a full disk', sqlError('53100'), false],
  ['a shutdown', sqlError('57P01'), false],
  ['a standby', sqlError('25006'), false],
  ['a transaction that was broken off', sqlError('25P03'), false],
  ['a damaged page', sqlError('XX001'), false],
  ['a refused connection', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), false],
  ['a broken pipe', systemError('EPIPE'), false],
  ['a disk that is read-only', systemError('EROFS'), false],
  ['a file that is in use', systemError('EBUSY'), false],
  ['a connection that ended', new Error('Connection terminated unexpectedly'), false],
  ['a client that was closed', new Error('Client was closed and is not queryable'), false],
  ['a connection that did not come', new Error('timeout expired'), false],
  ['an answer that did not come', new Error('Query read timeout'), false],
  [
    'a transaction that was lost',
    new Error('Transaction query already complete, run with DEBUG=knex:tx for more info'),
    false,
  ],
  [
    'a pool that is used up',
    Object.assign(new Error('Knex: Timeout acquiring a connection'), { name: 'KnexTimeoutError' }),
    false,
  ],
  ['the provider', lost, false],
  ['another filer', new CursorMoved('fld_1 is not at UID 7'), false],
  ['no error at all', 'what?', false],
];

describe('whether an error may lie in the message', () => {
  for (const [name, error, isOfOne] of errors) {
    test(name, () => assert.equal(isOfOneMessage(error), isOfOne));
  }
});

test('what is logged of an error holds none of its words', () => {
  const logged = placeOfError(sqlError('22P02'));
  assert.equal(logged.code, '22P02');
  assert.match(logged.stack ?? '', /trouble\.test/);
  assert.doesNotMatch(JSON.stringify(logged), /secret/);
});
