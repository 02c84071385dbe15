import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { Failure } from '../../src/lib/failure.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { openSession } from '../../src/mailbox/session.ts';
import { createSupervisor, supervisorLimits } from '../../src/mailbox/supervisor.ts';
import type { Supervisor, SupervisorLimits } from '../../src/mailbox/supervisor.ts';
import { openDatabase, rows, run } from '../../src/store/database.ts';
import { beginToLeave, enterNode, keepNode, leaseMailboxes } from '../../src/store/mailboxes.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, supervisorDepsFor, disconnect, keptLog } from './listening.ts';
import type { Scene } from './listening.ts';

const script =
  'capabilities: IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE NAMESPACE UIDPLUS\nfolder: INBOX uidvalidity 7 uidnext 11 exists 2\n';

/** Short enough to be waited for, long enough for a machine that has other things to do. */
const quick: Partial<SupervisorLimits> = { leaseMs: 2_000, beatMs: 50 };

type Node = { supervisor: Supervisor; log: ReturnType<typeof keptLog> };

for (const kind of databaseKinds) {
  describe(`leases on ${kind}`, () => {
    let database: TestDatabase;
    let scene: Scene;
    let peer: ScriptPeer;
    let nodes: Node[] = [];
    let refusedMailbox: MailboxId | null = null;
    /** Sessions of this one neither begin nor end. */
    let hangingMailbox: MailboxId | null = null;

    before(async () => {
      database = await testDatabase(kind);
      scene = await createScene(database.db);
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(database.db, 'delete from nodes');
      await disconnect(database.db, null);
      peer = await startScriptPeer(script);
    });
    afterEach(async () => {
      for (const { supervisor } of nodes) await supervisor.stop();
      nodes = [];
      refusedMailbox = null;
      hangingMailbox = null;
      await peer.stop();
    });

    /** What a notice of one node does to all the others. */
    const wakeAll = () => nodes.forEach(({ supervisor }) => supervisor.wake(null));

    const openUnlessHanging: typeof openSession = (options) =>
      options.login.user === hangingMailbox ? new Promise(() => {}) : openSession(options);

    function startNode(
      id: string,
      limits: Partial<SupervisorLimits> = quick,
      db: TestDatabase['db'] = database.db,
    ): Node {
      const log = keptLog();
      const deps = supervisorDepsFor({
        world: scene.world,
        clock: systemClock,
        imap: { host: peer.host, port: peer.port, security: 'none' },
        log,
        loginOf: (mailbox) =>
          mailbox.id === refusedMailbox
            ? Promise.reject(new Failure('denied', 'token_revoked', 'for a test'))
            : Promise.resolve({ user: mailbox.id, accessToken: 'token' }),
      });
      const filing = { ...deps.filing, db };
      const supervisor = createSupervisor(
        { ...deps, filing, wakeOthers: wakeAll, openSession: openUnlessHanging },
        { ...supervisorLimits, ...limits },
        id,
      );
      const node = { supervisor, log };
      nodes.push(node);
      supervisor.start();
      return node;
    }

    async function people(count: number): Promise<MailboxId[]> {
      const made: MailboxId[] = [];
      for (let n = 0; n < count; n += 1) made.push((await scene.person()).mailboxId);
      return made;
    }

    /** Who has which mailboxes: counts by node. */
    async function shares(): Promise<Record<string, number>> {
      const found = await rows<{ id: string; n: number }>(
        database.db,
        `select coalesce(m.node_id, 'nobody') as id, count(*)::int as n from mailboxes m
          where exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null)
          group by 1 order by 1`,
      );
      return Object.fromEntries(found.map(({ id, n }) => [id, n]));
    }

    const until = (what: string, isTrue: () => boolean | Promise<boolean>) =>
      waitFor(what, isTrue, { everyMs: 10 });

    const sharesBecome = (expected: Record<string, number>) =>
      until(`shares ${JSON.stringify(expected)}`, async () => {
        const now = await shares();
        return JSON.stringify(now) === JSON.stringify(expected)
          ? true
          : Promise.reject(new Error(JSON.stringify(now)));
      });

    test('two nodes share the mailboxes evenly, each one by one of them', async () => {
      await people(10);
      const a = startNode('a');
      await sharesBecome({ a: 10 });
      const b = startNode('b');
      await sharesBecome({ a: 5, b: 5 });
      await until('their listeners', () => a.supervisor.size() === 5 && b.supervisor.size() === 5);
      await until('ten open connections', () => openConnections(peer) === 10);
    });

    test('a node that stops hands its mailboxes over at once', async () => {
      await people(6);
      const a = startNode('a', { ...quick, leaseMs: 60_000 });
      startNode('b', { ...quick, leaseMs: 60_000 });
      await sharesBecome({ a: 3, b: 3 });
      const startedAt = Date.now();
      await a.supervisor.stop();
      await sharesBecome({ b: 6 });
      assert.ok(Date.now() - startedAt < 10_000, 'long before its lease would have ended');
    });

    test('nodes that come and go have their share at once, however far away the next beat is', async () => {
      await people(10);
      const calm = { ...quick, leaseMs: 300_000, beatMs: 60_000, handOverMax: 2, handOverMs: 100 };
      startNode('a', calm);
      await sharesBecome({ a: 10 });
      const b = startNode('b', calm);
      await sharesBecome({ a: 5, b: 5 });
      await b.supervisor.stop();
      await sharesBecome({ a: 10 });
    });

    test('a node that stops hands over some at a time: the next ones when those before are taken', async () => {
      await people(6);
      // Its next beat is far: it hears of the other when it leaves.
      const calm = { leaseMs: 300_000, beatMs: 60_000 };
      const a = startNode('a', { ...calm, handOverMax: 2, handOverMs: 30_000, leaveMs: 60_000 });
      await until('all live', () => openConnections(peer) === 6);
      await enterNode(database.db, { id: 'slow', instance: 'takes none yet' }, 60_000);
      const stopped = a.supervisor.stop();
      for (const left of [4, 2, 0]) {
        const before = left === 4 ? {} : { slow: 4 - left };
        const mine = left === 0 ? {} : { a: left };
        await sharesBecome({ ...mine, nobody: 2, ...before });
        // The server hears a moment later that a connection is closed.
        await until('the others alone are listened to', () => openConnections(peer) === left);
        assert.equal((await leaseMailboxes(database.db, 'slow', 2)).length, 2);
      }
      await stopped;
      assert.deepEqual(await shares(), { slow: 6 });
    });

    test('a node that stops is no long time about it where nobody takes its mailboxes', async () => {
      await people(6);
      const a = startNode('a', {
        ...quick,
        leaseMs: 60_000,
        handOverMax: 1,
        handOverMs: 60_000,
        leaveMs: 200,
      });
      await until('all live', () => openConnections(peer) === 6);
      // Its last moment is the one between two rounds.
      const startedAt = Date.now();
      await a.supervisor.stop();
      assert.ok(Date.now() - startedAt < 10_000);
      assert.deepEqual(await rows(database.db, 'select from nodes'), []);
    });

    test('a listener that hangs keeps no other mailbox from the next node, nor the node from its end', async () => {
      const ids = await people(4);
      hangingMailbox = ids[0] ?? null;
      const calm = { leaseMs: 300_000, beatMs: 60_000, leaveMs: 2_000 };
      const a = startNode('a', { ...calm, handOverMax: 2 });
      await until('all but one live', () => openConnections(peer) === 3);
      await enterNode(database.db, { id: 'b', instance: 'takes all' }, 300_000);
      let isOver = false;
      const startedAt = Date.now();
      const stopped = a.supervisor.stop().then(() => (isOver = true));
      await until('the others to be free', async () => (await shares())['nobody'] === 3);
      assert.deepEqual([isOver, await shares()], [false, { a: 1, nobody: 3 }]);
      assert.equal((await leaseMailboxes(database.db, 'b', 10)).length, 3);
      await stopped;
      nodes = [];
      assert.ok(Date.now() - startedAt < 15_000, 'twice as long as it hands over, at most');
      assert.equal(
        (await leaseMailboxes(database.db, 'b', 10)).length,
        1,
        'whoever is left has that one, too',
      );
      assert.ok(a.log.lines.some(({ message }) => message === 'listeners do not end'));
    });

    test('a mailbox that was in the hands of a killed node is taken in the moment when its lease is over', async () => {
      await people(1);
      const dead = { id: 'dead', instance: 'killed' };
      await enterNode(database.db, dead, 1_500);
      await leaseMailboxes(database.db, dead.id, 10);
      startNode('b', { ...quick, leaseMs: 300_000, beatMs: 60_000 });
      await sharesBecome({ b: 1 });
    });

    test('a node that is leaving takes nothing more, and is not counted', async () => {
      await people(4);
      const leaving = { id: 'leaving', instance: 'stops' };
      await enterNode(database.db, leaving, 60_000);
      assert.equal(await beginToLeave(database.db, leaving, 60_000), false, 'there is nobody to take over');
      startNode('b', { ...quick, leaseMs: 60_000 });
      await sharesBecome({ b: 4 });
    });

    test('a node that was killed loses its mailboxes when its lease is over, and not before', async () => {
      const [id] = await people(1);
      const dead = { id: 'dead', instance: 'killed' };
      const killedAt = Date.now();
      await enterNode(database.db, dead, 1_500);
      assert.deepEqual(await leaseMailboxes(database.db, dead.id, 10), [id]);
      startNode('b');
      await sharesBecome({ b: 1 });
      assert.ok(Date.now() - killedAt >= 1_500, 'while it might be alive, nobody took its mailbox');
    });

    test('a node that was killed and starts again has its mailboxes at once', async () => {
      await people(3);
      const killed = { id: 'a', instance: 'killed' };
      await enterNode(database.db, killed, 60_000);
      assert.equal((await leaseMailboxes(database.db, 'a', 10)).length, 3);
      const { supervisor } = startNode('a');
      await until('its listeners', () => supervisor.size() === 3);
      assert.equal(
        await keepNode(database.db, killed, 60_000),
        null,
        'whoever it was before has nothing any more',
      );
    });

    test('a node that has many begins with some, and with the next ones without waiting for a beat', async () => {
      await people(7);
      await enterNode(database.db, { id: 'a', instance: 'killed' }, 60_000);
      assert.equal((await leaseMailboxes(database.db, 'a', 10)).length, 7);
      const { supervisor } = startNode('a', { beatMs: 60_000, leaseMs: 300_000, startsPerBeatMax: 3 });
      const sizes = new Set<number>();
      await until('all of them', () => sizes.add(supervisor.size()).has(7));
      assert.ok(!sizes.has(4) && !sizes.has(5), [...sizes].join());
      assert.deepEqual(await shares(), { a: 7 });
    });

    test('two processes under one name: the newer has the mailboxes, the older goes on under another', async () => {
      await people(4);
      const older = startNode('a');
      await until('its listeners', () => older.supervisor.size() === 4);
      const newer = startNode('a');
      await until('an even share', () => older.supervisor.size() === 2 && newer.supervisor.size() === 2);
      await until('four open connections', () => openConnections(peer) === 4);
      assert.equal(Object.keys(await shares()).length, 2);
    });

    test('C7: a mailbox that nobody is connected to any more is let go at once', async () => {
      const [id, other] = await people(2);
      const { supervisor } = startNode('a', { beatMs: 60_000 });
      await until('both', () => supervisor.size() === 2 && openConnections(peer) === 2);
      assert.ok(id !== undefined && other !== undefined);
      await disconnect(database.db, id);
      supervisor.wake(id);
      await until('the end of one', () => supervisor.size() === 1 && openConnections(peer) === 1);
    });

    test('a mailbox that was just connected is listened to without waiting for the next beat', async () => {
      const { supervisor } = startNode('a', { beatMs: 60_000, leaseMs: 300_000 });
      await until('the node', async () => (await rows(database.db, 'select from nodes')).length === 1);
      const [id] = await people(1);
      assert.ok(id !== undefined);
      supervisor.wake(id);
      await until('its listener', () => supervisor.size() === 1);
    });

    test('C5: a listener that ended for want of consent begins again with the next one', async () => {
      const [id, other] = await people(2);
      assert.ok(id !== undefined && other !== undefined);
      refusedMailbox = id;
      const { supervisor } = startNode('a');
      const stateIs = async (state: string) => {
        const [mailbox] = await rows<{ state: string }>(
          database.db,
          'select state from mailboxes where id = :id',
          { id },
        );
        return mailbox?.state === state;
      };
      await until('the refusal', () => stateIs('reauth_required'));
      await until('its end', () => supervisor.size() === 1);
      refusedMailbox = null;
      await run(database.db, `update mailboxes set state = 'connecting' where id = :id`, { id });
      supervisor.wake(id);
      await until('a new listener', () => supervisor.size() === 2);
      await until('live', () => stateIs('live'));
    });

    test('one listener that ends by a bug touches no other, and begins again', async () => {
      const [id] = await people(3);
      let bugs = 0;
      const log = keptLog();
      const deps = supervisorDepsFor({
        world: scene.world,
        clock: systemClock,
        imap: { host: peer.host, port: peer.port, security: 'none' },
        log: {
          ...log,
          child: (fields) => ({
            ...log,
            info: () => {
              if (fields['mailbox'] === id) throw new TypeError('a bug');
            },
          }),
        },
        loginOf: (mailbox) => {
          if (mailbox.id === id && bugs < 3) {
            bugs += 1;
            return Promise.reject(new Failure('temporary', 'for_a_test', 'leads to the bug'));
          }
          return Promise.resolve({ user: mailbox.address, accessToken: 'token' });
        },
      });
      const supervisor = createSupervisor(
        { ...deps, wakeOthers: wakeAll },
        { ...supervisorLimits, ...quick },
        'a',
      );
      nodes.push({ supervisor, log });
      supervisor.start();
      await until('the others', () => openConnections(peer) >= 2);
      await until('all of them', () => openConnections(peer) === 3 && supervisor.size() === 3);
      assert.equal(log.lines.filter(({ level }) => level === 'error').length, 3);
      assert.equal(peer.sent('* AUTHENTICATE *').length, 3, 'the others logged in once');
    });

    test('after a stop nothing is left: no timer, no socket, no lease', async () => {
      const resources = () =>
        process.getActiveResourcesInfo().filter((name) => /^(Timeout|TCP|TLS|Immediate)/.test(name)).length;
      await people(20);
      const { supervisor } = startNode('a');
      await until('all live', () => peer.sent('* IDLE').length >= 20);
      await supervisor.stop();
      nodes = [];
      await until('the connections’ end', () => openConnections(peer) === 0);
      const before = resources();
      for (let round = 0; round < 3; round += 1) {
        const again = startNode('a');
        await until('all live', () => openConnections(peer) === 20);
        await again.supervisor.stop();
        nodes = [];
        await until('the connections’ end', () => openConnections(peer) === 0);
      }
      await until('as little as before', () => resources() <= before);
      assert.deepEqual(await rows(database.db, 'select from nodes'), []);
    });
  });
}

