import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDeliveryReport } from '../../src/message/delivery-report.ts';

const original = Buffer.from(
  'From: ann@mail.example\r\nMessage-ID: <sent-1@mail.example>\r\nSubject: Hi\r\n\r\n',
);

function report(fields: string, about = original, type = 'message/rfc822') {
  return readDeliveryReport(
    [
      { type: 'message/delivery-status', content: Buffer.from(fields) },
      { type, content: about },
    ],
    ['answered@mail.example'],
  );
}

const cases: { name: string; fields: string; expected: unknown }[] = [
  {
    name: 'one recipient that failed, as Postfix writes it',
    fields:
      'Reporting-MTA: dns; mail.example\r\n\r\nFinal-Recipient: rfc822; Carla@Customer.example\r\n' +
      'Original-Recipient: rfc822;carla@customer.example\r\nAction: failed\r\nStatus: 5.1.1\r\n' +
      'Diagnostic-Code: smtp; 550 5.1.1 unknown\r\n    user\r\n',
    expected: [
      {
        address: 'carla@customer.example',
        action: 'failed',
        status: '5.1.1',
        words: '550 5.1.1 unknown user',
      },
    ],
  },
  {
    name: 'two recipients, one only delayed, bare line feeds',
    fields:
      'Reporting-MTA: dns; x\n\nFinal-Recipient: RFC822; <a@x.example>\nAction: Delayed\nStatus: 4.4.1\n\n' +
      'Final-Recipient: rfc822; b@x.example\nAction: failed\nStatus: 5.0.0 (permanent)\n',
    expected: [
      { address: 'a@x.example', action: 'delayed', status: '4.4.1', words: null },
      { address: 'b@x.example', action: 'failed', status: '5.0.0', words: null },
    ],
  },
  {
    name: 'the original recipient where a mailbox forwards, the final one where there is no other',
    fields:
      'R: x\n\nFinal-Recipient: rfc822; elsewhere@x.example\nOriginal-Recipient: rfc822; a@x.example\nAction: failed\n\n' +
      'Original-Recipient: rfc822;\nFinal-Recipient: rfc822; b@x.example\nAction: failed\n',
    expected: [
      { address: 'a@x.example', action: 'failed', status: null, words: null },
      { address: 'b@x.example', action: 'failed', status: null, words: null },
    ],
  },
  {
    name: 'NUL and control characters, and a character at the cut',
    fields:
      'R: x\n\nFinal-Recipient: rfc822; a\0@x.example\nAction: failed\nStatus: 5.1.1\0\n' +
      `Diagnostic-Code: smtp; 550 a\0b\u0007c ${'d'.repeat(490)}😀\n`,
    expected: [
      { address: 'a@x.example', action: 'failed', status: '5.1.1', words: `550 ab c ${'d'.repeat(490)}` },
    ],
  },
];

for (const { name, fields, expected } of cases) {
  test(`D6, S11: ${name}`, () => {
    const read = report(fields);
    assert.deepEqual(read?.recipients, expected);
    assert.deepEqual(read?.cites, ['sent-1@mail.example', 'answered@mail.example']);
  });
}

test('D6: headers alone cite as well as the whole message', () => {
  const fields = 'R: x\n\nFinal-Recipient: rfc822; a@x.example\nAction: failed\n';
  assert.deepEqual(report(fields, original, 'text/rfc822-headers')?.cites[0], 'sent-1@mail.example');
});

test('D6: no report without a status part, a recipient and an action of RFC 3464', () => {
  assert.equal(readDeliveryReport([{ type: 'message/rfc822', content: original }], []), null);
  for (const fields of [
    '',
    'Reporting-MTA: dns; x\n',
    'Final-Recipient: rfc822; a@x.example\nAction: exploded\n',
    'Action: failed\n',
  ]) {
    assert.equal(report(fields), null);
  }
});
