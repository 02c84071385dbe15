import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { countsOf, createScene, decisionsOf, openStage, toldOf } from './listening.ts';
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
    assert.equal((await toldOf(database.db, mailboxId)).at(-1), 'live');
  });
});
