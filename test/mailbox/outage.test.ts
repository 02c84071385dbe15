import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import type { FailureKind } from '../../src/lib/failure.ts';
import { outageAfter, pauseAfter, stateIn } from '../../src/mailbox/outage.ts';
import type { Outage } from '../../src/mailbox/outage.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

function failure(kind: FailureKind, code: string, retryAfterMs?: number): Failure {
  return new Failure(kind, code, 'for a test', retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** The state after failures at these times (ms), as of the last of them. */
function stateAfter(
  failures: readonly [at: number, failure: Failure, loggedIn?: boolean][],
  credential: 'oauth' | 'password' = 'oauth',
): string {
  const outage = failures.reduce<Outage | null>(
    (before, [at, what, loggedIn = false]) => outageAfter(before, what, { at, loggedIn }),
    null,
  );
  assert.ok(outage !== null);
  const state = stateIn(outage, { credential, now: failures.at(-1)?.[0] ?? 0 });
  return state === null ? 'nothing' : `${state.state} ${state.reason}`;
}

/** The same failure every minute for a day. */
function allDay(what: Failure): [number, Failure][] {
  return Array.from({ length: dayMs / minuteMs }, (_, minute) => [minute * minuteMs, what]);
}

describe('C5: what never means that the consent is lost, however long it lasts', () => {
  const faults = [
    failure('temporary', 'imap_etimedout'),
    failure('temporary', 'imap_enotfound'),
    failure('temporary', 'imap_econnrefused'),
    failure('temporary', 'server_unavailable'),
    failure('temporary', 'connection_closed'),
    failure('temporary', 'authenticated_not_connected'),
    failure('temporary', 'token_endpoint_unreachable'),
    failure('temporary', 'token_endpoint_unavailable'),
    failure('throttled', 'token_endpoint_throttled', minuteMs),
    failure('throttled', 'too_many_connections', minuteMs),
    failure('throttled', 'bandwidth_limit', 60 * minuteMs),
    failure('operator', 'client_rejected'),
  ];
  for (const what of faults) {
    test(what.code, () => {
      const state = stateAfter(allDay(what));
      assert.equal(state, `${what.kind === 'throttled' ? 'rate_limited' : 'degraded'} ${what.code}`);
    });
  }
});

const refused = failure('denied', 'login_refused');
const lost = failure('temporary', 'imap_econnreset');

const rows: {
  name: string;
  failures: [number, Failure, boolean?][];
  credential?: 'password';
  state: string;
}[] = [
  { name: 'one short fault is nobody’s business', failures: [[0, lost]], state: 'nothing' },
  {
    name: 'two within seconds neither',
    failures: [
      [0, lost],
      [2_000, lost],
    ],
    state: 'nothing',
  },
  {
    name: 'a third one is told',
    failures: [
      [0, lost],
      [1_000, lost],
      [3_000, lost],
    ],
    state: 'degraded imap_econnreset',
  },
  {
    name: 'a second one half a minute later is told',
    failures: [
      [0, lost],
      [30_000, lost],
    ],
    state: 'degraded imap_econnreset',
  },
  {
    name: 'the reason is the last one',
    failures: [
      [0, lost],
      [1_000, lost],
      [3_000, failure('temporary', 'server_unavailable')],
    ],
    state: 'degraded server_unavailable',
  },
  {
    name: 'a pause that was asked for is told at once',
    failures: [[0, failure('throttled', 'too_many_connections', minuteMs)]],
    state: 'rate_limited too_many_connections',
  },
  {
    name: 'one of a moment is not',
    failures: [[0, failure('throttled', 'provider_throttles', 120)]],
    state: 'nothing',
  },
  {
    name: 'a revoked token is told at once',
    failures: [[0, failure('denied', 'token_revoked')]],
    state: 'reauth_required token_revoked',
  },
  {
    name: 'an erased credential too',
    failures: [[0, failure('denied', 'credential_missing')]],
    state: 'reauth_required credential_missing',
  },
  { name: 'a single refused login proves nothing', failures: [[0, refused]], state: 'nothing' },
  {
    name: 'fresh tokens refused for a day prove nothing: the token endpoint would know',
    failures: allDay(refused),
    state: 'degraded login_refused',
  },
  {
    name: 'a long outage before it does not count: refusals have a clock of their own',
    credential: 'password',
    failures: [
      ...allDay(lost).slice(0, 60),
      [3_600_000, refused],
      [3_601_000, refused],
      [3_603_000, refused],
    ],
    state: 'degraded login_refused',
  },
  {
    name: 'a password refused twice proves nothing',
    credential: 'password',
    failures: [
      [0, refused],
      [2 * minuteMs, refused],
    ],
    state: 'degraded login_refused',
  },
  {
    name: 'a password refused three times within seconds proves nothing',
    credential: 'password',
    failures: [
      [0, refused],
      [1_000, refused],
      [3_000, refused],
    ],
    state: 'degraded login_refused',
  },
  {
    name: 'a password refused over a minute does',
    credential: 'password',
    failures: [
      [0, refused],
      [20_000, refused],
      [60_000, refused],
    ],
    state: 'reauth_required login_refused',
  },
  {
    name: 'refusals before a login that worked do not count',
    credential: 'password',
    failures: [
      [0, refused],
      [30_000, refused],
      [60_000, lost, true],
      [90_000, refused],
    ],
    state: 'degraded login_refused',
  },
  {
    name: 'while the network is away, refusals of before say nothing',
    credential: 'password',
    failures: [...allDay(refused).slice(0, 11), [11 * minuteMs, lost]],
    state: 'degraded imap_econnreset',
  },
];

describe('C5: what an outage means', () => {
  for (const { name, failures, credential = 'oauth', state } of rows) {
    test(name, () => assert.equal(stateAfter(failures, credential), state));
  }
});

describe('the pause before the next try', () => {
  const retry = { firstMs: 1_000, mostMs: 300_000 };
  const pauses: [
    name: string,
    failures: readonly Failure[],
    credential: 'oauth' | 'password',
    least: number,
    most: number,
  ][] = [
    ['a refused token is renewed at once', [refused], 'oauth', 0, 0],
    ['and then not so soon', [refused, refused], 'oauth', 500, 2_000],
    ['a refused password is left alone for a while', [refused], 'password', 30_000, 30_000],
    ['so that three tries take a minute', [refused, refused], 'password', 30_000, 30_000],
    ['a lost connection', [lost], 'password', 1, 1_000],
    [
      'a pause that is asked for',
      [failure('throttled', 'x', 9 * minuteMs)],
      'oauth',
      9 * minuteMs,
      9 * minuteMs,
    ],
    ['one of a month is no pause', [failure('throttled', 'x', 30 * dayMs)], 'oauth', dayMs / 4, dayMs / 4],
  ];
  for (const [name, failures, credential, least, most] of pauses) {
    test(name, () => {
      const outage = failures.reduce<Outage | null>(
        (before, what) => outageAfter(before, what, { at: 0, loggedIn: false }),
        null,
      );
      assert.ok(outage !== null);
      const ms = pauseAfter(outage, { credential, retry });
      assert.ok(ms >= least && ms <= most, `${ms}`);
    });
  }
});
