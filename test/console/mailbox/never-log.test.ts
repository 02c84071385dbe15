import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findNeverLog, putNeverLog } from '../../../src/store/never-log.ts';
import type { Browser } from '../pages.ts';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

const path = '/mailbox/never-log';
const carla = 'carla@customer.example';

describe('S15: a person’s never-log list', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages();
  });
  after(() => o.close());

  const listOf = (userId: string) => findNeverLog(o.t.db, { userId });
  const add = async (browser: Browser, entry: string) => {
    await own(browser, path);
    return browser.submit({ entry }, path);
  };
  const subjects = async () => (await o.world.messages('north')).map(({ subject }) => subject);

  for (const entry of ['', 'carla', '@', 'a@b', '@<script>', 'carla@customer.example, x@y.example']) {
    test(`what is neither an address nor a domain is refused, and kept: ${entry}`, async () => {
      const page = await add(o.ann, entry);
      assert.equal(page.status, 422);
      assert.match(page.text, /This is neither an e-mail address nor @ and a domain/);
      assert.doesNotMatch(page.html, /<script>/);
      assert.deepEqual(await listOf('ann'), []);
    });
  }

  test('an entry is added once, whatever the way it is written, and says what is stored of it', async () => {
    await o.mailbox.see('inbox', { from: carla, subject: 'Stored before' });
    await o.bens.see('inbox', { from: carla, to: 'ben@mail.example', subject: 'Stored by Ben' });
    const added = await add(o.ann, 'Carla@Customer.example');
    assert.deepEqual([added.status, added.location], [303, `${path}?added=Carla%40Customer.example`]);
    const page = await own(o.ann, added.location ?? '');
    assert.match(page.text, /One message of theirs is stored already/);
    await add(o.ann, carla);
    assert.deepEqual(await listOf('ann'), ['Carla@Customer.example']);
    assert.deepEqual(await listOf('ben'), [], 'nobody else’s');
    await o.mailbox.see('inbox', { from: carla, subject: 'After that' });
    assert.equal((await subjects()).includes('After that'), false);
  });

  test('C7: what is stored is erased only after one more question, and nothing that a colleague’s mailbox brought', async () => {
    const page = await own(o.ann, `${path}/erase?entry=${encodeURIComponent(carla)}`);
    assert.match(page.text, /One message that your mailbox brought/);
    assert.deepEqual(await subjects(), ['Stored before', 'Stored by Ben'], 'asking erases nothing');
    const erased = await o.ann.submit({}, `${path}/erase`);
    assert.deepEqual([erased.status, erased.location], [303, `${path}?erased=1`]);
    assert.match((await own(o.ann, erased.location ?? '')).text, /One message was erased/);
    assert.deepEqual(await subjects(), ['Stored by Ben']);
  });

  test('nothing is erased of somebody who is not on the list', async () => {
    await own(o.ben, path);
    assert.equal((await own(o.ben, `${path}/erase?entry=${encodeURIComponent(carla)}`)).status, 404);
    const form = /name="form_token" value="([^"]+)"/.exec((await own(o.ben, path)).html)?.[1] ?? '';
    const forced = await o.ben.post(
      `http://gateway.test${path}/erase`,
      { form_token: form, entry: carla },
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.equal(forced.status, 404);
    assert.deepEqual(await subjects(), ['Stored by Ben']);
  });

  test('an entry is removed; what was left out meanwhile stays out', async () => {
    await own(o.ann, path);
    const removed = await o.ann.submit({ entry: carla }, `${path}/remove`);
    assert.equal(removed.status, 303);
    assert.match((await own(o.ann, removed.location ?? '')).text, /is off your list.*not fetched by itself/);
    assert.deepEqual(await listOf('ann'), []);
    await o.mailbox.see('inbox', { from: carla, subject: 'Welcome again' });
    assert.deepEqual(await subjects(), ['Stored by Ben', 'Welcome again']);
  });

  test('who works in several companies sees the list, and cannot change it for all of them from one', async () => {
    await o.t.db.transaction((tx) => putNeverLog(tx, { userId: 'zoe' }, ['@clinic.example']));
    const page = await own(o.zoe, path);
    assert.match(page.text, /@clinic\.example/);
    assert.match(page.text, /You work in several companies/);
    assert.doesNotMatch(page.html, new RegExp(`action="${path}`));
    const form = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
    const force = (to: string, entry: string) =>
      o.zoe.post(
        `http://gateway.test${path}${to}`,
        { form_token: form, entry },
        { 'sec-fetch-site': 'same-origin' },
      );
    assert.equal((await force('', carla)).status, 422);
    assert.equal((await force('/remove', '@clinic.example')).status, 404);
    assert.equal((await force('/erase', '@clinic.example')).status, 404);
    assert.deepEqual(await listOf('zoe'), ['@clinic.example']);
  });

  test('a long list comes in pages', async () => {
    const entries = Array.from({ length: 120 }, (_, n) => `n${String(n).padStart(3, '0')}@bank.example`);
    await o.t.db.transaction((tx) => putNeverLog(tx, { userId: 'ben' }, entries));
    const seen: string[] = [];
    for (let at: string | undefined = path; at !== undefined;) {
      const { html }: { html: string } = await own(o.ben, at);
      seen.push(...[...html.matchAll(/name="entry" value="(n\d+@[^"]+)"/g)].map(([, entry]) => entry ?? ''));
      at = /href="([^"]+)" rel="next"/.exec(html)?.[1];
    }
    assert.deepEqual(seen, entries);
  });
});
