import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientOf, createClients, isIn } from '../../src/intake/clients.ts';
import { createManualClock } from '../support/manual-clock.ts';

describe('clients', () => {
  test('an address counts as itself, of IPv6 as its /64', () => {
    assert.equal(clientOf('192.0.2.1'), '192.0.2.1');
    assert.equal(clientOf('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(clientOf('2001:db8:1:2:3::4'), clientOf('2001:db8:1:2:ffff::1'));
    assert.notEqual(clientOf('2001:db8:1:2::1'), clientOf('2001:db8:1:3::1'));
  });

  test('networks and addresses', () => {
    const networks = ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32', '::1'];
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', '2001:db8::7', '::1'])
      assert.equal(isIn(networks, address), true, address);
    for (const address of ['11.1.2.3', '192.0.2.2', '2001:db9::7', '::2', '', 'x'])
      assert.equal(isIn(networks, address), false, address);
    assert.equal(isIn([], '10.1.2.3'), false);
  });

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
