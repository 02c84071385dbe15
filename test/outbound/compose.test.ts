import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { after, describe, test } from 'node:test';
import { parseMessage, stopParsing } from '../../src/message/parse.ts';
import { allowedHeaders, compose } from '../../src/outbound/compose.ts';
import type { Draft } from '../../src/outbound/compose.ts';
import { holding } from '../fixtures/message/timing.ts';

const draft: Draft = {
  from: { name: 'Anna Ünal, "Sales"', address: 'anna@mail.example' },
  to: [{ name: 'Carla', address: 'carla@customer.example' }],
  cc: [],
  subject: 'Ein Angebot für Sie',
  text: 'Guten Tag\n\n.\nFrom here on: Grüße',
  html: null,
  files: [],
  thread: { inReplyTo: null, references: [] },
  headers: {},
  date: Date.UTC(2026, 10, 23, 17, 0, 0),
};

async function written(more: Partial<Draft> = {}) {
  const { raw, messageId } = await compose({ ...draft, ...more });
  const text = raw.toString('latin1');
  const [head = ''] = text.split('\r\n\r\n');
  return {
    raw,
    messageId,
    text,
    head,
    unfolded: head.replaceAll(/\r\n[ \t]+/g, ' '),
    read: await parseMessage(raw),
  };
}

describe('D4: a message as it is written down', () => {
  after(() => stopParsing());

  test('is plain ASCII in lines of CRLF that every server takes', async () => {
    const { raw, text } = await written({
      html: `<p>${'ü'.repeat(5000)}</p>\n<b>x</b>`,
      text: 'x'.repeat(5000),
    });
    assert.doesNotMatch(text, /[^\r]\n|\r[^\n]/);
    assert(isAscii(raw));
    assert(Math.max(...text.split('\r\n').map((line) => line.length)) <= 998);
    assert.equal(raw.at(-1), 0x0a);
  });

  test('has a short Message-ID on the domain of the sender, and a date with a numeric zone', async () => {
    const { head, messageId, read } = await written();
    assert.match(messageId, /^[a-z0-9]{20,}@mail\.example$/);
    assert.match(head, new RegExp(`^Message-ID: <${messageId}>\r$`, 'm'));
    assert.match(head, /^Date: Mon, 23 Nov 2026 17:00:00 \+0000\r$/m);
    assert.equal(read.header.messageId, messageId);
    assert.equal(read.header.date, draft.date);
    assert.notEqual((await written()).messageId, messageId);
  });

  test('names, subject and text come out as they went in', async () => {
    const { read } = await written();
    assert.deepEqual(read.header.from, [draft.from]);
    assert.deepEqual(read.header.to, draft.to);
    assert.equal(read.header.subject, draft.subject);
    assert.equal(read.text.trim(), draft.text);
    assert.equal(read.html, null);
  });

  test('the text is made from the HTML where the call has none, and kept where it has one', async () => {
    const { text: _, ...rest } = draft;
    const made = await written({ ...rest, text: null, html: '<p>Hello <b>Carla</b></p>' });
    assert.equal(made.read.text.trim(), 'Hello Carla');
    assert.match(made.read.html ?? '', /<b>Carla<\/b>/);
    const given = await written({ text: 'Own words', html: '<p>Hello</p>' });
    assert.equal(given.read.text.trim(), 'Own words');
  });

  test('files keep name, type and bytes; a message inside goes as bytes', async () => {
    const pdf = Buffer.from([0, 255, 13, 10, 46, 10]);
    const { read, text } = await written({
      files: [
        { name: 'Bericht für Sie.pdf', type: 'application/pdf', content: pdf },
        { name: 'note.txt', type: null, content: Buffer.from('a\nb') },
        { name: 'mail.eml', type: 'message/rfc822', content: Buffer.from(`From: x\n\n${'y'.repeat(3000)}`) },
        { name: 'empty', type: null, content: Buffer.alloc(0) },
      ],
    });
    assert.deepEqual(
      read.attachments.map(({ name, type, size }) => [name, type, size]),
      [
        ['Bericht für Sie.pdf', 'application/pdf', 6],
        ['note.txt', 'text/plain', 3],
        // A reader may tell from the name what it is; what counts is that it was not declared.
        ['mail.eml', 'message/rfc822', 3009],
        ['empty', 'application/octet-stream', 0],
      ],
    );
    assert.doesNotMatch(text, /message\/rfc822/);
    assert.deepEqual(read.attachments[0]?.content, pdf);
  });

  test('a large file comes out as it went in, and keeps nobody waiting while it is encoded', async () => {
    const content = Buffer.alloc(20_000_001, 'Zeile\r\n.\n');
    const files = [{ name: 'big.bin', type: null, content }];
    const { result, worstHoldMs } = await holding(() => compose({ ...draft, files }));
    const { raw } = result;
    assert(worstHoldMs < 200, `the loop was held for ${worstHoldMs} ms`);
    const [file] = (await parseMessage(raw)).attachments;
    assert.equal(file?.name, 'big.bin');
    assert(file.content.equals(content));
  });

  test('a reply cites its thread whole', async () => {
    const references = Array.from({ length: 40 }, (_, n) => `message-${n}-of-the-thread@customer.example`);
    const { unfolded, read } = await written({
      thread: { inReplyTo: references.at(-1) ?? null, references },
    });
    assert.match(unfolded, /^In-Reply-To: <message-39-of-the-thread@customer\.example>\r$/m);
    assert.deepEqual(read.header.references, references);
  });

  test('nothing of a call becomes a header of its own, a file or an address to fetch', async () => {
    const { head, read, text } = await written({
      subject: 'Hi\r\nBcc: evil@elsewhere.example',
      from: { name: 'Anna\r\nX-Evil: 1', address: 'anna@mail.example' },
      headers: { 'X-PRIORITY': '1\r\nBcc: evil@elsewhere.example', importance: 'high' },
      text: null,
      html: '<img src="file:///etc/hostname">',
      files: [{ name: 'a\r\nX-Evil: 2.txt', type: 'text/plain', content: Buffer.from('x') }],
    });
    assert.doesNotMatch(head, /^(Bcc|X-Evil)/im);
    assert.doesNotMatch(text, /^X-Evil/im);
    assert.deepEqual(read.header.bcc, []);
    assert.match(head, /^X-Priority: 1 Bcc: evil/m);
    assert.match(head, /^Importance: high\r$/m);
    assert.match(read.text, /^\s*$/);
  });

  for (const name of ['Bcc', 'From', 'Reply-To', 'DKIM-Signature', 'X-Anything']) {
    test(`the header ${name} cannot be set`, async () => {
      assert.equal(allowedHeaders.has(name.toLowerCase()), false);
      await assert.rejects(compose({ ...draft, headers: { [name]: 'x' } }), /not one that a call may set/);
    });
  }
});
