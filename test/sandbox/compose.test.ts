import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simpleParser } from 'mailparser';
import { answerTo, baseSubject, composeMail, rewriteMessageId } from '../../src/sandbox/compose.ts';

const sentAtMs = Date.parse('2026-11-03T10:00:00Z');

describe('composeMail', () => {
  test('a mail parser reads back what was written', async () => {
    const raw = composeMail({
      from: 'Jörg "J" Müller <joerg@customer.example>',
      to: 'Ada, Ben <ada@sandbox.example>, ben@sandbox.example',
      cc: '"Long, Eva" <eva@customer.example>',
      subject: 'Grüße aus Zürich, und noch viel mehr Wörter, damit es über mehrere Zeilen geht 🙂',
      text: 'Grüße\nzwei',
      html: '<p>Grüße</p>',
      sentAtMs,
      inReplyTo: '<a@x.example>',
      references: '<0@x.example> <a@x.example>',
    });
    assert.match(raw.toString('latin1'), /^[\x20-\x7e\r\n]*$/);
    assert.ok(
      raw
        .toString()
        .split('\r\n')
        .every((line) => line.length <= 78),
    );
    const mail = await simpleParser(raw);
    assert.deepEqual(mail.from?.value, [{ name: 'Jörg J Müller', address: 'joerg@customer.example' }]);
    assert.equal(mail.subject?.startsWith('Grüße aus Zürich'), true);
    assert.equal(mail.subject?.endsWith('geht 🙂'), true);
    assert.equal(mail.text, 'Grüße\nzwei');
    assert.equal(mail.html, '<p>Grüße</p>');
    assert.equal(mail.date?.getTime(), sentAtMs);
    assert.deepEqual(mail.references, ['<0@x.example>', '<a@x.example>']);
    assert.match(mail.messageId ?? '', /^<[0-9a-f-]{36}@sandbox\.example>$/);
  });

  test('line breaks in a header value make no header', async () => {
    const raw = composeMail({ from: ADA, to: ADA, subject: 'a\r\nBcc: x@x.example', text: 'x', sentAtMs });
    const mail = await simpleParser(raw);
    assert.equal(mail.subject, 'a Bcc: x@x.example');
    assert.equal(mail.bcc, undefined);
  });
});

const ADA = 'ada@sandbox.example';

test('answerTo goes to Reply-To, keeps the base subject, and quotes', () => {
  const raw = Buffer.from(
    'From: eva@customer.example\r\nReply-To: team@customer.example\r\nSubject: RE: Fwd: Offer\r\nDate: today\r\nIn-Reply-To: <0@x.example>\r\nMessage-ID: <1@x.example>\r\n\r\none\r\n\r\ntwo\r\n',
  );
  assert.deepEqual(answerTo(raw, { from: ADA, text: 'Yes.', sentAtMs }), {
    from: ADA,
    to: 'team@customer.example',
    subject: 'Re: Offer',
    text: 'Yes.\n\nOn today, eva@customer.example wrote:\n> one\n> \n> two\n',
    sentAtMs,
    inReplyTo: '<1@x.example>',
    references: '<0@x.example> <1@x.example>',
  });
});

test('baseSubject takes off what mail programs put before a subject', () => {
  assert.equal(baseSubject(' Re: FW: re : Regards'), 'Regards');
  assert.equal(baseSubject('Result: fine'), 'Result: fine');
});

test('rewriteMessageId changes the header alone', () => {
  const raw = Buffer.from(
    'From: a@x.example\r\nMessage-ID:\r\n <1@x.example>\r\nTo: b\r\n\r\nMessage-ID: body\r\n',
  );
  assert.equal(
    rewriteMessageId(raw, '<2@y.example>').toString(),
    'Message-ID: <2@y.example>\r\nX-Microsoft-Original-Message-ID: <1@x.example>\r\nFrom: a@x.example\r\nTo: b\r\n\r\nMessage-ID: body\r\n',
  );
});
