import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CursorMoved } from '../../src/filing/file.ts';
import { Failure } from '../../src/lib/failure.ts';
import { createTroubles, isOfOneMessage, placeOfError } from '../../src/mailbox/trouble.ts';

const lost = new Failure('temporary', 'connection_lost', 'for a test');

function sqlError(code: string): Error {
  return Object.assign(new Error('insert into … - secret words of a mail'), { code });
}

describe('T3: one message that fails again and again', () => {
  test('the batch, then its first message alone, then without it', () => {
    const troubles = createTroubles();
    const place = { id: 'fld_1', cursorUid: 10 } as const;
    const portions = Array.from({ length: 7 }, () => {
      const portion = troubles.portionAt(place);
      troubles.failedAt(place, lost);
      return portion;
    });
    assert.deepEqual(portions, ['many', 'many', 'many', 'one', 'one', 'one', 'none']);
  });

  test('once the cursor has moved, or elsewhere, all is well', () => {
    const troubles = createTroubles();
    for (let n = 0; n < 6; n += 1) troubles.failedAt({ id: 'fld_1', cursorUid: 10 }, lost);
    assert.equal(troubles.portionAt({ id: 'fld_1', cursorUid: 11 }), 'many');
    assert.equal(troubles.portionAt({ id: 'fld_2', cursorUid: 10 }), 'many');
    assert.equal(troubles.portionAt({ id: 'fld_1', cursorUid: 10 }), 'none');
  });

  test('a database that is away says nothing about a message', () => {
    const troubles = createTroubles();
    const place = { id: 'fld_1', cursorUid: 10 } as const;
    for (let n = 0; n < 20; n += 1) troubles.failedAt(place, sqlError('57P01'));
    assert.equal(troubles.portionAt(place), 'many');
  });
});

const errors: [name: string, error: unknown, isOfOne: boolean][] = [
  ['a bug of ours', new TypeError('x is not a function'), true],
  ['a value that PostgreSQL does not take', sqlError('22P02'), true],
  ['an index row that is too long', sqlError('54000'), true],
  ['a constraint', sqlError('23514'), true],
  ['a deadlock', sqlError('40P01'), false],
  ['a lost connection', sqlError('08006'), false],
  ['a full disk', sqlError('53100'), false],
  ['a shutdown', sqlError('57P01'), false],
  ['a refused connection', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), false],
  ['a connection that ended', new Error('Connection terminated unexpectedly'), false],
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

test('T3: what a good look follows, and what a provider asks for as a pause, is held against no message', () => {
  const troubles = createTroubles();
  const place = { id: 'fld_1', cursorUid: 10 } as const;
  const closed = new Failure('temporary', 'connection_closed', 'for a test');
  for (let times = 0; times < 20; times += 1) {
    troubles.failedAt(place, closed);
    assert.equal(troubles.portionAt(place), 'many');
    troubles.readAt(place);
  }
  const throttled = new Failure('throttled', 'throttled', 'for a test', { retryAfterMs: 1 });
  for (let times = 0; times < 20; times += 1) troubles.failedAt(place, throttled);
  assert.equal(troubles.portionAt(place), 'many');
});
