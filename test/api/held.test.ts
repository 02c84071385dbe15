import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createLoggingWorld } from '../filing/logging-world.ts';
import type { LoggingWorld } from '../filing/logging-world.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { run } from '../../src/store/database.ts';
import { findUnreferencedBlobs } from '../../src/store/blob-references.ts';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const path = '/v1/sub-accounts/north/held';

type Held = {
  id: string;
  state: string;
  reason: string;
  because: string;
  decision_id: string;
  mail: { subject: string; text: string; forwarded: Record<string, unknown> | null } | null;
};

for (const kind of databaseKinds)
  describe(`B4: mail that waits for review, on ${kind}`, () => {
    let t: ApiUnderTest;
    let world: World;
    let logging: LoggingWorld;
    let woken = 0;

    before(async () => {
      t = await startApi({ kind, wakeFiler: () => void (woken += 1) });
    });
    after(() => t.close());
    beforeEach(async () => {
      // Not truncated: the administrator's key would go with them.
      for (const table of ['sub_accounts', 'users']) await run(t.db, `delete from ${table}`);
      world = await createWorld(t.db);
      logging = createLoggingWorld(world);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@mail.example', ['north']);
    });

    const list = async (query = '') => (await t.call('GET', path + query)).body['data'] as Held[];
    const only = async () => {
      const [held, ...others] = await list();
      assert.ok(held !== undefined && others.length === 0);
      return held;
    };
    const offer = { from: 'ann@mail.example', to: 'x@other.example', subject: 'An offer' };

    test('it is listed with what was read and why, and told without content', async () => {
      assert.deepEqual(await logging.log({ ...offer, proof: 'failed' }), ['held unproven']);
      const held = await only();
      assert.deepEqual([held.state, held.reason, held.mail?.subject], ['held', 'unproven', 'An offer']);
      assert.equal(held.mail?.forwarded, null);
      assert.match(held.because, /policy asks to refuse/);
      assert.deepEqual(await list('?user_id=ann'), [held]);
      assert.deepEqual(await list('?user_id=bob'), []);
      const events = await t.db.select('type', 'data').from('events');
      assert.deepEqual(
        events.map(({ type }: { type: string }) => type),
        ['decision.held'],
      );
      assert.ok(!JSON.stringify(events).includes('An offer'));
      const decisions = await t.call('GET', '/v1/sub-accounts/north/decisions?outcome=held');
      const [decision] = decisions.body['data'] as { intake_id: string; id: string }[];
      assert.deepEqual([decision?.intake_id, decision?.id], [held.id, held.decision_id]);
    });

    test('released it is logged, and a repeat changes nothing', async () => {
      await logging.log({ ...offer, proof: 'unproven' });
      const { id } = await only();
      const before = woken;
      const answer = await t.call('POST', `${path}/${id}/release`, { json: {} });
      assert.deepEqual([answer.status, answer.body['state'], woken - before], [202, 'released', 1]);
      assert.equal((await t.call('POST', `${path}/${id}/discard`)).status, 409);
      assert.deepEqual(await logging.fileAll(), ['stored logged']);
      assert.equal((await t.call('POST', `${path}/${id}/release`, { json: {} })).body['state'], 'released');
      assert.deepEqual(await logging.fileAll(), []);
      assert.deepEqual(await list(), []);
      const [message] = await world.messages('north');
      assert.deepEqual([message?.subject, message?.via], ['An offer', ['logging_address']]);
      const [current, ...others] = (await t.call('GET', '/v1/sub-accounts/north/decisions')).body['data'] as {
        reason: string;
        steps: { because: string }[];
      }[];
      assert.deepEqual(
        [current?.reason, others],
        ['logged', []],
        'the new decision took the place of the old one',
      );
      assert.match(current?.steps.at(-1)?.because ?? '', /as a person who reviewed it says/);
    });

    test('too many recipients, released: each becomes a contact', async () => {
      const to = Array.from({ length: 25 }, (_, n) => `p${n}@other.example`).join(', ');
      assert.deepEqual(await logging.log({ ...offer, to }), ['held too_many_recipients']);
      await t.call('POST', `${path}/${(await only()).id}/release`, { json: {} });
      assert.deepEqual(await logging.fileAll(), ['stored logged']);
      const contacts = await t.call('GET', '/v1/sub-accounts/north/contacts?limit=100');
      assert.equal((contacts.body['data'] as unknown[]).length, 25);
    });

    test('discarded, nothing of it is kept, and it cannot be released', async () => {
      await logging.log({ ...offer, proof: 'unproven' });
      const { id } = await only();
      const discarded = await t.call('POST', `${path}/${id}/discard`);
      assert.deepEqual(
        [discarded.status, discarded.body['state'], discarded.body['mail']],
        [200, 'discarded', null],
      );
      assert.equal((await t.call('POST', `${path}/${id}/discard`)).status, 200);
      const released = await t.call('POST', `${path}/${id}/release`, { json: {} });
      assert.deepEqual([released.status, released.body['code']], [409, 'already_decided']);
      assert.deepEqual(await logging.fileAll(), []);
      assert.deepEqual(await list(), []);
      const blobs = [...world.blobs.all.keys()];
      assert.deepEqual(await findUnreferencedBlobs(t.db, blobs), blobs);
      const [decision] = (await t.call('GET', '/v1/sub-accounts/north/decisions')).body['data'] as {
        outcome: string;
        reason: string;
      }[];
      assert.deepEqual([decision?.outcome, decision?.reason], ['skipped', 'discarded']);
    });

    test('its bytes are kept while it waits', async () => {
      await logging.log({ ...offer, proof: 'unproven' });
      assert.deepEqual(await findUnreferencedBlobs(t.db, [...world.blobs.all.keys()]), []);
    });

    const forward = (...block: string[]) => ({
      from: 'Ann <ann@mail.example>',
      to: 'log-1@log.crm.example',
      subject: 'Fwd: Your question',
      text: [
        'See below.',
        '',
        '---------- Forwarded message ---------',
        ...block,
        '',
        'Can you send it?',
      ].join('\r\n'),
    });

    test('B2: a forward without an author to be read needs one named, and is then logged as theirs', async () => {
      const mail = forward(
        'From: Dave Doe',
        'Date: Thu, Nov 19, 2026 at 3:04 PM',
        'Subject: Your question',
        'To: Ann',
        'Cc: Carla <carla@other.example>, <log-1@log.crm.example>',
      );
      assert.deepEqual(await logging.log(mail), ['held forward_unclear']);
      const { id, mail: read } = await only();
      assert.deepEqual(read?.forwarded, {
        from: null,
        to: [],
        cc: [{ name: 'Carla', address: 'carla@other.example' }],
        subject: 'Your question',
        date: '2026-11-19T15:04:00.000Z',
        doubts: ['no_from_address'],
        written: { from: 'Dave Doe', date: 'Thu, Nov 19, 2026 at 3:04 PM', subject: 'Your question' },
      });
      assert.equal(read?.text, 'Can you send it?');
      const refused = await t.call('POST', `${path}/${id}/release`, { json: {} });
      assert.deepEqual([refused.status, refused.body['code']], [409, 'author_unknown']);
      const from = { name: 'Dave Doe', address: 'dave@other.example' };
      assert.equal((await t.call('POST', `${path}/${id}/release`, { json: { from } })).status, 202);
      assert.deepEqual(await logging.fileAll(), ['stored logged']);
      const [message] = await world.messages('north');
      assert.deepEqual([message?.direction, message?.subject], ['inbound', 'Your question']);
      const kept = await t.db.select('read', 'author').from('intake_spool');
      assert.deepEqual(kept, [{ read: null, author: null }], 'what is erased later is not kept beside it');
    });

    test('B2: what was not read of a forward is not said to be what the forward says', async () => {
      const mail = forward(
        'From: Dave Doe <dave@other.example>',
        'Date: the day before yesterday',
        'Subject: x',
      );
      const long = { ...mail, text: `${mail.text}\r\n${'\u{1F4E7}'.repeat(3_000)}` };
      assert.deepEqual(await logging.log(long), ['held forward_unclear']);
      const { mail: read } = await only();
      assert.deepEqual([read?.forwarded?.['date'], read?.forwarded?.['doubts']], [null, ['no_date']]);
      assert.equal(read?.text.length, 1_999, 'of a long one the beginning, without half of a letter');
      assert.ok(read.text.isWellFormed());
    });

    test('no author is named of what is no forward, and none that is no address', async () => {
      await logging.log({ ...offer, proof: 'unproven' });
      const { id } = await only();
      const from = { address: 'dave@other.example' };
      const answer = await t.call('POST', `${path}/${id}/release`, { json: { from } });
      assert.deepEqual([answer.status, answer.body['code']], [409, 'not_a_forward']);
      const bad = await t.call('POST', `${path}/${id}/release`, { json: { from: { address: 'dave' } } });
      assert.equal(bad.status, 422);
      assert.equal((await only()).id, id);
    });

    test('T3: one that failed is filed again by hand; one that was dropped is not kept', async () => {
      await logging.log({ ...offer, from: 'stranger@other.example' });
      const [dropped] = (await t.call('GET', '/v1/sub-accounts/north/decisions')).body['data'] as {
        id: string;
      }[];
      const answer = await t.call('POST', `/v1/sub-accounts/north/decisions/${dropped?.id ?? ''}/store`);
      assert.deepEqual([answer.status, answer.body['code']], [409, 'not_kept']);
      await logging.fail(offer);
      const failed = (await t.call('GET', '/v1/sub-accounts/north/decisions?outcome=failed')).body[
        'data'
      ] as {
        id: string;
      }[];
      assert.equal(
        (await t.call('POST', `/v1/sub-accounts/north/decisions/${failed[0]?.id ?? ''}/store`)).status,
        202,
      );
      assert.deepEqual(await logging.fileAll(), ['stored logged']);
      const left = (await t.call('GET', '/v1/sub-accounts/north/decisions?outcome=failed')).body['data'];
      assert.deepEqual(left, []);
    });
  });
