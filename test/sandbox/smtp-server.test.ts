import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simpleParser } from 'mailparser';
import type { Clock } from '../../src/lib/clock.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { connect, messagesIn, transport, withImap, withSandbox } from './support.ts';

const ada = 'ada@sandbox.example';

type Things = {
  sandbox: Sandbox;
  accessToken: string;
  /** Sends as Ada and gives the answer's text. */
  send: (
    to: string,
    more?: { messageId?: string; inReplyTo?: string; references?: string },
  ) => Promise<string>;
};

async function withAda(work: (things: Things) => Promise<void>, clock?: Clock): Promise<void> {
  await withSandbox(async (sandbox) => {
    const { accessToken } = await connect(sandbox, ada);
    await work({
      sandbox,
      accessToken,
      send: async (to, more = {}) => {
        const mail = {
          from: `Ada Long <${ada}>`,
          to,
          subject: 'Offer',
          text: 'Dear customer,\n\nhere it is.\n',
        };
        const sent = await transport(sandbox, { user: ada, accessToken }).sendMail({
          messageId: '<m-1@gateway.test>',
          ...mail,
          ...more,
        });
        return sent.response;
      },
    });
  }, clock && { clock });
}

async function sentIds(sandbox: Sandbox): Promise<string[]> {
  return (await messagesIn(sandbox, ada, 'Sent')).map((message) => message.message_id);
}

/** The only message of Ada's inbox, in full. */
async function onlyInInbox({ sandbox, accessToken }: Things) {
  const [message, ...others] = await messagesIn(sandbox, ada, 'INBOX');
  assert.ok(message, 'the inbox is empty');
  assert.deepEqual(others, []);
  let source: Buffer = Buffer.alloc(0);
  await withImap(sandbox, { user: ada, accessToken }, async (client) => {
    await client.mailboxOpen('INBOX', { readOnly: true });
    const fetched = await client.fetchOne('1', { source: true });
    if (fetched && fetched.source) source = fetched.source;
  });
  return { message, parsed: await simpleParser(source), source: source.toString() };
}

describe('submission to the sandbox', () => {
  test('U1 the copy is in Sent once, read, as it was sent; a person of the sandbox gets it', async () => {
    await withAda(async ({ sandbox, send }) => {
      assert.match(await send('Ben <BEN+offers@sandbox.example>, ben@sandbox.example'), /^250 2\.0\.0 OK/);
      const [copy, ...others] = await messagesIn(sandbox, ada, 'Sent');
      assert.deepEqual(others, []);
      assert.deepEqual([copy?.message_id, copy?.unread], ['<m-1@gateway.test>', false]);
      const received = await messagesIn(sandbox, 'ben@sandbox.example', 'INBOX');
      assert.deepEqual(
        received.map(({ message_id, unread, text }) => [message_id, unread, text]),
        [['<m-1@gateway.test>', true, 'Dear customer,\r\n\r\nhere it is.\r\n']],
      );
    });
  });

  test('a wrong token and a missing login are refused', async () => {
    await withAda(async ({ sandbox, accessToken }) => {
      const bad = transport(sandbox, { user: ada, accessToken: `${accessToken}x` });
      await assert.rejects(bad.sendMail({ from: ada, to: ada, text: 'x' }), {
        code: 'EAUTH',
        responseCode: 535,
      });
      const other = transport(sandbox, { user: 'ben@sandbox.example', accessToken });
      await assert.rejects(other.sendMail({ from: ada, to: ada, text: 'x' }), { code: 'EAUTH' });
    });
  });

  test('anybody else swallows the mail in silence', async () => {
    await withAda(async ({ sandbox, send }) => {
      await send('whoever@customer.example, replies@elsewhere.example, replies@notsandbox.example');
      assert.deepEqual(await messagesIn(sandbox, ada, 'INBOX'), []);
      assert.equal((await sentIds(sandbox)).length, 1);
    });
  });
});

