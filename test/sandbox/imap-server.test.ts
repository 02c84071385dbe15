import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { describe, test } from 'node:test';
import type { ImapFlow } from 'imapflow';
import { connect, messagesIn, withImap, withSandbox } from './support.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

const ada = 'ada@sandbox.example';

const nested = [
  'From: =?utf-8?Q?J=C3=B6rg?= <joerg@customer.example>',
  'To: "Ada, Sales" <ada@sandbox.example>, ben@sandbox.example',
  'Subject: Offer',
  'Date: Tue, 03 Nov 2026 10:00:00 +0100',
  'Message-ID: <offer-1@customer.example>',
  'In-Reply-To: <ask-1@sandbox.example>',
  'References: <ask-0@sandbox.example>',
  '\t<ask-1@sandbox.example>',
  'Content-Type: multipart/mixed; boundary="out er"',
  '',
  'preamble',
  '--out er',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'Grüße',
  'zwei',
  '--inner',
  'Content-Type: text/html; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  '<p>Gr=C3=BC=C3=9Fe</p>',
  '--inner--',
  '--out er',
  'Content-Type: application/pdf; name="offer.pdf"',
  'Content-Disposition: attachment; filename="offer.pdf"',
  'Content-Transfer-Encoding: base64',
  '',
  'JVBERi0xLjcK',
  '--out er',
  'Content-Type: message/rfc822',
  '',
  'From: eva@customer.example',
  'Subject: inside',
  '',
  'inner text',
  '--out er--',
  '',
].join('\r\n');

/** A sandbox, Ada's token, and a function that puts a message into one of her folders. */
async function withAda(work: (things: Things) => Promise<void>): Promise<void> {
  await withSandbox(async (sandbox) => {
    const { accessToken } = await connect(sandbox, ada);
    await work({ sandbox, login: { user: ada, accessToken } });
  });
}

type Things = { sandbox: Sandbox; login: { user: string; accessToken: string } };

async function deliver({ http }: Sandbox, raw: string, folder = 'INBOX'): Promise<void> {
  const url = `${http.url}/mail/deliver?${new URLSearchParams({ mailbox: ada, folder }).toString()}`;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822' },
    body: raw,
  });
  assert.equal(response.status, 201);
}

function simple(id: string, text = 'Hello'): string {
  return `From: eva@customer.example\r\nTo: ${ada}\r\nSubject: ${id}\r\nMessage-ID: <${id}@customer.example>\r\n\r\n${text}\r\n`;
}

async function uids(client: ImapFlow, query: Parameters<ImapFlow['search']>[0]): Promise<number[]> {
  const found = await client.search(query, { uid: true });
  assert.ok(Array.isArray(found));
  return found;
}