describe('a node that loses its database', () => {
  test('lets its listeners go before others may take them over', async () => {
    const database = await testDatabase('postgres');
    const scene = await createScene(database.db);
    const peer = await startScriptPeer(script);
    const own = await openDatabase({ kind: 'postgres', url: database.url ?? '', connectionsMax: 5 });
    const { mailboxId } = await scene.person();
    const deps = supervisorDepsFor({
      world: scene.world,
      clock: systemClock,
      imap: { host: peer.host, port: peer.port, security: 'none' },
    });
    const limits = { ...supervisorLimits, leaseMs: 2_000, beatMs: 200 };
    const supervisor = createSupervisor(
      { ...deps, filing: { ...deps.filing, db: own.db }, wakeOthers: () => {} },
      limits,
      'a',
    );
    supervisor.start();
    await waitFor('its listener', () => openConnections(peer) === 1);
    await own.close();
    const lostAt = Date.now();
    await waitFor('the end of it', () => openConnections(peer) === 0, { everyMs: 10 });
    assert.ok(Date.now() - lostAt < 2_000, 'within the lease');
    const [mailbox] = await rows<{ node_id: string }>(
      database.db,
      'select node_id from mailboxes where id = :mailboxId',
      {
        mailboxId,
      },
    );
    assert.equal(mailbox?.node_id, 'a', 'nobody else had it meanwhile');
    await supervisor.stop().catch(() => undefined);
    await peer.stop();
    await database.drop();
  });
});

function openConnections(peer: ScriptPeer): number {
  const parts = peer
    .transcript()
    .split(/^--- connection .*$/m)
    .slice(1);
  return parts.filter((part) => part.includes('logged in') && !part.includes('# the client is gone')).length;
}
