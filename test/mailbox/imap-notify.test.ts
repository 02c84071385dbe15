import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { openSession } from '../../src/mailbox/session.ts';
import type { Session } from '../../src/mailbox/session.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';

const folders = `folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1
`;
const server = (more: string) =>
  `capabilities: IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS ${more}\n${folders}`;
const able = server('NOTIFY');

let peer: ScriptPeer;
let session: Session;
let notices: string[];
let closes: number;

async function open(script: string): Promise<void> {
  peer = await startScriptPeer(script);
  notices = [];
  closes = 0;
  session = await openSession({
    server: { host: peer.host, port: peer.port, security: 'none' },
    login: { user: 'ann@company.example', accessToken: 'token' },
    onArrival: () => undefined,
    onNotice: (path) => void notices.push(path),
    onClose: () => void (closes += 1),
  });
}

afterEach(async () => {
  session.close();
  await peer.stop();
});

describe('S14: notices of new mail in folders that are not open (RFC 5465)', () => {
  test('are asked for in one command, beside what the open folder tells anyhow', async () => {
    await open(`${able}on NOTIFY *:\n  S: $tag OK\n`);
    assert.deepEqual(await session.notify(['Sent', 'Client work']), ['Sent', 'Client work']);
    const [asked] = peer.sent('* NOTIFY *');
    assert.match(
      asked ?? '',
      / NOTIFY SET \(SELECTED-DELAYED \(MessageNew MessageExpunge FlagChange\)\) \(MAILBOXES \("Sent" "Client work"\) \(MessageNew MessageExpunge\)\)$/,
    );
  });

  test('come while the session listens; what it asked for by STATUS, or for another folder, is none', async () => {
    await open(
      `${able}on NOTIFY *:\n  S: $tag OK\n--- connection 1: INBOX\nC: * IDLE\nS: + idling\nS: * STATUS Drafts (UIDNEXT 9)\nS: * STATUS "Sent" (UIDNEXT 4 MESSAGES 2)\n@ signal told\n`,
    );
    await session.notify(['Sent']);
    await session.open('INBOX');
    await session.status('Sent');
    assert.deepEqual(notices, []);
    session.idle();
    await peer.waitFor('told');
    await waitFor('the notice', () => notices.length > 0);
    assert.deepEqual(notices, ['Sent']);
  });

  for (const [what, script, paths] of [
    ['a server without it is not asked', server(''), ['Sent']],
    ['nor is one asked for nothing', able, []],
    ['nor for a name that servers write in different ways', able, ['Entwürfe', 'R&D', 'a "b"']],
  ] as const) {
    test(what, async () => {
      await open(script);
      assert.deepEqual(await session.notify(paths), []);
      assert.deepEqual(peer.sent('* NOTIFY *'), []);
    });
  }

  test('are asked for a hundred folders, the first ones', async () => {
    await open(`${able}on NOTIFY *:\n  S: $tag OK\n`);
    const paths = Array.from({ length: 150 }, (_, n) => `Folder ${n}`);
    assert.deepEqual(await session.notify(paths), paths.slice(0, 100));
  });

  for (const refusal of ['NO [NOTIFICATIONOVERFLOW] Too many mailboxes', 'BAD Unknown command', 'NO No']) {
    test(`may be refused (${refusal}): the session goes on without`, async () => {
      await open(`${able}on NOTIFY *:\n  S: $tag ${refusal}\n`);
      assert.deepEqual(await session.notify(['Sent']), []);
      assert.deepEqual(await session.open('INBOX'), { uidValidity: 7, uidNext: 11, isChanged: false });
      assert.equal(closes, 0);
    });
  }

  test('a server that stops telling has its connection closed: a new one asks anew', async () => {
    await open(
      `${able}on NOTIFY *:\n  S: $tag OK\n--- connection 1: INBOX\nC: * IDLE\nS: + idling\nS: * OK [NOTIFICATIONOVERFLOW] Sorry\n`,
    );
    await session.notify(['Sent']);
    await session.open('INBOX');
    session.idle();
    await waitFor('the end', () => closes === 1);
  });
});
