import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findLoggingAddresses } from '../../../src/store/logging-addresses.ts';
import { startPages } from '../pages.ts';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

const path = '/mailbox/logging-address';

describe('B1: a person’s logging address', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages();
  });
  after(() => o.close());

  const addresses = async (userId = 'ann') => {
    const found = await findLoggingAddresses(o.t.db, { subAccountId: 'north', userId });
    assert.ok(found !== null);
    return found;
  };

  test('it is shown to be copied, and is nobody else’s', async () => {
    const { localPart } = await addresses();
    const page = await own(o.ann, path);
    assert.match(page.html, new RegExp(`data-copy="${localPart}@log\\.crm\\.example"`));
    assert.doesNotMatch((await own(o.ben, path)).html, new RegExp(localPart));
  });

  test('it is saved as a contact', async () => {
    const card = await own(o.ann, `${path}.vcf`);
    assert.equal(card.headers.get('content-type'), 'text/vcard; charset=utf-8');
    assert.match(card.headers.get('content-disposition') ?? '', /^attachment;/);
    assert.match(card.html, new RegExp((await addresses()).localPart));
  });

  test('it is replaced after a question, and the one before counts as long as was chosen', async () => {
    const { localPart: first } = await addresses();
    const page = await own(o.ann, `${path}/replace`);
    assert.match(page.text, new RegExp(`The old address, ${first}@log\\.crm\\.example, still counts`));
    assert.match(page.html, /value="30" checked/, 'what suits most people');
    assert.equal((await addresses()).localPart, first, 'asking changes nothing');
    const done = await o.ann.submit({ overlap: '7' }, `${path}/replace`);
    assert.deepEqual([done.status, done.location], [303, `${path}?replaced`]);
    const { localPart, replaced } = await addresses();
    assert.notEqual(localPart, first);
    const days = (Date.parse(replaced[0]?.expiresAt ?? '') - Date.now()) / 86_400_000;
    assert.ok(Math.abs(days - 7) < 0.1);
    assert.match((await own(o.ann, path)).text, new RegExp(`Addresses before ${first}@log`));
  });

  test('one that strangers know ends at once', async () => {
    await own(o.ann, `${path}/replace`);
    await o.ann.submit({ overlap: '0' }, `${path}/replace`);
    const { replaced } = await addresses();
    assert.equal(replaced.length, 1, 'the one of before still counts, the last one does not');
  });

  test('no other overlap is taken', async () => {
    const { localPart } = await addresses();
    for (const overlap of ['', '1', '99999', '-1']) {
      await own(o.ann, `${path}/replace`);
      assert.equal((await o.ann.submit({ overlap }, `${path}/replace`)).status, 404);
    }
    assert.equal((await addresses()).localPart, localPart);
  });

  test('where no domain is configured there is none, and the page says so', async () => {
    const t = await startPages({ loggingDomain: null });
    try {
      await t.member('north', 'ann');
      const ann = await t.person({ subAccountId: 'north', userId: 'ann' });
      for (const which of [path, `${path}/replace`])
        assert.match((await own(ann, which)).text, /Logging addresses are not set up here/);
      assert.equal((await own(ann, `${path}.vcf`)).status, 404);
    } finally {
      await t.close();
    }
  });
});
