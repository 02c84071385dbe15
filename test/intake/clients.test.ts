import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClients } from '../../src/intake/clients.ts';
import { createManualClock } from '../support/manual-clock.ts';

describe('clients', () => {
  test('guesses are counted for ten minutes from the first', async () => {
    const clock = createManualClock();
    const clients = createClients({ clock, sessionsMax: 2, guessesMax: 2, guessesMs: 600_000 });
    clients.guessed('a');
    assert.equal(clients.isGuessing('a'), false);
    clients.guessed('a');
    assert.equal(clients.isGuessing('a'), true);
    assert.equal(clients.isGuessing('b'), false);
    await clock.advance(600_000);
    assert.equal(clients.isGuessing('a'), false);
  });

  test('sessions are counted until they end', () => {
    const clients = createClients({
      clock: createManualClock(),
      sessionsMax: 2,
      guessesMax: 2,
      guessesMs: 1,
    });
    assert.deepEqual(
      [clients.enter('a'), clients.enter('a'), clients.enter('a'), clients.enter('b')],
      [true, true, false, true],
    );
    clients.leave('a');
    assert.equal(clients.enter('a'), true);
  });
});
