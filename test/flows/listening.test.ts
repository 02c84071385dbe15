import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { createOAuthClient } from '../../src/provider/oauth-client.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { createTokenService } from '../../src/provider/tokens.ts';
import { credentialContext } from '../../src/store/mailboxes.ts';
import { createTokenStore } from '../../src/store/tokens.ts';
import { rows, run } from '../../src/store/database.ts';
import { startListener } from '../../src/mailbox/listener.ts';
import type { Listener, ListenerDeps, ListenerLimits } from '../../src/mailbox/listener.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import type { ImapEndpoint } from '../support/dovecot.ts';
import { endpointsAt } from '../support/identity.ts';
import { deliver, openMailbox, passwordOf, submit } from '../support/mail.ts';
import { startServers } from '../support/servers.ts';
import { type UsedServers, useServers, useStarted } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import {
  countsOf,
  createScene,
  decisionsOf,
  depsFor,
  keptLog,
  toldOf,
  waitForTold,
} from '../mailbox/listening.ts';
import type { Person, Scene } from '../mailbox/listening.ts';

const ann = 'ann@customer.example';
/** Only what IDLE tells is seen. */
const noSafetyNet: Partial<ListenerLimits> = { lookEveryMs: 3_600_000 };

let database: TestDatabase;
let scene: Scene;
let servers: UsedServers;
const listeners: Listener[] = [];

before(async () => {
  servers = await useServers();
  database = await testDatabase('postgres');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.stop();
});

type Listening = Person & { deps: ListenerDeps; listener: Listener; log: ReturnType<typeof keptLog> };

/** Connects somebody's mailbox at a Dovecot listener and listens to it. */
async function listen(
  address: string,
  options: {
    endpoint?: ImapEndpoint;
    provider?: ProviderName;
    limits?: Partial<ListenerLimits>;
    loginOf?: ListenerDeps['loginOf'];
    person?: Person;
  } = {},
): Promise<Listening> {
  const { host, tlsPort } = options.endpoint ?? servers.dovecot.imap.full;
  const { provider = 'imap', limits = {} } = options;
  const person = options.person ?? (await scene.person({ address, provider }));
  const log = keptLog();
  const deps = depsFor({
    world: scene.world,
    clock: systemClock,
    imap: { host, port: tlsPort, security: 'tls' },
    provider,
    limits,
    log,
    loginOf:
      options.loginOf ??
      ((mailbox) => Promise.resolve({ user: mailbox.login, password: passwordOf(mailbox.address) })),
  });
  const listener = startListener(deps, person.mailboxId);
  listeners.push(listener);
  return { ...person, deps, listener, log };
}

const told = (who: Person, ...expected: string[]) => waitForTold(database.db, who.mailboxId, expected);

/** Milliseconds until a message with this subject is in the CRM's database. */
async function arrivalMs(who: Person, subject: string, deadlineMs = 10_000): Promise<number> {
  const startedAt = Date.now();
  await waitFor(
    `"${subject}"`,
    async () => {
      const found = await scene.world.messages(who.sub);
      return found.some((message) => message.subject === subject);
    },
    { everyMs: 10, deadlineMs },
  );
  return Date.now() - startedAt;
}

describe('S14: what arrives and what is written is seen in real time', () => {
  for (const [name, provider] of [
    ['full', 'imap'],
    ['gmail', 'gmail'],
    ['outlook', 'outlook'],
  ] as const) {
    test(`at a server with the habits of ${name}`, async () => {
      const address = `real-${name}@flow.test`;
      const endpoint = servers.dovecot.imap[name];
      const who = await listen(address, { endpoint, provider, limits: noSafetyNet });
      await told(who, 'live');
      await deliver(servers, { from: ann, to: address, subject: 'Received', text: 'Hello' });
      const received = await arrivalMs(who, 'Received');
      await submit(servers, address, { from: address, to: ann, subject: 'Written by hand', text: 'Hello' });
      const written = await arrivalMs(who, 'Written by hand');
      // Dovecot holds a notice back by half a second (real-servers.md).
      assert.ok(received < 3_000 && written < 3_000, `${received} and ${written} ms`);
      await told(who, 'live');
    });
  }

  test('a private mail in between is judged, and read no further than its header', async () => {
    const address = 'private@flow.test';
    const who = await listen(address, { limits: noSafetyNet });
    await told(who, 'live');
    await deliver(servers, { from: 'doctor@clinic.example', to: address, subject: 'Findings', text: 'x' });
    // Postfix may hand over the second of two mails first.
    await waitFor('its decision', async () => (await decisionsOf(database.db, who.mailboxId)).length === 1);
    await deliver(servers, { from: ann, to: address, subject: 'After it', text: 'x' });
    await arrivalMs(who, 'After it');
    assert.deepEqual(await decisionsOf(database.db, who.mailboxId), [
      'inbox 1 skipped no_match',
      'inbox 2 stored from_contact',
    ]);
    const mailbox = await openMailbox(servers, address);
    for (const mail of await mailbox.list())
      assert.deepEqual([...mail.flags], [], 'U2: nothing is marked as read');
    await mailbox.close();
  });

  test('what a filter, or its owner, moves on arrival is one message all the same', async () => {
    const address = 'moved@flow.test';
    const mailbox = await openMailbox(servers, address);
    await mailbox.createFolder('Projects');
    const who = await listen(address, { limits: { lookEveryMs: 1_000 } });
    await told(who, 'live');
    for (let n = 0; n < 5; n += 1) {
      await deliver(servers, { from: ann, to: address, subject: `Moved ${n}`, text: 'x' });
      const { uid } = await mailbox.waitForMail(`Moved ${n}`);
      await mailbox.move(uid, 'INBOX', 'Projects');
    }
    for (let n = 0; n < 5; n += 1) await arrivalMs(who, `Moved ${n}`);
    await waitFor('a look at where they went', async () =>
      (await decisionsOf(database.db, who.mailboxId)).some((line) => line.startsWith('other 5 ')),
    );
    assert.deepEqual(await countsOf(database.db, who.sub), { messages: 5, created: 5 });
    await mailbox.close();
  });
});

