import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { addErrands } from '../../../src/store/errands.ts';
import { findNeverLog, putNeverLog } from '../../../src/store/never-log.ts';
import { findLoggingAddresses } from '../../../src/store/logging-addresses.ts';
import { publicUrl } from '../pages.ts';
import { openOwnPages, own } from './own.ts';
import type { OwnPages } from './own.ts';

/** Every page and action; `{message}`, `{decision}`, `{backfill}` are Ann’s. */
const gets = [
  '/mailbox',
  '/mailbox/state',
  '/mailbox/mail',
  '/mailbox/mail/message/{message}',
  '/mailbox/mail/decision/{decision}',
  '/mailbox/logging-address',
  '/mailbox/logging-address.vcf',
  '/mailbox/logging-address/replace',
  '/mailbox/never-log',
  '/mailbox/never-log/erase',
  '/mailbox/older',
  '/mailbox/older/{backfill}',
  '/mailbox/older/{backfill}/progress',
  '/mailbox/disconnect',
  '/mailbox/erase',
];
const posts = [
  '/mailbox/sign-out',
  '/mailbox/reconnect',
  '/mailbox/mail/decision/{decision}/store',
  '/mailbox/logging-address/replace',
  '/mailbox/never-log',
  '/mailbox/never-log/remove',
  '/mailbox/never-log/erase',
  '/mailbox/older',
  '/mailbox/older/{backfill}/cancel',
  '/mailbox/disconnect',
  '/mailbox/erase',
];

describe('one person’s pages are that person’s alone', () => {
  let o: OwnPages;
  const ids: Record<string, string> = {};
  const filled = (path: string) => path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? '');

  before(async () => {
    o = await openOwnPages();
    await o.mailbox.see('inbox', { from: 'carla@customer.example', subject: 'A letter to Ann' });
    await o.mailbox.see('inbox', { from: 'private@home.example', subject: 'Private' });
    const connection = await o.connectionOf('ann');
    const [decision] = await o.t.sql<{ id: string }>(`select id from decisions where outcome = 'skipped'`);
    ids['message'] = (await o.world.messages('north'))[0]?.id ?? '';
    ids['decision'] = decision?.id ?? '';
    ids['backfill'] = 'bkf_1';
    await addErrands(o.t.db, [
      {
        id: 'bkf_1',
        kind: 'backfill',
        sub_account_id: 'north',
        connection_id: connection.id,
        mailbox_id: o.mailbox.id,
        request: { since: 0, until: 1, contactId: null, dryRun: true },
      },
    ]);
    await o.t.db.transaction((tx) => putNeverLog(tx, { userId: 'ann' }, ['@anns-doctor.example']));
  });
  after(() => o.close());

  test('the tables name every page and action that there is', () => {
    const directory = new URL('../../../src/console/mailbox/', import.meta.url);
    const text = readdirSync(directory)
      .map((file) => readFileSync(new URL(file, directory), 'utf8'))
      .join('\n');
    const count = (method: string) => text.match(new RegExp(`app\\.${method}\\(`, 'g'))?.length ?? 0;
    // Besides them there is the link that opens them.
    assert.deepEqual([count('get'), count('post')], [gets.length + 1, posts.length + 1]);
  });

  for (const path of gets) {
    test(`GET ${path}: nothing of Ann’s for a colleague, for her herself in another company, or for nobody`, async () => {
      assert.equal((await o.t.browser().get(`${publicUrl}${filled(path)}`)).status, 401);
      const { localPart = '' } =
        (await findLoggingAddresses(o.t.db, { subAccountId: 'north', userId: 'ann' })) ?? {};
      const shown = await own(o.ben, filled(path));
      if (path.includes('{')) assert.equal(shown.status, 404);
      assert.doesNotMatch(shown.html, new RegExp(`ann@|A letter to Ann|anns-doctor|${localPart}`));
    });
  }

  for (const path of posts) {
    test(`POST ${path}: not without a session, not with another’s token, not from elsewhere`, async () => {
      const url = `${publicUrl}${filled(path)}`;
      const tokenOf = async (browser: typeof o.ann) =>
        /name="form_token" value="([^"]+)"/.exec((await own(browser, '/mailbox')).html)?.[1] ?? '';
      const form = await tokenOf(o.ann);
      assert.equal(
        (await o.t.browser().post(url, { form_token: form }, { 'sec-fetch-site': 'same-origin' })).status,
        401,
      );
      for (const [fields, site] of [
        [{}, 'same-origin'],
        [{ form_token: await tokenOf(o.ben) }, 'same-origin'],
        [{ form_token: form }, 'cross-site'],
        [{ form_token: form }, 'same-site'],
      ] as const)
        assert.equal((await o.ann.post(url, fields, { 'sec-fetch-site': site })).status, 403);
      if (!path.includes('{')) return;
      const forced = await o.ben.post(
        url,
        { form_token: await tokenOf(o.ben) },
        { 'sec-fetch-site': 'same-origin' },
      );
      assert.equal(forced.status, 404);
    });
  }

  test('a part that looks again by itself when the session is over has the whole page say so', async () => {
    const answer = await o.t.app.request(`${publicUrl}/mailbox/state`, { headers: { 'hx-request': 'true' } });
    assert.deepEqual(
      [answer.status, answer.headers.get('hx-refresh'), await answer.text()],
      [401, 'true', ''],
    );
  });

  for (const path of ['/mailbox/state', '/mailbox/older/{backfill}/progress'])
    test(`a part of a page is shown in no frame, where a click on it could be lured: ${path}`, async () => {
      const { status, headers } = await own(o.ann, filled(path));
      assert.equal(status, 200);
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
    });

  test('none of it has done anything', async () => {
    assert.equal((await o.connectionOf('ann')).ended_at, null);
    assert.deepEqual(await findNeverLog(o.t.db, { userId: 'ann' }), ['@anns-doctor.example']);
    assert.equal((await o.world.messages('north')).length, 1);
    assert.deepEqual(await o.t.sql('select kind from errands where ready'), [{ kind: 'backfill' }]);
    assert.deepEqual(await o.t.sql('select 1 from connect_links'), []);
  });

  test('in another company the same person sees nothing of this one', async () => {
    await o.world.connect('zoe@mail.example', [['north', 'zoe']]);
    const south = await o.t.person({ subAccountId: 'south', userId: 'zoe' });
    assert.match((await own(o.zoe, '/mailbox')).text, /zoe@mail\.example/);
    const page = await own(south, '/mailbox');
    assert.match(page.text, /No mailbox is connected yet/);
    assert.doesNotMatch(page.text, /zoe@mail\.example/);
  });
});
