import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { statements } from '../../src/lib/meters.ts';
import type { ListenerLimits } from '../../src/mailbox/listener.ts';
import type { Session, SessionOptions } from '../../src/mailbox/session.ts';
import { createSupervisor, supervisorLimits } from '../../src/mailbox/supervisor.ts';
import type { Supervisor, SupervisorLimits } from '../../src/mailbox/supervisor.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import { announce, hangUp, openBox, put } from '../sim/provider.ts';
import type { Box } from '../sim/provider.ts';
import { connectTo } from '../sim/session.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, supervisorDepsFor, disconnect } from './listening.ts';
import type { Scene } from './listening.ts';

/** A mailbox at a provider that has one folder, so that it takes one connection to listen to. */
type Account = {
  id: MailboxId;
  box: Box;
  host: string;
  /** When its sessions were asked for, ms since the epoch. */
  opened: number[];
  /** How many of them have got as far as to listen. */
  listened: number;
};

const time = { now: () => Date.now(), pass: () => undefined, end: () => undefined };

/** The next beat is far: what is counted and held up is the listeners' own. */
const calm: Partial<SupervisorLimits> = { leaseMs: 300_000, beatMs: 60_000 };

describe('many mailboxes of one process', () => {
  let database: TestDatabase;
  let scene: Scene;
  let supervisor: Supervisor | null = null;
  let accounts = new Map<string, Account>();
  /** Logins that are under way, by host, and the most that ever were. */
  let logins = new Map<string, { now: number; most: number }>();
  /** Before a login, and before headers are answered. */
  let onLogin: (account: Account) => Promise<void> = () => Promise.resolve();
  let onHeaders: (account: Account, uids: string) => Promise<void> = () => Promise.resolve();

  before(async () => {
    database = await testDatabase('postgres');
    scene = await createScene(database.db);
  });
  after(() => database.drop());
  afterEach(async () => {
    await supervisor?.stop();
    await disconnect(database.db, null);
    supervisor = null;
    accounts = new Map();
    logins = new Map();
    onLogin = () => Promise.resolve();
    onHeaders = () => Promise.resolve();
  });

  async function open(hosts: readonly string[]): Promise<Account[]> {
    const made: Account[] = [];
    for (const host of hosts) {
      const { mailboxId: id, address } = await scene.person();
      const box = openBox({ name: id, address, allMail: false });
      box.folders = new Map([...box.folders].filter(([path]) => path === 'INBOX'));
      const account = { id, box, host, opened: [], listened: 0 };
      accounts.set(id, account);
      made.push(account);
    }
    return made;
  }

  async function openSession(options: SessionOptions): Promise<Session> {
    const account = accounts.get(options.login.user);
    assert.ok(account !== undefined && options.server.host === account.host);
    assert.equal(account.box.lines.size, 0, 'a mailbox is listened to twice');
    account.opened.push(Date.now());
    const at = logins.get(account.host) ?? { now: 0, most: 0 };
    logins.set(account.host, at);
    at.now += 1;
    at.most = Math.max(at.most, at.now);
    await onLogin(account).finally(() => (at.now -= 1));
    const session = await connectTo(account.box, options, () => Promise.resolve());
    let hasListened = false;
    return {
      ...session,
      headers: async (uids, onWhole) => {
        await onHeaders(account, uids);
        return session.headers(uids, onWhole);
      },
      idle: () => {
        if (!hasListened) account.listened += 1;
        hasListened = true;
        session.idle();
      },
    };
  }

  function start(limits: Partial<SupervisorLimits> = {}, listening: Partial<ListenerLimits> = {}): void {
    const deps = supervisorDepsFor({
      world: scene.world,
      clock: systemClock,
      imap: { host: 'imap.example', port: 993, security: 'tls' },
      limits: listening,
      loginOf: (mailbox) => Promise.resolve({ user: mailbox.id, accessToken: 'token-1' }),
    });
    const providerOf: typeof deps.providerOf = ({ id }) => ({
      ...resolveProvider('imap'),
      imap: { host: accounts.get(id)?.host ?? '', port: 993, security: 'tls' },
    });
    const all = { ...deps, providerOf, openSession, wakeOthers: () => undefined };
    supervisor = createSupervisor(all, { ...supervisorLimits, ...calm, ...limits }, 'a');
    supervisor.start();
  }

  const listen = (of: readonly Account[], times: number) =>
    waitFor(`${of.length} to listen`, () => of.every((account) => account.listened === times), {
      everyMs: 10,
      deadlineMs: 30_000,
    });

  /** Up to which UID the inbox has been judged; not counted as a statement. */
  const judgedUpTo = async ({ id }: Account): Promise<number> => {
    const [folder] = (
      await database.db.raw<{ rows: { cursor: number }[] }>(
        'select cursor_uid::int as cursor from folders where mailbox_id = ?',
        [id],
      )
    ).rows;
    return folder?.cursor ?? 0;
  };

  const live = async (): Promise<number> => {
    const found = await database.db.raw<{ rows: { n: number }[] }>(
      `select count(*)::int as n from mailboxes where state = 'live' and id = any(?)`,
      [[...accounts.keys()]],
    );
    return found.rows[0]?.n ?? 0;
  };

  const statementsGiven = () => Number(statements.lines([])[0]?.split(' ').at(-1));

  /** Puts letters of the contact or of a stranger into the inbox, and lets the server say so. */
  function deliver({ box }: Account, count: number, from: string): void {
    for (let left = count; left > 0; left -= 1) {
      const n = box.folders.get('INBOX')?.uidNext ?? 0;
      const messageId = `letter-${n}@${box.name}.example`;
      const to = 'user@company.example';
      const subject = `Letter ${n}`;
      const raw = Buffer.from(
        [
          `From: ${from}`,
          `To: ${to}`,
          `Subject: ${subject}`,
          `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
          `Message-ID: <${messageId}>`,
          '',
          'Text.',
          '',
        ].join('\r\n'),
      );
      const mail = {
        n,
        from,
        to: [to],
        cc: [],
        messageId,
        writtenId: null,
        inReplyTo: null,
        references: [],
        subject,
        kind: 'person',
        raw,
      } as const;
      put(box, time, { mail: { ...mail, to: [to], cc: [], references: [] }, path: 'INBOX', delivered: true });
    }
    announce(box, () => true);
  }

  const ann = 'ann@customer.example';

  test('what a crowd asks of the database when it begins is asked together', async () => {
    const crowd = await open(Array.from({ length: 120 }, () => 'imap.example'));
    const before = statementsGiven();
    start();
    await waitFor('all live', async () => (await live()) === crowd.length, { everyMs: 20 });
    const each = (statementsGiven() - before) / crowd.length;
    // One by one it would be 18.
    assert.ok(each < 5, `${each} statements for each mailbox`);
    const [first] = crowd;
    assert.ok(first !== undefined);
    await database.db.transaction(async (tx) => {
      await run(tx, 'select from mailboxes where id = :id for no key update', { id: first.id });
      deliver(first, 1, ann);
      await waitFor('new mail, which waits for none of that', async () => (await judgedUpTo(first)) === 1);
    });
  });

  test('a stop while a crowd begins waits for what it asks: no lease, session or open line is left', async () => {
    const crowd = await open(Array.from({ length: 110 }, () => 'imap.example'));
    start();
    await waitFor('some to log in', () => crowd.filter(({ box }) => box.lines.size > 0).length >= 10, {
      everyMs: 1,
    });
    await supervisor?.stop();
    assert.ok(
      crowd.some(({ listened }) => listened === 0),
      'others had not begun to listen',
    );
    assert.ok(crowd.every(({ box }) => box.lines.size === 0));
    const ids = crowd.map(({ id }) => id);
    const left = await rows(
      database.db,
      `select (select count(*) from mailboxes m join nodes n on n.id = m.node_id where m.id = any(:ids))::int as leases,
              (select count(*) from connection_log where mailbox_id = any(:ids)
                  and logged_in_at is not null and ended_at is null)::int as lines,
              (select count(*) from mailboxes where id = any(:ids) and state not in ('connecting', 'live'))::int as states`,
      { ids },
    );
    assert.deepEqual(left, [{ leases: 0, lines: 0, states: 0 }]);
    start();
    await waitFor('all live', async () => (await live()) === crowd.length, { everyMs: 20 });
  });

  test('sessions that end in the same second come back in turn, paced by host, each of them once', async () => {
    const [many, few] = [80, 40];
    const hosts = [...Array<string>(many).fill('imap.example'), ...Array<string>(few).fill('slow.example')];
    const crowd = await open(hosts);
    const [quick, slow] = [crowd.slice(0, many), crowd.slice(many)];
    // Long enough for those who are let in to be inside together.
    const loginTakes = () => wait(20);
    onLogin = loginTakes;
    // Each is a good session from the beginning, as one is after a minute.
    start({ logins: { first: 2, most: 6 } }, { provenMs: 0 });
    await listen(crowd, 1);
    await waitFor('all live', async () => (await live()) === crowd.length);
    assert.ok(
      [...logins.values()].every(({ most }) => most === 6),
      'no more than six at once are let in',
    );
    const release = Promise.withResolvers<void>();
    onLogin = ({ host }) => (host === 'slow.example' ? release.promise : loginTakes());
    const endedAt = Date.now();
    for (const { box } of crowd) hangUp(box);
    await listen(quick, 2);
    // About half of them, as their pauses are drawn; without a pause nearly all.
    const inFirst = quick.filter(({ opened }) => (opened[1] ?? Infinity) - endedAt < 500).length;
    assert.ok(inFirst < 0.8 * quick.length, `${inFirst} came back within half a second`);
    assert.ok((logins.get('slow.example')?.now ?? 0) <= 6);
    assert.ok(slow.every(({ listened }) => listened === 1));
    release.resolve();
    await listen(crowd, 2);
    assert.ok(crowd.every(({ opened, box }) => opened.length === 2 && box.lines.size === 1));
    assert.ok([...logins.values()].every(({ most }) => most === 6));
    const told = await rows<{ n: number }>(
      database.db,
      `select count(*)::int as n from events e join connections c on c.id = e.object_id
        where e.type = 'connection.state_changed' and c.mailbox_id = any(:ids)`,
      { ids: crowd.map(({ id }) => id) },
    );
    assert.deepEqual(told, [{ n: crowd.length }], 'the CRM heard that each is live, and nothing since');
    const [last] = slow;
    assert.ok(last !== undefined);
    deliver(last, 1, ann);
    await waitFor('its mail', async () => (await judgedUpTo(last)) === 1);
  });

  test('a backlog of thousands keeps no other mailbox from its new mail, nor from its own catching up', async () => {
    const hosts = ['imap.example', 'imap.example', 'imap.example', 'other.example'];
    const [long, writes, behind, elsewhere] = await open(hosts);
    assert.ok(long !== undefined && writes !== undefined && behind !== undefined && elsewhere !== undefined);
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const inside = Promise.withResolvers<void>();
    onLogin = (account) => (account === behind || account === elsewhere ? inside.promise : Promise.resolve());
    onHeaders = (account, uids) => {
      if (account !== long) return Promise.resolve();
      inside.resolve();
      return Number.parseInt(uids, 10) > 4_000 ? second.promise : first.promise;
    };
    deliver(long, 4_100, 'nobody@stranger.example');
    for (const account of [behind, elsewhere]) deliver(account, 60, ann);
    start({ batchesMax: 1 });
    await listen([writes], 1);
    await inside.promise;
    deliver(writes, 1, ann);
    const judged = (account: Account, uid: number) =>
      waitFor(`mail up to ${uid}`, async () => (await judgedUpTo(account)) === uid, { deadlineMs: 30_000 });
    await judged(writes, 1);
    await judged(elsewhere, 60);
    assert.deepEqual([await judgedUpTo(long), await judgedUpTo(behind)], [0, 0], 'one at a time of one host');
    first.resolve();
    await judged(behind, 60);
    const part = await judgedUpTo(long);
    assert.ok(part > 0 && part <= 4_000, `it has read a part, ${part}, and waits for its turn`);
    second.resolve();
    await judged(long, 4_100);
  });
});
