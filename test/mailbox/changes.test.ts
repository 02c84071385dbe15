import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { rows, run } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, openStage } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const gmail = `capabilities: IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE NAMESPACE X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE
folder: INBOX uidvalidity 1 uidnext 41 exists 3
folder: "[Gmail]/All Mail" \\All uidvalidity 11 uidnext 501 exists 100
folder: "[Gmail]/Sent Mail" \\Sent uidvalidity 5 uidnext 31 exists 2
folder: "[Gmail]/Spam" \\Junk uidvalidity 3
folder: "[Gmail]/Trash" \\Trash uidvalidity 2
`;
const exchange = `capabilities: IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+
folder: INBOX uidvalidity 14 uidnext 1042 exists 500
folder: Archive uidvalidity 15
folder: "Deleted Items" uidvalidity 16
folder: "Sent Items" uidvalidity 19 uidnext 201 exists 2
`;
const all = '"[Gmail]/All Mail"';
const letter = (id: string, from = 'ann@customer.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <user@company.example>\r\nSubject: About ${id}\r\nDate: Tue, 17 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${id}@customer.example>\r\n\r\nText.\r\n`,
  );

let database: TestDatabase;
let scene: Scene;
const stages: Stage[] = [];

before(async () => {
  database = await testDatabase('pglite');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end();
});

async function playLive(script: string, options: StageOptions): Promise<Stage> {
  const stage = await openStage(scene, script, options);
  stages.push(stage);
  await stage.told('live');
  return stage;
}

/** What the CRM was told of its messages, in order: `subject read state`. */
async function heard({ sub }: Stage): Promise<string[]> {
  const found = await rows<{ line: string }>(
    database.db,
    `select concat_ws(' ', data ->> 'subject', case when (data ->> 'read')::boolean then 'read' else 'unread' end,
                           data ->> 'mailbox_state') as line
       from events where sub_account_id = :sub and type like 'message.%' order by ord`,
    { sub },
  );
  return found.map((row) => row.line);
}

async function hears(stage: Stage, ...expected: string[]): Promise<void> {
  await waitFor(`heard: ${expected.join(', ')}`, async () => {
    const lines = await heard(stage);
    return lines.join('|') === expected.join('|') ? true : Promise.reject(new Error(lines.join(', ')));
  });
}

/** Lets time pass until the CRM was told so. */
async function passUntilHeard(stage: Stage, ms: number, ...expected: string[]): Promise<void> {
  const isHeard = async () => (await heard(stage)).join('|') === expected.join('|');
  await stage.passUntil(`heard: ${expected.join(', ')}`, isHeard, ms);
}

describe('U2, U3: Gmail, where labels say it and All Mail alone is open', () => {
  test('read, archived, and back in the inbox; nothing of other mail is asked', async () => {
    const stage = await playLive(gmail, { provider: 'gmail' });
    const { peer } = stage;
    peer.deliver('[Gmail]/All Mail', letter('a'), 'uid 501 labels (\\Inbox \\Important)');
    await hears(stage, 'About a unread present');
    peer.change(`flags ${all} 501 (\\Seen)`);
    await passUntilHeard(stage, 1_000, 'About a unread present', 'About a read present');
    peer.change(`labels ${all} 501 (\\Important)`);
    await passUntilHeard(
      stage,
      1_000,
      'About a unread present',
      'About a read present',
      'About a read archived',
    );
    peer.change(`labels ${all} 501 (\\Inbox \\Important)`);
    peer.change(`flags ${all} 450 (\\Seen)`);
    await passUntilHeard(
      stage,
      1_000,
      'About a unread present',
      'About a read present',
      'About a read archived',
      'About a read present',
    );
    for (const line of peer.sent('* UID FETCH *'))
      assert.match(line, /UID FETCH (501|502|501:501)(:\*)? /, line);
    for (const pattern of ['* SELECT *', '* STORE *', '*BODY[*']) assert.deepEqual(peer.sent(pattern), []);
  });

  test('trashed: it leaves All Mail, and is found in Trash; deleted for good: nowhere', async () => {
    const stage = await playLive(gmail, { provider: 'gmail' });
    const { peer } = stage;
    peer.deliver('[Gmail]/All Mail', letter('a'), 'uid 501 labels (\\Inbox)');
    peer.deliver('[Gmail]/All Mail', letter('b'), 'uid 502 labels (\\Inbox)');
    await hears(stage, 'About a unread present', 'About b unread present');
    peer.change(`expunge ${all} 501`);
    peer.deliver('[Gmail]/Trash', letter('a'));
    peer.change(`expunge ${all} 502`);
    await passUntilHeard(
      stage,
      5_000,
      'About a unread present',
      'About b unread present',
      'About a unread trashed',
      'About b unread gone',
    );
    assert.equal(
      peer.sent('* EXAMINE [Gmail]/Trash*').length + peer.sent('* EXAMINE "[Gmail]/Trash"*').length,
      1,
    );
  });

  test('All Mail is hidden: what has left the inbox counts as archived, unless it is in Trash', async () => {
    const stage = await playLive(gmail.replace(/folder: "\[Gmail\]\/All Mail".*\n/, ''), {
      provider: 'gmail',
    });
    const { peer } = stage;
    peer.deliver('INBOX', letter('a'));
    peer.deliver('INBOX', letter('b'));
    await hears(stage, 'About a unread present', 'About b unread present');
    peer.change('expunge INBOX 41');
    peer.change('expunge INBOX 42');
    peer.deliver('[Gmail]/Trash', letter('b'));
    await passUntilHeard(
      stage,
      5_000,
      'About a unread present',
      'About b unread present',
      'About a unread archived',
      'About b unread trashed',
    );
  });
});