describe('S14: the safety net', () => {
  test('another folder is found by the next look', async () => {
    const address = 'swept@flow.test';
    const mailbox = await openMailbox(servers, address);
    await mailbox.createFolder('Projects');
    const who = await listen(address, { limits: { lookEveryMs: 1_000 } });
    await told(who, 'live');
    const raw = `From: ${ann}\r\nTo: ${address}\r\nSubject: Filtered\r\nMessage-ID: <filtered@x.example>\r\n\r\nText.\r\n`;
    await mailbox.append(raw, 'Projects');
    const ms = await arrivalMs(who, 'Filtered');
    assert.ok(ms < 3_000, `${ms} ms`);
    await mailbox.close();
  });

  test('a server that loses notices delays nothing by more than a look', async () => {
    const address = 'hibernating@flow.test';
    const endpoint = servers.dovecot.imap.hibernating;
    const who = await listen(address, { endpoint, limits: { lookEveryMs: 2_500 } });
    await told(who, 'live');
    const delays: number[] = [];
    // Over the half second before a session goes to sleep, one second after IDLE began.
    for (let n = 0; n < 12; n += 1) {
      const moment = Date.now() + 100 * n;
      await waitFor('the moment', () => Date.now() >= moment, { everyMs: 5 });
      await deliver(servers, { from: ann, to: address, subject: `Notice ${n}`, text: 'x' });
      delays.push(await arrivalMs(who, `Notice ${n}`));
    }
    assert.ok(Math.max(...delays) < 2_500 + 1_500, `delays in ms: ${delays.join(', ')}`);
    await told(who, 'live');
  });

  test('where the server can tell of every folder (NOTIFY), one connection is enough for all of them', async () => {
    const address = 'noticed@flow.test';
    const mailbox = await openMailbox(servers, address);
    await mailbox.createFolder('Projects');
    const who = await listen(address, { limits: noSafetyNet });
    await told(who, 'live');
    const said = await servers.doveadm('who', '-1', address);
    const mine = said.split('\n').filter((line) => line.includes(address) && line.includes('imap'));
    assert.equal(mine.length, 2, 'of the test and of the listener');
    const raw = (id: string) =>
      `From: ${ann}\r\nTo: ${address}\r\nSubject: ${id}\r\nMessage-ID: <${id.replaceAll(' ', '-')}@x.example>\r\n\r\nText.\r\n`;
    for (const [id, path] of [
      ['first', 'Projects'],
      ['second', 'INBOX'],
      ['third', 'Projects'],
    ] as const) {
      await mailbox.append(raw(id), path);
      const ms = await arrivalMs(who, id);
      assert.ok(ms < 3_000, `${ms} ms`);
    }
    // Each may come while the listener is looking at the one before.
    for (let n = 0; n < 12; n += 1) await mailbox.append(raw(`burst ${n}`), 'Projects');
    for (let n = 0; n < 12; n += 1) await arrivalMs(who, `burst ${n}`, 5_000);
    await told(who, 'live');
    await mailbox.close();
  });

  for (const [name, msMax] of [
    ['full', 2_000],
    ['outlook', 4_000],
  ] as const) {
    test(`two hundred folders at a server with the habits of ${name}`, async () => {
      const address = `many-${name}@flow.test`;
      const mailbox = await openMailbox(servers, address);
      await mailbox.createFolder('Customers/0');
      const paths = Array.from({ length: 199 }, (_, n) => `Customers/${n + 1}`);
      await servers.doveadm('mailbox', 'create', '-u', address, ...paths);
      const endpoint = servers.dovecot.imap[name];
      const who = await listen(address, { endpoint, limits: noSafetyNet });
      await waitFor('live', async () => (await toldOf(database.db, who.mailboxId)).includes('live'), {
        deadlineMs: 60_000,
      });
      const raw = `From: ${ann}\r\nTo: ${address}\r\nSubject: Far away\r\nMessage-ID: <far@x.example>\r\n\r\nText.\r\n`;
      await mailbox.append(raw, 'Customers/150');
      const startedAt = Date.now();
      who.listener.wake();
      await arrivalMs(who, 'Far away');
      const ms = Date.now() - startedAt;
      assert.ok(ms < msMax, `a look took ${ms} ms`);
      await told(who, 'live');
      await mailbox.close();
    });
  }
});

