import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { htmlCharsMax } from '../../src/message/html.ts';
import { type ParsedMessage, parseMessage, stopParsing } from '../../src/message/parse.ts';
import { multipart, rawMessage } from '../fixtures/message/raw.ts';
import { holding } from '../fixtures/message/timing.ts';
import { typescript } from '../support/start-command.ts';

const row =
  '<tr><td style="padding:10px;font-family:Arial;color:#333333" align="left"><a href="https://x.example/?a=1&amp;b">Product</a> text<br>more</td></tr>';
const file = Buffer.alloc(20 * 1024 * 1024, 'twoway');

const hostile: [name: string, raw: Buffer, check: (message: ParsedMessage) => void][] = [
  [
    '10 MB of HTML',
    rawMessage('Content-Type: text/html', '', '<table>', row.repeat(10_000_000 / row.length), '</table>'),
    (message) => {
      assert.equal(message.partial, 'html_truncated');
      assert.ok(
        (message.html?.length ?? 0) > htmlCharsMax * 0.9 && (message.html?.length ?? 0) <= htmlCharsMax,
      );
      assert.match(message.text, /^Product text\nmore\n/);
    },
  ],
  [
    '10 MB of text',
    rawMessage('', 'A line of text\r\n'.repeat(650_000)),
    (message) => {
      assert.equal(message.partial, 'text_truncated');
      assert.equal(message.text.length, 5_000_000);
      assert.notEqual(message.replyText, '');
    },
  ],
  [
    'a million open elements',
    rawMessage('Content-Type: text/html', '', '<b>'.repeat(1_000_000), 'text'),
    (message) =>
      assert.deepEqual([message.html, message.text, message.partial], ['<pre>text</pre>', 'text', null]),
  ],
  [
    '20,000 parts',
    multipart(
      'mixed',
      ['', 'first'],
      ...Array.from({ length: 20_000 }, () => ['Content-Type: image/png', '', 'x']),
    ),
    (message) =>
      assert.deepEqual(
        [message.text, message.partial, message.header.subject],
        ['first', 'mime_too_many_parts', 'Hi'],
      ),
  ],
  [
    '6,000 parts in 64 KiB',
    rawMessage(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'first',
      '--b\r\n\r\n'.repeat(6000),
    ),
    (message) => assert.deepEqual([message.partial, message.text.trim()], ['mime_too_many_parts', 'first']),
  ],
  [
    '2,000 levels',
    rawMessage(
      ...Array.from(
        { length: 2000 },
        (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}`,
      ),
      '',
      'deep',
    ),
    (message) => assert.equal(message.partial, 'mime_too_many_parts'),
  ],
  [
    '3 MB of header',
    rawMessage(...Array.from({ length: 3000 }, () => `X-A: ${'a'.repeat(990)}`), '', 'Hello'),
    (message) =>
      assert.deepEqual(
        [message.text, message.partial, message.header.from.length],
        ['Hello', 'mime_header_too_large', 1],
      ),
  ],
  [
    '50,000 recipients',
    rawMessage(`Cc: ${'a@x.example,\r\n '.repeat(50_000)}b@x.example`, '', 'Hello'),
    (message) => assert.deepEqual([message.text.trim(), message.header.cc.length], ['Hello', 1000]),
  ],
  [
    'a megabyte of NUL',
    rawMessage('', '\0'.repeat(1_000_000), 'x'),
    (message) => assert.equal(message.text.trim(), 'x'),
  ],
  [
    'a file of 20 MB',
    multipart(
      'mixed',
      ['', 'Hello'],
      [
        'Content-Type: application/pdf',
        'Content-Transfer-Encoding: base64',
        '',
        file.toString('base64').replace(/.{76}/g, '$&\r\n'),
      ],
    ),
    (message) => {
      const [attachment] = message.attachments;
      assert.ok(Buffer.isBuffer(attachment?.content) && attachment.content.equals(file));
      assert.equal(attachment.sha256, createHash('sha256').update(file).digest('hex'));
    },
  ],
];

describe('parsing', () => {
  after(stopParsing);

  test('gives header and body of a small message', async () => {
    const message = await parseMessage(rawMessage('Message-ID: <1@x.example>', '', 'Hello', '', '> quoted'));
    assert.equal(message.header.messageId, '1@x.example');
    assert.deepEqual(
      [message.text, message.replyText, message.partial],
      ['Hello\n\n> quoted', 'Hello', null],
    );
  });

  for (const [name, raw, check] of hostile) {
    test(`${name}: nothing lost, and the event loop is never held for 200 ms`, async () => {
      const before = createHash('sha256').update(raw).digest('hex');
      const { result: message, worstHoldMs } = await holding(() => parseMessage(raw));
      check(message);
      assert.ok(worstHoldMs < 200, `the event loop was held for ${Math.round(worstHoldMs)} ms`);
      assert.equal(createHash('sha256').update(raw).digest('hex'), before, 'the raw message was changed');
    });
  }

  test('many large messages at once are all parsed, each as itself', async () => {
    const count = 12;
    const messages = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        parseMessage(
          multipart(
            'mixed',
            ['', `Text ${index}`],
            ['Content-Type: image/png', '', 'small'],
            ['Content-Type: image/gif', '', String(index).repeat(80_000)],
          ),
        ),
      ),
    );
    for (const [index, message] of messages.entries()) {
      assert.equal(message.text.trim(), `Text ${index}`);
      assert.deepEqual(
        message.attachments.map((each) => each.content.toString().slice(0, 5)),
        ['small', String(index).repeat(5).slice(0, 5)],
      );
    }
  });

  test('T3: a parse that takes too long is ended, and holds up no other', async () => {
    const raw = rawMessage('Content-Type: text/html', '', row.repeat(2000));
    const [late, whole] = await Promise.all([parseMessage(raw, 1), parseMessage(raw)]);
    assert.deepEqual([late.partial, late.html, late.header.subject], ['parse_timeout', null, 'Hi']);
    assert.match(late.text, /^Product text/);
    assert.equal(whole.partial, null);
    assert.equal((await parseMessage(raw)).partial, null);
  });

  test('idle workers do not keep a process alive, and are found from any folder', async () => {
    const script = `
      import { parseMessage } from ${JSON.stringify(import.meta.resolve('../../src/message/parse.ts'))};
      const message = await parseMessage(Buffer.from('Subject: Hi\\n\\n' + 'text '.repeat(20_000)));
      console.log(message.header.subject, message.text.length, message.partial);
    `;
    const args = [...typescript, '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: tmpdir(), timeout: 30_000 });
    assert.equal(stdout.trim(), 'Hi 100000 null');
  });

  test('after a stop what waits is answered, and the next message is parsed again', async () => {
    const raw = rawMessage('Content-Type: text/html', '', row.repeat(5000), 'end');
    const started = Array.from({ length: 4 }, () => parseMessage(raw));
    await stopParsing();
    for (const message of await Promise.all(started)) {
      assert.equal(message.partial, 'parse_stopped');
      assert.match(message.text, /^Product text/);
      assert.equal(message.header.subject, 'Hi');
    }
    assert.equal((await parseMessage(raw)).partial, null);
  });
});
