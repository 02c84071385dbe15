import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLook } from '../../src/outbound/look.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { openOffice } from './support.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;

test('lanes are looked for once in a while, and at once where there may be others', async () => {
  const office = await openOffice();
  try {
    const clock = createManualClock();
    const look = createLook({ db: office.db, clock }, 'me', 10);
    const found = async () => (await look.lanes()).length;
    let people = 0;
    /** One more person has a letter to send. */
    const write = async () => {
      const n = (people += 1);
      await office.addContact(`c${n}`, `c${n}@customer.example`);
      await office.connect({ userId: `u${n}`, address: `u${n}@mail.example`, provider: 'gmail', smtp });
      await office.accept({ userId: `u${n}`, kind: 'individual', contactId: `c${n}`, text: 'x' });
    };

    await write();
    assert.equal(await found(), 1);
    assert.equal(look.nextMs(true), Infinity);
    await write();
    assert.equal(await found(), 1);
    // What was not looked for is not forgotten.
    assert.equal(look.nextMs(true), 250);
    await clock.advance(250);
    assert.equal(await found(), 2);

    await write();
    look.renew();
    assert.equal(await found(), 3);

    await write();
    look.noteDue(100);
    await clock.advance(99);
    assert.equal(await found(), 3);
    assert.equal(look.nextMs(true), 1);
    await clock.advance(1);
    assert.equal(await found(), 4);

    await write();
    const looking = look.lanes();
    // It may have come too late for that look.
    look.renew();
    await looking;
    await write();
    assert.equal(await found(), 6);
  } finally {
    await office.close();
  }
});
