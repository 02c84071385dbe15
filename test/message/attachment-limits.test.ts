import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  attachmentFaults,
  judgeStructure,
  mayBeTooLarge,
  noLimits,
} from '../../src/message/attachment-limits.ts';
import type {
  AttachmentLimits,
  LimitedAttachment,
  StructurePart,
} from '../../src/message/attachment-limits.ts';
import { usualLimits } from '../support/limits.ts';

const mebibyte = 1_048_576;

function file(name: string, type: string, begins: string | Buffer, more: Partial<LimitedAttachment> = {}) {
  const content = typeof begins === 'string' ? Buffer.from(begins, 'latin1') : begins;
  return { name, type, size: content.length, inline: false, content, ...more };
}

const large = (size: number, more: Partial<LimitedAttachment> = {}) =>
  file('offer.pdf', 'application/pdf', '%PDF-1.7', { size, ...more });

describe('L1: sizes, in decoded bytes', () => {
  const gmail = usualLimits('gmail', {});
  const outlook = usualLimits('outlook', {});
  const table: [name: string, limits: AttachmentLimits, sizes: LimitedAttachment[], expected: unknown[]][] = [
    ['Gmail: 25 MB together', gmail, [large(20 * mebibyte), large(5 * mebibyte)], [null, null]],
    [
      'a byte more: the largest goes',
      gmail,
      [large(20 * mebibyte), large(5 * mebibyte + 1)],
      ['attachment_too_large', null],
    ],
    [
      'as many of the largest as it takes',
      gmail,
      [large(mebibyte), large(26 * mebibyte), large(25 * mebibyte)],
      [null, 'attachment_too_large', 'attachment_too_large'],
    ],
    [
      'inline images do not count',
      gmail,
      [large(20 * mebibyte), large(20 * mebibyte, { inline: true })],
      [null, null],
    ],
    ['Outlook: 3 MB each', outlook, [large(3 * mebibyte), large(3 * mebibyte)], [null, null]],
    ['a byte more', outlook, [large(3 * mebibyte + 1), large(1)], ['attachment_too_large', null]],
    ['no limits', noLimits, [large(1e12)], [null]],
  ];
  for (const [name, limits, attachments, expected] of table) {
    test(name, () => assert.deepEqual(attachmentFaults(attachments, limits), expected));
  }
});

describe('L1: from the structure alone', () => {
  const gmail = usualLimits('gmail', {});
  const outlook = usualLimits('outlook', {});
  const part = (size: number, more: Partial<StructurePart> = {}): StructurePart => ({
    type: 'application/pdf',
    encoding: 'binary',
    size,
    disposition: 'attachment',
    hasId: false,
    ...more,
  });
  /** Octets of so many bytes in base64, with lines of so many characters that end in CRLF. */
  const base64 = (bytes: number, line: number) => {
    const characters = Math.ceil(bytes / 3) * 4;
    return part(characters + 2 * Math.ceil(characters / line), { encoding: 'base64' });
  };
  const limit = 25 * mebibyte;
  const table: [name: string, limits: AttachmentLimits, parts: StructurePart[], expected: string][] = [
    ['exactly the limit, not encoded', gmail, [part(limit)], 'within'],
    ['a byte more', gmail, [part(limit + 1)], 'too_large'],
    ['two of them together', gmail, [part(limit - 5), part(6)], 'too_large'],
    ['Outlook: each by itself', outlook, [part(3 * mebibyte), part(3 * mebibyte)], 'within'],
    ['Outlook: a byte more', outlook, [part(1), part(3 * mebibyte + 1)], 'too_large'],
    ['base64 at the limit may be either', gmail, [base64(limit, 76)], 'unsure'],
    ['also in short lines', gmail, [base64(limit, 60)], 'unsure'],
    ['also a byte more', gmail, [base64(limit + 1, 76)], 'unsure'],
    ['base64 well below', gmail, [base64(limit * 0.97, 76)], 'within'],
    ['base64 well past', gmail, [base64(limit * 1.05, 76)], 'too_large'],
    ['quoted-printable may be a third', gmail, [part(2 * limit, { encoding: 'quoted-printable' })], 'unsure'],
    ['or is past it all the same', gmail, [part(4 * limit, { encoding: 'quoted-printable' })], 'too_large'],
    ['what has an id may be an inline image', gmail, [part(2 * limit, { hasId: true })], 'unsure'],
    ['text is body', gmail, [part(2 * limit, { type: 'text/html', disposition: null })], 'within'],
    ['unless it is attached', gmail, [part(2 * limit, { type: 'text/plain' })], 'too_large'],
    [
      'a mail that is attached',
      gmail,
      [part(2 * limit, { type: 'message/rfc822', disposition: null })],
      'too_large',
    ],
    ['no limits', noLimits, [part(1e12)], 'within'],
  ];
  for (const [name, limits, parts, expected] of table) {
    test(`${name}: ${expected}`, () => assert.equal(judgeStructure(parts, limits), expected));
  }

  test('of a small message nothing is asked', () => {
    assert.deepEqual(
      [limit, limit / 2].map((size) => mayBeTooLarge(size, gmail)),
      [true, false],
    );
    assert.equal(mayBeTooLarge(1e12, noLimits), false);
  });
});

