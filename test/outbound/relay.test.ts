import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { SendId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import type { Sender } from '../../src/outbound/sender.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

const relay =
  'protocol: smtp\nehlo: relay.example\nehlo: SIZE 26214400\nehlo: AUTH PLAIN\nehlo: ENHANCEDSTATUSCODES\n';

describe("D1, D5: mail through the sub-account's provider", () => {
  let office: Office;
  let peer: ScriptPeer | undefined;
  let sender: Sender | undefined;
  let readers = 0;

  before(async () => {
    office = await openOffice();
    await run(
      office.db,
      `with u as (insert into users (id, name, email) values ('bert', 'Bert', 'bert@acme.example')),
         a as (insert into user_addresses (user_id, kind, canonical) values ('bert', 'login', 'bert@acme.example'))
       insert into memberships (sub_account_id, user_id) values ('acme', 'bert')`,
    );
  });
  after(() => office.close());
  beforeEach(() => run(office.db, 'delete from messages'));
  afterEach(async () => {
    await sender?.stop();
    sender = undefined;
    await peer?.stop();
    peer = undefined;
  });

  /** The provider is what the script says, from now on. */
  async function provideBy(script: string, login = true): Promise<void> {
    await peer?.stop();
    peer = await startScriptPeer(`${relay}${script}`);
    const server = { host: peer.host, port: peer.port, security: 'none' } as const;
    await office.setProvider(server, ...(login ? [{ username: 'acme', password: 'secret' }] : []));
  }

  /** The one that was put last. */
  const current = (): ScriptPeer => {
    assert.ok(peer);
    return peer;
  };

  /** Bulk mail to so many contacts, in the order of the answers. */
  async function campaign(count: number, local = 'reader'): Promise<SendId[]> {
    const sent: SendId[] = [];
    for (let n = 0; n < count; n += 1) {
      readers += 1;
      const address = `${local}-${readers}@customer.example`;
      await office.addContact(address, address);
      const request = { userId: 'bert', contactId: address, subject: 'News', text: 'Dear reader' };
      const { send } = await office.accept({ kind: 'bulk', ...request });
      sent.push(send.id);
    }
    return sent;
  }

  const all = (ids: readonly SendId[], state: Parameters<Office['waitForState']>[1], tries = 0) =>
    Promise.all(ids.map((id) => office.waitForState(id, state, tries)));

  test('D1, D2: from the provider’s own sender where none is named, under the user’s name; it syncs with no mailbox', async () => {
    await provideBy('');
    sender = office.sender();
    const [id] = await campaign(1);
    assert.ok(id);
    const sent = await office.waitForState(id, 'sent');
    assert.deepEqual(sent.route, {
      through: 'provider',
      from: 'news@acme.example',
      row: 'bulk_nothing',
      because: "bulk, nothing connected: the sub-account's provider",
    });
    const [taken] = current().taken();
    assert.deepEqual([taken?.from, taken?.to], ['news@acme.example', ['reader-1@customer.example']]);
    assert.match(taken?.raw.toString() ?? '', /^From: Bert <news@acme\.example>$/m);
    assert.deepEqual(await rows(office.db, 'select 1 from thread_links'), []);
    assert.deepEqual(await rows(office.db, 'select kind, via from messages'), [
      { kind: 'bulk', via: ['crm'] },
    ]);
    await sender.stop();
  });

  test('one session and one login for many messages, and QUIT at its end', async () => {
    await provideBy('');
    const ids = await campaign(8);
    sender = office.sender({ limits: { idleMs: 200 } });
    await all(ids, 'sent');
    await sender.stop();
    await waitFor('every session to say QUIT', () =>
      Promise.resolve(current().sent('QUIT').length === current().sent('EHLO *').length),
    );
    assert.equal(current().taken().length, 8);
    assert.ok(current().sent('AUTH *').length <= 5, 'no more sessions than five');
    assert.equal(
      new Set(
        current()
          .taken()
          .map(({ to }) => to[0]),
      ).size,
      8,
    );
  });

  test('what is refused at RCPT fails by itself, and the session goes on', async () => {
    await provideBy('on RCPT TO:<nobody-*:\n  S: 550 5.1.1 No such user\n');
    const [refused] = await campaign(1, 'nobody');
    const [taken] = await campaign(1, 'somebody');
    sender = office.sender({ limits: { idleMs: 500 } });
    assert.ok(refused && taken);
    await office.waitForState(refused, 'failed');
    await office.waitForState(taken, 'sent');
    await sender.stop();
    assert.ok(current().sent('RSET').length <= 1);
    assert.match(
      current()
        .taken()
        .map(({ to }) => to.join())
        .join(),
      /^somebody-\d+@customer\.example$/,
    );
  });

  test('a kept session that the server ends with the next message costs no try', async () => {
    await provideBy(
      `--- connection 1
C: MAIL FROM:*
S: 250 OK
C: RCPT TO:*
S: 250 OK
C: DATA
S: 354 Go ahead
C: .
S: 250 OK
@ store
C: MAIL FROM:*
S: 421 4.4.2 Too long
S: (close)
`,
    );
    sender = office.sender({ limits: { idleMs: 5_000 } });
    const [first] = await campaign(1);
    assert.ok(first);
    await office.waitForState(first, 'sent');
    const [second] = await campaign(1);
    assert.ok(second);
    const sent = await office.waitForState(second, 'sent');
    assert.equal(sent.attempts.length, 1);
    assert.equal(current().sent('EHLO *').length, 2);
    assert.equal(current().taken().length, 2);
    await sender.stop();
  });

  test('a refused login holds all of it, after one try; a provider that is put anew lets it go on', async () => {
    await provideBy('on AUTH *:\n  S: 535 5.7.8 Wrong password\n');
    const ids = await campaign(6);
    sender = office.sender();
    await all(ids, 'held');
    const held = await Promise.all(ids.map((id) => office.send(id)));
    assert.ok(current().sent('AUTH *').length <= 5, 'not once for each message');
    assert.deepEqual([...new Set(held.map(({ reason }) => reason))], ['reauth_required']);
    await provideBy('');
    await all(ids, 'sent');
    assert.equal(current().taken().length, 6);
    await sender.stop();
  });

  test('a login that is still refused when all of it is due again is tried once, and no message goes on', async () => {
    await provideBy('on RCPT TO:<late*:\n  S: 450 4.2.0 Greylisted\n');
    sender = office.sender();
    const partly = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((n) =>
        office.accept({
          kind: 'bulk',
          userId: 'bert',
          contactId: `reader-${n}@customer.example`,
          cc: [{ name: '', address: `late-${n}@customer.example` }],
          text: 'Dear reader',
        }),
      ),
    );
    const taken = partly.map(({ send }) => send.id);
    await all(taken, 'sent', 1);
    await sender.stop();
    await provideBy('on AUTH *:\n  S: 535 5.7.8 Wrong password\n');
    const ids = await campaign(10);
    sender = office.sender();
    await all(ids, 'held');
    const before = current().sent('AUTH *').length;
    await run(office.db, `update sends set due_at = now() where state in ('held', 'sent')`);
    sender.wake();
    await waitFor('all of it to be put off', async () => {
      const due = await rows(office.db, 'select from sends where ready and due_at <= now()');
      return due.length === 0;
    });
    const tries = current().sent('AUTH *').length - before;
    assert.ok(tries > 0 && tries <= 4, `${tries} tries for 16 messages`);
    for (const id of ids) assert.equal((await office.send(id)).state, 'held');
    for (const id of taken) {
      const { state, refused } = await office.send(id);
      assert.deepEqual([state, refused.map((each) => each.state)], ['sent', ['deferred']]);
    }
    await provideBy('');
    await all(ids, 'sent');
    await Promise.all(taken.map((id) => office.hurry(id)));
    await waitFor('everybody to have it', () => Promise.resolve(current().taken().length === 16));
    await sender.stop();
  });

  test('a server that lets nobody in is asked again after a pause, once, however much waits', async () => {
    await provideBy('on EHLO *:\n  S: 421 4.3.2 Not now\n');
    const ids = await campaign(30);
    sender = office.sender({ limits: { retryFirstMs: 60_000 } });
    await waitFor('somebody to be put off', async () => {
      const found = await rows<{ tries: number }>(
        office.db,
        // What is stopped in the middle was told nothing by the server.
        'select count(*)::int as tries from send_attempts having every(ended_at is not null)',
      );
      return (found[0]?.tries ?? 0) > 0;
    });
    await sender.stop();
    const tried = (await Promise.all(ids.map((id) => office.send(id)))).filter(
      ({ attempts }) => attempts.length > 0,
    );
    assert.ok(tried.length <= 5, `${tried.length} of 30 were tried`);
    for (const { state, reason } of tried) {
      assert.equal(state, 'queued');
      assert.match(reason ?? '', /^server_refuses_connections: 421 4\.3\.2 Not now/);
    }
  });

  test('a lost answer: uncertain, said so, and never sent again', async () => {
    await provideBy('on .:\n  S: (close)\n');
    const [id] = await campaign(1);
    assert.ok(id);
    sender = office.sender();
    const send = await office.waitForState(id, 'uncertain');
    assert.deepEqual(
      [send.reason, send.next_try_at],
      ['no_answer: there is no Sent folder that could tell', null],
    );
    await sender.stop();
    assert.equal(current().sent('DATA').length, 1);
  });

  test('a sub-account that has given up its provider: held, and said so', async () => {
    await provideBy('');
    const [id] = await campaign(1);
    assert.ok(id);
    await run(office.db, 'update sub_accounts set provider = null, provider_password_sealed = null');
    sender = office.sender();
    const held = await office.waitForState(id, 'held');
    assert.deepEqual([held.reason, held.attempts], ['no_provider', []]);
    assert.deepEqual(current().sent('*'), []);
    await provideBy('', false);
    await office.waitForState(id, 'sent');
    assert.deepEqual(current().sent('AUTH *'), [], 'a server without a login is given none');
    await sender.stop();
  });
});
