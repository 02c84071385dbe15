import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { memoryBlobs } from '../filing/world.ts';
import { countsOf, createScene, decisionsOf, openStage, toldOf } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const head = 'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS\n';
const folders = 'folder: INBOX uidvalidity 7 uidnext 11 exists 2\n';

/** A letter of the contact, as a script line that puts it into a folder. */
function deliver(uid: number, more = ''): string {
  return `@ deliver INBOX uid ${uid} ${more}{
  From: Ann Bell <ann@customer.example>
  To: Uma User <user@company.example>
  Subject: Letter ${uid}
  Date: Tue, 17 Nov 2026 10:00:00 +0000
  Message-ID: <letter-${uid}@customer.example>

  Text of letter ${uid}.
}
`;
}

/** Letters with these UIDs, and the signal `delivered`. */
function delivered(from: number, to: number): string {
  const uids = Array.from({ length: to - from + 1 }, (_, n) => from + n);
  return `${uids.map((uid) => deliver(uid)).join('')}@ signal delivered\n`;
}

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

describe('S14: where to begin in a folder of a server that does not tell UIDNEXT', () => {
  const untold = 'folder: INBOX uidvalidity 7 uidnext 11 exists 2 untold\n';

  test('it is asked for its last message alone, not for all of them', async () => {
    const { peer, told, decided } = await play(
      `${untold}--- connection 1: INBOX\nC: * IDLE\n${delivered(11, 11)}`,
    );
    await told('live');
    assert.equal(peer.sent('* UID SEARCH *').filter((line) => line.endsWith(' UID *')).length, 1);
    assert.deepEqual(peer.sent('* UID SEARCH UID 1:*'), []);
    await decided('inbox 11 stored from_contact');
  });

  test('mail that comes between that question and the search is judged', async () => {
    const { decided } = await play(
      `${untold}--- connection 1: INBOX\nC: * UID SEARCH SINCE *\n${deliver(11)}S: * SEARCH\nS: $tag OK done\nC: * IDLE\n`,
    );
    await decided('inbox 11 stored from_contact');
  });
});

