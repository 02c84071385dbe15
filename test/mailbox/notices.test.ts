import { after, before, describe, test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { createScene, openStage } from './listening.ts';
import type { Scene } from './listening.ts';

const letter = (n: number) => `{
  From: <user@company.example>
  To: <ann@customer.example>
  Subject: Letter ${n}
  Message-ID: <l${n}@company.example>

  Text.
}`;

/** A server that tells of Sent while INBOX is open. */
const server = `capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS NOTIFY
folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1
on NOTIFY *:
  S: $tag OK NOTIFY completed
--- connection 1: INBOX
C: * IDLE
# The last part of catching up; from then on nobody asks.
C: * STATUS *
C: * IDLE
S: + idling
@ deliver Sent uid 3 ${letter(3)}
S: * STATUS Sent (UIDNEXT 4 MESSAGES 2)
`;

describe('S14: a folder that is noticed', () => {
  let database: TestDatabase;
  let scene: Scene;
  before(async () => {
    database = await testDatabase('pglite');
    scene = await createScene(database.db);
  });
  after(() => database.drop());

  test('is looked into at once', async () => {
    const stage = await openStage(scene, server);
    // No time passes: the safety net never comes.
    await stage.decided('sent 3 stored to_contact');
    await stage.end();
  });

  test('is looked into once more for what came while it was open, which is no notice', async () => {
    const stage = await openStage(
      scene,
      `${server}C: * EXAMINE *\nC: * UID FETCH *\n@ deliver Sent uid 4 ${letter(4)}\n`,
    );
    await stage.decided('sent 3 stored to_contact', 'sent 4 stored to_contact');
    await stage.end();
  });
});