describe('C5: what happens to sessions is nobody’s business', () => {
  test('kicked in the middle of IDLE: back at once, with what came meanwhile', async () => {
    const address = 'kicked@flow.test';
    const who = await listen(address, { limits: { ...noSafetyNet, provenMs: 0 } });
    await told(who, 'live');
    for (let n = 0; n < 3; n += 1) {
      await servers.doveadm('kick', address);
      await deliver(servers, { from: ann, to: address, subject: `After kick ${n}`, text: 'x' });
      const ms = await arrivalMs(who, `After kick ${n}`);
      assert.ok(ms < 3_000, `${ms} ms`);
    }
    await told(who, 'live');
    assert.deepEqual(await countsOf(database.db, who.sub), { messages: 3, created: 3 });
  });

  test('a token that has run out is renewed, and nobody is told', async () => {
    const address = 'tokens@flow.test';
    const person = await scene.person({ address, provider: 'gmail' });
    const { filing } = scene.world;
    const { refreshToken } = await servers.identity.issueGrant(address, 'google');
    await run(
      database.db,
      `update mailboxes set credential_kind = 'oauth', credential_sealed = :sealed where id = :id`,
      {
        id: person.mailboxId,
        sealed: filing.secretBox.seal(refreshToken, credentialContext(person.mailboxId)),
      },
    );
    const gmail = resolveProvider('gmail', endpointsAt(servers.identityUrl).gmail);
    const client = { clientId: 'test-client.apps.example.com', clientSecret: 'test-client-secret' };
    const tokens = createTokenService({
      store: createTokenStore(database.db, filing.secretBox),
      clock: systemClock,
      oauthFor: () => createOAuthClient(gmail, client),
      log: keptLog(),
    });
    const endpoint = servers.dovecot.imap.gmail;
    const who = await listen(address, {
      person,
      endpoint,
      provider: 'gmail',
      limits: { ...noSafetyNet, provenMs: 0 },
      loginOf: async (mailbox, refused) => {
        const last = refused !== null && 'accessToken' in refused ? { refused: refused.accessToken } : {};
        const { token, login } = await tokens.accessToken(mailbox.id, last);
        return { user: login, accessToken: token };
      },
    });
    await told(who, 'live');
    await servers.identity.expireAccessTokens(address);
    await servers.doveadm('kick', address);
    await deliver(servers, { from: ann, to: address, subject: 'With a fresh token', text: 'x' });
    await arrivalMs(who, 'With a fresh token');
    await told(who, 'live');
    await servers.identity.revoke(address);
    await servers.doveadm('kick', address);
    await told(who, 'live', 'reauth_required token_revoked');
    await who.listener.done;
  });

  test('Dovecot is restarted: back by itself, with what came meanwhile, and told at most once each way', async () => {
    const own = await startServers({ identityUrl: servers.identityUrl });
    const used = useStarted(own.info);
    try {
      const address = 'restart@flow.test';
      const endpoint = used.dovecot.imap.full;
      const who = await listen(address, { endpoint, limits: { ...noSafetyNet, provenMs: 0 } });
      await told(who, 'live');
      await deliver(used, { from: ann, to: address, subject: 'Before', text: 'x' });
      await arrivalMs(who, 'Before');
      await own.restartDovecot();
      await deliver(used, { from: ann, to: address, subject: 'After', text: 'x' });
      await arrivalMs(who, 'After');
      await own.stopDovecot();
      const isDegraded = async () =>
        (await toldOf(database.db, who.mailboxId)).at(-1)?.startsWith('degraded');
      await waitFor('the outage', isDegraded, { deadlineMs: 30_000 });
      await own.startDovecot();
      await deliver(used, { from: ann, to: address, subject: 'After the outage', text: 'x' });
      await arrivalMs(who, 'After the outage', 40_000);
      await waitFor('the end of it', async () => (await toldOf(database.db, who.mailboxId)).length === 4);
      const states = await toldOf(database.db, who.mailboxId);
      assert.match(states.join(', '), /^live, degraded imap_econnrefused, live, recovered [01]$/);
      await who.listener.stop();
    } finally {
      await own.stop();
    }
  });
});

