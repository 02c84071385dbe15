import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openStore } from '../../src/sandbox/store.ts';
import { hastyClock as clock } from './support.ts';

function newDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-store-'));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

describe('the store of the sandbox', () => {
  test('is the same after a restart: mail, flags, UIDs, mod-sequences, revoked grants, secret', (context) => {
    const directory = newDirectory(context);
    const before = openStore({ directory, clock });
    const { folders } = before.open('Ada+x@Sandbox.Example');
    for (const id of ['a', 'b', 'c'])
      before.append(folders.INBOX, Buffer.from(`Subject: ${id}\n\nGrüße\0\n`));
    const [first, second] = folders.INBOX.messages;
    assert.ok(first && second);
    before.setFlags(folders.INBOX, second, ['\\Seen', '\\Seen']);
    before.expunge(folders.INBOX, [first]);
    before.append(folders.Sent, Buffer.from('x'), { flags: ['\\Seen'], receivedAtMs: 5 });
    before.revoke('g1');
    before.close();

    const after = openStore({ directory, clock });
    assert.deepEqual(after.mailboxes(), before.mailboxes());
    assert.deepEqual(after.secret, before.secret);
    assert.equal(after.isRevoked('g1'), true);
    assert.equal(after.isRevoked('g2'), false);
    const inbox = after.find('ada@sandbox.example')?.folders.INBOX;
    assert.deepEqual(
      inbox?.messages.map(({ uid, flags, raw }) => [uid, flags, raw.toString()]),
      [
        [2, ['\\Seen'], 'Subject: b\r\n\r\nGrüße\0\r\n'],
        [3, [], 'Subject: c\r\n\r\nGrüße\0\r\n'],
      ],
    );
    assert.equal(inbox?.uidNext, 4);
    after.close();
  });

  test('a line that was half written when the process was killed is forgotten', (context) => {
    const directory = newDirectory(context);
    const file = join(directory, 'sandbox.ndjson');
    const before = openStore({ directory, clock });
    before.append(before.open('ada@sandbox.example').folders.INBOX, Buffer.from('whole'));
    before.close();
    const whole = readFileSync(file, 'utf8');
    appendFileSync(file, '{"op":"message","address":"ada@sandb');
    openStore({ directory, clock }).close();
    assert.equal(readFileSync(file, 'utf8'), whole);
  });

  test('watchers hear of each change in the same tick, and setting the same flags is none', () => {
    const store = openStore({ clock });
    const { INBOX } = store.open('ada@sandbox.example').folders;
    let calls = 0;
    INBOX.watchers.add(() => (calls += 1));
    const message = store.append(INBOX, Buffer.from('x'), { flags: ['\\Seen'] });
    assert.equal(calls, 1);
    store.setFlags(INBOX, message, ['\\Seen']);
    assert.equal(calls, 1);
    store.setFlags(INBOX, message, []);
    assert.equal(calls, 2);
    assert.ok(message.modseq === INBOX.modseq);
    store.expunge(INBOX, [message]);
    assert.equal(calls, 3);
    store.close();
  });
});
