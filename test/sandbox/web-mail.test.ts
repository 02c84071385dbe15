import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { messagesIn, withSandbox } from './support.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

const ada = 'ada@sandbox.example';
const ben = 'ben@sandbox.example';

async function postForm({ http }: Sandbox, path: string, fields: Record<string, string>): Promise<Response> {
  return fetch(http.url + path, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' });
}

async function postJson({ http }: Sandbox, path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(http.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(response.status, 201);
  return (await response.json()) as Record<string, unknown>;
}

async function page({ http }: Sandbox, path: string): Promise<string> {
  const response = await fetch(http.url + path);
  const html = await response.text();
  assert.equal(response.status, 200, html);
  assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  return html;
}

describe('the web mail of the sandbox', () => {
  test('a customer writes, the person reads and answers by hand, the customer goes on: one thread', async () => {
    await withSandbox(async (sandbox) => {
      const written = await postForm(sandbox, '/mail/deliver', {
        mailbox: ada,
        from: 'Eva Long <eva@customer.example>',
        subject: 'Question <1>',
        text: 'How much?',
      });
      assert.equal(written.status, 303);
      assert.match(
        await page(sandbox, `/mail?as=${ada}`),
        /<strong>Question &lt;1&gt;<\/strong>[^]*from Eva Long/,
      );
      assert.match(await page(sandbox, `/mail/message?as=${ada}&folder=INBOX&uid=1`), /<pre>How much\?/);
      const [question] = await messagesIn(sandbox, ada, 'INBOX');
      assert.deepEqual(question?.flags, ['\\Seen']);
      const form = await page(sandbox, `/mail/new?as=${ada}&answers=INBOX/1&by=person`);
      assert.match(form, /name="to" value="Eva Long &lt;eva@customer\.example&gt;"/);
      assert.match(form, /value="Re: Question &lt;1&gt;"/);
      assert.match(form, /\n&gt; How much\?/);
      await postForm(sandbox, '/mail/send', {
        mailbox: ada,
        to: 'Eva Long <eva@customer.example>, ben@sandbox.example',
        answers: 'INBOX/1',
        subject: 'Re: Question <1>',
        text: 'Ten.',
      });
      const [answer, ...others] = await messagesIn(sandbox, ada, 'Sent');
      assert.deepEqual(others, []);
      assert.equal(answer?.in_reply_to, question?.message_id);
      assert.equal((await messagesIn(sandbox, ben, 'INBOX'))[0]?.message_id, answer?.message_id);
      const more = await page(sandbox, `/mail/new?as=${ada}&answers=Sent/1&by=customer`);
      assert.match(more, /name="from" value="Eva Long &lt;eva@customer\.example&gt;"/);
      const thanks = { mailbox: ada, from: 'eva@customer.example', text: 'Thanks', answers: 'Sent/1' };
      await postJson(sandbox, '/mail/deliver', thanks);
      const last = (await messagesIn(sandbox, ada, 'INBOX'))[1];
      assert.equal(last?.references, `${question?.message_id} ${answer?.message_id}`);
    });
  });

  test('by hand, customers act too: an answer, and a report for who refuses', async () => {
    await withSandbox(async (sandbox) => {
      const to = 'replies@sandbox.example, refuses@sandbox.example';
      const sent = await postJson(sandbox, '/mail/send', { mailbox: ada, to, subject: 'Hello', text: 'x' });
      const answers = await messagesIn(sandbox, ada, 'INBOX');
      assert.deepEqual(answers.map(({ subject }) => subject).sort(), [
        'Delivery Status Notification (Failure)',
        'Re: Hello',
      ]);
      assert.ok(answers.every(({ in_reply_to }) => in_reply_to === sent['message_id']));
    });
  });

  test('a script chooses every header, delivers raw bytes, and into any folder', async () => {
    await withSandbox(async (sandbox) => {
      const own = { message_id: '<1@x.example>', in_reply_to: '<0@x.example>', references: '<0@x.example>' };
      const mail = {
        mailbox: ada,
        from: 'eva@customer.example',
        to: 'ada+x@sandbox.example',
        cc: ben,
        subject: 'S',
      };
      const made = await postJson(sandbox, '/mail/deliver', { ...mail, ...own, text: 'T', html: '<p>T</p>' });
      assert.deepEqual([made['folder'], made['uid'], made['message_id']], ['INBOX', 1, '<1@x.example>']);
      const [message] = await messagesIn(sandbox, ada, 'INBOX');
      assert.deepEqual(
        [message?.to, message?.text, message?.references, message?.unread],
        ['ada+x@sandbox.example', 'T', '<0@x.example>', true],
      );
      const raw = Buffer.from('Subject: \xff\r\n\r\n\xfe', 'latin1');
      const url = `${sandbox.http.url}/mail/deliver?mailbox=${ada}&folder=Spam`;
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'message/rfc822' },
        body: raw,
      });
      assert.equal(response.status, 201);
      assert.equal((await messagesIn(sandbox, ada, 'Spam')).length, 1);
    });
  });

  test('content of mail is text, never markup', async () => {
    await withSandbox(async (sandbox) => {
      const evil = '<script>alert(1)</script>';
      const mail = { mailbox: ada, from: `"${evil}" <eva@customer.example>`, subject: evil, text: evil };
      await postJson(sandbox, '/mail/deliver', mail);
      for (const path of [
        `/mail?as=${ada}`,
        `/mail/message?as=${ada}&uid=1`,
        `/mail/new?as=${ada}&answers=INBOX/1&by=person`,
        `/mail/new?as=${ada}&answers=INBOX/1&by=customer`,
      ]) {
        assert.doesNotMatch(await page(sandbox, path), /<script/);
      }
    });
  });

  test('the first page names the people and what each customer does', async () => {
    await withSandbox(async (sandbox) => {
      const html = await page(sandbox, '/');
      assert.match(html, /href="\/mail\?as=ada%40sandbox\.example"/);
      assert.match(html, /loses-after-data@sandbox\.example/);
      assert.match(html, /lang="en"/);
      const style = await fetch(`${sandbox.http.url}/style.css`);
      assert.match(await style.text(), /color-scheme: light dark/);
    });
  });

  const refused: [name: string, path: string, body: object | undefined, status: number][] = [
    ['an unknown person', '/mail/messages?mailbox=nobody@x.example', undefined, 400],
    ['an unknown folder', `/mail/messages?mailbox=${ada}&folder=constructor`, undefined, 400],
    ['an unknown message', `/mail/message?as=${ada}&uid=9`, undefined, 400],
    ['an unknown page', '/nothing', undefined, 404],
    ['no sender', '/mail/deliver', { mailbox: ada, from: 'Eva' }, 400],
    ['no recipient', '/mail/send', { mailbox: ada, to: '' }, 400],
  ];
  for (const [name, path, body, status] of refused) {
    test(`${name}: ${status}`, async () => {
      await withSandbox(async ({ http }) => {
        const post = {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        };
        const response = await fetch(http.url + path, body ? post : {});
        assert.equal(response.status, status);
      });
    });
  }

  test('a body that is no JSON is refused', async () => {
    await withSandbox(async ({ http }) => {
      const headers = { 'content-type': 'application/json' };
      for (const body of ['{', '7', 'null']) {
        assert.equal((await fetch(`${http.url}/mail/send`, { method: 'POST', headers, body })).status, 400);
      }
    });
  });
});
