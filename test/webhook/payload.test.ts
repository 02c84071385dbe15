import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publicEvent } from '../../src/webhook/payload.ts';

test('an event in its public form', () => {
  const shown = publicEvent({
    sequence: '42',
    id: 'evt_1',
    type: 'message.created',
    subAccountId: 's1',
    data: { id: 'msg_1' },
    createdAt: new Date('2026-03-01T10:00:00.123Z'),
  });
  assert.deepEqual(shown, {
    id: 'evt_1',
    type: 'message.created',
    created_at: '2026-03-01T10:00:00.123Z',
    sub_account_id: 's1',
    sequence: 42,
    data: { id: 'msg_1' },
  });
});
