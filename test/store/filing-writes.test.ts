import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { recogniseMessages } from '../../src/store/filing-writes.ts';
import { openOffice } from '../outbound/support.ts';
import { waitFor } from '../support/wait.ts';

/** Who waits for somebody's lock. */
const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

test('D5: a copy that is seen just while the try of it ends: whoever was put off is tried on', async () => {
  const office = await openOffice('postgres', {
    breaks: ['message_has_source', 'confirmed_is_sent', 'send_is_told'],
  });
  try {
    const { db } = office;
    await office.addContact('carla', 'carla@customer.example');
    const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
    await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
    const { send, message } = await office.accept({
      userId: 'anna',
      contactId: 'carla',
      cc: [{ name: '', address: 'cyril@customer.example' }],
      text: 'Dear Carla',
    });
    await run(db, `update sends set state = 'sending', state_reason = null, state_since = now()`);
    const copy = {
      internet_message_id: message.internet_message_id,
      date: null,
      send_id: send.id,
      in_sent: true,
    };
    const recognise = () => recogniseMessages(db, [{ ...copy, message_id: message.id }]);
    const recognised = await db.transaction(async (tx) => {
      const refused = JSON.stringify([
        { address: 'cyril@customer.example', state: 'deferred', reply: '450' },
      ]);
      await run(tx, `update sends set state = 'sent', ready = true, refused = :refused::jsonb`, { refused });
      const recognising = recognise();
      await waitFor('it waits for the end of the try', async () => (await rows(db, waiting))[0]);
      return { recognising };
    });
    const { sends } = await recognised.recognising;
    const found = await rows(db, 'select state, ready, copy_seen_at is not null as confirmed from sends');
    assert.deepEqual(found, [{ state: 'sent', ready: true, confirmed: true }]);
    assert.deepEqual(sends, [], 'it was sent already, and is not told once more');
  } finally {
    await office.close();
  }
});
