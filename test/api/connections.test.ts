import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { startConnecting, grantOf, type ConnectingUnderTest } from '../mailbox/connecting.ts';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

const imapScript = `capabilities: IMAP4rev1 AUTH=PLAIN SASL-IR
refusal:
  S: $tag NO [AUTHENTICATIONFAILED] Wrong password
`;
const smtpScript = `protocol: smtp
ehlo: mail.company.example
ehlo: AUTH PLAIN
refusal:
  S: 535 5.7.8 Wrong password
`;

const members = [
  ['s1', 'ann'],
  ['s1', 'ben'],
  ['s2', 'ann'],
] as const;

describe('connections by API', () => {
  let t: ApiUnderTest;
  let world: ConnectingUnderTest;
  const peers: ScriptPeer[] = [];
  const path = '/v1/sub-accounts/s1/users/ann/connection';

  before(async () => {
    t = await startApi({
      kind: 'pglite',
      connectWithPassword: (request) => world.connecting.connectWithPassword(request),
      disconnect: (which) => world.connecting.disconnect(which),
    });
    world = await startConnecting({ db: t.db });
    for (const [sid, uid] of members) await world.member(sid, uid);
  });
  afterEach(async () => {
    for (const userId of ['ann', 'ben']) await world.connecting.disconnect({ userId });
    await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  });
  after(async () => {
    await world.close();
    await t.close();
  });

  /** A mail host whose users have the password `pw-right`. */
  async function host(smtpTokens = ['pw-right']) {
    const [imap, smtp] = [
      await startScriptPeer(imapScript, { tokens: ['pw-right'] }),
      await startScriptPeer(smtpScript, { tokens: smtpTokens }),
    ];
    peers.push(imap, smtp);
    const at = (peer: ScriptPeer) => ({ host: '127.0.0.1', port: peer.port, security: 'none' });
    return { imap: at(imap), smtp: at(smtp) };
  }
  const body = (servers: object, more: object = {}) => ({
    provider: 'imap',
    email: 'ann@company.example',
    ...servers,
    auth: { kind: 'password', username: 'ann', password: 'pw-right' },
    ...more,
  });
  const put = (json: object, of = path) => t.call('PUT', of, { json });
  function refused(answer: Answer, code: string, step?: string): void {
    assert.equal(answer.body['code'], code, JSON.stringify(answer.body));
    assert.equal(answer.body['step'], step);
    assert.doesNotMatch(JSON.stringify(answer.body), /pw-/);
  }

  test('C3 PUT connects a generic mailbox after it has logged in at both servers', async () => {
    const servers = await host();
    const made = await put(body(servers));
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { id, state_since, started_at, ...rest } = made.body;
    assert.match(String(id), /^con_/);
    assert.equal(state_since, started_at);
    assert.deepEqual(rest, {
      sub_account_id: 's1',
      user_id: 'ann',
      provider: 'imap',
      email: 'ann@company.example',
      state: 'connecting',
      reason: null,
      remedy: 'Nothing to do: the mailbox is being connected.',
      next_try_at: null,
      caught_up_to: null,
      backlog: 0,
      ended_at: null,
      limits: {
        attachments_bytes_max: 26_214_400,
        attachment_bytes_max: null,
        attachment_extensions: null,
        individual_messages_per_day_max: 500,
        individual_messages: { used: 0, left: 500, works_again_at: null },
        imap_download_bytes_per_day_max: null,
      },
    });
    assert.deepEqual((await t.call('GET', path)).body, made.body);
    assert.deepEqual((await t.call('GET', `/v1/connections/${String(id)}`)).body, made.body);
    const again = await put(body(servers));
    assert.deepEqual([again.status, again.body['id']], [200, id], 'PUT is idempotent');
    const stored = JSON.stringify(await world.sql('select * from mailboxes'));
    assert.doesNotMatch(stored, /pw-/);
    assert.doesNotMatch(JSON.stringify(t.logged) + world.logged.join(), /pw-|company/);
  });

  test('L3, L4 the limits of a mailbox are what was said of it and else its provider’s, with what is left of them', async () => {
    const { id } = (await put(body(await host()))).body;
    const url = `/v1/connections/${String(id)}`;
    const limitsOf = ({ body }: Answer) => body['limits'] as Record<string, unknown>;
    const said = {
      attachments_bytes_max: null,
      attachment_extensions: ['pdf'],
      individual_messages_per_day_max: 2,
    };
    const set = await put(said, `${url}/limits`);
    assert.equal(set.status, 200, JSON.stringify(set.body));
    const inForce = {
      ...said,
      attachment_bytes_max: null,
      individual_messages: { used: 0, left: 2, works_again_at: null },
      imap_download_bytes_per_day_max: null,
    };
    assert.deepEqual(limitsOf(set), inForce);
    await world.sql(
      `insert into daily_places (send_id, mailbox_id, at)
       select n::text, m.id, now() - n * interval '1 hour' from connections c, mailboxes m, generate_series(1, 2) n
        where c.id = '${String(id)}' and m.id = c.mailbox_id`,
    );
    const shown = await t.call('GET', url);
    const {
      used,
      left,
      works_again_at: again,
    } = limitsOf(shown)['individual_messages'] as Record<string, unknown>;
    assert.deepEqual([used, left], [2, 0]);
    assert.ok(Math.abs(Date.parse(String(again)) - Date.now() - 22 * 3_600_000) < 60_000);
    const listed = (await t.call('GET', '/v1/connections')).body['data'] as {
      id: unknown;
      limits: unknown;
    }[];
    assert.deepEqual(listed.find((one) => one.id === id)?.limits, limitsOf(shown));
    const back = limitsOf(await put({}, `${url}/limits`));
    assert.deepEqual(
      [back['attachments_bytes_max'], back['individual_messages_per_day_max']],
      [26_214_400, 500],
    );
    const wrong = {
      attachment_bytes_max: -1,
      attachment_extensions: ['.PDF'],
      individual_messages_per_day_max: 0,
    };
    const refused = await put({ ...wrong, more: 1 }, `${url}/limits`);
    const fields = (refused.body['errors'] as { path: string }[]).map((field) => field.path);
    assert.deepEqual(fields.toSorted(), [
      'attachment_bytes_max',
      'attachment_extensions.0',
      'individual_messages_per_day_max',
      'more',
    ]);
  });

  test('C3 what fails is named, and nothing is stored', async () => {
    const path = '/v1/sub-accounts/s1/users/ben/connection';
    const putForBen = (json: object) => put(json, path);
    const servers = await host();
    const wrong = { auth: { kind: 'password', password: 'pw-wrong' } };
    refused(await putForBen(body(servers, wrong)), 'imap_login_refused', 'imap');
    refused(await putForBen(body(await host(['other']))), 'smtp_login_refused', 'smtp');
    const dead = { ...servers.imap, port: 1 };
    refused(await putForBen(body({ ...servers, imap: dead })), 'imap_unreachable', 'imap');
    refused(await putForBen(body({ ...servers, smtp: dead })), 'smtp_unreachable', 'smtp');
    const inside = { ...servers.imap, host: '10.0.0.1' };
    refused(await putForBen(body({ ...servers, imap: inside })), 'private_address', 'imap');
    refused(
      await putForBen(body({ ...servers, imap: { ...servers.imap, security: 'starttls' } })),
      'tls_failed',
      'imap',
    );
    assert.equal((await t.call('GET', path)).status, 404);
    assert.deepEqual(await world.sql('select 1 from mailboxes where credential_sealed is not null'), []);
  });

  test('C6 PUT of another mailbox takes the place; if its login fails the old one goes on', async () => {
    const servers = await host();
    const first = await put(body(servers));
    const other = {
      email: 'ann@home.example',
      auth: { kind: 'password', username: 'ann2', password: 'pw-right' },
    };
    await put(body(servers, { ...other, auth: { ...other.auth, password: 'pw-wrong' } }));
    assert.equal((await t.call('GET', path)).body['id'], first.body['id']);
    const second = await put(body(servers, other));
    assert.equal(second.status, 201);
    const old = await t.call('GET', `/v1/connections/${String(first.body['id'])}`);
    assert.equal(old.body['state'], 'superseded');
    assert.equal((await t.call('GET', path)).body['email'], 'ann@home.example');
  });

  test('C4 a password keeps nobody from an address, and joins nobody: not another server, login or provider', async () => {
    await world.sql('truncate mailboxes cascade');
    const servers = await host();
    const ben = '/v1/sub-accounts/s1/users/ben/connection';
    assert.equal((await put(body(servers), '/v1/sub-accounts/s2/users/ann/connection')).status, 201);
    const other = { auth: { kind: 'password', username: 'eve', password: 'pw-right' } };
    assert.equal((await put(body(servers, other), ben)).status, 201);
    assert.equal((await put(body(await host()), ben)).status, 200, 'the address moves to another host');
    const request = { subAccountId: 's1', userId: 'ann', replace: false, linkId: null };
    for (const provider of ['gmail', 'outlook'] as const) {
      const grant = grantOf('ann@company.example');
      const result = await world.connecting.connectWithGrant({ ...request, provider, grant, replace: true });
      assert.equal(result.outcome, 'connected');
    }
    assert.deepEqual(
      await world.sql(
        `select m.provider, m.login, m.servers #>> '{imap,port}' = '${servers.imap.port}' as first, c.sub_account_id || ' ' || c.user_id as who
           from mailboxes m join connections c on c.mailbox_id = m.id order by c.id`,
      ),
      [
        { provider: 'imap', login: 'ann', first: true, who: 's2 ann' },
        { provider: 'imap', login: 'ann', first: false, who: 's1 ben' },
        { provider: 'gmail', login: 'ann@company.example', first: null, who: 's1 ann' },
        { provider: 'outlook', login: 'ann@company.example', first: null, who: 's1 ann' },
      ],
    );
    assert.equal((await put(body(servers), ben)).status, 201, 'C4 the same login at the same server joins');
    assert.equal((await world.sql('select 1 from mailboxes')).length, 4);
  });

  test('OAuth 2 at a generic host is not available yet', async () => {
    const answer = await put(
      body(await host(), { auth: { kind: 'oauth2', token_url: 'https://id.example' } }),
    );
    assert.equal(answer.status, 501);
    refused(answer, 'not_available');
    assert.deepEqual(peers[0]?.sent('*'), []);
  });

  test('what is not valid is named at once', async () => {
    const answer = await put({
      provider: 'gmail',
      email: 'ann',
      imap: { host: 'mail company', port: 0, security: 'ssl' },
      auth: { kind: 'password' },
    });
    assert.deepEqual(
      (answer.body['errors'] as { path: string; code: string }[]).map(
        (error) => `${error.path} ${error.code}`,
      ),
      [
        'provider invalid_value',
        'email invalid_address',
        'imap.host invalid_host',
        'imap.port too_small',
        'imap.security invalid_value',
        'smtp required',
        'auth.password required',
      ],
    );
  });

  test('C7 DELETE disconnects; the connection stays to be seen', async () => {
    await world.connecting.connectWithGrant({
      subAccountId: 's1',
      userId: 'ann',
      replace: false,
      linkId: null,
      provider: 'outlook',
      grant: grantOf('ann@company.example'),
    });
    assert.equal((await t.call('DELETE', path)).status, 204);
    const { body: shown } = await t.call('GET', path);
    assert.deepEqual([shown['state'], shown['caught_up_to']], ['disconnected', null]);
    assert.notEqual(shown['ended_at'], null);
    assert.equal((await t.call('DELETE', path)).status, 404);
  });

  test('lists by state and sub-account, in pages, and never another tenant’s', async () => {
    for (const [subAccountId, userId] of members) {
      const request = { subAccountId, userId, replace: false, linkId: null, provider: 'gmail' } as const;
      await world.connecting.connectWithGrant({
        ...request,
        grant: grantOf(`${subAccountId}-${userId}@company.example`),
      });
    }
    await world.connecting.disconnect({ subAccountId: 's1', userId: 'ben' });
    const emails = async (query: string, key?: string) => {
      const { body: page } = await t.call(
        'GET',
        `/v1/connections?${query}`,
        key === undefined ? {} : { key },
      );
      return (page['data'] as { email: string }[]).map(({ email }) => email.split('@')[0]);
    };
    assert.deepEqual(await emails('state=connecting'), ['s2-ann', 's1-ann']);
    assert.deepEqual(await emails('state=connecting&sub_account_id=s1'), ['s1-ann']);
    assert.deepEqual(await emails('state=connecting&sub_account_id=s9'), []);
    const key = await t.makeKey('s1', 'read');
    assert.deepEqual(await emails('state=connecting', key), ['s1-ann']);
    assert.deepEqual(await emails('state=connecting&sub_account_id=s2', key), []);
    const first = await t.call('GET', '/v1/connections?limit=1&state=connecting');
    const next = `cursor=${String(first.body['next_cursor'])}&state=connecting`;
    assert.deepEqual(await emails(next), ['s1-ann']);
    const bad = await t.call('GET', '/v1/connections?state=asleep');
    assert.deepEqual([bad.status, bad.body['code']], [422, 'invalid_request']);
  });
});
