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
  more: { state?: ConnectionState; from?: RouteQuestion['from']; hasProvider?: boolean } = {},
): Route {
  const connection =
    provider === null ? null : { provider, state: more.state ?? 'live', address: 'anna@mail.example' };
  return routeOf({ kind, connection, hasProvider: more.hasProvider ?? true, from: more.from ?? 'none' });
}

describe('D: the table of ways', () => {
  type Case = [
    MessageKind,
    ProviderName | null,
    RouteQuestion['from'],
    withProvider: string,
    without: string,
  ];
  const table: Case[] = [
    ['individual', 'gmail', 'none', 'mailbox', 'mailbox'],
    ['individual', 'gmail', 'connected', 'mailbox', 'mailbox'],
    ['individual', 'gmail', 'alias', 'mailbox', 'mailbox'],
    ['individual', 'gmail', 'other', 'from_not_allowed', 'from_not_allowed'],
    ['individual', 'outlook', 'none', 'mailbox', 'mailbox'],
    ['individual', 'outlook', 'connected', 'mailbox', 'mailbox'],
    ['individual', 'outlook', 'alias', 'mailbox', 'mailbox'],
    ['individual', 'outlook', 'other', 'from_not_allowed', 'from_not_allowed'],
    ['individual', 'imap', 'none', 'mailbox', 'mailbox'],
    ['individual', 'sandbox', 'none', 'mailbox', 'mailbox'],
    ['individual', null, 'none', 'provider', 'no_mailbox_connected'],
    ['individual', null, 'other', 'provider', 'no_mailbox_connected'],
    ['bulk', 'gmail', 'none', 'provider', 'no_provider'],
    ['bulk', 'gmail', 'connected', 'provider', 'no_provider'],
    ['bulk', 'imap', 'connected', 'provider', 'no_provider'],
    ['bulk', 'outlook', 'connected', 'mailbox', 'mailbox'],
    ['bulk', 'outlook', 'alias', 'provider', 'no_provider'],
    ['bulk', 'outlook', 'other', 'provider', 'no_provider'],
    ['bulk', 'outlook', 'none', 'provider', 'no_provider'],
    ['bulk', null, 'none', 'provider', 'no_provider'],
    ['bulk', null, 'other', 'provider', 'no_provider'],
    ['workflow', 'gmail', 'none', 'provider', 'no_provider'],
    ['workflow', 'gmail', 'connected', 'provider', 'no_provider'],
    ['workflow', 'outlook', 'connected', 'provider', 'no_provider'],
    ['workflow', 'outlook', 'none', 'provider', 'no_provider'],
    ['workflow', null, 'other', 'provider', 'no_provider'],
  ];
  for (const [kind, provider, from, withProvider, without] of table) {
    test(`${kind}, ${provider ?? 'nothing'} connected, from ${from}: ${withProvider}, or ${without}`, () => {
      for (const [hasProvider, expected] of [
        [true, withProvider],
        [false, without],
      ] as const) {
        const route = ask(kind, provider, { from, hasProvider });
        assert.equal(route.way === 'refused' ? route.code : route.way, expected);
        assert(route.because.length > 10);
        assert.equal(route.way === 'refused' || route.row.startsWith(kind), true);
      }
    });
  }

  test('each row has its word', () => {
    const rows = [
      ask('bulk', 'outlook', { from: 'connected' }),
      ask('bulk', 'outlook'),
      ask('workflow', 'imap'),
    ];
    assert.deepEqual(
      rows.map((route) => route.way !== 'refused' && route.row),
      ['bulk_outlook_from_it', 'bulk_outlook_from_other', 'workflow_gmail'],
    );
  });

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
      const bulk = ask('bulk', 'outlook', { state, from: 'connected' });
      assert.equal(bulk.way === 'mailbox' && bulk.holdFor, blocked);
    });
  }
});