describe('L2: types at Outlook, by extension, content type and first bytes', () => {
  const limits = usualLimits('outlook', {});
  const ole = '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1';
  const word = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
  const passes: LimitedAttachment[] = [
    file('a.jpg', 'image/jpeg', '\xff\xd8\xff\xe0'),
    file('a.JPEG', 'image/pjpeg', '\xff\xd8\xff\xe1'),
    file('a.png', 'image/png', '\x89PNG\r\n\x1a\n'),
    file('a.mp4', 'video/mp4', '\0\0\0\x20ftypisom'),
    file('a.mpeg', 'video/mpeg', '\0\0\x01\xba'),
    file('a.zip', 'application/x-zip-compressed', 'PK\x03\x04'),
    file('a.rar', 'application/vnd.rar', 'Rar!\x1a\x07\x01\0'),
    file('a.pdf', 'application/pdf; name=a.pdf', '%PDF-1.4'),
    file('a.doc', 'application/msword', ole),
    file('a.docx', word, 'PK\x03\x04'),
    file('a.txt', 'text/plain', 'hello'),
    file('a.txt', 'text/plain', Buffer.from([0xff, 0xfe, 0x68, 0])),
    file('a.pdf', 'application/octet-stream', '%PDF-1.4'),
    file('empty.txt', 'text/plain', ''),
    file('logo.gif', 'image/gif', 'GIF89a', { inline: true }),
  ];
  test('L4: an extension that was added is known by itself alone', () => {
    const more = { ...limits, attachmentExtensions: ['xlsx'] };
    const faults = attachmentFaults(
      [file('a.xlsx', 'a/b', 'x'), file('a.pdf', 'application/pdf', '%PDF-1')],
      more,
    );
    assert.deepEqual(faults, [null, 'attachment_type']);
  });

  for (const each of passes) {
    test(`${each.name} as ${each.type} passes`, () =>
      assert.deepEqual(attachmentFaults([each], limits), [null]));
  }
  const fails: [why: string, file: LimitedAttachment][] = [
    ['an extension that is not allowed', file('a.exe', 'application/octet-stream', 'MZ')],
    ['none at all', file('README', 'text/plain', 'hello')],
    ['another one behind it', file('a.pdf.exe', 'application/pdf', '%PDF-1.4')],
    ['the type of something else', file('a.pdf', 'application/x-msdownload', '%PDF-1.4')],
    ['the bytes of a program', file('a.pdf', 'application/pdf', 'MZ\x90\0')],
    ['a NUL behind much text', file('a.txt', 'text/plain', `${'z'.repeat(900)}\0`)],
    ['a program as text', file('a.txt', 'text/plain', 'MZ\x90\0\x03')],
    ['a zip as an old Word file', file('a.doc', 'application/msword', 'PK\x03\x04')],
    ['a name of nothing but dots', file('...', 'application/pdf', '%PDF-1.4')],
  ];
  for (const [why, each] of fails) {
    test(why, () => assert.deepEqual(attachmentFaults([each], limits), ['attachment_type']));
  }
});
