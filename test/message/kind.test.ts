import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readHeader } from '../../src/message/header.ts';
import { type MailKind, mailKind } from '../../src/message/kind.ts';

const report = 'Content-Type: multipart/report; report-type=';
const cases: [name: string, kind: MailKind, lines: string[]][] = [
  ['an ordinary mail', 'person', ['From: jane@customer.example', 'Return-Path: <jane@customer.example>']],
  ['an empty header', 'person', []],
  [
    'X-Auto-Response-Suppress alone, as Exchange sets it',
    'person',
    ['X-Auto-Response-Suppress: DR, OOF, AutoReply'],
  ],
  ['Auto-Submitted: no', 'person', ['Auto-Submitted: no']],
  [
    'Auto-Submitted: no, in spite of a bad sign',
    'person',
    ['Auto-Submitted: no', 'X-Autoreply: yes', 'Return-Path: <>'],
  ],
  ['X-Autoreply: no', 'person', ['X-Autoreply: no']],
  ['an absence as subject, alone', 'person', ['Subject: Out of office']],
  ['an empty List-Unsubscribe', 'person', ['List-Unsubscribe:']],
  ['a first-class precedence', 'person', ['Precedence: first-class']],
  [
    'a forwarded report, sent by a person',
    'person',
    ['Content-Type: multipart/mixed', 'Return-Path: <j@x.example>'],
  ],
  ['somebody who is called postmaster', 'person', ['From: postmaster@customer.example']],

  ['a vacation (RFC 3834)', 'auto_reply', ['Auto-Submitted: auto-replied']],
  ['a vacation with a comment', 'auto_reply', ['Auto-Submitted: auto-replied (vacation)']],
  ['a notice', 'auto_reply', ['Auto-Submitted: auto-generated']],
  [
    'Exchange: absence',
    'auto_reply',
    ['Auto-Submitted: auto-generated', 'X-Auto-Response-Suppress: All', 'Return-Path: <>'],
  ],
  [
    'Exchange: absence by its subject',
    'auto_reply',
    ['Subject: Automatische Antwort: Angebot', 'X-Auto-Response-Suppress: All'],
  ],
  ['Precedence: auto_reply', 'auto_reply', ['Precedence: auto_reply']],
  [
    'Exchange: a rule of the mailbox',
    'auto_reply',
    ['X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent'],
  ],
  ['FirstClass', 'auto_reply', ['X-FC-MachineGenerated: true']],
  ['X-Autoreply', 'auto_reply', ['X-Autoreply: yes']],
  ['X-Autorespond', 'auto_reply', ['X-Autorespond: Re: offer']],
  ['X-Auto-Reply-From', 'auto_reply', ['X-Auto-Reply-From: jane@customer.example']],
  ['FirstClass and GroupWise', 'auto_reply', ['X-Post-MessageClass: 9; Autoresponder']],
  ['an empty return path', 'auto_reply', ['Return-Path: <>', 'From: jane@customer.example']],
  [
    'an auto-reply that came through a list',
    'auto_reply',
    ['Auto-Submitted: auto-replied', 'List-Id: <a.example>'],
  ],

  [
    'a DSN (RFC 3464)',
    'delivery_report',
    [`${report}delivery-status; boundary=x`, 'Auto-Submitted: auto-replied'],
  ],
  ['a DSN with quotes', 'delivery_report', [`${report}"delivery-status"`]],
  ['a DSN in UTF-8 (RFC 6533)', 'delivery_report', [`${report}global-delivery-status`]],
  [
    'an NDR of Exchange Online',
    'delivery_report',
    ['X-MS-Exchange-Message-Is-Ndr:', 'From: x@seller.example'],
  ],
  [
    'an NDR of Exchange 2003 that came without a return path',
    'delivery_report',
    [
      'From: System Administrator <postmaster@x.example>',
      'X-MS-Embedded-Report:',
      'Subject: Undeliverable: Offer',
    ],
  ],
  [
    'an untyped report with an empty return path',
    'delivery_report',
    ['Content-Type: multipart/report', 'Return-Path: <>'],
  ],
  ['Exim and Gmail', 'delivery_report', ['X-Failed-Recipients: nobody@x.example']],
  ['qmail: mailer-daemon', 'delivery_report', ['From: MAILER-DAEMON@x.example']],
  [
    'postmaster with an empty return path',
    'delivery_report',
    ['From: Postmaster@x.example', 'Return-Path: <>'],
  ],

  ['an MDN in UTF-8 (RFC 6533)', 'read_receipt', [`${report}global-disposition-notification`]],
  ['an MDN (RFC 8098)', 'read_receipt', [`${report}disposition-notification; boundary=x`]],
  [
    'an MDN that says it is automatic',
    'read_receipt',
    [`${report}disposition-notification`, 'Auto-Submitted: auto-replied'],
  ],

  ['a mailing list (RFC 2919)', 'list', ['List-Id: Sales <sales.acme.example>']],
  ['List-Post', 'list', ['List-Post: <mailto:sales@acme.example>']],
  ['Precedence: list', 'list', ['Precedence: list']],
  ['a Google group', 'list', ['X-Google-Group-Id: 12345', 'Precedence: list']],
  [
    'a list whose mail says it is automatic',
    'list',
    ['Auto-Submitted: auto-generated', 'List-Id: <a.example>'],
  ],
  ['a list, in spite of Auto-Submitted: no', 'list', ['Auto-Submitted: no', 'List-Id: <a.example>']],

  ['a newsletter (RFC 2369)', 'bulk', ['List-Unsubscribe: <https://x.example/u>']],
  [
    'an announcement that nobody may write to',
    'bulk',
    ['List-Post: NO', 'List-Unsubscribe: <mailto:u@x.example>'],
  ],
  ['Precedence: bulk', 'bulk', ['Precedence: BULK']],
  ['Precedence: junk', 'bulk', ['Precedence: junk']],
  ['a newsletter that says it is automatic', 'bulk', ['Auto-Submitted: auto-generated', 'Precedence: bulk']],
  ['an abuse report', 'bulk', [`${report}feedback-report`]],
];

describe('S11: the kind of a message', () => {
  for (const [name, kind, lines] of cases) {
    test(`${name} is ${kind}`, () => {
      const verdict = mailKind(readHeader(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)));
      assert.equal(verdict.kind, kind, verdict.because);
      assert.notEqual(verdict.because, '');
    });
  }

  test('the reason holds no content and no control characters', () => {
    const header = readHeader(
      Buffer.from('Auto-Submitted: auto-replied; by="jane@customer.example"\r\nSubject: secret\r\n\r\n'),
    );
    assert.equal(mailKind(header).because, 'Auto-Submitted: auto-replied');
  });
});