describe('S12: folders that are numbered anew', () => {
  test('a new UIDVALIDITY, and a folder that is made again with the same mail: nothing is announced twice', async () => {
    const address = 'renumbered@flow.test';
    const mailbox = await openMailbox(servers, address);
    await mailbox.createFolder('Projects');
    const who = await listen(address, { limits: { lookEveryMs: 1_000, provenMs: 0 } });
    await told(who, 'live');
    for (let n = 0; n < 5; n += 1) {
      await deliver(servers, { from: ann, to: address, subject: `Letter ${n}`, text: 'x' });
      await arrivalMs(who, `Letter ${n}`);
    }
    const raws = await Promise.all((await mailbox.list()).map(({ uid }) => mailbox.source(uid)));
    for (const raw of raws) await mailbox.append(raw, 'Projects');
    await waitFor('them in Projects', async () =>
      (await decisionsOf(database.db, who.mailboxId)).includes('other 5 stored duplicate'),
    );
    await servers.doveadm('mailbox', 'update', '-u', address, '--uid-validity', '4242', 'INBOX');
    await servers.doveadm('kick', address);
    const again = await openMailbox(servers, address);
    await again.removeFolder('Projects');
    await again.createFolder('Projects');
    for (const raw of raws) await again.append(raw, 'Projects');
    await deliver(servers, { from: ann, to: address, subject: 'The only new one', text: 'x' });
    await arrivalMs(who, 'The only new one');
    await waitFor('a look at everything', async () => {
      const [folder] = await rows<{ n: number }>(
        database.db,
        `select count(*)::int as n from sightings where mailbox_id = :mailboxId`,
        who,
      );
      return (folder?.n ?? 0) >= 5 + 5 + 5 + 5 + 1;
    });
    assert.deepEqual(await countsOf(database.db, who.sub), { messages: 6, created: 6 });
    await told(who, 'live');
    await again.close();
  });
});

describe('a backlog', () => {
  test('three thousand messages that came during an outage', async () => {
    const address = 'backlog@flow.test';
    const person = await scene.person({ address });
    const limits = { ...noSafetyNet, provenMs: 0 };
    const first = await listen(address, { person, limits });
    await told(first, 'live');
    await first.listener.stop();
    await fillInbox(address, 3_000);
    const startedAt = performance.now();
    let most = 0;
    await listen(address, { person, limits });
    await waitFor(
      'the end of the backlog',
      async () => {
        const [mailbox] = await rows<{ backlog: number }>(
          database.db,
          'select backlog from mailboxes where id = :mailboxId',
          person,
        );
        most = Math.max(most, mailbox?.backlog ?? 0);
        return (await toldOf(database.db, person.mailboxId)).length === 3;
      },
      { deadlineMs: 120_000, everyMs: 5 },
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    assert.equal(most, 3_000, 'its size is shown');
    await told(person, 'live', 'catching_up', 'live');
    assert.deepEqual(await countsOf(database.db, person.sub), { messages: 300, created: 300 });
    const [decided] = await rows<{ n: number }>(
      database.db,
      'select count(*)::int as n from decisions where mailbox_id = :mailboxId',
      person,
    );
    assert.equal(decided?.n, 3_000);
    assert.ok(seconds < 60, `it took ${seconds.toFixed(1)} s`);
  });
});

/** Mail that came just now, one in ten of it from the contact; by Dovecot's own tool. */
async function fillInbox(address: string, count: number): Promise<void> {
  const mailbox = await openMailbox(servers, address);
  const parallel = 8;
  const clients = [mailbox];
  for (let n = 1; n < parallel; n += 1) clients.push(await openMailbox(servers, address));
  await Promise.all(
    clients.map(async (client, part) => {
      for (let n = part; n < count; n += parallel) {
        const from = n % 10 === 0 ? ann : `somebody-${n}@elsewhere.example`;
        await client.append(
          `From: ${from}\r\nTo: ${address}\r\nSubject: Letter ${n}\r\nMessage-ID: <b${n}@x.example>\r\n\r\nText of letter ${n}.\r\n`,
          'INBOX',
        );
      }
      await client.close();
    }),
  );
}
