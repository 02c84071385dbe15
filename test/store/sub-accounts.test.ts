import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { effectiveSettings } from '../../src/store/sub-accounts.ts';

describe('settings', () => {
  const defaults = {
    sync_sent_to_contacts: true,
    assigned_contacts_only: 'when_shared',
    outlook_two_way_sync: true,
    fetch_thread_head: true,
    inbound_attachments: 'skip_message',
  };
  const cases: { name: string; stored: unknown; effective: object }[] = [
    { name: 'nothing stored', stored: {}, effective: defaults },
    { name: 'no row', stored: null, effective: defaults },
    {
      name: 'what differs',
      stored: { assigned_contacts_only: 'never', fetch_thread_head: false },
      effective: { ...defaults, assigned_contacts_only: 'never', fetch_thread_head: false },
    },
    { name: 'a name of another version', stored: { speed: 3 }, effective: defaults },
  ];
  for (const { name, stored, effective } of cases) {
    test(name, () => assert.deepEqual(effectiveSettings(stored), effective));
  }
  test('a stored value that cannot be is an error, not a default', () => {
    assert.throws(() => effectiveSettings({ assigned_contacts_only: 'sometimes' }));
  });
});
