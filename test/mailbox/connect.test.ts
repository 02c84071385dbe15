import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { ProvenLoginId } from '../../src/lib/id.ts';
import type { ConnectRequest } from '../../src/mailbox/settle.ts';
import { listConnections, setMailboxState } from '../../src/store/connections.ts';
import { insertConnectLink, findConnectLink } from '../../src/store/connect-links.ts';
import { run } from '../../src/store/database.ts';
import { credentialContext } from '../../src/store/mailboxes.ts';
import { createTokenStore } from '../../src/store/tokens.ts';
import { databaseKinds } from '../support/database.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { grantOf, revoking, startConnecting, type ConnectingUnderTest } from './connecting.ts';

for (const kind of databaseKinds) {
  describe(`connecting on ${kind}`, () => {
    let t: ConnectingUnderTest;
    let gmail: ReturnType<typeof revoking>;

    before(async () => {
      gmail = revoking();
      t = await startConnecting({ kind, more: [gmail] });
    });
    after(() => t.close());
    beforeEach(async () => {
      await run(t.db, 'truncate sub_accounts, users, mailboxes, events, revocations cascade');
      gmail.revoked.length = 0;
      t.woken.length = 0;
      t.logged.length = 0;
      await t.member('s1', 'ann');
      await t.member('s2', 'ann');
      await t.member('s2', 'ben');
      await t.events();
    });

    const ann: ConnectRequest = { subAccountId: 's1', userId: 'ann', replace: false, linkId: null };
    const ann2: ConnectRequest = { ...ann, subAccountId: 's2' };
    const ben2: ConnectRequest = { ...ann2, userId: 'ben' };
    const connect = (request: ConnectRequest, email: string, more: Parameters<typeof grantOf>[1] = {}) =>
      t.connecting.connectWithGrant({ ...request, provider: 'gmail', grant: grantOf(email, more) });
    const states = async () =>
      (await listConnections(t.db, { state: null, subAccountId: null }, { after: null, limit: 50 }))
        .toReversed()
        .map(({ sub_account_id, user_id, email, state }) => `${sub_account_id} ${user_id} ${email} ${state}`);
    /** Nothing is left to revoke. */
    const over = () =>
      waitFor('no revocation', async () => (await t.sql('select 1 from revocations')).length === 0);
    const types = async () => (await t.events()).map(({ type }) => type);

    test('C1 C2 a consent connects: address and login apart, tokens sealed, one event', async () => {
      const result = await connect(ann, 'Ann@Company.example', { login: 'ann@tenant.example' });
      assert.equal(result.outcome, 'connected');
      const [mailbox] = await t.sql<Record<string, string>>('select * from mailboxes');
      assert.equal(mailbox?.['address'], 'Ann@Company.example');
      assert.equal(mailbox['login'], 'ann@tenant.example');
      assert.doesNotMatch(JSON.stringify(mailbox), /secret-of/);
      assert.doesNotMatch(t.logged.join(), /secret-of|@/);
      const store = createTokenStore(t.db, t.secretBox);
      const credential = await store.readCredential(mailbox['id'] as 'mbx_');
      assert.equal(credential?.refreshToken, 'rt-secret-of-Ann@Company.example');
      assert.equal(credential.accessToken, 'at-secret-of-Ann@Company.example');
      assert.deepEqual(await states(), ['s1 ann Ann@Company.example connecting']);
      const events = await t.events();
      assert.deepEqual(
        events.map((event) => event.type),
        ['connection.created'],
      );
      assert.equal(events[0]?.data['state'], 'connecting');
      assert.deepEqual(t.woken, [mailbox['id']]);
    });

    test('S7 the mailbox’s address counts as the user’s', async () => {
      await connect(ann, 'ann+crm@company.example');
      assert.deepEqual(await t.sql(`select user_id, canonical from user_addresses where kind = 'mailbox'`), [
        { user_id: 'ann', canonical: 'ann@company.example' },
      ]);
    });

    test('C4 another sub-account joins the one mailbox; the newest consent wins', async () => {
      await connect(ann, 'ann@company.example');
      const [before] = await t.sql<{ id: 'mbx_'; token_version: string }>(
        'select id, token_version from mailboxes',
      );
      await setMailboxState(t.db, before!.id, { state: 'live', reason: null, nextTryAt: null });
      const result = await connect(ann2, 'ANN@company.example', { refreshToken: 'rt-newest' });
      assert.equal(result.outcome, 'connected');
      const mailboxes = await t.sql<{ id: 'mbx_'; credential_sealed: string; token_version: string }>(
        'select id, credential_sealed, token_version from mailboxes',
      );
      assert.equal(mailboxes.length, 1);
      assert.equal(
        t.secretBox.open(mailboxes[0]!.credential_sealed, credentialContext(before!.id)),
        'rt-newest',
      );
      assert(Number(mailboxes[0]!.token_version) > Number(before!.token_version));
      assert.deepEqual(await states(), [
        's1 ann ANN@company.example live',
        's2 ann ANN@company.example live',
      ]);
    });

    test('C4 an equal address of another account is another mailbox, with its own credential', async () => {
      await connect(ann, 'ann@company.example');
      const more = { identityKey: 'somebody else', refreshToken: 'rt-other' };
      assert.equal((await connect(ben2, 'ann@company.example', more)).outcome, 'connected');
      assert.deepEqual(await states(), [
        's1 ann ann@company.example connecting',
        's2 ben ann@company.example connecting',
      ]);
      const mailboxes = await t.sql<{ id: 'mbx_'; credential_sealed: string }>(
        'select id, credential_sealed from mailboxes order by id',
      );
      assert.deepEqual(
        mailboxes.map(({ id, credential_sealed }) =>
          t.secretBox.open(credential_sealed, credentialContext(id)),
        ),
        ['rt-secret-of-ann@company.example', 'rt-other'],
      );
    });

    test('C2 a reconnect revives everybody who waited for it, with one event each', async () => {
      await connect(ann, 'ann@company.example');
      await connect(ann2, 'ann@company.example');
      const [mailbox] = await t.sql<{ id: 'mbx_' }>('select id from mailboxes');
      const reauth = { state: 'reauth_required', reason: 'token_revoked', nextTryAt: null } as const;
      await setMailboxState(t.db, mailbox!.id, reauth);
      await t.events();
      const result = await connect(ann, 'ann@company.example');
      assert.equal(result.outcome === 'connected' && result.created, false);
      assert.deepEqual(await states(), [
        's1 ann ann@company.example connecting',
        's2 ann ann@company.example connecting',
      ]);
      assert.deepEqual(await types(), ['connection.state_changed', 'connection.state_changed']);
      await connect(ann, 'ann@company.example');
      assert.deepEqual(await types(), [], 'the same state is never announced twice');
    });

    test('C2 a reconnect with another address is refused with both named, and nothing changes', async () => {
      await connect(ann, 'ann@company.example');
      await t.events();
      assert.deepEqual(await connect(ann, 'ann@home.example'), {
        outcome: 'wrong_identity',
        expected: 'ann@company.example',
        given: 'ann@home.example',
      });
      assert.deepEqual(await states(), ['s1 ann ann@company.example connecting']);
      assert.deepEqual(await types(), []);
      assert.equal((await t.sql('select id from mailboxes')).length, 1);
      await waitFor('the revocation', () => gmail.revoked.includes('rt-secret-of-ann@home.example'));
    });

    test('C2 a wrong account that others use is not ended at the provider', async () => {
      await connect(ann, 'ann@company.example');
      await connect(ben2, 'ben@company.example');
      assert.equal((await connect(ann, 'ben@company.example')).outcome, 'wrong_identity');
      await t.connecting.disconnect({ userId: 'ann' });
      await waitFor('a later revocation', () => gmail.revoked.length > 0);
      assert.deepEqual(gmail.revoked, ['rt-secret-of-ann@company.example']);
    });

    test('C2 an account that was renamed at the provider is the same mailbox', async () => {
      await connect(ann, 'ann@company.example', { identityKey: 'sub 7' });
      const result = await connect(ann, 'ann.married@company.example', { identityKey: 'sub 7' });
      assert.equal(result.outcome === 'connected' && result.created, false);
      assert.deepEqual(await t.sql('select address, canonical from mailboxes'), [
        { address: 'ann.married@company.example', canonical: 'ann.married@company.example' },
      ]);
    });

    test('C6 update e-mail: one step supersedes the old connection and opens the new one', async () => {
      await connect(ann, 'ann@company.example');
      const [old] = await t.sql<{ id: 'mbx_' }>('select id from mailboxes');
      await liveThread(t, old!.id);
      await t.events();
      const result = await connect({ ...ann, replace: true }, 'ann@home.example');
      assert.equal(result.outcome === 'connected' && result.created, true);
      assert.deepEqual(await states(), [
        's1 ann ann@company.example superseded',
        's1 ann ann@home.example connecting',
      ]);
      assert.deepEqual(await types(), ['thread.unlinked', 'connection.superseded', 'connection.created']);
      assert.deepEqual(await t.sql('select state, reason from thread_links'), [
        { state: 'unlinked', reason: 'superseded' },
      ]);
      const left = await t.sql(
        `select 1 from mailboxes where id = '${old!.id}' and credential_sealed is null`,
      );
      assert.equal(left.length, 1);
      assert.equal(t.woken.filter((id) => id === old!.id).length, 2, 'the old listener is told, too');
      await waitFor('the revocation', () => gmail.revoked.includes('rt-secret-of-ann@company.example'));
    });

    test('C6 a consent that fails leaves the old connection untouched', async () => {
      await connect(ann, 'ann@company.example');
      await t.events();
      const replace = { ...ann, replace: true };
      const unticked = await connect(replace, 'ann@home.example', { missingScopes: ['mail'] });
      assert.equal(unticked.outcome, 'permission_missing');
      await t.connecting.waitForAdministrator({ ...replace, provider: 'outlook' });
      const server = { host: '127.0.0.1', port: 1, security: 'none' } as const;
      const login = { imap: server, smtp: server, user: 'ann', password: 'secret' };
      const refused = t.connecting.connectWithPassword({ ...replace, address: 'ann@home.example', login });
      await assert.rejects(refused, { code: 'imap_unreachable' });
      assert.deepEqual(await states(), ['s1 ann ann@company.example connecting']);
      assert.deepEqual(await types(), []);
    });

    test('C8 where folders ended when a login was proven is known to the listener, also where the person confirms it later', async () => {
      const imap = await startScriptPeer(
        'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN LIST-EXTENDED LIST-STATUS\nfolder: INBOX uidvalidity 7 uidnext 4\nfolder: Old uidvalidity 9 uidnext 21 exists 2\n',
      );
      const smtp = await startScriptPeer('protocol: smtp\nehlo: mail.company.example\nehlo: AUTH PLAIN\n');
      const at = ({ host, port }: ScriptPeer) => ({ host, port, security: 'none' as const });
      const login = { imap: at(imap), smtp: at(smtp), user: 'ann', password: 'secret' };
      const link = { subAccountId: 's1', userId: 'ann', provider: null, returnUrl: null, replace: false };
      await insertConnectLink(t.db, { ...link, tokenHash: Buffer.from('kept'), lifeMs: 60_000 });
      const linkId = (await findConnectLink(t.db, { tokenHash: Buffer.from('kept') }))?.id ?? null;
      const confirmBy = Buffer.from('page');
      const address = 'ann@home.example';
      const kept = await t.connecting.connectWithPassword({ ...ann, linkId, confirmBy, address, login });
      assert.equal(kept.outcome, 'to_confirm');
      const [page] = await t.sql<{ id: ProvenLoginId }>('select id from proven_logins');
      await t.connecting.confirm(page!.id);
      const folders = () =>
        t.sql(
          `select path, uid_validity::int as validity, cursor_uid::int as uid from folders order by path`,
        );
      assert.deepEqual(await folders(), [{ path: 'Old', validity: 9, uid: 20 }]);
      assert.deepEqual(await t.sql('select ends from proven_logins'), [{ ends: [] }]);
      // Whoever is connected already wants what has come since then.
      await run(t.db, 'update folders set uid_validity = null, cursor_uid = 0');
      await t.connecting.connectWithPassword({ ...ben2, address, login });
      assert.deepEqual(await folders(), [{ path: 'Old', validity: null, uid: 0 }]);
      await run(
        t.db,
        `insert into folders (id, mailbox_id, path, role) select 'fld_inbox', mailbox_id, 'INBOX', 'inbox' from folders`,
      );
      for (const { subAccountId, userId } of [ann, ben2])
        await t.connecting.disconnect({ subAccountId, userId });
      await t.connecting.connectWithPassword({ ...ann, address, login });
      assert.deepEqual(await t.sql('select path, cursor_uid::int as uid from folders order by path'), [
        { path: 'INBOX', uid: 0 },
        { path: 'Old', uid: 20 },
      ]);
      const missing = await t.sql('select path from folders where missing_since is not null');
      assert.deepEqual(missing, [], 'what is listened to otherwise is not missing for that');
      await Promise.all([imap.stop(), smtp.stop()]);
    });

    test('C1 an unticked permission waits in its own state, and becomes the connection', async () => {
      const missing = { missingScopes: ['https://mail.google.com/'] };
      await connect(ann, 'ann@company.example', missing);
      assert.deepEqual(await states(), ['s1 ann null permission_missing']);
      assert.equal((await t.sql('select id from mailboxes')).length, 0);
      const [created, ...others] = await t.events();
      assert.equal(created?.data['reason'], 'https://mail.google.com/');
      assert.deepEqual(others, []);
      await connect(ann, 'ann@company.example', missing);
      assert.deepEqual(await types(), [], 'the same state is never announced twice');
      const result = await connect(ann, 'ann@company.example');
      assert.equal(result.outcome === 'connected' && result.connectionId, created?.data['id']);
      assert.deepEqual(await states(), ['s1 ann ann@company.example connecting']);
      assert.deepEqual(await types(), ['connection.state_changed']);
    });

    test('C5 who lost the consent and needs an administrator for the next one is told so', async () => {
      await connect(ann, 'ann@company.example');
      const [mailbox] = await t.sql<{ id: 'mbx_' }>('select id from mailboxes');
      await setMailboxState(t.db, mailbox!.id, { state: 'reauth_required', reason: null, nextTryAt: null });
      await t.connecting.waitForAdministrator({ ...ann, provider: 'gmail' });
      assert.deepEqual(await states(), ['s1 ann ann@company.example admin_consent_required']);
      await connect(ann, 'ann@company.example');
      assert.deepEqual(await states(), ['s1 ann ann@company.example connecting']);
    });

    test('C7 disconnecting one of two leaves the mailbox alone', async () => {
      await connect(ann, 'ann@company.example');
      await connect(ann2, 'ann@company.example');
      await t.events();
      assert.equal(await t.connecting.disconnect({ subAccountId: 's1', userId: 'ann' }), 1);
      assert.deepEqual(await states(), [
        's1 ann ann@company.example disconnected',
        's2 ann ann@company.example connecting',
      ]);
      assert.deepEqual(await types(), ['connection.disconnected']);
      assert.equal((await t.sql('select 1 from mailboxes where credential_sealed is not null')).length, 1);
    });

    test('C7 the last one erases the credential and ends the grant; what is stored stays', async () => {
      await connect(ann, 'ann@company.example');
      const [mailbox] = await t.sql<{ id: 'mbx_' }>('select id from mailboxes');
      await liveThread(t, mailbox!.id);
      await t.events();
      t.woken.length = 0;
      assert.equal(await t.connecting.disconnect({ userId: 'ann' }), 1);
      assert.deepEqual(await types(), ['thread.unlinked', 'connection.disconnected']);
      assert.deepEqual(t.woken, [mailbox!.id]);
      assert.deepEqual(
        await t.sql('select credential_sealed, access_token_sealed, access_token_expires_at from mailboxes'),
        [{ credential_sealed: null, access_token_sealed: null, access_token_expires_at: null }],
      );
      assert.equal((await t.sql('select id from threads')).length, 1);
      await waitFor('the revocation', () => gmail.revoked.length === 1);
      assert.equal(
        await t.connecting.disconnect({ userId: 'ann' }),
        0,
        'a second time there is nothing to end',
      );
    });

    test('C7 a connection that waits is ended like any other', async () => {
      await t.connecting.waitForAdministrator({ ...ann, provider: 'outlook' });
      await t.events();
      assert.equal(await t.connecting.disconnect({ subAccountId: 's1' }), 1);
      assert.deepEqual(await states(), ['s1 ann null disconnected']);
      assert.deepEqual(await types(), ['connection.disconnected']);
      await assert.rejects(t.connecting.disconnect({}), /whom/);
    });

    test('C7 connecting again starts from then', async () => {
      await connect(ann, 'ann@company.example');
      const [mailbox] = await t.sql<{ id: 'mbx_' }>('select id from mailboxes');
      await run(
        t.db,
        `insert into folders (id, mailbox_id, path, role, uid_validity, cursor_uid) values ('fld_1', :id, 'INBOX', 'inbox', 7, 41)`,
        { id: mailbox!.id },
      );
      await run(t.db, `update mailboxes set state = 'live', caught_up_to = now(), node_id = 'a'`);
      await t.connecting.disconnect({ userId: 'ann' });
      await connect(ann, 'ann@company.example');
      assert.deepEqual(await t.sql('select uid_validity, cursor_uid from folders'), [
        { uid_validity: null, cursor_uid: '0' },
      ]);
      assert.deepEqual(await t.sql('select state, caught_up_to, node_id from mailboxes'), [
        { state: 'connecting', caught_up_to: null, node_id: null },
      ]);
      assert.deepEqual(await states(), [
        's1 ann ann@company.example disconnected',
        's1 ann ann@company.example connecting',
      ]);
    });

    test('C7 a credential that no key opens any more keeps nobody from leaving', async () => {
      await connect(ann, 'ann@company.example');
      await run(t.db, `update mailboxes set credential_sealed = 'v1.lost.AAAA.AAAA'`);
      assert.equal(await t.connecting.disconnect({ userId: 'ann' }), 1);
      assert.deepEqual(await states(), ['s1 ann ann@company.example disconnected']);
      assert.equal(t.woken.length, 2, 'its listener stops');
      await over();
      assert.deepEqual(gmail.revoked, []);
      assert.match(t.logged.join(), /"level":"error".*a grant was not revoked/);
    });

    for (const [outcome, begin] of [
      ['permission_missing', () => connect(ann, 'eve@home.example', { missingScopes: ['mail'] })],
      ['not_a_member', () => connect({ ...ann, userId: 'ben' }, 'eve@home.example')],
      [
        'not_a_member',
        () => connect({ ...ann, userId: 'ben' }, 'eve@home.example', { missingScopes: ['mail'] }),
      ],
      ['link_used', () => connect({ ...ann, linkId: 'lnk_used' }, 'eve@home.example')],
    ] as const) {
      test(`C1 a grant that came to ${outcome} is ended, and not when the account is in use here`, async () => {
        assert.equal((await begin()).outcome, outcome);
        await over();
        assert.deepEqual(gmail.revoked, ['rt-secret-of-eve@home.example']);
        await connect(ben2, 'eve@home.example');
        assert.equal((await begin()).outcome, outcome);
        await over();
        assert.equal(gmail.revoked.length, 1, 'it would end what ben uses');
      });
    }

    test('C1 a grant that could not be stored is ended, and not when the account is in use here', async () => {
      // A text of PostgreSQL holds no zero character.
      const begin = () => assert.rejects(connect(ann, 'eve@home.example', { login: 'eve\0' }));
      await begin();
      await waitFor('the grant to be ended', () => gmail.revoked.length === 1);
      assert.deepEqual(gmail.revoked, ['rt-secret-of-eve@home.example']);
      await over();
      await connect(ben2, 'eve@home.example');
      await begin();
      await over();
      assert.equal(gmail.revoked.length, 1, 'it would end what ben uses');
    });

    test('C1 nobody but a member is connected', async () => {
      const request = { ...ann, userId: 'ben' };
      assert.deepEqual(await connect(request, 'ben@company.example'), { outcome: 'not_a_member' });
      assert.deepEqual(await connect(request, 'ben@company.example', { missingScopes: ['mail'] }), {
        outcome: 'not_a_member',
      });
      assert.equal(
        await t.connecting.waitForAdministrator({ ...request, provider: 'outlook' }),
        'not_a_member',
      );
      assert.deepEqual(await states(), []);
      assert.equal((await t.sql('select id from mailboxes')).length, 0);
    });

    test('C1 ten consents at once make one connection of one mailbox', async () => {
      const results = await Promise.all(
        Array.from({ length: 10 }, () => connect(ann, 'ann@company.example')),
      );
      const made = results.filter((result) => result.outcome === 'connected' && result.created);
      assert.equal(made.length, 1);
      assert.deepEqual(await states(), ['s1 ann ann@company.example connecting']);
    });

    test('C4 everybody at once, in two sub-accounts, makes one mailbox', async () => {
      const results = await Promise.all(
        [ann, ann2, ben2].map((request) => connect(request, 'team@company.example')),
      );
      assert.deepEqual(
        results.map((result) => result.outcome),
        ['connected', 'connected', 'connected'],
      );
      assert.equal((await t.sql('select id from mailboxes')).length, 1);
    });

    test('C1 a link leads to one connection, whatever else is under way', async () => {
      const link = { subAccountId: 's1', userId: 'ann', provider: null, returnUrl: null, replace: true };
      await insertConnectLink(t.db, { ...link, tokenHash: Buffer.from('hash'), lifeMs: 60_000 });
      const linkId = (await findConnectLink(t.db, { tokenHash: Buffer.from('hash') }))?.id ?? null;
      const request = { ...ann, replace: true, linkId };
      const results = await Promise.all([
        connect(request, 'ann@company.example'),
        connect(request, 'ann@home.example'),
      ]);
      assert.deepEqual(results.map((result) => result.outcome).sort(), ['connected', 'link_used']);
      assert.equal((await states()).length, 1);
      await t.connecting.disconnect({ userId: 'ann' });
      const unticked = await connect(request, 'ann@company.example', { missingScopes: ['mail'] });
      assert.equal(unticked.outcome, 'link_used');
      assert.equal(
        await t.connecting.waitForAdministrator({ ...request, provider: 'outlook' }),
        'link_used',
        'another tab was first',
      );
      assert.equal((await t.sql('select 1 from connections where ended_at is null')).length, 0);
    });
  });
}

/** A thread that lives in the mailbox, as filing would have made it. */
async function liveThread(t: ConnectingUnderTest, mailboxId: string): Promise<void> {
  await run(
    t.db,
    `insert into threads (id, sub_account_id, subject, opened_by) values ('thr_1', 's1', 'Offer', 'crm_send')`,
  );
  await run(
    t.db,
    `insert into thread_links (thread_id, mailbox_id, sub_account_id, state) values ('thr_1', :mailboxId, 's1', 'live')`,
    { mailboxId },
  );
}
