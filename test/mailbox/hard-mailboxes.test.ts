import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { startListener } from '../../src/mailbox/listener.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { startConnecting } from './connecting.ts';
import { countsOf, createScene, decisionsOf, depsFor, openStage, toldOf, waitForTold } from './listening.ts';
import type { Scene, Stage } from './listening.ts';

/* Mailboxes as few people have them. */

const able =
  'capabilities: IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS LIST-EXTENDED LIST-STATUS ENABLE CONDSTORE\n';
const letter = (id: string, from = 'ann@customer.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <user@company.example>\r\nSubject: About ${id}\r\nMessage-ID: <${id}@customer.example>\r\n\r\nText.\r\n`,
  );

let database: TestDatabase;
let scene: Scene;
let stage: Stage | undefined;

before(async () => {
  database = await testDatabase('postgres');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  await stage?.end();
  stage = undefined;
});

describe('S14: busy mailboxes', () => {
  test('a thousand messages a minute: each is judged once, in some hundred round trips, and the rest of the time it listens', async () => {
    stage = await openStage(scene, `${able}folder: INBOX uidvalidity 7 uidnext 11 exists 2\n`);
    const { peer, told, mailboxId, sub } = stage;
    await told('live');
    const total = 1_000;
    const before = peer.sent('*').length;
    for (let n = 0; n < total; n += 1) {
      peer.deliver(
        'INBOX',
        letter(`m${n}`, n % 4 === 0 ? 'ann@customer.example' : `stranger-${n}@else.example`),
      );
      if (n % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
    }
    await waitFor('all of them', async () => (await decisionsOf(database.db, mailboxId)).length === total, {
      deadlineMs: 60_000,
      everyMs: 200,
    });
    assert.deepEqual(await countsOf(database.db, sub), { messages: 250, created: 250 });
    assert.ok(peer.sent('*').length - before < 1_000, `${peer.sent('*').length - before} commands`);
    // Where so many came at once that a backlog was told of, its end is, too.
    await waitFor('live', async () => (await toldOf(database.db, mailboxId)).at(-1) === 'live');
  });
});

describe('C8, S14: a mailbox with thousands of folders that all hold old mail', () => {
  const old = Array.from(
    { length: 1_000 },
    (_, n) => `folder: Customers/${n} uidvalidity ${n + 100} uidnext 5 exists 2\n`,
  ).join('');
  const peers: ScriptPeer[] = [];
  afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.stop())));

  async function peerOf(script: string): Promise<ScriptPeer> {
    const peer = await startScriptPeer(script);
    peers.push(peer);
    return peer;
  }

  test('none of them is opened at the first connect; what comes from then on is judged, once', async () => {
    const peer = await peerOf(`${able}folder: INBOX uidvalidity 7 uidnext 11 exists 2\n${old}`);
    const smtp = await peerOf('protocol: smtp\nehlo: mail.company.example\nehlo: AUTH PLAIN\n');
    const { world } = scene;
    await world.addSubAccount('sub-vast');
    await world.addUser('user-vast', 'user@company.example', ['sub-vast']);
    await world.addContact('sub-vast', 'contact', ['ann@customer.example']);
    const { connecting, close } = await startConnecting({ db: database.db });
    const at = ({ host, port }: ScriptPeer) => ({ host, port, security: 'none' as const });
    const connected = await connecting.connectWithPassword({
      subAccountId: 'sub-vast',
      userId: 'user-vast',
      replace: false,
      linkId: null,
      address: 'vast@company.example',
      login: { imap: at(peer), smtp: at(smtp), user: 'vast', password: 'secret' },
    });
    await close();
    assert.equal(connected.outcome, 'connected');
    const [row] = await rows<{ id: MailboxId }>(
      database.db,
      'select id from mailboxes where address = :address',
      {
        address: 'vast@company.example',
      },
    );
    assert.ok(row !== undefined);
    // Nobody has listened yet.
    peer.deliver('Customers/77', letter('early'));
    const deps = depsFor({ world, clock: createManualClock(Date.now()), imap: at(peer) });
    const listen = async () => {
      const listener = startListener(deps, row.id);
      await waitFor('IDLE', () => peer.sent('* IDLE').length > 0, { deadlineMs: 60_000 });
      await waitForTold(database.db, row.id, ['live']);
      return listener;
    };
    const first = await listen();
    assert.deepEqual(await decisionsOf(database.db, row.id), ['other 5 stored from_contact']);
    assert.deepEqual(
      peer.sent('* EXAMINE Customers/*').map((line) => line.split(' ').at(-1)),
      ['Customers/77'],
    );
    assert.deepEqual(peer.sent('* STATUS *'), []);
    await first.stop();
    peer.deliver('Customers/711', letter('later'));
    const second = await listen();
    await waitFor('the other one', async () => (await decisionsOf(database.db, row.id)).length === 2);
    await second.stop();
    assert.deepEqual(await countsOf(database.db, 'sub-vast'), { messages: 2, created: 2 });
    // Of the first one something is stored, which each session compares.
    const opened = peer.sent('* EXAMINE Customers/*').map((line) => line.split(' ').at(-1));
    assert.deepEqual(new Set(opened), new Set(['Customers/77', 'Customers/711']));
  });
});
