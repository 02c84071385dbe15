import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { newId } from '../../src/lib/id.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { clickPath, openPath, readClick, readOpen } from '../../src/message/tracking-links.ts';

const [key, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const box = createSecretBox([key]);
const sendId = newId('snd');
const url = 'https://shop.example/offer?for=anna&x=%C3%A4#price';
const tokenOf = (path: string) => path.replace(/^\/t\/[oc]\//, '');
const opened = tokenOf(openPath(box, sendId));
const clicked = tokenOf(clickPath(box, { sendId, n: 300, url }));

describe('D7: the links of tracking', () => {
  test('say what they are for to us, and nothing to read to others', () => {
    assert.equal(readOpen(box, opened), sendId);
    assert.deepEqual(readClick(box, clicked), { sendId, n: 300, url });
    assert.match(openPath(box, sendId), /^\/t\/o\/[\w-]{42}$/);
    assert.match(clickPath(box, { sendId, n: 1, url }), /^\/t\/c\/[\w-]+$/);
  });

  test('stay valid when other keys seal: the key of hashes stays', () => {
    const rotated = createSecretBox([other], key);
    assert.equal(readOpen(rotated, opened), sendId);
    assert.deepEqual(readClick(rotated, clicked)?.url, url);
  });

  const forged: [name: string, token: string][] = [
    ['nothing', ''],
    ['too little', 'abc'],
    ['a signature alone', opened.slice(0, 20)],
    ['another kind of link', clicked],
    ['a signature of another', tokenOf(openPath(createSecretBox([other]), sendId))],
    [
      'another send under the signature',
      opened.slice(0, 20) + tokenOf(openPath(box, newId('snd'))).slice(20),
    ],
    ['padding', `${opened}=`],
    ['something behind it', `${opened}A`],
    ['signs that base64 leaves out', `${opened.slice(0, 30)}!${opened.slice(30)}`],
    ['letters of two bytes', `ä${opened.slice(1)}`],
  ];
  for (const [name, token] of forged) {
    test(`${name} is no picture of ours`, () => assert.equal(readOpen(box, token), null));
  }

  test('no link leads elsewhere: with any character changed, or a target of one’s own, it is none of ours', () => {
    const elsewhere = Buffer.from('https://evil.example/').toString('base64url');
    for (const token of [
      clicked.slice(0, 20) + elsewhere,
      clicked.slice(0, 44) + elsewhere,
      clicked + elsewhere,
      opened,
      'https://evil.example/',
      encodeURIComponent('https://evil.example/'),
    ])
      assert.equal(readClick(box, token), null, token);
    fc.assert(
      fc.property(
        fc.nat(clicked.length - 1),
        fc.base64String({ minLength: 4, maxLength: 4 }),
        (at, [c = 'A']) => {
          const changed = clicked.slice(0, at) + c + clicked.slice(at + 1);
          assert.equal(readClick(box, changed) === null, changed !== clicked);
        },
      ),
    );
  });

  test('only http and https targets are ever given back, whoever signed them', () => {
    for (const target of [
      'javascript:alert(1)',
      'data:text/html,x',
      '//evil.example/',
      'ftp://a.example/',
      '',
    ])
      assert.equal(readClick(box, tokenOf(clickPath(box, { sendId, n: 1, url: target }))), null);
  });
});
