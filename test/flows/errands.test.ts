import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import type { ConnectionId } from '../../src/lib/id.ts';
import { createErrandRunner } from '../../src/mailbox/errands.ts';
import type { ErrandLimits, ErrandRunner } from '../../src/mailbox/errands.ts';
import { startListener } from '../../src/mailbox/listener.ts';
import type { Listener, ListenerDeps } from '../../src/mailbox/listener.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Provider } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import { addErrands, endErrand, findAudit, findBackfill } from '../../src/store/errands.ts';
import type { ErrandRequests, PublicBackfill } from '../../src/store/errands.ts';
import { pauseConnection, resumeConnection } from '../../src/store/lifecycle.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { deliver, openMailbox, passwordOf } from '../support/mail.ts';
import type { MailboxClient } from '../support/mail.ts';
import { type UsedServers, useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import {
  connect,
  createScene,
  decisionsOf,
  depsFor,
  disconnect,
  keptLog,
  waitForTold,
} from '../mailbox/listening.ts';
import type { Person, Scene } from '../mailbox/listening.ts';

const contact = 'ann@customer.example';
const dayMs = 24 * 3_600_000;

let database: TestDatabase;
let scene: Scene;
let servers: UsedServers;
const running: { stop(): Promise<void> }[] = [];

before(async () => {
  servers = await useServers();
  database = await testDatabase('postgres');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

type Stage = Person & {
  deps: ListenerDeps;
  provider: Provider;
  client: MailboxClient;
  connectionId: ConnectionId;
  /** Puts a mail into a folder as it was received so many days ago. */
  old(
    days: number,
    mail: { from: string; to?: string; subject: string; id?: string; inReplyTo?: string; folder?: string },
  ): Promise<number>;
  listen(): Promise<Listener>;
  runner(limits?: Partial<ErrandLimits>): ErrandRunner;
  subjects(): Promise<string[]>;
};

/** A mailbox of the real server, not looked into yet. */
async function stage(name: string, traits: Partial<Provider> = {}): Promise<Stage> {
  const address = `${name}@errands.test`;
  const client = await openMailbox(servers, address);
  running.push({ stop: () => client.close() });
  const person = await scene.person({ address });
  const { host, tlsPort: port } = servers.dovecot.imap.full;
  const imap = { host, port, security: 'tls' } as const;
  const provider: Provider = { ...resolveProvider('imap'), imap, ...traits };
  const deps = depsFor({
    world: scene.world,
    clock: systemClock,
    imap,
    log: keptLog(),
    loginOf: (mailbox) => Promise.resolve({ user: mailbox.login, password: passwordOf(mailbox.address) }),
  });
  const [connection] = await rows<{ id: ConnectionId }>(
    database.db,
    'select id from connections where mailbox_id = :mailboxId',
    person,
  );
  if (connection === undefined) throw new Error('no connection');
  deps.providerOf = () => provider;
  return {
    ...person,
    deps,
    provider,
    client,
    connectionId: connection.id,
    old: (days, mail) => {
      const {
        from,
        to = address,
        subject,
        id = `${name}-${subject}@errands.test`,
        inReplyTo,
        folder = 'INBOX',
      } = mail;
      const date = new Date(Date.now() - days * dayMs);
      const lines = [
        `From: ${from}`,
        `To: ${to}`,
        `Subject: ${subject}`,
        `Message-ID: <${id}>`,
        ...(inReplyTo === undefined ? [] : [`In-Reply-To: <${inReplyTo}>`]),
        `Date: ${date.toUTCString()}`,
        '',
        `Text of ${subject}.`,
        '',
      ];
      return client.append(lines.join('\r\n'), folder, [], date);
    },
    listen: async () => {
      const listener = startListener(deps, person.mailboxId);
      running.push(listener);
      await waitForTold(database.db, person.mailboxId, ['live']);
      return listener;
    },
    runner: (limits = {}) => {
      const runner = createErrandRunner({
        ...deps,
        limits: { pollMs: 50, retry: { firstMs: 50, mostMs: 200 }, ...limits },
      });
      running.push(runner);
      runner.start();
      return runner;
    },
    subjects: async () => (await scene.world.messages(person.sub)).map((message) => message.subject),
  };
}

async function ask<Kind extends 'backfill' | 'audit' | 'judge_again'>(
  who: Stage,
  kind: Kind,
  request: ErrandRequests[Kind],
) {
  const id = newId(kind === 'backfill' ? 'bkf' : kind === 'audit' ? 'aud' : 'err');
  const row = { id, sub_account_id: who.sub, connection_id: who.connectionId, mailbox_id: who.mailboxId };
  await addErrands(database.db, [{ ...row, kind, request } as Parameters<typeof addErrands>[1][number]]);
  return id;
}

const backfillOf = async (
  who: Stage,
  id: `bkf_${string}` | `aud_${string}` | `err_${string}`,
): Promise<PublicBackfill> => {
  const found = await findBackfill(database.db, { subAccountId: who.sub, id });
  if (found === null) throw new Error(`there is no ${id}`);
  return found;
};

const ended = (who: Stage, id: Parameters<typeof backfillOf>[1]) =>
  waitFor(
    `${id} to end`,
    async () => {
      const found = await backfillOf(who, id);
      return found.ended_at === null ? Promise.reject(new Error(JSON.stringify(found))) : found;
    },
    { deadlineMs: 30_000, everyMs: 20 },
  );

const all = (more: Partial<ErrandRequests['backfill']> = {}) => ({
  since: Date.now() - 400 * dayMs,
  until: Date.now(),
  contactId: null,
  dryRun: false,
  ...more,
});

/** C8: what was downloaded for it is counted with the rest of the day's. */
const countsDownload = (who: Stage) =>
  waitFor('its download to be counted', async () => {
    const [day] = await rows<{ bytes: number }>(
      database.db,
      'select bytes::float8 as bytes from downloads where mailbox_id = :mailboxId',
      who,
    );
    return (day?.bytes ?? 0) > 0;
  });

const eventsOf = async (type: string, id: string) =>
  (await rows(database.db, `select from events where type = :type and object_id = :id`, { type, id })).length;

describe('C8: older mail', () => {
  test('a dry run counts and stores nothing; then the same is stored, in the order of its time; a repeat changes nothing', async () => {
    const who = await stage('older');
    const { client } = who;
    // Sent and received take turns: the stranger's answer belongs to a thread by what came between.
    await who.old(300, { from: contact, subject: 'Question' });
    await who.old(299, {
      from: who.address,
      to: 'dan@stranger.example',
      subject: 'Asked Dan',
      id: 'asked@errands.test',
      inReplyTo: 'older-Question@errands.test',
      folder: 'Sent',
    });
    await who.old(298, {
      from: 'dan@stranger.example',
      to: `${who.address}, ${contact}`,
      subject: 'Dan says',
      inReplyTo: 'asked@errands.test',
    });
    await who.old(200, { from: 'shop@stranger.example', subject: 'Sale' });
    await client.createFolder('Clients');
    await who.old(100, { from: contact, subject: 'Filed away', folder: 'Clients' });
    await who.old(90, { from: contact, subject: 'Thrown away', folder: 'Trash' });
    await who.listen();
    who.runner();
    assert.deepEqual(await who.subjects(), []);

    const dry = await ended(who, await ask(who, 'backfill', all({ dryRun: true })));
    assert.deepEqual(
      [dry.state, dry.seen, dry.stored, dry.skipped, dry.share],
      ['finished', 5, 4, { no_match: 1 }, 1],
      JSON.stringify(dry),
    );
    assert.deepEqual(await who.subjects(), []);
    assert.equal(await eventsOf('backfill.finished', dry.id), 1);

    const real = await ended(who, await ask(who, 'backfill', all()));
    const counts = ({ seen, stored, skipped, failed }: PublicBackfill) => ({ seen, stored, skipped, failed });
    assert.deepEqual(counts(real), counts(dry));
    assert.ok(real.bytes > dry.bytes && dry.bytes > 0, 'it says what it downloaded');
    assert.deepEqual(await who.subjects(), ['Question', 'Asked Dan', 'Dan says', 'Filed away']);
    assert.equal(await eventsOf('backfill.finished', real.id), 1);

    const again = await ended(who, await ask(who, 'backfill', all()));
    assert.deepEqual(counts(again), counts(real));
    assert.equal((await who.subjects()).length, 4);
    for (const mail of await client.list())
      assert.deepEqual([...mail.flags], [], 'U2: nothing is marked as read');
  });

  test('S16: one contact, however long ago it was; and a window leaves out what is older and newer', async () => {
    const who = await stage('contact');
    await scene.world.addContact(who.sub, 'bea', ['bea@customer.example']);
    await scene.world.addContact(who.sub, 'abea', ['abea@customer.example']);
    await who.old(2_000, { from: 'abea@customer.example', subject: 'Found by a part of her address' });
    await who.old(3_000, { from: 'bea@customer.example', subject: 'Long ago' });
    await who.old(50, { from: who.address, to: 'bea@customer.example', subject: 'To Bea', folder: 'Sent' });
    await who.old(40, { from: contact, subject: 'From Ann' });
    await who.old(10, { from: contact, subject: 'Newer' });
    await who.listen();
    who.runner();
    await ended(who, await ask(who, 'backfill', all({ since: 0, contactId: 'bea' })));
    assert.deepEqual(await who.subjects(), ['Long ago', 'To Bea']);
    const window = { since: Date.now() - 45 * dayMs, until: Date.now() - 20 * dayMs };
    const done = await ended(who, await ask(who, 'backfill', all(window)));
    assert.deepEqual(await who.subjects(), ['Long ago', 'To Bea', 'From Ann']);
    assert.equal(done.seen, 1);
  });

  test('in turns, over a kill and by another process: every message once, and counted once', async () => {
    const who = await stage('turns');
    for (let n = 0; n < 450; n += 1) {
      await who.old(300 - n / 2, {
        from: n % 9 === 0 ? contact : 'shop@stranger.example',
        subject: `Turn ${n}`,
      });
    }
    await who.listen();
    // Each turn is over after its first part, and the process dies in it: its lease runs out.
    const first = who.runner({ turnMs: 0, leaseMs: 300 });
    const id = await ask(who, 'backfill', all());
    await waitFor('a part of it', async () => (await backfillOf(who, id)).seen > 0, { everyMs: 5 });
    await first.stop();
    const part = await backfillOf(who, id);
    assert.ok(part.ended_at === null && part.share > 0 && part.share < 1, JSON.stringify(part));
    await run(
      database.db,
      `update errands set lease_owner = 'dead', lease_until = now() + interval '300 ms', state = 'running' where id = :id`,
      { id },
    );
    who.runner({ turnMs: 0 });
    const done = await ended(who, id);
    assert.deepEqual([done.state, done.seen, done.stored], ['finished', 450, 50]);
    assert.equal(new Set(await who.subjects()).size, 50);
  });

  test('cancelled: it ends at once, and what is stored stays', async () => {
    const who = await stage('cancelled');
    for (let n = 0; n < 250; n += 1) await who.old(300 - n, { from: contact, subject: `Mail ${n}` });
    await who.listen();
    who.runner({ turnMs: 0 });
    const id = await ask(who, 'backfill', all());
    await waitFor('a part of it', async () => (await backfillOf(who, id)).stored > 0, { everyMs: 5 });
    await endErrand(database.db, { id, state: 'cancelled', reason: null, owner: null });
    const next = await ask(who, 'backfill', all({ dryRun: true, since: Date.now() - dayMs }));
    await ended(who, next);
    const cancelled = await backfillOf(who, id);
    assert.equal(cancelled.state, 'cancelled');
    assert.equal(await eventsOf('backfill.finished', id), 1);
    assert.ok((await who.subjects()).length >= cancelled.stored);
    assert.ok((await who.subjects()).length < 450, 'the rest was not read');
  });

  test('a dry run that takes several days goes on where it was', async () => {
    const who = await stage('dry-budget', { errandBytesPerDayMax: 100 });
    for (const days of [390, 350, 100]) await who.old(days, { from: contact, subject: `Mail ${days}` });
    await who.listen();
    who.runner();
    const id = await ask(who, 'backfill', all({ dryRun: true }));
    for (const seen of [1, 2]) {
      const waits = await waitFor('it to wait', async () => {
        const found = await backfillOf(who, id);
        return found.state === 'waiting' && found.seen >= seen ? found : null;
      });
      assert.deepEqual([waits.reason, waits.stored], ['byte_budget', seen]);
      // The next day.
      await run(database.db, 'delete from downloads where mailbox_id = :mailboxId', who);
      await run(database.db, `update errands set due_at = now() where id = :id`, { id });
    }
    const last = await waitFor('the last one', async () => {
      const found = await backfillOf(who, id);
      return found.seen === 3 ? found : null;
    });
    assert.equal(last.stored, 3);
  });

  test('the budget of the day is kept, and it says so', async () => {
    const who = await stage('budget', { errandBytesPerDayMax: 1_000 });
    for (let n = 0; n < 10; n += 1) await who.old(300 - n * 25, { from: contact, subject: `Mail ${n}` });
    await who.listen();
    who.runner();
    const id = await ask(who, 'backfill', all());
    const waits = await waitFor('it to wait', async () => {
      const found = await backfillOf(who, id);
      return found.state === 'waiting' ? found : null;
    });
    assert.equal(waits.reason, 'byte_budget');
    assert.ok(waits.stored > 0 && waits.stored < 10, JSON.stringify(waits));
    const [due] = await rows<{ hours: number }>(
      database.db,
      `select extract(epoch from due_at - date_trunc('day', now() at time zone 'UTC') at time zone 'UTC')::float8 / 3600 as hours
         from errands where id = :id`,
      { id },
    );
    assert.ok(Math.abs((due?.hours ?? 0) - 24) < 0.1, `it goes on at midnight: ${due?.hours} h`);
    // The next day.
    await run(database.db, `update downloads set day = day - 1 where mailbox_id = :mailboxId`, who);
    for (let tries = 0; tries < 10 && (await backfillOf(who, id)).ended_at === null; tries += 1) {
      await run(database.db, `update errands set due_at = now() where id = :id`, { id });
      await run(
        database.db,
        `update downloads set day = day - 1 where mailbox_id = :mailboxId and day >= current_date - 1`,
        who,
      );
      await waitFor('its turn', async () => {
        const { ended_at, state } = await backfillOf(who, id);
        const [row] = await rows<{ due: boolean }>(
          database.db,
          'select due_at > now() as due from errands where id = :id',
          { id },
        );
        return ended_at !== null || (state === 'waiting' && row?.due === true);
      });
    }
    assert.equal((await backfillOf(who, id)).stored, 10);
  });
});

describe('T2: the audit', () => {
  test('a hole that was made by hand is found, healed, and not there any more', async () => {
    const who = await stage('audit');
    await who.listen();
    for (let n = 0; n < 5; n += 1) {
      await deliver(servers, {
        from: n % 2 === 0 ? contact : 'shop@stranger.example',
        to: who.address,
        subject: `Audited ${n}`,
        text: 'x',
      });
    }
    await waitFor(
      'their decisions',
      async () => (await decisionsOf(database.db, who.mailboxId)).length === 5,
    );
    who.runner();
    const audit = async (heal: boolean) => {
      const id = await ask(who, 'audit', { since: 0, heal, scheduled: false });
      await waitFor(
        'the audit',
        async () => (await findAudit(database.db, { subAccountId: who.sub, id }))?.ended_at,
      );
      const found = await findAudit(database.db, { subAccountId: who.sub, id });
      assert.equal(await eventsOf('audit.finished', id), 1);
      return [found?.messages, found?.decided, found?.missing, found?.healed, found?.covered];
    };
    assert.deepEqual(await audit(true), [5, 5, 0, 0, 1]);
    await run(database.db, `delete from decisions where mailbox_id = :mailboxId and uid in (3, 4)`, who);
    await run(
      database.db,
      `delete from messages where id in (select message_id from sightings where mailbox_id = :mailboxId and uid = 3)`,
      who,
    );
    await run(
      database.db,
      `delete from events e where e.object_id not in (select id from messages) and e.type like 'message.%'`,
    );
    assert.deepEqual(await audit(false), [5, 3, 2, 0, 0.6]);
    assert.deepEqual(await audit(true), [5, 3, 2, 2, 1]);
    assert.deepEqual(await audit(true), [5, 5, 0, 0, 1]);
    assert.deepEqual((await who.subjects()).sort(), ['Audited 0', 'Audited 2', 'Audited 4']);
  });
});

describe('T2: what an audit counts', () => {
  const audited = async (who: Stage, id: `aud_${string}`) => {
    await waitFor(
      'the audit',
      async () => (await findAudit(database.db, { subAccountId: who.sub, id }))?.ended_at,
    );
    const found = await findAudit(database.db, { subAccountId: who.sub, id });
    return [found?.messages, found?.decided, found?.missing, found?.healed];
  };
  const request = { since: 0, heal: true, scheduled: false };

  test('what it had healed before it was interrupted was missing all the same', async () => {
    const who = await stage('audit-again');
    await who.listen();
    for (const subject of ['One', 'Two'])
      await deliver(servers, { from: contact, to: who.address, subject, text: 'x' });
    await waitFor(
      'their decisions',
      async () => (await decisionsOf(database.db, who.mailboxId)).length === 2,
    );
    const id = (await ask(who, 'audit', request)) as `aud_${string}`;
    // It judged the first one, and then its process was gone.
    await run(database.db, `update decisions set errand_id = :id where mailbox_id = :mailboxId and uid = 1`, {
      ...who,
      id,
    });
    who.runner();
    assert.deepEqual(await audited(who, id), [2, 1, 1, 1]);
  });

  test('C8: where the day’s download ends in the middle of a window, that is compared anew on the next day', async () => {
    const who = await stage('audit-budget', { errandBytesPerDayMax: 1 });
    await who.listen();
    for (const subject of ['One', 'Two'])
      await deliver(servers, { from: contact, to: who.address, subject, text: 'x' });
    await waitFor(
      'their decisions',
      async () => (await decisionsOf(database.db, who.mailboxId)).length === 2,
    );
    await run(database.db, `delete from decisions where mailbox_id = :mailboxId and uid = 1`, who);
    const id = (await ask(who, 'audit', request)) as `aud_${string}`;
    who.runner();
    const waits = await waitFor('it to wait', async () => {
      const found = await findAudit(database.db, { subAccountId: who.sub, id });
      return found?.state === 'waiting' ? found : null;
    });
    assert.equal(waits.reason, 'byte_budget');
    await countsDownload(who);
    Object.assign(who.provider, { errandBytesPerDayMax: null });
    await run(database.db, `update errands set due_at = now() where id = :id`, { id });
    assert.deepEqual(await audited(who, id), [2, 1, 1, 1], 'what was healed the day before was missing');
  });

  test('C5: what came during a pause is not missing: it waits until that is judged', async () => {
    const who = await stage('audit-paused');
    const second = `${who.sub}-b`;
    await scene.world.addSubAccount(second);
    await scene.world.addUser(`${who.user}-b`, 'another@company.example', [second]);
    await scene.world.addContact(second, 'c', [contact]);
    await who.listen();
    await connect(database.db, { ...who, sub: second, user: `${who.user}-b`, provider: 'imap' });
    await database.db.transaction((tx) => pauseConnection(tx, who.connectionId));
    await deliver(servers, { from: contact, to: who.address, subject: 'Meanwhile', text: 'x' });
    await waitFor('the other to have it', async () => (await scene.world.messages(second)).length === 1);
    const id = (await ask(who, 'audit', request)) as `aud_${string}`;
    await database.db.transaction((tx) => resumeConnection(tx, who.connectionId));
    who.runner();
    assert.deepEqual(await audited(who, id), [1, 1, 0, 0]);
    await disconnect(database.db, who.mailboxId);
  });
});

describe('T3: what failed is tried again', () => {
  test('from its place, by the rules of now', async () => {
    const who = await stage('retried');
    const uid = await who.old(0, { from: contact, subject: 'Poison' });
    await who.listen();
    await waitFor('its decision', async () => (await decisionsOf(database.db, who.mailboxId)).length === 1);
    // As if the server had not been able to show it.
    await run(database.db, `delete from messages where sub_account_id = :sub`, who);
    await run(database.db, `delete from threads where sub_account_id = :sub`, who);
    await run(
      database.db,
      `delete from events where sub_account_id = :sub and type not like 'connection.%'`,
      who,
    );
    await run(database.db, `delete from conversations where sub_account_id = :sub`, who);
    await run(
      database.db,
      `update decisions set outcome = 'failed', reason = 'unreadable', message_id = null, attempts = 1 where mailbox_id = :mailboxId`,
      who,
    );
    const [folder] = await rows<{ folderId: `fld_${string}`; uidValidity: number }>(
      database.db,
      `select id as "folderId", uid_validity::float8 as "uidValidity" from folders where mailbox_id = :mailboxId and role = 'inbox'`,
      who,
    );
    if (folder === undefined) throw new Error('no inbox');
    await ask(who, 'judge_again', { ...folder, uids: [uid], byHand: false });
    who.runner();
    await waitFor('it to be stored', async () => (await who.subjects()).length === 1);
    assert.deepEqual(await decisionsOf(database.db, who.mailboxId), [
      `inbox ${uid} failed unreadable`,
      `inbox ${uid} stored from_contact`,
    ]);
    await countsDownload(who);
  });
});

describe('S13: what a message answers', () => {
  test('is fetched when it opens a thread, and joins it', async () => {
    const who = await stage('head');
    await who.old(500, {
      from: who.address,
      to: 'dan@stranger.example',
      subject: 'Offer',
      id: 'offer@errands.test',
      folder: 'Sent',
    });
    await who.old(499, {
      from: 'dan@stranger.example',
      to: `${who.address}, ${contact}`,
      subject: 'Re: Offer',
      id: 're-offer@errands.test',
      inReplyTo: 'offer@errands.test',
    });
    // Contains the id of another one: no head of it.
    await who.old(498, { from: contact, subject: 'Not it', id: 'xoffer@errands.test' });
    await who.listen();
    who.runner();
    await deliver(servers, {
      from: contact,
      to: who.address,
      subject: 'Re: Re: Offer',
      text: 'x',
      inReplyTo: '<re-offer@errands.test>',
      references: ['<offer@errands.test>', '<re-offer@errands.test>'],
    });
    await waitFor('the older ones', async () => (await who.subjects()).length === 3);
    assert.deepEqual((await who.subjects()).sort(), ['Offer', 'Re: Offer', 'Re: Re: Offer']);
    await waitFor(
      'the errand to end',
      async () =>
        (await rows(database.db, 'select from errands where mailbox_id = :mailboxId', who)).length === 0,
    );
    const messages = await scene.world.messages(who.sub);
    assert.equal(new Set(messages.map((message) => message.thread_id)).size, 1);
    await countsDownload(who);
  });
});

describe('C5: pause and resume', () => {
  test('what came meanwhile is judged afterwards, though another connection has moved the cursor', async () => {
    const who = await stage('paused');
    const second = `${who.sub}-b`;
    await scene.world.addSubAccount(second);
    await scene.world.addUser(`${who.user}-b`, 'other@company.example', [second]);
    await scene.world.addContact(second, 'c', [contact]);
    await who.listen();
    await connect(database.db, { ...who, sub: second, user: `${who.user}-b`, provider: 'imap' });
    who.runner();
    await database.db.transaction((tx) => pauseConnection(tx, who.connectionId));
    await deliver(servers, { from: contact, to: who.address, subject: 'Meanwhile', text: 'x' });
    await waitFor('the other to have it', async () => (await scene.world.messages(second)).length === 1);
    assert.deepEqual(await who.subjects(), []);
    await database.db.transaction((tx) => resumeConnection(tx, who.connectionId));
    await waitFor('it to be there', async () => (await who.subjects()).length === 1);
    assert.equal((await scene.world.messages(second)).length, 1);
    await disconnect(database.db, who.mailboxId);
  });
});

describe('errands', () => {
  test('C5: what came during a pause is never given up, whatever goes wrong', async () => {
    const who = await stage('stubborn');
    await who.listen();
    const row = { sub_account_id: who.sub, connection_id: who.connectionId, mailbox_id: who.mailboxId };
    await addErrands(database.db, [{ id: newId('err'), kind: 'resume', ...row, request: { since: 0 } }]);
    let tries = 0;
    const runner = createErrandRunner({
      ...who.deps,
      providerOf: (mailbox) => {
        tries += 1;
        if (tries <= 3) throw new Error('a fault of our own');
        return who.deps.providerOf(mailbox);
      },
      limits: { pollMs: 20, retry: { firstMs: 20, mostMs: 20 }, triesMax: 1 },
    });
    running.push(runner);
    runner.start();
    const left = () => rows(database.db, 'select from errands where mailbox_id = :mailboxId', who);
    await waitFor('it to be done', async () => (await left()).length === 0);
    assert.ok(tries > 3, `it was given up after ${tries}`);
  });

  test('a lease lasts while mail is on its way, however long that takes', async () => {
    const who = await stage('slow');
    await who.old(10, { from: contact, subject: 'Large' });
    await who.listen();
    const { db, ...filing } = who.deps.filing;
    const leaseMs = 300;
    const lease = async (id: string) => {
      const [row] = await rows<{ until: Date; attempts: number }>(
        database.db,
        'select lease_until as until, attempts from errands where id = :id',
        { id },
      );
      if (row === undefined) throw new Error(`there is no ${id}`);
      return row;
    };
    const id = await ask(who, 'backfill', all());
    const tries: number[] = [];
    const put: typeof filing.blobs.put = async (contents) => {
      const first = await lease(id);
      const later = await waitFor('the lease to be renewed', async () => {
        const now = await lease(id);
        return now.until.getTime() > first.until.getTime() + 2 * leaseMs ? now : null;
      });
      tries.push(later.attempts);
      return filing.blobs.put(contents);
    };
    const runner = createErrandRunner({
      ...who.deps,
      filing: { ...filing, db, blobs: { ...filing.blobs, put } },
      limits: { pollMs: 20, leaseMs },
    });
    running.push(runner);
    runner.start();
    assert.equal((await ended(who, id)).stored, 1);
    assert.deepEqual([...new Set(tries)], [0], 'nobody has begun it a second time');
  });

  test('of a connection that is paused in the middle go on after it where they were', async () => {
    const who = await stage('broken-off');
    for (let n = 0; n < 250; n += 1) await who.old(300 - n, { from: contact, subject: `Mail ${n}` });
    await who.listen();
    const { db, ...filing } = who.deps.filing;
    // While the bodies of the first part are on their way to the disk.
    let pausing: Promise<unknown> | null = null;
    const put: typeof filing.blobs.put = async (contents) => {
      pausing ??= db.transaction((tx) => pauseConnection(tx, who.connectionId));
      await pausing;
      return filing.blobs.put(contents);
    };
    const runner = createErrandRunner({
      ...who.deps,
      filing: { ...filing, db, blobs: { ...filing.blobs, put } },
      limits: { pollMs: 50, retry: { firstMs: 50, mostMs: 200 } },
    });
    running.push(runner);
    runner.start();
    const id = await ask(who, 'backfill', all());
    await waitFor('it to wait', async () => (await backfillOf(who, id)).reason === 'paused');
    assert.equal((await backfillOf(who, id)).seen, 0, 'nothing was judged');
    await database.db.transaction((tx) => resumeConnection(tx, who.connectionId));
    const done = await ended(who, id);
    assert.deepEqual([done.seen, done.stored], [250, 250]);
  });

  test('of a connection that has ended are cancelled', async () => {
    const who = await stage('gone');
    await who.listen();
    const id = await ask(who, 'backfill', all());
    await disconnect(database.db, who.mailboxId);
    who.runner();
    const done = await ended(who, id);
    assert.deepEqual([done.state, done.reason], ['cancelled', 'disconnected']);
  });

  test('wait while the provider cannot be reached, and say why', async () => {
    const who = await stage('away');
    await who.old(10, { from: contact, subject: 'Older' });
    await who.listen();
    const provider = who.deps.providerOf({} as Parameters<ListenerDeps['providerOf']>[0]);
    let imap = { host: '127.0.0.1', port: 9, security: 'none' as 'none' | 'tls' };
    const runner = createErrandRunner({
      ...who.deps,
      providerOf: () => ({ ...provider, imap }),
      limits: { pollMs: 50, retry: { firstMs: 50, mostMs: 100 } },
    });
    running.push(runner);
    runner.start();
    const id = await ask(who, 'backfill', all());
    const waits = await waitFor('it to wait', async () => {
      const found = await backfillOf(who, id);
      return found.state === 'waiting' ? found : null;
    });
    assert.equal(waits.reason, 'imap_econnrefused');
    const { host, tlsPort: port } = servers.dovecot.imap.full;
    imap = { host, port, security: 'tls' };
    assert.equal((await ended(who, id)).stored, 1);
  });
});
