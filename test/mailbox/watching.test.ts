import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findConnection } from '../../src/store/connections.ts';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { countsOf, createScene, openStage } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const plain = 'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS\n';
const able = `${plain.trimEnd()} LIST-EXTENDED LIST-STATUS\n`;
const inbox = 'folder: INBOX uidvalidity 7 uidnext 11 exists 2\n';
const sent = 'folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1\n';
const letter = (id: string, from = 'ann@customer.example', to = 'user@company.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <${to}>\r\nSubject: About ${id}\r\nMessage-ID: <${id}@x.example>\r\n\r\nText.\r\n`,
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
  stage = await openStage(scene, script, options);
  return stage;
}

/** A gate that lets work in only when it is told to. */
function heldGate() {
  const waiting: (() => void)[] = [];
  return {
    gate: async <T>(_host: string, work: () => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return work();
    },
    letIn: async () => {
      await waitFor('somebody at the gate', () => waiting.length > 0);
      waiting.shift()?.();
    },
  };
}

describe('C5: catching up', () => {
  test('a backlog is told with its size, goes down in batches, and ends in live', async () => {
    const gates = heldGate();
    const { peer, told, deps, sub, user, mailboxId, clock } = await play(
      `${plain}${inbox}--- connection 1: INBOX\nC: * IDLE\nS: (silent)\n@ signal silent\n@ wait end\nS: (close)\n`,
      { limits: { provenMs: 0 } },
    );
    await told('live');
    await peer.waitFor('silent');
    deps.gates.batches = gates.gate;
    // Two of the contact, and strangers' mail.
    for (let n = 0; n < 4_600; n += 1) {
      peer.deliver(
        'INBOX',
        letter(`l${n}`, n % 2_300 === 0 ? 'ann@customer.example' : 'no@stranger.example'),
      );
    }
    const downAt = clock.now();
    peer.signal('end');
    const backlogs: (number | undefined)[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await told('live', 'catching_up');
      const connection = await findConnection(database.db, { subAccountId: sub, userId: user });
      assert.equal(connection?.state, 'catching_up');
      backlogs.push(connection?.backlog);
      await gates.letIn();
      const isDown = async () => {
        const now = await findConnection(database.db, { subAccountId: sub, userId: user });
        return now?.backlog !== connection?.backlog;
      };
      await waitFor('the end of the turn', isDown, { deadlineMs: 60_000 });
    }
    assert.deepEqual(backlogs, [4_600, 600]);
    await told('live', 'catching_up', 'live');
    const connection = await findConnection(database.db, { subAccountId: sub, userId: user });
    assert.equal(connection?.backlog, 0);
    assert.equal(Date.parse(connection?.caught_up_to ?? ''), downAt);
    assert.deepEqual(await countsOf(database.db, sub), { messages: 2, created: 2 });
    const [decided] = await rows<{ n: number }>(
      database.db,
      'select count(*)::int as n from decisions where mailbox_id = :mailboxId',
      { mailboxId },
    );
    assert.equal(decided?.n, 4_600, 'one decision for each, and none twice');
    assert.deepEqual(peer.sent('* UID FETCH 11:\\* *'), [], 'it is read in batches');
  });

  test('so many messages at once while it listens are a backlog too, and it is live again after that', async () => {
    const { peer, told } = await play(
      `${plain}${inbox}--- connection 1: INBOX\nC: * IDLE\nS: (silent)\n@ signal silent\n@ wait all\nS: * 603 EXISTS\n`,
    );
    await told('live');
    await peer.waitFor('silent');
    for (let n = 0; n < 601; n += 1) peer.deliver('INBOX', letter(`m${n}`, 'no@stranger.example'));
    peer.signal('all');
    await told('live', 'catching_up', 'live');
  });

  test('an inbox whose UIDs go backwards is reported, and nothing is changed for it', async () => {
    const { peer, told, passUntil, mailboxId, decided } = await play(
      `${plain}${inbox}--- connection 1: INBOX
C: * IDLE
@ wait restore
@ vanish INBOX
@ folder INBOX uidvalidity 7 uidnext 3 exists 1
S: (close)
`,
    );
    await told('live');
    peer.deliver('INBOX', letter('before'));
    await decided('inbox 11 stored from_contact');
    peer.signal('restore');
    const isTold = async () => {
      const [mailbox] = await rows<{ reason: string | null }>(
        database.db,
        'select state_reason as reason from mailboxes where id = :mailboxId',
        { mailboxId },
      );
      return mailbox?.reason === 'uids_went_backwards';
    };
    await passUntil('the report', isTold, 3_000);
    await told('live', 'degraded uids_went_backwards');
    const [folder] = await rows<{ cursor_uid: string; missing: boolean }>(
      database.db,
      `select cursor_uid, missing_since is not null as missing from folders where mailbox_id = :mailboxId`,
      { mailboxId },
    );
    assert.deepEqual(folder, { cursor_uid: '11', missing: false });
  });
});

