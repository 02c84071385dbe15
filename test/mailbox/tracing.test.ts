import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import type { ConnectionId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { askForTraces, endTraces, forgetTraces, listTraces, readTrace } from '../../src/store/wire-traces.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, openStage } from './listening.ts';
import type { Scene, Stage } from './listening.ts';

const source = `capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS
folder: INBOX uidvalidity 7 uidnext 11 exists 2
`;
const letter = Buffer.from(
  'From: Ann Bell <ann@customer.example>\r\nTo: <user@company.example>\r\nSubject: Salaries\r\n' +
    'Message-ID: <l1@customer.example>\r\n\r\nFifty thousand.\r\n',
);

describe('traces of a mailbox', () => {
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

  async function connectionOf({ mailboxId }: Pick<Stage, 'mailboxId'>): Promise<ConnectionId> {
    const [found] = await rows<{ id: ConnectionId }>(
      database.db,
      'select id from connections where mailbox_id = :mailboxId',
      { mailboxId },
    );
    return found?.id ?? assert.fail('there is no connection');
  }

  test('asked for while a session is open: the next one begins after a look, and is written down, redacted', async () => {
    const { db } = database;
    stage = await openStage(scene, source);
    const { peer, listener, told, mailboxId } = stage;
    await told('live');
    const connection = await connectionOf(stage);
    assert.deepEqual(await listTraces(db, connection), { until: null, traces: [] }, 'nobody has asked');
    const asked = await askForTraces(db, connection, 5);
    assert.equal(asked?.mailboxId, mailboxId);
    listener.wake();
    await waitFor('a second login', () => peer.sent('* AUTHENTICATE *').length === 2);
    await waitFor('the second session to listen', () => peer.sent('* IDLE').length >= 2);
    peer.deliver('INBOX', letter);
    await stage.decided('inbox 11 stored from_contact');
    const text = await waitFor('the trace', async () => {
      const [trace] = (await listTraces(db, connection)).traces;
      const found = trace === undefined ? null : await readTrace(db, connection, trace.id);
      return found?.includes('BODY[] {140 hidden}') === true ? found : undefined;
    });
    assert.match(text, /^--- connection 1\nS: \* OK/);
    assert.match(text, /^C: \$t\w+ AUTHENTICATE XOAUTH2 \*$/m);
    assert.match(text, /^C: \$t\w+ EXAMINE INBOX/m);
    for (const word of [
      'Ann',
      'Salaries',
      'Fifty',
      'user@',
      'ann@',
      'l1@',
      Buffer.from('token').toString('base64'),
    ])
      assert.ok(!text.includes(word), `${word} is in the trace`);
    assert.deepEqual(
      stage.log.lines.filter(({ level }) => level === 'error'),
      [],
    );

    // What was written down is what the tests play: another mailbox whose folder stands there does the same.
    const person = await scene.person();
    await run(
      db,
      `insert into folders (id, mailbox_id, path, role, uid_validity, cursor_uid) values (:id, :mailboxId, 'INBOX', 'inbox', 7, 10)`,
      { id: newId('fld'), mailboxId: person.mailboxId },
    );
    const replayed = await openStage(scene, text, { person });
    try {
      await replayed.told('live');
      // Its header is a filling of the same size, so that it is somebody's whom nobody knows.
      await replayed.decided('inbox 11 skipped no_match');
      assert.equal(replayed.peer.sent('* UID FETCH 11:* *').length, 1);
    } finally {
      await replayed.end();
    }
    assert.deepEqual(
      (await listTraces(db, await connectionOf(replayed))).traces,
      [],
      'nobody asked for that one',
    );
  });

  test('it ends by itself, when it is ended, and after a week; the session goes on', async () => {
    const { db } = database;
    stage = await openStage(scene, source);
    const { peer, listener, told, mailboxId } = stage;
    const connection = await connectionOf(stage);
    await told('live');
    await askForTraces(db, connection, 5);
    listener.wake();
    await waitFor('a trace', async () => (await listTraces(db, connection)).traces.length > 0);
    await waitFor('the second session to listen', () => peer.sent('* IDLE').length >= 2);
    await run(db, `update mailboxes set trace_until = now() - interval '1 s' where id = :mailboxId`, {
      mailboxId,
    });
    const bytes = async () => (await listTraces(db, connection)).traces.map((trace) => trace.bytes);
    const before = await bytes();
    peer.deliver('INBOX', letter);
    await stage.decided('inbox 11 stored from_contact');
    assert.deepEqual(await bytes(), before, 'nothing is written after the end');
    assert.equal((await listTraces(db, connection)).until, null);
    await forgetTraces(db, 7);
    assert.deepEqual(await bytes(), before);
    await run(db, `update wire_traces set at = at - interval '8 days'`);
    await forgetTraces(db, 7);
    assert.deepEqual(await bytes(), []);
    await run(
      db,
      `insert into wire_traces (id, mailbox_id, protocol, n, text) values ('trc_1', :mailboxId, 'imap', 1, 'x')`,
      {
        mailboxId,
      },
    );
    await endTraces(db, connection);
    assert.deepEqual(await bytes(), []);
    assert.equal(peer.sent('* AUTHENTICATE *').length, 2, 'no session was ended for it');
  });
});
