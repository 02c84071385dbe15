import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ConnectionId } from '../../../../src/lib/id.ts';
import { connectionStates, remedyNameOf } from '../../../../src/provider/connection-states.ts';
import { findText } from '../../../../src/console/texts/texts.ts';
import { logLogins, logSessionEnd } from '../../../../src/store/connection-log.ts';
import { setMailboxState } from '../../../../src/store/connections.ts';
import { run } from '../../../../src/store/database.ts';
import { createTokenStore } from '../../../../src/store/tokens.ts';
import { grantOf } from '../../../mailbox/connecting.ts';
import { publicUrl, startPages } from '../../pages.ts';
import type { Browser, PagesUnderTest } from '../../pages.ts';

const list = `${publicUrl}/admin/connections`;
const nasty = `<img src=x onerror=alert(1)>"'`;

describe('the administrators’ pages about connections', () => {
  let t: PagesUnderTest;
  let root: Browser;
  let ids: Record<'ann' | 'bob' | 'eve', ConnectionId>;

  const connect = async (userId: string, subAccountId = 's1', address = `${userId}@mail.example`) => {
    await t.member(subAccountId, userId);
    const done = await t.connecting.connectWithGrant({
      subAccountId,
      userId,
      provider: 'gmail',
      grant: grantOf(address),
      replace: false,
      linkId: null,
    });
    assert.ok(done.outcome === 'connected');
    return done.connectionId;
  };
  const mailboxOf = async (id: ConnectionId) => {
    const [row] = await t.sql<{ mailbox_id: `mbx_${string}` }>(
      `select mailbox_id from connections where id = '${id}'`,
    );
    return row?.mailbox_id ?? assert.fail(id);
  };

  before(async () => {
    t = await startPages();
    ids = { ann: await connect('ann'), bob: await connect('bob'), eve: await connect('eve', 's2') };
    await run(t.db, 'update users set name = :nasty where id = :id', { nasty, id: 'eve' });
    const mailboxId = await mailboxOf(ids.ann);
    await setMailboxState(t.db, mailboxId, { state: 'live', reason: null, nextTryAt: null });
    await setMailboxState(t.db, mailboxId, {
      state: 'reauth_required',
      reason: 'invalid_grant',
      nextTryAt: null,
    });
    root = await t.administrator();
  });
  after(() => t.close());

  test('C5: those that need a person come first, with how many are in each state', async () => {
    const { status, text } = await root.get(list);
    assert.equal(status, 200);
    assert.match(text, /All 3 Sign-in needed 1 Connecting 2/);
    const order = [...text.matchAll(/(\w+)@mail\.example/g)].map(([, name]) => name);
    assert.deepEqual(order, ['ann', 'eve', 'bob']);
  });

  for (const [query, expected] of [
    ['state=connecting', ['eve', 'bob']],
    ['state=reauth_required', ['ann']],
    ['state=nonsense', ['ann', 'eve', 'bob']],
    ['sub_account=s2', ['eve']],
    ['sub_account=s3', []],
    ['provider=gmail', ['ann', 'eve', 'bob']],
    ['provider=outlook', []],
    ['q=bob%40mail', ['bob']],
    ['q=BOB', ['bob']],
    ['q=eve%40crm.example', ['eve']],
    ['q=User+ann', ['ann']],
    ['q=%25', []],
    ['q=onerror', ['eve']],
    ['q=ann&sub_account=s2', []],
    [`after=1.con_0`, []],
    ['after=nonsense', ['ann', 'eve', 'bob']],
  ] as const) {
    test(`the list by ${query}`, async () => {
      const { status, text } = await root.get(`${list}?${query}`);
      assert.equal(status, 200);
      const shown = [...text.slice(text.indexOf('Search')).matchAll(/(\w+)@mail\.example/g)];
      assert.deepEqual(
        shown.map(([, name]) => name),
        expected,
      );
      if (expected.length === 0) assert.match(text, /No connection is like that\. Show all connections/);
    });
  }

  test('a long list goes by pages, each connection once', async () => {
    await run(
      t.db,
      `insert into users (id, name, email) select 'u' || n, 'U' || n, 'u' || n || '@crm.example' from generate_series(1, 120) n`,
    );
    await run(
      t.db,
      `insert into user_addresses (user_id, kind, canonical) select id, 'login', email from users where id ~ '^u\\d'`,
    );
    await run(
      t.db,
      `insert into connections (id, sub_account_id, user_id, provider, state)
       select 'con_' || lpad(n::text, 4, '0'), 's1', 'u' || n, 'outlook',
              case when n % 2 = 0 then 'admin_consent_required' else 'permission_missing' end from generate_series(1, 120) n`,
    );
    const seen: string[] = [];
    let at: string | undefined = `${list}?provider=outlook`;
    for (let pages = 0; at !== undefined && pages < 5; pages += 1) {
      const { html } = await root.get(at);
      seen.push(...[...html.matchAll(/href="\/admin\/connections\/(con_\d{4})"/g)].map(([, id]) => id ?? ''));
      const next = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
      at = next === undefined ? undefined : new URL(next, publicUrl).href;
    }
    assert.equal(seen.length, 120);
    assert.equal(new Set(seen).size, 120);
    await run(t.db, `delete from users where id ~ '^u\\d'`);
  });

  test('one connection: state with cause and remedy, and what happened to it in order', async () => {
    const mailboxId = await mailboxOf(ids.ann);
    const line = (await logLogins(t.db, [mailboxId])).get(mailboxId) ?? null;
    await logSessionEnd(t.db, { mailboxId, line, reason: 'connection_closed' });
    for (const _ of [1, 2, 3]) await logSessionEnd(t.db, { mailboxId, line: null, reason: 'login_refused' });
    const tokens = createTokenStore(t.db, t.secretBox);
    const { version } = (await tokens.readCredential(mailboxId)) ?? assert.fail();
    await tokens.saveTokens(mailboxId, version, {
      refreshToken: 'r',
      accessToken: 'a',
      accessTokenExpiresAt: Date.now() + 1000,
    });
    const { text, title } = await root.get(`${list}/${ids.ann}`);
    assert.equal(title, 'ann@mail.example · Administration');
    assert.match(text, /Sign-in needed since .* they must connect the mailbox again/);
    assert.match(text, /Cause invalid_grant/);
    assert.match(text, /0 of 500/, 'L3');
    const life = text.slice(text.indexOf('Life line'));
    const parts = [
      'The access token was renewed.',
      '3 tries to log in, one after the other, came to nothing. The provider refused the login. login_refused',
      'Logged in for 0 seconds. The provider closed the connection. connection_closed',
      'Sign-in needed invalid_grant',
      'Live',
      'Connecting',
    ].map((part) => life.indexOf(part));
    assert.ok(!parts.includes(-1), life);
    assert.deepEqual(
      parts,
      parts.toSorted((a, b) => a - b),
    );
    assert.doesNotMatch((await root.get(`${list}/${ids.bob}`)).text, /login_refused|invalid_grant/);
  });

  test('names that people gave themselves are text, wherever they show', async () => {
    for (const url of [
      list,
      `${list}?q=${encodeURIComponent(nasty)}&sub_account=${encodeURIComponent(nasty)}`,
    ]) {
      const { html } = await root.get(url);
      assert.doesNotMatch(html, /<img/);
      assert.doesNotMatch(html, /style=|onerror=(?!alert\(1\)&)|<script(?! src="\/assets)/);
    }
  });

  test('C5, T2, C7: it is paused, resumed, audited and disconnected', async () => {
    const page = `${list}/${ids.bob}`;
    const act = async (verb: string) => {
      await root.get(page);
      const { status, location } = await root.submit({}, `/admin/connections/${ids.bob}/${verb}`);
      assert.equal(status, 303);
      return (await root.get(new URL(location ?? '', publicUrl).href)).text;
    };
    assert.match(await act('pause'), /It is paused\. .*Paused since/);
    assert.match(await act('resume'), /It goes on\. .*Connecting since/);
    assert.match(await act('audit'), /The audit is on its way.*Last audit Waits for its turn/);
    assert.deepEqual((await t.sql(`select kind, connection_id from errands where kind = 'audit'`)).length, 1);
    const before = await root.get(page);
    const form = /name="form_token" value="([^"]+)"/.exec(before.html)?.[1] ?? '';
    assert.match(await act('disconnect'), /It is disconnected\. .*Disconnected since/);
    assert.match((await root.get(page)).text, /Life line .*Disconnected .*Connecting .*Paused .*Connecting/);
    assert.doesNotMatch((await root.get(page)).text, /What you can do/);
    for (const verb of ['pause', 'resume', 'audit', 'disconnect']) {
      const late = await root.post(
        `${page}/${verb}`,
        { form_token: form },
        { 'sec-fetch-site': 'same-origin' },
      );
      assert.match(late.location ?? '', /done=not_connected/, verb);
    }
    const written = await t.sql<{ action: string; subject: string; email: string }>(
      'select action, subject, email from audit order by id',
    );
    assert.deepEqual(
      written,
      ['paused', 'resumed', 'audited', 'disconnected'].map((verb) => ({
        action: `connection.${verb}`,
        subject: ids.bob,
        email: 'root@operator.example',
      })),
    );
    assert.match((await root.get(`${page}?done=not_connected`)).text, /Nothing was changed/);
    assert.doesNotMatch((await root.get(`${page}?done=%3Cb%3E`)).html, /<b>|role="status"/);
  });

  test('nobody else does that: no session, a person’s session, another site, no token', async () => {
    const url = `${list}/${ids.eve}/disconnect`;
    await root.get(`${list}/${ids.eve}`);
    for (const who of [t.browser(), await t.person()]) {
      assert.equal((await who.post(url, {})).location, '/admin/sign-in');
      assert.match((await who.get(list)).location ?? '', /^\/admin\/sign-in\?to=/);
    }
    assert.equal((await root.post(url, { form_token: 'x' })).status, 403);
    assert.equal((await root.post(url, {}, { 'sec-fetch-site': 'cross-site' })).status, 403);
    const [row] = await t.sql<{ ended_at: Date | null }>(
      `select ended_at from connections where id = '${ids.eve}'`,
    );
    assert.equal(row?.ended_at, null);
    assert.equal((await root.get(`${list}/con_0`)).status, 404);
  });

  test('in German, with a remedy for each state and cause', async () => {
    const german = await t.administrator('root@operator.example', { language: 'de' });
    const page = await german.get(`${list}/${ids.ann}`);
    assert.match(page.text, /Anmeldung nötig seit .* Sie muss das Postfach noch einmal verbinden/);
    const causes = ['imap_econnrefused', 'imap_etimedout', 'unknown_host', 'private_address', 'self_signed'];
    for (const state of Object.keys(connectionStates) as (keyof typeof connectionStates)[])
      for (const cause of [null, ...causes, 'web_login_required', 'bandwidth_limit', 'login_refused'])
        assert.notEqual(findText(`conn.remedy.${remedyNameOf(state, cause)}`), null, `${state} ${cause}`);
  });
});