describe('looking at once, and listening again at once', () => {
  test('while a message is still being written, the server is listened to again', async () => {
    const blobs = memoryBlobs();
    let write = () => {};
    const written = new Promise<void>((resolve) => (write = resolve));
    const slow = {
      ...blobs,
      put: async (contents: readonly Buffer[]) => {
        await written;
        return blobs.put(contents);
      },
    };
    const { peer, decided, mailboxId } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n${deliver(11)}C: * UID FETCH 11 *\nC: * IDLE\n@ signal again\n`,
      { filing: { blobs: slow } },
    );
    await peer.waitFor('again');
    assert.deepEqual(await decisionsOf(database.db, mailboxId), [], 'nothing is committed yet');
    write();
    await decided('inbox 11 stored from_contact');
  });

  test('what arrives in a row is read in a row, without waiting and without reading twice', async () => {
    const { peer, decided, clock, sub, deps } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n${delivered(11, 30)}`,
    );
    const startedAt = clock.now();
    await peer.waitFor('delivered');
    await decided(...Array.from({ length: 20 }, (_, n) => `inbox ${11 + n} stored from_contact`));
    assert.ok(clock.now() - startedAt < deps.limits.announcedMs, 'the clock was not needed');
    assert.deepEqual(await countsOf(database.db, sub), { messages: 20, created: 20 });
    const reads = peer.sent('* UID FETCH * (UID FLAGS *');
    assert.ok(reads.length <= 20, `${reads.length} reads of headers`);
    assert.deepEqual(peer.sent('* UID SEARCH UID 11:\\*'), [], 'one round trip brings what was announced');
  });

  test('where UIDs are left out, nothing is missed and nothing invented', async () => {
    // A draft that was saved three times has used up UIDs and left nothing.
    const { peer, decided, mailboxId } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n${deliver(14)}@ signal delivered\n`,
    );
    await peer.waitFor('delivered');
    await decided('inbox 14 stored from_contact');
    assert.deepEqual(await decisionsOf(database.db, mailboxId), ['inbox 14 stored from_contact']);
  });
});

describe('T3: what cannot be read stops nobody', () => {
  test('the last message is listed and never shown: asked for again, and given up only after its time', async () => {
    const { peer, told, pass, mailboxId, decided } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n${deliver(11, 'unreadable ')}@ signal delivered\n`,
    );
    await peer.waitFor('delivered');
    await told('live');
    for (let times = 0; times < 6; times += 1) await pass(500);
    const asked = peer.sent('* UID FETCH 11:\\* *').length;
    assert.ok(asked >= 2 && asked <= 5, `asked ${asked} times`);
    await pass(40_000);
    await waitFor('a look to be sure', () => peer.sent('* UID SEARCH UID 11:\\*').length > 0);
    assert.deepEqual(await decisionsOf(database.db, mailboxId), [], 'it may still come');
    for (let looks = 0; looks < 4; looks += 1) await pass(40_000);
    await decided('inbox 11 failed unreadable');
  });

  test('a server that refuses a whole batch for one message gives the others', async () => {
    const refused = ['*13*', '12:14 *', '11:14 *', '11:\\* *'].map(
      (set) => `on UID FETCH ${set}:\n  S: $tag NO [CANNOT] message 13 cannot be read\n`,
    );
    const { peer, decided } = await play(
      `${folders}${refused.join('')}--- connection 1: INBOX\nC: * IDLE\n${delivered(11, 14)}`,
    );
    await peer.waitFor('delivered');
    await decided(
      'inbox 11 stored from_contact',
      'inbox 12 stored from_contact',
      'inbox 13 failed unreadable',
      'inbox 14 stored from_contact',
    );
  });

  test('a message that breaks the connection each time is kept as failed, and the next one is stored', async () => {
    const broken = ['12', '11,12', '12,13', '11,12,13'].map(
      (set) => `on UID FETCH ${set} (UID BODY*:\n  S: (reset)\n`,
    );
    const { peer, passUntil, mailboxId } = await play(
      `${folders}${broken.join('')}--- connection 1: INBOX\nC: * IDLE\n${delivered(11, 13)}`,
    );
    await peer.waitFor('delivered');
    const decisions = () => decisionsOf(database.db, mailboxId);
    const isThrough = async () => (await decisions()).includes('inbox 13 stored from_contact');
    await passUntil('the last letter', isThrough, 60_000);
    assert.deepEqual(await decisions(), [
      'inbox 11 stored from_contact',
      'inbox 12 failed unreadable',
      'inbox 13 stored from_contact',
    ]);
    await waitFor('the end of the outage', async () => (await toldOf(database.db, mailboxId)).length === 4);
    const told = await toldOf(database.db, mailboxId);
    assert.deepEqual(told.slice(0, 3), ['live', 'degraded connection_closed', 'live']);
    assert.match(told[3] ?? '', /^recovered [12]$/);
  });

  test('a message on which we fail ourselves is kept as failed, and the others are stored', async () => {
    const blobs = memoryBlobs();
    const faulty = {
      ...blobs,
      put: (contents: readonly Buffer[]) => {
        if (contents.some((content) => content.includes('letter-12@'))) throw new TypeError('a bug of ours');
        return blobs.put(contents);
      },
    };
    const { peer, decided, told, log } = await play(
      `${folders}--- connection 1: INBOX\nC: * IDLE\n${delivered(11, 13)}`,
      { filing: { blobs: faulty } },
    );
    await peer.waitFor('delivered');
    await decided(
      'inbox 11 stored from_contact',
      'inbox 12 failed unreadable',
      'inbox 13 stored from_contact',
    );
    await told('live');
    const line = log.lines.find(({ level }) => level === 'error');
    assert.equal(line?.fields['error'], 'TypeError');
    assert.doesNotMatch(JSON.stringify(log.lines), /Letter|customer/, 'nothing of a mail is logged');
  });

  test('a message larger than any answer may be is not even asked for', async () => {
    const huge = `* 3 FETCH (UID 11 FLAGS () RFC822.SIZE 300000000 BODY[HEADER] {
    From: Ann Bell <ann@customer.example>
    To: Uma User <user@company.example>
    Message-ID: <huge@customer.example>
  })`;
    const { peer, decided } = await play(
      `${folders}--- connection 1: INBOX\non UID FETCH 11:\\* *:\n  S: ${huge}\n  S: $tag OK done\nC: * IDLE\n${deliver(11)}@ signal delivered\n`,
    );
    await peer.waitFor('delivered');
    await decided('inbox 11 failed unreadable');
    assert.deepEqual(peer.sent('* UID FETCH 11 (UID BODY.*'), [], 'only what it consists of is');
  });
});
