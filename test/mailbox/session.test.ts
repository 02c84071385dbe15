import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import type { Failure } from '../../src/lib/failure.ts';
import { openSession } from '../../src/mailbox/session.ts';
import type { Session } from '../../src/mailbox/session.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';

const plain = 'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS\n';
const able = `${plain.trimEnd()} LIST-EXTENDED LIST-STATUS\n`;
const folders = `folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1
folder: Projects uidvalidity 9 uidnext 21 exists 2
`;

type Opened = {
  peer: ScriptPeer;
  session: Session;
  /** What onArrival was told. */
  arrivals: number[];
  closes: Failure[];
  stop: AbortController;
};

const opened: Opened[] = [];

async function open(script: string): Promise<Opened> {
  const peer = await startScriptPeer(script);
  const arrivals: number[] = [];
  const closes: Failure[] = [];
  const stop = new AbortController();
  const session = await openSession({
    server: { host: peer.host, port: peer.port, security: 'none' },
    login: { user: 'ann@company.example', accessToken: 'token' },
    stop: stop.signal,
    onArrival: (announced) => void arrivals.push(announced),
    onClose: (why) => void closes.push(why),
  });
  const all = { peer, session, arrivals, closes, stop };
  opened.push(all);
  return all;
}

afterEach(async () => {
  for (const { session, peer } of opened.splice(0)) {
    session.close();
    await peer.stop();
  }
});

describe('listening', () => {
  test('an announcement says how many', async () => {
    const { session, peer, arrivals } = await open(
      `${plain}${folders}--- connection 1: INBOX\nC: * IDLE\nS: + idling\nS: * 5 EXISTS\n@ signal said\n`,
    );
    await session.open('INBOX');
    session.idle();
    await peer.waitFor('said');
    await waitFor('the announcement', () => arrivals.length === 1);
    assert.deepEqual(arrivals, [3]);
  });

  test('listening twice is listening once, and any other call ends it', async () => {
    const { session, peer, arrivals } = await open(plain + folders);
    await session.open('INBOX');
    session.idle();
    session.idle();
    assert.deepEqual(await session.uids('1:*'), [9, 10]);
    session.idle();
    await waitFor('a second IDLE', () => peer.sent('* IDLE').length === 2);
    assert.deepEqual(await session.uids('1:*'), [9, 10]);
    assert.deepEqual(arrivals, [], 'what we end ourselves is no news');
  });

  test('a server that ends it by itself is noticed, and listened to again', async () => {
    const { session, peer, arrivals } = await open(
      `${plain}${folders}--- connection 1: INBOX\nC: $t IDLE\nS: + idling\nS: $t OK IDLE ended, too long\nC: * IDLE\n@ signal again\n`,
    );
    await session.open('INBOX');
    session.idle();
    await waitFor('a sign of it', () => arrivals.length > 0);
    assert.deepEqual(arrivals, [0]);
    session.idle();
    await peer.waitFor('again');
  });

  test('a message that is expunged is no arrival', async () => {
    const { session, peer, arrivals } = await open(
      `${plain}${folders}--- connection 1: INBOX\nC: * IDLE\n@ expunge INBOX 9\n@ signal gone\n`,
    );
    await session.open('INBOX');
    session.idle();
    await peer.waitFor('gone');
    await session.uids('1:*');
    assert.deepEqual(arrivals, []);
  });
});