describe('U2, U3: Exchange, which numbers no changes', () => {
  test('only stored messages are asked about, and few times', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer } = stage;
    peer.deliver('INBOX', letter('a'));
    await hears(stage, 'About a unread present');
    await stage.pass(10_000);
    const before = peer.sent('* UID FETCH *').length;
    for (let uid = 600; uid < 700; uid += 1) peer.change(`flags INBOX ${uid} (\\Seen)`);
    peer.change('flags INBOX 1042 (\\Seen)');
    await passUntilHeard(stage, 1_000, 'About a unread present', 'About a read present');
    const asked = peer.sent('* UID FETCH *').slice(before);
    assert.ok(asked.length <= 3, asked.join('\n'));
    for (const line of asked) assert.match(line, / UID FETCH 1042 \(UID FLAGS\)$/);
  });

  test('what changes in a swept folder right after a look at it waits for a later one', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer, listener } = stage;
    peer.deliver('Archive', letter('a'));
    await passUntilHeard(stage, 500, 'About a unread archived');
    const opened = () => peer.sent('* EXAMINE Archive').length;
    await waitFor('its changes are followed', () => peer.sent('* UID FETCH 1 (UID FLAGS)').length === 1);
    const before = opened();
    peer.change('flags Archive 1 (\\Seen)');
    listener.wake();
    await waitFor('another look', () => opened() > before);
    await passUntilHeard(stage, 10_000, 'About a unread archived', 'About a read archived');
  });

  test('a notice that is lost is made up for', async () => {
    const stage = await playLive(`${exchange}--- connection 1: INBOX\nC: * IDLE\nS: (silent)\n`, {
      provider: 'outlook',
      limits: { lookEveryMs: 40_000 },
    });
    const { peer } = stage;
    peer.deliver('INBOX', letter('a'));
    await passUntilHeard(stage, 40_000, 'About a unread present');
    peer.change('flags INBOX 1042 (\\Seen)');
    await passUntilHeard(stage, 40_000, 'About a unread present', 'About a read present');
  });
});

describe('U3: what an errand stores of a folder that has changed since it was read', () => {
  test('is looked at within ten minutes, though the folder stays the same from then on', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer, decided, mailboxId } = stage;
    peer.deliver('INBOX', letter('a'));
    peer.deliver('Archive', letter('b', 'no@stranger.example'));
    await hears(stage, 'About a unread present');
    await stage.passUntil('a look', () => peer.sent('* EXAMINE Archive').length > 0, 10_000);
    await decided('archive 1 skipped no_match');
    peer.change('expunge Archive 1');
    // The looks that see it come before the errand has written down what it read.
    for (let times = 0; times < 10; times += 1) await stage.pass(10_000);
    await rows(
      database.db,
      `insert into sightings (sub_account_id, folder_id, uid_validity, uid, message_id, mailbox_id, is_read, state)
       select s.sub_account_id, f.id, f.uid_validity, 1, s.message_id, s.mailbox_id, false, 'archived'
         from sightings s join folders f on f.mailbox_id = s.mailbox_id and f.path = 'Archive'
        where s.mailbox_id = :mailboxId returning uid`,
      { mailboxId },
    );
    const gone = () =>
      rows(
        database.db,
        'select from sightings where mailbox_id = :mailboxId and uid = 1 and gone_at is not null',
        { mailboxId },
      );
    for (let times = 0; times < 70; times += 1) await stage.pass(10_000);
    assert.equal((await gone()).length, 1);
    await rows(database.db, 'delete from sightings where mailbox_id = :mailboxId and uid = 1 returning uid', {
      mailboxId,
    });
  });
});

