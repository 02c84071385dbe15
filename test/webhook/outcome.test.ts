import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { endpointPauseMs, newsOf, outcomeOf } from '../../src/webhook/outcome.ts';
import type { Answer, Try } from '../../src/webhook/outcome.ts';

const http = (status: number, retryAfterMs: number | null = null): Answer => ({ status, retryAfterMs });
const broken: Answer = { status: null, error: 'no answer within 15 s', stopped: false };
const stopped: Answer = { status: null, error: 'the gateway was stopped', stopped: true };
const ended = (answer: Answer, attempts = 1, startedAtMs = 1_000): Try => ({ answer, attempts, startedAtMs });

describe('what becomes of a delivery', () => {
  for (const status of [200, 201, 204, 299]) {
    test(`${status} delivers it`, () => {
      const outcome = outcomeOf(ended(http(status)));
      assert.deepEqual(outcome, { state: 'delivered', status, error: null, delayMs: 0 });
    });
  }
  for (const status of [199, 300, 302, 400, 401, 404, 408, 410, 422, 429, 500, 503]) {
    test(`${status} is tried again`, () => {
      const { delayMs, ...outcome } = outcomeOf(ended(http(status)));
      assert.deepEqual(outcome, { state: 'pending', status, error: `the endpoint answered ${status}` });
      assert.ok(delayMs >= 2_500 && delayMs <= 5_000);
    });
  }
  test('no answer is tried again', () => {
    const { delayMs, ...outcome } = outcomeOf(ended(broken));
    assert.deepEqual(outcome, { state: 'pending', status: null, error: 'no answer within 15 s' });
    assert.ok(delayMs > 0);
  });
  test('one that our own stop cut off is due at once, and never parked for it', () => {
    assert.deepEqual(outcomeOf(ended(stopped, 99)), {
      state: 'pending',
      status: null,
      error: 'the gateway was stopped',
      delayMs: 0,
    });
  });
  test('W2: pauses grow to hours, for days; then it is parked', () => {
    let totalMs = 0;
    let attempts = 1;
    for (; outcomeOf(ended(broken, attempts)).state === 'pending'; attempts += 1) {
      const { delayMs } = outcomeOf(ended(http(500), attempts));
      assert.ok(delayMs >= 2_500 && delayMs <= 6 * 3_600_000);
      totalMs += delayMs;
      assert.ok(attempts < 100);
    }
    const days = totalMs / 86_400_000;
    assert.ok(days > 4 && days < 7, `${days} days`);
    const parked = { state: 'parked', status: 500, error: 'the endpoint answered 500', delayMs: 0 };
    assert.deepEqual(outcomeOf(ended(http(500), attempts)), parked);
    assert.equal(outcomeOf(ended(http(200), attempts)).state, 'delivered');
  });
});

describe('what tries that ended together tell of the endpoint', () => {
  const failing = (newly: boolean) => ({ kind: 'failing', newly });
  const cases: [string, Try[], object][] = [
    ['nothing ended', [], { kind: 'untold' }],
    ['success', [ended(http(200))], { kind: 'answered' }],
    ['a refusal of this one event', [ended(http(422))], { kind: 'answered' }],
    ['a redirect', [ended(http(301))], { kind: 'answered' }],
    ['one success among failures', [ended(broken), ended(http(500)), ended(http(200))], { kind: 'answered' }],
    ['410 asks for silence, whatever else', [ended(http(200)), ended(http(410))], { kind: 'gone' }],
    ['a time-out', [ended(broken)], failing(true)],
    ['500', [ended(http(500))], failing(true)],
    ['408', [ended(http(408))], failing(true)],
    ['a delivery that failed before', [ended(http(500), 2)], failing(false)],
    ['it, and one that fails for the first time', [ended(http(500), 2), ended(http(500))], failing(true)],
    ['429, also for one that failed before', [ended(http(429), 2)], failing(true)],
    ['our own stop', [ended(stopped)], { kind: 'untold' }],
    ['our own stop, and a failure', [ended(stopped), ended(broken)], failing(true)],
    ['one that began before the last failure was known', [ended(broken, 1, 499)], failing(false)],
  ];
  for (const [name, tries, news] of cases) {
    test(name, () => assert.deepEqual(newsOf(tries, 500), news));
  }
});

describe('how long an endpoint rests', () => {
  test('longer after each failure, up to five minutes', () => {
    const within = (failures: number, leastMs: number, mostMs: number) => {
      const ms = endpointPauseMs(failures, [ended(broken)]);
      assert.ok(ms >= leastMs && ms <= mostMs, `${failures}: ${ms} ms`);
    };
    within(1, 500, 1_000);
    within(4, 4_000, 8_000);
    within(50, 150_000, 300_000);
  });
  test('at least as long as it asked for, up to an hour', () => {
    assert.equal(endpointPauseMs(1, [ended(http(503, 90_000)), ended(http(429, 20_000))]), 90_000);
    assert.equal(endpointPauseMs(1, [ended(http(503, 86_400_000))]), 3_600_000);
  });
});
