import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { endErrand, findBackfill } from '../../../src/store/errands.ts';
import type { ErrandId } from '../../../src/lib/id.ts';
import { run } from '../../../src/store/database.ts';
import { publicUrl } from '../pages.ts';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

const path = '/mailbox/older';
const dayMs = 24 * 3_600_000;

describe('C8: a person asks for older mail', () => {
  let o: OwnPages;
  before(async () => {
    o = await openOwnPages();
  });
  after(() => o.close());

  const ask = async (fields: Record<string, string>) => {
    await own(o.ann, path);
    return o.ann.submit(fields, path);
  };
  const idOf = (location: string | null) => (location ?? '').slice(path.length + 1) as ErrandId;
  const find = async (id: ErrandId) => {
    const found = await findBackfill(o.t.db, { subAccountId: 'north', id });
    assert.ok(found !== null);
    return found;
  };
  const finish = async (id: ErrandId, progress: object, state: 'finished' | 'failed' = 'finished') => {
    await run(o.t.db, `update errands set progress = :progress::jsonb where id = :id`, {
      id,
      progress: JSON.stringify(progress),
    });
    await endErrand(o.t.db, { id, state, reason: null, owner: null });
  };

  for (const [fields, wrong] of [
    [{}, /Choose how far back/],
    [{ span: '12' }, /Choose how far back/],
    [{ span: 'date', day: '' }, /This is no day before today/],
    [{ span: 'date', day: '2999-01-01' }, /This is no day before today/],
    [{ span: 'date', day: '<script>' }, /This is no day before today/],
    [{ span: 'exact', since: 'x' }, /Choose how far back/],
  ] as const) {
    test(`what cannot be read is asked again: ${JSON.stringify(fields)}`, async () => {
      const page = await ask(fields);
      assert.equal(page.status, 422);
      assert.match(page.text, wrong);
      if ('span' in fields && fields.span === 'date')
        assert.match(page.html, /value="date" checked/, 'what was chosen is kept');
      assert.doesNotMatch(page.html, /<script>/);
      assert.deepEqual(await o.t.sql('select 1 from errands'), []);
    });
  }

  test('a count says what would be stored, and is followed by the same window', async () => {
    const asked = await ask({ span: '30', dry_run: '1' });
    assert.equal(asked.status, 303);
    const count = await find(idOf(asked.location));
    assert.equal(count.dry_run, true);
    const since = Date.parse(count.since);
    assert.ok(Math.abs(Date.now() - 30 * dayMs - since) < 60_000);
    const going = await own(o.ann, asked.location ?? '');
    assert.match(going.html, new RegExp(`hx-get="${path}/${count.id}/progress"[^>]*hx-trigger="every 2s"`));
    assert.match(going.html, /<noscript>.*Look again/s, 'without scripts there is a link');

    const form = /name="form_token" value="([^"]+)"/.exec(going.html)?.[1] ?? '';
    const second = await o.ann.post(
      `${publicUrl}${path}`,
      { form_token: form, span: '7', dry_run: '0' },
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.equal(second.location, asked.location, 'one after the other');

    await finish(count.id, { seen: 40, stored: 3, skipped: { no_match: 36, before_connection: 1 } });
    const part = await own(o.ann, `${path}/${count.id}/progress`);
    assert.match(part.text, /Looked at 40 Would be in the CRM 3 Left out 37/);
    assert.match(part.text, /36 It is private/);
    assert.doesNotMatch(part.html, /hx-get|<html/, 'it looks no more, and is a part of a page');
    await own(o.ann, asked.location ?? '');
    const real = await find(idOf((await o.ann.submit({}, path)).location));
    assert.deepEqual([real.dry_run, real.since], [false, count.since]);
  });

  test('it is stopped, and what was stored stays', async () => {
    const [going] = await o.t.sql<{ id: ErrandId }>(`select id from errands where ready`);
    assert.ok(going !== undefined);
    assert.match((await own(o.ann, path)).html, new RegExp(`action="${path}/${going.id}/cancel"`));
    const stopped = await o.ann.submit({}, `${path}/${going.id}/cancel`);
    assert.equal(stopped.location, `${path}/${going.id}`);
    assert.equal((await find(going.id)).state, 'cancelled');
    assert.match(
      (await own(o.ann, stopped.location ?? '')).text,
      /Stopped .*What was stored until then stays/,
    );
    assert.match((await own(o.ann, path)).text, /Asked for before/);
  });

  for (const [state, reason, says] of [
    ['waiting', 'byte_budget', /It goes on tomorrow by itself/],
    ['waiting', 'imap_etimedout', /The mail provider has trouble/],
    ['failed', 'gateway_error', /It failed again and again/],
  ] as const) {
    test(`${state}, ${reason}: in words`, async () => {
      const asked = await ask({ span: 'date', day: '2026-01-31', dry_run: '0' });
      const id = idOf(asked.location);
      assert.equal((await find(id)).since, '2026-01-30T10:00:00.000Z', 'all of that day, wherever it is');
      await run(o.t.db, `update errands set state = 'waiting', state_reason = :reason where id = :id`, {
        id,
        reason,
      });
      if (state === 'failed') await endErrand(o.t.db, { id, state, reason, owner: null });
      const page = await own(o.ann, `${path}/${id}`);
      assert.match(page.text, says);
      assert.doesNotMatch(page.text, new RegExp(reason));
      await endErrand(o.t.db, { id, state: 'cancelled', reason: null, owner: null });
    });
  }

  test('nobody else sees it, looks at its progress, or stops it', async () => {
    const asked = await ask({ span: '7', dry_run: '0' });
    const id = idOf(asked.location);
    await own(o.ben, path);
    const form = /name="form_token" value="([^"]+)"/.exec((await own(o.ben, path)).html)?.[1] ?? '';
    for (const which of [`${path}/${id}`, `${path}/${id}/progress`])
      assert.equal((await own(o.ben, which)).status, 404);
    const forced = await o.ben.post(
      `${publicUrl}${path}/${id}/cancel`,
      { form_token: form },
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.equal(forced.status, 404);
    assert.equal((await find(id)).ended_at, null);
    assert.doesNotMatch((await own(o.ben, path)).html, new RegExp(id));
  });

  test('without a mailbox there is nothing to read', async () => {
    const page = await own(o.zoe, path);
    assert.match(page.text, /No mailbox is connected/);
    assert.doesNotMatch(page.html, /name="span"/);
  });
});
