import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bounceClass, readDeliveryReport } from '../../src/message/delivery-report.ts';
import type { DeliveryReport } from '../../src/message/delivery-report.ts';
import { headerFingerprint } from '../../src/message/fingerprint.ts';
import { readHeader } from '../../src/message/header.ts';
import { mailKind } from '../../src/message/kind.ts';
import { parseMessage } from '../../src/message/parse.ts';
import {
  eximReport,
  eximWarning,
  exchangeReport,
  gmailReport,
  internationalReport,
  multipartReport,
  oldExchangeReport,
  originalHeader,
  postfixReport,
  qmailReport,
  readReceipt,
} from '../fixtures/message/delivery-reports.ts';

const carla = 'carla@customer.example';
const about = {
  id: 'sent-1@mail.example',
  from: 'ann@mail.example',
  to: carla,
  date: 'Fri, 20 Nov 2026 10:00:00 +0000',
  subject: 'Offer',
};

async function read(raw: Buffer): Promise<DeliveryReport | null> {
  const { header, attachments, text } = await parseMessage(raw);
  return readDeliveryReport({ header, parts: attachments, text });
}

const unknown = { addresses: [carla], action: 'failed', status: '5.1.1', words: '550 5.1.1 unknown user' };
const qmailWords =
  '192.0.2.1 does not like recipient. Remote host said: 550 5.1.1 unknown user Giving up on 192.0.2.1.';
const eximFull = {
  addresses: [carla],
  action: 'failed',
  status: '5.2.2',
  words:
    'host mx.customer.example [192.0.2.1] SMTP error from remote mail server after end of data: 552 5.2.2 mailbox full',
};

describe('D6, S11: the delivery reports of the systems that write them', () => {
  const cases: [name: string, raw: Buffer, recipients: unknown[]][] = [
    ['Postfix', postfixReport(about), [unknown]],
    [
      'Postfix, whose warning is no failure',
      postfixReport(about, 'delayed'),
      [{ ...unknown, action: 'delayed', status: '4.4.1', words: 'connect to mx: Connection timed out' }],
    ],
    ...['message/rfc822', 'text/rfc822-headers'].map((type): [string, Buffer, unknown[]] => [
      `Gmail, with ${type}`,
      gmailReport(about, type),
      [
        {
          ...unknown,
          words:
            '550-5.1.1 The email account that you tried to reach does not exist. 550 5.1.1 Please try again.',
        },
      ],
    ]),
    [
      'Exchange Online',
      exchangeReport(about),
      [
        {
          ...unknown,
          status: '5.1.10',
          words: '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
        },
      ],
    ],
    [
      'Exchange, of an address that it has wrapped',
      exchangeReport(about, 'IMCEASMTP-carla+40customer+2Eexample@seller.example'),
      [
        {
          ...unknown,
          status: '5.1.10',
          words: '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
        },
      ],
    ],
    [
      'Exchange 2003',
      oldExchangeReport(about),
      [
        {
          ...unknown,
          words:
            'The e-mail account does not exist at the organization this message was sent to. <mx.customer.example #5.1.1 smtp;550 5.1.1 unknown user>',
        },
      ],
    ],
    ['qmail', qmailReport(about), [{ ...unknown, words: qmailWords }]],
    ['Yahoo', qmailReport(about, 'yahoo'), [{ ...unknown, words: qmailWords }]],
    ['Exim', eximReport(about), [eximFull]],
    [
      'Exim, of an alias on one line',
      eximReport(about, [`  inbox@hosting.example (generated from ${carla})`]),
      [eximFull],
    ],
    [
      'Exim, of an alias on two',
      eximReport(about, ['  inbox@hosting.example', `    (ultimately generated from ${carla})`]),
      [eximFull],
    ],
    [
      'Exim, which warns',
      eximWarning(about),
      [{ addresses: [carla], action: 'delayed', status: null, words: 'Delay reason: Connection timed out' }],
    ],
    [
      'RFC 6533, in UTF-8',
      internationalReport(about, 'jörg@bücher.example'),
      [{ addresses: ['jörg@xn--bcher-kva.example'], action: 'failed', status: '5.1.1', words: null }],
    ],
    [
      'RFC 6533, with escapes',
      internationalReport(about, 'j\\x{F6}rg@b\\x{FC}cher.example'),
      [{ addresses: ['jörg@xn--bcher-kva.example'], action: 'failed', status: '5.1.1', words: null }],
    ],
  ];
  for (const [name, raw, recipients] of cases) {
    test(name, async () => {
      assert.equal(mailKind(readHeader(raw)).kind, 'delivery_report');
      const report = await read(raw);
      assert.deepEqual(report?.recipients, recipients);
      assert.deepEqual(report?.cites, [about.id]);
    });
  }

  test('the original is known by its header too, also where its Message-ID is another one', async () => {
    const original = readHeader(Buffer.from(`${originalHeader(about).join('\r\n')}\r\n\r\n`));
    const expected = [headerFingerprint(original, Number.NaN)];
    for (const report of [
      postfixReport,
      gmailReport,
      exchangeReport,
      oldExchangeReport,
      qmailReport,
      eximReport,
    ]) {
      const raw = report({ ...about, id: 'rewritten@outlook.example' });
      assert.deepEqual((await read(raw))?.fingerprints, expected, report.name);
    }
  });

  test('the id that the sender gave is cited as well as the one that Outlook put in its place', async () => {
    const raw = postfixReport({ ...about, id: 'rewritten@outlook.example' }).toString();
    const more = `X-Microsoft-Original-Message-ID: <${about.id}>\r\nMessage-ID: <rewritten@`;
    const report = await read(Buffer.from(raw.replace('Message-ID: <rewritten@', more)));
    assert.deepEqual(report?.cites, ['rewritten@outlook.example', about.id]);
  });
});

