import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { directionOf } from '../../src/filing/sighting.ts';
import type { Direction, FolderRole, Sighting } from '../../src/filing/sighting.ts';
import { sightingOf } from '../../src/mailbox/seen.ts';

/** A message as FETCH shows it, of these header lines. */
function seen(
  role: FolderRole,
  lines: readonly string[],
  marks: readonly string[] = [],
  gmail: Sighting['gmail'] = null,
): Sighting {
  return sightingOf(
    'mbx_1',
    { folderId: 'fld_1', role, uidValidity: 1 },
    {
      uid: 1,
      header: Buffer.from(`${lines.join('\r\n')}\r\n\r\n`),
      internalDate: 0,
      size: 100,
      marks: new Set(marks),
      gmail,
    },
    0,
  );
}

describe('the direction of a message', () => {
  const own = new Set(['ann@mail.example']);
  const mine = 'From: Ann <Ann+x@mail.example>';
  const theirs = 'From: carla@customer.example';
  const returnPath = 'Return-Path: <stranger@elsewhere.example>';
  const deliveredTo = 'Delivered-To: ann@mail.example';
  const received =
    'Received: from elsewhere.example by mx.mail.example with ESMTP id 1; Fri, 20 Nov 2026 10:00:00 +0000';
  const submitted =
    'Received: from [192.0.2.1] by smtp.mail.example with ESMTPSA id 1; Fri, 20 Nov 2026 10:00:00 +0000';
  const sent = ['\\sent'];
  const cases: [name: string, role: FolderRole, lines: string[], marks: string[], direction: Direction][] = [
    ['received', 'inbox', [received, theirs], [], 'inbound'],
    ['forged, in the inbox', 'inbox', [received, mine], [], 'inbound'],
    ['to oneself, in the inbox, on a server that adds nothing', 'inbox', [mine], [], 'inbound'],
    ['saved to Sent by a mail program', 'sent', [mine], [], 'outbound'],
    ['saved to Sent by Exchange on submission', 'sent', [submitted, mine], [], 'outbound'],
    ['in Sent from an alias that we do not know', 'sent', ['From: sales@mail.example'], [], 'outbound'],
    ['in All Mail, sent by the web page', 'all', [mine], sent, 'outbound'],
    ['in All Mail, sent by SMTP', 'all', [returnPath, submitted, mine], sent, 'outbound'],
    ['in All Mail, to oneself', 'all', [deliveredTo, received, mine], ['\\inbox', ...sent], 'outbound'],
    ['forged, in All Mail', 'all', [deliveredTo, received, mine], ['\\inbox'], 'inbound'],
    ['in a label, sent by SMTP', 'other', [returnPath, submitted, mine], sent, 'outbound'],
    ['an answer that Thunderbird saved beside the question', 'other', [mine], [], 'outbound'],
    ['archived from Sent', 'archive', [mine], [], 'outbound'],
    ['archived from the inbox', 'archive', [returnPath, received, theirs], [], 'inbound'],
    ['filed by hand, without a trace of delivery', 'other', [theirs], [], 'inbound'],
    ['forged, filtered on arrival: Return-Path', 'other', [returnPath, mine], [], 'inbound'],
    ['forged, filtered on arrival: Delivered-To', 'other', [deliveredTo, mine], [], 'inbound'],
    ['forged, archived: Received', 'archive', [received, mine], [], 'inbound'],
    ['without an author', 'other', ['Subject: x'], [], 'inbound'],
  ];
  for (const [name, role, lines, marks, direction] of cases) {
    test(name, () => assert.equal(directionOf(seen(role, lines, marks), own), direction));
  }
});

describe('the names of a message', () => {
  const ids = ['Message-ID: <m@x.example>', 'X-Microsoft-Original-Message-ID: <o@x.example>'];
  const thread = [
    'References: <a@x.example> <b@x.example> <c@x.example>',
    'In-Reply-To: <b@x.example>',
    'Thread-Index: AdqwCgEBAQEBAgMEBQYHCAkKCwwNDg==',
  ];
  const gmail = { messageId: '12', threadId: '11' };

  test('its own id, the one that it had before Outlook gave it another, and that of Gmail in this mailbox', () => {
    assert.deepEqual(seen('all', ids, [], gmail).messageKeys, ['m@x.example', 'o@x.example', 'gm:mbx_1:12']);
  });

  test('of one without an id, its fingerprint and its size', () => {
    const { messageKeys, fingerprint } = seen('inbox', ['Subject: x']);
    assert.deepEqual(messageKeys, [`none:${fingerprint}:100`]);
  });

  test('S3: what it answers, its ancestors from the newest back, its own, and what providers call its thread', () => {
    const { threadKeys } = seen('all', [...ids, ...thread], [], gmail);
    assert.deepEqual(
      threadKeys.map(({ key, kind }) => `${kind} ${key}`),
      [
        'referenced b@x.example',
        'referenced c@x.example',
        'referenced a@x.example',
        'message m@x.example',
        'message o@x.example',
        'gmail gm:mbx_1:11',
        'thread_index ti:01dab00a010101010102030405060708090a0b0c0d0e',
      ],
    );
  });
});
