import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { makeAdministratorLink } from '../../src/store/administrator-links.ts';
import { hashOfLinkToken } from '../../src/store/link-token.ts';
import { insertMailboxLink } from '../../src/store/mailbox-links.ts';
import { openOwnPages } from './mailbox/own.ts';
import type { OwnPages } from './mailbox/own.ts';
import { publicUrl } from './pages.ts';
import type { Browser } from './pages.ts';

/**
 * CSRF: a form of another site's, sent by the browser of somebody who is signed in here, does nothing. All forms that
 * there are, by the table of routes: one that is added later is among them.
 */
describe('CSRF: no form from elsewhere does anything', () => {
  let o: OwnPages;
  let root: Browser;
  /** Paths of links that nobody has opened yet, by the route that they lead to. */
  const links: Record<string, string> = {};
  let names: Record<string, string>;
  before(async () => {
    o = await openOwnPages();
    root = await o.t.administrator();
    await o.mailbox.see('inbox', { from: 'carla@customer.example', subject: 'A letter' });
    await o.mailbox.see('inbox', { from: 'private@home.example', subject: 'Private' });
    const [skipped] = await o.t.sql<{ id: string }>(`select id from decisions where outcome = 'skipped'`);
    names = { sid: 'north', id: (await o.connectionOf('ann')).id, decision: skipped?.id ?? '' };
    const token = randomBytes(32).toString('base64url');
    const own = { subAccountId: 'north', userId: 'ann', returnUrl: null, lifeMs: 60_000 };
    await insertMailboxLink(o.t.db, { ...own, tokenHash: hashOfLinkToken(token) });
    links['/mailbox/:token'] = `/mailbox/${token}`;
    links['/connect/:token'] = new URL(await o.t.link({ subAccountId: 'north', userId: 'ben' })).pathname;
    links['/admin/welcome/:token'] = await o.t.db.transaction((tx) => makeAdministratorLink(tx, null));
  });
  after(() => o.close());

  const posts = () => o.t.app.routes.filter(({ method }) => method === 'POST').map(({ path }) => path);
  const addressOf = (path: string) => {
    const link = Object.entries(links).find(([prefix]) => path.startsWith(prefix));
    const known = link === undefined ? path : path.replace(link[0], link[1]);
    const id = path.includes('/decision/') ? names['decision'] : undefined;
    return `${publicUrl}${known.replaceAll(/:(\w+)/g, (_, name: string) => id ?? names[name] ?? names['id'] ?? '')}`;
  };
  const tokenOf = async (browser: Browser, page: string) =>
    /name="form_token" value="([^"]+)"/.exec((await browser.get(`${publicUrl}${page}`)).html)?.[1] ??
    assert.fail('no token');

  /** A digest of all that is stored, but for when somebody was seen last. */
  async function stored(): Promise<Record<string, string>> {
    const tables = await o.t.sql<{ name: string }>(
      `select table_name as name from information_schema.tables
        where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'console_sessions' order by 1`,
    );
    const digests: Record<string, string> = {};
    for (const { name } of tables) {
      const [row] = await o.t.sql<{ digest: string }>(
        `select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as digest from ${name} t`,
      );
      digests[name] = row?.digest ?? '';
    }
    return digests;
  }

  test('whatever the browser is signed in to: refused, and nothing is changed', async () => {
    const [mine, bens, admins] = [
      await tokenOf(o.ann, '/mailbox'),
      await tokenOf(o.ben, '/mailbox'),
      await tokenOf(root, '/admin/keys'),
    ];
    const sessions = () => o.t.sql('select id from console_sessions order by id');
    const [before, signedIn] = [await stored(), await sessions()];
    assert.ok(posts().length > 35, 'the routes are known');
    for (const path of posts()) {
      const isAdmins = path.startsWith('/admin');
      const [browser, right, wrong] = isAdmins ? [root, admins, mine] : [o.ann, mine, bens];
      // These know the browser by a cookie that it has not, or by a link that only its owner has.
      const isOpen = /^\/(?:connect|mailbox\/:token|admin\/(?:welcome|sign-in))/.test(path);
      const tries: [fields: Record<string, string>, headers: Record<string, string>][] = [
        [{}, { 'sec-fetch-site': 'cross-site' }],
        [{}, { 'sec-fetch-site': 'same-site' }],
        [{ form_token: right }, { 'sec-fetch-site': 'cross-site' }],
        [{ form_token: right }, { 'sec-fetch-site': 'none' }],
        ...(isOpen
          ? []
          : ([
              [{}, {}],
              [{}, { 'sec-fetch-site': 'same-origin' }],
              [{ form_token: wrong }, { 'sec-fetch-site': 'same-origin' }],
              [{ form_token: `${right}x` }, {}],
            ] as [Record<string, string>, Record<string, string>][])),
      ];
      for (const [fields, headers] of tries) {
        const { status, title } = await browser.post(addressOf(path), fields, headers);
        const which = `${path} ${JSON.stringify(headers)}: ${title}`;
        if (path.startsWith('/connect'))
          assert.ok([400, 403, 404, 410].includes(status), `${status} ${which}`);
        else assert.equal(status, 403, which);
      }
    }
    assert.deepEqual(await stored(), before);
    assert.deepEqual(await sessions(), signedIn, 'nobody is signed out or in');
  });

  test('session fixation: a cookie that somebody laid there is not what a sign-in goes on with', async () => {
    const laid = 'A'.repeat(43);
    const browser = o.t.browser();
    (browser.cookies() as Map<string, string>).set('twoway-mailbox', laid);
    const opened = await browser.post(
      `${publicUrl}${links['/mailbox/:token']}`,
      {},
      { 'sec-fetch-site': 'same-origin' },
    );
    assert.equal(opened.location, '/mailbox');
    const given = browser.cookies().get('twoway-mailbox') ?? '';
    assert.match(given, /^[\w-]{43}$/);
    assert.notEqual(given, laid);
    const other = o.t.browser();
    (other.cookies() as Map<string, string>).set('twoway-mailbox', laid);
    assert.equal(
      (await other.get(`${publicUrl}/mailbox`)).status,
      401,
      'the cookie that was laid opens nothing',
    );
  });
});