describe('U3: catastrophes are disbelieved', () => {
  const letters = Array.from({ length: 12 }, (_, n) => `l${n}`);
  const present = letters.map((id) => `About ${id} unread present`);

  test('a folder that is suddenly empty: reported, and believed only when it lasts', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer, log } = stage;
    for (const id of letters) peer.deliver('INBOX', letter(id));
    await hears(stage, ...present);
    for (let uid = 1042; uid < 1054; uid += 1) peer.change(`expunge INBOX ${uid}`);
    const isReported = () => log.lines.some(({ message }) => message.includes('suddenly gone'));
    await stage.passUntil('it is reported', isReported, 5_000);
    for (let times = 0; times < 8; times += 1) await stage.pass(60_000);
    assert.deepEqual(await heard(stage), present, 'nothing is told for it');
    for (const id of letters) peer.deliver('INBOX', letter(id));
    await passUntilHeard(stage, 60_000, ...present);
    assert.deepEqual(await heard(stage), present);
  });

  test('so it is with one that is swept, of which the server says the same each time', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer } = stage;
    const archived = letters.map((id) => `About ${id} unread archived`);
    for (const id of letters) peer.deliver('Archive', letter(id));
    await passUntilHeard(stage, 10_000, ...archived);
    for (let uid = 1; uid <= 12; uid += 1) peer.change(`expunge Archive ${uid}`);
    for (let times = 0; times < 50; times += 1) await stage.pass(10_000);
    assert.deepEqual(await heard(stage), archived, 'nothing is told for it');
    const isGone = async () => (await heard(stage)).filter((line) => line.endsWith(' gone')).length === 12;
    await stage.passUntil('it is believed', isGone, 10_000);
  });

  test('so it is with Gmail, which says what is gone to who asks for it alone', async () => {
    const stage = await playLive(gmail, { provider: 'gmail' });
    const { peer, log, clock } = stage;
    for (const [n, id] of letters.entries())
      peer.deliver('[Gmail]/All Mail', letter(id), `uid ${501 + n} labels (\\Inbox)`);
    await hears(stage, ...present);
    // From here on the server is asked for what has changed alone.
    peer.change(`flags ${all} 501 (\\Seen)`);
    await passUntilHeard(stage, 1_000, ...present, 'About l0 read present');
    for (let uid = 501; uid < 513; uid += 1) peer.change(`expunge ${all} ${uid}`);
    const isReported = () => log.lines.some(({ message }) => message.includes('suddenly gone'));
    await stage.passUntil('it is reported', isReported, 1_000);
    const reportedAt = clock.now();
    const isGone = async () => (await heard(stage)).filter((line) => line.endsWith(' gone')).length === 12;
    await stage.passUntil('it is believed', isGone, 10_000);
    const lastedMs = clock.now() - reportedAt;
    assert.ok(lastedMs >= 600_000 && lastedMs < 1_000_000, `${lastedMs} ms`);
  });

  test('it lasts over a session that ends, as far as each of them says so twice', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer, log, mailboxId, clock } = stage;
    for (const id of letters) peer.deliver('INBOX', letter(id));
    await hears(stage, ...present);
    for (let uid = 1042; uid < 1054; uid += 1) peer.change(`expunge INBOX ${uid}`);
    const isReported = () => log.lines.some(({ message }) => message.includes('suddenly gone'));
    await stage.passUntil('it is reported', isReported, 5_000);
    const reportedAt = clock.now();
    while (clock.now() - reportedAt < 400_000) await stage.pass(10_000);
    // A trace is what a session ends for.
    await run(
      database.db,
      `update mailboxes set trace_until = now() + interval '1 day' where id = :mailboxId`,
      {
        mailboxId,
      },
    );
    const isGone = async () => (await heard(stage)).filter((line) => line.endsWith(' gone')).length === 12;
    await stage.passUntil('it is believed', isGone, 10_000);
    assert.equal(peer.sent('* AUTHENTICATE *').length, 4);
    const lastedMs = clock.now() - reportedAt;
    assert.ok(lastedMs >= 600_000 && lastedMs < 1_000_000, `${lastedMs} ms`);
  });

  test('a folder that is numbered anew, or is not listed any more, has lost nothing', async () => {
    const stage = await playLive(exchange, { provider: 'outlook', limits: { provenMs: 0 } });
    const { peer } = stage;
    peer.deliver('INBOX', letter('a'));
    peer.deliver('Archive', letter('b'));
    await passUntilHeard(stage, 40_000, 'About a unread present', 'About b unread archived');
    peer.change('uidvalidity INBOX 99');
    peer.change('vanish Archive');
    for (let times = 0; times < 10; times += 1) await stage.pass(60_000);
    assert.deepEqual(await heard(stage), ['About a unread present', 'About b unread archived']);
  });

  test('a restart does not lose what is still to be said, and says it once', async () => {
    const stage = await playLive(exchange, { provider: 'outlook' });
    const { peer } = stage;
    peer.deliver('INBOX', letter('a'));
    await hears(stage, 'About a unread present');
    await stage.pass(10_000);
    peer.change('expunge INBOX 1042');
    await stage.passUntil(
      'it is noticed',
      async () =>
        (
          await rows(
            database.db,
            'select from sightings where mailbox_id = :mailboxId and gone_at is not null',
            stage,
          )
        ).length === 1,
      500,
    );
    assert.deepEqual(await heard(stage), ['About a unread present']);
    await stage.listener.stop();
    const again = await openStage(scene, exchange.replace('uidnext 1042 exists 500', 'uidnext 1043'), {
      provider: 'outlook',
      person: stage,
    });
    stages.push(again);
    await passUntilHeard(again, 20_000, 'About a unread present', 'About a unread gone');
    for (let times = 0; times < 5; times += 1) await again.pass(60_000);
    assert.deepEqual(await heard(again), ['About a unread present', 'About a unread gone']);
  });
});
