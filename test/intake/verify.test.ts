import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  headBytesMax,
  isRobot,
  noProof,
  readWriter,
  refusalOfProof,
  refusalOfWriter,
} from '../../src/intake/verify.ts';
import type { Proof } from '../../src/store/spool.ts';

const writerOf = (header: string) => readWriter(Buffer.from(`${header}\r\n\r\nbody`));
const ann = [{ ownAddresses: new Set(['ann@seller.example', 'annlee@gmail.com']) }];

describe('who a message is from', () => {
  const cases: [what: string, header: string, from: string | null][] = [
    ['one address', 'From: Ann <ann@seller.example>', 'ann@seller.example'],
    ['folded', 'From: Ann\r\n <ann@seller.example>', 'ann@seller.example'],
    ['an address in the name', 'From: "eve@evil.example" <ann@seller.example>', 'ann@seller.example'],
    ['two addresses', 'From: ann@seller.example, bob@seller.example', null],
    ['two fields', 'From: ann@seller.example\r\nFROM: eve@evil.example', null],
    [
      'two fields, one with a blank before the colon',
      'From: ann@seller.example\r\nFrom : eve@evil.example',
      null,
    ],
    ['no address', 'From: Ann', null],
    ['none', 'To: ann@seller.example', null],
    ['a lone CR', 'Subject: x\rFrom: eve@evil.example\r\nFrom: ann@seller.example', null],
    ['a NUL', 'From: ann@seller.example\r\nSubject: a\0b', null],
  ];
  for (const [what, header, from] of cases) {
    test(what, () => assert.equal(writerOf(header).from, from));
  }

  test('a From in the body is none of the header', () => {
    const writer = readWriter(Buffer.from('From: ann@seller.example\r\n\r\nFrom: eve@evil.example\r\n'));
    assert.equal(writer.from, 'ann@seller.example');
    assert.equal(writer.isWhole, true);
  });

  test('a header without an end is refused when it is too long to be one', () => {
    const short = readWriter(Buffer.from('From: ann@seller.example\r\nX: y\r\n'));
    assert.equal(refusalOfWriter(short, ann), null, 'RFC 5322 §3.5: there need be no body');
    const long = Buffer.from(`From: ann@seller.example\r\n${'X: y\r\n'.repeat(60_000)}`);
    assert.equal(refusalOfWriter(readWriter(long.subarray(0, headBytesMax)), ann)?.code, 552);
  });
});

describe('who is answered what (B4)', () => {
  const refused: [what: string, from: string, code: string | null][] = [
    ['the user', 'ann@seller.example', null],
    ['the user, with a tag and in capitals', 'Ann+crm@Seller.Example', null],
    ['the user, with the dots of Gmail', 'ann.lee@googlemail.com', null],
    ['a stranger', 'eve@evil.example', '5.7.1'],
    ['somebody whose name is the user’s address', '"ann@seller.example" <eve@evil.example>', '5.7.1'],
  ];
  for (const [what, from, code] of refused) {
    test(what, () => {
      const answer = refusalOfWriter(writerOf(`From: ${from}`), ann);
      assert.equal(answer?.text.split(' ')[0] ?? null, code);
      assert.doesNotMatch(answer?.text ?? '', /@/, 'names no address');
    });
  }

  test('it suffices to be the user of one of the recipients', () => {
    const others = { ownAddresses: new Set(['bob@seller.example']) };
    assert.equal(refusalOfWriter(writerOf('From: ann@seller.example'), [others, ...ann]), null);
    assert.notEqual(refusalOfWriter(writerOf('From: ann@seller.example'), [others]), null);
  });

  test('only what the domain itself forbids is refused for want of proof, by the code of RFC 7372', () => {
    const failed: Proof = { ...noProof('unproven', 'seller.example'), verdict: 'failed' };
    const answer = refusalOfProof(failed);
    assert.equal(answer?.code, 550);
    assert.match(answer?.text ?? '', /^5\.7\.26 .*seller\.example/);
    for (const verdict of ['proven', 'unproven', 'pending'] as const)
      assert.equal(refusalOfProof({ ...failed, verdict }), null);
  });
});

describe('robots, which are never refused', () => {
  const cases: [what: string, header: string, envelopeFrom: string, expected: boolean][] = [
    ['a person', 'From: ann@seller.example', 'ann@seller.example', false],
    ['the null sender', 'From: ann@seller.example', '', true],
    ['an absence notice', 'From: a@b.example\r\nAuto-Submitted: auto-replied', 'a@b.example', true],
    ['a delivery report', 'From: mailer-daemon@b.example', 'x@b.example', true],
    [
      'a read receipt',
      'From: a@b.example\r\nContent-Type: multipart/report; report-type=disposition-notification',
      'a@b.example',
      true,
    ],
    ['a mailing list', 'From: a@b.example\r\nList-Id: <x.b.example>', 'x@b.example', false],
  ];
  for (const [what, header, envelopeFrom, expected] of cases) {
    test(what, () => assert.equal(isRobot(writerOf(header), envelopeFrom), expected));
  }
});
