import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import { startListener } from '../../src/mailbox/listener.ts';
import { rows, run } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { connect, countsOf, createScene, disconnect, openStage, toldOf } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const head = 'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS\n';
const folders = 'folder: INBOX uidvalidity 7 uidnext 11 exists 2\n';
const letter = (n: number, from = 'ann@customer.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <user@company.example>\r\nSubject: Letter ${n}\r\nMessage-ID: <l${n}@customer.example>\r\n\r\nText.\r\n`,
  );

let database: TestDatabase;
let scene: Scene;
let stage: Stage | undefined;

before(async () => {
  database = await testDatabase('pglite');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  await stage?.end();
  stage = undefined;
});

async function play(script: string, options: StageOptions = {}): Promise<Stage> {
  stage = await openStage(scene, head + script, options);
  return stage;
}

async function connectionsOf(mailboxId: string) {
  return rows<{ state: string; reason: string | null; since: Date; next: Date | null }>(
    database.db,
    `select state, state_reason as reason, state_since as since, next_try_at as next
       from connections where mailbox_id = :mailboxId order by id`,
    { mailboxId },
  );
}

/** The sessions of a mailbox, as its life line has them. */
async function sessionsOf(mailboxId: string) {
  const found = await rows<{ line: string }>(
    database.db,
    `select concat_ws(' ', case when logged_in_at is null then 'refused' else 'in' end, times, reason,
              case when ended_at is null then 'on' end) as line
       from connection_log where mailbox_id = :mailboxId and kind = 'session' order by n`,
    { mailboxId },
  );
  return found.map(({ line }) => line);
}

describe('C5: the life of a mailbox', () => {
  test('each session is kept with what it ended by; tries in a row that came to nothing are one line', async () => {
    const { told, passUntil, mailboxId, end } = await play(
      `${folders}on AUTHENTICATE *, 3 times:\n  S: (close)\n`,
    );
    await passUntil('it is live', async () => (await sessionsOf(mailboxId)).length === 2, 3_000);
    await told('degraded connection_closed', 'live');
    assert.deepEqual(await sessionsOf(mailboxId), ['refused 3 connection_closed', 'in 1 on']);
    await end();
    assert.deepEqual(await sessionsOf(mailboxId), ['refused 3 connection_closed', 'in 1 stopped']);
  });

  test('a listener that is stopped before it has logged in leaves no line', async () => {
    const { mailboxId, end } = await play(folders, { loginOf: () => new Promise(() => undefined) });
    await end();
    assert.deepEqual(await sessionsOf(mailboxId), []);
  });
});

