import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBell } from '../../src/mailbox/bell.ts';
import { createManualClock } from '../support/manual-clock.ts';

test('what is rung before the wait ends it at once', async () => {
  const bell = createBell(createManualClock());
  bell.ring('INBOX', 1);
  await bell.wait(3_600_000);
  assert.deepEqual([...bell.notes()], [['INBOX', 1]]);
});

test('what is rung while it waits ends it', async () => {
  const bell = createBell(createManualClock());
  const waiting = bell.wait(3_600_000);
  bell.ring('Sent', 2);
  await waiting;
  assert.deepEqual([...bell.notes()], [['Sent', 2]]);
});

test('without a note the wait ends by the clock, and the next one waits again', async () => {
  const clock = createManualClock();
  const bell = createBell(clock);
  bell.wake();
  await bell.wait(1_000);
  const waiting = bell.wait(1_000);
  assert.equal(clock.sleeping(), 1);
  await clock.advance(1_000);
  await waiting;
  assert.equal(bell.notes().size, 0);
  assert.equal(clock.sleeping(), 0, 'nothing is left behind');
});

test('announcements of a folder add up, and go one folder at a time', () => {
  const bell = createBell(createManualClock());
  bell.ring('INBOX', 1);
  bell.ring('Sent', 1);
  bell.ring('INBOX', 2);
  assert.deepEqual(
    [...bell.notes()],
    [
      ['INBOX', 3],
      ['Sent', 1],
    ],
  );
  bell.clear('INBOX');
  assert.deepEqual([...bell.notes()], [['Sent', 1]]);
});

test('who wants everything looked at is heard once, and takes all notes with it', () => {
  const bell = createBell(createManualClock());
  bell.ring('INBOX', 1);
  assert.equal(bell.takeAll(), false);
  assert.equal(bell.notes().size, 1);
  bell.ringAll();
  assert.equal(bell.takeAll(), true);
  assert.equal(bell.notes().size, 0);
  assert.equal(bell.takeAll(), false);
});