describe('imapflow against the sandbox', () => {
  test('lists the folders with their special uses, as extension and not by name', async () => {
    await withAda(async ({ sandbox, login }) => {
      await withImap(sandbox, login, async (client) => {
        const folders = await client.list();
        const uses = folders.map(({ path, specialUse, specialUseSource }) => [
          path,
          specialUse,
          specialUseSource,
        ]);
        assert.deepEqual(
          uses.toSorted(([a = ''], [b = '']) => a.localeCompare(b)),
          [
            ['Archive', '\\Archive', 'extension'],
            ['Drafts', '\\Drafts', 'extension'],
            ['INBOX', '\\Inbox', 'name'],
            ['Sent', '\\Sent', 'extension'],
            ['Spam', '\\Junk', 'extension'],
            ['Trash', '\\Trash', 'extension'],
          ],
        );
        assert.ok(folders.every(({ subscribed }) => subscribed));
        assert.ok(client.enabled.has('CONDSTORE'));
        assert.equal(client.serverInfo?.name, 'Twoway sandbox');
      });
    });
  });

  test('EXAMINE, envelope, structure, chosen headers, source, parts and ranges', async () => {
    await withAda(async ({ sandbox, login }) => {
      await deliver(sandbox, nested.replaceAll('\r\n', '\n'));
      const bytes = Buffer.from(nested);
      await withImap(sandbox, login, async (client) => {
        const folder = await client.mailboxOpen('INBOX', { readOnly: true });
        assert.equal(folder.exists, 1);
        assert.equal(folder.uidNext, 2);
        assert.equal(folder.readOnly, true);
        assert.ok((folder.highestModseq ?? 0n) > 0n);
        const message = await client.fetchOne('1', {
          uid: true,
          flags: true,
          size: true,
          internalDate: true,
          envelope: true,
          bodyStructure: true,
          source: true,
          headers: ['references', 'Subject', 'x-none'],
          bodyParts: [
            '1.1',
            '2',
            '2.mime',
            '3.header',
            '3.text',
            '3.1',
            '9',
            { key: '1.2', start: 3, maxLength: 6 },
          ],
        });
        assert.ok(message);
        assert.equal(message.size, bytes.length);
        assert.deepEqual(message.source, bytes);
        assert.ok(
          message.internalDate instanceof Date && Date.now() - message.internalDate.getTime() < 60_000,
        );
        assert.equal(
          message.headers?.toString(),
          'Subject: Offer\r\nReferences: <ask-0@sandbox.example>\r\n\t<ask-1@sandbox.example>\r\n\r\n',
        );
        assert.deepEqual(message.envelope?.from, [{ name: 'Jörg', address: 'joerg@customer.example' }]);
        assert.deepEqual(message.envelope?.replyTo, message.envelope?.from);
        assert.deepEqual(message.envelope?.to, [
          { name: 'Ada, Sales', address: 'ada@sandbox.example' },
          { name: '', address: 'ben@sandbox.example' },
        ]);
        assert.equal(message.envelope?.messageId, '<offer-1@customer.example>');
        assert.equal(message.envelope?.inReplyTo, '<ask-1@sandbox.example>');
        const shape = (message.bodyStructure?.childNodes ?? []).map((node) => [
          node.part,
          node.type,
          node.childNodes?.map((child) => [child.part, child.type, child.encoding, child.lineCount]) ??
            node.size,
        ]);
        assert.deepEqual(shape, [
          [
            '1',
            'multipart/alternative',
            [
              ['1.1', 'text/plain', '7bit', 1],
              ['1.2', 'text/html', 'quoted-printable', 0],
            ],
          ],
          ['2', 'application/pdf', 12],
          ['3', 'message/rfc822', [['3', 'text/plain', '7bit', 0]]],
        ]);
        const pdf = message.bodyStructure?.childNodes?.[1];
        assert.equal(pdf?.disposition, 'attachment');
        assert.deepEqual(pdf?.dispositionParameters, { filename: 'offer.pdf' });
        const part = (key: string) => message.bodyParts?.get(key)?.toString();
        assert.equal(part('1.1'), 'Grüße\r\nzwei');
        assert.equal(part('1.2'), 'Gr=C3=');
        assert.equal(part('2'), 'JVBERi0xLjcK');
        assert.match(part('2.mime') ?? '', /^Content-Type: application\/pdf; name="offer\.pdf"\r\n/);
        assert.equal(part('3.header'), 'From: eva@customer.example\r\nSubject: inside\r\n\r\n');
        assert.equal(part('3.text'), 'inner text');
        assert.equal(part('3.1'), 'inner text');
        assert.ok(!message.bodyParts?.get('9'));
        assert.deepEqual(message.flags, new Set());
      });
      assert.deepEqual((await messagesIn(sandbox, ada, 'INBOX'))[0]?.flags, []);
    });
  });

  test('S14 IDLE wakes at once for a new message, and again for the next', async () => {
    await withAda(async ({ sandbox, login }) => {
      await withImap(sandbox, login, async (client) => {
        await client.mailboxOpen('INBOX', { readOnly: true });
        for (const count of [1, 2]) {
          const idle = client.idle();
          const [[event]] = await Promise.all([
            once(client, 'exists', { signal: AbortSignal.timeout(5000) }),
            deliver(sandbox, simple(`m${count}`)),
          ]);
          assert.deepEqual(event, { path: 'INBOX', count, prevCount: count - 1 });
          const message = await client.fetchOne('*', { envelope: true });
          assert.equal(message && message.envelope?.subject, `m${count}`);
          await idle;
        }
      });
    });
  });

  test('U2 U3 another session learns of flags and expunges while it idles', async () => {
    await withAda(async ({ sandbox, login }) => {
      await deliver(sandbox, simple('a'));
      await deliver(sandbox, simple('b'));
      await withImap(sandbox, login, async (watcher) => {
        await watcher.mailboxOpen('INBOX', { readOnly: true });
        await withImap(sandbox, login, async (actor) => {
          await actor.mailboxOpen('INBOX');
          const idle = watcher.idle();
          const signal = AbortSignal.timeout(5000);
          const [[flags]] = await Promise.all([
            once(watcher, 'flags', { signal }),
            actor.messageFlagsAdd('2', ['\\Seen'], { uid: true }),
          ]);
          assert.equal((flags as { uid: number }).uid, 2);
          assert.deepEqual((flags as { flags: Set<string> }).flags, new Set(['\\Seen']));
          const [[gone]] = await Promise.all([
            once(watcher, 'expunge', { signal }),
            actor.messageDelete('1', { uid: true }),
          ]);
          assert.equal((gone as { seq: number }).seq, 1);
          assert.deepEqual(await uids(watcher, { all: true }), [2]);
          await idle;
        });
      });
    });
  });

  test('CONDSTORE: CHANGEDSINCE gives what changed, UNCHANGEDSINCE keeps what changed in between', async () => {
    await withAda(async ({ sandbox, login }) => {
      for (const id of ['a', 'b', 'c']) await deliver(sandbox, simple(id));
      await withImap(sandbox, login, async (client) => {
        const folder = await client.mailboxOpen('INBOX');
        const before = folder.highestModseq ?? 0n;
        await client.messageFlagsAdd('2', ['\\Flagged'], { uid: true });
        const changed = await client.fetchAll('1:*', { flags: true }, { uid: true, changedSince: before });
        assert.deepEqual(
          changed.map(({ uid }) => uid),
          [2],
        );
        assert.ok((changed[0]?.modseq ?? 0n) > before);
        await client.messageFlagsAdd('1:3', ['\\Seen'], { uid: true, unchangedSince: before });
        assert.deepEqual(await uids(client, { seen: true }), [1, 3]);
        assert.deepEqual(await uids(client, { modseq: before + 1n }), [1, 2, 3]);
        const status = await client.status('INBOX', { messages: true, unseen: true, highestModseq: true });
        assert.equal(status && status.unseen, 1);
        assert.ok(status && (status.highestModseq ?? 0n) > before);
      });
    });
  });

  test('searches by flag, UID, header, address, subject, date and their combinations', async () => {
    await withAda(async ({ sandbox, login }) => {
      await deliver(sandbox, nested);
      await deliver(sandbox, simple('second'));
      await withImap(sandbox, login, async (client) => {
        await client.append('INBOX', simple('old'), ['\\Seen'], new Date('2026-02-01T12:00:00Z'));
        await client.mailboxOpen('INBOX', { readOnly: true });
        const found = async (query: Parameters<ImapFlow['search']>[0]) => (await uids(client, query)).join();
        assert.equal(await found({ all: true }), '1,2,3');
        assert.equal(await found({ uid: '2:*' }), '2,3');
        assert.equal(await found({ uid: '77:*' }), '3');
        assert.equal(await found({ seq: '1,3' }), '1,3');
        assert.equal(await found({ seen: false }), '1,2');
        assert.equal(await found({ header: { 'Message-ID': '<second@customer.example>' } }), '2');
        assert.equal(await found({ header: { 'Message-ID': '<none@customer.example>' } }), '');
        assert.equal(await found({ from: 'Jörg' }), '1');
        assert.equal(await found({ since: new Date('2026-02-02') }), '1,2');
        assert.equal(await found({ before: new Date('2026-02-01') }), '');
        assert.equal(await found({ before: new Date('2026-02-02') }), '3');
        assert.equal(await found({ on: new Date('2026-02-01') }), '3');
        assert.equal(await found({ or: [{ subject: 'second' }, { seen: true }] }), '2,3');
        assert.equal(await found({ not: { to: 'ben@' } }), '2,3');
      });
    });
  });

  test('U1 APPEND gives the UID, also into the selected folder, and refuses an unknown one', async () => {
    await withAda(async ({ sandbox, login }) => {
      await withImap(sandbox, login, async (client) => {
        const folder = await client.mailboxOpen('Sent');
        const text = simple('own', 'Schöne Grüße');
        const result = await client.append('Sent', text, ['\\Seen']);
        assert.ok(result);
        assert.equal(result.uid, 1);
        assert.equal(result.uidValidity, folder.uidValidity);
        assert.equal(result.seq, 1);
        const message = await client.fetchOne('1', { source: true, flags: true });
        assert.ok(message);
        assert.equal(message.source?.toString(), text);
        assert.deepEqual(message.flags, new Set(['\\Seen']));
        await assert.rejects(client.append('Nowhere', text), { serverResponseCode: 'TRYCREATE' });
        await assert.rejects(client.mailboxOpen('Nowhere'), { responseStatus: 'NO' });
      });
    });
  });

  test('U3 MOVE and COPY pair old UIDs with new ones', async () => {
    await withAda(async ({ sandbox, login }) => {
      for (const id of ['a', 'b', 'c']) await deliver(sandbox, simple(id));
      await withImap(sandbox, login, async (client) => {
        await client.mailboxOpen('INBOX');
        const copied = await client.messageCopy('2:3', 'Archive', { uid: true });
        assert.ok(copied);
        assert.deepEqual(
          [...(copied.uidMap ?? [])],
          [
            [2, 1],
            [3, 2],
          ],
        );
        const moved = await client.messageMove('1,3', 'Trash', { uid: true });
        assert.ok(moved);
        assert.deepEqual(
          [...(moved.uidMap ?? [])],
          [
            [1, 1],
            [3, 2],
          ],
        );
        assert.deepEqual(await uids(client, { all: true }), [2]);
        assert.equal(client.mailbox && client.mailbox.exists, 1);
      });
      const trash = await messagesIn(sandbox, ada, 'Trash');
      assert.deepEqual(
        trash.map(({ subject }) => subject),
        ['a', 'c'],
      );
    });
  });

  test('a large message comes whole, and a folder opened read-only changes nothing', async () => {
    await withAda(async ({ sandbox, login }) => {
      const text = simple('large', 'x'.repeat(70).concat('\r\n').repeat(40_000));
      await deliver(sandbox, text);
      await withImap(sandbox, login, async (client) => {
        await client.mailboxOpen('INBOX', { readOnly: true });
        const message = await client.fetchOne('1', { source: true });
        assert.equal(message && message.source?.toString(), text);
        assert.equal(await client.messageFlagsAdd('1', ['\\Seen']), false);
        await client.mailboxClose();
        assert.equal(client.mailbox, false);
      });
    });
  });
});