describe('C5: what the CRM is told', () => {
  test('a pause that Exchange asks for: rate_limited until then, then live, with what was held back', async () => {
    const { peer, told, pass, clock, mailboxId, decided } = await play(
      `${folders}on UID FETCH 11:\\* *, once:\n  S: $tag BAD Request is throttled. Suggested Backoff Time: 240000 milliseconds\n`,
    );
    await told('live');
    await waitFor('IDLE', () => peer.sent('* IDLE').length > 0);
    peer.deliver('INBOX', letter(1));
    await told('live', 'rate_limited provider_throttles');
    const [connection] = await connectionsOf(mailboxId);
    const seconds = ((connection?.next?.getTime() ?? 0) - clock.now()) / 1_000;
    assert.ok(seconds > 230 && seconds <= 240, `next try in ${seconds} s`);
    await pass(240_000);
    await decided('inbox 11 stored from_contact');
    await told('live', 'rate_limited provider_throttles', 'live', 'recovered 1');
  });

  test('a provider that lets in and has no mailbox, for days: degraded, never reauth_required', async () => {
    const { told, passUntil, clock, peer, mailboxId } = await play(
      `${folders}on NAMESPACE:\n  S: $tag BAD User is authenticated but not connected.\n  S: * BYE Connection closed. 14\n  S: (close)\n`,
    );
    const since = clock.now();
    const aDayLater = () => clock.now() - since > 24 * 3_600_000;
    await passUntil('a day', aDayLater, 300_000);
    await told('degraded authenticated_not_connected');
    const tries = peer.sent('* AUTHENTICATE *').length;
    assert.ok(tries > 200 && tries < 600, `${tries} logins in a day`);
    const [connection] = await connectionsOf(mailboxId);
    assert.ok((connection?.next?.getTime() ?? 0) > clock.now() - 300_000, 'the next try is kept up to date');
  });

  test('degraded says since when and until when; each further try changes the latter, and tells nobody', async () => {
    const { told, pass, mailboxId, clock } = await play(`${folders}on AUTHENTICATE *:\n  S: (close)\n`);
    for (let tries = 0; tries < 2; tries += 1) await pass(3_000);
    await told('degraded connection_closed');
    const [first] = await connectionsOf(mailboxId);
    await pass(30_000);
    await waitFor('another try', async () => {
      const [now] = await connectionsOf(mailboxId);
      return now?.next?.getTime() !== first?.next?.getTime();
    });
    const [second] = await connectionsOf(mailboxId);
    assert.deepEqual(second?.since, first?.since);
    assert.ok((second?.next?.getTime() ?? 0) > clock.now());
    await told('degraded connection_closed');
  });

  test('C7: after an outage each sub-account is told of its own messages', async () => {
    const person = await scene.person();
    const other = { sub: `${person.sub}-b`, user: `${person.user}-b` };
    await scene.world.addSubAccount(other.sub);
    await scene.world.addUser(other.user, 'user@company.example', [other.sub]);
    await scene.world.addContact(other.sub, 'bob', ['bob@customer.example']);
    await connect(database.db, { ...other, mailboxId: person.mailboxId, provider: 'imap' });
    let isDown = false;
    const { peer, told, pass, mailboxId } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n@ wait end\nS: (close)\n`,
      {
        person,
        loginOf: (mailbox) =>
          isDown
            ? Promise.reject(new Failure('temporary', 'token_endpoint_unavailable', 'for a test'))
            : Promise.resolve({ user: mailbox.login, accessToken: 'token' }),
      },
    );
    await told('live', 'live');
    isDown = true;
    peer.signal('end');
    for (const n of [1, 2]) peer.deliver('INBOX', letter(n));
    peer.deliver('INBOX', letter(3, 'bob@customer.example'));
    peer.deliver('INBOX', letter(4, 'stranger@elsewhere.example'));
    const down = 'degraded token_endpoint_unavailable';
    for (let tries = 0; tries < 2; tries += 1) await pass(3_000);
    await told('live', 'live', down, down);
    isDown = false;
    await pass(10_000);
    const isOver = async () => (await toldOf(database.db, mailboxId)).length === 8;
    await waitFor('the end of the outage', isOver);
    const subs = await rows<{ sub: string; n: number }>(
      database.db,
      `select e.sub_account_id as sub, (e.data->>'recovered_messages')::int as n from events e
         join connections c on c.id = e.object_id
        where c.mailbox_id = :mailboxId and e.type = 'connection.recovered' order by n desc`,
      { mailboxId },
    );
    assert.deepEqual(subs, [
      { sub: person.sub, n: 2 },
      { sub: other.sub, n: 1 },
    ]);
  });

  test('C7: what came while nobody listened, though no state had told of that, is told as recovered', async () => {
    const person = await scene.person();
    const values = { id: person.mailboxId };
    await run(
      database.db,
      `update mailboxes set state = 'live', caught_up_to = now() - interval '1 hour' where id = :id`,
      values,
    );
    await run(
      database.db,
      `update connections set state = 'live', started_at = now() - interval '1 day' where mailbox_id = :id`,
      values,
    );
    const { told } = await play(
      `${folders}message: INBOX uid 11 {\n  From: <ann@customer.example>\n  Message-ID: <missed@customer.example>\n}\n`,
      { person },
    );
    await told('recovered 1');
  });

  test('a revoked consent is told at once; the listener ends, and waits for nobody', async () => {
    const { told, listener, clock, peer } = await play(folders, {
      loginOf: () => Promise.reject(new Failure('denied', 'token_revoked', 'for a test')),
    });
    await told('reauth_required token_revoked');
    await listener.done;
    assert.equal(clock.sleeping(), 0);
    assert.deepEqual(peer.sent('*'), [], 'the provider is not even asked');
  });

  test('a wrong password: three tries in a minute, then a person is asked, and nobody tries again', async () => {
    const { peer, told, passUntil, listener, clock, mailboxId } = await play(
      `${folders}on AUTHENTICATE *:\n  S: $tag NO [AUTHENTICATIONFAILED] no\n`,
      { loginOf: (mailbox) => Promise.resolve({ user: mailbox.login, password: 'wrong' }) },
    );
    const since = clock.now();
    const isOver = async () => (await toldOf(database.db, mailboxId)).length > 1;
    await passUntil('the end', isOver, 5_000);
    await listener.done;
    await told('degraded login_refused', 'reauth_required login_refused');
    assert.equal(peer.sent('* AUTHENTICATE *').length, 3);
    assert.ok(clock.now() - since >= 60_000);
  });

  test('what was refused before a login that worked is not held against the password', async () => {
    const refuse = (n: number) =>
      `--- connection ${n}\nC: $t AUTHENTICATE *\nS: $t NO [AUTHENTICATIONFAILED] no\n`;
    const { peer, passUntil, mailboxId } = await play(
      `${folders}on LIST *, once:\n  S: (close)\n${refuse(1)}${refuse(2)}${refuse(4)}`,
      { loginOf: (mailbox) => Promise.resolve({ user: mailbox.login, password: 'right' }) },
    );
    await passUntil('the fifth session', () => peer.sent('* IDLE').length > 0, 5_000);
    const told = await toldOf(database.db, mailboxId);
    assert.ok(!told.some((state) => state.startsWith('reauth_required')), told.join(', '));
  });

  test('what was found out about a credential that is no longer in force is not told', async () => {
    let calls = 0;
    const person = await scene.person({ provider: 'gmail' });
    const { told, peer } = await play(folders, {
      person,
      provider: 'gmail',
      loginOf: async (mailbox) => {
        calls += 1;
        if (calls > 1) return { user: mailbox.login, accessToken: 'token' };
        // The person consents again while the provider says no to the consent before.
        await run(database.db, 'update mailboxes set token_version = token_version + 1 where id = :id', {
          id: mailbox.id,
        });
        throw new Failure('denied', 'token_revoked', 'for a test');
      },
    });
    await told('live');
    assert.equal(calls, 2);
    assert.equal(peer.sent('* AUTHENTICATE *').length, 1);
  });

  test('a token endpoint that fails for hours is an outage like any other', async () => {
    const { told, passUntil, clock } = await play(folders, {
      provider: 'gmail',
      loginOf: () => Promise.reject(new Failure('temporary', 'token_endpoint_unreachable', 'for a test')),
    });
    const since = clock.now();
    await passUntil('hours', () => clock.now() - since > 5 * 3_600_000, 300_000);
    await told('degraded token_endpoint_unreachable');
  });
});

describe('one serial loop', () => {
  test('a session that ends ordinarily is followed by the next at once, and nobody is told', async () => {
    const { peer, told, clock } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n@ wait end\nS: * BYE Session expired\nS: (close)\n--- connection 2: INBOX\nC: * IDLE\n@ signal back\n`,
      { limits: { provenMs: 0 } },
    );
    await told('live');
    const startedAt = clock.now();
    peer.signal('end');
    await peer.waitFor('back');
    assert.equal(clock.now(), startedAt, 'without any pause');
    await told('live');
  });

  test('sessions that end soon after their login are failures: no storm of logins', async () => {
    const { peer, passUntil, clock, mailboxId } = await play(
      `${folders}on IDLE:\n  S: + idling\n  S: (close)\n`,
    );
    const since = clock.now();
    await passUntil('an hour', () => clock.now() - since > 3_600_000, 10_000);
    const logins = peer.sent('* AUTHENTICATE *').length;
    assert.ok(logins > 10 && logins < 40, `${logins} logins in an hour`);
    assert.deepEqual(
      await toldOf(database.db, mailboxId),
      ['live', 'degraded connection_closed'],
      'from then on only a session that lasts is called live',
    );
  });

  test('after such sessions one that lasts is live, once it has lasted', async () => {
    const { told, passUntil, clock, peer } = await play(
      `${folders}on IDLE, 5 times:\n  S: + idling\n  S: (close)\n`,
    );
    const sessions = (count: number) => () => peer.sent('* IDLE').length >= count;
    await passUntil('the fourth session', sessions(4), 10_000);
    peer.deliver('INBOX', letter(2));
    await passUntil('the sixth session, which lasts', sessions(6), 10_000);
    const states = ['live', 'degraded connection_closed'];
    await told(...states);
    peer.deliver('INBOX', letter(1));
    const since = clock.now();
    await passUntil('a minute', () => clock.now() - since >= 60_000, 10_000);
    await told(...states, 'live', 'recovered 2');
  });

  test('who wakes it ends a pause, but not one that the provider asked for', async () => {
    const { peer, told, pass, listener } = await play(
      `${folders}on AUTHENTICATE *, 3 times:\n  S: (close)\non EXAMINE *, once:\n  S: $tag NO [OVERQUOTA] Account exceeded command or bandwidth limits.\n`,
    );
    for (let tries = 0; tries < 2; tries += 1) await pass(3_000);
    await told('degraded connection_closed');
    listener.wake();
    await told('degraded connection_closed', 'rate_limited bandwidth_limit');
    const logins = peer.sent('* AUTHENTICATE *').length;
    listener.wake();
    await pass(60_000);
    listener.wake();
    await pass(60_000);
    assert.equal(peer.sent('* AUTHENTICATE *').length, logins);
    await pass(3_600_000);
    await told('degraded connection_closed', 'rate_limited bandwidth_limit', 'live');
  });

  test('two listeners on one mailbox by mistake file nothing twice', async () => {
    const { peer, deps, mailboxId, told, sub, pass } = await play(folders);
    await told('live');
    const second = startListener(deps, mailboxId);
    await waitFor('both to listen', () => peer.sent('* IDLE').length >= 2);
    for (let n = 1; n <= 10; n += 1) peer.deliver('INBOX', letter(n));
    await waitFor('all of it', async () => {
      await pass(100);
      return (await countsOf(database.db, sub)).messages === 10;
    });
    await second.stop();
    assert.deepEqual(await countsOf(database.db, sub), { messages: 10, created: 10 });
  });

  test('nobody connected, nothing to listen to: it ends by itself', async () => {
    const person = await scene.person();
    await disconnect(database.db, person.mailboxId);
    const { listener, peer } = await play(folders, { person });
    await listener.done;
    assert.deepEqual(peer.sent('*'), []);
  });

  for (const [name, script] of [
    ['while it connects', 'on CAPABILITY:\n  S: (dead)\n'],
    ['while it catches up', 'on UID SEARCH *:\n  S: (dead)\n'],
    ['while it listens', ''],
  ] as const) {
    test(`stopped ${name}: at once, and nothing is left`, async () => {
      const { peer, listener, clock, told } = await play(folders + script);
      if (script === '') await told('live');
      else
        await waitFor(
          'the question',
          () => peer.sent(script.includes('SEARCH') ? '* UID SEARCH *' : '* CAPABILITY').length > 0,
        );
      await listener.stop();
      assert.equal(clock.sleeping(), 0);
      await waitFor(
        'the end of the connection',
        () => peer.transcript().includes('# the client is gone') || peer.transcript().includes('(dead)'),
      );
    });
  }

  test('stopped while it waits for a token: at once', async () => {
    const { listener } = await play(folders, { loginOf: () => new Promise(() => {}) });
    await new Promise((resolve) => setImmediate(resolve));
    await listener.stop();
  });

  test('a hundred sessions leave nothing behind', async () => {
    const { peer, clock, listener, told } = await play(
      `${folders}on IDLE:\n  S: + idling\n  S: * BYE Session expired\n  S: (close)\n`,
      { limits: { provenMs: 0 } },
    );
    await waitFor('a hundred logins', () => peer.sent('* AUTHENTICATE *').length > 100);
    await told('live');
    await listener.stop();
    assert.equal(clock.sleeping(), 0);
  });
});