describe('which connections there are', () => {
  test('where the provider allows no second one, Sent is swept, and the inbox goes on', async () => {
    const { peer, told, pass, decided, log } = await play(
      `${plain}${inbox}${sent}--- connection 2\non AUTHENTICATE *:\n  S: $tag NO [ALERT] Too many simultaneous connections. (Failure)\n`,
    );
    await told('live');
    peer.deliver('INBOX', letter('received'));
    await decided('inbox 11 stored from_contact');
    peer.deliver('Sent', letter('written', 'user@company.example', 'ann@customer.example'));
    await pass(40_000);
    await decided('sent 3 stored to_contact');
    await told('live');
    assert.ok(log.lines.some(({ level }) => level === 'warn'));
  });

  test('a Sent folder that is made later gets a connection of its own, and nobody is told', async () => {
    const { peer, told, pass, decided } = await play(
      `${plain}${inbox}--- connection 1: INBOX\nC: * IDLE\n@ wait make\n@ folder Sent \\Sent uidvalidity 8\n@ signal made\n`,
    );
    await told('live');
    peer.signal('make');
    await peer.waitFor('made');
    await pass(40_000);
    await waitFor(
      'IDLE in Sent',
      () => peer.sent('* EXAMINE Sent*').length > 0 && peer.sent('* IDLE').length >= 3,
    );
    peer.deliver('Sent', letter('written', 'user@company.example', 'ann@customer.example'));
    await decided('sent 1 stored to_contact');
    await told('live');
  });

  for (const [name, capabilities] of [
    ['by the next look where LIST tells all', able],
    ['by the next look elsewhere, too', plain],
  ] as const) {
    test(`a folder that is made later is found ${name}, with the mail that is in it`, async () => {
      const { peer, told, pass, decided } = await play(
        `${capabilities}${inbox}${sent}folder: A uidvalidity 1\nfolder: B uidvalidity 1\n--- connection 1: INBOX\nC: * IDLE\n@ wait make\n@ folder Projects uidvalidity 9\n@ signal made\n`,
      );
      await told('live');
      peer.signal('make');
      await peer.waitFor('made');
      peer.deliver('Projects', letter('project'));
      await pass(40_000);
      await decided('other 1 stored from_contact');
      await told('live');
    });
  }

  test('a listing without an inbox is evidence, no proof: nothing is changed for it', async () => {
    const { peer, told, pass, decided, mailboxId, log } = await play(
      `${plain}${inbox}${sent}--- connection 1: INBOX\nC: * IDLE\non LIST *, once:\n  S: $tag OK done\n`,
    );
    await told('live');
    await pass(40_000);
    await waitFor('the report', () => log.lines.some(({ message }) => message.includes('no inbox')));
    peer.deliver('INBOX', letter('received'));
    await decided('inbox 11 stored from_contact');
    const missing = await rows(
      database.db,
      'select from folders where mailbox_id = :mailboxId and missing_since is not null',
      { mailboxId },
    );
    assert.equal(missing.length, 0);
    await told('live');
  });
});

describe('how it is listened', () => {
  test('a server that ends each IDLE at once is not asked without end', async () => {
    const { peer, told, pass, decided } = await play(
      `${plain}${inbox}on IDLE:\n  S: + idling\n  S: $tag OK enough\n`,
    );
    await told('live');
    await waitFor('two tries', () => peer.sent('* IDLE').length >= 2);
    peer.deliver('INBOX', letter('received'));
    await pass(40_000);
    await decided('inbox 11 stored from_contact');
    // Two at the start, two for a look, and two for what that has found.
    assert.ok(peer.sent('* IDLE').length <= 6, `${peer.sent('* IDLE').length} times IDLE`);
    await told('live');
  });

  test('a server that refuses IDLE is looked at all the same', async () => {
    const { peer, told, pass, decided } = await play(`${plain}${inbox}on IDLE:\n  S: $tag BAD what?\n`);
    await told('live');
    peer.deliver('INBOX', letter('received'));
    await pass(40_000);
    await decided('inbox 11 stored from_contact');
  });

  test('a server that knows no IDLE is looked at all the same', async () => {
    const { peer, told, pass, decided } = await play(plain.replace(' IDLE', '') + inbox);
    await told('live');
    peer.deliver('INBOX', letter('received'));
    await pass(40_000);
    await decided('inbox 11 stored from_contact');
    assert.deepEqual(peer.sent('* IDLE'), []);
  });
});