describe('the sandbox against a client of bytes', () => {
  test('waits for a literal without LITERAL+, marks read for BODY[], and closes on what is not IMAP', async () => {
    await withAda(async ({ sandbox, login }) => {
      await deliver(sandbox, simple('m'));
      const socket = connectTcp(sandbox.imap);
      let received = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => (received += chunk));
      const until = async (pattern: RegExp) => {
        while (!pattern.test(received)) await once(socket, 'data', { signal: AbortSignal.timeout(5000) });
      };
      const bearer = `user=${login.user}\u0001auth=Bearer ${login.accessToken}\u0001\u0001`;
      await until(/^\* OK \[CAPABILITY IMAP4rev1 /);
      socket.write('a SELECT INBOX\r\n');
      await until(/^a BAD log in first/m);
      socket.write('a1 AUTHENTICATE XOAUTH2\r\n');
      await until(/^\+ \r$/m);
      socket.write(`${Buffer.from(bearer).toString('base64')}\r\n`);
      await until(/^a1 OK /m);
      socket.write('a2 SELECT {5}\r\n');
      await until(/^\+ go on/m);
      socket.write('INBOX (CONDSTORE)\r\n');
      await until(/^a2 OK \[READ-WRITE\]/m);
      socket.write('a3 FETCH 1 BODY[TEXT]<0.3>\r\n');
      await until(
        /^\* 1 FETCH \(BODY\[TEXT\]<0> \{3\}\r\nHel\)\r\n\* 1 FETCH \(UID 1 FLAGS \(\\Seen\).*\r\na3 OK/m,
      );
      socket.write('a4 FETCH 1 BOGUS\r\na5 FROB\r\na6 UID FETCH 1 (FLAGS\r\n');
      await until(/^a4 BAD .*\r\na5 BAD FROB is not known here\r\n\* BAD unbalanced brackets\r\n\* BYE /m);
      if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(5000) });
    });
  });
});