describe('D6: the part for machines (RFC 3464)', () => {
  const reportOf = (fields: string): Promise<DeliveryReport | null> =>
    read(
      multipartReport(
        ['From: mailer-daemon@mail.example', 'In-Reply-To: <answered@mail.example>'],
        [
          { type: 'message/delivery-status', lines: [fields] },
          { type: 'message/rfc822', lines: [...originalHeader(about), '', ''] },
        ],
      ),
    );
  const cases: [name: string, fields: string, expected: unknown[]][] = [
    [
      'folded words, capitals',
      'Reporting-MTA: dns; mail.example\r\n\r\nFinal-Recipient: rfc822; Carla@Customer.example\r\n' +
        `Original-Recipient: rfc822;${carla}\r\nAction: Failed\r\nStatus: 5.1.1\r\n` +
        'Diagnostic-Code: smtp; 550 5.1.1 unknown\r\n    user\r\n',
      [unknown],
    ],
    [
      'two recipients, one only delayed, bare line feeds',
      'Reporting-MTA: dns; x\n\nFinal-Recipient: RFC822; <a@x.example>\nAction: delayed\nStatus: 4.4.1\n\n' +
        'Final-Recipient: rfc822; b@x.example\nAction: failed\nStatus: 5.0.0 (permanent)\n',
      [
        { addresses: ['a@x.example'], action: 'delayed', status: '4.4.1', words: null },
        { addresses: ['b@x.example'], action: 'failed', status: '5.0.0', words: null },
      ],
    ],
    [
      'the original recipient before the final one, where a mailbox forwards',
      'R: x\n\nFinal-Recipient: rfc822; elsewhere@x.example\nOriginal-Recipient: rfc822; a@x.example\nAction: failed\n\n' +
        'Original-Recipient: rfc822;\nFinal-Recipient: rfc822; b@x.example\nAction: delivered\n',
      [
        { addresses: ['a@x.example', 'elsewhere@x.example'], action: 'failed', status: null, words: null },
        { addresses: ['b@x.example'], action: 'delivered', status: null, words: null },
      ],
    ],
    [
      'NUL and control characters, and a character at the cut',
      'R: x\n\nFinal-Recipient: rfc822; a\0@x.example\nAction: failed\nStatus: 5.1.1\0\n' +
        `Diagnostic-Code: smtp; 550 a\0b\u0007c ${'d'.repeat(489)}😀\n`,
      [
        {
          addresses: ['a@x.example'],
          action: 'failed',
          status: '5.1.1',
          words: `550 ab c ${'d'.repeat(489)}`,
        },
      ],
    ],
    ['nothing', '', []],
    ['no recipient', 'Reporting-MTA: dns; x\n', []],
    ['an action of no standard', 'Final-Recipient: rfc822; a@x.example\nAction: exploded\n', []],
    ['an action of receipts', 'Final-Recipient: rfc822; a@x.example\nAction: displayed\n', []],
    ['an action of nobody', 'Action: failed\n', []],
  ];
  for (const [name, fields, expected] of cases) {
    test(name, async () => {
      const report = await reportOf(fields);
      assert.deepEqual(report?.recipients ?? [], expected);
      if (report !== null) assert.deepEqual(report.cites, [about.id, 'answered@mail.example']);
    });
  }
});

