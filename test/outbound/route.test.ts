import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectionStates } from '../../src/provider/connection-states.ts';
import type { ConnectionState } from '../../src/provider/connection-states.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { blockedStates, routeOf } from '../../src/outbound/route.ts';
import type { MessageKind, Route, RouteQuestion } from '../../src/outbound/route.ts';

function ask(
  kind: MessageKind,
  provider: ProviderName | null,
  more: { state?: ConnectionState; from?: RouteQuestion['from'] } = {},
): Route {
  const connection =
    provider === null ? null : { provider, state: more.state ?? 'live', address: 'anna@mail.example' };
  return routeOf({ kind, connection, from: more.from ?? 'none' });
}

describe('D: the table of ways', () => {
  const table: [MessageKind, ProviderName | null, RouteQuestion['from'], string][] = [
    ['individual', 'gmail', 'none', 'mailbox'],
    ['individual', 'outlook', 'connected', 'mailbox'],
    ['individual', 'imap', 'none', 'mailbox'],
    ['individual', 'sandbox', 'none', 'mailbox'],
    ['individual', 'gmail', 'other', 'from_not_allowed'],
    ['individual', null, 'none', 'no_mailbox_connected'],
    ['bulk', 'gmail', 'connected', 'route_not_available'],
    ['bulk', 'outlook', 'connected', 'route_not_available'],
    ['bulk', 'outlook', 'none', 'route_not_available'],
    ['bulk', null, 'none', 'route_not_available'],
    ['workflow', 'gmail', 'none', 'route_not_available'],
    ['workflow', 'outlook', 'connected', 'route_not_available'],
    ['workflow', null, 'other', 'route_not_available'],
  ];
  for (const [kind, provider, from, expected] of table) {
    test(`${kind}, ${provider ?? 'nothing'} connected, from ${from}: ${expected}`, () => {
      const route = ask(kind, provider, { from });
      assert.equal(route.way === 'refused' ? route.code : route.way, expected);
      assert(route.because.length > 10);
    });
  }

  test('the answer names the row, and whose rules another host follows (C3)', () => {
    assert.equal(ask('individual', 'gmail').because, "individual, Gmail connected: the user's mailbox");
    assert.equal(
      ask('individual', 'imap').because,
      "individual, Gmail connected (imap, as C3 says): the user's mailbox",
    );
    assert.equal(
      ask('bulk', 'outlook', { from: 'other' }).because,
      "bulk, Outlook connected, from another address or none: the sub-account's provider",
    );
  });
});

describe('D1: a mailbox that needs a person holds the message, and nothing falls back', () => {
  for (const state of Object.keys(connectionStates) as ConnectionState[]) {
    const blocked = blockedStates.find((candidate) => candidate === state) ?? null;
    test(`${state}: ${blocked === null ? 'goes out' : 'held'}`, () => {
      const route = ask('individual', 'gmail', { state });
      assert.equal(route.way, 'mailbox');
      assert.equal(route.way === 'mailbox' && route.holdFor, blocked);
    });
  }
});
