import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { createKeyedGate } from '../../src/mailbox/gate.ts';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, decisionsOf, openStage } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const plain = 'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS\n';
const able = `${plain.trimEnd()} LIST-EXTENDED LIST-STATUS\n`;
const folders = `folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1
folder: Junk \\Junk uidvalidity 3 uidnext 9 exists 3
folder: Projects uidvalidity 9 uidnext 21 exists 2
folder: Receipts uidvalidity 10 uidnext 31 exists 2
`;
const letter = (id: string, from = 'ann@customer.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <user@company.example>\r\nSubject: About ${id}\r\nMessage-ID: <${id}@customer.example>\r\n\r\nText.\r\n`,
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

/** Plays a script until the mailbox is live, and both inbox and Sent are listened to. */
async function playLive(script: string, options: StageOptions = {}): Promise<Stage> {
  const started = await openStage(scene, script, options);
  stage = started;
  await started.told('live');
  await waitFor('IDLE on both', () => idles(started).length >= 2);
  return started;
}

/** Connections whose last command is IDLE. */
function idles({ peer }: Stage): string[][] {
  return connections(peer.transcript()).filter((lines) => lines.at(-1)?.endsWith(' IDLE'));
}

/** What the client said, connection by connection. */
function connections(transcript: string): string[][] {
  const parts = transcript.split(/^--- connection .*$/m).slice(1);
  return parts.map((part) => part.split('\n').filter((line) => line.startsWith('C: ')));
}

async function sentLookedAt(mailboxId: string): Promise<number | null> {
  const [row] = await rows<{ at: Date | null }>(
    database.db,
    'select sent_looked_at as at from mailboxes where id = :mailboxId',
    { mailboxId },
  );
  return row?.at?.getTime() ?? null;
}

async function caughtUpTo(mailboxId: string): Promise<number | null> {
  const [row] = await rows<{ at: Date | null }>(
    database.db,
    'select caught_up_to as at from mailboxes where id = :mailboxId',
    { mailboxId },
  );
  return row?.at?.getTime() ?? null;
}

describe('S14: every folder but Spam, Trash and Drafts', () => {
  for (const [name, capabilities] of [
    ['one STATUS for each folder', plain],
    ['all in one LIST (RFC 5819)', able],
  ] as const) {
    test(`what a filter moved on arrival is found by the next look: ${name}`, async () => {
      const { peer, pass, decided, mailboxId } = await playLive(capabilities + folders);
      peer.deliver('Projects', letter('project'));
      peer.deliver('Junk', letter('junk'));
      await pass(40_000);
      await decided('other 21 stored from_contact');
      assert.deepEqual(await decisionsOf(database.db, mailboxId), ['other 21 stored from_contact']);
      assert.deepEqual(peer.sent('* EXAMINE Junk*'), []);
    });
  }

  test('a clock that is set back keeps no look from being due', async () => {
    const { peer, pass, decided, clock } = await playLive(able + folders);
    clock.shift(-3_600_000);
    peer.deliver('Projects', letter('project'));
    await pass(40_000);
    await decided('other 21 stored from_contact');
  });

  /** Has looks wait until they are let in; `asked` is how late their timers were. */
  function holdLooks({ deps }: Stage) {
    const held = { asked: [] as (number | null)[], ended: 0, letIn: () => undefined as void };
    deps.gates.looks = (lateMs, come) => {
      const turn = { hasCome: false, end: () => void (held.ended += 1) };
      held.asked.push(lateMs);
      held.letIn = () => {
        turn.hasCome = true;
        come();
      };
      return turn;
    };
    return held;
  }

  test('a look that waits for its turn keeps no new mail waiting, and is made when its turn comes', async () => {
    const started = await playLive(able + folders);
    const { peer, pass, decided, mailboxId } = started;
    const held = holdLooks(started);
    peer.deliver('Projects', letter('project'));
    await pass(40_000);
    await waitFor('the look to be due', () => held.asked.length > 0);
    peer.deliver('INBOX', letter('inbox'));
    await decided('inbox 11 stored from_contact');
    assert.deepEqual(await decisionsOf(database.db, mailboxId), ['inbox 11 stored from_contact']);
    assert.deepEqual([held.asked, held.ended], [[0], 0]);
    held.letIn();
    await decided('other 21 stored from_contact');
    await waitFor('its end', () => held.ended === 1);
    await pass(40_000);
    await waitFor('the next', () => held.asked.length === 2);
  });

  test('a look that is asked for waits for no turn; a listener that ends gives its turn back', async () => {
    const started = await playLive(able + folders);
    const { peer, pass, decided, listener } = started;
    const held = holdLooks(started);
    await pass(40_000);
    await waitFor('the look to be due', () => held.asked.length > 0);
    peer.deliver('Projects', letter('project'));
    listener.wake();
    await decided('other 21 stored from_contact');
    await waitFor('its end', () => held.ended === 1);
    await pass(40_000);
    await waitFor('the next', () => held.asked.length === 2);
    await listener.stop();
    assert.equal(held.ended, 2);
  });

  test('a look at two hundred folders is one round trip where LIST tells all', async () => {
    const many = Array.from(
      { length: 200 },
      (_, n) => `folder: Customers/${n} uidvalidity ${n + 100} uidnext 5 exists 2\n`,
    );
    const { peer, pass, clock, mailboxId } = await playLive(able + folders + many.join(''));
    const asked = () => peer.sent('*').filter((line) => !/ IDLE$|^DONE$/.test(line)).length;
    const [before, lists] = [asked(), peer.sent('* LIST *').length];
    const at = clock.now() + 40_000;
    await pass(40_000);
    await waitFor('the look', async () => (await caughtUpTo(mailboxId)) === at);
    assert.equal(peer.sent('* LIST *').length - lists, 1);
    assert.equal(asked() - before, 3, 'besides that, one question for each open folder');
  });

  for (const [name, capabilities] of [
    ['one STATUS for each folder', plain],
    ['all in one LIST (RFC 5819)', able],
  ] as const) {
    test(`of a thousand folders none that holds nothing is opened, and what comes there is judged: ${name}`, async () => {
      const many = Array.from(
        { length: 1_000 },
        (_, n) => `folder: Customers/${n} uidvalidity ${n + 100} uidnext 5\n`,
      );
      const since = `@ deliver Receipts uid 31 {\n  From: <ann@customer.example>\n  Message-ID: <early@customer.example>\n\n  Text.\n}\n`;
      const { peer, pass, decided, mailboxId } = await playLive(
        `${capabilities}${folders}${many.join('')}--- connection 1: INBOX\nC: * EXAMINE INBOX*\n${since}C: * IDLE\n`,
      );
      await decided('other 31 stored from_contact');
      assert.deepEqual(peer.sent('* EXAMINE Customers/*'), []);
      assert.equal(
        peer.sent('* EXAMINE Receipts*').length,
        1,
        'one with mail is searched for where to begin',
      );
      assert.notEqual(await caughtUpTo(mailboxId), null, 'everything counts as judged');
      peer.deliver('Customers/789', letter('customer'));
      await pass(40_000);
      await decided('other 5 stored from_contact');
      assert.equal(peer.sent('* EXAMINE Customers/*').length, 1);
    });
  }

  test('where messages are stored is asked only in a look that shows something new', async () => {
    const { peer, pass, clock, decided, mailboxId } = await playLive(able + folders);
    const asked: string[] = [];
    const note = ({ sql }: { sql: string }) => void asked.push(sql);
    const questions = () => asked.filter((sql) => sql.startsWith('select f.id from folders f')).length;
    database.db.on('query', note);
    try {
      for (let look = 0; look < 2; look += 1) {
        const at = clock.now() + 40_000;
        await pass(40_000);
        await waitFor('the look', async () => (await caughtUpTo(mailboxId)) === at);
      }
      assert.equal(questions(), 0);
      peer.deliver('Projects', letter('project'));
      await pass(40_000);
      await decided('other 21 stored from_contact');
      assert.equal(questions(), 1);
    } finally {
      database.db.removeListener('query', note);
    }
  });

  test('without that, mail in the inbox does not wait for the end of a sweep', async () => {
    const many = Array.from(
      { length: 60 },
      (_, n) => `folder: Customers/${n} uidvalidity ${n + 100} uidnext 5 exists 2\n`,
    );
    const { peer, pass, decided } = await playLive(
      `${plain}${folders}${many.join('')}on STATUS Customers/5 *, once:\n  S: * STATUS Customers/5 (UIDNEXT 5 UIDVALIDITY 105)\n  S: $tag OK done
on STATUS Customers/5 *, once:\n  S: * STATUS Customers/5 (UIDNEXT 5 UIDVALIDITY 105)\n  S: * 9 EXISTS\n  S: $tag OK done\n`,
    );
    peer.deliver('INBOX', letter('inbox'));
    await decided('inbox 11 stored from_contact');
    const before = peer.sent('*').length;
    await pass(40_000);
    await waitFor('the end of the sweep', () => peer.sent('* STATUS Customers/59 *').length > 1);
    const asked = peer.sent('*').slice(before);
    const said = asked.findIndex((line) => line.includes('STATUS Customers/5 '));
    assert.match(
      asked[said + 1] ?? '',
      / UID FETCH 12:\* /,
      'what the server tells between two commands goes first',
    );
  });
});

describe('one folder’s trouble is no other’s', () => {
  test('a folder that cannot be opened is left out, and nobody says that it was judged', async () => {
    const { peer, pass, decided, mailboxId, log } = await playLive(
      `${plain}${folders}on EXAMINE Projects:\n  S: $tag NO [NOPERM] not yours\n`,
    );
    assert.equal(await caughtUpTo(mailboxId), null, 'it was never judged to its end');
    peer.deliver('Receipts', letter('receipt'));
    await pass(40_000);
    await decided('other 31 stored from_contact');
    assert.ok(log.lines.some(({ fields }) => fields['code'] === 'command_refused'));
  });

  test('a folder of which STATUS tells nothing is opened; where that is refused too, nobody says that it was judged', async () => {
    const { peer, pass, decided, mailboxId } = await playLive(
      `${plain}${folders}on STATUS Projects *:\n  S: $tag NO not now\non STATUS Receipts *:\n  S: $tag NO not now\non EXAMINE Projects:\n  S: $tag NO not now\n`,
    );
    assert.equal(await caughtUpTo(mailboxId), null);
    peer.deliver('Receipts', letter('receipt'));
    await pass(40_000);
    await decided('other 31 stored from_contact');
  });

  for (const [name, script] of [
    ['refuses to open', 'on EXAMINE Sent:\n  S: $tag NO [NOPERM] not yours\n'],
    [
      'numbers as none can be numbered',
      'on EXAMINE Sent:\n  S: * 1 EXISTS\n  S: * OK [UIDVALIDITY 0] none\n  S: $tag OK done\n',
    ],
  ] as const) {
    test(`a Sent folder that the server ${name} is swept, and the inbox goes on`, async () => {
      stage = await openStage(scene, plain + folders + script);
      const { peer, told, decided, mailboxId, pass } = stage;
      await told('live');
      peer.deliver('INBOX', letter('inbox'));
      await decided('inbox 11 stored from_contact');
      const tries = peer.sent('* EXAMINE Sent').length;
      await pass(40_000);
      await waitFor('a further try', () => peer.sent('* EXAMINE Sent').length > tries);
      assert.equal(await sentLookedAt(mailboxId), null);
      await told('live');
      assert.equal(connections(peer.transcript()).length, 2, 'nobody connects anew for it');
    });
  }

  test('UIDs that go backwards, as after a bad restore: reported, nothing read, nothing deleted', async () => {
    const { peer, pass, decided, mailboxId, log, told } = await playLive(
      `${plain}${folders}--- connection 1: INBOX
C: * IDLE
@ wait restore
@ vanish Projects
@ folder Projects uidvalidity 9 uidnext 3 exists 1
@ signal restored
`,
    );
    const first = await caughtUpTo(mailboxId);
    peer.deliver('Projects', letter('first'));
    await pass(40_000);
    await decided('other 21 stored from_contact');
    await waitFor('the end of the look', async () => (await caughtUpTo(mailboxId)) !== first);
    await waitFor('IDLE on both', () => idles(stageOrFail()).length >= 2);
    const before = await caughtUpTo(mailboxId);
    peer.signal('restore');
    await peer.waitFor('restored');
    await pass(40_000);
    const isReported = () => log.lines.some(({ fields }) => fields['code'] === 'uids_went_backwards');
    await waitFor('the report', isReported);
    peer.deliver('INBOX', letter('inbox'));
    await decided('inbox 11 stored from_contact');
    await told('live');
    assert.equal(await caughtUpTo(mailboxId), before, 'what cannot be believed is not called judged');
    const kept = await rows<{ cursor_uid: string }>(
      database.db,
      `select cursor_uid from folders where mailbox_id = :mailboxId and path = 'Projects'`,
      { mailboxId },
    );
    assert.deepEqual(kept, [{ cursor_uid: '21' }]);
  });
});

describe('S14: what takes long keeps no other folder waiting', () => {
  const stranger = (id: string) => letter(id, 'no@stranger.example');

  /** Each transaction of filing takes three seconds of the stage's clock from now on, and waits for `before`. */
  function slow({ deps, clock }: Stage, before = Promise.resolve()): void {
    const { db } = deps.filing;
    const transaction: typeof db.transaction = async <T>(work: never) => {
      await before;
      await clock.advance(3_000);
      return db.transaction<T>(work);
    };
    deps.filing.db = new Proxy(db, {
      get: (target, key, proxy) =>
        key === 'transaction' ? transaction : (Reflect.get(target, key, proxy) as unknown),
    });
  }

  /** `path uid` of each decision, in the order in which they were made, first and last of each folder. */
  async function order(mailboxId: string): Promise<string[]> {
    const found = await rows<{ line: string; first: boolean; last: boolean }>(
      database.db,
      `select f.path || ' ' || d.uid as line,
              d.uid = min(d.uid) over (partition by f.path) as first, d.uid = max(d.uid) over (partition by f.path) as last
         from decisions d join folders f on f.id = d.folder_id where d.mailbox_id = :mailboxId
        order by d.decided_at, d.id`,
      { mailboxId },
    );
    return found.filter(({ first, last }) => first || last).map(({ line }) => line);
  }

  test('mail in the inbox and in Sent is judged in the midst of a long swept folder', async () => {
    const started = await playLive(able + folders);
    const { peer, pass, mailboxId } = started;
    for (let n = 0; n < 1_100; n += 1) peer.deliver('Projects', stranger(`old-${n}`));
    slow(started);
    await pass(40_000);
    await waitFor('a part of it', () => peer.sent('* UID FETCH 21:520 *').length > 0);
    peer.deliver('INBOX', stranger('inbox'));
    peer.deliver('Sent', stranger('sent'));
    const isThrough = async () => (await order(mailboxId)).at(-1) === 'Projects 1120';
    await waitFor('the end', isThrough);
    assert.deepEqual(await order(mailboxId), ['Projects 21', 'INBOX 11', 'Sent 3', 'Projects 1120']);
    assert.deepEqual(peer.sent('* UID FETCH 521:1020 *').length, 1, 'nothing is read twice');
  });

  test('mail in Sent is judged in the midst of a long inbox', async () => {
    const started = await playLive(able + folders);
    const { peer, mailboxId, listener } = started;
    const delivered = Promise.withResolvers<void>();
    slow(started, delivered.promise);
    peer.deliver('INBOX', stranger('first'));
    await waitFor('the first one', () => peer.sent('* UID FETCH 11:\\* *').length > 0);
    for (let n = 0; n < 1_100; n += 1) peer.deliver('INBOX', stranger(`old-${n}`));
    listener.wake();
    delivered.resolve();
    await waitFor('a part of it', () => peer.sent('* UID FETCH 12:511 *').length > 0);
    peer.deliver('Sent', stranger('sent'));
    await waitFor('the end', async () => (await order(mailboxId)).at(-1) === 'INBOX 1111');
    assert.deepEqual(await order(mailboxId), ['INBOX 11', 'Sent 3', 'INBOX 1111']);
  });

  test('while a long folder waits for its turn among the mailboxes, the inbox is open and listened to', async () => {
    const started = await playLive(able + folders);
    const { peer, pass, deps, decided } = started;
    const turn = Promise.withResolvers<void>();
    let waits = false;
    deps.gates.batches = async (_host, work) => {
      waits = true;
      await turn.promise;
      return work();
    };
    for (let n = 0; n < 60; n += 1) peer.deliver('Projects', stranger(`old-${n}`));
    const opened = peer.sent('* EXAMINE Projects').length;
    await pass(40_000);
    await waitFor('the gate', () => waits);
    await waitFor('IDLE on both', () => idles(started).length >= 2);
    assert.equal(peer.sent('* EXAMINE Projects').length, opened);
    peer.deliver('INBOX', letter('inbox'));
    peer.deliver('Sent', letter('sent'));
    await decided('inbox 11 stored from_contact', 'sent 3 skipped counterpart_is_user').finally(turn.resolve);
    await decided('other 80 skipped no_match');
  });

  test('in that turn an inbox is read first in which much has come meanwhile: behind it, each would wait for the other', async () => {
    const started = await playLive(
      `${able}${folders}on UID FETCH 11:*, once:\n  S: $tag NO not all at once\n`,
    );
    const { peer, pass, deps, decided } = started;
    const gate = createKeyedGate(1);
    const others = Promise.withResolvers<void>();
    const theirs = gate('host', () => others.promise);
    let waits = 0;
    deps.gates.batches = (_host, work, stop) => {
      waits += 1;
      return gate('host', work, stop);
    };
    for (let n = 0; n < 60; n += 1) peer.deliver('Projects', stranger(`old-${n}`));
    await pass(40_000);
    await waitFor('the gate', () => waits === 1);
    await waitFor('IDLE on both', () => idles(started).length >= 2);
    for (let n = 0; n < 60; n += 1) peer.deliver('INBOX', stranger(`new-${n}`));
    await waitFor('the inbox', () => peer.sent('* UID SEARCH UID 11:\\*').length > 1);
    others.resolve();
    await theirs;
    await decided('inbox 70 skipped no_match', 'other 80 skipped no_match');
    assert.equal(waits, 1);
  });

  test('nor is a folder waited for where it is only seen when it is open that there is much in it', async () => {
    const begun = Array.from(
      { length: 60 },
      (_, n) => `@ deliver Projects uid ${n + 21} {\n  From: <no@stranger.example>\n\n  Text.\n}\n`,
    );
    const turn = Promise.withResolvers<void>();
    stage = await openStage(
      scene,
      `${able}${folders}--- connection 1: INBOX\nC: * EXAMINE INBOX*\n${begun.join('')}`,
    );
    const { peer, deps, decided } = stage;
    let waits = false;
    deps.gates.batches = async (_host, work) => {
      waits = true;
      await turn.promise;
      return work();
    };
    await waitFor('the gate', () => waits);
    peer.deliver('INBOX', letter('inbox'));
    await decided('inbox 11 stored from_contact').finally(turn.resolve);
    await decided('other 80 skipped no_match');
  });

  /** Of how many lines one after the other none matches, at most, from the first one of `among` to its last one. */
  function longestWithout(lines: readonly string[], among: RegExp, pattern: RegExp): number {
    const from = lines.findIndex((line) => among.test(line));
    const to = lines.findLastIndex((line) => among.test(line));
    let most = 0;
    let run = 0;
    for (const line of lines.slice(from, to + 1)) {
      if (among.test(line)) run += 1;
      if (pattern.test(line)) run = 0;
      most = Math.max(most, run);
    }
    return most;
  }
  const old = Array.from(
    { length: 40 },
    (_, n) => `folder: Customers/${n} uidvalidity 100 uidnext 5 exists 2\n`,
  ).join('');

  test('while folders are opened one by one at a first connect, the inbox is looked at after each second', async () => {
    const { peer } = await playLive(
      `${able}${folders}${old}on UID SEARCH SINCE *:\n  @ advance 300ms\n  S: * SEARCH\n  S: $tag OK done\n`,
    );
    assert.equal(peer.sent('* EXAMINE Customers/*').length, 40);
    const most = longestWithout(peer.sent('*'), / EXAMINE Customers/, / EXAMINE INBOX/);
    assert.ok(most <= 4, `${most} folders were opened one after the other`);
  });

  test('so it is while they are asked for one by one, at a server that says nothing else meanwhile', async () => {
    const answer = `  @ advance 300ms
  S: * STATUS Customers/1 (UIDNEXT 5 UIDVALIDITY 100 MESSAGES 0 UNSEEN 0)
  S: $tag OK done
`;
    const arrival = '  @ deliver INBOX {\n    From: <ann@customer.example>\n\n    Text.\n  }\n';
    const { peer, pass, decided } = await playLive(
      `${plain}${folders}${old}on STATUS Customers/20 *, once:\n${answer}` +
        `on STATUS Customers/20 *, once:\n${arrival}${answer}on STATUS Customers/*:\n${answer}`,
    );
    assert.deepEqual(peer.sent('* EXAMINE Customers/*'), []);
    // The first look took the other twelve seconds.
    await pass(28_000);
    await decided('inbox 11 stored from_contact');
    await waitFor('the end of the sweep', () => peer.sent('* STATUS Receipts *').length > 1);
    const [asked = []] = connections(peer.transcript());
    const arrived = asked.findLastIndex((line) => line.includes(' STATUS Customers/20 '));
    const judged = asked.findIndex(
      (line) => / UID (FETCH|SEARCH UID) 11/.test(line) && asked.indexOf(line) > arrived,
    );
    const between = asked.slice(arrived + 1, judged).filter((line) => line.includes(' STATUS '));
    assert.ok(judged !== -1 && between.length < 4, between.join('\n'));
  });
});

describe('S6, S3: what came while nobody listened', () => {
  for (const [name, traits] of [
    ['on a connection of its own', {}],
    ['where the provider allows but one connection', { imapConnectionsMax: 1 }],
  ] as const) {
    test(`Sent is read before the inbox, ${name}: an answer to what the person wrote belongs`, async () => {
      const one = await openStage(scene, able + folders, { traits });
      stage = one;
      const { mailboxId, sub, user, address } = one;
      await one.told('live');
      await one.end();
      const person = { mailboxId, sub, user, address };
      const lines = (folder: string, uid: number, ...headers: string[]) =>
        `message: ${folder} uid ${uid} {\n${headers.map((line) => `  ${line}\n`).join('')}\n  Text.\n}\n`;
      stage = await openStage(
        scene,
        `${able}${folders.replace('uidnext 11', 'uidnext 12').replace('uidnext 3', 'uidnext 4')}` +
          lines(
            'Sent',
            3,
            'From: <user@company.example>',
            'To: <ann@customer.example>, <cc@stranger.example>',
            'Subject: Plan',
            'Message-ID: <plan@company.example>',
          ) +
          lines(
            'INBOX',
            11,
            'From: <cc@stranger.example>',
            'To: <user@company.example>',
            'Subject: Re: Plan',
            'Message-ID: <answer@stranger.example>',
            'In-Reply-To: <plan@company.example>',
          ),
        { traits, person },
      );
      await stage.decided('sent 3 stored to_contact', 'inbox 11 stored thread_member');
    });
  }
});

describe('a session that finds nothing new', () => {
  test('opens the inbox alone, and what comes to Sent is judged', async () => {
    const traits = { imapConnectionsMax: 1 };
    const empty = able + folders.replaceAll(/ exists \d/g, '');
    stage = await openStage(scene, empty, { traits });
    const { mailboxId, sub, user, address, peer } = stage;
    await stage.told('live');
    assert.deepEqual(peer.sent('* UID SEARCH SINCE *'), [], 'nothing is searched for where to begin');
    await stage.end();
    stage = await openStage(scene, empty, { traits, person: { mailboxId, sub, user, address } });
    const { peer: again, pass, decided } = stage;
    await waitFor('the session', () => again.sent('* IDLE').length > 0);
    assert.equal(again.sent('* EXAMINE *').length, 1);
    assert.equal(again.sent('* EXAMINE INBOX*').length, 1);
    again.deliver('Sent', letter('copy'));
    await pass(40_000);
    await decided('sent 3 skipped counterpart_is_user');
  });
});

describe('S14: what comes to the inbox after the listing, which showed it empty, and before it is opened', () => {
  const told = `on LIST *, once:
  S: * LIST (\\HasNoChildren) "/" "INBOX"
  S: * STATUS "INBOX" (UIDNEXT 11 UIDVALIDITY 7 MESSAGES 0 UNSEEN 0)
  S: $tag OK done
`;
  for (const [name, uidValidity, asks] of [
    ['is read', 7, '* UID FETCH 11 *'],
    ['is searched for, where all is numbered anew meanwhile', 99, '* UID SEARCH SINCE *'],
  ] as const) {
    test(name, async () => {
      const inbox = `folder: INBOX uidvalidity ${uidValidity} uidnext 12 exists 1\n`;
      stage = await openStage(scene, able + inbox + told, { traits: { imapConnectionsMax: 1 } });
      await stage.told('live');
      assert.equal(stage.peer.sent(asks).length, 1);
    });
  }
});

describe('D5: what an uncertain send goes by: that Sent was looked at, to its end', () => {
  test('where each message was shown, it is noted when the look began, by the database’s clock', async () => {
    const began = Date.now();
    const { mailboxId, pass } = await playLive(plain + folders);
    const first = (await sentLookedAt(mailboxId)) ?? 0;
    assert.ok(first >= began - 1_000 && first <= Date.now() + 1_000, `${first - began}`);
    await pass(40_000);
    await waitFor('the next look', async () => ((await sentLookedAt(mailboxId)) ?? 0) > first);
  });

  test('not while a copy is listed there and not shown yet', async () => {
    const { peer, pass, mailboxId, decided } = await playLive(
      `${plain}${folders}on UID FETCH 3*, 6 times:\n  S: $tag OK done\n`,
    );
    const before = [await sentLookedAt(mailboxId), await caughtUpTo(mailboxId)];
    peer.deliver('Sent', letter('copy'));
    await waitFor('a question', () => peer.sent('* UID FETCH 3*').length > 0);
    await pass(40_000);
    await waitFor('the sweep', () => peer.sent('* STATUS Receipts *').length > 1);
    await waitFor('the end of it', () => idles(stageOrFail()).length >= 2);
    assert.deepEqual([await sentLookedAt(mailboxId), await caughtUpTo(mailboxId)], before);
    const looked = async () => (await sentLookedAt(mailboxId)) !== before[0];
    await stageOrFail().passUntil('it is shown, and the look is whole', looked, 40_000);
    await decided('sent 3 skipped counterpart_is_user');
  });

  test('a look begins before the listing, which tells where folders stand', async () => {
    stage = await openStage(
      scene,
      `${able}${folders}on LIST "" "*" *, once:
  S: * LIST () "/" INBOX
  S: * LIST (\\Sent) "/" Sent
  S: * LIST () "/" Projects
  S: * STATUS Projects (UIDNEXT 21 UIDVALIDITY 9)
  @ advance 5s
  S: $tag OK done
`,
    );
    const { clock, mailboxId } = stage;
    const began = clock.now();
    await stage.told('live');
    assert.ok(clock.now() >= began + 5_000);
    assert.equal(await caughtUpTo(mailboxId), began);
  });

  test('not where the server lists no Sent folder', async () => {
    stage = await openStage(scene, plain + folders.replace(/^folder: Sent.*\n/m, ''));
    await stage.told('live');
    const { mailboxId } = stage;
    await waitFor('the look', async () => (await caughtUpTo(mailboxId)) !== null);
    assert.equal(await sentLookedAt(mailboxId), null);
  });

  test('not where the connection ends under the last question of the look', async () => {
    const { log, mailboxId, pass } = await playLive(
      `${plain}${folders}on STATUS Receipts *, once:
  S: * STATUS Receipts (UIDNEXT 31 UIDVALIDITY 10)
  S: $tag OK done
on STATUS Receipts *, once:
  S: (close)
`,
    );
    const before = [await sentLookedAt(mailboxId), await caughtUpTo(mailboxId)];
    await pass(40_000);
    await waitFor('the end', () => log.lines.some(({ fields }) => fields['code'] === 'connection_closed'));
    assert.deepEqual([await sentLookedAt(mailboxId), await caughtUpTo(mailboxId)], before);
  });
});

function stageOrFail(): Stage {
  if (stage === undefined) throw new Error('no stage');
  return stage;
}