describe('customers of the sandbox', () => {
  test('replies@ answers in the thread, quoting, with a signature', async () => {
    await withAda(async (things) => {
      await things.send('Replies+a1@eu.sandbox.example', { references: '<m-0@gateway.test>' });
      const { parsed } = await onlyInInbox(things);
      assert.equal(parsed.subject, 'Re: Offer');
      assert.equal(parsed.from?.text, '"Rita Replies" <Replies+a1@eu.sandbox.example>');
      assert.equal(parsed.inReplyTo, '<m-1@gateway.test>');
      assert.deepEqual(parsed.references, ['<m-0@gateway.test>', '<m-1@gateway.test>']);
      assert.match(parsed.text ?? '', /^Thank you[^]*\n-- \nRita Replies\n/);
      assert.match(
        parsed.text ?? '',
        /\nOn .*, Ada Long <ada@sandbox.example> wrote:\n> Dear customer,\n> \n> here it is\.\n$/,
      );
      assert.equal(parsed.headers.get('auto-submitted'), undefined);
    });
  });

  test('S11 auto-replies@ says that it is automatic', async () => {
    await withAda(async (things) => {
      await things.send('auto-replies@sandbox.example');
      const { parsed } = await onlyInInbox(things);
      assert.equal(parsed.headers.get('auto-submitted'), 'auto-replied');
      assert.equal(parsed.subject, 'Automatic reply: Offer');
      assert.equal(parsed.inReplyTo, '<m-1@gateway.test>');
    });
  });

  test('D6 bounces@ sends a delivery report that cites the message', async () => {
    await withAda(async (things) => {
      await things.send('bounces@sandbox.example');
      const { parsed, source } = await onlyInInbox(things);
      assert.equal(parsed.from?.value[0]?.address, 'mailer-daemon@sandbox.example');
      assert.match(source, /^Content-Type: multipart\/report; report-type=delivery-status;\r\n boundary=/m);
      assert.match(source, /^Content-Type: message\/delivery-status\r\n\r\nReporting-MTA: /m);
      assert.match(
        source,
        /^Final-Recipient: rfc822; bounces@sandbox\.example\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/m,
      );
      assert.match(
        source,
        /^Content-Type: text\/rfc822-headers\r\n\r\n(?:.+\r\n)*Message-ID: <m-1@gateway\.test>/m,
      );
      assert.equal((await sentIds(things.sandbox)).length, 1);
    });
  });

  test('D5 refuses@ is refused at RCPT; the others of the same message get it', async () => {
    await withAda(async ({ sandbox, send }) => {
      await assert.rejects(send('refuses@sandbox.example'), {
        code: 'EENVELOPE',
        responseCode: 550,
        response: '550 5.1.1 there is no such address',
      });
      assert.deepEqual(await sentIds(sandbox), []);
      await send('refuses@sandbox.example, ben@sandbox.example');
      assert.equal((await messagesIn(sandbox, 'ben@sandbox.example', 'INBOX')).length, 1);
    });
  });

  test('D5 tempfails@ takes each message at the third try', async () => {
    await withAda(async ({ sandbox, send }) => {
      for (const messageId of ['<t-1@gateway.test>', '<t-2@gateway.test>']) {
        for (const attempt of [1, 2]) {
          const refused = { responseCode: 451, response: '451 4.3.0 not now, try again' };
          await assert.rejects(send('tempfails@sandbox.example', { messageId }), refused, `try ${attempt}`);
        }
        await send('tempfails@sandbox.example', { messageId });
      }
      assert.deepEqual(await sentIds(sandbox), ['<t-1@gateway.test>', '<t-2@gateway.test>']);
    });
  });

  test('D5 drops-after-data@ gives no answer, but the message is sent', async () => {
    await withAda(async ({ sandbox, send }) => {
      await assert.rejects(send('drops-after-data@sandbox.example, ben@sandbox.example'), {
        code: 'ECONNECTION',
      });
      assert.deepEqual(await sentIds(sandbox), ['<m-1@gateway.test>']);
      assert.equal((await messagesIn(sandbox, 'ben@sandbox.example', 'INBOX')).length, 1);
    });
  });

  test('D5 loses-after-data@ gives no answer and loses the message; the next try is taken', async () => {
    await withAda(async ({ sandbox, send }) => {
      await assert.rejects(send('loses-after-data@sandbox.example, ben@sandbox.example'), {
        code: 'ECONNECTION',
      });
      assert.deepEqual(await sentIds(sandbox), []);
      assert.deepEqual(await messagesIn(sandbox, 'ben@sandbox.example', 'INBOX'), []);
      await send('loses-after-data@sandbox.example');
      assert.deepEqual(await sentIds(sandbox), ['<m-1@gateway.test>']);
    });
  });

  test('S12 rewrites-message-id@ names the new id in its answer, in Sent and in what is delivered', async () => {
    await withAda(async (things) => {
      const response = await things.send('rewrites-message-id@sandbox.example, replies@sandbox.example');
      const newId = /^250 2\.0\.0 OK (<.+@sandbox\.example>) \[Hostname=sandbox\]$/.exec(response)?.[1] ?? '';
      assert.deepEqual(await sentIds(things.sandbox), [newId]);
      assert.equal((await onlyInInbox(things)).parsed.inReplyTo, newId);
      await withImap(things.sandbox, { user: ada, accessToken: things.accessToken }, async (client) => {
        await client.mailboxOpen('Sent');
        const copy = await client.fetchOne('1', { headers: ['x-microsoft-original-message-id'] });
        assert.equal(
          copy && copy.headers?.toString(),
          'X-Microsoft-Original-Message-ID: <m-1@gateway.test>\r\n\r\n',
        );
      });
    });
  });

  test('U1 no-sent-copy@ leaves Sent empty', async () => {
    await withAda(async ({ sandbox, send }) => {
      await send('no-sent-copy@sandbox.example');
      assert.deepEqual(await sentIds(sandbox), []);
    });
  });

  test('S12 sent-copy-first@ has the copy in Sent before the answer', async () => {
    const pauses: (() => void)[] = [];
    const paused = Promise.withResolvers<void>();
    const clock: Clock = {
      now: () => Date.now(),
      monotonic: () => performance.now(),
      sleep: () => {
        paused.resolve();
        return new Promise((resolve) => pauses.push(resolve));
      },
    };
    await withAda(async ({ sandbox, send }) => {
      let answered = false;
      const sending = send('sent-copy-first@sandbox.example').then(() => (answered = true));
      await paused.promise;
      assert.deepEqual(await sentIds(sandbox), ['<m-1@gateway.test>']);
      assert.equal(answered, false);
      pauses.forEach((end) => end());
      await sending;
    }, clock);
  });

  test('an answer waits for its pause, and stopping ends the pause without one', async () => {
    let waits = 0;
    const clock: Clock = {
      now: () => Date.now(),
      monotonic: () => performance.now(),
      sleep: (_ms, signal) => {
        waits += 1;
        return new Promise((resolve) => signal?.addEventListener('abort', () => resolve()));
      },
    };
    await withAda(async ({ sandbox, send }) => {
      await send('replies@sandbox.example');
      assert.equal(waits, 1);
      assert.deepEqual(await messagesIn(sandbox, ada, 'INBOX'), []);
    }, clock);
  });
});