describe('D6: what is no report of a system that we know', () => {
  const without = (raw: Buffer, part: string | RegExp, other = '') =>
    Buffer.from(raw.toString().replace(part, other));
  const cases: [name: string, raw: Buffer][] = [
    [
      'qmail’s sentence in the middle of a letter',
      without(qmailReport(about), 'Hi. This is', 'Hello.\r\n\r\nHi. This is'),
    ],
    [
      'Exim’s sentence without its X-Failed-Recipients',
      without(eximReport(about), /X-Failed-Recipients.*\r\n/),
    ],
    [
      'Exchange’s sentence in the middle of a letter',
      without(oldExchangeReport(about), 'Your message did', 'See:\r\n\r\nYour message did'),
    ],
    ['a list without recipients', without(qmailReport(about), /<carla@customer.example>:/, 'Sorry.')],
    [
      'words of its own',
      Buffer.from(
        `From: mailer-daemon@x.example\r\nIn-Reply-To: <${about.id}>\r\n\r\n<${carla}>: no such user\r\n`,
      ),
    ],
    [
      'a copy of the mail alone',
      multipartReport(
        ['From: mailer-daemon@x.example'],
        [{ type: 'message/rfc822', lines: originalHeader(about) }],
      ),
    ],
  ];
  for (const [name, raw] of cases) test(name, async () => assert.equal(await read(raw), null));

  test('a long text without an end is read in no time', async () => {
    for (const line of [
      'A message that you sent could not be delivered to one or more of its\nrecipients. ',
      '\n\n- ',
      '\n\t',
    ]) {
      const raw = Buffer.from(
        `From: mailer-daemon@x.example\r\nX-Failed-Recipients: x\r\n\r\nHi. This is the ${line.repeat(20_000)}`,
      );
      const { header, text } = await parseMessage(raw);
      const started = performance.now();
      assert.equal(readDeliveryReport({ header, parts: [], text }), null);
      assert.ok(performance.now() - started < 500, line);
    }
  });
});

describe('S11: read receipts (RFC 8098)', () => {
  for (const [type, action] of [
    ['displayed', 'displayed'],
    ['Deleted', 'deleted'],
    ['displayed/expired', 'displayed'],
    ['processed', null],
    ['dispatched', null],
  ] as const) {
    test(`${type}: ${action ?? 'says nothing of the mail'}`, async () => {
      const raw = readReceipt(about, type);
      assert.equal(mailKind(readHeader(raw)).kind, 'read_receipt');
      const report = await read(raw);
      const expected = { addresses: [carla], action, status: null, words: null };
      assert.deepEqual(report?.recipients ?? null, action === null ? null : [expected]);
      if (action !== null) assert.deepEqual(report?.cites, [about.id]);
    });
  }
});

describe('D5, D6: the class of a failure', () => {
  const cases: [status: string | null, words: string | null, expected: string | null][] = [
    ['5.1.1', null, 'hard'],
    ['5.1.10', '550 5.1.10 RESOLVER.ADR.RecipientNotFound', 'hard'],
    ['5.1.8', null, 'block'],
    ['5.2.1', null, 'hard'],
    ['5.2.2', '552 5.2.2 mailbox full', 'soft'],
    ['5.2.3', null, 'soft'],
    ['5.3.4', null, 'soft'],
    ['5.4.1', '550 5.4.1 Recipient address rejected: Access denied', 'hard'],
    ['5.4.4', 'Host or domain name not found', 'hard'],
    ['5.4.310', null, 'hard'],
    ['5.4.7', null, 'soft'],
    ['4.4.7', null, 'soft'],
    ['4.2.2', null, 'soft'],
    ['5.6.0', null, 'soft'],
    ['5.7.1', null, 'block'],
    ['5.7.606', null, 'block'],
    ['5.0.0', 'smtp; 550 5.7.1 blocked', 'block'],
    ['5.0.0', '552 over quota', 'soft'],
    ['5.0.0', '550 no such user', 'hard'],
    ['5.0.0', null, 'hard'],
    [null, 'host 192.0.2.1 said: 550 5.2.2 full', 'soft'],
    [null, 'Sorry, no mailbox here by that name. (#5.1.1)', 'hard'],
    [null, 'Remote host said: 451 busy', 'soft'],
    [null, 'Remote host said: 550 no', 'hard'],
    [null, 'host 5.2.2.1 is gone', null],
    [null, null, null],
  ];
  for (const [status, words, expected] of cases) {
    test(`${status ?? 'no code'}, ${words ?? 'no words'}: ${expected ?? 'not known'}`, () => {
      assert.equal(bounceClass({ status, words }), expected);
    });
  }
});