describe('reading', () => {
  test('U2: EXAMINE, never SELECT; PEEK, never a plain BODY', async () => {
    const { session, peer } = await open(plain + folders);
    assert.deepEqual(await session.open('INBOX'), { uidValidity: 7, uidNext: 11, isChanged: false });
    await session.headers('9:*');
    await session.bodies([9, 10]);
    assert.deepEqual(peer.sent('* SELECT *'), []);
    assert.deepEqual(peer.sent('*BODY[*'), []);
  });

  test('L1: what a message consists of, without what an attached mail does; one that is not shown so is missing', async () => {
    const file =
      '("APPLICATION" "PDF" ("NAME" "a.pdf") NIL NIL "BASE64" 4000 NIL ("ATTACHMENT" ("FILENAME" "a.pdf")) NIL NIL)';
    const text = '("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 300 9 NIL NIL NIL NIL)';
    const image = '("IMAGE" "PNG" NIL "<logo@mail.example>" NIL "BASE64" 200 NIL ("INLINE" NIL) NIL NIL)';
    const envelope = '(NIL "Hi" NIL NIL NIL NIL NIL NIL NIL NIL)';
    const mail = `("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 5000 ${envelope} (${text}${file} "MIXED" NIL NIL NIL) 90 NIL NIL NIL NIL)`;
    const whole = `((${text}${image} "RELATED" NIL NIL NIL)${file}${mail} "MIXED" NIL NIL NIL)`;
    const { session } = await open(
      `${plain}${folders}on UID FETCH *:\n  S: * 1 FETCH (UID 9 BODYSTRUCTURE ${whole})\n  S: * 2 FETCH (UID 10 FLAGS ())\n  S: $tag OK done\n`,
    );
    await session.open('INBOX');
    const shown = await session.structures([9, 10]);
    assert.deepEqual([...shown.keys()], [9]);
    assert.deepEqual(shown.get(9), [
      { type: 'text/html', encoding: 'quoted-printable', size: 300, disposition: null, hasId: false },
      { type: 'image/png', encoding: 'base64', size: 200, disposition: 'inline', hasId: true },
      { type: 'application/pdf', encoding: 'base64', size: 4000, disposition: 'attachment', hasId: false },
      { type: 'message/rfc822', encoding: '7bit', size: 5000, disposition: null, hasId: false },
    ]);
  });

  test('headers come by UID, once each, whatever the order of the rows', async () => {
    const row = (seq: number, uid: number, more: string) => `  S: * ${seq} FETCH (UID ${uid} ${more})\n`;
    const header =
      'RFC822.SIZE 9 INTERNALDATE "17-Nov-2026 10:00:00 +0000" FLAGS () BODY[HEADER] {12 hidden}';
    const { session } = await open(
      `${plain}${folders}on UID FETCH *:\n${row(2, 10, header)}${row(1, 9, 'FLAGS (\\Seen)')}${row(1, 9, header)}` +
        `${row(1, 9, 'FLAGS (\\Seen)')}  S: $tag OK done\n`,
    );
    await session.open('INBOX');
    const shown = await session.headers('9:*');
    assert.deepEqual(
      shown.map(({ uid, size }) => [uid, size]),
      [
        [9, 9],
        [10, 9],
      ],
      'a row that only tells of a changed flag is no message',
    );
  });

  test('S13: a Message-ID is looked for whole: one that is part of every other finds nothing but itself', async () => {
    const { session, peer } = await open(
      `${plain}${folders}on UID SEARCH *:\n  S: * SEARCH 9\n  S: $tag OK done\n`,
    );
    await session.open('INBOX');
    assert.deepEqual(await session.find({ messageIds: ['example.com', 'a"b@example.com'] }), [9]);
    const [asked] = peer.sent('*SEARCH*');
    assert.match(
      asked ?? '',
      /SEARCH OR HEADER MESSAGE-ID <example\.com> HEADER MESSAGE-ID "<a\\"b@example\.com>"$/,
    );
  });

  test('it is said when the last message of the folder is among what was shown', async () => {
    const { session, peer } = await open(plain + folders);
    await session.open('INBOX');
    let whole = 0;
    const onWhole = () => (whole += 1);
    await session.headers('9', onWhole);
    assert.equal(whole, 0);
    await session.headers('9:*', onWhole);
    assert.equal(whole, 1);
    peer.deliver('INBOX', Buffer.from('Subject: late\r\n\r\nLate.\r\n'));
    await session.headers('9:10', onWhole);
    assert.equal(whole, 1);
  });

  test('a server’s refusal is a refusal, and the connection goes on', async () => {
    const { session, closes } = await open(
      `${plain}${folders}on UID SEARCH *, once:\n  S: $tag NO not now\non EXAMINE Projects:\n  S: $tag NO not yours\n`,
    );
    await session.open('INBOX');
    await assert.rejects(session.uids('1:*'), { name: 'Failure', code: 'command_refused' });
    await assert.rejects(session.open('Projects'), { name: 'Failure', code: 'command_refused' });
    await session.open('INBOX');
    assert.deepEqual(await session.uids('1:*'), [9, 10]);
    assert.deepEqual(closes, []);
  });
});

describe('what cannot be read', () => {
  test('an answer to SEARCH is not taken for one that names nothing', async () => {
    const { session } = await open(
      `${plain}${folders}on UID SEARCH *:\n  S: * SEARCH 9 (10\n  S: $tag OK done\n`,
    );
    await session.open('INBOX');
    await assert.rejects(session.uids('1:*'), { name: 'Failure', code: 'unexpected_answer' });
  });
});

describe('folders', () => {
  test('RFC 5819: one round trip tells all of them and where they stand', async () => {
    const { session, peer } = await open(able + folders);
    assert.equal(session.listsStatus, true);
    const listed = await session.list();
    assert.deepEqual(
      listed.map(({ path, observed }) => [path, observed]),
      [
        ['INBOX', { uidValidity: 7, uidNext: 11, signature: '2 2 ', messages: 2 }],
        ['Sent', { uidValidity: 8, uidNext: 3, signature: '1 1 ', messages: 1 }],
        ['Projects', { uidValidity: 9, uidNext: 21, signature: '2 2 ', messages: 2 }],
      ],
    );
    assert.equal(peer.sent('* LIST *').length, 1);
    assert.deepEqual([...peer.sent('* STATUS INBOX*'), ...peer.sent('* LSUB *')], []);
  });

  test('one that was listed is not listed again before it is opened, though what it was listed with is let go', async () => {
    const { session, peer } = await open(able + folders);
    await session.list();
    await session.open('Projects');
    await session.open('INBOX');
    assert.equal(peer.sent('* LIST *').length, 1);
  });

  test('one that is listed twice is one; one whose name holds a NUL is none, and keeps nobody from the others', async () => {
    const { session } = await open(
      `${plain}on LIST *:\n  S: * LIST () "/" INBOX\n  S: * LIST () "/" "a\0b"\n  S: * LIST () "/" INBOX\n  S: * LIST () "/" Projects\n  S: $tag OK done\n`,
    );
    assert.deepEqual(
      (await session.list()).map(({ path }) => path),
      ['INBOX', 'Projects'],
    );
  });

  test('without that, STATUS tells of one at a time; null for one that is not there', async () => {
    const { session } = await open(plain + folders);
    assert.equal(session.listsStatus, false);
    const listed = await session.list();
    assert.deepEqual(
      listed.map(({ observed }) => observed),
      [null, null, null],
    );
    assert.deepEqual(await session.status('Projects'), {
      uidValidity: 9,
      uidNext: 21,
      signature: '2 2 ',
      messages: 2,
    });
    assert.equal(await session.status('Gone'), null);
  });
});

describe('the end', () => {
  test('a stop closes the connection and leaves nothing on the signal', async () => {
    const { session, stop, closes } = await open(plain + folders);
    await session.open('INBOX');
    assert.equal(getEventListeners(stop.signal, 'abort').length, 1);
    stop.abort();
    await waitFor('the close', () => closes.length === 1);
    assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
  });

  test('a connection that was closed leaves nothing on the signal either', async () => {
    const { session, stop, closes } = await open(plain + folders);
    session.close();
    await waitFor('the close', () => closes.length === 1);
    assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
    await assert.rejects(session.uids('1:*'), { name: 'Failure', kind: 'temporary' });
  });

  test('a login that fails leaves nothing on the signal', async () => {
    const peer = await startScriptPeer(`${plain}auth: refuse\n`);
    const stop = new AbortController();
    await assert.rejects(
      openSession({
        server: { host: peer.host, port: peer.port, security: 'none' },
        login: { user: 'ann@company.example', password: 'wrong' },
        stop: stop.signal,
        onArrival: () => assert.fail('there is nobody to tell'),
        onClose: () => assert.fail('it was never open'),
      }),
      { code: 'login_refused' },
    );
    await waitFor('the end of it', () => getEventListeners(stop.signal, 'abort').length === 0);
    await peer.stop();
  });
});
